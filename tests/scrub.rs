//! Copies of runs without their secrets.

use std::fs;
use std::path::{Path, PathBuf};
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal as pb;
use wandb_offline::record::RecordKind;
use wandb_offline::scrub::{Options, ScrubReport, Unread, scrub};
use wandb_offline::secrets::SecretScanner;
use wandb_offline::{Reader, run};

const KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";
const COMMIT: &str = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33";
const PASSWORD: &str = "hunter2!";
const DIR: &str = "offline-run-20260102_030405-r";

/// A token of GitHub's, put together here so that nobody takes this file for a leak.
fn token() -> String {
    format!("gh{}_{}", "p", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8")
}

/// A run with a secret in every kind of place.
fn leaky(root: &Path) -> PathBuf {
    let dir = root.join(DIR);
    fs::create_dir_all(dir.join("files/media/images")).expect("writable");
    fs::create_dir_all(dir.join("logs")).expect("writable");
    let mut log = LogWriter::create(dir.join("run-r.wandb")).expect("creatable");
    let mut put = |kind, body: Vec<u8>| log.record(kind, &body).expect("written");
    let item = |key: &str, json: String| pb::ConfigItem {
        key: key.into(),
        value_json: json,
        ..Default::default()
    };
    let update = vec![
        item("opts", format!(r#"{{"max_tokens":5,"wandb":{{"api_key":"{KEY}"}},"lr":1e-05}}"#)),
        item("num_memory_tokens", "128".into()),
    ];
    let run = pb::RunRecord {
        run_id: "r".into(),
        project: "p".into(),
        notes: format!("see https://me:{PASSWORD}@example.com/x"),
        config: Some(pb::ConfigRecord { update, ..Default::default() }),
        git: Some(pb::GitRepoRecord { commit: COMMIT.into(), ..Default::default() }),
        ..Default::default()
    };
    let mut run = prost::Message::encode_to_vec(&run);
    run.extend_from_slice(&[0xfa, 0x7f, 1, b'?']);
    put(RecordKind::Run, run);
    let args = ["--token", &token(), "--lr", "0.1"].map(String::from).to_vec();
    let environment = pb::EnvironmentRecord { args, ..Default::default() };
    put(RecordKind::Environment, prost::Message::encode_to_vec(&environment));
    for line in ["logging in with", " ", &KEY[..12], &KEY[12..], "\n", "epoch 1\n"] {
        let output_type = pb::output_raw_record::OutputType::Stdout.into();
        let line = pb::OutputRawRecord { output_type, line: line.into(), ..Default::default() };
        put(RecordKind::OutputRaw, prost::Message::encode_to_vec(&line));
        let history = row("loss", "0.5");
        put(RecordKind::History, prost::Message::encode_to_vec(&history));
    }
    let history = row("note", &format!("\"used {}\"", token()));
    put(RecordKind::History, prost::Message::encode_to_vec(&history));
    put(RecordKind::Exit, Vec::new());
    log.flush().expect("written");
    let file = |name: &str, text: &str| fs::write(dir.join(name), text).expect("writable");
    file(
        "files/wandb-metadata.json",
        &format!(
            "{{\n \"args\": [\"--api-key\", \"{KEY}\"],\n \"git\": {{\"commit\": \"{COMMIT}\"}}\n}}\n"
        ),
    );
    file("files/config.yaml", &format!("password:\n    value: {PASSWORD}\nlr:\n    value: 0.1\n"));
    file("files/output.log", &format!("logging in with {KEY}\nepoch 1\n"));
    file("files/requirements.txt", &format!("wandb==0.31.0\npkg @ git+https://x/y@{COMMIT}\n"));
    file("files/media/images/a.png", &format!("\u{0}{KEY}"));
    file("logs/debug.log", &format!("Authorization: Bearer {}\n", token()));
    file("run-r.wandb.synced", "");
    dir
}

fn row(key: &str, json: &str) -> pb::HistoryRecord {
    let item = pb::HistoryItem {
        nested_key: vec![key.into()],
        value_json: json.into(),
        ..Default::default()
    };
    pb::HistoryRecord { item: vec![item], ..Default::default() }
}

fn payloads(log: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(log).expect("readable");
    let mut payloads = Vec::new();
    while let Some(record) = reader.next_record().expect("sound") {
        payloads.push(record.payload.to_vec());
    }
    payloads
}

/// All files below a directory, with their bytes.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    let files =
        files.map(|entry| entry.expect("readable").into_path()).filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(&path).expect("readable"))).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn scrubbed(run: &Path) -> ScrubReport {
    scrub(run, &Options::default()).expect("scrubbed")
}

#[test]
fn no_secret_is_left_in_the_copy_and_the_run_is_as_it_was() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let before = contents(&dir);
    let report = scrubbed(&dir);
    assert_eq!(contents(&dir), before);
    let copy = report.output.as_deref().expect("a copy");
    assert_eq!(copy, root.path().join(format!("{DIR}-scrubbed")));
    for (path, bytes) in contents(copy) {
        let binary = path.ends_with("a.png");
        for secret in [KEY, &KEY[..12], &KEY[12..], PASSWORD, &token()] {
            assert_eq!(holds(&bytes, secret), binary && KEY.contains(secret), "{}", path.display());
        }
    }
    let (state, _) = run::load(copy.join("run-r.wandb"), false).expect("loads");
    let config = state.config().to_string();
    let want =
        r#""opts":{"lr":0.00001,"max_tokens":5,"wandb":{"api_key":"[scrubbed wandb api key]"}}"#;
    assert!(config.contains(want), "{config}");
    assert_eq!(state.info().notes(), "see https://me:[scrubbed url password]@example.com/x");
    assert_eq!(state.info().run().and_then(|run| run.git.as_ref()).expect("git").commit, COMMIT);
    let args = &state.info().environment().expect("an environment").args;
    assert_eq!(args[..2], ["--token", "[scrubbed github token]"]);
    let lines: Vec<_> = state.console().lines().map(|line| line.text()).collect();
    assert_eq!(lines, ["logging in with [scrubbed wandb api key]", "epoch 1"]);
    assert_eq!((report.found, report.files_changed, report.files_unread_count), (9, 4, 1));
    assert_eq!(report.records_changed, 5, "run, environment, two of the console, a row");
}

