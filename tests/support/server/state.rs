//! What the server holds, for tests to look at.

use super::encoding;
use super::json::wandb_json;
use super::service::Target;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the server was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// By `entity/project/id`.
    pub(crate) runs: BTreeMap<String, Run>,
    /// In the order of their creation.
    pub(crate) artifacts: Vec<Artifact>,
    /// What a client did that it should not have, each with the number of its request.
    pub(crate) violations: Vec<String>,
    /// Every request, in the order of arrival.
    pub(crate) requests: Vec<Exchange>,
    /// The number of the request that is being performed.
    pub(super) answering: usize,
}

impl State {
    /// The only run.
    pub(crate) fn run(&self) -> &Run {
        assert_eq!(self.runs.len(), 1, "runs: {:?}", self.runs.keys());
        self.runs.values().next().unwrap()
    }

    /// The latest artifact of this name.
    pub(crate) fn artifact(&self, name: &str) -> &Artifact {
        let found = self.artifacts.iter().rev().find(|artifact| artifact.name() == name);
        found.unwrap_or_else(|| panic!("no artifact {name} in {:?}", self.artifacts))
    }

    /// The requests that went to one part of the server.
    pub(crate) fn requests_to(&self, target: Target) -> impl Iterator<Item = &Exchange> {
        self.requests.iter().filter(move |request| request.target == target)
    }

    /// The variables of each GraphQL request for this field of the root.
    pub(crate) fn variables_of(&self, operation: &str) -> Vec<&Value> {
        let asked = self.requests.iter().filter(|r| r.operation.as_deref() == Some(operation));
        asked.filter_map(|request| request.json.as_ref()).map(|body| &body["variables"]).collect()
    }

    pub(super) fn violation(&mut self, what: impl std::fmt::Display) {
        self.violations.push(format!("request {}: {what}", self.answering));
    }
}

/// A request, and the status of its answer.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) target: Target,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The field of the GraphQL root.
    pub(crate) operation: Option<String>,
    /// The body, unzipped, where it is JSON.
    pub(crate) json: Option<Value>,
    /// Bytes of the body as sent.
    pub(crate) bytes: usize,
    /// `None`: there was no answer (yet), or only a part of one.
    pub(crate) status: Option<u16>,
}

impl Exchange {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        super::http::header(&self.headers, name)
    }
}

/// A run as the server knows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) entity: String,
    pub(crate) project: String,
    pub(crate) name: String,
    /// `displayName`, `notes`, `tags`, `groupName`, `jobType`, `sweepName`, `host`, `program`, `commit`,
    /// `repo`, `description`: what was ever set, by its name in answers.
    pub(crate) details: Map<String, Value>,
    /// `running`, `preempting`, `finished` or `failed`.
    pub(crate) status: &'static str,
    /// The last config that was sent, as sent.
    pub(crate) config_text: Option<String>,
    /// The last summary that was sent, as sent.
    pub(crate) summary_text: Option<String>,
    /// The lines of each file of the stream, by number.
    pub(crate) streams: BTreeMap<String, BTreeMap<u64, String>>,
    pub(crate) files: BTreeMap<String, RunFile>,
    /// Files that the client said it uploaded.
    pub(crate) uploaded: BTreeSet<String>,
    pub(crate) complete: bool,
    pub(crate) exit_code: Option<i64>,
    pub(crate) preempting: bool,
    /// Someone pressed the stop button.
    pub(crate) stopped: bool,
    pub(crate) alerts: Vec<Alert>,
    /// Ids of the artifacts that this run made and used.
    pub(crate) logged: Vec<String>,
    pub(crate) used: Vec<String>,
    pub(crate) counts: Counts,
}

impl Run {
    pub(super) const HISTORY: &str = "wandb-history.jsonl";
    pub(super) const EVENTS: &str = "wandb-events.jsonl";
    pub(super) const SUMMARY: &str = "wandb-summary.json";
    pub(super) const OUTPUT: &str = "output.log";

    /// The rows of the history in order, non-finite numbers as strings.
    pub(crate) fn history(&self) -> Vec<Value> {
        self.lines(Self::HISTORY).into_iter().map(parsed).collect()
    }

