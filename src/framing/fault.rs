//! What can be wrong with framed bytes, and how a file can end.

use crate::checksum::{Crc32, MaskedCrc32c};
use std::fmt;

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Absolute byte offset in the file (in the decompressed stream, for a compressed one).
    pub offset: u64,
    /// What is wrong there.
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind, self.offset)
    }
}

/// The kinds of damage the two framings can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The file does not begin with `:W&B`.
    NotALog {
        /// The first four bytes.
        got: [u8; 4],
    },
    /// The magic number after `:W&B` is not 0xbee1.
    HeaderMagic {
        /// The number found.
        got: u16,
    },
    /// A format version this crate does not know: the writer meant to lock old readers out.
    Version {
        /// The version found; 0 is the only one ever written.
        got: u8,
    },
    /// The 7 bytes that every `.wandb` file starts with are others, for a reader that looks for records
    /// all the same.
    FileHeader {
        /// The first seven bytes.
        got: [u8; 7],
    },
    /// A chunk's checksum does not match its bytes.
    ChunkChecksum {
        /// In the chunk header.
        stored: Crc32,
        /// Of the bytes present.
        computed: Crc32,
    },
    /// A chunk type other than 1, 2, 3, 4.
    ChunkType {
        /// The type found.
        got: u8,
    },
    /// A chunk that claims more bytes than its block, or the file, has left.
    ChunkLength {
        /// Claimed bytes of payload.
        claimed: u16,
        /// Bytes there is room for.
        room: u16,
    },
    /// The last bytes of a block, too few for a chunk, are not zero.
    Padding,
    /// A zeroed chunk header in front of bytes that are not zero, or inside a record.
    Zeroed,
    /// A later piece of a record whose start is not there.
    Orphan,
    /// A record that another one interrupts.
    Unfinished,
    /// A record longer than the limit allows.
    RecordTooLarge {
        /// Bytes claimed, or gathered so far.
        claimed: u64,
        /// The limit in force.
        limit: u64,
    },
    /// The checksum of a TFRecord's length does not match: where the next record starts is unknown.
    LengthChecksum {
        /// In the file.
        stored: MaskedCrc32c,
        /// Of the length bytes.
        computed: MaskedCrc32c,
    },
    /// The checksum of a TFRecord's data does not match; the record can be stepped over exactly.
    DataChecksum {
        /// In the file.
        stored: MaskedCrc32c,
        /// Of the data bytes.
        computed: MaskedCrc32c,
    },
    /// A gzip or zlib stream that cannot be decompressed further.
    Compressed,
}

impl FaultKind {
    /// Whether the file is not a log of this format at all, or of an unknown version.
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::NotALog { .. } | Self::HeaderMagic { .. } | Self::Version { .. })
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotALog { got } => {
                write!(f, "not a W&B log: starts with {}, want \":W&B\"", got.escape_ascii())
            }
            Self::HeaderMagic { got } => write!(f, "header magic {got:#06x}, want 0xbee1"),
            Self::Version { got } => write!(f, "log format version {got}, only 0 is known"),
            Self::FileHeader { got } => {
                write!(f, "file header \"{}\", want \":W&B\\xe1\\xbe\\x00\"", got.escape_ascii())
            }
            Self::ChunkChecksum { stored, computed } => {
                write!(f, "chunk checksum stored {stored}, computed {computed}")
            }
            Self::ChunkType { got } => write!(f, "chunk type {got}, want 1 to 4"),
            Self::ChunkLength { claimed, room } => {
                write!(f, "chunk of {claimed} bytes where {room} have room")
            }
            Self::Padding => write!(f, "block padding is not zero"),
            Self::Zeroed => write!(f, "zeroed bytes where a chunk should be"),
            Self::Orphan => write!(f, "chunk of a record whose start is lost"),
            Self::Unfinished => write!(f, "record interrupted by another one"),
            Self::RecordTooLarge { claimed, limit } => {
                write!(f, "record of {claimed} bytes or more, limit is {limit} bytes")
            }
            Self::LengthChecksum { stored, computed } => {
                write!(f, "length checksum stored {stored}, computed {computed}")
            }
            Self::DataChecksum { stored, computed } => {
                write!(f, "data checksum stored {stored}, computed {computed}")
            }
            Self::Compressed => write!(f, "compressed stream is damaged"),
        }
    }
}

/// Bytes that were passed over because they hold no readable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Absolute offset of the first byte passed over.
    pub offset: u64,
    /// How many bytes were passed over.
    pub length: u64,
    /// Why, and where exactly the damage was seen.
    pub fault: Fault,
}

impl Gap {
    /// Absolute offset of the first byte after the gap.
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}..{} skipped: {}", self.offset, self.end(), self.fault)
    }
}

/// How a stream ends: not an error, for a file may be cut or still growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Absolute offset at which the unfinished part starts, the length of the file if there is none.
    pub offset: u64,
    /// Bytes from there to the end.
    pub length: u64,
    /// What the end cuts through.
    pub kind: TailKind,
}

impl Tail {
    /// Whether the stream ends where a record ends.
    pub const fn is_clean(&self) -> bool {
        matches!(self.kind, TailKind::Clean)
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, length, kind } = self;
        match kind {
            TailKind::Clean => write!(f, "ends cleanly at byte {offset}"),
            TailKind::Empty => write!(f, "empty file"),
            _ => write!(f, "cut inside {kind}: {length} bytes from byte {offset} on"),
        }
    }
}

/// What the end of a stream cuts through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TailKind {
    /// Nothing: the last record is whole.
    Clean,
    /// There is no byte at all.
    Empty,
    /// The 7-byte header of a `.wandb` file.
    FileHeader,
    /// A chunk header of a `.wandb` file, or the length of a TFRecord.
    RecordHeader,
    /// The bytes of a record.
    Payload,
    /// A record between two of its chunks.
    Record,
    /// A gzip or zlib stream.
    Compressed,
}

impl fmt::Display for TailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "nothing",
            Self::Empty => "an empty file",
            Self::FileHeader => "the file header",
            Self::RecordHeader => "a record's header",
            Self::Payload => "a record's bytes",
            Self::Record => "a record of several chunks",
            Self::Compressed => "the compressed stream",
        })
    }
}