#[test]
fn files_keep_everything_but_their_secrets() {
    let root = tempfile::tempdir().expect("temporary directory");
    let report = scrubbed(&leaky(root.path()));
    let copy = report.output.expect("a copy");
    let read = |name: &str| fs::read_to_string(copy.join(name)).expect("readable");
    assert_eq!(
        read("files/config.yaml"),
        "password:\n    value: [scrubbed password]\nlr:\n    value: 0.1\n"
    );
    assert_eq!(
        read("files/wandb-metadata.json"),
        format!(
            "{{\n \"args\": [\"--api-key\", \"[scrubbed wandb api key]\"],\n \"git\": {{\"commit\": \"{COMMIT}\"}}\n}}\n"
        )
    );
    assert_eq!(read("files/output.log"), "logging in with [scrubbed wandb api key]\nepoch 1\n");
    assert!(read("files/requirements.txt").contains(COMMIT));
    assert!(copy.join("run-r.wandb.synced").is_file(), "it would be uploaded twice");
}

#[test]
fn records_without_secrets_and_fields_unknown_here_stay_byte_for_byte() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let report = scrubbed(&dir);
    let old = payloads(&dir.join("run-r.wandb"));
    let new = payloads(&report.log.expect("a log"));
    assert_eq!(old.len(), new.len());
    let changed = old.iter().zip(&new).filter(|(old, new)| old != new).count();
    assert_eq!(changed as u64, report.records_changed);
    assert!(holds(&new[0], "\u{1}?"), "the unknown field of the run record");
}

#[test]
fn official_logs_hold_no_secrets_and_are_copied_record_by_record() {
    let root = tempfile::tempdir().expect("temporary directory");
    let (logs, _) = wandb_offline::log::find("fixtures/wandb");
    for (i, log) in logs.iter().enumerate() {
        let output = Some(root.path().join(format!("{i}.wandb")));
        let report = scrub(&log.path, &Options { output, ..Options::default() }).expect("scrubbed");
        assert_eq!((report.found, &report.secrets[..]), (0, &[][..]), "{}", log.path.display());
        assert_eq!(report.output, report.log);
        let version = log.path.components().nth(2).expect("a release");
        // Older logs have no numbers, which the copy gets.
        if version.as_os_str() != "0.12.21" {
            assert_eq!(payloads(&log.path), payloads(&report.log.expect("a log")));
        }
    }
}

#[test]
fn what_is_allowed_stays_and_what_a_pattern_matches_goes() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let scanner = SecretScanner::default().allow(KEY).allow(PASSWORD).allow(&token());
    let options = Options { scanner, dry_run: true, ..Options::default() };
    let report = scrub(&dir, &options).expect("scanned");
    assert_eq!((report.found, report.output), (0, None), "{:?}", report.secrets);
    assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 1, "nothing is written");
    let scanner = SecretScanner::default().pattern("epoch*").expect("a pattern");
    let report = scrub(&dir, &Options { scanner, ..Options::default() }).expect("scrubbed");
    let (state, _) = run::load(report.log.expect("a log"), false).expect("loads");
    let last = state.console().lines().next_back().expect("a line").text();
    assert_eq!(last, "[scrubbed pattern] 1");
}

