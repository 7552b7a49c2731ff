//! The summary: what the summary records of a log come to.
//!
//! An update sets the value at a path and takes the place of anything above or below it; a null, or a
//! removal, takes the value away. An object that arrives as one value is one value: setting something
//! inside it later replaces it whole, as W&B's own client does.

use super::leaves::Leaves;
use crate::json::Value;
use crate::wire::{Field, Fields, Malformed};

#[derive(Clone, Debug)]
pub(super) struct Summary {
    leaves: Leaves,
    records: u64,
}

impl Summary {
    /// A summary of at most so many keys.
    pub(super) fn at_most(keys: usize) -> Self {
        Self { leaves: Leaves::untyped().at_most(keys), records: 0 }
    }

    /// Whether there are as many keys as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.leaves.is_full()
    }

    /// Applies a `SummaryRecord`: all updates, then all removals. One that is malformed changes nothing.
    pub(super) fn apply(&mut self, message: &[u8]) -> Result<(), Malformed> {
        self.leaves.clear_staged();
        let mut fields = Fields::new(message);
        loop {
            let at = fields.consumed();
            let Some(field) = fields.next() else { break };
            let Field { number, value } = field?;
            let staged = match number {
                UPDATE => value
                    .bytes()
                    .and_then(|item| self.leaves.stage(item, fields.consumed()))
                    .map(drop),
                REMOVE => value.bytes().and_then(|item| self.leaves.stage_removal(item)),
                _ => Some(()),
            };
            staged.ok_or(Malformed { at })?;
        }
        self.leaves.commit(message, true, |_, _| ());
        self.records += 1;
        Ok(())
    }

    /// How many summary records there were.
    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// The whole summary, `_wandb` included.
    pub(super) fn tree(&self, depth: usize) -> Value {
        self.leaves.tree(depth)
    }
}

const UPDATE: u32 = 1;
const REMOVE: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use prost::Message;

    /// Applies changes, one record each: "a.b=1" sets, "key:a=1" sets by the other key field, "-a.b" removes.
    fn summary(changes: &[&str]) -> String {
        let mut summary = Summary::at_most(usize::MAX);
        for change in changes {
            let mut record = pb::SummaryRecord::default();
            let nested = |path: &str| path.split('.').map(Into::into).collect();
            if let Some(path) = change.strip_prefix('-') {
                record
                    .remove
                    .push(pb::SummaryItem { nested_key: nested(path), ..Default::default() });
            } else if let Some((path, json)) = change.split_once('=') {
                let mut item = pb::SummaryItem { value_json: json.into(), ..Default::default() };
                match path.strip_prefix("key:") {
                    Some(key) => item.key = key.into(),
                    None => item.nested_key = nested(path),
                }
                record.update.push(item);
            }
            summary.apply(&record.encode_to_vec()).unwrap();
        }
        summary.tree(128).to_string()
    }

    #[test]
    fn the_last_value_stands_in_whichever_form_its_key_came() {
        assert_eq!(summary(&["a=1", "key:a=2", "b=3"]), r#"{"a":2,"b":3}"#);
    }

    #[test]
    fn a_value_takes_the_place_of_what_is_above_and_below() {
        assert_eq!(summary(&[r#"n={"x":{"y":1}}"#, "n.x.z=2"]), r#"{"n":{"x":{"z":2}}}"#);
        assert_eq!(summary(&["a.b=1", "a.c=2", "a=3"]), r#"{"a":3}"#);
        assert_eq!(summary(&["a=3", "a.b=1", "a.c=2"]), r#"{"a":{"b":1,"c":2}}"#);
        assert_eq!(summary(&["a.b.c=1", "a=2", "a.b.d=3"]), r#"{"a":{"b":{"d":3}}}"#);
    }

    #[test]
    fn nulls_and_removals_take_values_away() {
        assert_eq!(summary(&["a=1", "a=null", "b=null"]), "{}");
        assert_eq!(summary(&["a.b=1", "a.c=2", "-a.b"]), r#"{"a":{"c":2}}"#);
        assert_eq!(summary(&["a.b=1", "a.c=2", "-a", "a.d=3"]), r#"{"a":{"d":3}}"#);
        assert_eq!(summary(&[r#"a={"b":1}"#, "-a.b"]), r#"{"a":{"b":1}}"#, "a value is whole");
        assert_eq!(summary(&["a=1", "a.b=2", "-a.b"]), "{}", "what was replaced stays away");
    }

    #[test]
    fn a_key_updated_and_removed_in_one_record_is_removed() {
        let item =
            pb::SummaryItem { key: "a".into(), value_json: "1".into(), ..Default::default() };
        let record = pb::SummaryRecord {
            update: vec![item.clone()],
            remove: vec![item],
            ..Default::default()
        };
        let mut summary = Summary::at_most(usize::MAX);
        summary.apply(&record.encode_to_vec()).unwrap();
        assert_eq!(summary.tree(128), Value::object());
    }

    #[test]
    fn a_malformed_record_changes_nothing() {
        let mut summary = Summary::at_most(usize::MAX);
        let item =
            pb::SummaryItem { key: "a".into(), value_json: "1".into(), ..Default::default() };
        let record = pb::SummaryRecord { update: vec![item], ..Default::default() };
        let mut bytes = record.encode_to_vec();
        bytes.extend_from_slice(&[0x0a, 2, 0x0a, 9]);
        assert_eq!(summary.apply(&bytes), Err(Malformed { at: bytes.len() - 4 }));
        assert_eq!(summary.tree(128), Value::object());
    }

    #[test]
    fn texts_that_are_not_json_are_kept_as_text() {
        assert_eq!(summary(&["a={bad", "b=1"]), r#"{"a":"{bad","b":1}"#);
    }
}
