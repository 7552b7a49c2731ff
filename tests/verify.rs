//! What `verify` finds in logs, run directories and event files; one test for each kind of finding.

use std::fs;
use std::path::{Path, PathBuf};
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal as pb;
use wandb_offline::record::RecordKind;
use wandb_offline::tfevents::SummaryWriter;
use wandb_offline::verify::{self, Options, Report, Severity, Skip, Verdict};

/// A run directory in the making.
struct Run {
    root: tempfile::TempDir,
    log: LogWriter,
}

impl Run {
    /// A run with nothing but its run record.
    fn new() -> Self {
        let mut run = Self::empty();
        run.put(RecordKind::Run, &pb::RunRecord { run_id: "r".into(), ..Default::default() });
        run
    }

    fn empty() -> Self {
        let root = tempfile::tempdir().expect("temporary directory");
        let dir = root.path().join(DIR);
        fs::create_dir_all(dir.join("files")).expect("writable");
        let log = LogWriter::create(dir.join("run-r.wandb")).expect("creatable");
        Self { root, log }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join(DIR)
    }

    fn put(&mut self, kind: RecordKind, message: &impl prost::Message) -> &mut Self {
        self.log.message(kind, message).expect("written");
        self
    }

    fn row(&mut self, step: i64, items: &[(&[&str], &str)]) -> &mut Self {
        let item = items.iter().map(|(path, json)| pb::HistoryItem {
            nested_key: path.iter().map(|element| (*element).into()).collect(),
            value_json: (*json).into(),
            ..Default::default()
        });
        let (item, step) = (item.collect(), Some(pb::HistoryStep { num: step }));
        self.put(RecordKind::History, &pb::HistoryRecord { item, step, ..Default::default() })
    }

    fn listed(&mut self, path: &str) -> &mut Self {
        let files = vec![pb::FilesItem { path: path.into(), ..Default::default() }];
        self.put(RecordKind::Files, &pb::FilesRecord { files, ..Default::default() })
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.dir().join("files").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
        fs::write(path, content).expect("writable");
    }

    /// Ends the run and verifies it.
    fn verified(&mut self) -> Report {
        self.put(RecordKind::Exit, &pb::RunExitRecord::default());
        self.as_it_is()
    }

    fn as_it_is(&mut self) -> Report {
        self.log.flush().expect("written");
        verified(self.log.path())
    }
}

const DIR: &str = "offline-run-20260102_030405-r";

fn verified(path: &Path) -> Report {
    verify::verify(path, &Options::default()).expect("readable")
}

/// The findings but for notes, as text.
#[track_caller]
fn found(report: &Report, want: &[(Severity, &str, &str)]) {
    let all: Vec<_> = report.findings.iter().collect();
    for (severity, code, text) in want {
        let finding = all.iter().find(|finding| finding.code() == *code);
        let finding = finding.unwrap_or_else(|| panic!("no {code} in {all:?}"));
        assert_eq!(finding.severity(), *severity, "{finding}");
        assert!(finding.to_string().contains(text), "{finding}");
    }
    let known = |code| want.iter().any(|(_, known, _)| *known == code);
    let more = all.iter().find(|found| found.severity() > Note && !known(found.code()));
    assert!(more.is_none(), "not expected: {}", more.expect("some"));
}

use Severity::{Error, Note, Warning};

#[test]
fn what_our_writer_wrote_is_clean() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let options = wandb_offline::Writer::options().dir(folder.path()).project("p");
    let run = options.config([("max_tokens", 512)]).and_then(|options| options.create());
    let run = run.expect("created");
    for i in 0..500 {
        run.log([("loss", 1.0 / f64::from(i + 1)), ("lr", 0.1)]).expect("logged");
    }
    run.finish().expect("finished");
    let report = verified(run.path());
    assert_eq!((report.verdict(), report.findings.iter().count()), (Verdict::Clean, 0));
    assert_eq!(report.rows, 500);
    let sync = report.sync.expect("a log has a forecast").to_string();
    assert_eq!(sync, "uploads it, as finished");
}

