//! Drivers: they fetch bytes and hand them to a [`Decoder`](crate::framing::Decoder), or take encoded
//! bytes and hand them to a sink, and know nothing of any format.

mod framed;
mod growing;
mod inflate;
mod output;
mod small;
mod source;
mod staged;
mod unpacked;
#[cfg(feature = "zstd")]
mod unzstd;
mod within;

pub use framed::{Framed, GapReport};
pub(crate) use growing::Growing;
pub use growing::{End, News, Replaced};
pub(crate) use output::Output;
pub(crate) use small::read_small;
pub(crate) use source::skip;
pub use source::{SliceSource, Source, SourceEnd, StreamSource};
#[cfg(feature = "sync")]
pub(crate) use staged::temporary_in;
pub(crate) use staged::{StagedDir, StagedFile, UnnamedDir, refuse_existing, sync_dir};
pub use unpacked::Unpacked;
pub(crate) use unpacked::{Compression, Sniff};
pub(crate) use within::{Unreachable, Within};
