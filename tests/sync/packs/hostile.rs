//! Packs that mean harm, or came to it.

use super::super::server::sha256;
use super::{Scene, only, only_packed, packed_log};
use std::path::{Path, PathBuf};
use wandb_offline::sync::{PackStatus, RunStatus, SyncOptions, SyncReport, pack};

/// A pack with one run of files, and one other.
fn packed() -> Scene {
    let scene = Scene::new();
    scene.fixture("media");
    scene.run("other", 3);
    scene.pack();
    scene
}

fn run_dir(scene: &Scene) -> PathBuf {
    scene.stick().join("offline-run-20261124_000000-media")
}

/// Changes what the pack says of the run of files.
fn rewrite(scene: &Scene, change: impl FnOnce(&mut serde_json::Value)) {
    let path = run_dir(scene).join("contents.json");
    let mut contents = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut contents);
    std::fs::write(&path, contents.to_string()).unwrap();
}

/// The pack is sent, and of the two runs only the other one arrives; what is said of the first.
#[track_caller]
fn refused(scene: &Scene) -> String {
    let report = scene.send();
    let state = scene.server.state();
    assert_eq!(state.runs.len(), 1, "{:?}", state.runs.keys());
    assert!(state.runs["test-entity/p/other"].complete, "{report:?}");
    assert!(!report.is_complete() && report.has_stored());
    said(&report)
}

fn said(report: &SyncReport) -> String {
    let problems = report.runs.iter().flat_map(|run| run.problems.clone());
    problems.chain(report.errors.clone()).collect::<Vec<_>>().join("\n")
}

#[test]
fn names_that_lead_out_are_refused() {
    let secret = Scene::new();
    let outside = secret.dir.path().join("secret.wandb");
    std::fs::write(&outside, b"the secret").unwrap();
    for name in ["../x.wandb", "/etc/passwd", "a/b.wandb", "..", "", "C:x", "contents.json"] {
        let scene = packed();
        rewrite(&scene, |contents| contents["name"] = name.into());
        assert!(refused(&scene).contains("the name of the log"), "{name}");
    }
    for digest in
        ["../../x", "/etc/passwd", "", "AA", &"A".repeat(64), &format!("../{}", "a".repeat(61))]
    {
        let scene = packed();
        rewrite(&scene, |contents| {
            let files = contents["files"].as_object_mut().unwrap();
            files.values_mut().next().unwrap()["sha256"] = digest.into();
        });
        assert!(refused(&scene).contains("the SHA-256 of"), "{digest}");
    }
}

#[test]
fn a_name_that_leads_out_is_not_looked_up_even_if_there_is_an_object() {
    let scene = packed();
    rewrite(&scene, |contents| {
        let files = contents["files"].as_object_mut().unwrap();
        let blob = files.values().next().unwrap().clone();
        files.insert("../../etc/passwd".into(), blob);
    });
    // What the log does not name is not sent.
    assert!(scene.send().has_stored());
    let state = scene.server.state();
    assert!(state.runs.values().all(|run| run.files.keys().all(|name| !name.contains(".."))));
    assert_eq!(state.violations, [""; 0]);
}

#[cfg(unix)]
#[test]
fn links_are_refused_wherever_they_are() {
    let secret = tempfile::tempdir().unwrap();
    let target = secret.path().join("secret");
    std::fs::write(&target, b"the secret").unwrap();
    let link = |to: &Path, at: &Path| {
        let _ = std::fs::remove_file(at).or_else(|_| std::fs::remove_dir_all(at));
        std::os::unix::fs::symlink(to, at).unwrap();
    };
    let first_object = |scene: &Scene| {
        let mut objects = std::fs::read_dir(run_dir(scene).join("objects")).unwrap();
        objects.next().unwrap().unwrap().path()
    };
    let places: [&dyn Fn(&Scene) -> PathBuf; 5] = [
        &first_object,
        &|scene| run_dir(scene).join("objects"),
        &|scene| run_dir(scene).join("run-media.wandb.0123456789ab.sync.lock"),
        &|scene| super::super::only_log(&run_dir(scene)),
        &|scene| run_dir(scene).join("contents.json"),
    ];
    for place in places {
        let scene = packed();
        let at = place(&scene);
        link(&target, &at);
        assert!(refused(&scene).contains("a link, or no file"), "{}", at.display());
        let report = scene.pack();
        assert!(!report.is_complete(), "nor is anything written through it: {}", at.display());
        assert_eq!(std::fs::read(&target).unwrap(), b"the secret");
    }
    // The directory of a run itself.
    let scene = packed();
    let elsewhere = scene.dir.path().join("elsewhere");
    std::fs::rename(run_dir(&scene), &elsewhere).unwrap();
    link(&elsewhere, &run_dir(&scene));
    assert!(refused(&scene).contains("a link, or no file"));
}

