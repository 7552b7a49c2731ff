//! Writing the output, and proving it.

use super::form::Form;
use super::report::{Format, RecoverReport, Recovered};
use super::target::Target;
use super::{Options, REFUSAL, open, peek, salvage};
use crate::error::{Error, Result};
use crate::io::{Framed, Output, StagedDir, StagedFile, StreamSource};
use crate::limits::Limits;
use crate::log::{SYNCSTATE, noted_beside};
use crate::rewrite::{Contents, FilesDir, files_in};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Recovers a target with a file for output.
pub(super) fn write<F: Form>(target: &Target, form: F, options: &Options) -> Result<RecoverReport> {
    if options.dry_run {
        let mut nowhere = Output::new(io::sink(), PathBuf::new(), REFUSAL);
        let recovered = read(target, form, &mut nowhere)?.0;
        return Ok(report(target, recovered, false, 0));
    }
    let Some((dir, log_name)) = &target.run else {
        let (staged, file) = StagedFile::new(target.output.clone())?;
        let recovered = write_file(target, form, file, staged.path())?;
        staged.publish()?;
        return Ok(report(target, recovered, true, 0));
    };
    let staged = StagedDir::new(target.output.clone())?;
    let log = staged.unfinished_log();
    let file = File::create_new(&log).map_err(|error| Error::io("create", &log, error))?;
    let recovered = write_file(target, form, file, &log)?;
    staged.name_log(log_name.as_ref())?;
    let mut files = FilesDir::new(staged.path().to_owned());
    files.set_hard_links(options.hard_links);
    copy_run(dir, log_name.as_ref(), &mut files)?;
    files.sync()?;
    let count = files.count();
    staged.publish()?;
    Ok(report(target, recovered, true, count))
}

fn report(target: &Target, recovered: Recovered, written: bool, files: u64) -> RecoverReport {
    let (input, output) = (target.input.clone(), target.output.clone());
    RecoverReport { input, output, written, files, recovered }
}

/// Writes the recovered records to `file`, puts them on the disk, and reads them back.
fn write_file<F: Form>(target: &Target, form: F, file: File, path: &Path) -> Result<Recovered> {
    let mut output = Output::new(file, path.to_owned(), REFUSAL);
    output.write_behind();
    let (recovered, contents) = read(target, form, &mut output)?;
    output.sync_while("sync", || prove::<F>(path, &contents))?;
    Ok(recovered)
}

fn read<F: Form, W: io::Write>(
    target: &Target,
    form: F,
    output: &mut Output<W>,
) -> Result<(Recovered, Contents)> {
    let source = F::source(open(&target.input)?);
    let path = Some(target.input.as_path());
    let (mut recovered, contents) = salvage(form, source, output, path)?;
    if F::FORMAT == Format::Log {
        let failed = |error| Error::io("read", &target.input, error);
        let again = F::source(open(&target.input)?);
        peek::fill_in(&mut recovered.losses, again).map_err(failed)?;
    }
    Ok((recovered, contents))
}

/// Reads the file back, strictly: it holds these records, and nothing else.
fn prove<F: Form>(path: &Path, want: &Contents) -> Result<()> {
    let limits = Limits::DEFAULT;
    let source = StreamSource::new(open(path)?);
    let mut framed = Framed::new(F::decoder(&limits), source, &limits).named(path);
    let mut found = Contents::default();
    while let Some((_, payload)) = framed.next_record()? {
        found.add(payload);
    }
    want.compare(&found, framed.tail(), path)
}

/// Copies what belongs to a run beside its log. The mark that says it was uploaded does not: what was was
/// not what is recovered.
fn copy_run(dir: &Path, log_name: &Path, files: &mut FilesDir) -> Result<()> {
    for part in ["files", "logs"] {
        for name in files_in(&dir.join(part))? {
            let name = Path::new(part).join(name);
            files.place(&dir.join(&name), &name)?;
        }
    }
    // At which step the run went on from another part of it.
    let state = noted_beside(log_name, SYNCSTATE);
    if dir.join(&state).is_file() {
        files.place(&dir.join(&state), &state)?;
    }
    Ok(())
}
