//! From other formats to offline runs.

pub mod tensorboard;
