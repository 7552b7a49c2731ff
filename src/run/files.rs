//! Files to be uploaded, and samples of system metrics.

use crate::json::Value;
use crate::limits::Limits;
use crate::proto::wandb_internal::files_item::{FileType, PolicyType};
use crate::proto::wandb_internal::{FilesRecord, StatsRecord};
use prost_types::Timestamp;
use std::collections::{BTreeMap, HashMap};

/// The files the log lists, in the order in which each was first listed.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: Vec<RunFile>,
    by_path: HashMap<String, usize>,
}

/// A file of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunFile {
    /// Its path below the run's `files/`, as the log has it. Not to be trusted: it may be absolute or
    /// lead out of the directory.
    pub path: String,
    /// When it is to be uploaded, as it was said last.
    pub policy: PolicyType,
    /// What it is, as it was said last.
    pub kind: FileType,
    /// How often it was listed.
    pub listed: u64,
}

impl Files {
    pub(super) fn apply(&mut self, record: FilesRecord) {
        for item in record.files {
            let (policy, kind) = (item.policy(), item.r#type());
            let known = self.by_path.get(&item.path).and_then(|&index| self.files.get_mut(index));
            if let Some(file) = known {
                (file.policy, file.kind) = (policy, kind);
                file.listed += 1;
                continue;
            }
            self.by_path.insert(item.path.clone(), self.files.len());
            self.files.push(RunFile { path: item.path, policy, kind, listed: 1 });
        }
    }

    /// The files, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, RunFile> {
        self.files.iter()
    }

    /// The file of this path.
    pub fn get(&self, path: &str) -> Option<&RunFile> {
        self.files.get(*self.by_path.get(path)?)
    }

    /// How many files there are.
    pub const fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// The last sample of each system metric.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    records: u64,
    last_time: Option<Timestamp>,
    last: BTreeMap<String, (String, u64)>,
}

impl Stats {
    pub(super) fn apply(&mut self, record: StatsRecord) {
        self.records += 1;
        self.last_time = record.timestamp.or(self.last_time);
        for item in record.item {
            let (text, count) = self.last.entry(item.key).or_default();
            *text = item.value_json;
            *count += 1;
        }
    }

    /// How many stats records there were; each holds a sample of some of the metrics.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The time of the last record.
    pub const fn last_time(&self) -> Option<Timestamp> {
        self.last_time
    }

    /// The last value of a metric, named without the `system.` it has elsewhere.
    pub fn last(&self, key: &str) -> Option<Value> {
        let (text, _) = self.last.get(key)?;
        Some(Value::parse_or_text(text, Limits::DEFAULT.json_depth))
    }

    /// The metrics in order: key, number of samples, text of the last one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.last.iter().map(|(key, (text, count))| (key.as_str(), *count, text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal::{FilesItem, StatsItem};

    #[test]
    fn files_listed_again_are_counted_and_keep_their_place() {
        let mut files = Files::default();
        let item = |path: &str, policy: PolicyType| FilesItem {
            path: path.into(),
            policy: policy.into(),
            r#type: FileType::Media.into(),
        };
        let listed = vec![
            item("b", PolicyType::Now),
            item("a", PolicyType::End),
            item("b", PolicyType::Live),
        ];
        files.apply(FilesRecord { files: listed, ..Default::default() });
        let paths: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.listed)).collect();
        assert_eq!(paths, [("b", 2), ("a", 1)]);
        assert_eq!(files.get("b").unwrap().policy, PolicyType::Live);
    }

    #[test]
    fn the_last_sample_of_each_system_metric_is_kept() {
        let mut stats = Stats::default();
        let record = |items: &[(&str, &str)]| StatsRecord {
            item: items
                .iter()
                .map(|(key, json)| StatsItem { key: (*key).into(), value_json: (*json).into() })
                .collect(),
            ..Default::default()
        };
        stats.apply(record(&[("cpu", "1.5"), ("disk", "2")]));
        stats.apply(record(&[("cpu", "2.5")]));
        assert_eq!(stats.last("cpu"), Some(Value::Float(2.5)));
        assert_eq!(stats.iter().collect::<Vec<_>>(), [("cpu", 2, "2.5"), ("disk", 1, "2")]);
        assert_eq!(stats.records(), 2);
    }
}
