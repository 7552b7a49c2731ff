//! Run logs written offline.

pub mod checksum;
pub mod convert;
mod cursor;
pub mod error;
pub mod event;
pub mod export;
pub mod framing;
pub mod io;
pub mod json;
pub mod limits;
pub mod log;
pub mod proto;
pub mod record;
pub mod run;
pub mod tfevents;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
pub use limits::Limits;
pub use log::Reader;
