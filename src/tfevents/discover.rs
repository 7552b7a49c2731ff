//! Finding the event files under a log directory.

use crate::error::{Error, Result};
use crate::log::plain_path;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The runs found under a log directory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogDir {
    /// The log directory; for a single event file the directory it is in.
    pub root: PathBuf,
    /// The runs, by name.
    pub runs: Vec<RunFiles>,
    /// What could not be looked into, by path.
    pub skipped: Vec<Skipped>,
    /// How many files there are beside the event files.
    pub beside: Beside,
}

/// How many files of a log directory are no event files. What they hold TensorBoard shows from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Beside {
    /// Lists of embeddings for the projector, `projector_config.pbtxt`.
    pub embeddings: u64,
    /// Traces of the profiler, anywhere below `plugins/profile`.
    pub profiles: u64,
    /// All others.
    pub others: u64,
}

impl Beside {
    fn add(&mut self, root: &Path, file: &Path) {
        let within = file.strip_prefix(root).unwrap_or(file).parent().unwrap_or(root);
        let directories: Vec<_> = within.iter().collect();
        let is_profile = |pair: &[&OsStr]| pair == ["plugins", "profile"];
        *match file.file_name() {
            Some(name) if name == PROJECTOR => &mut self.embeddings,
            _ if directories.windows(2).any(is_profile) => &mut self.profiles,
            _ => &mut self.others,
        } += 1;
    }
}

/// A run: a directory that directly holds event files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunFiles {
    /// The directory relative to the log directory, with `/` between its components; `.` for the log
    /// directory itself. What is not Unicode in it is replaced.
    pub name: String,
    /// The directory.
    pub path: PathBuf,
    /// Its event files, in the order they are to be read in.
    pub files: Vec<PathBuf>,
}

/// A directory or link that was not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The directory or link.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Why a directory was not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is a link to a directory around it, so that all of it is found elsewhere.
    Loop,
    /// The operating system refused.
    Unreadable(String),
}

/// The order in which the files of a run are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FileOrder {
    /// By the seconds in the name, then by name; names without seconds come last.
    #[default]
    Time,
    /// By the bytes of the name, as TensorBoard reads them.
    Name,
}

/// Finds the event files under `path`, a log directory or a single event file.
///
/// An event file is one whose name contains `tfevents` and does not end in `.profile-empty` or
/// `.sagemaker-uploaded`. Links to directories are followed, to one and the same no more than 16, for directories that
/// link to each other have paths without end.
///
/// # Errors
/// When there is nothing at `path` or it cannot be read at all. Directories below it that cannot be
/// read are skipped and reported.
pub fn discover(path: impl AsRef<Path>) -> Result<LogDir> {
    discover_through(path.as_ref(), true)
}

/// The same, through links to directories or not.
pub(crate) fn discover_through(path: &Path, links: bool) -> Result<LogDir> {
    let metadata = fs::metadata(path).map_err(|error| Error::io("open", path, error))?;
    if metadata.is_file() {
        refuse_log(path)?;
        return Ok(single_file(path));
    }
    if !metadata.is_dir() {
        let reason =
            "neither a directory nor a regular file; save what comes from it to a file first";
        return Err(Error::misuse(reason).at(path));
    }
    fs::read_dir(path).map_err(|error| Error::io("list", path, error))?;
    // By path, for names that are not UTF-8 may look alike.
    let mut found: BTreeMap<PathBuf, RunFiles> = BTreeMap::new();
    let mut skipped = Vec::new();
    let mut beside = Beside::default();
    let mut linked: HashMap<PathBuf, usize> = HashMap::new();
    let mut walk = WalkDir::new(path).follow_links(links).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        match entry {
            Ok(entry) if entry.path_is_symlink() && entry.file_type().is_dir() => {
                let target = entry.path().canonicalize().unwrap_or_else(|_| entry.path().into());
                let times = linked.entry(target).or_default();
                *times += 1;
                if *times > MOST_LINKS {
                    walk.skip_current_dir();
                }
                if *times == MOST_LINKS + 1 {
                    let reason = SkipReason::Unreadable(format!(
                        "a link to a directory that was looked into through {MOST_LINKS} others"
                    ));
                    skipped.push(Skipped { path: entry.into_path(), reason });
                }
            }
            Ok(entry) if entry.file_type().is_file() && is_event_file(entry.file_name()) => {
                let directory = entry.path().parent().unwrap_or(path);
                let run = found.entry(directory.to_owned()).or_insert_with(|| RunFiles {
                    name: run_name(path, directory),
                    path: directory.to_owned(),
                    files: Vec::new(),
                });
                run.files.push(entry.into_path());
            }
            Ok(entry) if entry.file_type().is_file() => beside.add(path, entry.path()),
            Ok(_) => {}
            Err(error) => skipped.extend(Skipped::from_walk(&error)),
        }
    }
    let mut runs: Vec<_> = found.into_values().collect();
    runs.sort_by(|a, b| a.name.cmp(&b.name));
    let mut names = HashMap::new();
    for run in &mut runs {
        run.sort(FileOrder::Time);
        let count = names.entry(run.name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            run.name.push_str(&format!("~{count}"));
        }
    }
    skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(LogDir { root: path.to_owned(), runs, skipped, beside })
}

