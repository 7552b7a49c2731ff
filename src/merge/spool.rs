//! Payloads that are wanted later, in a temporary file.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A temporary file of payloads.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
    directory: PathBuf,
    length: u64,
    payload: Vec<u8>,
}

/// Where a payload is in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    at: u64,
    length: usize,
}

impl Spool {
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(directory)
            .map_err(|error| Error::io("write a temporary file in", directory, error))?;
        let (file, directory) = (BufWriter::new(file), directory.to_owned());
        Ok(Self { file, directory, length: 0, payload: Vec::new() })
    }

    pub(super) fn add(&mut self, payload: &[u8]) -> Result<Stored> {
        self.file
            .write_all(payload)
            .map_err(|error| Error::io("write a temporary file in", &self.directory, error))?;
        let stored = Stored { at: self.length, length: payload.len() };
        self.length += payload.len() as u64;
        Ok(stored)
    }

    pub(super) fn get(&mut self, Stored { at, length }: Stored) -> Result<&[u8]> {
        self.payload.resize(length, 0);
        // What is still to be written goes before that.
        let found = self.file.seek(SeekFrom::Start(at));
        found
            .and_then(|_| self.file.get_mut().read_exact(&mut self.payload))
            .map_err(|error| Error::io("read a temporary file in", &self.directory, error))?;
        Ok(&self.payload)
    }
}
