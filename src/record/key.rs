//! Keys as text: the elements of a path joined with dots.

/// Joins the elements of a key with dots. A dot within an element is written `\.`, as `define_metric`
/// has it, so that `["a.b"]` and `["a", "b"]` stay apart.
///
/// ```
/// use wandb_offline::record::{join_key, split_key};
///
/// assert_eq!(join_key(["train", "v1.5"]), r"train.v1\.5");
/// assert_eq!(split_key(r"train.v1\.5"), ["train", "v1.5"]);
/// ```
pub fn join_key<'a>(elements: impl IntoIterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for (i, element) in elements.into_iter().enumerate() {
        if i > 0 {
            joined.push('.');
        }
        if element.contains('.') {
            joined.push_str(&element.replace('.', "\\."));
        } else {
            joined.push_str(element);
        }
    }
    joined
}

/// Splits what [`join_key`] joined. An element that ends in a backslash cannot be told from an escaped
/// dot; W&B has the same blind spot.
pub fn split_key(joined: &str) -> Vec<String> {
    let mut elements = vec![String::new()];
    let mut pieces = joined.split('.').peekable();
    while let Some(piece) = pieces.next() {
        let escaped = piece.strip_suffix('\\').filter(|_| pieces.peek().is_some());
        if let Some(element) = elements.last_mut() {
            element.push_str(escaped.unwrap_or(piece));
            if escaped.is_some() {
                element.push('.');
            }
        }
        if escaped.is_none() && pieces.peek().is_some() {
            elements.push(String::new());
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_joining_and_splitting() {
        for path in [&["a"][..], &["a", "b"], &["a.b"], &["a.", ".b"], &["", "x"], &["é/ü", ".."]]
        {
            assert_eq!(split_key(&join_key(path.iter().copied())), path);
        }
        assert_eq!(join_key(["a.b", "c"]), "a\\.b.c");
        assert_eq!(split_key("a\\"), ["a\\"]);
    }
}
