//! What becomes of the output when the world fails: writes that fail at every call, a full disk at every
//! size, programs that are killed at every system call, and files that change under their readers.
//!
//! What holds each time: the named output is not there or is whole, the input is what it was, nothing that
//! was there is touched, and the same command succeeds afterwards.

mod sinks;

#[cfg(all(feature = "cli", target_os = "linux"))]
mod calls;
#[cfg(all(feature = "cli", unix))]
mod changing;
#[cfg(all(feature = "cli", unix))]
mod commands;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod disks;
#[cfg(all(feature = "cli", unix))]
mod killed;