    /// The rows of the system metrics.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.lines(Self::EVENTS).into_iter().map(parsed).collect()
    }

    /// The lines of the console.
    pub(crate) fn output(&self) -> Vec<&str> {
        self.lines(Self::OUTPUT)
    }

    /// The lines of a file of the stream, as sent.
    pub(crate) fn lines(&self, file: &str) -> Vec<&str> {
        let lines = self.streams.get(file).into_iter().flat_map(BTreeMap::values);
        lines.map(String::as_str).collect()
    }

    /// The summary, non-finite numbers as strings.
    pub(crate) fn summary(&self) -> Value {
        self.summary_text.as_deref().map_or(Value::Null, parsed)
    }

    /// The config without the `value` that wraps each key.
    pub(crate) fn config(&self) -> Value {
        let config = self.config_text.as_deref().map_or_else(|| json!({}), parsed);
        let keys = config.as_object().into_iter().flatten();
        keys.map(|(key, wrapped)| (key.clone(), wrapped["value"].clone())).collect()
    }

    /// One more than the number of the last line of a file.
    pub(super) fn line_count(&self, file: &str) -> u64 {
        let last = self.streams.get(file).and_then(|lines| lines.last_key_value());
        last.map_or(0, |(number, _)| number + 1)
    }

    /// A run as an answer tells of it, but for its project.
    pub(super) fn answer(&self) -> Map<String, Value> {
        let tail =
            |file| json!(self.lines(file).last().into_iter().collect::<Vec<_>>()).to_string();
        let mut answer = self.details.clone();
        let known = json!({
            "id": self.id, "name": self.name,
            "config": self.config_text, "summaryMetrics": self.summary_text,
            "state": self.status, "stopped": self.stopped,
            "historyLineCount": self.line_count(Self::HISTORY),
            "eventsLineCount": self.line_count(Self::EVENTS),
            "logLineCount": self.line_count(Self::OUTPUT),
            "historyTail": tail(Self::HISTORY), "eventsTail": tail(Self::EVENTS),
        });
        answer.extend(known.as_object().cloned().unwrap_or_default());
        answer
    }
}

/// A file of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunFile {
    /// How often an upload URL was asked for.
    pub(crate) requested: usize,
    /// How often the file was put.
    pub(crate) puts: usize,
    /// The bytes that were put last.
    pub(crate) stored: Option<Vec<u8>>,
    /// The headers of the last PUT.
    pub(crate) headers: Vec<(String, String)>,
}

impl RunFile {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.stored.as_deref().expect("the file was uploaded")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("the file is text")
    }

    pub(crate) fn md5(&self) -> String {
        encoding::hex(&encoding::md5(self.bytes()))
    }

    pub(crate) fn sha256(&self) -> String {
        encoding::hex(&encoding::sha256(self.bytes()))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alert {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) severity: Option<String>,
    pub(crate) wait_duration: Option<i64>,
}

/// How a run came to be what it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) upserts: usize,
    pub(crate) filestream_requests: usize,
    pub(crate) heartbeats: usize,
    pub(crate) gzip_requests: usize,
    /// Lines written again as they were, by file: what an idempotent retry makes.
    pub(crate) rewritten_same: BTreeMap<String, usize>,
    /// Lines replaced by others: for history and events, data that is lost.
    pub(crate) rewritten_different: BTreeMap<String, usize>,
    /// Requests that leave lines out.
    pub(crate) gaps: BTreeMap<String, usize>,
    pub(crate) data_after_complete: usize,
    pub(crate) complete_requests: usize,
}

/// An artifact version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Artifact {
    pub(crate) id: String,
    /// Entity, project and name.
    pub(crate) collection: [String; 3],
    pub(crate) kind: String,
    pub(crate) digest: String,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Option<Value>,
    pub(crate) aliases: BTreeSet<String>,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) client_id: Option<String>,
    /// The number of the version, once it is committed.
    pub(crate) version: Option<usize>,
    pub(crate) files: BTreeMap<String, ArtifactFile>,
    pub(crate) manifests: Vec<Manifest>,
}

impl Artifact {
    pub(crate) fn name(&self) -> &str {
        &self.collection[2]
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.version.is_some()
    }

    /// The `contents` of its manifest of this type.
    pub(crate) fn contents(&self, kind: &str) -> Value {
        let manifest = self.manifests.iter().find(|manifest| manifest.kind == kind);
        let body =
            manifest.and_then(|manifest| manifest.body.as_deref()).expect("a manifest is stored");
        parsed(std::str::from_utf8(body).expect("the manifest is text"))["contents"].clone()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct ArtifactFile {
    /// Base64 of the digest that was announced.
    pub(crate) md5: String,
    /// The server has the bytes.
    pub(crate) stored: bool,
    /// Bytes put for this version; `None` if an earlier one had them.
    pub(crate) size: Option<usize>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Manifest {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `FULL`, `INCREMENTAL` or `PATCH`.
    pub(crate) kind: String,
    pub(crate) digest: String,
    pub(crate) base: Option<String>,
    pub(crate) body: Option<Vec<u8>>,
}

fn parsed(text: &str) -> Value {
    wandb_json(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
