//! The rows of a log that is rewritten.

use super::items::{Item, put_item, splice_items};
use super::splice::{Fate, set_bytes, set_uint};
use crate::record::{HistoryView, ItemValue, RecordKind};
use crate::wire::{Fields, Malformed};

/// The steps of the rows of a log, in file order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowSteps {
    last: Option<i64>,
}

impl RowSteps {
    /// The step of the next row: the one it states, else the one behind the highest so far, as the run
    /// model counts.
    pub(crate) fn next(&mut self, stated: Option<i64>) -> i64 {
        let step = stated.unwrap_or_else(|| self.last.map_or(0, |last| last.saturating_add(1)));
        self.last = Some(self.last.map_or(step, |last| last.max(step)));
        step
    }

    /// The highest so far.
    pub(crate) const fn highest(&self) -> Option<i64> {
        self.last
    }
}

/// Appends the row `body` to `out` as the row of `step`, which it then states, its other items as `edit`
/// decides. Without a step it states what it did.
pub(crate) fn put_row<'m, E: From<Malformed>>(
    body: &'m [u8],
    step: Option<i64>,
    out: &mut Vec<u8>,
    mut edit: impl FnMut(Item<'m>, &mut Vec<u8>) -> Result<Fate, E>,
) -> Result<(), E> {
    let Some(step) = step else {
        splice_items(RecordKind::History, body, out, edit)?;
        return Ok(());
    };
    let mut states_step = false;
    let mut items = Vec::with_capacity(body.len() + 16);
    splice_items(RecordKind::History, body, &mut items, |item, out| {
        if item.is("_step") {
            states_step = true;
            return Ok(put_step(&item, step, out)?);
        }
        edit(item, out)
    })?;
    if HistoryView::new(body).step_field()?.is_none() && states_step {
        out.extend_from_slice(&items);
        return Ok(());
    }
    if !states_step {
        put_item(ITEM, ["_step"], &step.to_string(), &mut items);
    }
    let mut message = Vec::new();
    set_uint(step_message(body), NUM, (step != 0).then_some(step as u64), &mut message)?;
    set_bytes(&items, STEP, Some(&message), out)?;
    Ok(())
}

/// Appends an item `_step` with another step.
pub(crate) fn put_step(item: &Item<'_>, step: i64, out: &mut Vec<u8>) -> Result<Fate, Malformed> {
    if item.view.value.as_integer() == Some(step) {
        return Ok(Fate::Keep);
    }
    item.put_with_value(ItemValue::Integer(step), out)?;
    Ok(Fate::Drop)
}

/// The row's step as a message, for what it may hold beside the number.
fn step_message(body: &[u8]) -> &[u8] {
    let steps = Fields::new(body).flatten().filter(|field| field.number == STEP);
    steps.last().and_then(|field| field.value.bytes()).unwrap_or_default()
}

const ITEM: u32 = 1;
const STEP: u32 = 2;
const NUM: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_are_not_stated_are_counted_on_from_the_highest() {
        let mut steps = RowSteps::default();
        let stated = [None, None, Some(7), Some(3), None];
        assert_eq!(stated.map(|stated| steps.next(stated)), [0, 1, 7, 3, 8]);
    }
}
