//! Where a run is made, and what with: options and environment variables.

#[path = "support/written.rs"]
mod support;

use std::path::Path;
use support::records;
use wandb_offline::proto::wandb_internal::RunRecord;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::writer::{Mode, WriterOptions};
use wandb_offline::{Error, ErrorKind, Writer};

/// A run made in this environment, and the directory it is in.
fn run_in(vars: &[(&str, &str)]) -> (tempfile::TempDir, Writer) {
    let dir = tempfile::tempdir().unwrap();
    let run = options_in(vars).dir(dir.path()).create().unwrap();
    (dir, run)
}

fn options_in(vars: &[(&str, &str)]) -> WriterOptions {
    let no_git = ("WANDB_DISABLE_GIT", "true");
    Writer::options().environment(std::iter::once(no_git).chain(vars.iter().copied()))
}

fn run_record(run: &Writer) -> RunRecord {
    let found = records(run.path()).into_iter().find_map(|record| match record {
        RecordType::Run(run) => Some(run),
        _ => None,
    });
    found.unwrap()
}

fn record_in(vars: &[(&str, &str)]) -> RunRecord {
    let (_dir, run) = run_in(vars);
    run_record(&run)
}

/// The message of the error that this variable leads to, which must name it.
fn error_in(name: &str, value: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let error = options_in(&[(name, value)]).dir(dir.path().join("x")).create().unwrap_err();
    let ErrorKind::Setting { name: named, reason } = error.kind() else { panic!("{error}") };
    assert_eq!(named, name);
    assert!(!dir.path().join("x").exists(), "a bad setting makes no directory");
    reason.clone()
}

#[test]
fn project_and_entity_come_from_the_environment() {
    let record = record_in(&[("WANDB_PROJECT", "pro ject é"), ("WANDB_ENTITY", "team")]);
    assert_eq!((&*record.project, &*record.entity), ("pro ject é", "team"));
    assert_eq!(record_in(&[]).project, "uncategorized");
    assert_eq!(record_in(&[("WANDB_PROJECT", "")]).project, "uncategorized");
    assert_eq!(
        error_in("WANDB_PROJECT", "a/b"),
        "\"a/b\" contains '/'; a project name has none of / \\ # ? % :"
    );
    let long = "é".repeat(129);
    assert_eq!(
        error_in("WANDB_PROJECT", &long),
        "a project name has at most 128 characters, not 129"
    );
    assert_eq!(record_in(&[("WANDB_PROJECT", &"é".repeat(128))]).project.chars().count(), 128);
}

#[test]
fn name_notes_group_and_job_type_come_from_the_environment() {
    let record = record_in(&[
        ("WANDB_NAME", "n"),
        ("WANDB_RUN_NAME", "not this"),
        ("WANDB_NOTES", "long\nnotes"),
        ("WANDB_RUN_GROUP", "g"),
        ("WANDB_JOB_TYPE", "j"),
    ]);
    assert_eq!((&*record.display_name, &*record.notes), ("n", "long\nnotes"));
    assert_eq!((&*record.run_group, &*record.job_type), ("g", "j"));
    let record = record_in(&[
        ("WANDB_RUN_NAME", "n"),
        ("WANDB_RUN_NOTES", "o"),
        ("WANDB_RUN_TAGS", "t"),
        ("WANDB_RUN_JOB_TYPE", "j"),
    ]);
    assert_eq!((&*record.display_name, &*record.notes), ("n", "o"));
    assert_eq!((&*record.job_type, record.tags.join(",")), ("j", "t".to_owned()));
}

#[test]
fn tags_are_split_at_commas_and_trimmed() {
    assert_eq!(record_in(&[("WANDB_TAGS", "a, b c ,,a")]).tags, ["a", "b c"]);
    assert!(record_in(&[("WANDB_TAGS", "")]).tags.is_empty());
    let long = "x".repeat(65);
    assert_eq!(
        error_in("WANDB_TAGS", &long),
        format!("tag {long:?} has 65 characters; a tag has 1 to 64")
    );
    let error = options_in(&[]).tags(["a", " "]).create().unwrap_err();
    assert_eq!(error.to_string(), "tags: tag \"\" has 0 characters; a tag has 1 to 64");
}

