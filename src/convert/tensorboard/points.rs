//! Points on their way from files to rows: collected, sorted, and spilled when they are too many.

use super::scratch::Scratch;
use super::sorted::Sorted;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::event::ScalarValue;
use std::fs::File;
use std::io::Write;

/// A value of a series at a step, or the mark of a restart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub step: i64,
    /// Where it stands in the log: the higher, the later.
    pub seq: u64,
    pub wall_time: f64,
    /// The series; for [`Kind::PurgeGroup`] the group of series.
    pub series: u32,
    pub kind: Kind,
    /// Whether its record does not match its checksum.
    pub suspect: bool,
    pub bits: u64,
}

/// What a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    F32,
    F64,
    I64,
    U64,
    Bool,
    /// Removes the earlier points of its series at its step and later.
    PurgeSeries,
    /// Does so for all series of its group.
    PurgeGroup,
    /// A value that is no single number; the bits say where it stands.
    Payload,
}

impl Point {
    pub(super) fn new(
        step: i64,
        seq: u64,
        wall_time: f64,
        series: u32,
        value: ScalarValue,
    ) -> Self {
        let (kind, bits) = match value {
            ScalarValue::F32(value) => (Kind::F32, u64::from(value.to_bits())),
            ScalarValue::F64(value) => (Kind::F64, value.to_bits()),
            ScalarValue::I64(value) => (Kind::I64, value as u64),
            ScalarValue::U64(value) => (Kind::U64, value),
            ScalarValue::Bool(value) => (Kind::Bool, u64::from(value)),
        };
        Self { step, seq, wall_time, series, kind, suspect: false, bits }
    }

    /// A value to be read again.
    pub(super) const fn payload(step: i64, seq: u64, wall_time: f64, series: u32, at: u64) -> Self {
        Self { step, seq, wall_time, series, kind: Kind::Payload, suspect: false, bits: at }
    }

    pub(super) const fn purge(step: i64, seq: u64, series: u32, kind: Kind) -> Self {
        Self { step, seq, wall_time: 0.0, series, kind, suspect: false, bits: 0 }
    }

    /// The order of the rows. A purge comes before all values of its step, so that one who walks up the
    /// steps knows of it in time.
    pub(super) const fn order(&self) -> (i64, bool, u64) {
        (self.step, !self.is_purge(), self.seq)
    }

    pub(super) const fn is_purge(&self) -> bool {
        matches!(self.kind, Kind::PurgeSeries | Kind::PurgeGroup)
    }

    /// The number, if it is one.
    pub(super) const fn value(&self) -> Option<ScalarValue> {
        Some(match self.kind {
            Kind::F32 => ScalarValue::F32(f32::from_bits(self.bits as u32)),
            Kind::F64 => ScalarValue::F64(f64::from_bits(self.bits)),
            Kind::I64 => ScalarValue::I64(self.bits as i64),
            Kind::U64 => ScalarValue::U64(self.bits),
            Kind::Bool => ScalarValue::Bool(self.bits != 0),
            Kind::PurgeSeries | Kind::PurgeGroup | Kind::Payload => return None,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.step.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.wall_time.to_bits().to_le_bytes());
        out.extend_from_slice(&self.bits.to_le_bytes());
        out.extend_from_slice(&self.series.to_le_bytes());
        out.push(self.kind as u8 | if self.suspect { SUSPECT } else { 0 });
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let (step, seq) = (cursor.u64_le()? as i64, cursor.u64_le()?);
        let wall_time = f64::from_bits(cursor.u64_le()?);
        let (bits, series, kind) = (cursor.u64_le()?, cursor.u32_le()?, cursor.u8()?);
        Some(Self {
            step,
            seq,
            wall_time,
            bits,
            series,
            suspect: kind & SUSPECT != 0,
            kind: match kind & !SUSPECT {
                0 => Kind::F32,
                1 => Kind::F64,
                2 => Kind::I64,
                3 => Kind::U64,
                4 => Kind::Bool,
                5 => Kind::PurgeSeries,
                6 => Kind::PurgeGroup,
                _ => Kind::Payload,
            },
        })
    }

    /// Bytes of a point in a file.
    pub(super) const LEN: usize = 37;
}

/// Takes points in the order of the log and gives them back in the order of the rows.
pub(super) struct PointStore {
    chunk: Vec<Point>,
    most: usize,
    memory: usize,
    scratch: Scratch,
    spill: Option<Spill>,
}

struct Spill {
    file: File,
    /// Where each chunk ends.
    ends: Vec<u64>,
    buffer: Vec<u8>,
}

impl PointStore {
    /// A store that keeps about `memory` bytes of points, and more in a scratch file.
    pub(super) const fn new(memory: usize, scratch: Scratch) -> Self {
        let most = memory / size_of::<Point>();
        let most = if most < LEAST_CHUNK { LEAST_CHUNK } else { most };
        Self { chunk: Vec::new(), most, memory, scratch, spill: None }
    }

    #[inline]
    pub(super) fn push(&mut self, point: Point) -> Result<()> {
        if self.chunk.len() >= self.most {
            self.spill()?;
        }
        self.chunk.push(point);
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        self.chunk.sort_by_key(Point::order);
        let failed = |error| Error::io("write a temporary file in", &self.scratch.directory, error);
        let spill = match &mut self.spill {
            Some(spill) => spill,
            None => self.spill.insert(Spill {
                file: self.scratch.file()?,
                ends: Vec::new(),
                buffer: Vec::with_capacity(WRITE_LEN + Point::LEN),
            }),
        };
        let start = spill.ends.last().copied().unwrap_or(0);
        for point in &self.chunk {
            point.write(&mut spill.buffer);
            if spill.buffer.len() >= WRITE_LEN {
                spill.file.write_all(&spill.buffer).map_err(failed)?;
                spill.buffer.clear();
            }
        }
        spill.file.write_all(&spill.buffer).map_err(failed)?;
        spill.buffer.clear();
        spill.ends.push(start + (self.chunk.len() * Point::LEN) as u64);
        self.chunk.clear();
        Ok(())
    }

    /// All points, sorted.
    pub(super) fn finish(mut self) -> Result<Sorted> {
        if self.spill.is_some() && !self.chunk.is_empty() {
            self.spill()?;
        }
        Ok(match self.spill {
            Some(spill) => {
                let directory = self.scratch.directory;
                Sorted::in_file(spill.file, spill.ends, self.memory, directory)
            }
            None => {
                self.chunk.sort_by_key(Point::order);
                Sorted::in_memory(self.chunk)
            }
        })
    }
}

/// Set in the byte of the kind.
const SUSPECT: u8 = 0x80;

/// Points of a chunk, however small the memory.
const LEAST_CHUNK: usize = 1024;

const WRITE_LEN: usize = 64 << 10;
