//! Sends requests with patience, within what all runs share.

use super::api::{Answer, Body, Request, Target, taken};
use super::budget::Pauses;
use super::event::Event;
use super::options::Stop;
use super::retry::Next;
use super::server::{Server, origin};
use super::transport::Transport;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Sends requests for all runs of a sync.
pub(super) struct Sender<'a> {
    transport: &'a dyn Transport,
    server: &'a Server,
    stop: &'a Stop,
    start: Instant,
    pauses: Mutex<Pauses>,
    under_way: Mutex<usize>,
    freed: Condvar,
    /// Is told of each failure that is waited out.
    observe: &'a (dyn Fn(Event<'_>) + Sync),
}

impl<'a> Sender<'a> {
    pub(super) fn new(
        transport: &'a dyn Transport,
        server: &'a Server,
        stop: &'a Stop,
        observe: &'a (dyn Fn(Event<'_>) + Sync),
    ) -> Self {
        Self {
            transport,
            server,
            stop,
            start: Instant::now(),
            pauses: Mutex::default(),
            under_way: Mutex::default(),
            freed: Condvar::new(),
            observe,
        }
    }

    /// How long this sync has been going on.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Sends a request for a log until there is an answer that counts.
    pub(super) fn send(&self, log: &Path, request: &Request) -> Result<Answer, String> {
        let host = match &request.target {
            Target::Server(_) => &self.server.base,
            Target::Signed(url) => origin(url),
        };
        let (mut tried, mut repeated) = (0, false);
        loop {
            self.rest(self.lock(&self.pauses).wait(self.now()))?;
            check(&request.body)?;
            let result = {
                let _place = self.place();
                self.transport.send(request)
            };
            if let Some(text) = self.transport.take_remark() {
                (self.observe)(Event::Remark { text: &text });
            }
            check(&request.body)?;
            tried += 1;
            if let Ok(answer) = &result {
                self.lock(&self.pauses).note(self.now(), answer);
            }
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            let patience = self.server.patience;
            let next = patience.next(request.kind, &result, tried, chance(), seconds.cast_signed());
            let Next::Again { after, asked } = next else {
                let answer = result.map_err(|error| match tried {
                    1 => format!("{host}: {error}"),
                    _ => format!("{host}: {error}, {tried} times; sync again when it is there"),
                })?;
                return self.let_in(request, Answer { repeated, ..answer });
            };
            repeated |= result.as_ref().map_or(true, |answer| answer.status >= 500);
            let why = result.map_or_else(
                |error| error.to_string(),
                |answer| format!("status {}", answer.status),
            );
            let what = request.kind.name();
            (self.observe)(Event::Waiting { log, host, what, why: &why, time: after });
            if asked {
                self.lock(&self.pauses).pause(self.now(), after);
            }
            self.rest(after)?;
        }
    }

    /// An answer, unless it says that the key is not taken: then whose key that is.
    fn let_in(&self, request: &Request, answer: Answer) -> Result<Answer, String> {
        if answer.status != 401 || !matches!(request.target, Target::Server(_)) {
            return Ok(answer);
        }
        let said = taken(&answer).err().unwrap_or_default();
        let Server { source, base, .. } = self.server;
        Err(format!("{said}; the key is from {source}, and {base} does not take it"))
    }

    /// Waits, unless stopped.
    fn rest(&self, mut time: Duration) -> Result<(), String> {
        loop {
            if self.stop.is_stopped() {
                return Err("interrupted; sync again to go on".to_owned());
            }
            if time.is_zero() {
                return Ok(());
            }
            let slice = time.min(SLICE);
            std::thread::sleep(slice);
            time -= slice;
        }
    }

    fn place(&self) -> Place<'_> {
        let mut under_way = self.lock(&self.under_way);
        while *under_way >= REQUESTS_AT_ONCE {
            under_way = self.freed.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
        *under_way += 1;
        Place { under_way: &self.under_way, freed: &self.freed }
    }

    fn lock<'b, T>(&self, mutex: &'b Mutex<T>) -> std::sync::MutexGuard<'b, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the requests under way.
struct Place<'a> {
    under_way: &'a Mutex<usize>,
    freed: &'a Condvar,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.freed.notify_one();
    }
}

/// Sees whether a file still holds what it held when it was measured. What is sent of one that was changed in
/// between is neither the old file nor the new one.
fn check(body: &Body) -> Result<(), String> {
    let Body::File { path, offset, length, modified } = body else { return Ok(()) };
    // What leads to the file was resolved, so a link is not what was there.
    let found =
        std::fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let same = modified.is_none_or(|then| found.modified().ok() == Some(then));
    match found.is_file() && found.len() >= offset.saturating_add(*length) && same {
        true => Ok(()),
        false => Err(format!("{} was changed while it was uploaded; sync again", path.display())),
    }
}

/// A number between 0 and 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without chance all wait equally long, which is no harm to one program.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

const REQUESTS_AT_ONCE: usize = 128;

/// How soon an interrupt is obeyed.
const SLICE: Duration = Duration::from_millis(100);
