//! Which failures are tried again, and when. Pure: time and chance come in as arguments.

use super::api::{Answer, RequestKind};
use super::transport::TransportError;
use std::time::Duration;

/// How patient a sync is with a server that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// How often a request is tried again.
    pub retries: u32,
    /// The first wait; each later one is twice as long.
    pub first_wait: Duration,
    /// The longest wait, unless the server asks for a longer one.
    pub longest_wait: Duration,
}

impl Default for Patience {
    /// As the official client: 20 times, 2 to 60 seconds apart.
    fn default() -> Self {
        let (first_wait, longest_wait) = (Duration::from_secs(2), Duration::from_secs(60));
        Self { retries: 20, first_wait, longest_wait }
    }
}

/// What to do with what came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This is the answer, good or bad.
    Take,
    /// Send the request again after so long. Whether the server asked for the pause, so that it holds
    /// for every other request as well.
    Again { after: Duration, asked: bool },
}

impl Patience {
    /// Tries as often, and waits no longer than this in between.
    #[must_use]
    pub fn waiting_at_most(self, longest: Duration) -> Self {
        Self { first_wait: self.first_wait.min(longest), longest_wait: longest, ..self }
    }

    /// What to do after the `tried`-th try (from 1) of a request. `chance` is between 0 and 1; `now` is
    /// in seconds since 1970.
    pub(crate) fn next(
        &self,
        kind: RequestKind,
        result: &Result<Answer, TransportError>,
        tried: u32,
        chance: f64,
        now: i64,
    ) -> Next {
        let (again, asked) = match result {
            Ok(answer) => (is_temporary(kind, answer.status), retry_after(answer, now)),
            Err(error) => (error.temporary, None),
        };
        if !again || tried > self.allowed(kind, result) {
            return Next::Take;
        }
        let after = asked.unwrap_or_else(|| self.wait(tried, chance));
        Next::Again { after: after.min(LONGEST_ASKED), asked: asked.is_some() }
    }

    /// A 409 to an upsert may pass, but may also say that a run of this id was deleted, which does not.
    fn allowed(&self, _: RequestKind, result: &Result<Answer, TransportError>) -> u32 {
        match result {
            Ok(answer) if answer.status == 409 => self.retries.min(CONFLICT_RETRIES),
            _ => self.retries,
        }
    }

    /// Doubling from the first wait on, and up to a quarter more.
    fn wait(&self, tried: u32, chance: f64) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << tried.saturating_sub(1).min(16));
        doubled.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 4.0).min(self.longest_wait)
    }
}

/// Whether a status may go away by itself: too busy, or broken for the moment. A 409 does so only for
/// upserts, where two of them met. A 408 to an upload is a slow line.
fn is_temporary(kind: RequestKind, status: u16) -> bool {
    match status {
        429 => true,
        409 => matches!(kind, RequestKind::GraphQl("UpsertBucket")),
        408 => matches!(kind, RequestKind::Upload),
        501 => false,
        500..=599 => true,
        _ => false,
    }
}

/// The wait a server asks for: seconds, or a date.
fn retry_after(answer: &Answer, now: i64) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Duration::from_secs(u64::try_from(date.timestamp().as_second() - now).unwrap_or(0)))
}

/// No server may stop a sync for longer in one go.
const LONGEST_ASKED: Duration = Duration::from_secs(15 * 60);

const CONFLICT_RETRIES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const UPSERT: RequestKind = RequestKind::GraphQl("UpsertBucket");
    const QUERY: RequestKind = RequestKind::GraphQl("RunResumeStatus");

    fn next(kind: RequestKind, status: u16, tried: u32) -> Next {
        Patience::default().next(kind, &Ok(Answer::new(status, Vec::new())), tried, 0.0, 0)
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for kind in [UPSERT, QUERY, RequestKind::FileStream, RequestKind::Upload] {
            for status in [200, 204, 400, 401, 403, 404, 410, 413, 422, 501] {
                assert_eq!(next(kind, status, 1), Next::Take, "{kind:?} {status}");
            }
            for status in [429, 500, 502, 503, 504] {
                assert_ne!(next(kind, status, 1), Next::Take, "{kind:?} {status}");
            }
        }
        assert_ne!(next(UPSERT, 409, 1), Next::Take);
        assert_eq!(next(UPSERT, 409, 5), Next::Take, "a deleted run stays deleted");
        assert_eq!(next(QUERY, 409, 1), Next::Take);
        assert_ne!(next(RequestKind::Upload, 408, 1), Next::Take);
        assert_eq!(next(RequestKind::FileStream, 408, 1), Next::Take);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let seconds = |tried, chance| Patience::default().wait(tried, chance).as_secs_f64();
        assert_eq!([1, 2, 3, 5, 6, 99].map(|n| seconds(n, 0.0)), [2.0, 4.0, 8.0, 32.0, 60.0, 60.0]);
        assert_eq!(seconds(1, 1.0), 2.5);
        assert_eq!(next(QUERY, 500, 21), Next::Take, "patience ends");
    }

    #[test]
    fn the_server_may_say_when() {
        let mut answer = Answer::new(429, Vec::new());
        let asked = |answer: &Answer, now| {
            Patience::default().next(RequestKind::FileStream, &Ok(answer.clone()), 1, 0.0, now)
        };
        for (text, seconds) in
            [("1.5", 1.5), ("0", 0.0), ("99999", 900.0), ("Thu, 01 Jan 1970 00:01:40 GMT", 60.0)]
        {
            answer.headers = vec![("retry-after".into(), text.into())];
            let after = Duration::from_secs_f64(seconds);
            assert_eq!(asked(&answer, 40), Next::Again { after, asked: true }, "{text}");
        }
        answer.headers = vec![("retry-after".into(), "soon".into())];
        assert!(matches!(asked(&answer, 0), Next::Again { asked: false, .. }));
        answer.headers = vec![("retry-after".into(), "-1".into())];
        assert!(matches!(asked(&answer, 0), Next::Again { asked: false, .. }));
    }
}
