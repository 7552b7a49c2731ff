//! From other formats to offline runs, and back.

mod report;
pub mod tensorboard;
pub mod wandb;

pub use report::LeftOut;
