//! Writing the output, and proving it.

use super::form::Form;
use super::report::{Format, RecoverReport, Recovered};
use super::target::Target;
use super::{Options, REFUSAL, open, peek, salvage};
use crate::error::{Error, Result};
use crate::io::{Framed, Output, StagedDir, StagedFile, StreamSource};
use crate::limits::Limits;
use crate::log::{SYNCSTATE, noted_beside};
use crate::rewrite::{FilesDir, files_in};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Recovers a target with a file for output.
pub(super) fn write<F: Form>(target: &Target, form: F, options: &Options) -> Result<RecoverReport> {
    if options.dry_run {
        let mut nowhere = Output::new(io::sink(), PathBuf::new(), REFUSAL);
        let recovered = read(target, form, &mut nowhere, options)?.0;
        return Ok(report(target, recovered, false, 0));
    }
    let Some((dir, log_name)) = &target.run else {
        let (staged, file) = StagedFile::new(target.output.clone())?;
        let recovered = write_file(target, form, file, staged.path(), options)?;
        staged.publish()?;
        return Ok(report(target, recovered, true, 0));
    };
    let staged = StagedDir::new(target.output.clone())?;
    let log = staged.unfinished_log();
    let file = File::create_new(&log).map_err(|error| Error::io("create", &log, error))?;
    let recovered = write_file(target, form, file, &log, options)?;
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
fn write_file<F: Form>(
    target: &Target,
    form: F,
    file: File,
    path: &Path,
    options: &Options,
) -> Result<Recovered> {
    let mut output = Output::new(file, path.to_owned(), REFUSAL);
    let (recovered, digest) = read(target, form, &mut output, options)?;
    output.sync("sync")?;
    prove::<F>(path, digest)?;
    Ok(recovered)
}

fn read<F: Form, W: io::Write>(
    target: &Target,
    form: F,
    output: &mut Output<W>,
    options: &Options,
) -> Result<(Recovered, Digest)> {
    let source = F::source(open(&target.input)?);
    let path = Some(target.input.as_path());
    let (mut recovered, digest) = salvage(form, source, output, path, options.finish)?;
    if F::FORMAT == Format::Log {
        let failed = |error| Error::io("read", &target.input, error);
        let again = F::source(open(&target.input)?);
        peek::fill_in(&mut recovered.losses, again).map_err(failed)?;
    }
    Ok((recovered, digest))
}

/// Reads the file back, strictly: it holds these records, and nothing else.
fn prove<F: Form>(path: &Path, want: Digest) -> Result<()> {
    let limits = Limits::DEFAULT;
    let source = StreamSource::new(open(path)?);
    let mut framed = Framed::new(F::decoder(&limits), source, &limits).named(path);
    let mut found = Digest::default();
    while let Some((_, payload)) = framed.next_record()? {
        found.add(payload);
    }
    if found == want && framed.tail().is_some_and(|tail| tail.is_clean()) {
        return Ok(());
    }
    let reason = "what was written does not read back as it should";
    Err(Error::io("rely on the disk", path, io::Error::other(reason)))
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

/// Tells whether two files hold the same records. It is a CRC-32C, another polynomial than that of a log's
/// own checksums, over the length and the bytes of each record in turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    records: u64,
    crc: u32,
}

impl Digest {
    pub(super) fn add(&mut self, payload: &[u8]) {
        self.records += 1;
        self.crc = crc32c::crc32c_append(self.crc, &(payload.len() as u64).to_le_bytes());
        self.crc = crc32c::crc32c_append(self.crc, payload);
    }
}
