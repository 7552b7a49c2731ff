//! A copy of a run without the secrets in it.
//!
//! What was logged by accident (an API key among the arguments, a password in the config, a URL with
//! credentials on the console) is found by [`SecretScanner`] and replaced by
//! a mark like `[scrubbed wandb api key]`: in every string of every record, in console output also where a
//! secret is split over several records, and in the text files of the run directory. All else is copied as
//! it is: records without a secret byte for byte but for their number, records with one with everything
//! around it, also what this crate does not know.
//!
//! The run itself is never changed. The copy is written under a hidden name, read back, scanned again, and
//! gets its name only when nothing is found any more. A secret that was shared must still be revoked.
//!
//! A log is read twice, and memory grows with the longest record and the number of secrets. A link to a
//! file that holds secrets becomes a file without them. Text may be in UTF-8 or, with a mark in front, UTF-16.
//! Files that are compressed, archives, and those that hold no text are copied without a look into them, and named
//! in the report ([`ScrubReport::files_unread`]): what should not be shared may stand there, too.
//! If a media file is changed, the digest that the log has of it no longer fits.

mod files;
mod report;
mod scan;
mod utf16;
mod write;

pub use report::{ScrubReport, ScrubbedSecret, Unread, UnreadFile};

use crate::error::{Error, Result};
use crate::log::{Repeated, locate_only, plain_path};
use crate::rewrite::{added, beside, files_in, is_run_dir, refuse_in_runs, resolved};
use crate::secrets::SecretScanner;
use scan::Scan;
use std::path::{Path, PathBuf};

/// What to scrub, and where the copy goes.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "made with ..Options::default()")]
pub struct Options {
    /// What finds the secrets.
    pub scanner: SecretScanner,
    /// The copy, which must not exist. A name that ends in `.wandb` is that of a log alone, any other that
    /// of a run directory. By default it stands beside the run: `RUN-scrubbed`, or `X.scrubbed.wandb` for a
    /// log that is in no run directory.
    pub output: Option<PathBuf>,
    /// Only reports, and writes nothing.
    pub dry_run: bool,
}

/// Makes a copy of a run without its secrets.
///
/// `run` is a `.wandb` file, a run directory, its `files/`, or a directory of one run.
/// A damaged log is read as far as it can be; what was left out is in the report.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use wandb_offline::scrub::{Options, scrub};
///
/// let run = wandb_offline::Writer::options()
///     .dir(dir.path())
///     .config([("db_password", "hunter2"), ("model", "resnet50")])?
///     .create()?;
/// run.finish()?;
///
/// let report = scrub(run.path(), &Options::default())?;
/// let secret = &report.secrets[0];
/// assert_eq!((secret.field.as_str(), secret.name.as_str()), ("run.config.update", "db_password"));
/// let copy = wandb_offline::run::load(report.log.unwrap(), false)?.0;
/// assert_eq!(copy.config().to_string(), r#"{"db_password":"[scrubbed password]","model":"resnet50"}"#);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When several runs are there, the log cannot be read or is none, the output exists, or writing fails; also when a scan of the
/// copy still finds something. No copy is left then.
pub fn scrub(run: impl AsRef<Path>, options: &Options) -> Result<ScrubReport> {
    let target = Target::of(run.as_ref(), options)?;
    let log = Repeated::new(&target.log)?;
    let scan = Scan::of(&log, target.dir.as_deref(), &options.scanner)?;
    let mut report = ScrubReport::new(&target, &scan);
    if options.dry_run {
        return Ok(report);
    }
    let proven = write::write(&log, &target, &scan, options, &mut report)?;
    let copy_dir = target.dir.is_some().then(|| proven.path());
    let copy = Repeated::new(&proven.log_path())?;
    let left = Scan::of(&copy, copy_dir, &options.scanner)?;
    if left.count > 0 {
        let places: Vec<_> = left.found.iter().take(3).map(ToString::to_string).collect();
        let reason = format!(
            "a scan of the copy still finds secrets, so it was not kept; look at {}",
            places.join("; ")
        );
        return Err(Error::misuse(reason).at(&target.log));
    }
    let log_name = proven.log_path().file_name().map(ToOwned::to_owned).unwrap_or_default();
    let output = proven.publish()?;
    report.log = Some(if target.dir.is_some() { output.join(log_name) } else { output.clone() });
    report.output = Some(output);
    Ok(report)
}

/// What is scrubbed, and where the copy goes.
#[derive(Debug)]
struct Target {
    log: PathBuf,
    /// The run directory, if all of it is meant.
    dir: Option<PathBuf>,
    output: PathBuf,
}

impl Target {
    fn of(run: &Path, options: &Options) -> Result<Self> {
        let log = locate_only(run)?;
        let dir = resolved(log.dir())?;
        let alone = match &options.output {
            Some(output) => output.extension().is_some_and(|extension| extension == "wandb"),
            None => !run.is_dir() && !is_run_dir(&dir),
        };
        let output = match &options.output {
            Some(output) => output.clone(),
            None if alone => {
                let plain = plain_path(&log.path);
                let stem = plain.file_stem().unwrap_or_default().to_owned();
                plain.with_file_name(added(stem, ".scrubbed.wandb"))
            }
            None => beside(&dir, "-scrubbed")?,
        };
        refuse_in_runs(&output, [log.path.as_path()])?;
        if !alone {
            refuse_other_logs(&dir, &log.path)?;
        }
        Ok(Self { log: log.path, dir: (!alone).then_some(dir), output })
    }
}

/// Other logs in the run directory would be copied with the secrets in them, for they are no text.
fn refuse_other_logs(dir: &Path, log: &Path) -> Result<()> {
    let is_log = |name: &PathBuf| {
        plain_path(name).extension().is_some_and(|extension| extension == "wandb")
            && Some(name.as_os_str()) != log.file_name()
    };
    match files_in(dir)?.into_iter().find(is_log) {
        Some(other) => {
            let reason = "another log is in this run directory, whose secrets would stay; scrub each \
                          alone, to an output that ends in .wandb, or move it away";
            Err(Error::misuse(reason).at(dir.join(other)))
        }
        None => Ok(()),
    }
}