#[test]
fn places_are_told_and_secrets_are_not() {
    let root = tempfile::tempdir().expect("temporary directory");
    let report = scrubbed(&leaky(root.path()));
    let texts: Vec<_> = report.secrets.iter().map(ToString::to_string).collect();
    let all = texts.join("\n");
    for place in [
        "record 1, byte 7: url password ... (8 bytes) in run.notes",
        "in run.config.update \"opts.wandb.api_key\"",
        "record 2, byte ",
        "9f86... (40 bytes) in console output",
        "files/output.log, byte 16: wandb api key 9f86... (40 bytes)",
        "files/wandb-metadata.json: wandb api key 9f86... (40 bytes) \"--api-key\"",
    ] {
        assert!(all.contains(place), "{place} in\n{all}");
    }
    for secret in [KEY, PASSWORD, &token()] {
        let json = serde_json::to_string(&report).expect("JSON");
        assert!(!all.contains(secret) && !json.contains(secret));
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_with_secrets_becomes_a_file_without() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let (secret, plain) = (root.path().join("env"), root.path().join("plain"));
    fs::write(&secret, format!("WANDB_API_KEY={KEY}\nLR=0.1\n")).expect("writable");
    fs::write(&plain, "LR=0.1\n").expect("writable");
    std::os::unix::fs::symlink(&secret, dir.join("files/env")).expect("links");
    std::os::unix::fs::symlink(&plain, dir.join("files/plain")).expect("links");
    std::os::unix::fs::symlink(root.path(), dir.join("files/around")).expect("links");
    let report = scrubbed(&dir);
    let unread: Vec<_> =
        report.files_unread.iter().map(|one| (one.file.as_str(), one.kind)).collect();
    assert!(unread.contains(&("files/around", Unread::Linked)), "{unread:?}");
    let copy = report.output.expect("a copy");
    let is_link = |name: &str| fs::symlink_metadata(copy.join(name)).expect("there").is_symlink();
    assert!(!is_link("files/env") && is_link("files/plain"));
    let text = fs::read_to_string(copy.join("files/env")).expect("readable");
    assert_eq!(text, "WANDB_API_KEY=[scrubbed wandb api key]\nLR=0.1\n");
    assert!(fs::read_to_string(&secret).expect("readable").contains(KEY));
}

#[test]
fn damage_is_left_out_and_told_and_existing_output_is_refused() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let log = dir.join("run-r.wandb");
    let mut bytes = fs::read(&log).expect("readable");
    let end = bytes.len() - 20;
    bytes[end] ^= 1;
    fs::write(&log, bytes).expect("writable");
    let report = scrubbed(&dir);
    assert!(report.is_lossy() && report.gap_bytes > 0);
    let error = scrub(&dir, &Options::default()).expect_err("it exists");
    assert!(error.to_string().contains("nothing is overwritten"), "{error}");
}

#[test]
fn a_secret_across_the_pieces_a_file_is_read_in_is_found() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let mut text = "x y\n".repeat(8 * 1024 - 5);
    text += &format!("key: {KEY}\n");
    text += &"é\n".repeat(20_000);
    text += &format!("key: {KEY}\n");
    let name = "files/output.log";
    fs::write(dir.join(name), &text).expect("writable");
    let copy = scrubbed(&dir).output.expect("a copy");
    let got = fs::read_to_string(copy.join(name)).expect("readable");
    assert_eq!(got, text.replace(KEY, "[scrubbed wandb api key]"));
}

#[test]
fn a_compressed_log_becomes_one_that_is_not() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = root.path().join("offline-run-20261124_021505-killed01");
    fs::create_dir_all(dir.join("files")).expect("writable");
    let compressed = "fixtures/compressed/run-killed01.wandb.gz";
    let log = dir.join("run-killed01.wandb.gz");
    fs::copy(compressed, &log).expect("copied");
    let copy = scrubbed(&dir).log.expect("a copy");
    assert_eq!(copy.file_name().expect("named"), "run-killed01.wandb");
    assert_eq!(payloads(&copy).len(), payloads(&log).len());
}

