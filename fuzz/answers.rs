//! What must hold of uploading, whatever the server answers.

use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal::{
    AlertRecord, ArtifactManifest, ArtifactManifestEntry, ArtifactRecord, FilesItem, FilesRecord,
    HistoryItem, HistoryRecord, OutputRawRecord, RunExitRecord, RunRecord,
};
use wandb_offline::record::RecordKind;
use wandb_offline::sync::api::{Answer, Body, Request, RequestKind};
use wandb_offline::sync::{
    FileStatus, RunReport, RunStatus, Secret, Server, Stop, SyncOptions, Transport, TransportError,
    sync,
};

/// Answers, each behind two bytes of what it answers and how, and two of its length; where there is none, the
/// server is a sound one. The sync ends without a panic, and what it says is stored was acknowledged; a run that
/// is said to be stored whole is, and is not sent again; the key is nowhere.
pub fn answers(input: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = write_run(dir.path());
    let script = Scripted::new(input);
    let is_sound = script.answers.lock().expect("no panic").is_empty();
    let first = upload(dir.path(), &script);
    script.check(&first, &log);
    assert!(!is_sound || first.status == RunStatus::Synced, "a sound server: {first:?}");

    // The server comes to its senses.
    script.answers.lock().expect("no panic").clear();
    script.seen.lock().expect("no panic").requests = 0;
    let again = upload(dir.path(), &script);
    script.check(&again, &log);
    if first.status == RunStatus::Synced {
        assert_eq!(again.status, RunStatus::Already);
        assert_eq!(script.seen.lock().expect("no panic").requests, 0, "nothing is sent twice");
    }
}

/// Uploads the only run; its report holds no key, and tells of no panic.
fn upload(dir: &Path, script: &Scripted) -> RunReport {
    let mut server = Server::new("https://api.example.com", Secret::new(KEY)).expect("a URL");
    server.patience = server.patience.waiting_at_most(Duration::ZERO);
    server.patience.retries = 2;
    let mut options = SyncOptions::default();
    options.allow = vec![dir.to_owned()];
    options.include_synced = true;
    let mut report = sync(&[dir.to_owned()], &server, script, &options, &Stop::new(), &|_| {});
    let shown = format!("{report:?} {}", serde_json::to_string(&report).expect("JSON"));
    assert!(!shown.contains(KEY) && !shown.contains("there was a panic, which is"), "{shown}");
    assert_eq!((report.runs.len(), report.errors.len()), (1, 0), "{report:?}");
    report.runs.remove(0)
}

/// A server that answers as the input says.
struct Scripted {
    /// What is left to answer: the number of an operation, and the answer.
    answers: Mutex<Vec<(usize, Result<Answer, TransportError>)>>,
    seen: Mutex<Seen>,
}

/// What the server saw, and acknowledged.
#[derive(Default)]
struct Seen {
    requests: usize,
    /// The places of lines of the history.
    rows: BTreeSet<u64>,
    uploads: usize,
    complete: bool,
    /// It said itself which rows it has.
    claims: bool,
}

impl Scripted {
    fn new(mut input: &[u8]) -> Self {
        let mut answers = Vec::new();
        while let [operation, how, high, low, rest @ ..] = input {
            let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
            let (body, rest) = rest.split_at(length);
            input = rest;
            let answer = match STATUSES.get(usize::from(*how)) {
                Some(status) => Ok(Answer::new(*status, body.to_vec())),
                None if how % 2 == 0 => Err(TransportError::temporary("the line broke")),
                None => Err(TransportError::lasting("the line is not there")),
            };
            answers.push((usize::from(*operation) % OPERATIONS.len(), answer));
        }
        Self { answers: Mutex::new(answers), seen: Mutex::default() }
    }

