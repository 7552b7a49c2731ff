//! Bringing a run that was converted before up to date.
//!
//! The log directory is converted anew, beside the old run. If it has only grown, the new log begins
//! with the records of the old one, up to the summary at its end; so the update is the old log up to
//! there and what the new one has behind it. The two are compared record by record, and nothing is
//! touched unless they agree. The last row may change, for a step may have been converted in the middle.
//! If more is another now, for a training was resumed or a tag came at steps of its own, the new
//! conversion takes the old one's place. Neither is done when the run was uploaded in the meantime, even
//! in part: rows on a server stay.

use super::report::{Reason, RunReport, RunStatus};
use crate::error::{Error, Result};
use crate::log::{LogWriter, Reader};
use crate::proto::wandb_internal as pb;
use crate::proto::wandb_internal::record::RecordType;
use crate::record::{Body, RecordKind};
use prost::Message;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use walkdir::WalkDir;

/// Makes the run in `old` what the complete one in `new`, of the same id, is. Takes what it needs out of
/// `new`.
pub(super) fn update(old: &Path, new: &Path, id: &str, report: &mut RunReport) -> Result<()> {
    let name = format!("run-{id}.wandb");
    let (old_log, new_log) = (old.join(&name), new.join(&name));
    let marker = |of: &str| old.join(format!("{name}.{of}"));
    let synced = marker("synced");
    let is_uploaded = synced.exists() || marker("syncstate").exists();
    let common = Common::find(&old_log, &new_log)?;
    report.status = RunStatus::Updated;
    if common.identical {
        report.status = RunStatus::Unchanged;
        return Ok(());
    }
    if let Some(reason) = common.refusal(is_uploaded, report) {
        return Err(Error::misuse(format!("cannot update: {reason}")).at(old_log));
    }
    report.rows_added = report.rows.saturating_sub(common.rows);
    report.rows_replaced = common.rows_behind;
    let spliced = new.join("spliced.wandb");
    let (log, stale) = match common.other {
        Some(_) => (&new_log, named_files(&old_log)?),
        None => {
            common.splice(&old_log, &new_log, &spliced)?;
            (&spliced, Vec::new())
        }
    };
    let (from, to) = (new.join("files"), old.join("files"));
    let stale: Vec<_> = stale.into_iter().filter(|path| !from.join(path).exists()).collect();
    move_files(&from, &to)?;
    fs::rename(log, &old_log).map_err(|e| Error::io("rename a file to", &old_log, e))?;
    for path in stale {
        // Nothing names it any more; it may be gone already.
        let _ = fs::remove_file(to.join(path));
    }
    // It no longer is.
    if synced.exists() {
        fs::remove_file(&synced).map_err(|error| Error::io("remove", &synced, error))?;
    }
    Ok(())
}

/// How far an old log and a new one are the same.
#[derive(Default)]
struct Common {
    /// Records of the old log, and where they end.
    records: i64,
    end: u64,
    /// Records of the new log.
    new_records: u64,
    /// Rows of them, and those behind that in the old log.
    rows: u64,
    rows_behind: u64,
    /// What the new log says about the run that the old one does not.
    config: Vec<pb::ConfigItem>,
    run: Option<pb::RunRecord>,
    identical: bool,
    /// What is another now that cannot be added behind the rest.
    other: Option<String>,
}

