//! Hyperparameters, for the dashboard that compares runs by them.

use crate::json::Value;
use crate::proto::tensorboard::hparams as pb;
use crate::proto::tensorboard::hparams::h_params_plugin_data::Data;
use prost::Message;
use prost_types::value::Kind;
use std::collections::{BTreeMap, HashMap};

/// The hyperparameters of a run.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use wandb_offline::tfevents::{HParams, Outcome, SummaryWriter};
///
/// let mut run = SummaryWriter::create(dir.path().join("run-1"))?;
/// run.hparams(&HParams::default().with("lr", 1e-3).with("optimizer", "adam").with("amp", true))?;
/// run.scalar("loss", 0, 0.5)?;
/// run.hparams_end(Outcome::Success)?;
/// run.finish()
/// # }
/// ```
///
/// Every run with hyperparameters is a row of the dashboard; which columns there are it finds out by
/// itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HParams {
    values: BTreeMap<String, HParam>,
    group: String,
    monitor_url: String,
    model_uri: String,
}

/// A hyperparameter, of one of the types the dashboard knows.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "the dashboard knows no others")]
pub enum HParam {
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
    /// True or false.
    Bool(bool),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Well.
    Success,
    /// Not well.
    Failure,
}

/// What a config lost when it was flattened.
#[derive(Debug, Default)]
pub(crate) struct Flattened {
    /// Nulls, which are left out.
    pub(crate) nulls: u64,
    /// Names that got a number.
    pub(crate) renamed: u64,
    /// The number to try next for a name that is taken.
    numbers: HashMap<String, u64>,
}

impl HParams {
    /// Sets a hyperparameter. A number that is not finite becomes text, since the dashboard has none.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<HParam>) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// Sets hyperparameters from the members of a config: those of nested objects by their joined names,
    /// and what the dashboard does not know, such as lists, as JSON text. Of names that read the same
    /// when they are joined the later ones get a number.
    pub(crate) fn add_all<'v>(
        &mut self,
        members: impl IntoIterator<Item = (&'v str, &'v Value)>,
        separator: &str,
    ) -> Flattened {
        let mut flattened = Flattened::default();
        for (name, value) in members {
            self.add(name, value, separator, &mut flattened);
        }
        flattened
    }

    fn add(&mut self, name: &str, value: &Value, separator: &str, flattened: &mut Flattened) {
        let value: HParam = match value {
            Value::Null => {
                flattened.nulls += 1;
                return;
            }
            Value::Object(members) if !members.is_empty() => {
                for (member, value) in members {
                    self.add(&format!("{name}{separator}{member}"), value, separator, flattened);
                }
                return;
            }
            Value::Bool(value) => (*value).into(),
            Value::String(text) => text.as_str().into(),
            Value::Float(value) => (*value).into(),
            Value::Int(value) if value.unsigned_abs() <= EXACT => (*value).into(),
            // A number would not be exact, and a list is none.
            other => other.to_string().into(),
        };
        let mut free = name.to_owned();
        while self.values.contains_key(&free) {
            let number = flattened.numbers.entry(name.to_owned()).or_insert(2);
            free = format!("{name}-{number}");
            *number += 1;
        }
        flattened.renamed += u64::from(free != name);
        self.values.insert(free, value);
    }

    /// Runs of the same group are repetitions with the same hyperparameters: they are one row.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.group = name.into();
        self
    }

    /// Where the run can be watched.
    #[must_use]
    pub fn monitor_url(mut self, url: impl Into<String>) -> Self {
        self.monitor_url = url.into();
        self
    }

    /// Where the model is.
    #[must_use]
    pub fn model_uri(mut self, uri: impl Into<String>) -> Self {
        self.model_uri = uri.into();
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn start(&self, wall_time: f64) -> Vec<u8> {
        let hparams = self.values.iter().map(|(name, value)| (name.clone(), value.message()));
        content(Data::SessionStartInfo(pb::SessionStartInfo {
            hparams: hparams.collect(),
            group_name: self.group.clone(),
            monitor_url: self.monitor_url.clone(),
            model_uri: self.model_uri.clone(),
            start_time_secs: wall_time,
        }))
    }
}

impl Outcome {
    pub(super) fn end(self, wall_time: f64) -> Vec<u8> {
        let status = match self {
            Self::Success => pb::Status::Success,
            Self::Failure => pb::Status::Failure,
        };
        let status = status as i32;
        content(Data::SessionEndInfo(pb::SessionEndInfo { status, end_time_secs: wall_time }))
    }
}

fn content(data: Data) -> Vec<u8> {
    pb::HParamsPluginData { data: Some(data), ..Default::default() }.encode_to_vec()
}

impl HParam {
    fn message(&self) -> prost_types::Value {
        let kind = match self {
            Self::Number(value) if value.is_finite() => Kind::NumberValue(*value),
            Self::Number(value) => Kind::StringValue(value.to_string()),
            Self::Text(text) => Kind::StringValue(text.clone()),
            Self::Bool(value) => Kind::BoolValue(*value),
        };
        prost_types::Value { kind: Some(kind) }
    }
}

macro_rules! from {
    ($($from:ty => $value:ident, $make:expr;)*) => {
        $(impl From<$from> for HParam {
            fn from($value: $from) -> Self {
                $make
            }
        })*
    };
}

from! {
    f64 => value, Self::Number(value);
    f32 => value, Self::Number(value.into());
    i32 => value, Self::Number(value.into());
    u32 => value, Self::Number(value.into());
    i64 => value, Self::Number(value as f64);
    u64 => value, Self::Number(value as f64);
    usize => value, Self::Number(value as f64);
    bool => value, Self::Bool(value);
    &str => value, Self::Text(value.into());
    String => value, Self::Text(value);
}

/// Integers up to here are doubles too.
const EXACT: u64 = 1 << 53;
