//! Changing single fields of a message on the wire.
//!
//! Decoding a message and encoding it again would lose what this crate's schemas do not know. Here every
//! field that is not touched is copied byte for byte, in its place.

use crate::wire::{self, Field, Fields, Malformed};

/// What becomes of a field of a message, or of an item of a list. Complete: what takes a field's place,
/// or stands before it, is simply appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is nothing else to do with a field")]
pub enum Fate {
    /// It is copied as it is.
    Keep,
    /// It is left out.
    Drop,
}

/// Copies `message` to the end of `out`, each field as `edit` decides; whether anything was changed.
///
/// `edit` may append to `out`: in front of a field that is kept, or in the place of one that is dropped.
///
/// ```
/// # fn main() -> Result<(), wandb_offline::wire::Malformed> {
/// use wandb_offline::rewrite::{Fate, splice};
/// use wandb_offline::wire::{Malformed, put_bytes, put_uint};
///
/// let mut run = Vec::new();
/// put_bytes(&mut run, 1, b"run1");
/// put_uint(&mut run, 9999, 7);
/// let mut renamed = Vec::new();
/// splice(&run, &mut renamed, |field, out| {
///     if field.number != 1 {
///         return Ok::<_, Malformed>(Fate::Keep);
///     }
///     put_bytes(out, 1, b"run2");
///     Ok(Fate::Drop)
/// })?;
/// assert_eq!(renamed[..6], *b"\x0a\x04run2");
/// assert_eq!(renamed[6..], run[6..]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the bytes are not a protobuf message, and what `edit` fails with. `out` then holds part of it.
pub fn splice<'m, E: From<Malformed>>(
    message: &'m [u8],
    out: &mut Vec<u8>,
    mut edit: impl FnMut(Field<'m>, &mut Vec<u8>) -> Result<Fate, E>,
) -> Result<bool, E> {
    let mut fields = Fields::new(message);
    let mut changed = false;
    loop {
        let from = fields.consumed();
        let Some(field) = fields.next() else { return Ok(changed) };
        let before = out.len();
        let fate = edit(field?, out)?;
        changed |= out.len() != before || fate == Fate::Drop;
        if fate == Fate::Keep {
            out.extend_from_slice(message.get(from..fields.consumed()).unwrap_or_default());
        }
    }
}

/// As [`splice`], for the message at the end of `path`, field numbers from the outermost on: `[4]` is
/// field 4, `[4, 1]` field 1 of the message in field 4. If a field of the path comes several times, all
/// of them are edited; if it is not there, nothing is.
///
/// # Errors
/// As for [`splice`]; also when a field of the path is no message.
pub fn splice_at<'m, E: From<Malformed>>(
    message: &'m [u8],
    path: &[u32],
    out: &mut Vec<u8>,
    edit: &mut impl FnMut(Field<'m>, &mut Vec<u8>) -> Result<Fate, E>,
) -> Result<bool, E> {
    let Some((&number, rest)) = path.split_first() else { return splice(message, out, edit) };
    let mut changed = false;
    splice(message, out, |field, out| {
        if field.number != number {
            return Ok(Fate::Keep);
        }
        let inner = field.value.bytes().ok_or(Malformed { at: 0 })?;
        changed |= put_message(out, number, |out| splice_at(inner, rest, out, edit))?;
        Ok::<_, E>(Fate::Drop)
    })?;
    Ok(changed)
}

/// Appends a message field, whose body is what `fill` appends.
///
/// # Errors
/// What `fill` fails with.
pub fn put_message<T, E>(
    out: &mut Vec<u8>,
    number: u32,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
) -> Result<T, E> {
    let start = out.len();
    let filled = fill(out)?;
    let length = out.len() - start;
    wire::put_length(out, number, length);
    let header = out.len() - start - length;
    // The key and the length are known last but come first.
    if let Some(field) = out.get_mut(start..) {
        field.rotate_right(header);
    }
    Ok(filled)
}

