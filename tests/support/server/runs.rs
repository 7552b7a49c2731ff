//! The GraphQL operations on runs and their files.

use super::encoding::{base64, md5, percent_encode};
use super::json::wandb_json;
use super::service::{Refused, World};
use super::state::{Alert, Run, RunFile};
use super::storage::Upload;
use serde_json::{Map, Value, json};

/// Arguments of `upsertBucket` that are kept, and what answers call them.
const DETAILS: [(&str, &str); 11] = [
    ("displayName", "displayName"),
    ("description", "description"),
    ("notes", "notes"),
    ("groupName", "groupName"),
    ("jobType", "jobType"),
    ("commit", "commit"),
    ("host", "host"),
    ("jobProgram", "program"),
    ("jobRepo", "repo"),
    ("sweep", "sweepName"),
    ("tags", "tags"),
];

/// The text of an argument; `None` if it is not there, null or no string.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object[name].as_str()
}

/// The text of an argument, or what an empty one stands for.
fn text_or(object: &Value, name: &str, default: &str) -> String {
    text(object, name).filter(|text| !text.is_empty()).unwrap_or(default).to_owned()
}

/// The strings of a list.
pub(super) fn texts(list: &Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|text| Some(text.as_str()?.to_owned()))
        .collect()
}

/// An id such as servers give: base64 of words.
pub(super) fn id(kind: &str, words: &[&str]) -> String {
    base64(format!("{kind}:v1:{}", words.join(":")).as_bytes())
}

impl World {
    pub(super) fn viewer(&self) -> Value {
        let teams = self.config.teams.iter();
        let teams: Vec<_> = teams.map(|team| json!({ "node": entity(team) })).collect();
        json!({
            "id": id("User", &["test-user"]), "username": "test-user", "email": "test@example.invalid",
            "entity": self.config.entity, "flags": "{}", "teams": { "edges": teams },
        })
    }

    pub(super) fn server_info(&self) -> Value {
        let features = self.config.features.iter();
        let features: Vec<_> =
            features.map(|(name, on)| json!({ "name": name, "isEnabled": on })).collect();
        json!({ "features": features })
    }

    pub(super) fn project(&self, arguments: &Value) -> Value {
        let entity = text_or(arguments, "entityName", &self.config.entity);
        project(&entity, &text_or(arguments, "name", &self.config.default_project))
    }

    /// A run of a project.
    pub(super) fn bucket(&self, project: &Value, arguments: &Value) -> Result<Value, Refused> {
        let entity = text(&project["entity"], "name").unwrap_or_default();
        let project = text(project, "name").unwrap_or_default();
        let name = text(arguments, "name").unwrap_or_default();
        match self.state.runs.get(&format!("{entity}/{project}/{name}")) {
            Some(run) => Ok(answer(run)),
            None if arguments["missingOk"] == true => Ok(Value::Null),
            None => Err(Refused::new(404, "run not found during fetching")),
        }
    }

    pub(super) fn upsert_bucket(&mut self, input: &Value) -> Result<Value, Refused> {
        let (key, inserted) = self.upserted(input)?;
        if let Some(config) = text(input, "config").and_then(|text| wandb_json(text).ok()) {
            let keys = config.as_object().into_iter().flatten();
            for (key, _) in keys.filter(|(_, entry)| entry.get("value").is_none()) {
                self.state.violation(format_args!("the config entry {key} has no value"));
            }
        }
        let run = self.state.runs.get_mut(&key).expect("it was there");
        run.counts.upserts += 1;
        if run.complete {
            // A later writer takes the run up again.
            run.status = "running";
        }
        for (argument, detail) in DETAILS {
            let value = &input[argument];
            if !value.is_null() {
                run.details.insert(detail.to_owned(), value.clone());
            }
        }
        let keep = |kept: &mut Option<String>, argument| {
            if let Some(given) = text(input, argument) {
                *kept = Some(given.to_owned());
            }
        };
        keep(&mut run.config_text, "config");
        keep(&mut run.summary_text, "summaryMetrics");
        Ok(json!({ "bucket": answer(run), "inserted": inserted }))
    }

    /// The key of the run that an upsert is about, and whether it is new.
    fn upserted(&mut self, input: &Value) -> Result<(String, bool), Refused> {
        if let Some(id) = text(input, "id") {
            let mut runs = self.state.runs.iter();
            let found = runs.find(|(_, run)| run.id == id).map(|(key, _)| (key.clone(), false));
            return found.ok_or_else(|| Refused::new(404, "run not found"));
        }
        let entity = text_or(input, "entityName", &self.config.entity);
        if !self.config.teams.contains(&entity) {
            let message = format!("permission denied: entity {entity:?} not found");
            return Err(Refused::new(404, message));
        }
        let project = text_or(input, "modelName", &self.config.default_project);
        let number = self.state.runs.len() + 1;
        let name = text_or(input, "name", &format!("run{number:05}"));
        let key = format!("{entity}/{project}/{name}");
        let inserted = !self.state.runs.contains_key(&key);
        self.state.runs.entry(key.clone()).or_insert_with(|| Run {
            id: id("Run", &[&name, &project, &entity]),
            details: Map::from_iter([(
                "displayName".to_owned(),
                json!(format!("test-run-{number}")),
            )]),
            status: "running",
            entity,
            project,
            name,
            ..Run::default()
        });
        Ok((key, inserted))
    }

