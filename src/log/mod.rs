//! `.wandb` files as sequences of records: read, followed while they grow, and written.

mod reader;
mod writer;

pub use reader::{Reader, ReaderOptions};
pub use writer::LogWriter;
