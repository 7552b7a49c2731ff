//! The commands that write files, where they write, and what must hold of that afterwards.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A command that reads what is in `in/` and writes to `out/`.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [&'static str],
    /// What it makes can be there in part: each of several directories is whole or not there.
    several: bool,
}

const fn one(name: &'static str, arguments: &'static [&'static str]) -> Case {
    Case { name, arguments, several: false }
}

const fn several(name: &'static str, arguments: &'static [&'static str]) -> Case {
    Case { name, arguments, several: true }
}

pub(crate) const CASES: &[Case] = &[
    one("recover", &["recover", RUN, "-o", "out/recovered"]),
    one("recover a log alone", &["recover", LOG, "-o", "out/recovered.wandb"]),
    one(
        "recover an event file",
        &["recover", EVENTS, "-o", "out/recovered/events.out.tfevents.1.x"],
    ),
    one("merge", &["merge", "in/segments", "-o", "out/merged"]),
    one("merge event files", &["merge", "in/first", "in/second", "-o", "out/merged"]),
    one("edit", &["edit", RUN, "-o", "out", "--name", "new"]),
    one("scrub", &["scrub", RUN, "-o", "out/scrubbed"]),
    several("split", &["split", RUN, "--at", "5", "-o", "out"]),
    several("to-tensorboard", &["to-tensorboard", "in/runs", "-o", "out", "--console"]),
    several("tb2wandb", &["in/tensorboard", "-o", "out", "--jobs", "1"]),
    one("export", &["export", RUN]),
];

const RUN: &str = "in/runs/offline-run-20260102_030405-basic001";
const LOG: &str = "in/runs/offline-run-20260102_030405-basic001/run-basic001.wandb";
const EVENTS: &str = "in/tensorboard/scalars/events.out.tfevents.1795486703.vm";

const DIRECTORY: &[u8] = b"a directory";

/// Names to contents; directories and links have texts of their own.
pub(crate) type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// A directory with inputs, in which a case is run.
pub(crate) struct Place {
    root: tempfile::TempDir,
    inputs: Tree,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let input = |name: &str| root.path().join("in").join(name);
        let runs = ["0.31.0/basic", "0.31.0/console"];
        let names = ["basic001", "console1"];
        for (from, name) in runs.into_iter().zip(names) {
            let run = input(&format!("runs/offline-run-20260102_030405-{name}"));
            let log = format!("run-{name}.wandb");
            put(&fixture(&format!("wandb/{from}/{log}")), &run.join(log));
            let metadata = format!("{{\"args\": [\"--token={}\"]}}", "0123456789abcdef".repeat(3));
            fs::create_dir_all(run.join("files/media")).unwrap();
            fs::write(run.join("files/wandb-metadata.json"), metadata).unwrap();
            fs::write(run.join("files/media/large"), vec![7; 5000]).unwrap();
        }
        for from in walkdir::WalkDir::new(fixture("segments/0.31.0")) {
            let from = from.unwrap();
            if from.file_type().is_file() {
                let name = from.path().strip_prefix(fixture("segments/0.31.0")).unwrap();
                put(from.path(), &input("segments").join(name));
            }
        }
        for name in ["scalars", "images"] {
            let name = format!("{name}/events.out.tfevents.1795486703.vm");
            put(
                &fixture(&format!("tensorboard/tensorboardX/{name}")),
                &input("tensorboard").join(name),
            );
        }
        for (attempt, time, number) in [("first", 1795486824, 16), ("second", 1795486825, 17)] {
            let name = format!("events.out.tfevents.{time}.vm.22456.{number}.v2");
            let from = fixture("tensorboard/tf2/restart_overlap").join(&name);
            put(&from, &input(attempt).join(name));
        }
        fs::create_dir(root.path().join("tmp")).unwrap();
        fs::create_dir(root.path().join("out")).unwrap();
        fs::write(root.path().join("out/theirs"), "not ours").unwrap();
        let inputs = tree(&root.path().join("in"));
        Self { root, inputs }
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// The case as a command, behind what is put in front of it.
    pub(crate) fn command<'a>(
        &self,
        before: impl IntoIterator<Item = &'a str>,
        case: &Case,
    ) -> Command {
        let program = match case.name {
            "tb2wandb" => env!("CARGO_BIN_EXE_tb2wandb"),
            _ => env!("CARGO_BIN_EXE_wandb-offline"),
        };
        let mut words = before.into_iter().chain([program]).chain(case.arguments.iter().copied());
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(self.path()).env("TMPDIR", self.path().join("tmp"));
        command.env_remove("WANDB_PROJECT").env_remove("WANDB_ENTITY");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run<'a>(&self, before: impl IntoIterator<Item = &'a str>, case: &Case) -> Output {
        self.command(before, case).output().unwrap()
    }

    /// The inputs are what they were.
    pub(crate) fn check_inputs(&self, how: &str) {
        assert!(tree(&self.path().join("in")) == self.inputs, "{how}: the input was changed");
    }

    /// What is in the output under names that are not hidden.
    fn visible(&self) -> Tree {
        let mut tree = tree(&self.path().join("out"));
        tree.retain(|name, _| !is_hidden(name));
        tree
    }

    /// Nothing has been left under hidden names, or in the directory for temporary files.
    pub(crate) fn check_tidy(&self, how: &str) {
        let out = tree(&self.path().join("out")).into_keys().filter(|name| is_hidden(name));
        let left: Vec<_> = out.chain(tree(&self.path().join("tmp")).into_keys()).collect();
        assert!(left.is_empty(), "{how}: left {left:?}");
    }
}

/// What a case makes when nothing is in its way.
pub(crate) struct Reference {
    pub(crate) code: Option<i32>,
    out: Tree,
    stdout: Vec<u8>,
}

impl Reference {
    pub(crate) fn of(case: &Case) -> Self {
        let place = Place::new();
        let ran = place.run([], case);
        let error = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(matches!(ran.status.code(), Some(0 | 3)), "{}: {error}", case.name);
        place.check_tidy(case.name);
        Self { code: ran.status.code(), out: place.visible(), stdout: ran.stdout }
    }

    /// What was not done at all or was done whole, and what happened is no reason for it not to be done now.
    /// `how` says what happened.
    pub(crate) fn check(&self, place: &Place, case: &Case, how: &str) {
        let how = format!("{}, {how}", case.name);
        place.check_inputs(&how);
        let there = place.visible();
        let missing = self.missing(&there, &how);
        if missing.is_empty() {
            return;
        }
        let made = |(name, contents): (&PathBuf, &Vec<u8>)| {
            name.as_os_str() != "theirs" && contents != DIRECTORY
        };
        let theirs = !there.iter().any(made);
        assert!(theirs || case.several, "{how}: half is there: no {missing:?}");
        if case.name == "split" && !theirs {
            // As documented: the first of the two was named already.
            let first = there
                .into_keys()
                .find(|name| name.components().count() == 1 && name.as_os_str() != "theirs");
            fs::remove_dir_all(place.path().join("out").join(first.unwrap())).unwrap();
        }
        let again = place.run([], case);
        let error = String::from_utf8_lossy(&again.stderr).into_owned();
        let code = again.status.code();
        // Runs that were converted the first time are told.
        assert!(code == self.code || (!theirs && code == Some(3)), "{how}, then again: {error}");
        let missing = self.missing(&place.visible(), &how);
        assert!(missing.is_empty(), "{how}, then again: no {missing:?}");
        if code == self.code && theirs {
            let (got, want) =
                [&again.stdout, &self.stdout].map(|text| String::from_utf8_lossy(text)).into();
            assert_eq!(got, want, "{how}, then again");
        }
    }

    /// What is not there. Of what is, all is as it should be, and each directory of runs is there whole.
    fn missing(&self, there: &Tree, how: &str) -> Vec<&PathBuf> {
        for (name, contents) in there {
            let want = self.out.get(name).unwrap_or_else(|| panic!("{how}: left {name:?}"));
            assert!(want == contents, "{how}: {name:?} is not what it should be");
        }
        let top = |name: &Path| name.components().next().map(|top| top.as_os_str().to_owned());
        let tops: Vec<Option<OsString>> = there.keys().map(|name| top(name)).collect();
        let missing: Vec<_> = self.out.keys().filter(|name| !there.contains_key(*name)).collect();
        // A directory above the output may be there without it.
        let half = missing.iter().find(|name| {
            tops.contains(&top(name))
                && there
                    .keys()
                    .any(|other| top(other) == top(name) && other.components().count() > 1)
        });
        assert_eq!(half, None, "{how}: a part is missing");
        missing
    }
}

/// All that is under a directory. In the names of event files the process is left out.
fn tree(dir: &Path) -> Tree {
    let mut tree = Tree::new();
    for entry in walkdir::WalkDir::new(dir).min_depth(1) {
        let entry = entry.unwrap();
        let contents = match entry.file_type() {
            kind if kind.is_dir() => DIRECTORY.to_vec(),
            kind if kind.is_symlink() => b"a link".to_vec(),
            _ => fs::read(entry.path()).unwrap(),
        };
        let name = entry.path().strip_prefix(dir).unwrap();
        let file = name.file_name().unwrap().to_string_lossy();
        let name = match file.starts_with("events.out.tfevents.") {
            true => name.with_file_name(file.split('.').take(5).collect::<Vec<_>>().join(".")),
            false => name.to_owned(),
        };
        tree.insert(name, contents);
    }
    tree
}

fn is_hidden(name: &Path) -> bool {
    name.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

fn put(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}
