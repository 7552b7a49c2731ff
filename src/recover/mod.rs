//! Making a sound log, or event file, out of a damaged one.
//!
//! Every record that can still be proven whole, by the checksums around it and by being the message it
//! should be, is taken over, byte for byte and in the order of the file. That holds wherever the damage
//! is: behind flipped bits, between blocks that are gone, zeroed, there twice or from another log, in a
//! file whose beginning is lost, and in one that someone compressed. What had to be left is told as ranges
//! of bytes, with the numbers, kinds and steps of the records that were there, as far as the records before
//! and after them, and their own bytes, still tell.
//!
//! The input is never changed. The output is written beside its destination, read back, compared, and only
//! then given its name; nothing that exists is replaced. A recovered file has nothing more to recover: it
//! would become the same file again.
//!
//! Three things are left out on purpose. A copy of a record, which a block that is there twice holds: the
//! same bytes under the same number, at most some 65 thousand records apart. A record whose checksum is right
//! but which is not a message: W&B's own reader would stop at it. The other thing W&B's reader stops at, a
//! missing exit record, is only added on demand ([`Options::finish`]).

mod copies;
mod form;
mod ledger;
mod output;
mod peek;
mod report;
mod target;

pub use report::{Format, Loss, RecoverReport, Recovered};

use crate::checksum::Digest;
use crate::error::{Error, Result};
use crate::io::{Framed, InContext, Output, Source};
use crate::limits::Limits;
use crate::rewrite::Contents;
use copies::Copies;
use form::{EventForm, Form, LogForm};
use ledger::Ledger;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use target::Target;

/// What to make of a damaged file.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "made with ..Options::default()")]
pub struct Options {
    /// Where the output goes; it must not exist. A name that ends in `.wandb` is that of a log alone, any
    /// other that of a run directory, or of an event file. By default the output stands beside the input:
    /// `RUN-recovered` for the log of a run directory, `X.recovered.wandb` for a log that is in none, and
    /// for an event file one of its name in the directory `DIR-recovered`, since TensorBoard takes all
    /// event files of a directory for one run.
    pub output: Option<PathBuf>,
    /// Adds an exit record to a log that has none: exit code 1, which is what `wandb sync` gives a run that
    /// crashed, and the runtime of the last row.
    pub finish: bool,
    /// Only reports, and writes nothing.
    pub dry_run: bool,
    /// Makes hard links to the run's files where the file system can, instead of copies.
    pub hard_links: bool,
}

/// Recovers a log, a run directory's log with its `files/`, or an event file.
///
/// `input` is a `.wandb` file, a run directory, its `files/`, a directory of one run,
/// or an event file, told by its name.
///
/// # Errors
/// When nothing in the input is readable, the output exists, or reading or writing fails. No output is left
/// then. What was lost is not an error: the report tells.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::recover::{Options, recover};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let mut log = std::fs::read("fixtures/wandb/0.31.0/basic/run-basic001.wandb").unwrap();
/// log[2000] ^= 0xff;
/// let damaged = dir.path().join("run-basic001.wandb");
/// std::fs::write(&damaged, log).unwrap();
///
/// let report = recover(&damaged, &Options::default())?;
/// assert_eq!(report.recovered.records, 87);
/// let lost = &report.recovered.losses[0];
/// assert_eq!((lost.offset, lost.length, lost.first_number, lost.last_number), (1928, 176, Some(18), Some(18)));
/// assert!(dir.path().join("run-basic001.recovered.wandb").is_file());
/// # Ok(())
/// # }
/// ```
pub fn recover(input: impl AsRef<Path>, options: &Options) -> Result<RecoverReport> {
    let target = Target::of(input.as_ref(), options)?;
    match target.format {
        Format::Log => output::write(&target, LogForm::new(options.finish), options),
        Format::Events => output::write(&target, EventForm, options),
    }
}

/// Recovers a log from any stream to any sink. With `finish`, as [`Options::finish`] says.
///
/// The kinds of lost records stay unknown: they take a second look at the bytes.
///
/// # Errors
/// When reading or writing fails, and when no record is readable; something may be written then.
pub fn recover_log(from: impl Read, to: impl Write, finish: bool) -> Result<Recovered> {
    let mut output = Output::new(to, PathBuf::new(), REFUSAL);
    let source = LogForm::source(from);
    let (recovered, _) = salvage(LogForm::new(finish), source, &mut output, None)?;
    Ok(recovered)
}

/// Recovers an event file from any stream to any sink.
///
/// # Errors
/// As for [`recover_log`].
pub fn recover_events(from: impl Read, to: impl Write) -> Result<Recovered> {
    let mut output = Output::new(to, PathBuf::new(), REFUSAL);
    let (recovered, _) = salvage(EventForm, EventForm::source(from), &mut output, None)?;
    Ok(recovered)
}

/// Takes over from `source` to `output` what is whole.
fn salvage<F: Form, S: Source, W: Write>(
    mut form: F,
    source: S,
    output: &mut Output<W>,
    path: Option<&Path>,
) -> Result<(Recovered, Contents)> {
    let limits = Limits::DEFAULT;
    let mut input = Framed::new(F::decoder(&limits), source, &limits).lenient(true);
    if let Some(path) = path {
        input = input.named(path);
    }
    let (mut ledger, mut copies) = (Ledger::new(F::FORMAT), Copies::default());
    let mut contents = Contents::default();
    form.begin(output.buffer()?);
    while let Some(InContext { span, payload, framed, gaps, .. }) = input.next_in_context()? {
        ledger.pass(span, gaps);
        let digest = Digest::of(payload);
        match form.facts(span, payload) {
            Err(error) => ledger.leave_out(span, &error),
            Ok(facts) if facts.number > 0 && !copies.is_new(facts.number, digest) => {
                ledger.copy(span);
            }
            Ok(facts) => {
                ledger.take(span, &facts);
                contents.add_digested(payload.len(), digest);
                match framed {
                    Some(framed) => form.take_over(framed, output.buffer()?),
                    None => form.encode(payload, output.buffer()?),
                }
            }
        }
        output.flush_full()?;
    }
    ledger.end(input.gaps(), input.tail());
    let nothing = ledger.is_empty();
    if !nothing && let Some(payload) = form.finish(&mut ledger) {
        contents.add(&payload);
        form.encode(&payload, output.buffer()?);
    }
    output.flush()?;
    let recovered = ledger.into_report();
    if nothing {
        return Err(no_record(&recovered, path));
    }
    Ok((recovered, contents))
}

fn no_record(recovered: &Recovered, path: Option<&Path>) -> Error {
    let reason = match recovered.losses.first() {
        Some(loss) => format!("no record in this file can be recovered: {}", loss.cause),
        None => "this file holds no record yet".to_owned(),
    };
    let error = Error::misuse(reason);
    match path {
        Some(path) => error.at(path),
        None => error,
    }
}

/// Opens the file to recover.
fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::io("open", path, error))
}

const REFUSAL: &str = "this file takes no more records";