#[test]
fn what_was_recovered_is_clean() {
    use wandb_offline::recover::{Options, recover};
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut damaged =
        fs::read("fixtures/wandb/0.31.0/define_metric/run-defmet01.wandb").expect("readable");
    damaged[2000] ^= 0xff;
    let cut = fs::read("fixtures/wandb/0.31.0/killed/run-killed01.wandb").expect("readable");
    let dir = folder.path().join(DIR);
    fs::create_dir_all(dir.join("files")).expect("writable");
    fs::write(dir.join("files/requirements.txt"), "").expect("writable");
    for (name, bytes) in [("damaged", &damaged[..]), ("cut", &cut[..cut.len() - 100])] {
        let log = dir.join("run-r.wandb");
        fs::write(&log, bytes).expect("writable");
        assert_ne!(verified(&log).verdict(), Verdict::Clean, "{name}");
        let output = Some(folder.path().join(name));
        recover(&dir, &Options { output, ..Options::default() }).expect("recovered");
        let recovered = verified(&folder.path().join(name).join("run-r.wandb"));
        let findings: Vec<_> = recovered.findings.iter().collect();
        assert_eq!(recovered.verdict(), Verdict::Clean, "{name}: {findings:?}");
    }
}

#[test]
fn official_logs_have_no_errors_but_the_files_that_are_not_beside_them() {
    let (logs, errors) = verify::find("fixtures/wandb");
    assert!(errors.is_empty() && logs.len() > 10);
    for log in logs {
        let report = verified(&log);
        let beside = ["no-files", "missing-artifact-file", "missing-file", "cut", "after-exit"];
        for finding in report.findings.iter().filter(|found| found.severity() > Note) {
            assert!(beside.contains(&finding.code()), "{}: {finding}", log.display());
        }
    }
}

#[test]
fn damaged_bytes_are_found_and_said_where() {
    let mut run = Run::new();
    run.row(0, &[(&["loss"], "1")]).row(1, &[(&["loss"], "2")]).verified();
    let mut bytes = fs::read(run.log.path()).expect("readable");
    bytes[25] ^= 1;
    fs::write(run.log.path(), &bytes).expect("writable");
    let report = verified(run.log.path());
    found(
        &report,
        &[(Error, "gap", "byte 22: 25 bytes up to 47 hold no readable record: chunk checks")],
    );
    found(&report, &[(Error, "gap", ""), (Note, "number-hole", "number 3 follows 1")]);
    assert_eq!(report.sync.and_then(|sync| sync.stops_at), Some(22));
}

#[test]
fn a_file_that_is_cut_off_says_so() {
    let mut run = Run::new();
    run.row(0, &[(&["loss"], "1")]).verified();
    let bytes = fs::read(run.log.path()).expect("readable");
    fs::write(run.log.path(), &bytes[..bytes.len() - 2]).expect("writable");
    let report = verified(run.log.path());
    found(&report, &[(Warning, "cut", "cut inside a record's bytes"), (Note, "no-exit", "")]);
    fs::write(run.log.path(), "").expect("writable");
    let report = verified(run.log.path());
    found(&report, &[(Warning, "cut", "empty file"), (Error, "no-run", "cannot be synced")]);
    assert!(report.sync.is_some_and(|sync| sync.aborts));
}

#[test]
fn blocks_that_begin_late_are_told() {
    let mut run = Run::new();
    let text = format!("\"{}\"", "x".repeat(32_000));
    run.row(0, &[(&["t"], &text)]).row(1, &[(&["t"], &text)]).verified();
    // Framed anew with blocks counted from behind the header.
    let mut reader = wandb_offline::Reader::open(run.log.path()).expect("readable");
    let mut bytes = b":W&B\xe1\xbe\x00".to_vec();
    let mut encoder = wandb_offline::framing::block_log::BlockEncoder::resume(0);
    while let Some(record) = reader.next_record().expect("sound") {
        encoder.record(record.payload, &mut bytes);
    }
    fs::write(run.log.path(), bytes).expect("writable");
    found(&verified(run.log.path()), &[(Warning, "shifted-blocks", "before wandb 0.17.6")]);
}

