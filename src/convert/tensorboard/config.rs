//! Hyperparameters, which become the run's config.

use crate::json::{put_f64, put_str};
use crate::proto::tensorboard::hparams::h_param_info::Domain;
use crate::proto::tensorboard::hparams::h_params_plugin_data::Data;
use crate::proto::tensorboard::hparams::{
    DataType, DatasetType, Experiment, HParamsPluginData, MetricInfo, SessionStartInfo, Status,
};
use crate::proto::tensorboard::{Category, Chart, Layout, chart::Content};
use crate::proto::wandb_internal::ConfigItem;
use prost::Message;
use prost_types::value::Kind;
use std::collections::BTreeMap;

/// What the hparams values of a run say. The last one of each kind counts, parameters are gathered.
#[derive(Debug, Default)]
pub(super) struct HParams {
    /// By what goes in front of the tags of the same files.
    parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// JSON texts about the session, for the `_tb` entry of the config.
    about: BTreeMap<&'static str, String>,
    group_name: String,
    status: Option<Status>,
    /// Charts of the custom scalars dashboard, by title of their category.
    layout: BTreeMap<String, Category>,
    /// JSON texts of what tags are called and described as.
    tags: BTreeMap<String, String>,
}

impl HParams {
    /// Takes in the plugin's message; `false` if it is none or says nothing. `prefix` goes in front of the tags of
    /// its file.
    pub(super) fn take(&mut self, content: &[u8], prefix: &str) -> bool {
        match HParamsPluginData::decode(content) {
            Ok(HParamsPluginData { data: Some(data), .. }) => {
                match data {
                    Data::Experiment(experiment) => self.experiment(&experiment),
                    Data::SessionStartInfo(info) => self.session(&info, prefix),
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

    fn session(&mut self, info: &SessionStartInfo, prefix: &str) {
        let new = info.hparams.iter().map(|(name, value)| (name.clone(), json(value, DEPTH)));
        if !info.hparams.is_empty() {
            self.parameters.entry(prefix.to_owned()).or_default().extend(new);
        }
        self.say("group_name", &info.group_name);
        self.group_name.clone_from(&info.group_name);
        self.say("monitor_url", &info.monitor_url);
        self.say("model_uri", &info.model_uri);
        self.say_number("start_time_secs", info.start_time_secs);
    }

    fn experiment(&mut self, experiment: &Experiment) {
        self.say("experiment", &experiment.name);
        self.say("experiment_description", &experiment.description);
        self.say("experiment_user", &experiment.user);
        self.say_number("experiment_time_created_secs", experiment.time_created_secs);
        if !experiment.metric_infos.is_empty() {
            self.about.insert("metrics", list(experiment.metric_infos.iter().map(metric)));
        }
        if !experiment.hparam_infos.is_empty() {
            let infos = experiment.hparam_infos.iter().map(|info| {
                object([
                    ("name", Some(string(&info.name))),
                    ("display_name", some_string(&info.display_name)),
                    ("description", some_string(&info.description)),
                    ("type", data_type(info.r#type())),
                    ("domain", info.domain.as_ref().map(domain)),
                ])
            });
            self.about.insert("hparam_infos", list(infos));
        }
    }

    /// Takes in a layout of the custom scalars dashboard; `false` if it is none. As in TensorBoard,
    /// categories of the same title are one.
    pub(super) fn take_layout(&mut self, message: &[u8]) -> bool {
        let Ok(layout) = Layout::decode(message) else { return false };
        for category in layout.category {
            match self.layout.get_mut(&category.title) {
                Some(known) => {
                    let new = category.chart.into_iter();
                    let new: Vec<_> = new.filter(|chart| !known.chart.contains(chart)).collect();
                    known.chart.extend(new);
                }
                None => drop(self.layout.insert(category.title.clone(), category)),
            }
        }
        true
    }

    /// Takes in what a tag is called and described as.
    pub(super) fn take_tag(&mut self, tag: &str, display_name: &str, description: &str) {
        if (display_name.is_empty() || display_name == tag) && description.is_empty() {
            return;
        }
        let text = object([
            ("display_name", some_string(display_name)),
            ("description", some_string(description)),
        ]);
        self.tags.insert(tag.to_owned(), text);
    }

    /// The group that the session is in.
    pub(super) fn group_name(&self) -> Option<&str> {
        Some(self.group_name.as_str()).filter(|name| !name.is_empty())
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
        self.parameters.values().map(|parameters| parameters.len() as u64).sum()
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
        let layout = list(self.layout.values().map(category));
        if !self.layout.is_empty() {
            about.insert("layout", &layout);
        }
        let tags = members(self.tags.iter().map(|(tag, text)| (tag.as_str(), text.as_str())));
        if !self.tags.is_empty() {
            about.insert("tags", &tags);
        }
        let item = |key: &str, value_json: String| ConfigItem {
            key: key.to_owned(),
            value_json,
            ..ConfigItem::default()
        };
        let mut items = vec![item("_wandb", "{}".into())];
        let mut reserved: BTreeMap<&str, &str> = BTreeMap::new();
        let several = self.parameters.len() > 1;
        for (prefix, parameters) in &self.parameters {
            let prefix = if several { prefix } else { "" };
            for (name, text) in parameters {
                match format!("{prefix}{name}").as_str() {
                    "" | "_wandb" | "_tb" => _ = reserved.insert(name, text),
                    key => items.push(item(key, text.clone())),
                }
            }
        }
        let reserved = members(reserved);
        if reserved != "{}" {
            about.insert("hparams", &reserved);
        }
        items.push(item("_tb", members(about)));
        items
    }
}

fn members<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let members = members.into_iter().map(|(name, text)| format!("{}:{text}", string(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// An object of the members that are there.
fn object<const N: usize>(of: [(&str, Option<String>); N]) -> String {
    members(of.iter().filter_map(|(name, text)| Some((*name, text.as_deref()?))))
}

fn list(of: impl Iterator<Item = String>) -> String {
    format!("[{}]", of.collect::<Vec<_>>().join(","))
}

fn some_string(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| string(text))
}

fn data_type(of: DataType) -> Option<String> {
    Some(string(match of {
        DataType::String => "string",
        DataType::Bool => "bool",
        DataType::Float64 => "float64",
        _ => return None,
    }))
}

/// A list of values, or the ends of an interval.
fn domain(of: &Domain) -> String {
    match of {
        Domain::DomainDiscrete(values) => {
            list(values.values.iter().map(|value| json(value, DEPTH)))
        }
        Domain::DomainInterval(interval) => object([
            ("min", Some(number(interval.min_value))),
            ("max", Some(number(interval.max_value))),
        ]),
    }
}

fn metric(info: &MetricInfo) -> String {
    let name = info.name.clone().unwrap_or_default();
    let dataset = match info.dataset_type() {
        DatasetType::DatasetTraining => Some(string("training")),
        DatasetType::DatasetValidation => Some(string("validation")),
        _ => None,
    };
    object([
        ("tag", Some(string(&name.tag))),
        ("group", some_string(&name.group)),
        ("display_name", some_string(&info.display_name)),
        ("description", some_string(&info.description)),
        ("dataset_type", dataset),
    ])
}

fn category(of: &Category) -> String {
    object([
        ("title", Some(string(&of.title))),
        ("closed", of.closed.then(|| "true".into())),
        ("charts", Some(list(of.chart.iter().map(chart)))),
    ])
}

/// A chart with the expressions for its tags, or its series with their bounds.
fn chart(of: &Chart) -> String {
    let (mut multiline, mut margin) = (None, None);
    match &of.content {
        Some(Content::Multiline(lines)) => {
            multiline = Some(list(lines.tag.iter().map(|tag| string(tag))));
        }
        Some(Content::Margin(bands)) => {
            margin = Some(list(bands.series.iter().map(|series| {
                object([
                    ("value", Some(string(&series.value))),
                    ("lower", some_string(&series.lower)),
                    ("upper", some_string(&series.upper)),
                ])
            })));
        }
        _ => {}
    }
    object([("title", Some(string(&of.title))), ("multiline", multiline), ("margin", margin)])
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
