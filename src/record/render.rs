//! The bytes of a record as one line of JSON, for people and for scripts.
//!
//! Close to the JSON form of proto3, with these differences: fields keep the names of the schema; 64-bit
//! integers are numbers; a field is shown if it is on the wire, even with its default value; and what the
//! schema does not know stands under `"@unknown"`, so that nothing in a log stays unseen:
//!
//! ```text
//! {"num":7,"exit":{"runtime":12},"@unknown":[{"field":31,"wire":"bytes","value":"AAE="}]}
//! ```
//!
//! The bytes are walked with the field tables at hand, not decoded. Where a decoder has a rule for what
//! comes twice, so has the walk: the last scalar counts, the last member of a oneof counts, messages are
//! merged, lists are joined whether packed or not.

use std::fmt::Write;

use crate::cursor::Cursor;
use crate::proto::descriptors::WANDB_INTERNAL_RECORD;
use crate::proto::schema::{EnumType, FieldType, Kind, MessageType, Shape};
use crate::wire::{Fields, Malformed, WireValue};

/// Appends the JSON form of `payload`, the bytes of one [`Record`](crate::proto::wandb_internal::Record),
/// to `out`, without a line end.
///
/// Control characters in the text are escaped, so that the line is fit for a terminal. Text that is not
/// UTF-8 gets replacement characters.
///
/// # Errors
///
/// If `payload` is not a protobuf message, or one of hundreds of thousands of next to empty fields, which
/// would take memory out of proportion; `out` is then as it was before. The position in the error is
/// relative to the payload.
///
/// ```
/// let mut line = String::new();
/// wandb_offline::record::render::record_json(&[0x08, 13, 0x92, 0x01, 2, 0x10, 5], &mut line)?;
/// assert_eq!(line, r#"{"num":13,"exit":{"runtime":5}}"#);
/// # Ok::<(), wandb_offline::wire::Malformed>(())
/// ```
pub fn record_json(payload: &[u8], out: &mut String) -> Result<(), Malformed> {
    message_json(&WANDB_INTERNAL_RECORD, payload, out)
}

/// [`record_json`] for any message that there is a table of.
pub(crate) fn message_json(
    ty: &'static MessageType,
    payload: &[u8],
    out: &mut String,
) -> Result<(), Malformed> {
    let before = out.len();
    let result = Renderer { out }.message(ty, [Part { bytes: payload, at: 0 }], MAX_DEPTH);
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// The bytes of a message, or of one of several parts that are to be merged.
#[derive(Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    /// Position in the payload.
    at: usize,
}

/// A field met on the wire.
#[derive(Clone, Copy)]
struct Found<'a> {
    number: u32,
    /// `None` if the schema lacks it, or has it with another wire type.
    field: Option<&'static FieldType>,
    value: WireValue<'a>,
    /// Position of the content in the payload, if it is bytes.
    at: usize,
}

impl<'a> Found<'a> {
    fn is_member(&self) -> bool {
        self.field.is_some_and(|field| field.shape == Shape::OneOf)
    }

    /// By number; behind those that the schema knows, those of the same number that do not fit it.
    fn order(&self) -> (u32, bool) {
        (self.number, self.field.is_none())
    }

    fn part(&self) -> Option<Part<'a>> {
        self.value.bytes().map(|bytes| Part { bytes, at: self.at })
    }
}

struct Renderer<'o> {
    out: &'o mut String,
}

