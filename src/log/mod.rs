//! `.wandb` files as sequences of records: read, followed while they grow, and written.

mod discover;
mod follow;
mod reader;
mod writer;

pub(crate) use discover::plain_path;
pub use discover::{LogFile, find, find_all, locate};
pub use follow::Follower;
pub use reader::{Reader, ReaderOptions};
pub use writer::LogWriter;
