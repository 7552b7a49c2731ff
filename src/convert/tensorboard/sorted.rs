//! Sorted points, walked from the lowest step up: a merge of the chunks they were sorted in.

use super::points::Point;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

/// Points in the order of the rows. Can be walked more than once.
pub(super) enum Sorted {
    Memory(Vec<Point>),
    File(Chunks),
}

/// Chunks of sorted points, one behind the other in a file.
pub(super) struct Chunks {
    file: File,
    ends: Vec<u64>,
    memory: usize,
    directory: PathBuf,
}

impl Sorted {
    pub(super) const fn in_memory(points: Vec<Point>) -> Self {
        Self::Memory(points)
    }

    pub(super) const fn in_file(
        file: File,
        ends: Vec<u64>,
        memory: usize,
        directory: PathBuf,
    ) -> Self {
        Self::File(Chunks { file, ends, memory, directory })
    }

    /// Hands every point to `visit`, in order, up to the first error.
    pub(super) fn walk<E: From<Error>>(
        &self,
        mut visit: impl FnMut(&Point) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Memory(points) => points.iter().try_for_each(visit),
            Self::File(chunks) => {
                let failed =
                    |error| Error::io("read a temporary file in", &chunks.directory, error);
                let mut merge = Merge::new(chunks).map_err(failed)?;
                while let Some(point) = merge.next().map_err(failed)? {
                    visit(&point)?;
                }
                Ok(())
            }
        }
    }
}

/// The order of a point, and the chunk it leads.
type Head = Reverse<((i64, bool, u64), usize)>;

struct Merge<'a> {
    file: &'a File,
    chunks: Vec<Chunk>,
    /// The first points of all chunks but the current one.
    heads: BinaryHeap<Head>,
    current: Option<usize>,
}

/// A chunk that is being read.
struct Chunk {
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    read: usize,
    head: Option<Point>,
}

impl<'a> Merge<'a> {
    fn new(sorted: &'a Chunks) -> io::Result<Self> {
        let share = sorted.memory / sorted.ends.len().max(1) / Point::LEN;
        let buffer = share.clamp(LEAST_POINTS, MOST_POINTS) * Point::LEN;
        let mut merge = Self {
            file: &sorted.file,
            chunks: Vec::new(),
            heads: BinaryHeap::new(),
            current: None,
        };
        let mut at = 0;
        for (i, &end) in sorted.ends.iter().enumerate() {
            let mut chunk = Chunk { at, end, buffer: vec![0; buffer], read: 0, head: None };
            chunk.read = chunk.buffer.len();
            chunk.advance(merge.file)?;
            if let Some(head) = &chunk.head {
                merge.heads.push(Reverse((head.order(), i)));
            }
            merge.chunks.push(chunk);
            at = end;
        }
        merge.current = merge.heads.pop().map(|Reverse((_, chunk))| chunk);
        Ok(merge)
    }

    fn next(&mut self) -> io::Result<Option<Point>> {
        let Some(current) = self.current else { return Ok(None) };
        let Some(chunk) = self.chunks.get_mut(current) else { return Ok(None) };
        let point = chunk.head;
        chunk.advance(self.file)?;
        // Logs go up in steps, so the next point is mostly of the same chunk.
        match (&chunk.head, self.heads.peek()) {
            (Some(head), Some(Reverse((other, _)))) if head.order() > *other => {
                self.heads.push(Reverse((head.order(), current)));
                self.current = self.heads.pop().map(|Reverse((_, chunk))| chunk);
            }
            (Some(_), _) => {}
            (None, _) => self.current = self.heads.pop().map(|Reverse((_, chunk))| chunk),
        }
        Ok(point)
    }
}

impl Chunk {
    fn advance(&mut self, mut file: &File) -> io::Result<()> {
        if self.read == self.buffer.len() {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            self.buffer.truncate(left);
            file.seek(SeekFrom::Start(self.at))?;
            file.read_exact(&mut self.buffer)?;
            self.at += self.buffer.len() as u64;
            self.read = 0;
        }
        let mut cursor = Cursor::new(self.buffer.get(self.read..).unwrap_or_default());
        self.head = Point::read(&mut cursor);
        self.read = self.buffer.len() - cursor.rest().len();
        Ok(())
    }
}

const LEAST_POINTS: usize = 100;
const MOST_POINTS: usize = 4096;
