//! Where records come from: a log that is as long as it will be, or one that grows.

use super::options::Live;
use crate::error::{Error, Result};
use crate::io::{GapReport, News};
use crate::log::{Follower, Reader};
use crate::record::RawRecord;
use std::path::Path;

/// A log being read.
#[derive(Debug)]
pub(super) enum Source {
    Whole(Box<Reader>),
    Growing(Box<Follower>),
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next<'a> {
    Record(RawRecord<'a>),
    /// Nothing so far.
    Nothing,
    End,
}

impl Source {
    /// Reads `log`, or follows it. Damage is passed over if `lenient`; of a log that grows, always.
    pub(super) fn open(log: &Path, lenient: bool, follow: Option<Live>) -> Result<Self> {
        Ok(match follow {
            None => Self::Whole(Box::new(Reader::options().lenient(lenient).open(log)?)),
            Some(live) => Self::Growing(Box::new(Follower::new(log).give_up_after(live.silence))),
        })
    }

    /// What comes next. Never waits.
    pub(super) fn next(&mut self) -> Result<Next<'_>> {
        Ok(match self {
            Self::Whole(reader) => reader.next_record()?.map_or(Next::End, Next::Record),
            Self::Growing(log) => {
                let path = log.path().to_owned();
                match log.poll()? {
                    News::Record(record) => Next::Record(record),
                    News::Nothing => Next::Nothing,
                    News::Over(_) => Next::End,
                    News::Replaced(_) => {
                        let reason = "the log was replaced by another one while it was uploaded";
                        return Err(Error::misuse(reason).at(path));
                    }
                }
            }
        })
    }

    /// The damage so far.
    pub(super) fn gaps(&self) -> &GapReport {
        match self {
            Self::Whole(reader) => reader.gaps(),
            Self::Growing(log) => log.gaps(),
        }
    }
}