/// A W&B log is no event file, however much of one it may seem to a lenient reader.
fn refuse_log(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default();
    if !is_event_file(name) && plain_path(path).extension().is_some_and(|found| found == "wandb") {
        let reason = "a W&B log, which `wandb-offline to-tensorboard` converts";
        return Err(Error::misuse(reason).at(path));
    }
    Ok(())
}

impl RunFiles {
    /// Puts the files into this order.
    pub fn sort(&mut self, order: FileOrder) {
        fn name(path: &Path) -> &[u8] {
            path.file_name().unwrap_or_default().as_encoded_bytes()
        }
        match order {
            FileOrder::Name => self.files.sort_by(|a, b| name(a).cmp(name(b))),
            FileOrder::Time => self.files.sort_by_cached_key(|path| {
                let seconds = path.file_name().and_then(seconds);
                (seconds.unwrap_or(u64::MAX), name(path).to_owned())
            }),
        }
    }
}

impl Skipped {
    fn from_walk(error: &walkdir::Error) -> Option<Self> {
        let path = error.path()?.to_owned();
        // A link that leads nowhere holds no event file anybody could miss.
        let missing = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
        if error.io_error().is_some_and(missing) && !is_event_file(path.file_name()?) {
            return None;
        }
        let reason = match (error.loop_ancestor(), error.io_error()) {
            (Some(_), _) => SkipReason::Loop,
            (None, Some(io)) => SkipReason::Unreadable(io.to_string()),
            (None, None) => SkipReason::Unreadable(error.to_string()),
        };
        Some(Self { path, reason })
    }
}

fn single_file(path: &Path) -> LogDir {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let root = parent.unwrap_or_else(|| Path::new(".")).to_owned();
    let run = RunFiles { name: ".".into(), path: root.clone(), files: vec![path.to_owned()] };
    LogDir { root, runs: vec![run], skipped: Vec::new(), beside: Beside::default() }
}

fn run_name(root: &Path, directory: &Path) -> String {
    let relative = directory.strip_prefix(root).unwrap_or(directory);
    let components: Vec<_> = relative.iter().map(OsStr::to_string_lossy).collect();
    if components.is_empty() { ".".into() } else { components.join("/") }
}

/// Whether a file of this name is taken for an event file.
pub fn is_event_file(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let mut windows = name.windows(MARK.len());
    windows.any(|window| window == MARK)
        && !name.ends_with(b".profile-empty")
        && !name.ends_with(b".sagemaker-uploaded")
}

/// The seconds in a name like `events.out.tfevents.1700000000.host`.
fn seconds(name: &OsStr) -> Option<u64> {
    let name = name.to_str()?;
    let (_, rest) = name.split_once("tfevents.")?;
    rest.split('.').next()?.parse().ok()
}

/// The host in the name of an event file, if the writer put it there: between the seconds and what may
/// follow, a process, a counter and a `v2`.
pub fn event_file_host(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once("tfevents.")?;
    let (seconds, rest) = rest.split_once('.')?;
    seconds.parse::<u64>().ok()?;
    let rest = rest.strip_suffix(".gz").unwrap_or(rest);
    let rest = rest.strip_suffix(".v2").unwrap_or(rest);
    let numbered = rest.rsplit_once('.').and_then(|(rest, counter)| {
        let (host, process) = rest.rsplit_once('.')?;
        let is_number = |text: &str| text.parse::<u64>().is_ok();
        (is_number(counter) && is_number(process)).then_some(host)
    });
    Some(numbered.unwrap_or(rest)).filter(|host| !host.is_empty())
}

const MARK: &[u8] = b"tfevents";

const MOST_LINKS: usize = 16;