impl Renderer<'_> {
    /// The merged `parts`; `depth` messages may nest in them.
    fn message<'a>(
        &mut self,
        ty: &'static MessageType,
        parts: impl IntoIterator<Item = Part<'a>>,
        depth: u32,
    ) -> Result<(), Malformed> {
        let found = collect(ty, parts)?;
        if let Some(text) = timestamp(ty, &found) {
            self.text(text.as_bytes());
            return Ok(());
        }
        self.out.push('{');
        let mut comma = Comma::default();
        let mut unknown = Vec::new();
        for group in found.chunk_by(|a, b| a.order() == b.order()) {
            let Some(field) = group.first().and_then(|found| found.field) else {
                unknown.extend(group);
                continue;
            };
            if let (Shape::Map, Kind::Message(entry)) = (field.shape, field.kind) {
                let entries = entries(entry, group, &mut unknown)?;
                if !entries.is_empty() {
                    self.key(&mut comma, field.name);
                    self.map(entry, entries, depth)?;
                }
                continue;
            }
            self.key(&mut comma, field.name);
            match field.shape {
                Shape::Many => self.list(field.kind, group, depth)?,
                _ => self.value(field.kind, group, depth)?,
            }
        }
        if !unknown.is_empty() {
            self.key(&mut comma, "@unknown");
            self.unknown(&unknown);
        }
        self.out.push('}');
        Ok(())
    }

    /// A single value, from all its occurrences.
    fn value(&mut self, kind: Kind, found: &[Found<'_>], depth: u32) -> Result<(), Malformed> {
        match (kind, found.last()) {
            (Kind::Message(ty), last) => {
                let at = last.map_or(0, |found| found.at);
                let depth = depth.checked_sub(1).ok_or(Malformed { at })?;
                self.message(ty, found.iter().filter_map(Found::part), depth)?;
            }
            (_, Some(last)) => self.scalar(kind, last.value),
            (_, None) => self.scalar(kind, default(kind)),
        }
        Ok(())
    }

    fn list(&mut self, kind: Kind, found: &[Found<'_>], depth: u32) -> Result<(), Malformed> {
        self.out.push('[');
        let mut comma = Comma::default();
        for one in found {
            match (packed(kind), one.part()) {
                (Some(read), Some(part)) => {
                    let mut cursor = Cursor::new(part.bytes);
                    while !cursor.is_empty() {
                        let at = part.at + part.bytes.len() - cursor.rest().len();
                        let value = read(&mut cursor).ok_or(Malformed { at })?;
                        comma.write(self.out);
                        self.scalar(kind, value);
                    }
                }
                _ => {
                    comma.write(self.out);
                    self.value(kind, std::slice::from_ref(one), depth)?;
                }
            }
        }
        self.out.push(']');
        Ok(())
    }

    /// An object of the entries, in order of key.
    fn map(
        &mut self,
        entry: &MessageType,
        mut entries: Vec<Entry<'_>>,
        depth: u32,
    ) -> Result<(), Malformed> {
        entries.sort_by_key(|entry| entry.key);
        let kind = entry.field(2).map_or(Kind::Bytes, |field| field.kind);
        self.out.push('{');
        let mut comma = Comma::default();
        for same in entries.chunk_by(|a, b| a.key == b.key) {
            let Some(last) = same.last() else { continue };
            comma.write(self.out);
            self.text(last.key);
            self.out.push(':');
            self.value(kind, &last.value, depth)?;
        }
        self.out.push('}');
        Ok(())
    }

    fn unknown(&mut self, found: &[Found<'_>]) {
        self.out.push('[');
        let mut comma = Comma::default();
        for one in found {
            comma.write(self.out);
            let (wire, kind) = match one.value {
                WireValue::Varint(_) => ("varint", Kind::Uint64),
                WireValue::Fixed64(_) => ("fixed64", Kind::Uint64),
                WireValue::Bytes(_) => ("bytes", Kind::Bytes),
                WireValue::Group(_) => ("group", Kind::Bytes),
                WireValue::Fixed32(_) => ("fixed32", Kind::Uint32),
            };
            write(self.out, format_args!("{{\"field\":{},\"wire\":\"{wire}\",", one.number));
            self.out.push_str("\"value\":");
            self.scalar(kind, one.value);
            self.out.push('}');
        }
        self.out.push(']');
    }

    /// `value` must have a wire type that `kind` may have, or be a bare number.
    fn scalar(&mut self, kind: Kind, value: WireValue<'_>) {
        let (number, bytes) = match value {
            WireValue::Varint(number) | WireValue::Fixed64(number) => (number, &[][..]),
            WireValue::Fixed32(number) => (u64::from(number), &[][..]),
            WireValue::Bytes(bytes) | WireValue::Group(bytes) => (0, bytes),
        };
        // What protobuf asks for: integers of 32 bits are the low half of what is on the wire.
        let low = number as u32;
        let mut digits = itoa::Buffer::new();
        match kind {
            Kind::Bool => self.out.push_str(if number == 0 { "false" } else { "true" }),
            Kind::Int32 => self.out.push_str(digits.format(low.cast_signed())),
            Kind::Int64 => self.out.push_str(digits.format(number.cast_signed())),
            Kind::Uint32 => self.out.push_str(digits.format(low)),
            Kind::Uint64 => self.out.push_str(digits.format(number)),
            Kind::Sint64 => {
                let value = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
                self.out.push_str(digits.format(value));
            }
            Kind::Float => self.float(f32::from_bits(low)),
            Kind::Double => self.float(f64::from_bits(number)),
            Kind::String => self.text(bytes),
            Kind::Bytes => self.base64(bytes),
            Kind::Enum(ty) => self.enumeration(ty, low.cast_signed()),
            Kind::Message(_) => {}
        }
    }

    /// The shortest digits that give the number back, at its own precision.
    fn float<F: zmij::Float + Into<f64> + Copy>(&mut self, value: F) {
        let wide: f64 = value.into();
        if wide.is_finite() {
            self.out.push_str(zmij::Buffer::new().format_finite(value));
        } else if wide.is_nan() {
            self.out.push_str("\"NaN\"");
        } else {
            self.out.push_str(if wide > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
        }
    }

    fn enumeration(&mut self, ty: &'static EnumType, value: i32) {
        match ty.value(value) {
            _ if ty.name == "google.protobuf.NullValue" => self.out.push_str("null"),
            Some(name) => self.text(name.as_bytes()),
            None => self.out.push_str(itoa::Buffer::new().format(value)),
        }
    }

    fn key(&mut self, comma: &mut Comma, name: &str) {
        comma.write(self.out);
        self.text(name.as_bytes());
        self.out.push(':');
    }

    /// A JSON string.
    fn text(&mut self, bytes: &[u8]) {
        self.out.push('"');
        for chunk in bytes.utf8_chunks() {
            let mut plain = chunk.valid();
            while let Some((i, c)) = plain.char_indices().find(|(_, c)| needs_escape(*c)) {
                let (before, rest) = plain.split_at(i);
                self.out.push_str(before);
                plain = rest.strip_prefix(c).unwrap_or_default();
                match c {
                    '"' => self.out.push_str("\\\""),
                    '\\' => self.out.push_str("\\\\"),
                    '\n' => self.out.push_str("\\n"),
                    '\r' => self.out.push_str("\\r"),
                    '\t' => self.out.push_str("\\t"),
                    _ => write(self.out, format_args!("\\u{:04x}", u32::from(c))),
                }
            }
            self.out.push_str(plain);
            if !chunk.invalid().is_empty() {
                self.out.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.out.push('"');
    }

    /// A JSON string of the bytes in base64, with padding.
    fn base64(&mut self, bytes: &[u8]) {
        self.out.push('"');
        for chunk in bytes.chunks(3) {
            let bits = (0..3).fold(0, |bits, i| {
                bits << 8 | u32::from(chunk.get(i).copied().unwrap_or_default())
            });
            for i in 0..4 {
                let digit = BASE64.get((bits >> (18 - 6 * i) & 63) as usize);
                let digit = digit.filter(|_| i <= chunk.len()).unwrap_or(&b'=');
                self.out.push(char::from(*digit));
            }
        }
        self.out.push('"');
    }
}

/// One entry of a map.
struct Entry<'a> {
    key: &'a [u8],
    /// Occurrences of the value.
    value: Vec<Found<'a>>,
}

/// Reads map entries. Those that hold anything besides key and value go to `unknown`.
fn entries<'a>(
    ty: &'static MessageType,
    group: &[Found<'a>],
    unknown: &mut Vec<Found<'a>>,
) -> Result<Vec<Entry<'a>>, Malformed> {
    let mut entries = Vec::with_capacity(group.len());
    for found in group {
        let fields = collect(ty, found.part())?;
        if fields.iter().any(|field| field.field.is_none()) {
            unknown.push(*found);
            continue;
        }
        let (keys, value): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|field| field.number == 1);
        let key = keys.last().and_then(|key| key.value.bytes()).unwrap_or_default();
        entries.push(Entry { key, value });
    }
    Ok(entries)
}

/// The fields of the parts in order of number, and among the same number in file order. Of a oneof,
/// only what counts: the last member, and of that what follows the last other member.
fn collect<'a>(
    ty: &'static MessageType,
    parts: impl IntoIterator<Item = Part<'a>>,
) -> Result<Vec<Found<'a>>, Malformed> {
    let mut found = Vec::new();
    let (mut member, mut since, mut bytes) = (None, 0, 0);
    for part in parts {
        bytes += part.bytes.len();
        let mut fields = Fields::new(part.bytes);
        while let Some(field) = fields.next() {
            let field = field.map_err(|Malformed { at }| Malformed { at: part.at + at })?;
            let end = part.at + fields.consumed();
            let at = end - field.value.bytes().map_or(0, <[u8]>::len);
            let (number, value) = (field.number, field.value);
            let field = ty.field(number).filter(|field| fits(field, value));
            let one = Found { number, field, value, at };
            if one.is_member() && member.replace(number) != Some(number) {
                since = found.len();
            }
            found.push(one);
            if found.len() > FIELDS_FROM && found.len() > bytes / LEAST_FIELD {
                return Err(Malformed { at });
            }
        }
    }
    if since > 0 {
        let mut index = 0;
        found.retain(|one| {
            index += 1;
            index > since || !one.is_member()
        });
    }
    found.sort_by_key(Found::order);
    Ok(found)
}

