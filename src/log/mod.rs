//! `.wandb` files as sequences of records: read, followed while they grow, and written.

mod discover;
mod follow;
mod reader;
mod repeated;
mod stretches;
mod writer;

#[cfg(feature = "sync")]
pub(crate) use discover::survey;
pub use discover::{LogFile, find, find_all, locate};
pub(crate) use discover::{SYNCSTATE, locate_only, noted_beside, plain_path, starting_step};
pub use follow::Follower;
pub use reader::{Reader, ReaderOptions};
pub(crate) use repeated::Repeated;
pub(crate) use stretches::{Ends, Stretches};
pub use writer::LogWriter;
