//! `.wandb` files as sequences of records: read, followed while they grow, and written.

mod discover;
mod reader;
mod writer;

pub use discover::{LogFile, find, find_all, locate};
pub use reader::{Reader, ReaderOptions};
pub use writer::LogWriter;
