//! The second pass: the copy.

use super::files;
use super::report::ScrubReport;
use super::scan::{Scan, edited};
use super::{Options, Target};
use crate::error::{Error, Result};
use crate::log::{Repeated, plain_path};
use crate::record::RawRecord;
use crate::rewrite::{FilesDir, Placed, Proven, Staged, files_in};
use crate::secrets::rewrite_texts;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes the copy, which still lacks its name.
pub(super) fn write(
    log: &Repeated,
    target: &Target,
    scan: &Scan,
    options: &Options,
    report: &mut ScrubReport,
) -> Result<Proven> {
    let mut new = match &target.dir {
        Some(_) => {
            let plain = plain_path(&target.log);
            let stem = plain.file_stem().unwrap_or_default().to_string_lossy();
            Staged::run(&target.output, stem.strip_prefix("run-").unwrap_or(&stem))?
        }
        None => Staged::log(&target.output)?,
    };
    write_log(&mut new, log, scan, options, report)?;
    if let (Some(dir), Some(root)) =
        (&target.dir, new.files.as_ref().and_then(|files| files.path().parent()))
    {
        write_files(dir, &mut FilesDir::new(root.to_owned()), target, scan, options, report)?;
    }
    new.prove()
}

fn write_log(
    new: &mut Staged,
    log: &Repeated,
    scan: &Scan,
    options: &Options,
    report: &mut ScrubReport,
) -> Result<()> {
    let mut reader = log.reader()?;
    while let Some(record) = reader.next_record()? {
        let scrubbed = match scan.console.get(&record.span.offset) {
            Some(edits) => rewrite_texts(record.payload, &mut |text| {
                text.is_console().then(|| edited(text.text, edits))
            }),
            None => options.scanner.scrub_record(record.payload).map(|(scrubbed, _)| scrubbed),
        };
        report.records_changed += u64::from(scrubbed.is_some());
        let payload = scrubbed.as_deref().unwrap_or(record.payload);
        match new.log.keep(&RawRecord::new(record.span, payload)) {
            // It was counted in the first pass.
            Err(error) if error.is_corrupt() => {}
            kept => kept?,
        }
    }
    Ok(())
}

fn write_files(
    dir: &Path,
    copy: &mut FilesDir,
    target: &Target,
    scan: &Scan,
    options: &Options,
    report: &mut ScrubReport,
) -> Result<()> {
    for name in files_in(dir)? {
        let from = dir.join(&name);
        if Some(name.as_os_str()) == target.log.file_name() {
            continue;
        }
        let Some(found) = scan.files.get(&name) else {
            if copy.place(&from, &name)? == Placed::Taken {
                let reason = "the copy has another file of this name; rename it";
                return Err(Error::misuse(reason).at(from));
            }
            report.files_copied += 1;
            continue;
        };
        let to = copy.path().join(&name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        }
        let written = File::create_new(&to).and_then(|file| {
            let mut out = BufWriter::new(file);
            files::write(&from, found, &options.scanner, &mut out)?;
            out.flush()?;
            out.get_ref().sync_data()
        });
        written.map_err(|error| Error::io("copy a file to", &to, error))?;
        report.files_changed += 1;
    }
    copy.sync()
}