/// Messages of more fields than this must have some content in them: shown, an empty field takes dozens
/// of times the memory it takes on the wire.
const FIELDS_FROM: usize = 200_000;

/// Bytes a field of such a message must have on average.
const LEAST_FIELD: usize = 8;

/// Whether a field of this type may have this value on the wire.
fn fits(field: &FieldType, value: WireValue<'_>) -> bool {
    match (field.kind, value) {
        (Kind::String | Kind::Bytes | Kind::Message(_), WireValue::Bytes(_))
        | (Kind::Double, WireValue::Fixed64(_))
        | (Kind::Float, WireValue::Fixed32(_)) => true,
        (kind, WireValue::Bytes(_)) => field.shape == Shape::Many && packed(kind).is_some(),
        (kind, WireValue::Varint(_)) => !matches!(
            kind,
            Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Double | Kind::Float
        ),
        _ => false,
    }
}

type Read = for<'a> fn(&mut Cursor<'a>) -> Option<WireValue<'a>>;

/// How to read an element of a packed list, if the type can be packed.
fn packed(kind: Kind) -> Option<Read> {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => None,
        Kind::Double => Some(|cursor| cursor.u64_le().map(WireValue::Fixed64)),
        Kind::Float => Some(|cursor| cursor.u32_le().map(WireValue::Fixed32)),
        _ => Some(|cursor| cursor.varint().map(WireValue::Varint)),
    }
}

