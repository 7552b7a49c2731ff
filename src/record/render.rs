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
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::descriptors::{
        GOOGLE_PROTOBUF_STRUCT, GOOGLE_PROTOBUF_VALUE, TENSORBOARD_EVENT,
    };
    use crate::proto::tensorboard::{Event, Summary, TensorProto, event, summary};
    use crate::proto::wandb_internal::record::RecordType;
    use crate::proto::wandb_internal::{
        DiskInfo, EnvironmentRecord, HistoryItem, HistoryRecord, HistoryStep, MetricRecord,
        OutputRawRecord, Record, RunExitRecord, RunRecord, StatsRecord, history_item,
    };
    use crate::wire::{put_bytes, put_uint};

    #[track_caller]
    fn json(payload: &[u8]) -> String {
        let mut out = String::new();
        record_json(payload, &mut out).unwrap();
        serde_json::from_str::<serde_json::Value>(&out).expect(&out);
        out
    }

    fn json_of(body: RecordType) -> String {
        json(&Record { num: 1, record_type: Some(body), ..Default::default() }.encode_to_vec())
    }

    /// A record with `body` in field `number`.
    fn framed(number: u32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, number, body);
        out
    }

    #[test]
    fn a_history_row_keeps_its_json_as_text() {
        let payload = b"\x08\x01\x12\x10\x0a\x0c\x12\x04loss\x82\x01\x031.5\x12\x00";
        assert_eq!(
            json(payload),
            r#"{"num":1,"history":{"item":[{"nested_key":["loss"],"value_json":"1.5"}],"step":{}}}"#
        );
        assert_eq!(json(b""), "{}");
    }

    #[test]
    fn typed_values_look_like_what_they_are() {
        use history_item::Value::{Boolean, Integer, Json, None, Number, Text};
        let values = [
            (None(0), r#""none":null"#),
            (Boolean(false), r#""boolean":false"#),
            (Integer(i64::MIN), r#""integer":-9223372036854775808"#),
            (Integer(-1), r#""integer":-1"#),
            (Number(1.0), r#""number":1.0"#),
            (Number(1e-7), r#""number":1e-7"#),
            (Number(-0.0), r#""number":-0.0"#),
            (Number(f64::NAN), r#""number":"NaN""#),
            (Number(f64::INFINITY), r#""number":"Infinity""#),
            (Number(f64::NEG_INFINITY), r#""number":"-Infinity""#),
            (Text("a\"\\\n\u{1b}\u{7f}\u{9b}é".into()), r#""text":"a\"\\\n\u001b\u007f\u009bé""#),
            (Json("[1]".into()), r#""json":"[1]""#),
        ];
        for (value, want) in values {
            let item = vec![HistoryItem { value: Some(value), ..Default::default() }];
            let row = HistoryRecord { item, ..Default::default() };
            let want = format!(r#"{{"num":1,"history":{{"item":[{{{want}}}]}}}}"#);
            assert_eq!(json_of(RecordType::History(row)), want);
        }
    }

    #[test]
    fn integers_keep_sign_and_width() {
        let exit = RunExitRecord { exit_code: -1, runtime: i32::MAX, ..Default::default() };
        assert_eq!(
            json_of(RecordType::Exit(exit)),
            r#"{"num":1,"exit":{"exit_code":-1,"runtime":2147483647}}"#
        );
        let step = Some(HistoryStep { num: i64::MIN });
        assert_eq!(
            json_of(RecordType::History(HistoryRecord { step, ..Default::default() })),
            r#"{"num":1,"history":{"step":{"num":-9223372036854775808}}}"#
        );
        let disk = [("/".to_owned(), DiskInfo { total: u64::MAX, used: 0 })].into();
        assert_eq!(
            json_of(RecordType::Environment(EnvironmentRecord { disk, ..Default::default() })),
            r#"{"num":1,"environment":{"disk":{"/":{"total":18446744073709551615}}}}"#
        );
    }

    #[test]
    fn enums_go_by_name_and_new_ones_by_number() {
        for (output_type, want) in [(1, r#""STDOUT""#), (7, "7"), (-1, "-1")] {
            let output = OutputRawRecord { output_type, line: "x".into(), ..Default::default() };
            let want = format!(r#"{{"num":1,"output_raw":{{"output_type":{want},"line":"x"}}}}"#);
            assert_eq!(json_of(RecordType::OutputRaw(output)), want);
        }
        let metric = MetricRecord { goal: 2, ..Default::default() };
        assert!(json_of(RecordType::Metric(metric)).contains(r#""goal":"GOAL_MAXIMIZE""#));
    }

    #[test]
    fn timestamps_are_text_as_far_as_the_form_goes() {
        let cases = [
            (0, 0, r#""1970-01-01T00:00:00Z""#),
            (1_795_486_108, 322_816_000, r#""2026-11-24T02:08:28.322816Z""#),
            (951_782_400, 500_000_000, r#""2000-02-29T00:00:00.500Z""#),
            (-1, 1, r#""1969-12-31T23:59:59.000000001Z""#),
            (-62_135_596_800, 0, r#""0001-01-01T00:00:00Z""#),
            (-62_135_596_801, 0, r#"{"seconds":-62135596801}"#),
            (253_402_300_799, 0, r#""9999-12-31T23:59:59Z""#),
            (253_402_300_800, 0, r#"{"seconds":253402300800}"#),
            (i64::MAX, 0, r#"{"seconds":9223372036854775807}"#),
            (1, 1_000_000_000, r#"{"seconds":1,"nanos":1000000000}"#),
            (1, -1, r#"{"seconds":1,"nanos":-1}"#),
        ];
        for (seconds, nanos, want) in cases {
            let timestamp = Some(prost_types::Timestamp { seconds, nanos });
            let stats = StatsRecord { timestamp, ..Default::default() };
            let want = format!(r#"{{"num":1,"stats":{{"timestamp":{want}}}}}"#);
            assert_eq!(json_of(RecordType::Stats(stats)), want);
        }
    }

    #[test]
    fn what_the_schema_lacks_is_shown() {
        let mut payload = vec![];
        put_uint(&mut payload, 31, 5);
        put_bytes(&mut payload, 31, &[0, 1]);
        payload.extend([0x0d, 1, 0, 0, 0]); // num, with a wire type that is not its own
        payload.extend([0xf9, 1, 2, 0, 0, 0, 0, 0, 0, 0]);
        payload.extend([0xfb, 1, 0x08, 0x01, 0xfc, 1]);
        put_uint(&mut payload, 1, 9);
        let want = [
            r#"{"num":9,"@unknown":[{"field":1,"wire":"fixed32","value":1},"#,
            r#"{"field":31,"wire":"varint","value":5},{"field":31,"wire":"bytes","value":"AAE="},"#,
            r#"{"field":31,"wire":"fixed64","value":2},{"field":31,"wire":"group","value":"CAE="}]}"#,
        ];
        assert_eq!(json(&payload), want.concat());

        // A map entry with a third field, and a timestamp with one.
        let entry = b"\xa2\x01\x05\x0a\x01/\x18\x07";
        let shown =
            r#"{"environment":{"@unknown":[{"field":20,"wire":"bytes","value":"CgEvGAc="}]}}"#;
        assert_eq!(json(&framed(26, entry)), shown);
        let stats = b"\x12\x04\x08\x01\x18\x02";
        let shown = r#"{"stats":{"timestamp":{"seconds":1,"@unknown":[{"field":3,"wire":"varint","value":2}]}}}"#;
        assert_eq!(json(&framed(7, stats)), shown);
    }

    #[test]
    fn what_comes_twice_is_joined_as_a_decoder_would() {
        // Two halves of a history record around a num, the first num lost to the second.
        let mut payload = vec![0x08, 1];
        put_bytes(&mut payload, 2, b"\x0a\x03\x0a\x01a\x12\x02\x08\x04");
        payload.extend([0x08, 2]);
        put_bytes(&mut payload, 2, b"\x0a\x03\x0a\x01b\x12\x00");
        let want = r#"{"num":2,"history":{"item":[{"key":"a"},{"key":"b"}],"step":{"num":4}}}"#;
        assert_eq!(json(&payload), want);
        let decoded = Record::decode(&payload[..]).unwrap();
        assert_eq!(json(&decoded.encode_to_vec()), want);

        // Another member of the oneof between them clears the first.
        let mut payload = framed(2, b"\x12\x02\x08\x04");
        put_bytes(&mut payload, 18, b"");
        assert_eq!(json(&payload), r#"{"exit":{}}"#);
        put_bytes(&mut payload, 2, b"\x0a\x00");
        assert_eq!(json(&payload), r#"{"history":{"item":[{}]}}"#);
        let decoded = Record::decode(&payload[..]).unwrap();
        assert_eq!(json(&decoded.encode_to_vec()), r#"{"history":{"item":[{}]}}"#);
    }

    #[test]
    fn the_last_of_equal_map_keys_counts_and_missing_parts_are_defaults() {
        let mut body = Vec::new();
        for entry in [&b"\x0a\x01b\x12\x01x"[..], b"\x0a\x01a\x12\x01y", b"\x0a\x01b\x12\x01z", b""]
        {
            put_bytes(&mut body, 27, entry);
        }
        put_bytes(&mut body, 20, b"\x0a\x01/");
        let want = r#"{"environment":{"disk":{"/":{}},"slurm":{"":"","a":"y","b":"z"}}}"#;
        assert_eq!(json(&framed(26, &body)), want);
    }

    #[test]
    fn text_that_is_not_utf_8_gets_replacement_characters() {
        assert_eq!(
            json(&framed(19, b"a\xff\xfeb\xe2\x82")),
            "{\"uuid\":\"a\u{fffd}\u{fffd}b\u{fffd}\"}"
        );
    }

    #[test]
    fn packed_and_single_elements_make_one_list() {
        let tensor = TensorProto {
            dtype: 1,
            float_val: vec![0.1, f32::NAN],
            int_val: vec![-1, 300],
            bool_val: vec![true],
            tensor_content: vec![0xff; 4],
            ..Default::default()
        };
        let value = summary::Value {
            tag: "t".into(),
            value: Some(summary::value::Value::Tensor(tensor)),
            ..Default::default()
        };
        let what = Some(event::What::Summary(Summary { value: vec![value] }));
        let mut payload = Event { wall_time: 0.5, what, ..Default::default() }.encode_to_vec();
        // One more value: a tensor with one number alone, then a packed one.
        put_bytes(&mut payload, 5, b"\x0a\x09\x42\x07\x38\x05\x3a\x01\x06\x38\x07");
        let mut out = String::new();
        message_json(&TENSORBOARD_EVENT, &payload, &mut out).unwrap();
        let want = [
            r#"{"wall_time":0.5,"summary":{"value":[{"tag":"t","tensor":{"dtype":"DT_FLOAT","#,
            r#""tensor_content":"/////w==","float_val":[0.1,"NaN"],"int_val":[-1,300],"#,
            r#""bool_val":[true]}},{"tensor":{"int_val":[5,6,7]}}]}}"#,
        ];
        assert_eq!(out, want.concat());

        let mut out = String::from("kept");
        let cut = framed(5, b"\x0a\x05\x42\x03\x3a\x01\x80");
        assert_eq!(message_json(&TENSORBOARD_EVENT, &cut, &mut out), Err(Malformed { at: 8 }));
        assert_eq!(out, "kept");
    }

    #[test]
    fn errors_name_the_place_in_the_payload() {
        let mut out = String::new();
        assert_eq!(record_json(&[0x08], &mut out), Err(Malformed { at: 0 }));
        assert_eq!(record_json(&[0x08, 1, 0x12, 2, 0x0a, 5], &mut out), Err(Malformed { at: 4 }));
        // In the second half of a message in two parts.
        let halves = [0x12, 2, 0x12, 0, 0x12, 4, 0x12, 2, 0x08, 0x80];
        assert_eq!(record_json(&halves, &mut out), Err(Malformed { at: 8 }));
        assert_eq!(out, "");
    }

    #[test]
    fn a_message_that_nests_without_end_is_an_error() {
        let mut bytes = Vec::new();
        for _ in 0..200 {
            bytes = framed(5, &framed(1, &framed(2, &bytes))); // Value, Struct, entry
        }
        let mut out = String::new();
        assert!(message_json(&GOOGLE_PROTOBUF_VALUE, &bytes, &mut out).is_err());
        assert_eq!(out, "");
        let shallow = framed(1, &framed(2, &framed(2, &1f64.to_le_bytes())));
        assert!(message_json(&GOOGLE_PROTOBUF_STRUCT, &shallow, &mut out).is_ok());
    }

    #[test]
    fn prost_accepts_no_cut_or_changed_record_that_this_refuses() {
        let run = RunRecord {
            run_id: "r".into(),
            tags: vec!["a".into(), "b".into()],
            start_time: Some(prost_types::Timestamp { seconds: 7, nanos: 8 }),
            ..Default::default()
        };
        let record =
            Record { num: 3, record_type: Some(RecordType::Run(run)), ..Default::default() };
        let payload = record.encode_to_vec();
        for i in 0..payload.len() {
            for flip in 0..=255 {
                let mut bytes = payload.clone();
                bytes[i] ^= flip;
                let mut out = String::new();
                let shown = record_json(&bytes, &mut out);
                if Record::decode(&bytes[..]).is_ok() {
                    assert_eq!(shown, Ok(()), "{bytes:02x?}");
                }
                let mut out = String::new();
                let _ = record_json(bytes.get(..i).unwrap(), &mut out);
            }
        }
    }

    #[test]
    fn base64_pads_to_four() {
        let cases: [(&[u8], &str); 4] =
            [(b"", ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foobar", "Zm9vYmFy")];
        for (bytes, want) in cases {
            let mut out = String::new();
            Renderer { out: &mut out }.base64(bytes);
            assert_eq!(out, format!("\"{want}\""));
        }
    }
}
