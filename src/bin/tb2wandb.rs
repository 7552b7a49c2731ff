//! `tb2wandb`.
fn main() {}
