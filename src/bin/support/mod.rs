//! What both programs share: how they end and how they show text that comes from data.

mod key_rule;

pub(crate) use key_rule::key_rule;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use wandb_offline::ErrorKind;

/// How a program ended. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(dead_code, reason = "each program uses some of them")]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// It was done in part, or something was lost on the way.
    Partly = 3,
    /// Nothing was done.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Ends a program whose work gave `result`. A reader that closed the pipe has had enough, which is fine.
pub(crate) fn end(program: &str, result: Result<Exit, wandb_offline::Error>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) if error.is_broken_pipe() => Exit::Done.into(),
        Err(error) => {
            let ErrorKind::Setting { name, reason } = error.kind() else {
                complain(program, &error);
                return Exit::Failed.into();
            };
            match option(name) {
                Some(option) => complain(program, &format!("{option}: {reason}")),
                None => complain(program, &error),
            }
            Exit::Usage.into()
        }
    }
}

/// The option that gives a setting of the library.
fn option(setting: &str) -> Option<&'static str> {
    Some(match setting {
        "at" => "--at",
        "condition" => "--drop-where",
        "cut" => "--cut",
        "id" => "--id",
        "name template" => "--name-template",
        "output" => "--output",
        "pattern" => "--pattern",
        "project" => "--project",
        "rank-prefix" => "--rank-prefix",
        "separator" => "--separator",
        "tag" => "--tag",
        "tags" => "--tags",
        _ => return None,
    })
}

/// What receives a message at the first interrupt. A second one ends the program.
pub(crate) fn on_interrupt() -> Result<Receiver<()>, wandb_offline::Error> {
    let (stop, stopped) = channel();
    let interrupted = AtomicBool::new(false);
    let on_signal = move || {
        if interrupted.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Failed as u8));
        }
        // Nobody listens any more during the last round, which is fine.
        let _ = stop.send(());
    };
    ctrlc::set_handler(on_signal).map_err(|error| {
        let (action, source) = ("listen for interrupts", io::Error::other(error));
        wandb_offline::Error::new(ErrorKind::Io { action, source })
    })?;
    Ok(stopped)
}

/// Tells on stderr what is wrong. That stderr may be closed is nobody's problem.
pub(crate) fn complain(program: &str, what: &dyn fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{program}: {}", shown(&what.to_string()));
}

/// Text from data, with what a terminal would obey escaped: control characters, and those that turn the
/// direction of text around. Also where no terminal is: what a pipe or a file takes may be shown on one later.
pub(crate) fn shown(text: &str) -> String {
    let obeyed =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(obeyed) {
        return text.to_owned();
    }
    text.chars().fold(String::new(), |mut shown, c| {
        if obeyed(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// `1 row`, `2 rows`.
#[allow(dead_code, reason = "each program uses some of them")]
pub(crate) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
