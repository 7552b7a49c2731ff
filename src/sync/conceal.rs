//! Taking keys and tokens out of what a server says, which is shown.

use serde_json::Value;
use std::collections::HashSet;
use std::ops::Range;

/// The body of an answer without the secrets, if it has any of them: as they are, in letters of another case, or a
/// good part of one; in JSON also where characters are written as escapes.
pub(super) fn concealed(body: &[u8], secrets: &[&str]) -> Option<Vec<u8>> {
    if let Ok(mut value @ Value::Object(_)) = serde_json::from_slice(body) {
        return conceal_in(&mut value, secrets).then(|| value.to_string().into_bytes());
    }
    conceal(body, secrets)
}

fn conceal_in(value: &mut Value, secrets: &[&str]) -> bool {
    match value {
        Value::String(text) => match conceal(text.as_bytes(), secrets) {
            Some(bytes) => {
                *text = String::from_utf8_lossy(&bytes).into_owned();
                true
            }
            None => false,
        },
        Value::Array(values) => conceal_in_all(values.iter_mut(), secrets),
        Value::Object(members) => conceal_in_all(members.values_mut(), secrets),
        _ => false,
    }
}

/// In all of them, and not only up to the first that has one.
fn conceal_in_all<'a>(values: impl Iterator<Item = &'a mut Value>, secrets: &[&str]) -> bool {
    let mut found = false;
    for value in values {
        found |= conceal_in(value, secrets);
    }
    found
}

fn conceal(text: &[u8], secrets: &[&str]) -> Option<Vec<u8>> {
    let lower = text.to_ascii_lowercase();
    let mut places: Vec<Range<usize>> = Vec::new();
    for secret in secrets {
        let secret = secret.to_ascii_lowercase();
        let length = secret.len().min(PART);
        if length == 0 {
            continue;
        }
        let parts: HashSet<&[u8]> = secret.as_bytes().windows(length).collect();
        let found = lower.windows(length).enumerate().filter(|(_, part)| parts.contains(part));
        places.extend(found.map(|(at, _)| at..at + length));
    }
    if places.is_empty() {
        return None;
    }
    places.sort_unstable_by_key(|place| place.start);
    let (mut shown, mut end) = (Vec::new(), 0);
    for place in places {
        // One that begins within the one before makes that longer.
        if place.start > end || shown.is_empty() {
            shown.extend_from_slice(text.get(end..place.start).unwrap_or_default());
            shown.extend_from_slice(b"***");
        }
        end = end.max(place.end);
    }
    shown.extend_from_slice(text.get(end..).unwrap_or_default());
    Some(shown)
}

/// So many characters of a secret in a row are as bad as all of it.
const PART: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_good_part_of_a_secret_is_left_however_it_is_written() {
        let key = "0123456789abcdef0123456789abcdefdeadbeef";
        for (body, shown) in [
            ("the key 0123456789abcdef0123456789abcdefdeadbeef is wrong", "the key *** is wrong"),
            ("0123456789ABCDEF0123456789ABCDEFDEADBEEF", "***"),
            ("cut off: 0123456789abcd…", "cut off: ***…"),
            (
                "a 456789abcdef0123 b beefdeadbeef c fdeadbeef d 9abcdefdeadb",
                "a *** b beefdeadbeef c fdeadbeef d ***",
            ),
            (
                r#"{"errors":[{"message":"\u0030123456789abcdef0123456789abcdefdeadbeef?"}]}"#,
                r#"{"errors":[{"message":"***?"}]}"#,
            ),
        ] {
            let got = concealed(body.as_bytes(), &["", key]).unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), shown);
        }
        for body in ["", "0123", "nothing to hide", "{\"a\":1}"] {
            assert_eq!(concealed(body.as_bytes(), &[key]), None, "{body}");
        }
    }
}