#[test]
fn what_is_not_what_was_packed_is_not_sent() {
    let flip = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let objects = |scene: &Scene| {
        let objects = std::fs::read_dir(run_dir(scene).join("objects")).unwrap();
        objects.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let count = objects(&packed()).len();
    assert!(count > 2, "{count}");
    for at in 0..count {
        let scene = packed();
        flip(&objects(&scene)[at]);
        let said = refused(&scene);
        assert!(said.contains("another SHA-256") && said.contains("copy the pack again"), "{said}");
    }
    let scene = packed();
    std::fs::remove_file(&objects(&scene)[0]).unwrap();
    assert!(refused(&scene).contains("is missing in this pack"));
    // Packing again mends it.
    scene.pack();
    assert!(scene.send().has_stored());
    assert_eq!(scene.server.state().runs.len(), 2);

    let scene = packed();
    flip(&super::super::only_log(&run_dir(&scene)));
    assert!(refused(&scene).contains("another SHA-256"));
    let scene = packed();
    let log = super::super::only_log(&run_dir(&scene));
    let half = std::fs::metadata(&log).unwrap().len() / 2;
    std::fs::File::options().write(true).open(&log).unwrap().set_len(half).unwrap();
    assert!(refused(&scene).contains(&format!("has {half} bytes of ")));
}

#[test]
fn what_a_pack_says_of_itself_is_read_only_if_it_is_of_a_length_and_makes_sense() {
    let scene = packed();
    let path = run_dir(&scene).join("contents.json");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(refused(&scene).contains("this should be a file of at most"));

    for text in ["", "{", "[]", "{\"name\":1}", &"[".repeat(100_000)] {
        let scene = packed();
        std::fs::write(run_dir(&scene).join("contents.json"), text).unwrap();
        assert!(refused(&scene).contains("this pack is damaged"), "{text:.20}");
        let report = scene.pack();
        let failed = report.runs.iter().find(|run| run.status == PackStatus::Failed).unwrap();
        assert!(failed.problems[0].contains("this pack is damaged"), "{report:?}");
    }

    let scene = packed();
    let ledger = run_dir(&scene).join("run-media.wandb.0123456789ab.sync");
    std::fs::File::create(&ledger).unwrap().set_len(1 << 40).unwrap();
    assert!(refused(&scene).contains("which no file here has"));
}

#[test]
fn a_run_that_was_lost_on_the_way_is_missed() {
    let scene = packed();
    std::fs::remove_dir_all(run_dir(&scene)).unwrap();
    let said = refused(&scene);
    assert!(said.contains("this run is missing in the pack") && said.contains("-media"), "{said}");
}

#[test]
fn what_is_no_pack_is_neither_sent_nor_filled() {
    let scene = packed();
    let error = scene.try_to_send(&scene.root(), &SyncOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("no pack is here"), "{error}");
    let error = pack(&[scene.root()], &scene.root(), &SyncOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no pack and not empty"), "{error}");

    let index = scene.stick().join("pack.json");
    let text = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, text.replace("\"version\": 1", "\"version\": 9")).unwrap();
    let error = scene.try_to_send(&scene.stick(), &SyncOptions::default()).unwrap_err();
    assert!(error.to_string().contains("version 9"), "{error}");
    assert!(scene.server.state().requests.is_empty());
}

#[test]
fn one_process_at_a_time_has_a_pack() {
    let scene = packed();
    let lock = std::fs::File::options().append(true).open(scene.stick().join("pack.lock")).unwrap();
    fs4::FileExt::lock(&lock).unwrap();
    let error = scene.try_to_send(&scene.stick(), &SyncOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("another process"), "{error}");
    let error = pack(&[scene.root()], &scene.stick(), &SyncOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("another process"), "{error}");
}

#[test]
fn a_file_outside_the_run_is_packed_only_if_it_is_allowed() {
    let scene = Scene::new();
    scene.run_with_a_link_out();
    #[cfg(unix)]
    {
        let report = scene.pack();
        let run = only_packed(&report);
        assert_eq!(run.status, PackStatus::Partly);
        assert!(run.problems.iter().any(|problem| problem.contains("--allow")), "{run:?}");
        let held = super::files(&scene.stick());
        assert!(held.values().all(|bytes| bytes != b"the secret"));

        let mut options = SyncOptions::default();
        options.allow = vec![scene.dir.path().to_owned()];
        scene.pack_as(&options);
        let report = scene.send();
        assert!(only(&report).problems.iter().all(|problem| !problem.contains("not read")));
        let state = scene.server.state();
        let stored = hex_of(b"the secret");
        assert!(
            state.run().files.values().any(|file| file.stored.is_some() && file.sha256() == stored)
        );
    }
    assert!(matches!(only(&scene.send_as(&all())).status, RunStatus::Partly | RunStatus::Synced));
    assert!(packed_log(&scene).exists());
}

fn all() -> SyncOptions {
    let mut options = SyncOptions::default();
    options.include_synced = true;
    options
}

fn hex_of(bytes: &[u8]) -> String {
    super::super::server::hex(&sha256(bytes))
}
