//! Whether a value looks like a secret, taken by itself.

use super::MARK;

/// Whether a value under the name of a password may be one.
pub(super) fn is_password(value: &str) -> bool {
    (4..=256).contains(&value.len()) && !is_placeholder(value) && !is_path(value)
}

/// Whether a text has characters of at least two kinds, as passwords in running text should.
pub(super) fn is_mixed(value: &str) -> bool {
    value.len() >= 6 && transitions(value) >= 1
}

/// Whether a value of at least `min` bytes looks as if it had been drawn at random, as keys are: one word
/// of many different characters that changes between lower case, upper case and digits all the time.
pub(super) fn is_random(value: &str, min: usize) -> bool {
    if value.len() < min || value.len() > LONGEST || is_placeholder(value) || is_path(value) {
        return false;
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+/=.~:!@#$%^&*".contains(&byte);
    if !value.bytes().all(word) || is_uuid(value) || value.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let distinct = distinct(value);
    // Names are made of words and numbers: no piece between separators is both long and mixed. Names in
    // CamelCase change kind too, but have no digits.
    let pieces = || value.split(['-', '_', '.', '/', ':', '@']);
    let longest = pieces().map(str::len).max().unwrap_or(0);
    let mixed: usize = pieces().map(transitions).sum();
    let length = value.len();
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    let wanted = if digits { length.min(24) / 6 } else { length / 5 };
    distinct >= (min / 2).max(6) && longest >= length.min(20) / 2 && mixed >= wanted
}

/// Whether a value is hex digits in the number that a digest has.
pub(super) fn is_digest(value: &str) -> bool {
    let digits = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits && matches!(value.len(), 32 | 40 | 56 | 64 | 96 | 128)
}

/// Whether the value is W&B's older key: 40 hex digits in lower case, of which none repeats too often.
pub(super) fn is_hex_key(value: &str) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    value.len() == 40 && value.bytes().all(hex) && distinct(value) >= 6
}

/// What stands where a secret would: nothing, a word for nothing, a reference to a variable, a mask.
pub(super) fn is_placeholder(value: &str) -> bool {
    let value = value.trim();
    let words = ["none", "null", "true", "false", "yes", "no", "env", "changeme", "redacted"];
    value.starts_with(MARK)
        || value.starts_with(['$', '<', '{', '%'])
        || distinct(value) < 3
        || words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn is_path(value: &str) -> bool {
    let starts = ["/", "./", "../", "~/", "file:", "s3:", "gs:"];
    let drive =
        matches!(value.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    drive || starts.iter().any(|start| value.starts_with(start)) || value.contains("://")
}

fn is_uuid(value: &str) -> bool {
    let mut groups = value.split('-');
    let lengths = [8, 4, 4, 4, 12];
    let hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    lengths.iter().all(|&n| groups.next().is_some_and(|group| group.len() == n && hex(group)))
        && groups.next().is_none()
}

/// How many different bytes there are.
fn distinct(value: &str) -> usize {
    let mut seen = [false; 256];
    value.bytes().for_each(|byte| {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    });
    seen.iter().filter(|seen| **seen).count()
}

/// How often the text goes from one kind of character to another, a capital that begins a word and the
/// letters behind it being of one kind.
fn transitions(value: &str) -> usize {
    let kind = |byte: u8| match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    };
    let pairs = value.bytes().zip(value.bytes().skip(1));
    pairs.filter(|&(a, b)| kind(a) != kind(b) && (kind(a), kind(b)) != (2, 1)).count()
}

/// Longer values are data.
const LONGEST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_look_random_and_names_do_not() {
        for key in ["a8f5f167f44f4964e6c998dee827110c", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzXkq93mNa"]
        {
            assert!(is_random(key, 16), "{key}");
        }
        assert!(is_random("p4sSw0rdX9", 8));
        for name in [
            "meta-llama/Llama-3.1-8B-Instruct",
            "checkpoint-20240101-120000-best",
            "validation/accuracy_top5",
            "2f1c7e50-8d39-4f5a-9d43-1a2b3c4d5e6f",
            "/home/user/.ssh/id_rsa_4096_A1b2C3d4",
            "https://example.com/A1b2C3d4E5f6G7h8",
            "12345678901234567890",
            "AdamWithWeightDecayOptimizer",
            "${WANDB_API_KEY_A1b2C3d4}",
            "[scrubbed wandb api key]",
        ] {
            assert!(!is_random(name, 16), "{name}");
        }
    }

    #[test]
    fn placeholders_are_no_passwords() {
        assert!(is_password("hunter2") && is_password("correct horse"));
        for nothing in ["", "***", "xxxxxxxx", "None", "$DB_PASSWORD", "<password>", "/run/secret"]
        {
            assert!(!is_password(nothing), "{nothing}");
        }
        assert!(!is_mixed("required") && is_mixed("hunter2"));
    }

    #[test]
    fn a_hex_key_has_forty_digits_that_vary() {
        assert!(is_hex_key("a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"));
        assert!(!is_hex_key(&"0".repeat(40)) && !is_hex_key(&"a1".repeat(10)));
        assert!(is_digest(&"0f".repeat(32)) && !is_digest("0f"));
    }
}
