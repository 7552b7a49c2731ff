//! How to make a run.

use super::Writer;
use super::directory::RunDirectory;
use super::entries::{Entries, TopLevel, ValueError};
use super::environ::Environ;
use super::json::{Nan, put_json};
use super::records::{self, Opening};
use super::settings::{self, Settings};
use super::shared::Live;
use super::state::{Buffering, Sink, State};
use super::tee::{self, Tee};
use crate::error::{Error, ErrorKind, Result};
use crate::log::LogWriter;
use crate::proto::wandb_internal::ConfigItem;
use crate::tfevents::HParams;
use serde::Serialize;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// Whether a run is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// To disk, to be synced some day.
    Offline,
    /// Not at all: every call does nothing, and no file is touched.
    Disabled,
}

/// How to make a run; see [`Writer::options`].
///
/// What is not said here is looked up in the environment, as W&B does:
///
/// | variable | is |
/// |---|---|
/// | `WANDB_PROJECT`, `WANDB_ENTITY` | [`project`](Self::project), [`entity`](Self::entity) |
/// | `WANDB_NAME`, `WANDB_NOTES`, `WANDB_JOB_TYPE` (also `WANDB_RUN_…`) | [`name`](Self::name), [`notes`](Self::notes), [`job_type`](Self::job_type) |
/// | `WANDB_TAGS` (also `WANDB_RUN_TAGS`) | [`tags`](Self::tags), with commas between; empty ones are left out |
/// | `WANDB_RUN_ID`, `WANDB_RUN_GROUP` | [`id`](Self::id), [`group`](Self::group) |
/// | `WANDB_DIR` | [`dir`](Self::dir) |
/// | `WANDB_MODE` | `offline` or `dryrun`, or `disabled`. `online` is an error: write offline, then sync |
/// | `WANDB_DISABLED` | yes means disabled. W&B itself knows nothing of it, but Hugging Face's scripts do |
/// | `WANDB_DISABLE_GIT`, `WANDB_GIT_REMOTE_URL`, `WANDB_GIT_COMMIT` | the checkout the run names |
/// | `WANDB_HOST`, `WANDB_USERNAME`, `WANDB_PROGRAM`, `WANDB_DOCKER` | what the run says of where it ran |
///
/// An empty variable counts as not set, save for `WANDB_RUN_ID` and `WANDB_MODE`, where it is an error
/// as in W&B. Settings files are not read.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until `create` is called"]
pub struct WriterOptions {
    pub(super) project: Option<String>,
    pub(super) entity: Option<String>,
    pub(super) name: Option<String>,
    pub(super) notes: Option<String>,
    pub(super) id: Option<String>,
    pub(super) group: Option<String>,
    pub(super) job_type: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) dir: Option<PathBuf>,
    pub(super) mode: Option<Mode>,
    pub(super) config: Vec<ConfigItem>,
    buffering: Option<Buffering>,
    sync_every: Option<Duration>,
    tensorboard: Option<PathBuf>,
    environ: Option<Environ>,
}

impl WriterOptions {
    /// The project: at most 128 characters, none of `/ \ # ? % :`. By default the name of the git
    /// checkout the program runs in, else `uncategorized`.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// The user or team the run belongs to. By default whoever syncs it.
    pub fn entity(mut self, entity: impl Into<String>) -> Self {
        self.entity = Some(entity.into());
        self
    }

    /// The name shown for the run. Without one the server makes one up.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A longer description.
    pub fn notes(mut self, notes: impl Into<String>) -> Self {
        self.notes = Some(notes.into());
        self
    }

    /// The run's id, unique in its project: by default 8 random characters. Give the id of an earlier
    /// run to make another part of that run.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The group of runs this one is part of, such as the processes of one distributed job.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// What the run does in its group, as in `train` or `eval`.
    pub fn job_type(mut self, job_type: impl Into<String>) -> Self {
        self.job_type = Some(job_type.into());
        self
    }

    /// Tags, of 1 to 64 characters each; white space around them is removed.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// The directory to make `wandb/` in. By default the current one.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Whether the run is written at all.
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Hyperparameters: a struct, a map or a sequence of pairs, with values of any shape. May be called
    /// again to add more; of two values for a key the last wins.
    ///
    /// As in W&B, a NaN becomes `null`.
    ///
    /// # Errors
    /// When `config` has another shape, a key that is no text, or the key `_wandb`, which is W&B's.
    pub fn config<C: Serialize>(mut self, config: C) -> Result<Self> {
        for item in config_items(&config)? {
            self.config.retain(|earlier| earlier.key != item.key);
            self.config.push(item);
        }
        Ok(self)
    }

    /// Lets up to `rows` rows wait in memory, none of them longer than `time`, which a thread sees to
    /// even if the loop stops logging.
    ///
    /// Logging gets cheaper, at a price: if the process is killed or calls
    /// [`exit`](std::process::exit), the rows that wait are lost. Without this, every row is with the
    /// operating system when `log` returns, and only a crash of the machine can lose it.
    pub const fn buffered(mut self, rows: usize, time: Duration) -> Self {
        self.buffering = Some(Buffering { rows, time });
        self
    }

    /// Makes the operating system put the log on the disk this often, and at the end, so that a crash of
    /// the machine loses no more than that. A thread does it; the training loop does not wait.
    pub const fn sync_every(mut self, time: Duration) -> Self {
        self.sync_every = Some(time);
        self
    }