    /// The run that the arguments of a mutation name.
    pub(super) fn named_run(&mut self, input: &Value) -> Result<(String, &mut Run), Refused> {
        let entity = text_or(input, "entityName", &self.config.entity);
        let project = text_or(input, "projectName", &self.config.default_project);
        let key = format!("{entity}/{project}/{}", text(input, "runName").unwrap_or_default());
        match self.state.runs.get_mut(&key) {
            Some(run) => Ok((key, run)),
            None => Err(Refused::new(404, format!("run {key} not found"))),
        }
    }

    pub(super) fn create_run_files(&mut self, input: &Value) -> Result<Value, Refused> {
        let (key, run) = self.named_run(input)?;
        let run_id = run.id.clone();
        let mut files = Vec::new();
        for name in texts(&input["files"]) {
            if name.starts_with('/')
                || name.contains('\\')
                || name.split('/').any(|part| part == "..")
            {
                return Err(Refused::new(400, format!("invalid file name {name:?}")));
            }
            let run = self.state.runs.get_mut(&key).expect("it was there");
            run.files.entry(name.clone()).or_default().requested += 1;
            let path = format!("runs/{}", percent_encode(&format!("{key}/{name}")));
            let upload = Upload::RunFile { run: key.clone(), name: name.clone() };
            files.push(json!({
                "id": id("File", &[&run_id, &name]), "name": name, "uploadUrl": self.signed_url(&path, upload),
                "uploadHeaders": self.upload_headers(&[]),
            }));
        }
        Ok(json!({ "runID": run_id, "uploadHeaders": self.upload_headers(&[]), "files": files }))
    }

    /// The files of a run that are there, those of some names.
    pub(super) fn run_files(&self, run: &Value, arguments: &Value) -> Value {
        let found = self.state.runs.values().find(|found| run["id"] == found.id.as_str());
        let names = arguments["names"].is_array().then(|| texts(&arguments["names"]));
        let first = arguments["first"].as_u64().unwrap_or(50);
        let files = found.into_iter().flat_map(|run| &run.files);
        let files = files.filter(|(name, file)| {
            file.stored.is_some() && names.as_ref().is_none_or(|names| names.contains(name))
        });
        let node = |(name, file): (&String, &RunFile)| {
            let (size, md5) = (file.bytes().len(), base64(&md5(file.bytes())));
            json!({ "node": { "name": name, "sizeBytes": size, "md5": md5 } })
        };
        json!({ "edges": files.take(first as usize).map(node).collect::<Vec<_>>() })
    }

    pub(super) fn mark_run_files_uploaded(&mut self, input: &Value) -> Result<Value, Refused> {
        let (_, run) = self.named_run(input)?;
        run.uploaded.extend(texts(&input["files"]));
        Ok(json!({ "success": true }))
    }

    pub(super) fn notify_run_alert(&mut self, input: &Value) -> Result<Value, Refused> {
        let owned = |name| text(input, name).map(str::to_owned);
        let alert = Alert {
            title: owned("title").unwrap_or_default(),
            text: owned("text").unwrap_or_default(),
            severity: owned("severity"),
            wait_duration: input["waitDuration"].as_i64(),
        };
        self.named_run(input)?.1.alerts.push(alert);
        Ok(json!({ "success": true }))
    }

    /// Forgets the rows after some value of a metric.
    pub(super) fn rewind_run(&mut self, input: &Value) -> Result<Value, Refused> {
        let metric = text(input, "metricName").unwrap_or_default();
        let value = input["metricValue"].as_f64().unwrap_or_default();
        let (_, run) = self.named_run(input)?;
        if let Some(history) = run.streams.get_mut(Run::HISTORY) {
            history.retain(|_, line| {
                let row = wandb_json(line).unwrap_or_default();
                row[metric].as_f64().is_none_or(|other| other <= value)
            });
        }
        Ok(json!({ "rewoundRun": answer(run) }))
    }
}

fn entity(name: &str) -> Value {
    json!({ "id": id("Entity", &[name]), "name": name })
}

fn project(of: &str, name: &str) -> Value {
    json!({ "id": id("Project", &[name, of]), "name": name, "entity": entity(of) })
}

fn answer(run: &Run) -> Value {
    let mut answer = run.answer();
    answer.insert("project".to_owned(), project(&run.entity, &run.project));
    Value::Object(answer)
}