impl Common {
    /// Compares the logs; an error if the old one is not whole or not ours.
    fn find(old_log: &Path, new_log: &Path) -> Result<Self> {
        let refuse = |reason: &str| Error::misuse(format!("cannot update: {reason}")).at(old_log);
        let (mut old, mut new) = (Reader::open(old_log)?, Reader::open(new_log)?);
        let head = Head::read(&mut old)?.filter(Head::is_ours);
        let mut known = head.ok_or_else(|| refuse("it was not made by this program"))?;
        let wanted = Head::read(&mut new)?.ok_or_else(|| refuse("there is nothing new"))?;
        let mut common = Self { records: 2, end: known.end, new_records: 2, ..Self::default() };
        let mut same = known.is_same_run(&wanted);
        if !same {
            let what = "it was converted with other options or starts at another time";
            common.other = Some(what.to_owned());
        }
        while let Some(was) = old.next_record()? {
            let body = was.body()?;
            if !same {
                common.rows_behind += u64::from(is_row(body.as_ref()));
                continue;
            }
            if !known.take(body.as_ref()) {
                let is = new.next_record()?;
                same = is.as_ref().map(|is| is.body()).transpose()?.is_some_and(|is| is == body);
                if !same {
                    common.rows_behind += u64::from(is_row(body.as_ref()));
                    continue;
                }
                common.new_records += 1;
                common.rows += u64::from(is_row(body.as_ref()));
            }
            common.records += 1;
            common.end = was.span.offset + was.span.length;
        }
        if !old.tail().is_some_and(|tail| tail.is_clean()) {
            return Err(refuse("its log is cut off; move it away to convert anew"));
        }
        common.identical = same && new.next_record()?.is_none();
        if common.rows_behind > 1 && common.other.is_none() {
            common.other = Some(format!("its last {} rows are others now", common.rows_behind));
        }
        (common.config, common.run) = known.changes(wanted);
        common.identical &= common.config.is_empty() && common.run.is_none();
        Ok(common)
    }

    /// Why the old log must stay as it is. `report` tells of the new one.
    fn refusal(&self, is_uploaded: bool, report: &RunReport) -> Option<String> {
        if is_uploaded {
            let what = match (&self.other, self.rows_behind) {
                (Some(other), _) => format!("it was uploaded, and {other}"),
                (None, 0) => return None,
                (None, _) => "its last row, which was uploaded, is another one now".to_owned(),
            };
            return Some(format!("{what}; convert into another directory"));
        }
        let obsolete = report.left_out.iter().filter(|of| of.reason == Reason::Restart);
        let explained = report.rows + obsolete.map(|of| of.count).sum::<u64>();
        let before = self.rows + self.rows_behind;
        (explained < before).then(|| {
            format!(
                "the log directory has less than before: {} rows, not {before}; \
                 convert into another directory",
                report.rows
            )
        })
    }

    /// Writes what the logs have in common as it is in the old one, and behind that what the new one
    /// has.
    fn splice(self, old_log: &Path, new_log: &Path, to: &Path) -> Result<()> {
        let old = File::open(old_log).map_err(|error| Error::io("open", old_log, error))?;
        let file = OpenOptions::new().write(true).create_new(true).open(to);
        let mut file = file.map_err(|error| Error::io("create", to, error))?;
        io::copy(&mut old.take(self.end), &mut file).map_err(|e| Error::io("write to", to, e))?;
        let mut log = LogWriter::resume(file, to, self.end, self.records);
        if !self.config.is_empty() {
            let config = pb::ConfigRecord { update: self.config, ..pb::ConfigRecord::default() };
            log.message(RecordKind::Config, &config)?;
        }
        if let Some(run) = self.run {
            log.message(RecordKind::Run, &run)?;
        }
        let (mut new, mut at) = (Reader::open(new_log)?, 0);
        while let Some(record) = new.next_record()? {
            at += 1;
            let Some(body) = record.body()?.filter(|_| at > self.new_records) else { continue };
            log.record(body.kind, &body.message)?;
            if log.buffered() >= FLUSH_LEN {
                log.flush()?;
            }
        }
        log.sync()
    }
}

/// The first two records of a log, and the changes that updates made to the second one.
struct Head {
    header: pb::HeaderRecord,
    run: pb::RunRecord,
    end: u64,
}

impl Head {
    fn read(log: &mut Reader) -> Result<Option<Self>> {
        let mut next = || -> Result<_> {
            let Some(record) = log.next_record()? else { return Ok(None) };
            Ok(record.decode()?.record_type.map(|of| (of, record.span.offset + record.span.length)))
        };
        Ok(match (next()?, next()?) {
            (Some((RecordType::Header(header), _)), Some((RecordType::Run(run), end))) => {
                Some(Self { header, run, end })
            }
            _ => None,
        })
    }