#[test]
fn records_that_are_no_messages_or_of_no_known_kind_are_told() {
    let mut run = Run::new();
    run.log.record(RecordKind::History, &[0x0a, 0x7f]).expect("written");
    run.log.fields(&[0xea, 0x02, 0]).expect("written");
    let report = run.verified();
    let malformed = "record 2, byte 22: checksum right but no valid message";
    found(&report, &[(Error, "malformed", malformed), (Note, "unknown-kinds", "unknown here: 1")]);
}

#[test]
fn numbers_that_repeat_go_back_or_leave_out_are_told() {
    let mut run = Run::new();
    let mut payloads = Vec::new();
    run.row(0, &[]).row(1, &[]).row(2, &[]).verified();
    let mut reader = wandb_offline::Reader::open(run.log.path()).expect("readable");
    while let Some(record) = reader.next_record().expect("sound") {
        payloads.push(record.payload.to_vec());
    }
    let framed = |numbers: &[usize]| {
        let mut bytes = b":W&B\xe1\xbe\x00".to_vec();
        let mut encoder = wandb_offline::framing::block_log::BlockEncoder::resume(7);
        for n in numbers {
            encoder.record(&payloads[n - 1], &mut bytes);
        }
        fs::write(run.log.path(), bytes).expect("writable");
        verified(run.log.path())
    };
    let repeated = framed(&[1, 2, 2, 3, 4, 5]);
    let again = (Warning, "step-repeated", "record 3");
    found(&repeated, &[(Warning, "number-repeated", "number 2 a second time"), again]);
    let back = framed(&[1, 2, 3, 2, 5]);
    let step = (Warning, "step-back", "step 0: step lies behind 1");
    found(&back, &[(Warning, "number-back", "number 2 behind 3"), step]);
    found(&framed(&[1, 2, 4, 5]), &[(Note, "number-hole", "number 4 follows 2")]);
}

#[test]
fn how_the_run_ended_is_a_note() {
    let report = Run::new().row(0, &[]).as_it_is();
    found(&report, &[(Note, "no-exit", "the run goes on, or it crashed")]);
    assert_eq!(report.verdict(), Verdict::Clean);
    assert!(report.sync.is_some_and(|sync| sync.fails));
    let exit = pb::RunExitRecord { exit_code: 3, ..Default::default() };
    let mut run = Run::new();
    run.put(RecordKind::Exit, &exit);
    found(&run.as_it_is(), &[(Note, "exit-code", "ended with exit code 3")]);
    let mut run = Run::new();
    run.put(RecordKind::Exit, &pb::RunExitRecord::default()).row(0, &[]);
    found(&run.as_it_is(), &[(Warning, "after-exit", "drops them")]);
}

#[test]
fn old_releases_are_named() {
    let log = "fixtures/wandb/0.12.21/minimal/run-minimal1.wandb";
    let report = verified(Path::new(log));
    assert!(report.findings.iter().any(|f| f.to_string() == "written by wandb 0.12.21"));
}

#[test]
fn steps_that_repeat_or_go_back_are_told_with_their_rows() {
    let report = Run::new().row(5, &[]).row(3, &[]).row(3, &[]).verified();
    let back = (Warning, "step-back", "step 3: step lies behind 5");
    found(&report, &[back, (Warning, "step-repeated", "record 4, byte")]);
}

#[test]
fn the_first_value_of_a_key_that_is_not_finite_is_a_note() {
    let row: &[(&[&str], &str)] = &[(&["loss"], "NaN"), (&["a", "b"], "[1,-Infinity]")];
    let mut run = Run::new();
    run.row(0, &[(&["loss"], "1")]).row(1, row).row(2, row);
    run.row(3, &[(&["text"], "\"NaN\"")]);
    let report = run.verified();
    assert_eq!((report.verdict(), report.findings.count(Note)), (Verdict::Clean, 2));
    found(&report, &[(Note, "not-finite", "record 3, byte")]);
    let texts: Vec<_> = report.findings.iter().map(|finding| finding.problem.to_string()).collect();
    assert_eq!(texts, ["first NaN of \"loss\"", "first -Infinity of \"a.b\""]);
}