#[test]
fn another_log_beside_the_log_is_not_copied_with_its_secrets() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let other = dir.join("run-r.wandb.gz");
    fs::copy(dir.join("run-r.wandb"), &other).expect("copied");
    let error = scrub(&dir, &Options::default()).expect_err("another log").to_string();
    assert!(error.starts_with("another log is in this run directory"), "{error}");
    let output = Some(root.path().join("alone.wandb"));
    let alone = Options { output, ..Options::default() };
    assert!(scrub(&dir, &alone).expect("scrubbed").output.is_some());
}

#[test]
fn a_file_that_is_in_the_way_of_the_copy_is_told_and_not_left_out() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    fs::write(dir.join("log.part"), "precious").expect("writable");
    let error = scrub(&dir, &Options::default()).expect_err("its name is taken").to_string();
    assert!(error.starts_with("the copy has another file of this name"), "{error}");
}

#[test]
fn text_in_utf16_is_scrubbed_and_what_is_not_looked_into_is_named() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let file = |name: &str| dir.join("files").join(name);
    let text = format!("Clé\r\nWANDB_API_KEY={KEY}\r\n");
    let wide = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(unit).collect()
    };
    fs::write(file("little.txt"), wide(&text, u16::to_le_bytes)).expect("writable");
    fs::write(file("big.txt"), wide(&text, u16::to_be_bytes)).expect("writable");
    fs::write(file("clean.txt"), wide("nothing", u16::to_le_bytes)).expect("writable");
    fs::write(file("env.gz"), b"\x1f\x8b\x08rest").expect("writable");
    fs::write(file("env.zst"), b"\x28\xb5\x2f\xfd").expect("writable");
    fs::write(file("env.zip"), b"PK\x03\x04rest").expect("writable");
    let mut tar = vec![b'x'; 257];
    tar.extend_from_slice(b"ustar\x0000 and so on");
    fs::write(file("code.tar"), tar).expect("writable");
    fs::write(file("a.bin"), [1, 0, 2]).expect("writable");
    let report = scrubbed(&dir);
    let unread: Vec<_> =
        report.files_unread.iter().map(|one| (one.file.as_str(), one.kind)).collect();
    for name in ["env.gz", "env.zst", "env.zip", "code.tar"] {
        assert!(unread.contains(&(&format!("files/{name}"), Unread::Compressed)), "{unread:?}");
    }
    assert!(unread.contains(&("files/a.bin", Unread::Binary)), "{unread:?}");
    assert!(!unread.iter().any(|(name, _)| name.ends_with(".txt")), "{unread:?}");
    let copy = report.output.expect("a copy").join("files");
    let want = text.replace(KEY, "[scrubbed wandb api key]");
    let read = |name: &str| fs::read(copy.join(name)).expect("readable");
    assert_eq!(read("little.txt"), wide(&want, u16::to_le_bytes));
    assert_eq!(read("big.txt"), wide(&want, u16::to_be_bytes));
    assert_eq!(read("clean.txt"), wide("nothing", u16::to_le_bytes));
}

#[test]
fn a_key_that_colours_split_is_found_in_console_output_and_files() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let (head, tail) = KEY.split_at(13);
    let line =
        format!("\x1b[32mkey\x1b[0m: {head}\x1b[1;31m{tail}\x1b[0m!\nplain \x1b[33m{KEY}\x1b[m\n");
    fs::write(dir.join("files/colours.log"), &line).expect("writable");
    let copy = scrubbed(&dir).output.expect("a copy");
    let got = fs::read_to_string(copy.join("files/colours.log")).expect("readable");
    let mark = "[scrubbed wandb api key]";
    assert_eq!(got, format!("\x1b[32mkey\x1b[0m: {mark}\x1b[0m!\nplain \x1b[33m{mark}\x1b[m\n"));
}

#[test]
fn no_secret_is_seen_in_what_training_logs_say_every_day() {
    let root = tempfile::tempdir().expect("temporary directory");
    let dir = leaky(root.path());
    let text = "num_memory_tokens:\n  - 128\ntokens:\n  - 4096\ncommit:\n  - 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b\n\
        run_ids:\n  - a1b2c3d4\n  - z9y8x7w6\nmysql -u root -p\nhttps://discord.com/channels/12/34567890123456789012345\n\
        \x1b[32mloss\x1b[0m: 0.25 sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n";
    fs::write(dir.join("files/everyday.log"), text).expect("writable");
    let report = scrubbed(&dir);
    let of_file =
        report.secrets.iter().filter(|one| one.file.as_deref() == Some("files/everyday.log"));
    assert_eq!(of_file.count(), 0, "{:?}", report.secrets);
}
