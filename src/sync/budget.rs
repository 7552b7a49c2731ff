//! What all runs of a sync share: how many requests are under way, and when the server wants a pause.
//!
//! A server counts requests by key, not by run. So when it asks one run to wait, all wait.

use super::api::Answer;
use std::time::Duration;

/// The pauses a server has asked for. Pure: time comes in as an argument, counted from any start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pauses {
    until: Duration,
}

impl Pauses {
    /// How long to wait before the next request.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.until.saturating_sub(now)
    }

    /// A server asked for a pause.
    pub(super) fn pause(&mut self, now: Duration, length: Duration) {
        self.until = self.until.max(now + length.min(LONGEST));
    }

    /// Takes note of what an answer says of the server's budget: nothing left until it is filled again.
    pub(super) fn note(&mut self, now: Duration, answer: &Answer) {
        let number = |name| answer.header(name)?.trim().parse::<f64>().ok();
        if number("ratelimit-remaining").is_some_and(|left| left < 1.0)
            && let Some(reset) = number("ratelimit-reset")
            && let Ok(reset) = Duration::try_from_secs_f64(reset)
        {
            self.pause(now, reset);
        }
    }
}

/// A header must not stop a sync for longer.
const LONGEST: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_counts() {
        let second = Duration::from_secs;
        let mut pauses = Pauses::default();
        pauses.pause(second(10), second(5));
        pauses.pause(second(11), second(1));
        assert_eq!(pauses.wait(second(12)), second(3));
        assert_eq!(pauses.wait(second(20)), Duration::ZERO);
        let mut answer = Answer::new(200, Vec::new());
        answer.headers = vec![("ratelimit-remaining".into(), "0".into())];
        pauses.note(second(20), &answer);
        assert_eq!(pauses.wait(second(20)), Duration::ZERO, "until when is not said");
        answer.headers.push(("ratelimit-reset".into(), "2.5".into()));
        pauses.note(second(20), &answer);
        assert_eq!(pauses.wait(second(20)), Duration::from_millis(2500));
        for (reset, wait) in [("1e300", 2.5), ("nan", 2.5), ("-1", 2.5), ("99999", 900.0)] {
            answer.headers[1].1 = reset.into();
            pauses.note(second(20), &answer);
            assert_eq!(pauses.wait(second(20)).as_secs_f64(), wait, "{reset}");
        }
    }
}