#[test]
fn values_that_the_official_client_refuses_are_told() {
    let report = Run::new().row(0, &[(&["bad"], "{1")]).verified();
    found(&report, &[(Warning, "not-json", "value of \"bad\" is not JSON")]);
    let mut run = Run::new();
    let value = Some(pb::history_item::Value::Number(0.5));
    let item = vec![pb::HistoryItem { key: "t".into(), value, ..Default::default() }];
    run.put(RecordKind::History, &pb::HistoryRecord { item, ..Default::default() });
    found(&run.verified(), &[(Error, "only-typed", "\"t\" has no JSON form")]);
}

#[test]
fn lines_too_long_to_be_uploaded_are_told_and_those_nearly_so_noted() {
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    let mut run = Run::new();
    run.row(0, &[(&["t"], &text(10_383_361))]).row(1, &[(&["t"], &text(9_000_000))]);
    let too_long = (Error, "too-long", "row of 10383369 bytes, more than the 10383360");
    found(&run.verified(), &[too_long, (Note, "nearly-too-long", "record 3")]);
    let mut run = Run::new();
    let update = vec![pb::SummaryItem {
        key: "t".into(),
        value_json: text(10_383_361),
        ..Default::default()
    }];
    run.put(RecordKind::Summary, &pb::SummaryRecord { update, ..Default::default() });
    found(&run.verified(), &[(Error, "too-long", "summary of 10383369 bytes")]);
}

#[test]
fn more_keys_than_anyone_can_look_at_are_told() {
    let mut run = Run::new();
    let keys: Vec<String> = (0..10_001).map(|i| format!("k{i}")).collect();
    for key in &keys {
        run.row(1, &[(&[key], "1")]);
    }
    let report = run.verified();
    found(&report, &[(Warning, "many-keys", "10001 different"), (Warning, "step-repeated", "")]);
    let more: Vec<_> = report.findings.more().collect();
    assert_eq!(more, [("step-repeated", Warning, 9980)], "only so many are kept");
}

/// An image as the Go client logs it: one item for each member.
fn image(path: &str, size: usize, sha256: &str) -> Vec<(Vec<String>, String)> {
    let members = [
        ("_type", "\"image-file\"".to_owned()),
        ("path", format!("\"{path}\"")),
        ("size", size.to_string()),
        ("sha256", format!("\"{sha256}\"")),
    ];
    let members = members.into_iter();
    members.map(|(name, json)| (vec!["img".to_owned(), name.to_owned()], json)).collect()
}

fn put_image(run: &mut Run, step: i64, image: &[(Vec<String>, String)]) {
    let paths: Vec<Vec<&str>> =
        image.iter().map(|(path, _)| path.iter().map(String::as_str).collect()).collect();
    let items: Vec<(&[&str], &str)> =
        paths.iter().zip(image).map(|(path, (_, json))| (&path[..], json.as_str())).collect();
    run.row(step, &items);
}

/// The SHA-256 of `abc`, from FIPS 180.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn media_files_are_looked_up_and_compared_with_what_the_log_says() {
    let mut run = Run::new();
    run.file("media/a.png", "abc");
    run.file("media/b.png", "abd");
    put_image(&mut run, 0, &image("media/a.png", 3, ABC));
    let report = run.as_it_is();
    assert_eq!(report.verdict(), Verdict::Clean);
    put_image(&mut run, 1, &image("media/b.png", 3, ABC));
    put_image(&mut run, 2, &image("media/a2.png", 3, ABC));
    run.file("media/c.png", "abc");
    put_image(&mut run, 3, &image("media/c.png", 4, ABC));
    let report = run.verified();
    found(
        &report,
        &[
            (Error, "file-digest", "step 1: \"media/b.png\" has another SHA-256"),
            (Error, "missing-file", "step 2: \"media/a2.png\" is not under files/"),
            (Error, "file-size", "step 3: \"media/c.png\" has 3 bytes, want 4"),
        ],
    );
}

