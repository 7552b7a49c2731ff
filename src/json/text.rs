//! Numbers and strings as text.

/// Appends a float as the shortest text that reads back as the same `f64`. A whole number keeps its
/// `.0`, so it stays a float; the non-finite ones are `NaN`, `Infinity`, `-Infinity`.
#[inline]
pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        put_non_finite(out, value);
    }
}

/// Appends a float as the shortest text that reads back as the same `f32`.
#[inline]
pub fn put_f32(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        put_non_finite(out, f64::from(value));
    }
}

#[cold]
fn put_non_finite(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(match value {
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ => b"NaN",
    });
}

/// Appends an integer, exact.
#[inline]
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an integer, exact.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a string in quotes; only `"`, `\` and control characters are escaped.
pub fn put_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(bytes.get(plain..i).unwrap_or_default());
        plain = i + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or_default());
    out.push(b'"');
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How long the quoted text is that `text` begins with, quotes included.
pub(crate) fn quoted_len(text: &str) -> Option<usize> {
    let mut escaped = false;
    let mut ends = text.char_indices().skip(1).filter(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    ends.next().map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_stay_floats_and_read_back_the_same() {
        for (value, want) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (5e-324, "5e-324"),
            (1e21, "1e+21"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(|out| put_f64(out, value)), want);
        }
        assert_eq!(text(|out| put_f32(out, 0.1)), "0.1");
        assert_eq!(text(|out| put_f32(out, f32::NEG_INFINITY)), "-Infinity");
    }

    #[test]
    fn integers_are_exact() {
        assert_eq!(text(|out| put_u64(out, u64::MAX)), "18446744073709551615");
        assert_eq!(text(|out| put_i64(out, i64::MIN)), "-9223372036854775808");
    }

    #[test]
    fn strings_escape_what_json_demands() {
        let hard = "a\"b\\c\n\u{1}é日\u{7f}";
        assert_eq!(text(|out| put_str(out, hard)), "\"a\\\"b\\\\c\\n\\u0001é日\u{7f}\"");
    }
}