/// Appends `message` with the string, bytes or message field `number` set, or without it: once, where it
/// first was, else at the end.
///
/// # Errors
/// When the bytes are not a protobuf message.
pub fn set_bytes(
    message: &[u8],
    number: u32,
    value: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    set(
        message,
        number,
        value.map(|value| move |out: &mut Vec<u8>| wire::put_bytes(out, number, value)),
        out,
    )
}

/// Appends `message` with the integer, boolean or enum field `number` set, or without it: once, where it
/// first was, else at the end. Zero is what a field that is not there means.
///
/// # Errors
/// When the bytes are not a protobuf message.
pub fn set_uint(
    message: &[u8],
    number: u32,
    value: Option<u64>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    set(
        message,
        number,
        value.map(|value| move |out: &mut Vec<u8>| wire::put_uint(out, number, value)),
        out,
    )
}

fn set(
    message: &[u8],
    number: u32,
    mut put: Option<impl FnOnce(&mut Vec<u8>)>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    splice(message, out, |field, out| {
        if field.number != number {
            return Ok::<_, Malformed>(Fate::Keep);
        }
        if let Some(put) = put.take() {
            put(out);
        }
        Ok(Fate::Drop)
    })?;
    if let Some(put) = put {
        put(out);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use crate::wire::{put_bytes, put_uint};
    use prost::Message;

    /// A run record with fields of the future, inside and outside.
    fn run() -> Vec<u8> {
        let item =
            pb::ConfigItem { key: "lr".into(), value_json: "1".into(), ..Default::default() };
        let mut config =
            pb::ConfigRecord { update: vec![item], ..Default::default() }.encode_to_vec();
        put_uint(&mut config, 777, 5);
        let mut run = pb::RunRecord { run_id: "a".into(), ..Default::default() }.encode_to_vec();
        put_bytes(&mut run, 4, &config);
        put_bytes(&mut run, 888, b"future");
        run
    }

    #[test]
    fn what_is_kept_is_copied_byte_for_byte() {
        let mut out = Vec::new();
        let changed = splice(&run(), &mut out, |_, _| Ok::<_, Malformed>(Fate::Keep)).unwrap();
        assert!(!changed);
        assert_eq!(out, run());
    }

    #[test]
    fn a_field_deep_inside_is_replaced_and_the_unknown_ones_around_it_stay() {
        let mut out = Vec::new();
        let mut edit = |field: Field<'_>, out: &mut Vec<u8>| {
            if field.number != 16 {
                return Ok::<_, Malformed>(Fate::Keep);
            }
            put_bytes(out, 16, &[b'9'; 200]);
            Ok(Fate::Drop)
        };
        assert!(splice_at(&run(), &[4, 1], &mut out, &mut edit).unwrap());
        let was = pb::RunRecord::decode(&*run()).unwrap();
        let mut is = pb::RunRecord::decode(&*out).unwrap();
        let items = &mut is.config.as_mut().unwrap().update;
        assert_eq!(items[0].value_json.len(), 200);
        items[0].value_json = "1".into();
        assert_eq!(is, was);
        for unknown in [&b"future"[..], &[0xc8, 0x30, 5]] {
            assert!(out.windows(unknown.len()).any(|window| window == unknown));
        }
    }

    #[test]
    fn fields_are_set_where_they_were_or_at_the_end_or_removed() {
        let mut out = Vec::new();
        set_bytes(b"\x0a\x01a\x12\x01b\x0a\x01c", 1, Some(b"zz"), &mut out).unwrap();
        assert_eq!(out, b"\x0a\x02zz\x12\x01b");
        out.clear();
        set_uint(b"\x12\x01b", 1, Some(3), &mut out).unwrap();
        assert_eq!(out, b"\x12\x01b\x08\x03");
        out.clear();
        set_uint(b"\x08\x03\x12\x01b", 1, None, &mut out).unwrap();
        assert_eq!(out, b"\x12\x01b");
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let edit = |_: Field<'_>, _: &mut Vec<u8>| Ok::<_, Malformed>(Fate::Keep);
        assert_eq!(splice(b"\x08\x01\x0a\x05", &mut Vec::new(), edit), Err(Malformed { at: 2 }));
        assert!(splice_at(b"\x08\x01", &[1], &mut Vec::new(), &mut { edit }).is_err());
    }
}
