//! Hyperparameters, which become the run's config.

use crate::json::{put_f64, put_str};
use crate::proto::tensorboard::hparams::h_params_plugin_data::Data;
use crate::proto::tensorboard::hparams::{Experiment, HParamsPluginData, SessionStartInfo, Status};
use crate::proto::wandb_internal::ConfigItem;
use prost::Message;
use prost_types::value::Kind;
use std::collections::BTreeMap;

/// What the hparams values of a run say. The last one of each kind counts, parameters are gathered.
#[derive(Debug, Default)]
pub(super) struct HParams {
    parameters: BTreeMap<String, String>,
    /// JSON texts about the session, for the `_tb` entry of the config.
    about: BTreeMap<&'static str, String>,
    status: Option<Status>,
}

impl HParams {
    /// Takes in the plugin's message; `false` if it is none or says nothing.
    pub(super) fn take(&mut self, content: &[u8]) -> bool {
        match HParamsPluginData::decode(content) {
            Ok(HParamsPluginData { data: Some(data), .. }) => {
                match data {
                    Data::Experiment(experiment) => self.experiment(&experiment),
                    Data::SessionStartInfo(info) => self.session(&info),
                    Data::SessionEndInfo(info) => {
                        self.status = Some(info.status());
                        self.say_number("end_time_secs", info.end_time_secs);
                    }
                }
                true
            }
            _ => false,
        }
    }

    fn session(&mut self, info: &SessionStartInfo) {
        for (name, value) in &info.hparams {
            self.parameters.insert(name.clone(), json(value, DEPTH));
        }
        self.say("group_name", &info.group_name);
        self.say("monitor_url", &info.monitor_url);
        self.say("model_uri", &info.model_uri);
        self.say_number("start_time_secs", info.start_time_secs);
    }

    fn experiment(&mut self, experiment: &Experiment) {
        self.say("experiment", &experiment.name);
        self.say("experiment_description", &experiment.description);
        self.say("experiment_user", &experiment.user);
        self.say_number("experiment_time_created_secs", experiment.time_created_secs);
    }

    fn say(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.about.insert(name, string(text));
        }
    }

    fn say_number(&mut self, name: &'static str, value: f64) {
        if value != 0.0 {
            self.about.insert(name, number(value));
        }
    }

    /// How many parameters there are.
    pub(super) fn len(&self) -> u64 {
        self.parameters.len() as u64
    }

    /// The exit code to record, if the session is over.
    pub(super) fn exit_code(&self) -> Option<i32> {
        match self.status {
            Some(Status::Failure) => Some(1),
            Some(Status::Running) => None,
            _ => Some(0),
        }
    }

    /// The config: W&B's own entry, the parameters, and what else is known about the TensorBoard run. A
    /// parameter with a reserved name goes to `_tb` too.
    pub(super) fn config(&self, run: &str) -> Vec<ConfigItem> {
        let mut about: BTreeMap<&str, &str> =
            self.about.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let name = string(run);
        about.insert("run", &name);
        let item = |key: &str, value_json: String| ConfigItem {
            key: key.to_owned(),
            value_json,
            ..ConfigItem::default()
        };
        let mut items = vec![item("_wandb", "{}".into())];
        let mut reserved: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, text) in &self.parameters {
            if name.is_empty() || name == "_wandb" || name == "_tb" {
                reserved.insert(name, text);
            } else {
                items.push(item(name, text.clone()));
            }
        }
        let reserved = object(reserved);
        if reserved != "{}" {
            about.insert("hparams", &reserved);
        }
        items.push(item("_tb", object(about)));
        items
    }
}

fn object(members: BTreeMap<&str, &str>) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, text)| format!("{}:{text}", string(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// A value as W&B's JSON. In a config NaN is null.
fn json(value: &prost_types::Value, depth: usize) -> String {
    match &value.kind {
        Some(Kind::BoolValue(value)) => value.to_string(),
        Some(Kind::NumberValue(value)) => number(*value),
        Some(Kind::StringValue(value)) => string(value),
        Some(Kind::ListValue(list)) if depth > 0 => {
            let values: Vec<_> = list.values.iter().map(|value| json(value, depth - 1)).collect();
            format!("[{}]", values.join(","))
        }
        Some(Kind::StructValue(members)) if depth > 0 => {
            let members = members.fields.iter();
            let members: Vec<_> = members
                .map(|(name, value)| format!("{}:{}", string(name), json(value, depth - 1)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        _ => "null".into(),
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        return "null".into();
    }
    let mut text = Vec::new();
    put_f64(&mut text, value);
    String::from_utf8(text).unwrap_or_default()
}

fn string(value: &str) -> String {
    let mut text = Vec::new();
    put_str(&mut text, value);
    String::from_utf8(text).unwrap_or_default()
}

/// prost's limit is lower still.
const DEPTH: usize = 100;
