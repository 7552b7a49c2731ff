//! Writing a file, and getting it onto the disk, while more of it is made.

use std::fs::File;
use std::io::{self, Write};
use std::mem::take;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Writes buffers to a file on a thread of its own, and has the disk take what was written while more is,
/// so that little is left to wait for at the end. A small file costs no thread.
#[derive(Debug)]
pub(crate) struct WriteBehind {
    /// What writes, as long as no thread does.
    sink: Option<Sink>,
    /// Bytes handed over so far.
    taken: usize,
    worker: Option<Worker>,
}

/// The file, and what asks the disk to take it.
#[derive(Debug)]
struct Sink {
    file: File,
    /// Bytes since the disk was last asked.
    written: usize,
    syncer: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

/// The thread that writes, the buffers it is given, and those it gives back.
#[derive(Debug)]
struct Worker {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<(Sink, io::Result<()>)>,
}

impl WriteBehind {
    /// For another handle of the file.
    pub(crate) const fn new(file: File) -> Self {
        Self { sink: Some(Sink { file, written: 0, syncer: None }), taken: 0, worker: None }
    }

    /// Takes the bytes of `buffer` to be written, and leaves an empty buffer. A failure may be one of bytes
    /// that were taken before.
    pub(crate) fn write(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.taken = self.taken.saturating_add(buffer.len());
        if let Some(sink) = self.sink.as_mut().filter(|_| self.taken < WORTH_A_THREAD) {
            let written = sink.write(buffer);
            buffer.clear();
            return written;
        }
        if let Some(sink) = self.sink.take() {
            self.worker = Some(Worker::start(sink)?);
        }
        let Some(worker) = &self.worker else { return Err(gone()) };
        if worker.full.send(take(buffer)).is_err() {
            return self.end_writing().and_then(|()| Err(gone()));
        }
        *buffer = worker.empty.try_recv().unwrap_or_default();
        Ok(())
    }

    /// Waits until all that was taken is written, though not yet on the disk.
    pub(crate) fn end_writing(&mut self) -> io::Result<()> {
        let Some(Worker { full, thread, .. }) = self.worker.take() else { return Ok(()) };
        drop(full);
        let (sink, written) = thread.join().map_err(|_| gone())?;
        self.sink = Some(sink);
        written
    }

    /// Waits for all that is under way. The system tells of a failure once, so it is told here if it was
    /// told there.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let written = self.end_writing();
        let syncer = self.sink.as_mut().and_then(|sink| sink.syncer.take());
        let Some((wake, thread)) = syncer else { return written };
        drop(wake);
        let synced = thread.join().unwrap_or_else(|_| Err(gone()));
        written.and(synced)
    }
}

/// No thread must keep the file open when its directory is removed.
impl Drop for WriteBehind {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len();
        if self.written >= STRETCH {
            self.written = 0;
            if self.syncer.is_none() {
                self.syncer = self.file.try_clone().and_then(start_syncer).ok();
            }
            if let Some((wake, _)) = &self.syncer {
                // One that is still at work takes these along, or the end does.
                let _ = wake.try_send(());
            }
        }
        Ok(())
    }
}

impl Worker {
    fn start(mut sink: Sink) -> io::Result<Self> {
        // One buffer is being filled, one waits, one is being written.
        let (full, to_write) = sync_channel::<Vec<u8>>(1);
        let (written, empty) = sync_channel(2);
        let work = move || {
            for mut buffer in to_write {
                if let Err(error) = sink.write(&buffer) {
                    return (sink, Err(error));
                }
                buffer.clear();
                buffer.shrink_to(KEPT);
                let _ = written.try_send(buffer);
            }
            (sink, Ok(()))
        };
        let thread = Builder::new().name("write".to_owned()).spawn(work)?;
        Ok(Self { full, empty, thread })
    }
}

fn start_syncer(file: File) -> io::Result<(SyncSender<()>, JoinHandle<io::Result<()>>)> {
    let (wake, woken) = sync_channel(1);
    let work = move || woken.iter().try_for_each(|()| file.sync_data());
    Ok((wake, Builder::new().name("write-behind".to_owned()).spawn(work)?))
}

fn gone() -> io::Error {
    io::Error::other("the thread that writes is gone")
}

/// A file of fewer bytes is written where it is made.
const WORTH_A_THREAD: usize = 4 << 20;

/// So much is written between two requests to the disk.
const STRETCH: usize = 16 << 20;

/// A long record must not keep its memory for good.
const KEPT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_file_of_any_size_is_written_whole_and_in_order() {
        let mut written = tempfile::tempfile().unwrap();
        let mut behind = WriteBehind::new(written.try_clone().unwrap());
        let (mut buffer, mut want) = (Vec::new(), Vec::new());
        for round in 0..150u8 {
            buffer.resize(100_000 + usize::from(round), round);
            want.extend_from_slice(&buffer);
            behind.write(&mut buffer).unwrap();
            assert!(buffer.is_empty());
        }
        assert!(behind.worker.is_some());
        behind.end().unwrap();
        let mut got = Vec::new();
        io::Seek::rewind(&mut written).unwrap();
        written.read_to_end(&mut got).unwrap();
        assert!(got == want);
    }

    #[test]
    fn a_failure_on_the_thread_is_told_here() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut behind = WriteBehind::new(File::open(file.path()).unwrap());
        behind.taken = WORTH_A_THREAD;
        let failed = (0..10).find_map(|_| behind.write(&mut vec![0; 10]).err());
        let failed = failed.or_else(|| behind.end().err());
        assert_eq!(failed.map(|error| error.kind()), Some(read_only().kind()));
    }

    fn read_only() -> io::Error {
        let file = tempfile::NamedTempFile::new().unwrap();
        File::open(file.path()).unwrap().write_all(b"x").unwrap_err()
    }
}
