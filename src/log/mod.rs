//! `.wandb` files as sequences of records: read, followed while they grow, and written.

mod reader;

pub use reader::{Reader, ReaderOptions};