    /// What the report says is stored was acknowledged.
    fn check(&self, report: &RunReport, log: &Path) {
        let seen = self.seen.lock().expect("no panic");
        let stored = report.receipt.rows as usize;
        assert!(stored <= seen.rows.len() || seen.claims, "{stored} of {:?}", seen.rows);
        let files = report.receipt.files.iter().filter(|file| file.status == FileStatus::Stored);
        assert!(files.count() <= seen.uploads, "{report:?}");
        let whole = matches!(report.status, RunStatus::Synced | RunStatus::Already);
        assert_eq!(whole, log.with_extension("wandb.synced").exists(), "{report:?}");
        if whole {
            assert!(report.problems.is_empty() && seen.complete, "{report:?}");
            assert!(report.receipt.files.iter().all(|file| file.status.is_stored()), "{report:?}");
            assert_eq!((stored, report.receipt.exit_code), (ROWS as usize, Some(0)));
        }
    }
}

impl Transport for Scripted {
    fn send(&self, request: &Request) -> Result<Answer, TransportError> {
        assert!(!format!("{request:?}").contains(KEY), "only the transport has the key");
        let name = request.kind.name();
        let mut answers = self.answers.lock().expect("no panic");
        let scripted = answers.iter().position(|(at, _)| OPERATIONS[*at] == name);
        let answer = match scripted.map(|at| answers.remove(at).1) {
            Some(answer) => answer,
            None => Ok(Answer::new(200, sound(request).into_bytes())),
        };
        let mut seen = self.seen.lock().expect("no panic");
        seen.requests += 1;
        seen.claims |= scripted.is_some() && name == "RunResumeStatus";
        if let Ok(answer) = &answer
            && is_acknowledgement(request.kind, answer)
        {
            seen.note(request);
        }
        answer
    }
}

impl Seen {
    fn note(&mut self, request: &Request) {
        match (&request.kind, &request.body) {
            (RequestKind::Upload, _) => self.uploads += 1,
            (RequestKind::FileStream, Body::Json(body)) => {
                let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
                let history = &body["files"]["wandb-history.jsonl"];
                let from = history["offset"].as_u64().unwrap_or_default();
                let lines = history["content"].as_array().map_or(0, Vec::len) as u64;
                self.rows.extend(from..from + lines);
                self.complete |= body["complete"] == true;
            }
            _ => {}
        }
    }
}

/// Whether an answer says that what was sent is stored: an object without complaints, or nothing; of an upload the
/// status is enough.
fn is_acknowledgement(kind: RequestKind, answer: &Answer) -> bool {
    let body = String::from_utf8_lossy(answer.body.trim_ascii());
    // What is passed over may be what no value can hold, such as a number without bounds.
    let is_object = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(&body).is_ok();
    let object = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&body);
    let complains = object.is_ok_and(|object| {
        object.get("errors").is_some_and(|errors| errors.as_array().is_none_or(|e| !e.is_empty()))
    });
    let says_so = body.is_empty() || (is_object && !complains);
    answer.is_success() && (kind == RequestKind::Upload || says_so)
}

/// What a sound server answers.
fn sound(request: &Request) -> String {
    let data = match request.kind {
        RequestKind::GraphQl("UpsertBucket") => {
            r#""upsertBucket":{"bucket":{"id":"b","name":"r1","displayName":"one","historyLineCount":0,
               "project":{"name":"p","entity":{"name":"e"}}},"inserted":true}"#
        }
        RequestKind::GraphQl("RunResumeStatus") => r#""model":{"bucket":null}"#,
        RequestKind::GraphQl("CreateRunFiles") => {
            let Body::Json(body) = &request.body else { return String::new() };
            let asked: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            let names = asked["variables"]["files"].as_array().expect("names").iter();
            let files: Vec<_> = names
                .map(|name| serde_json::json!({"name": name, "uploadUrl": "https://store/a"}))
                .collect();
            &format!(r#""createRunFiles":{{"files":{}}}"#, serde_json::Value::from(files))
        }
        RequestKind::GraphQl("CreateArtifact") => {
            r#""createArtifact":{"artifact":{"id":"a","state":"PENDING"}}"#
        }
        RequestKind::GraphQl("CreateArtifactManifest") => {
            r#""createArtifactManifest":{"artifactManifest":{"id":"m","file":{"uploadUrl":"https://store/m"}}}"#
        }
        RequestKind::GraphQl("CreateArtifactFiles") => {
            r#""createArtifactFiles":{"files":{"edges":[{"node":{"storagePath":"s",
               "uploadUrl":"https://store/s"}}]}}"#
        }
        RequestKind::GraphQl("CommitArtifact") => {
            r#""commitArtifact":{"artifact":{"id":"a","versionIndex":0}}"#
        }
        RequestKind::GraphQl("NotifyScriptableRunAlert") => {
            r#""notifyScriptableRunAlert":{"success":true}"#
        }
        RequestKind::GraphQl(_) => r#""serverInfo":{"features":[]}"#,
        _ => return String::new(),
    };
    format!("{{\"data\":{{{data}}}}}")
}

