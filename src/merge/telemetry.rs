//! What the clients of several segments say of themselves, as one record.
//!
//! Each telemetry record repeats what was said before and adds to it; W&B's own reader merges them as protobuf
//! does. Of several segments that gives the features of all, and the versions of the newest.

use crate::proto::descriptors::WANDB_INTERNAL_TELEMETRY_RECORD;
use crate::proto::schema::{Kind, MessageType};
use crate::rewrite::put_message;
use crate::wire::{Fields, Malformed, WireValue};
use std::collections::BTreeMap;

/// A message that others were merged into, also what this crate does not know of them.
#[derive(Debug, Default)]
pub(super) struct Telemetry {
    /// Whole fields, by number.
    values: BTreeMap<u32, Vec<u8>>,
    messages: BTreeMap<u32, Self>,
}

impl Telemetry {
    /// Merges the body of a later telemetry record.
    pub(super) fn add(&mut self, body: &[u8]) -> Result<(), Malformed> {
        self.merge(body, &WANDB_INTERNAL_TELEMETRY_RECORD)
    }

    fn merge(&mut self, body: &[u8], of: &MessageType) -> Result<(), Malformed> {
        let mut fields = Fields::new(body);
        loop {
            let from = fields.consumed();
            let Some(field) = fields.next() else { return Ok(()) };
            let field = field?;
            match (of.field(field.number).map(|known| known.kind), field.value) {
                (Some(Kind::Message(inner)), WireValue::Bytes(body)) => {
                    self.messages.entry(field.number).or_default().merge(body, inner)?;
                }
                _ => {
                    let whole = body.get(from..fields.consumed()).unwrap_or_default();
                    self.values.insert(field.number, whole.to_vec());
                }
            }
        }
    }

    /// Appends the message.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.values.values().for_each(|field| out.extend_from_slice(field));
        let mut messages = self.messages.iter();
        messages.try_for_each(|(number, inner)| put_message(out, *number, |out| inner.put(out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal::{Feature, TelemetryRecord};
    use crate::wire::put_uint;
    use prost::Message;

    #[test]
    fn later_values_win_and_flags_add_up() {
        let feature = |watch, finish| Some(Feature { watch, finish, ..Default::default() });
        let record = |version: &str, feature| TelemetryRecord {
            python_version: version.into(),
            feature,
            ..Default::default()
        };
        let mut telemetry = Telemetry::default();
        let old = record("3.10", feature(true, false));
        let mut new = record("3.11", feature(false, true)).encode_to_vec();
        put_uint(&mut new, 9999, 7);
        for body in [old.encode_to_vec(), new.clone(), new] {
            telemetry.add(&body).unwrap();
        }
        let mut merged = Vec::new();
        telemetry.put(&mut merged).unwrap();
        let want = record("3.11", feature(true, true));
        assert_eq!(TelemetryRecord::decode(&*merged).unwrap(), want);
        let unknown = Fields::new(&merged).filter(|field| field.unwrap().number == 9999);
        assert_eq!(unknown.count(), 1, "what is not known is kept, once");
    }
}