#[test]
fn listed_files_must_be_there_and_inside() {
    let mut run = Run::new();
    run.file("model.pt", "x");
    run.listed("model.pt").listed("gone.pt").listed("../../secret").listed("config.yaml");
    let report = run.verified();
    let missing = (Error, "missing-file", "\"gone.pt\" is not under files/");
    found(&report, &[missing, (Error, "outside-files", "\"../../secret\" leads out of files/")]);
    assert_eq!(report.findings.count(Error), 2);
    fs::remove_dir_all(run.dir().join("files")).expect("removable");
    let report = run.as_it_is();
    assert!(report.findings.iter().any(|f| f.to_string().starts_with("no files/ here")));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_run_directory_and_to_nowhere_are_told() {
    use std::os::unix::fs::symlink;
    let mut run = Run::new();
    let target = run.root.path().join("data.csv");
    fs::write(&target, "1").expect("writable");
    let files = run.dir().join("files");
    symlink(&target, files.join("data.csv")).expect("links");
    symlink("nowhere", files.join("broken")).expect("links");
    run.file("real", "x");
    symlink("real", files.join("inside")).expect("links");
    let report = run.verified();
    let out = (Warning, "link-out", "\"data.csv\" is a link out of the run directory, to");
    found(&report, &[out, (Error, "missing-file", "\"broken\" is not under files/")]);
}

#[test]
fn files_of_artifacts_are_looked_up_where_they_were_staged() {
    let mut run = Run::new();
    let staged = run.root.path().join("staged");
    fs::write(&staged, "abc").expect("writable");
    let entry = |path: &Path, size| pb::ArtifactManifestEntry {
        local_path: path.display().to_string(),
        size,
        ..Default::default()
    };
    let gone = run.root.path().join("gone");
    let contents = vec![entry(&staged, 3), entry(&staged, 4), entry(&gone, 1)];
    let manifest = Some(pb::ArtifactManifest { contents, ..Default::default() });
    let artifact = pb::ArtifactRecord { name: "data".into(), manifest, ..Default::default() };
    run.put(RecordKind::Artifact, &artifact);
    found(
        &run.verified(),
        &[
            (Error, "missing-artifact-file", "artifact \"data\" is not there"),
            (Error, "artifact-file-size", "has 3 bytes, want 4"),
            (Note, "artifact-outside", "outside the run directory: 2"),
        ],
    );
}

#[test]
fn secrets_are_told_by_place_and_never_shown() {
    let key = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";
    let mut run = Run::new();
    let update = vec![
        pb::ConfigItem { key: "k".into(), value_json: format!("\"{key}\""), ..Default::default() },
        pb::ConfigItem {
            key: "num_memory_tokens".into(),
            value_json: "128".into(),
            ..Default::default()
        },
    ];
    run.put(RecordKind::Config, &pb::ConfigRecord { update, ..Default::default() });
    for line in ["key: ", &key[..9], &key[9..], "\n"] {
        let line = pb::OutputRawRecord { line: line.into(), ..Default::default() };
        run.put(RecordKind::OutputRaw, &line);
    }
    let report = run.verified();
    let text = "wandb api key 9f86... (40 bytes) in config.update \"k\"";
    found(&report, &[(Warning, "secret", text)]);
    let all: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[1].contains("console output") && !all.iter().any(|text| text.contains(key)));
    let without = Options { secrets: None, ..Options::default() };
    let report = verify::verify(run.log.path(), &without).expect("readable");
    assert_eq!(report.verdict(), Verdict::Clean);
}

#[test]
fn what_sync_would_do_depends_on_names_and_marks() {
    let mut run = Run::new();
    run.verified();
    let beside = |name: &str| run.dir().join(format!("run-r.wandb{name}"));
    fs::write(beside(".syncstate"), "{}").expect("writable");
    let report = verified(run.log.path());
    found(&report, &[(Note, "interrupted-sync", "another `wandb sync` repeats them")]);
    fs::write(beside(".synced"), "").expect("writable");
    let report = verified(run.log.path());
    let sync = report.sync.expect("a forecast");
    assert_eq!((sync.skip, sync.doubles), (Some(Skip::Synced), true));
    let lone = run.root.path().join("run-r.wandb");
    fs::copy(run.log.path(), &lone).expect("copies");
    let sync = verified(&lone).sync.expect("a forecast");
    assert_eq!((sync.skip, sync.doubles), (Some(Skip::Online), false));
    assert!(sync.to_string().contains("not named offline-*"), "{sync}");
}

