//! Drivers: they fetch bytes and hand them to a [`Decoder`](crate::framing::Decoder), or take encoded
//! bytes and hand them to a sink, and know nothing of any format.

mod digest;
mod framed;
mod growing;
mod host;
mod identity;
mod inflate;
mod output;
mod side_by_side;
mod small;
mod source;
mod staged;
mod unpacked;
#[cfg(feature = "zstd")]
mod unzstd;
mod within;
mod write_behind;

#[cfg(feature = "sync")]
pub(crate) use digest::copy_digested;
pub(crate) use digest::{hex, sha256};
pub(crate) use framed::InContext;
pub use framed::{Framed, GapReport};
pub(crate) use growing::Growing;
pub use growing::{End, News, Replaced};
pub(crate) use host::host_name;
pub(crate) use identity::identity;
pub(crate) use output::Output;
pub use side_by_side::side_by_side;
pub(crate) use small::read_small;
pub(crate) use source::skip;
pub use source::{SliceSource, Source, SourceEnd, StreamSource};
pub(crate) use staged::{StagedDir, StagedFile, UnnamedDir, refuse_existing, sync_dir};
#[cfg(feature = "sync")]
pub(crate) use staged::{parent, temporary_in};
pub use unpacked::Unpacked;
pub(crate) use unpacked::{Compression, Sniff};
pub(crate) use within::{Unreachable, Within};