    /// Writes the run for TensorBoard as well: in a directory of `logdir` that is called like the run's
    /// own, numbers and booleans as scalars by the run's steps, and the config as hyperparameters.
    ///
    /// Other values are only in the run; [`convert::wandb`](crate::convert::wandb) has them all. Rows
    /// reach the event file within some seconds of logging, and by [`flush`](Writer::flush) and
    /// [`finish`](Writer::finish). If writing it fails, the row is in the log, and the call and all later
    /// ones are errors.
    ///
    /// ```
    /// # fn main() -> wandb_offline::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// let run = wandb_offline::Writer::options()
    ///     .dir(dir.path())
    ///     .tensorboard(dir.path().join("runs"))
    ///     .create()?;
    /// run.log([("loss", 0.5)])?;
    /// run.finish()?;
    ///
    /// let found = wandb_offline::tfevents::discover(dir.path().join("runs"))?;
    /// assert_eq!(found.runs[0].name, run.dir().file_name().unwrap().to_str().unwrap());
    /// # Ok(())
    /// # }
    /// ```
    pub fn tensorboard(mut self, logdir: impl Into<PathBuf>) -> Self {
        self.tensorboard = Some(logdir.into());
        self
    }

    /// Takes these for the environment variables, instead of the process's.
    pub fn environment<K, V>(mut self, vars: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        self.environ = Some(vars.into_iter().collect());
        self
    }

    /// Makes the run: its directory, its log, and in it the records that open a run.
    ///
    /// # Errors
    /// When an option or environment variable has a value that will not do (the error names it), or when
    /// the directory or the log cannot be made. What exists is never overwritten.
    pub fn create(self) -> Result<Writer> {
        let environ = self.environ.clone().unwrap_or_else(Environ::of_process);
        let root = settings::root(&self, &environ);
        let mode = settings::mode(&self, &environ)?;
        let settings = Settings::resolve(&self, &environ)?;
        let directory = RunDirectory::plan(&root, &settings.id);
        if mode == Mode::Disabled {
            return Ok(Writer::new(settings.id, directory, None));
        }
        let tee = self.tensorboard.map(|logdir| (logdir, tee::hparams(&self.config)));
        let (started, start_time) = (Instant::now(), SystemTime::now());
        let opening = records::opening(&settings, self.config, &environ, &root, start_time)?;
        let directory = directory.create(&settings.id)?;
        let buffering = self.buffering.filter(|b| b.rows > 1 && !b.time.is_zero());
        let live = start(&directory, &opening, started, buffering, self.sync_every, tee)
            .inspect_err(|_| directory.discard())?;
        directory.link_latest();
        Ok(Writer::new(settings.id, directory, Some(live)))
    }
}

/// Makes the log, opens it with the records of a run, and starts what else it needs.
fn start(
    directory: &RunDirectory,
    opening: &Opening,
    started: Instant,
    buffering: Option<Buffering>,
    sync_every: Option<Duration>,
    tee: Option<(PathBuf, HParams)>,
) -> Result<Live> {
    let path = &directory.log;
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let file = file.map_err(|error| Error::io("create", path, error))?;
    let syncer = match sync_every {
        Some(every) => {
            let syncer = file.try_clone().map_err(|error| Error::io("sync", path, error))?;
            directory.sync()?;
            Some((syncer, every))
        }
        None => None,
    };
    let sink: Sink = Box::new(file);
    let mut log = LogWriter::new(sink, path);
    opening.write(&mut log)?;
    let name = directory.dir.file_name().unwrap_or_default();
    let tee = tee.map(|(logdir, hparams)| Tee::create(&logdir.join(name), &hparams)).transpose()?;
    let state = State::new(log, started, buffering).tee(tee);
    Live::start(state, buffering.map(|b| b.time), syncer)
        .map_err(|error| Error::io("start the thread that writes", path, error))
}

/// A config as the items of a record: one text for each top-level key.
pub(super) fn config_items<C: Serialize>(config: &C) -> Result<Vec<ConfigItem>> {
    let mut items = Items(Vec::new());
    config.serialize(TopLevel(&mut items)).map_err(|error| {
        let ValueError(reason) = error;
        let reason = match items.0.last() {
            Some(item) if item.value_json.is_empty() => format!("key {:?}: {reason}", item.key),
            _ => reason,
        };
        Error::new(ErrorKind::Value(format!("config: {reason}")))
    })?;
    if items.0.iter().any(|item| item.key == "_wandb") {
        let reason = "config: the key \"_wandb\" is reserved for W&B";
        return Err(Error::new(ErrorKind::Value(reason.to_owned())));
    }
    Ok(items.0)
}

/// Collects config items.
struct Items(Vec<ConfigItem>);

impl Entries for Items {
    const NEST: bool = false;

    fn enter(&mut self, key: &str) -> Option<usize> {
        self.0.push(ConfigItem { key: key.to_owned(), ..Default::default() });
        Some(0)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let text = json_text(Nan::Null, value)?;
        if let Some(item) = self.0.last_mut() {
            item.value_json = text;
        }
        Ok(())
    }

    fn raw(&mut self, text: &str) -> Result<(), ValueError> {
        if let Some(item) = self.0.last_mut() {
            text.clone_into(&mut item.value_json);
        }
        Ok(())
    }

    fn leave(&mut self, _: usize) {}
}

/// A value as one text.
pub(super) fn json_text<T: Serialize + ?Sized>(nan: Nan, value: &T) -> Result<String, ValueError> {
    let mut out = Vec::new();
    put_json(&mut out, nan, value)?;
    String::from_utf8(out).map_err(|error| ValueError(error.to_string()))
}
