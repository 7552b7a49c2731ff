//! What is said of a run: which one it is, its name, notes, tags and the rest that is not config.

use super::greeting::Told;
use super::{Plan, PlanOptions};
use crate::json::Value;
use crate::run::RunInfo;
use crate::sync::api::{Request, operations};

impl Plan {
    /// Which run the log means: entity, project and id.
    fn target(&self) -> (String, String, String) {
        self.greeting.target.clone().unwrap_or_default()
    }

    /// As [`target`](Self::target), in the server's words once it has said them.
    pub(super) fn named(&self) -> (String, String, String) {
        let ledger = &self.ledger;
        match ledger.run.is_empty() {
            true => self.target(),
            false => (ledger.entity.clone(), ledger.project.clone(), ledger.run.clone()),
        }
    }

    pub(super) fn rewind_variables(&self) -> Value {
        let (entity, project, name) = self.target();
        let point = self.run.info().branch_point().cloned().unwrap_or_default();
        let metric = if point.metric.is_empty() { "_step" } else { &point.metric };
        Value::from_iter([
            ("runName", Value::from(name.as_str())),
            ("entity", text(&entity)),
            ("project", text(&project)),
            ("metricName", metric.into()),
            ("metricValue", point.value.into()),
        ])
    }

    /// The request that makes the run, or tells of changes; `whole` with all that is not config.
    pub(super) fn upsert(&self, id: Option<String>, told: &Told, whole: bool) -> Request {
        let (entity, project, name) = self.named();
        let mut variables = if whole { self.identity() } else { Default::default() };
        variables.extend(
            [
                ("id", id.into()),
                ("name", Value::from(name)),
                ("project", text(&project)),
                ("entity", text(&entity)),
                ("config", told.config.as_str().into()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        operations::UPSERT_BUCKET.request(Value::Object(variables))
    }

    /// Name, notes, tags and the rest of what is not config.
    pub(super) fn identity(&self) -> std::collections::BTreeMap<String, Value> {
        let (info, over) = (self.run.info(), &self.options.overrides);
        let or = |over: &Option<String>, own: &str| text(over.as_deref().unwrap_or(own));
        let kept = self.greeting.kept();
        let notes = match info.notes() {
            "" => kept.and_then(|tail| tail.notes.clone()).unwrap_or_default(),
            notes => notes.to_owned(),
        };
        let git = info.git();
        let program = info.environment().map_or("", |record| record.program.as_str());
        let pairs = [
            ("groupName", or(&over.group, info.group())),
            ("displayName", or(&over.name, info.name())),
            ("notes", text(&notes)),
            ("commit", text(git.map_or("", |git| &git.commit))),
            ("host", text(info.host())),
            ("program", text(program)),
            ("repo", text(git.map_or("", |git| &git.remote_url))),
            ("jobType", or(&over.job_type, info.job_type())),
            ("sweep", text(info.sweep_id())),
            ("tags", self.tags().into()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn tags(&self) -> Option<Vec<Value>> {
        let own = self.run.info().tags();
        let kept = self.greeting.kept().and_then(|tail| tail.tags.as_deref());
        let tags = if own.is_empty() { kept.unwrap_or_default() } else { own };
        let renamed = |tag: &String| {
            let mut renames = self.options.overrides.tags.iter();
            renames.find(|(old, _)| old == tag).map_or_else(|| tag.clone(), |(_, new)| new.clone())
        };
        let tags = tags.iter().map(renamed).filter(|tag| !tag.is_empty()).map(Value::String);
        Some(tags.collect::<Vec<_>>()).filter(|tags| !tags.is_empty())
    }
}

/// The run that a log means: entity and project, which may be empty, and id.
pub(crate) fn target(info: &RunInfo, options: &PlanOptions) -> (String, String, String) {
    let over = &options.overrides;
    let or = |over: &Option<String>, own: &str| over.clone().unwrap_or_else(|| own.to_owned());
    (
        or(&over.entity, info.entity()),
        or(&over.project, info.project()),
        or(&over.run_id, info.run_id()),
    )
}

/// Asks what the server has of a run. Entity and project may be empty.
pub(crate) fn tail_request(entity: &str, project: &str, run: &str) -> Request {
    operations::RUN_RESUME_STATUS.request(Value::from_iter([
        ("project", text(project)),
        ("entity", text(entity)),
        ("name", run.into()),
    ]))
}

/// A text, or null if it is empty.
fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}
