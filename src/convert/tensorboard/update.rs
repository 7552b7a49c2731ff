//! Bringing a run that was converted before up to date.
//!
//! The log directory is converted anew, beside the old run. If it has only grown, the new log begins
//! with the records of the old one, up to the summary at its end; so the update is the old log up to
//! there and what the new one has behind it. The two are compared record by record, and nothing is
//! touched unless they agree. The last row may change, for a step may have been converted in the middle,
//! unless the run was uploaded in the meantime: rows on a server stay.

use super::report::{RunReport, RunStatus};
use crate::error::{Error, Result};
use crate::log::{LogWriter, Reader};
use crate::proto::wandb_internal as pb;
use crate::proto::wandb_internal::record::RecordType;
use crate::record::{Body, RecordKind};
use prost::Message;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use walkdir::WalkDir;

/// Makes the run in `old` what the complete one in `new`, of the same id, is. Takes what it needs out of
/// `new`.
pub(super) fn update(old: &Path, new: &Path, id: &str, report: &mut RunReport) -> Result<()> {
    let name = format!("run-{id}.wandb");
    let (old_log, new_log) = (old.join(&name), new.join(&name));
    let synced = old.join(format!("{name}.synced"));
    let is_synced = synced.exists();
    let common = Common::find(&old_log, &new_log, is_synced)?;
    report.status = RunStatus::Updated;
    if common.identical {
        report.status = RunStatus::Unchanged;
        return Ok(());
    }
    let spliced = new.join("spliced.wandb");
    report.rows_added = common.splice(&old_log, &new_log, &spliced)?;
    move_files(&new.join("files"), &old.join("files"))?;
    fs::rename(&spliced, &old_log).map_err(|e| Error::io("rename a file to", &old_log, e))?;
    // It no longer is.
    if is_synced {
        fs::remove_file(&synced).map_err(|error| Error::io("remove", &synced, error))?;
    }
    Ok(())
}

/// How far an old log and a new one are the same.
struct Common {
    /// Records of the old log, and where they end.
    records: i64,
    end: u64,
    /// Records of the new log.
    new_records: u64,
    /// Rows behind that in the old log.
    rows_behind: u64,
    /// What the new log says about the run that the old one does not.
    config: Vec<pb::ConfigItem>,
    run: Option<pb::RunRecord>,
    identical: bool,
}

impl Common {
    /// Compares the logs; an error if the old one cannot become the new one.
    fn find(old_log: &Path, new_log: &Path, is_synced: bool) -> Result<Self> {
        let refuse = |reason: &str| Error::misuse(format!("cannot update: {reason}")).at(old_log);
        let (mut old, mut new) = (Reader::open(old_log)?, Reader::open(new_log)?);
        let head = Head::read(&mut old)?.filter(Head::is_ours);
        let mut known = head.ok_or_else(|| refuse("it was not made by this program"))?;
        let wanted = Head::read(&mut new)?.ok_or_else(|| refuse("there is nothing new"))?;
        if !known.is_same_run(&wanted) {
            return Err(refuse("it was converted with other options or starts at another time"));
        }
        let mut common = Self {
            records: 2,
            end: known.end,
            new_records: 2,
            rows_behind: 0,
            config: Vec::new(),
            run: None,
            identical: false,
        };
        loop {
            let Some(was) = old.next_record()? else {
                common.identical = new.next_record()?.is_none();
                break;
            };
            let body = was.body()?;
            if !known.take(body.as_ref()) {
                let Some(is) = new.next_record()? else {
                    return Err(refuse("the log directory has less than before"));
                };
                if body != is.body()? {
                    common.rows_behind += u64::from(is_row(body.as_ref()));
                    break;
                }
                common.new_records += 1;
            }
            common.records += 1;
            common.end = was.span.offset + was.span.length;
        }
        while let Some(was) = old.next_record()? {
            common.rows_behind += u64::from(is_row(was.body()?.as_ref()));
        }
        if !old.tail().is_some_and(|tail| tail.is_clean()) {
            return Err(refuse("its log is cut off"));
        }
        match common.rows_behind {
            0 => {}
            1 if !is_synced => {}
            1 => return Err(refuse("its last row, which was uploaded, is another one now")),
            rows => {
                let reason = format!("its last {rows} rows are others now");
                return Err(refuse(&format!("{reason}; convert into another directory")));
            }
        }
        (common.config, common.run) = known.changes(wanted);
        common.identical &= common.config.is_empty() && common.run.is_none();
        Ok(common)
    }

    /// Writes what the logs have in common as it is in the old one, and behind that what the new one
    /// has. Returns how many rows that are.
    fn splice(self, old_log: &Path, new_log: &Path, to: &Path) -> Result<u64> {
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
        let (mut new, mut at, mut rows) = (Reader::open(new_log)?, 0, 0);
        while let Some(record) = new.next_record()? {
            at += 1;
            let Some(body) = record.body()?.filter(|_| at > self.new_records) else { continue };
            rows += u64::from(is_row(Some(&body)));
            log.record(body.kind, &body.message)?;
            if log.buffered() >= FLUSH_LEN {
                log.flush()?;
            }
        }
        log.sync()?;
        Ok(rows)
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

/// Moves the files that are not there yet.
fn move_files(from: &Path, to: &Path) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry.map_err(|error| Error::io("list", from, error.into()))?;
        let Ok(relative) = entry.path().strip_prefix(from) else { continue };
        let target = to.join(relative);
        if !entry.file_type().is_file() || target.exists() {
            continue;
        }
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory).map_err(|e| Error::io("create", directory, e))?;
        }
        fs::rename(entry.path(), &target).map_err(|e| Error::io("rename a file to", &target, e))?;
    }
    Ok(())
}

/// What our logs say about who made them.
pub(super) const PRODUCER: &str = "wandb-offline ";
const FLUSH_LEN: usize = 256 << 10;
