//! Getting a file onto the disk while it is still being written.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Has the disk take what was written to a file while more is written, so that little is left to wait for
/// at the end. A file of less than 32 MiB costs nothing.
#[derive(Debug)]
pub(crate) struct WriteBehind {
    file: Option<File>,
    /// Bytes since the disk was last asked for.
    written: usize,
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl WriteBehind {
    /// For another handle of the file.
    pub(crate) const fn new(file: File) -> Self {
        Self { file: Some(file), written: 0, thread: None }
    }

    /// So many more bytes were handed to the operating system.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written < STRETCH {
            return;
        }
        self.written = 0;
        if let Some(file) = self.file.take() {
            self.thread = start(file).ok();
        }
        if let Some((wake, _)) = &self.thread {
            // One that is still at work takes these along, or the end does.
            let _ = wake.try_send(());
        }
    }

    /// Waits for what is under way. The system tells of a failure once, so it is told here if it was
    /// told there.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let Some((wake, thread)) = self.thread.take() else { return Ok(()) };
        drop(wake);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    }
}

/// The thread must not keep the file open when its directory is removed.
impl Drop for WriteBehind {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn start(file: File) -> io::Result<(SyncSender<()>, JoinHandle<io::Result<()>>)> {
    let (wake, woken) = sync_channel(1);
    let work = move || woken.iter().try_for_each(|()| file.sync_data());
    Ok((wake, Builder::new().name("write-behind".to_owned()).spawn(work)?))
}

/// So much is written between two requests to the disk.
const STRETCH: usize = 32 << 20;
