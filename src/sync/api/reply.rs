//! What every answer has in common: data, complaints, a status.

use super::Answer;
use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// The `data` of a GraphQL answer.
///
/// The error is a text for people: what the server said, or why its answer makes no sense. A server that
/// answers 200 may still have refused.
pub(crate) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    let reply: Result<Reply<T>, _> = serde_json::from_slice(&answer.body);
    if !answer.is_success() {
        let said = serde_json::from_slice::<Reply<IgnoredAny>>(&answer.body);
        let said = said.ok().and_then(|reply| reply.complaints());
        return Err(match said {
            Some(said) => format!("the server answered {}: {said}", answer.status),
            None if is_elsewhere(answer.status) => {
                format!("status {}; {}", answer.status, foreign(answer))
            }
            None => format!("the server answered {}{}", answer.status, begins(": ", answer)),
        });
    }
    let reply =
        reply.map_err(|error| match serde_json::from_slice::<IgnoredAny>(&answer.body) {
            Ok(_) => format!("the server's answer makes no sense: {error}"),
            Err(_) => foreign(answer),
        })?;
    if let Some(said) = reply.complaints() {
        return Err(format!("the server refused: {said}"));
    }
    reply.data.ok_or_else(|| "the server's answer has no data".to_owned())
}

/// Whether lines were taken. The official client goes by the status alone; but a proxy's page that comes with
/// 200 is no server's word for anything, and what it swallowed must be sent again.
pub(crate) fn taken(answer: &Answer) -> Result<(), String> {
    if !answer.is_success() {
        return read::<IgnoredAny>(answer).map(drop);
    }
    if answer.body.trim_ascii().is_empty() {
        return Ok(());
    }
    let reply = object(answer).ok_or_else(|| foreign(answer))?;
    reply.complaints().map_or(Ok(()), |said| Err(format!("the server refused: {said}")))
}

/// Whether this is what a server of this protocol answers, be it a refusal, and not somebody else's page.
pub(crate) fn is_reply(answer: &Answer) -> bool {
    object(answer).is_some_and(|reply| reply.data.is_some() || reply.complaints().is_some())
}

fn object(answer: &Answer) -> Option<Reply<IgnoredAny>> {
    // A list would be read as the members of an object, in order.
    let is_object = answer.body.trim_ascii_start().starts_with(b"{");
    serde_json::from_slice(&answer.body).ok().filter(|_| is_object)
}

/// Whether a status says that what was asked for is somewhere else, if it comes without a reason.
const fn is_elsewhere(status: u16) -> bool {
    matches!(status, 300..=399 | 404 | 405 | 501)
}

/// What is said of an answer that no W&B server gives.
fn foreign(answer: &Answer) -> String {
    format!(
        "the answer is not a W&B server's; is there a proxy in between, or is WANDB_BASE_URL another server's?{}",
        begins(" It begins: ", answer)
    )
}

/// How an answer begins, if there is anything in it.
fn begins(before: &str, answer: &Answer) -> String {
    let text = shorten(&String::from_utf8_lossy(&answer.body));
    if text.is_empty() { text } else { format!("{before}{text}") }
}

/// The beginning of a text that came from the server.
fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_SHOWN) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

const LONGEST_SHOWN: usize = 300;

#[derive(Deserialize)]
struct Reply<T> {
    #[serde(default = "none")]
    data: Option<T>,
    #[serde(default)]
    errors: Option<Complaints>,
}

/// What a server complains of, the first few of it: there may be as many as it likes.
#[derive(Default)]
struct Complaints(Vec<String>);

impl<'de> Deserialize<'de> for Complaints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de> Visitor<'de> for Complaints {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of errors")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut errors: A) -> Result<Self, A::Error> {
        while let Some(error) = errors.next_element::<Complaint>()? {
            if self.0.len() < COMPLAINTS {
                self.0.push(error.message.unwrap_or_else(|| "<no message>".to_owned()));
            }
        }
        Ok(self)
    }
}

/// Complaints that are told.
const COMPLAINTS: usize = 8;

const fn none<T>() -> Option<T> {
    None
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    message: Option<String>,
}

impl<T> Reply<T> {
    fn complaints(&self) -> Option<String> {
        let Complaints(texts) = self.errors.as_ref()?;
        (!texts.is_empty()).then(|| shorten(&texts.join("; ")))
    }
}