/// A run of some rows, with a line of console output, a file, an artifact and an alert.
fn write_run(dir: &Path) -> PathBuf {
    let run = dir.join("offline-run-20260102_030405-r1");
    fs::create_dir_all(run.join("files")).expect("room");
    fs::write(run.join("files/a.txt"), "first").expect("room");
    let text = |text: &str| text.to_owned();
    let mut log = LogWriter::new(Vec::new(), "log");
    let head = RunRecord { run_id: text("r1"), project: text("p"), ..RunRecord::default() };
    log.message(RecordKind::Run, &head).expect("memory");
    for row in 0..ROWS {
        let item = |key: &str, value: u64| HistoryItem {
            nested_key: vec![text(key)],
            value_json: value.to_string(),
            ..HistoryItem::default()
        };
        let item = vec![item("_step", row), item("loss", row)];
        let row = HistoryRecord { item, ..HistoryRecord::default() };
        log.message(RecordKind::History, &row).expect("memory");
    }
    let line = OutputRawRecord { line: text("hello\n"), ..OutputRawRecord::default() };
    log.message(RecordKind::OutputRaw, &line).expect("memory");
    let file = FilesItem { path: text("a.txt"), ..FilesItem::default() };
    let files = FilesRecord { files: vec![file], ..FilesRecord::default() };
    log.message(RecordKind::Files, &files).expect("memory");
    let alert = AlertRecord { title: text("look"), ..AlertRecord::default() };
    log.message(RecordKind::Alert, &alert).expect("memory");
    let local = run.join("files/a.txt");
    log.message(RecordKind::Artifact, &artifact(&local)).expect("memory");
    log.message(RecordKind::Exit, &RunExitRecord::default()).expect("memory");
    log.flush().expect("memory");
    let path = run.join("run-r1.wandb");
    fs::write(&path, log.get_ref()).expect("room");
    path
}

fn artifact(local: &Path) -> ArtifactRecord {
    let entry = ArtifactManifestEntry {
        path: "a.txt".to_owned(),
        // The MD5 of what is in the file.
        digest: "iwTV43ddKY54RV78XKQE1Q==".to_owned(),
        size: 5,
        local_path: local.to_str().expect("text").to_owned(),
        ..ArtifactManifestEntry::default()
    };
    let manifest = ArtifactManifest {
        version: 1,
        storage_policy: "wandb-storage-policy-v1".to_owned(),
        contents: vec![entry],
        ..ArtifactManifest::default()
    };
    ArtifactRecord {
        run_id: "r1".to_owned(),
        project: "p".to_owned(),
        name: "data".to_owned(),
        r#type: "dataset".to_owned(),
        digest: "d".to_owned(),
        client_id: "c".to_owned(),
        finalize: true,
        manifest: Some(manifest),
        ..ArtifactRecord::default()
    }
}

const OPERATIONS: [&str; 11] = [
    "UpsertBucket",
    "RunResumeStatus",
    "CreateRunFiles",
    "file_stream",
    "upload",
    "CreateArtifact",
    "CreateArtifactManifest",
    "CreateArtifactFiles",
    "CommitArtifact",
    "NotifyScriptableRunAlert",
    "ServerFeaturesQuery",
];

const STATUSES: [u16; 16] =
    [200, 201, 204, 301, 308, 400, 401, 403, 404, 408, 409, 410, 429, 500, 501, 503];

const ROWS: u64 = 3;

const KEY: &str = "0123456789abcdef0123456789abcdef01234567";
