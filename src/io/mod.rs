//! Drivers: they fetch bytes and hand them to a [`Decoder`](crate::framing::Decoder), and know nothing
//! of any format.

mod framed;
mod source;

pub use framed::{Framed, GapReport};
pub use source::{SliceSource, Source, SourceEnd, StreamSource};
