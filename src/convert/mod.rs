//! From other formats to offline runs, and back.

pub mod tensorboard;
pub mod wandb;
