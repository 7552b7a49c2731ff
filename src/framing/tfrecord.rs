//! TFRecord: the framing of TensorBoard event files.
//!
//! ```text
//! file   = record*                    (no header, no index, no sync marks, no padding)
//! record = length u64 | masked CRC-32C of the length bytes u32
//!        | payload    | masked CRC-32C of the payload u32          (little-endian)
//! ```
//!
//! The length has a checksum of its own, so a record with damaged data is stepped over exactly; unless
//! another one begins among its bytes, or none where it should end, for then bytes of it are missing. After
//! a damaged length the decoder looks at every byte for a whole record that is sound.

mod search;

use super::{Decoder, Fault, FaultKind, Piece, Step, Tail, TailKind};
use crate::checksum::{Marks, MaskedCrc32c};
use crate::cursor::Cursor;
use search::Search;

/// Bytes in front of a record's payload.
pub const HEADER_LEN: usize = 12;

/// Bytes behind a record's payload.
pub const FOOTER_LEN: usize = 4;

/// Cuts an event file into records.
#[derive(Clone, Debug)]
pub struct TfRecordDecoder {
    offset: u64,
    search: Option<Search>,
    record_limit: u64,
    checksums: bool,
    suspects: bool,
    suspect: Option<Fault>,
    /// The bytes walked in looking for sound records among what damaged or forged ones claim.
    marks: Marks,
}

impl TfRecordDecoder {
    /// A decoder at the start of a file. Records longer than `record_limit` bytes become gaps.
    pub const fn new(record_limit: u64) -> Self {
        Self {
            offset: 0,
            search: None,
            record_limit,
            checksums: true,
            suspects: false,
            suspect: None,
            marks: Marks::new(),
        }
    }

    /// Whether the checksums of the data are verified (they are by default). The checksum of the length
    /// always is: without it there is no telling where the next record starts.
    pub const fn checksums(mut self, verify: bool) -> Self {
        self.checksums = verify;
        self
    }

    /// Whether records whose data does not match its checksum are delivered, and not passed over.
    /// [`Self::suspect`] tells which they are.
    pub const fn suspects(mut self, deliver: bool) -> Self {
        self.suspects = deliver;
        self
    }

    /// What is wrong with the record delivered last, if it does not match its checksum.
    pub const fn suspect(&self) -> Option<Fault> {
        self.suspect
    }

    fn read_record(&mut self, window: &[u8], at_end: bool) -> Step {
        let Some(header) = Header::read(window) else {
            return Step::more(0, HEADER_LEN);
        };
        let computed = header.computed();
        if computed != header.stored {
            let kind = FaultKind::LengthChecksum { stored: header.stored, computed };
            return self.start_search(kind);
        }
        if header.length > self.record_limit {
            let (claimed, limit) = (header.length, self.record_limit);
            return self.start_search(FaultKind::RecordTooLarge { claimed, limit });
        }
        let Some((payload, footer)) = header.body(window) else {
            if let Some(found) = at_end.then(|| self.salvage(window)).flatten() {
                let (claimed, limit) = (header.length, window.len() as u64);
                return self.pass(found, FaultKind::RecordTooLarge { claimed, limit });
            }
            return Step::more(0, header.whole().unwrap_or(usize::MAX));
        };
        let whole = HEADER_LEN + payload.len() + FOOTER_LEN;
        let payload = HEADER_LEN..HEADER_LEN + payload.len();
        let record = self.offset;
        let computed = match (self.checksums, self.marks.cover(record)) {
            (true, false) => MaskedCrc32c::of(window.get(payload.clone()).unwrap_or_default()),
            (true, true) => self.marks.checksum(window, record, payload.clone()),
            (false, _) => footer,
        };
        self.suspect = None;
        if computed != footer {
            let kind = FaultKind::DataChecksum { stored: footer, computed };
            // Whatever else claims these bytes does not have them walked again.
            self.marks.walk(window, record, payload.end);
            if !self.suspects {
                return self.step_over(window, whole, kind, at_end);
            }
            self.suspect = Some(Fault { offset: record, kind });
        }
        self.offset += whole as u64;
        Step::piece(whole, Piece { record, payload, first: true, last: true })
    }
}

impl Decoder for TfRecordDecoder {
    fn step(&mut self, window: &[u8], at_end: bool) -> Step {
        if self.search.is_some() {
            return self.search(window, at_end);
        }
        self.read_record(window, at_end)
    }

    fn position(&self) -> u64 {
        self.offset
    }

    fn tail(&self, window: &[u8]) -> Tail {
        let offset = self.search.map_or(self.offset, |search| search.gap_start);
        let length = self.offset + window.len() as u64 - offset;
        let kind = match (window.len(), self.offset) {
            (0, 0) => TailKind::Empty,
            (0, _) => TailKind::Clean,
            (1..HEADER_LEN, _) => TailKind::RecordHeader,
            _ => TailKind::Payload,
        };
        Tail { offset, length, kind }
    }
}

struct Header {
    length: u64,
    stored: MaskedCrc32c,
}

impl Header {
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let length = cursor.u64_le()?;
        Some(Self { length, stored: MaskedCrc32c(cursor.u32_le()?) })
    }

    #[inline]
    fn computed(&self) -> MaskedCrc32c {
        MaskedCrc32c::of(&self.length.to_le_bytes())
    }

    /// Bytes of the whole record, if they can be counted.
    fn whole(&self) -> Option<usize> {
        usize::try_from(self.length).ok()?.checked_add(HEADER_LEN + FOOTER_LEN)
    }

    /// The payload and the stored checksum behind it, if `bytes` reach that far.
    #[inline]
    fn body<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], MaskedCrc32c)> {
        let whole = bytes.get(..self.whole()?)?;
        let (payload, footer) = whole.get(HEADER_LEN..)?.split_last_chunk::<FOOTER_LEN>()?;
        Some((payload, MaskedCrc32c(u32::from_le_bytes(*footer))))
    }
}

/// Appends one record to `out`.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEADER_LEN + payload.len() + FOOTER_LEN);
    encode_with(out, |out| out.extend_from_slice(payload));
}

/// Appends one record whose payload is what `write` appends, which spares copying it.
///
/// ```
/// use wandb_offline::framing::tfrecord::{encode, encode_with};
///
/// let (mut copied, mut direct) = (Vec::new(), Vec::new());
/// encode(b"payload", &mut copied);
/// encode_with(&mut direct, |out| out.extend_from_slice(b"payload"));
/// assert_eq!(direct, copied);
/// ```
#[inline]
pub fn encode_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    write(out);
    let Some((header, payload)) =
        out.get_mut(start..).and_then(|record| record.split_first_chunk_mut::<HEADER_LEN>())
    else {
        // `write` took bytes away, which is its own doing.
        return;
    };
    let length = (payload.len() as u64).to_le_bytes();
    let (length_field, checksum_field) = header.split_at_mut(length.len());
    length_field.copy_from_slice(&length);
    checksum_field.copy_from_slice(&MaskedCrc32c::of(&length).0.to_le_bytes());
    let checksum = MaskedCrc32c::of(payload);
    out.extend_from_slice(&checksum.0.to_le_bytes());
}
