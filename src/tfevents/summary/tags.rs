//! Which dashboard each tag has values for.

use super::tensor::Plugin;
use std::collections::HashMap;
use std::sync::Arc;

/// The tags of a writer.
///
/// A loop logs its scalars in the same order again and again, so the next one is mostly the one that came
/// after this one before: comparing with it is cheaper than hashing.
#[derive(Debug, Default)]
pub(super) struct Tags {
    /// With its place in `scalars`, if it is one.
    by_name: HashMap<Arc<str>, (Plugin, usize)>,
    /// In the order in which they first came.
    scalars: Vec<Arc<str>>,
    /// Where the next scalar probably is.
    next: usize,
}

impl Tags {
    pub(super) fn get(&self, tag: &str) -> Option<Plugin> {
        self.by_name.get(tag).map(|(plugin, _)| *plugin)
    }

    /// The same for the next scalar.
    #[inline]
    pub(super) fn next_scalar(&mut self, tag: &str) -> Option<Plugin> {
        if self.scalars.get(self.next).is_some_and(|next| **next == *tag) {
            self.go_behind(self.next);
            return Some(Plugin::SCALARS);
        }
        self.find_scalar(tag)
    }

    fn find_scalar(&mut self, tag: &str) -> Option<Plugin> {
        let (plugin, place) = *self.by_name.get(tag)?;
        self.go_behind(place);
        Some(plugin)
    }

    #[inline]
    fn go_behind(&mut self, place: usize) {
        self.next = if place + 1 < self.scalars.len() { place + 1 } else { 0 };
    }

    pub(super) fn insert(&mut self, tag: &str, plugin: Plugin) {
        let tag: Arc<str> = tag.into();
        let place = self.scalars.len();
        if self.by_name.insert(Arc::clone(&tag), (plugin, place)).is_none()
            && plugin == Plugin::SCALARS
        {
            self.scalars.push(tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_in_any_order() {
        let mut tags = Tags::default();
        for tag in ["a", "b", "c", "b"] {
            tags.insert(tag, Plugin::SCALARS);
        }
        tags.insert("t", Plugin::TEXT);
        for tag in ["a", "b", "c", "a", "c", "c", "b", "a"] {
            assert_eq!(tags.next_scalar(tag), Some(Plugin::SCALARS), "{tag}");
        }
        assert_eq!((tags.next_scalar("t"), tags.next_scalar("u")), (Some(Plugin::TEXT), None));
        assert_eq!((tags.get("t"), tags.get("u")), (Some(Plugin::TEXT), None));
    }
}
