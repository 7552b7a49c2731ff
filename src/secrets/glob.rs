//! Patterns with `*` and `?`, without regard to ASCII case.

/// A pattern for a whole text.
#[derive(Clone, Debug)]
pub(super) struct Glob(Vec<u8>);

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.to_ascii_lowercase().into_bytes())
    }

    /// How many characters stand for themselves.
    pub(super) fn literals(&self) -> usize {
        self.0.iter().filter(|byte| !matches!(byte, b'*' | b'?')).count()
    }

    /// Whether it matches all of the text. The last `*` that was passed is the only one worth going back
    /// to, so the time is bounded by the product of the lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let (mut p, mut t) = (0, 0);
        let mut back = None;
        while let Some(byte) = text.get(t) {
            match self.0.get(p) {
                Some(b'*') => {
                    back = Some((p + 1, t));
                    p += 1;
                }
                Some(&want) if want == b'?' || want == byte.to_ascii_lowercase() => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((star, from)) = back else { return false };
                    back = Some((star, from + 1));
                    (p, t) = (star, from + 1);
                }
            }
        }
        self.0.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_other_characters() {
        for (pattern, text) in
            [("acme_*", "ACME_12"), ("*", ""), ("a?c", "abc"), ("*b*d", "abcbd"), ("x", "X")]
        {
            assert!(Glob::new(pattern).matches(text), "{pattern} {text}");
        }
        for (pattern, text) in [("acme_*", "acm_12"), ("a?c", "ac"), ("x", "xy"), ("*b", "abc")] {
            assert!(!Glob::new(pattern).matches(text), "{pattern} {text}");
        }
        assert_eq!(Glob::new("a*b?").literals(), 2);
    }
}