/// The value of a map entry that has none.
fn default(kind: Kind) -> WireValue<'static> {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => WireValue::Bytes(&[]),
        _ => WireValue::Varint(0),
    }
}

/// RFC 3339 text of a timestamp, with 0, 3, 6 or 9 digits after the point. `None` for other types, and
/// for a timestamp that this form cannot hold, which is shown as a message instead.
fn timestamp(ty: &'static MessageType, found: &[Found<'_>]) -> Option<String> {
    if ty.name != "google.protobuf.Timestamp" || found.iter().any(|f| f.field.is_none()) {
        return None;
    }
    let last = |number| {
        let found = found.iter().rfind(|found| found.number == number);
        found.and_then(|found| found.value.varint()).unwrap_or_default()
    };
    let seconds = last(1).cast_signed();
    let nanos = (last(2) as u32).cast_signed();
    if !TIMESTAMP_SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return None;
    }
    let fraction = match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    };
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// Year, month and day of a day counted from 1970. Years begin in March here until the last line, so
/// that the leap day is the last of a year; 400 of them are always 146,097 days.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from the 1st of March of year 0
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// What JSON asks to escape, and what it does not mention but programs take for a line end: the control
/// characters and Unicode's separators of lines and paragraphs.
fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}') || c.is_control()
}

/// Writes a comma, except the first time.
#[derive(Default)]
struct Comma {
    due: bool,
}

impl Comma {
    fn write(&mut self, out: &mut String) {
        if self.due {
            out.push(',');
        }
        self.due = true;
    }
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).unwrap_or_default(); // a string takes everything
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The years 1 to 9999, which is all that the JSON form of a timestamp may hold.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// prost's limit, so that what it accepts can be shown.
const MAX_DEPTH: u32 = 100;

#[cfg(test)]
mod tests;
