//! Where a value belongs on the axes.

use crate::error::{Error, ErrorKind, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// The step of a value, and, unless it is now, its wall time.
///
/// A step alone does where this is asked for, and so does a pair of both:
///
/// ```
/// use wandb_offline::tfevents::At;
///
/// assert_eq!(At::from(7u64), At { step: 7, wall_time: None });
/// assert_eq!(At::from((7, 1.7e9)), At { step: 7, wall_time: Some(1.7e9) });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "a point has a step and a time")]
pub struct At {
    /// The step.
    pub step: i64,
    /// Seconds since 1970; `None` means now.
    pub wall_time: Option<f64>,
}

impl At {
    /// This step, now.
    pub const fn step(step: i64) -> Self {
        Self { step, wall_time: None }
    }

    /// The wall time, which must be finite: TensorBoard reads no further in a file where one is NaN.
    #[inline]
    pub(super) fn seconds(self) -> Result<f64> {
        match self.wall_time {
            None => Ok(now()),
            Some(time) if time.is_finite() => Ok(time),
            Some(time) => Err(bad_time(time)),
        }
    }
}

#[cold]
fn bad_time(time: f64) -> Error {
    Error::new(ErrorKind::Value(format!("wall time is {time}, want a finite number of seconds")))
}

/// Seconds since 1970.
#[inline]
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl<S: Into<Self>> From<(S, f64)> for At {
    fn from((at, wall_time): (S, f64)) -> Self {
        Self { wall_time: Some(wall_time), ..at.into() }
    }
}

macro_rules! from_step {
    ($($integer:ty)*) => {
        $(impl From<$integer> for At {
            /// A step beyond `i64`, the end of TensorBoard's axis, is taken for that end.
            #[inline]
            fn from(step: $integer) -> Self {
                Self::step(i64::try_from(step).unwrap_or(i64::MAX))
            }
        })*
    };
}

from_step!(i32 u32 i64 u64 usize);
