//! A row on its way to the merged run.

use super::files::Renames;
use crate::json::number;
use crate::record::ItemValue;
use crate::rewrite::{Fate, Item, put_row};
use crate::wire::Malformed;

/// What changes in the rows of a segment.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) offset: i64,
    pub(super) runtime_offset: f64,
    pub(super) renames: &'a Renames,
}

impl Change<'_> {
    /// Whether a row that states its step stays as it is.
    pub(super) fn is_none(&self) -> bool {
        self.offset == 0 && self.runtime_offset == 0.0 && self.renames.is_empty()
    }

    /// Appends the row `body` to `out`, as the row of `step`; how many files it names by another name.
    pub(super) fn apply(
        &self,
        body: &[u8],
        step: i64,
        out: &mut Vec<u8>,
    ) -> Result<u64, Malformed> {
        let mut renamed = 0;
        put_row(body, Some(step), out, |item, out| {
            if item.is("_runtime") {
                return self.put_runtime(&item, out);
            }
            let fate = self.renames.put_renamed(&item, out)?;
            renamed += u64::from(fate == Fate::Drop);
            Ok::<_, Malformed>(fate)
        })?;
        Ok(renamed)
    }

    /// Seconds stay whole where they were and nothing else is added to them.
    fn put_runtime(&self, item: &Item<'_>, out: &mut Vec<u8>) -> Result<Fate, Malformed> {
        let whole = item.view.value.as_integer();
        let value = match (whole, item.view.value) {
            _ if self.runtime_offset == 0.0 => return Ok(Fate::Keep),
            (Some(value), _) if self.runtime_offset.fract() == 0.0 => {
                ItemValue::Integer(value.saturating_add(self.runtime_offset as i64))
            }
            (Some(value), _) => self.later(value as f64),
            (None, ItemValue::Number(value)) => self.later(value),
            (None, ItemValue::Json(text)) => match number(text) {
                Some(value) => self.later(value.as_f64()),
                None => return Ok(Fate::Keep),
            },
            _ => return Ok(Fate::Keep),
        };
        item.put_with_value(value, out)?;
        Ok(Fate::Drop)
    }

    /// In whole nanoseconds, which is what clients measure.
    fn later(&self, runtime: f64) -> ItemValue<'static> {
        ItemValue::Number(((runtime + self.runtime_offset) * 1e9).round() / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use prost::Message;

    fn row(items: &[(&str, &str)], step: Option<i64>) -> Vec<u8> {
        let item = |(key, json): &(&str, &str)| pb::HistoryItem {
            nested_key: vec![(*key).into()],
            value_json: (*json).into(),
            ..Default::default()
        };
        let item = items.iter().map(item).collect();
        let step = step.map(|num| pb::HistoryStep { num });
        pb::HistoryRecord { item, step, ..Default::default() }.encode_to_vec()
    }

    #[track_caller]
    fn becomes(row_was: &[u8], change: (i64, f64), step: i64, want: &[u8]) {
        let (offset, runtime_offset) = change;
        let renames = Renames::default();
        let change = Change { offset, runtime_offset, renames: &renames };
        let mut out = Vec::new();
        change.apply(row_was, step, &mut out).unwrap();
        let decode = |bytes: &[u8]| pb::HistoryRecord::decode(bytes).unwrap();
        assert_eq!(decode(&out), decode(want));
    }

    #[test]
    fn step_and_runtime_are_shifted_and_all_else_stays() {
        becomes(
            &row(&[("loss", "NaN"), ("_runtime", "1.5"), ("_step", "0")], Some(0)),
            (3, 2.25),
            3,
            &row(&[("loss", "NaN"), ("_runtime", "3.75"), ("_step", "3")], Some(3)),
        );
        becomes(
            &row(&[("_runtime", "2"), ("_step", "5")], None),
            (1, 10.0),
            6,
            &row(&[("_runtime", "12"), ("_step", "6")], None),
        );
    }

    #[test]
    fn a_row_that_states_no_step_states_it_now() {
        becomes(
            &row(&[("a", "1")], None),
            (0, 0.0),
            0,
            &row(&[("a", "1"), ("_step", "0")], Some(0)),
        );
        becomes(
            &row(&[("a", "1")], None),
            (4, 0.0),
            9,
            &row(&[("a", "1"), ("_step", "9")], Some(9)),
        );
    }
}