#[test]
fn a_compressed_log_is_not_found_by_wandb_sync() {
    let report = verified(Path::new("fixtures/compressed/run-killed01.wandb.gz"));
    let sync = report.sync.expect("a forecast");
    assert_eq!(sync.skip, Some(Skip::Compressed));
    let said = "does not find a compressed log; decompress it first, or use `wandb-offline sync`";
    assert_eq!(sync.to_string(), said);
}

#[test]
fn event_files_are_verified_too() {
    let fixture = |name: &str| {
        let (files, _) = verify::find(Path::new("fixtures/tensorboard/synthetic").join(name));
        verified(&files[0])
    };
    let gap = "byte 116: 39 bytes up to 155 hold no readable record: data checksum";
    found(&fixture("corrupt_data_byte"), &[(Error, "gap", gap)]);
    found(&fixture("trunc_in_data"), &[(Warning, "cut", "cut inside a record's bytes")]);
    found(&fixture("invalid_utf8_tag"), &[(Error, "malformed", "no valid message")]);
    let back = "step 3: \"x\" goes back from step 5; TensorBoard hides";
    found(&fixture("out_of_order_v2"), &[(Warning, "series-back", back)]);
    found(&fixture("wall_time_nan"), &[(Note, "no-wall-time", "record 3")]);
    found(&fixture("session_start_twice"), &[(Note, "wall-time-back", "back by 2.000 s")]);
    let (files, _) = verify::find("fixtures/tensorboard/tensorboardX/nan_inf");
    found(&verified(&files[0]), &[(Note, "not-finite", "first NaN of \"x\"")]);
}

#[test]
fn what_our_event_writer_wrote_is_clean() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut log = SummaryWriter::create(folder.path()).expect("created");
    for step in 0..10 {
        log.scalar("loss", step, 0.5).expect("logged");
    }
    log.finish().expect("finished");
    let (files, _) = verify::find(folder.path());
    let report = verified(&files[0]);
    assert_eq!((report.verdict(), report.findings.iter().count()), (Verdict::Clean, 0));
    assert_eq!((report.rows, report.sync), (10, None));
}

#[test]
fn versions_of_event_files_are_noted() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("events.out.tfevents.1.host");
    let event = |what| wandb_offline::proto::tensorboard::Event { what, ..Default::default() };
    use wandb_offline::proto::tensorboard::event::What::FileVersion;
    for (what, code) in [(None, "no-file-version"), (Some("brain.Event:1"), "file-version")] {
        let message = prost::Message::encode_to_vec(&event(what.map(|v| FileVersion(v.into()))));
        let mut bytes = Vec::new();
        wandb_offline::framing::tfrecord::encode(&message, &mut bytes);
        fs::write(&path, bytes).expect("writable");
        found(&verified(&path), &[(Note, code, "record 1")]);
    }
}

#[test]
fn what_is_no_log_is_an_error_and_no_report() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("x.wandb");
    fs::write(&path, "this is no log").expect("writable");
    let error = verify::verify(&path, &Options::default()).expect_err("no log");
    assert!(error.to_string().starts_with("not a W&B log"), "{error}");
}

#[test]
fn no_damage_makes_it_fail_and_what_is_lost_is_always_told() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("run-edge0001.wandb");
    let sound = fs::read("fixtures/wandb/0.31.0/edge/run-edge0001.wandb").expect("readable");
    let records = verified(Path::new("fixtures/wandb/0.31.0/edge/run-edge0001.wandb")).records;
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for _ in 0..300 {
        let mut bytes = sound.clone();
        for _ in 0..=random(4) {
            let at = 7 + random(bytes.len() - 7);
            match random(3) {
                0 => bytes[at] ^= 1 << random(8),
                1 => bytes.truncate(at.max(8)),
                _ => bytes[at..].iter_mut().take(20).for_each(|byte| *byte = 0),
            }
        }
        fs::write(&path, &bytes).expect("writable");
        let report = verified(&path);
        let told = report.findings.iter().any(|found| matches!(found.code(), "gap" | "cut"));
        assert!(told || report.records == records || bytes.len() < sound.len(), "{report:?}");
        let options = wandb_offline::scrub::Options { dry_run: true, ..Default::default() };
        wandb_offline::scrub::scrub(&path, &options).expect("scanned");
    }
}