#[test]
fn code_wins_over_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let run = options_in(&[
        ("WANDB_PROJECT", "a/b"),
        ("WANDB_ENTITY", "x"),
        ("WANDB_NAME", "x"),
        ("WANDB_NOTES", "x"),
        ("WANDB_TAGS", "x"),
        ("WANDB_RUN_ID", "x"),
        ("WANDB_RUN_GROUP", "x"),
        ("WANDB_JOB_TYPE", "x"),
        ("WANDB_DIR", "/nonexistent"),
        ("WANDB_MODE", "online"),
        ("WANDB_DISABLED", "true"),
    ])
    .mode(Mode::Offline)
    .dir(dir.path())
    .project("p")
    .entity("e")
    .name("n")
    .notes("o")
    .tags(["t"])
    .id("i")
    .group("g")
    .job_type("j")
    .create()
    .unwrap();
    let record = run_record(&run);
    assert_eq!((&*record.project, &*record.entity, &*record.run_id), ("p", "e", "i"));
    assert_eq!((&*record.display_name, &*record.notes, &*record.tags[0]), ("n", "o", "t"));
    assert_eq!((&*record.run_group, &*record.job_type), ("g", "j"));
}

#[test]
fn the_run_id_is_checked_wherever_it_comes_from() {
    let (_dir, run) = run_in(&[("WANDB_RUN_ID", "my-run é")]);
    assert_eq!(run.id(), "my-run é");
    assert_eq!(run_record(&run).run_id, "my-run é");
    assert!(run.path().ends_with("run-my-run é.wandb"));
    for (id, want) in [
        ("", "a run id has at least one character"),
        (" a", "\" a\" begins or ends with white space"),
        ("..", "\"..\" is a directory's own name"),
    ] {
        assert_eq!(error_in("WANDB_RUN_ID", id), want);
    }
    for bad in ["a/b", "a\\b", "../../etc", "a:b", "a#b", "a?b", "a,b", "a;b", "a'b", "a\u{1}b"] {
        let reason = error_in("WANDB_RUN_ID", bad);
        assert!(reason.contains("a run id has none of : ; , # ? / \\ '"), "{bad}: {reason}");
    }
    let (_dir, run) = run_in(&[("WANDB_RUN_ID", &"x".repeat(200))]);
    assert_eq!(run.id().len(), 200);
    assert!(error_in("WANDB_RUN_ID", &"x".repeat(201)).contains("201 bytes is too long"));
    let error = Writer::options().id("a\0b").create().unwrap_err();
    assert!(error.to_string().starts_with("id: \"a\\0b\" contains '\\0'"), "{error}");
}

#[test]
fn ids_made_up_are_eight_small_letters_and_digits() {
    let (_dir, run) = run_in(&[]);
    let (_other_dir, other) = run_in(&[]);
    assert_eq!(run.id().len(), 8);
    assert!(run.id().bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()));
    assert_ne!(run.id(), other.id());
}

#[test]
fn modes_are_offline_and_disabled() {
    for (vars, disabled) in [
        (&[("WANDB_MODE", "offline")][..], false),
        (&[("WANDB_MODE", "dryrun")], false),
        (&[("WANDB_MODE", "disabled")], true),
        (&[("WANDB_DISABLED", "true")], true),
        (&[("WANDB_DISABLED", "1")], true),
        (&[("WANDB_DISABLED", "YES"), ("WANDB_MODE", "offline")], true),
        (&[("WANDB_DISABLED", "false")], false),
        (&[("WANDB_DISABLED", "0")], false),
        (&[("WANDB_DISABLED", "")], false),
    ] {
        let (dir, run) = run_in(vars);
        assert_eq!(run.is_disabled(), disabled, "{vars:?}");
        run.log([("a", 1)]).unwrap();
        assert_eq!(dir.path().join("wandb").exists(), !disabled, "{vars:?}");
    }
    for online in ["online", "run", "shared"] {
        assert_eq!(
            error_in("WANDB_MODE", online),
            format!(
                "\"{online}\" needs a server while the run goes on; set it to `offline`, \
                 and sync the run afterwards"
            )
        );
    }
    for wrong in ["", "Offline", "off"] {
        assert_eq!(
            error_in("WANDB_MODE", wrong),
            format!(
                "{wrong:?} is no mode; it can be `offline`, `disabled` or `dryrun`, in lower case"
            )
        );
    }
    assert_eq!(
        error_in("WANDB_DISABLED", "maybe"),
        "\"maybe\" is neither yes nor no; write `true` or `false`"
    );
}

