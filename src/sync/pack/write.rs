//! Packing.

use super::contents::{Contents, Index};
use super::named::{Named, name};
use super::objects::{Objects, extend};
use super::report::{PackReport, PackStatus, PackedFile, PackedRun};
use super::{LOCK, PackedLogs, lock, refuse_links};
use crate::error::{Error, Result};
use crate::io::parent;
use crate::log::{SYNCSTATE, noted_beside};
use crate::sync::ledger::{Ledger, LogMark, replace};
use crate::sync::local::LocalFiles;
use crate::sync::options::SyncOptions;
use crate::sync::paths::{Candidate, Selection, select};
use crate::sync::plan::LocalFile;
use crate::sync::report::RunStatus;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Packs the logs that `paths` mean into the directory `dir`, which is made, or is a pack already: then what is
/// new is added. [`sync_pack`](super::sync_pack) uploads them, on whatever machine.
///
/// Of the options those count that say which logs are taken and what is sent of them; they are packed as well, as
/// they were given last. A log is packed as it is, damage included, up to its last whole record, with the
/// files that it names and with its ledgers. Nothing stops the others when one fails.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use wandb_offline::Writer;
/// use wandb_offline::sync::{PackStatus, SyncOptions, pack};
///
/// let run = Writer::options().project("demo").dir(dir.path()).create()?;
/// run.log([("loss", 0.5)])?;
/// run.finish()?;
///
/// let stick = dir.path().join("stick");
/// let report = pack(&[run.path().to_owned()], &stick, &SyncOptions::default())?;
/// assert!(report.is_complete());
/// assert_eq!(report.runs[0].status, PackStatus::Packed);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When `dir` is no pack and not empty, cannot be written, or is in use by another process.
pub fn pack(paths: &[PathBuf], dir: &Path, options: &SyncOptions) -> Result<PackReport> {
    let is_new = Index::read(dir)?.is_none();
    if is_new {
        refuse_others(dir)?;
    }
    let mut locked = None;
    if !options.dry_run {
        fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, error))?;
        locked = Some(lock(dir)?);
        if is_new {
            Index::write(dir, BTreeSet::new())?;
        }
    }
    let Selection { groups, left_out, unbegun, errors, .. } =
        select(paths, &PackedLogs::new(), None, options, &|_| true);
    let mut report = PackReport::default();
    report.errors.extend(errors.iter().map(ToString::to_string));
    report.runs.extend(left_out.into_iter().chain(unbegun).map(|found| {
        let skipped = found.status == RunStatus::Skipped;
        let status = if skipped { PackStatus::Skipped } else { PackStatus::Failed };
        PackedRun { problems: found.problems, ..PackedRun::new(found.log, status) }
    }));
    for candidate in groups.iter().flatten() {
        let mut run = PackedRun::new(candidate.log.path.clone(), PackStatus::Failed);
        let (entity, project, id) = &candidate.target;
        run.run = Some(format!("{entity}/{project}/{id}"));
        if let Err(error) = pack_run(dir, candidate, options, &mut run) {
            run.status = PackStatus::Failed;
            run.problems.push(error.to_string());
        }
        report.runs.push(run);
    }
    report.runs.sort_by(|a, b| a.log.cmp(&b.log));
    if locked.is_some() {
        let index = Index::read(dir)?.map(|index| index.runs);
        let runs = runs(dir)?;
        if index.as_ref() != Some(&runs) {
            Index::write(dir, runs)?;
        }
    }
    Ok(report)
}

/// Fails if there is something in a directory that is no pack.
fn refuse_others(dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Error::io("look into", dir, error))?,
    };
    let ours = |name: &str| name == LOCK || name.starts_with(".tmp-");
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("look into", dir, error))?;
        if !entry.file_name().to_str().is_some_and(ours) {
            let reason = "this directory is no pack and not empty; name a new one for --to";
            return Err(Error::misuse(reason).at(dir));
        }
    }
    Ok(())
}