const PROJECTOR: &str = "projector_config.pbtxt";

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }

    #[test]
    fn files_beside_the_event_files_are_counted_by_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "events.out.tfevents.1.h",
            "projector_config.pbtxt",
            "00000/emb/tensors.tsv",
            "train/plugins/profile/2026/h.xplane.pb",
            "train/events.out.tfevents.1.h.profile-empty",
            "profile/plugins/model.ckpt",
        ] {
            touch(&dir.path().join(file));
        }
        let beside = discover(dir.path()).unwrap().beside;
        assert_eq!(beside, Beside { embeddings: 1, profiles: 1, others: 3 });
    }

    #[cfg(unix)]
    #[test]
    fn directories_that_link_to_each_other_have_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..12).map(|number| format!("run{number}")).collect();
        for name in &names {
            touch(&dir.path().join(name).join("events.out.tfevents.1.h"));
            for other in names.iter().filter(|other| *other != name) {
                let link = dir.path().join(name).join(other);
                std::os::unix::fs::symlink(dir.path().join(other), link).unwrap();
            }
        }
        let found = discover(dir.path()).unwrap();
        assert!((24..=12 * (MOST_LINKS + 1)).contains(&found.runs.len()), "{}", found.runs.len());
        let ended = |skipped: &&Skipped| skipped.reason != SkipReason::Loop;
        assert_eq!(found.skipped.iter().filter(ended).count(), 12);
        assert_eq!(discover_through(dir.path(), false).unwrap().runs.len(), 12);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_only_look_alike_are_different_runs() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        for name in [b"run\xfe", b"run\xff"] {
            touch(&dir.path().join(OsStr::from_bytes(name)).join("events.out.tfevents.1.h"));
        }
        let runs = discover(dir.path()).unwrap().runs;
        let names: Vec<_> = runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["run\u{fffd}", "run\u{fffd}~2"]);
    }

    #[test]
    fn runs_are_the_directories_that_hold_event_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        touch(&root.join("events.out.tfevents.1700000000.host"));
        touch(&root.join("b/events.out.tfevents.1700000100.a"));
        touch(&root.join("b/events.out.tfevents.999.z"));
        touch(&root.join("b/my_tfevents_file"));
        touch(&root.join("a/deep/x.tfevents.5"));
        touch(&root.join("a/deep/x.tfevents.5.profile-empty"));
        touch(&root.join("a/deep/x.tfevents.5.sagemaker-uploaded"));
        touch(&root.join("c/notes.txt"));
        let found = discover(root).unwrap();
        let names: Vec<_> = found.runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, [".", "a/deep", "b"]);
        assert_eq!(found.runs[1].files.len(), 1);
        let files = |run: &RunFiles| -> Vec<String> {
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            run.files.iter().map(name).collect()
        };
        let mut b = found.runs[2].clone();
        let (early, late) = ("events.out.tfevents.999.z", "events.out.tfevents.1700000100.a");
        assert_eq!(files(&b), [early, late, "my_tfevents_file"]);
        b.sort(FileOrder::Name);
        assert_eq!(files(&b), [late, early, "my_tfevents_file"]);
        assert!(found.skipped.is_empty());
    }

    #[test]
    fn a_single_event_file_is_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anything");
        touch(&path);
        let found = discover(&path).unwrap();
        assert_eq!(found.runs[0].name, ".");
        assert_eq!(found.runs[0].files, [path]);
        assert!(discover(dir.path().join("nothing")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("logs");
        touch(&root.join("a/x.tfevents.1"));
        let elsewhere = dir.path().join("elsewhere");
        touch(&elsewhere.join("y.tfevents.1"));
        symlink(&elsewhere, root.join("linked")).unwrap();
        symlink(&root, root.join("a/up")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        let found = discover(&root).unwrap();
        let names: Vec<_> = found.runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["a", "linked"]);
        let skipped = Skipped { path: root.join("a/up"), reason: SkipReason::Loop };
        assert_eq!(found.skipped, [skipped]);
    }

    #[test]
    fn the_host_is_what_stands_between_seconds_and_counters() {
        for (name, host) in [
            ("events.out.tfevents.1795486703.vm", Some("vm")),
            ("events.out.tfevents.1795486822.vm.22456.0.v2", Some("vm")),
            ("events.out.tfevents.1795486822.node1.example.org.22456.0", Some("node1.example.org")),
            ("events.out.tfevents.1795486822.vm.v2.gz", Some("vm")),
            ("events.out.tfevents.1795486822", None),
            ("my_tfevents_file", None),
        ] {
            assert_eq!(event_file_host(name), host, "{name}");
        }
    }
}
