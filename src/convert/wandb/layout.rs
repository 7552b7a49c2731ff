//! Charts that metric definitions suggest: one for each glob, in a category for each step metric.

use crate::proto::tensorboard::chart::Content;
use crate::proto::tensorboard::{Category, Chart, Layout, MultilineChartContent};
use crate::run::Metrics;
use std::collections::BTreeMap;

/// A layout with a chart for each group of metrics that was defined; `None` if no group was. A glob that
/// matches everything is no group.
pub(super) fn layout(metrics: &Metrics, separator: &str) -> Option<Layout> {
    let mut categories: BTreeMap<&str, Vec<Chart>> = BTreeMap::new();
    for definition in metrics.iter() {
        let Some(prefix) = definition.glob_name.strip_suffix('*').filter(|p| !p.is_empty()) else {
            continue;
        };
        // A dot in a definition is a level of nesting, which tags have the separator for.
        let nested = crate::record::split_key(prefix).join(separator);
        let tag = vec![format!("{}.*", escaped(&nested))];
        let content = Some(Content::Multiline(MultilineChartContent { tag }));
        let title = definition.glob_name.clone();
        categories.entry(&definition.step_metric).or_default().push(Chart { title, content });
    }
    let category = categories.into_iter().map(|(axis, chart)| Category {
        title: if axis.is_empty() { "metrics".into() } else { format!("by {axis}") },
        chart,
        ..Category::default()
    });
    let category: Vec<_> = category.collect();
    (!category.is_empty()).then(|| Layout { category, ..Layout::default() })
}

/// Text as a regular expression that matches it.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if r"\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}