    fn is_ours(&self) -> bool {
        let version = self.header.version_info.as_ref();
        version.is_some_and(|version| version.producer.starts_with(PRODUCER))
    }

    /// Whether all is the same but what a log directory may add later: config and group.
    fn is_same_run(&self, other: &Self) -> bool {
        let bare = |run: &pb::RunRecord| pb::RunRecord {
            config: None,
            run_group: String::new(),
            ..run.clone()
        };
        bare(&self.run) == bare(&other.run)
    }

    /// Takes in a record that an update added; `false` if it is none.
    fn take(&mut self, body: Option<&Body<'_>>) -> bool {
        match body {
            Some(Body { kind: RecordKind::Run, message, .. }) => {
                let Ok(run) = pb::RunRecord::decode(&**message) else { return false };
                self.run = run;
                true
            }
            Some(Body { kind: RecordKind::Config, message, .. }) => {
                let Ok(config) = pb::ConfigRecord::decode(&**message) else { return false };
                // Charts have paths of several elements.
                if config.update.iter().any(|item| item.key.is_empty()) {
                    return false;
                }
                let items = &mut self.run.config.get_or_insert_default().update;
                for new in config.update {
                    items.retain(|item| item.key != new.key);
                    items.push(new);
                }
                true
            }
            _ => false,
        }
    }

    /// What of `wanted` is not known.
    fn changes(self, wanted: Self) -> (Vec<pb::ConfigItem>, Option<pb::RunRecord>) {
        let known = self.run.config.unwrap_or_default().update;
        let items = wanted.run.config.clone().unwrap_or_default().update.into_iter();
        let new = items.filter(|item| !known.contains(item)).collect();
        (new, Some(wanted.run).filter(|run| run.run_group != self.run.run_group))
    }
}

fn is_row(body: Option<&Body<'_>>) -> bool {
    body.is_some_and(|body| body.kind == RecordKind::History)
}

/// The files that a log names, in so far as their names stay inside the directory of files.
fn named_files(log: &Path) -> Result<Vec<PathBuf>> {
    let (mut log, mut named) = (Reader::open(log)?, Vec::new());
    while let Some(record) = log.next_record()? {
        let Some(body) = record.body()?.filter(|body| body.kind == RecordKind::Files) else {
            continue;
        };
        let files = pb::FilesRecord::decode(&*body.message).unwrap_or_default().files;
        let paths = files.into_iter().map(|file| PathBuf::from(file.path));
        let is_inside =
            |path: &PathBuf| path.components().all(|c| matches!(c, Component::Normal(_)));
        named.extend(paths.filter(is_inside));
    }
    Ok(named)
}

/// Moves the files that are not there yet. Through links nothing is moved: they may lead anywhere.
fn move_files(from: &Path, to: &Path) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry.map_err(|error| Error::io("list", from, error.into()))?;
        let Ok(relative) = entry.path().strip_prefix(from) else { continue };
        let target =
            if relative.as_os_str().is_empty() { to.to_owned() } else { to.join(relative) };
        let there = fs::symlink_metadata(&target).ok();
        if there.as_ref().is_some_and(fs::Metadata::is_symlink) {
            return Err(
                Error::misuse("cannot update: a link is in the place of its files").at(target)
            );
        }
        if there.is_some() {
            continue;
        }
        if entry.file_type().is_dir() {
            fs::create_dir(&target).map_err(|e| Error::io("create", &target, e))?;
        } else {
            let moved = fs::rename(entry.path(), &target);
            moved.map_err(|e| Error::io("rename a file to", &target, e))?;
        }
    }
    Ok(())
}

/// What our logs say about who made them.
pub(super) const PRODUCER: &str = "wandb-offline ";
const FLUSH_LEN: usize = 256 << 10;