#[test]
fn wandb_dir_is_where_the_wandb_directory_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("scratch");
    let vars = [("WANDB_DIR", root.to_str().unwrap()), ("WANDB_DISABLE_GIT", "true")];
    let run = Writer::options().environment(vars).create().unwrap();
    assert_eq!(run.dir().parent().unwrap(), root.join("wandb"));
    assert_eq!(run.files_dir(), run.dir().join("files"));
    assert!(run.files_dir().is_dir());
    assert_eq!(run.path(), run.dir().join(format!("run-{}.wandb", run.id())));
}

#[test]
fn the_run_directory_is_named_as_wandb_names_it_and_never_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let create = || options_in(&[]).dir(dir.path()).id("a-b").create().unwrap();
    let runs: Vec<_> = (0..5).map(|_| create()).collect();
    let names: Vec<_> = runs.iter().map(|run| file_name(run.dir())).collect();
    for (run, name) in runs.iter().zip(&names) {
        let rest = name.strip_prefix("offline-run-").unwrap();
        let (stamp, id) = rest.split_at(15);
        let digits = stamp.replacen('_', "", 1);
        assert!(digits.len() == 14 && digits.bytes().all(|b| b.is_ascii_digit()), "{name}");
        assert!(id == "-a-b" || id.strip_prefix("-a-b-").unwrap().parse::<u32>().is_ok(), "{name}");
        assert_eq!(file_name(run.path()), "run-a-b.wandb");
    }
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 5, "{names:?}");
    #[cfg(unix)]
    {
        let link = dir.path().join("wandb/latest-run");
        assert_eq!(
            std::fs::read_link(&link).unwrap(),
            std::path::PathBuf::from(names.last().unwrap())
        );
        std::fs::remove_file(&link).unwrap();
        std::fs::write(&link, "mine").unwrap();
        create();
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "mine");
    }
}

#[test]
fn a_hidden_wandb_directory_is_used_if_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".wandb")).unwrap();
    let run = options_in(&[]).dir(dir.path()).create().unwrap();
    assert_eq!(run.dir().parent().unwrap(), dir.path().join(".wandb"));
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error: Error = options_in(&[]).dir(&file).create().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io { .. }));
    assert_eq!(error.path(), Some(&*file.join("wandb")));
}

#[test]
fn git_facts_can_be_given() {
    let record = record_in(&[
        ("WANDB_GIT_REMOTE_URL", "https://me:secret@host/a.git"),
        ("WANDB_GIT_COMMIT", "abc"),
    ]);
    let git = record.git.unwrap();
    assert_eq!((&*git.remote_url, &*git.commit), ("https://me:@host/a.git", "abc"));
    assert_eq!(record_in(&[]).git, None);
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[cfg(unix)]
#[test]
fn what_other_programs_put_in_the_environment_stops_no_training() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let dir = tempfile::tempdir().unwrap();
    let name = OsString::from_vec(b"jos\xe9".to_vec());
    let vars = [("USER".into(), name.clone()), ("SLURM_JWT".into(), OsString::from("secret"))];
    let disabled = (OsString::from("WANDB_DISABLE_GIT"), OsString::from("true"));
    let options = Writer::options().environment(vars.into_iter().chain([disabled.clone()]));
    let run = options.dir(dir.path()).create().unwrap();
    let environment = records(run.path()).into_iter().find_map(|record| match record {
        RecordType::Environment(environment) => Some(environment),
        _ => None,
    });
    let environment = environment.unwrap();
    assert_eq!(environment.username, "jos\u{fffd}");
    assert!(environment.slurm.is_empty(), "a token is nothing to upload");

    let elsewhere = dir.path().join("x");
    let options = Writer::options().environment([("WANDB_HOST".into(), name), disabled]);
    let error = options.dir(&elsewhere).create().unwrap_err();
    assert_eq!(error.to_string(), "WANDB_HOST: must be UTF-8 text");
    assert!(!elsewhere.exists(), "what fails leaves nothing behind");
}