/// The runs in a pack.
pub(super) fn runs(dir: &Path) -> Result<BTreeSet<String>> {
    let failed = |error| Error::io("look into", dir, error);
    let mut runs = BTreeSet::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if Contents::is_in(&entry.path()) {
            runs.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(runs)
}

fn pack_run(
    pack: &Path,
    candidate: &Candidate,
    options: &SyncOptions,
    run: &mut PackedRun,
) -> Result<()> {
    let log = &candidate.log.path;
    let files = LocalFiles::new(candidate.log.dir(), options);
    let named = Named::by(log, &files)?;
    let (dir, before) = place(pack, log)?;
    let is_packed =
        |file: &LocalFile| before.as_ref().is_some_and(|known| known.get(file).is_some());
    let (found, missing) = named.located(&files, is_packed);
    run.problems.extend(missing);
    run.log_bytes = named.length;
    run.packed = Some(dir.clone());
    if options.dry_run {
        let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let file = |(file, path): &(LocalFile, PathBuf)| packed_file(name(file), size(path));
        run.files = found.iter().map(file).collect();
        run.status = if run.problems.is_empty() { PackStatus::Planned } else { PackStatus::Partly };
        return Ok(());
    }
    let mut objects = Objects::new(&dir)?;
    let mut contents = Contents::of(file_name(log), candidate.terms.clone());
    for file in &named.files {
        let kept = before.as_ref().and_then(|before| before.get(file));
        if let Some(blob) = kept.filter(|blob| objects.has(blob)) {
            contents.insert(file, blob.clone());
        }
    }
    for (file, path) in &found {
        let known = before.as_ref().and_then(|before| before.get(file));
        match objects.take(path, known) {
            Ok(blob) => contents.insert(file, blob),
            Err(error) => run.problems.push(error.to_string()),
        }
    }
    let packed = dir.join(&contents.name);
    let known = before.as_ref().map(|before| &before.log);
    let (blob, copied) = extend(&packed, known, log, named.length)?;
    contents.log = blob;
    bring_notes(log, &packed)?;
    run.copied = objects.copied + copied;
    run.files = contents.blobs().map(|(name, blob)| packed_file(name, blob.size)).collect();
    let changed = before.as_ref() != Some(&contents);
    if changed {
        // There is something to send again. Rather once too often than never.
        remove(&noted_beside(&packed, ".synced"))?;
        contents.write(&dir)?;
        objects.keep(contents.blobs().map(|(_, blob)| blob))?;
    }
    run.status = match (run.problems.is_empty(), changed) {
        (false, _) => PackStatus::Partly,
        (true, true) => PackStatus::Packed,
        (true, false) => PackStatus::Unchanged,
    };
    Ok(())
}

/// Where a log is in the pack, or where there is room for it; and what is packed of it.
fn place(pack: &Path, log: &Path) -> Result<(PathBuf, Option<Contents>)> {
    let resolved = log.canonicalize().map_err(|error| Error::io("read", log, error))?;
    let dir = resolved.parent().and_then(Path::file_name).unwrap_or_default();
    let name = match dir.to_string_lossy() {
        name if name.is_empty() || name.starts_with('.') => "run".to_owned(),
        name => name.into_owned(),
    };
    let mut place = pack.join(&name);
    let mut number = 1;
    loop {
        if fs::symlink_metadata(&place).is_ok() {
            refuse_links(&place)?;
        }
        let Some(contents) = Contents::read(&place)? else { return Ok((place, None)) };
        let packed = place.join(&contents.name);
        if contents.name == file_name(log) && LogMark::of(&packed)?.fits(log)? {
            return Ok((place, Some(contents)));
        }
        // Another log was in a directory of that name.
        number += 1;
        place = pack.join(format!("{name}-{number}"));
    }
}

/// Puts the ledgers beside a log into the pack, unless those there have come further.
fn bring_notes(log: &Path, packed: &Path) -> Result<()> {
    let dir = parent(log);
    let stem = format!("{}.", file_name(&noted_beside(log, "")));
    let failed = |error| Error::io("look into", dir, error);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(&stem)) else { continue };
        let (here, there) = (dir.join(name), packed.with_file_name(name));
        if !name.ends_with(".sync") {
            continue;
        }
        let Some(ledger) = Ledger::read(&here)? else { continue };
        let is_news = match Ledger::read(&there)? {
            None => true,
            Some(known) if known.is_elsewhere(&ledger) => {
                let reason = "this ledger and the one in the pack disagree on where the lines are; \
                              move one of them away";
                return Err(Error::misuse(reason).at(here));
            }
            Some(known) => ledger.is_ahead_of(&known),
        };
        if is_news {
            copy_note(&here, &there)?;
        }
    }
    let (here, there) = (noted_beside(log, SYNCSTATE), noted_beside(packed, SYNCSTATE));
    if here.is_file() && !there.exists() {
        copy_note(&here, &there)?;
    }
    Ok(())
}

fn copy_note(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).map_err(|error| Error::io("read", from, error))?;
    replace(to, &bytes, true)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn packed_file(name: &str, size: u64) -> PackedFile {
    PackedFile { name: name.to_owned(), size }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
