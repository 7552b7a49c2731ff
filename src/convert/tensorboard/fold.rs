//! Sub-runs that are no runs of their own: what `add_hparams` of torch and tensorboardX leaves beside a
//! run, for TensorBoard has no other place for it.

use crate::event::{ValueView, What};
use crate::proto::tensorboard::hparams::HParamsPluginData;
use crate::proto::tensorboard::hparams::h_params_plugin_data::Data;
use crate::tfevents::{EventReaderOptions, RunFiles};
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::fs;

/// The runs, each with the sub-run that belongs to it, if there is one.
///
/// That is a directory just below the run's, whose files hold an experiment, the start of a session, and
/// nothing more than the metrics that the experiment names, once each. A run with several of them is
/// many trials in one process, and these stay runs, for each has hyperparameters of its own.
pub(super) fn fold(runs: Vec<RunFiles>) -> Vec<(RunFiles, Option<RunFiles>)> {
    let names: HashMap<&str, usize> =
        runs.iter().enumerate().map(|(at, run)| (run.name.as_str(), at)).collect();
    let mut sub_runs: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, run) in runs.iter().enumerate().filter(|(_, run)| run.name != ".") {
        let parent = run.name.rsplit_once('/').map_or(".", |(parent, _)| parent);
        let Some(&parent) = names.get(parent) else { continue };
        // Two are enough to know that none is to be folded.
        let known = sub_runs.get(&parent).map_or(0, Vec::len);
        if known < 2 && is_session(run) {
            sub_runs.entry(parent).or_default().push(at);
        }
    }
    let single = sub_runs.into_iter().filter_map(|(parent, sub)| match sub[..] {
        [sub] => Some((sub, parent)),
        _ => None,
    });
    let of: HashMap<usize, usize> = single.collect();
    let mut folded: Vec<Option<RunFiles>> = vec![None; runs.len()];
    let mut kept = Vec::new();
    for (at, run) in runs.into_iter().enumerate() {
        match of.get(&at).and_then(|&parent| folded.get_mut(parent)) {
            Some(slot) => *slot = Some(run),
            None => kept.push((at, run)),
        }
    }
    let with = |(at, run)| (run, folded.get_mut(at).and_then(Option::take));
    kept.into_iter().map(with).collect()
}

/// The runs but those that may turn out to be folded, for runs that are still written: what is a session
/// so far may become more than that, and get siblings.
pub(super) fn hold_back(mut runs: Vec<RunFiles>) -> Vec<RunFiles> {
    let names: HashSet<String> = runs.iter().map(|run| run.name.clone()).collect();
    runs.retain(|run| {
        let parent = run.name.rsplit_once('/').map_or(".", |(parent, _)| parent);
        run.name == "." || !names.contains(parent) || session(run).is_none()
    });
    runs
}

/// What the values seen so far come to.
#[derive(Default)]
struct Session {
    metrics: HashSet<String>,
    experiment: bool,
    started: bool,
    logged: HashSet<String>,
}

/// Whether the run is nothing but a session of `add_hparams`.
fn is_session(run: &RunFiles) -> bool {
    session(run).is_some_and(|session| session.started)
}

/// What the run's files come to; `None` if they hold more than a session.
fn session(run: &RunFiles) -> Option<Session> {
    let mut session = Session::default();
    let small = |file| fs::metadata(file).is_ok_and(|metadata| metadata.len() <= LARGEST);
    for file in &run.files {
        let mut reader = EventReaderOptions::default().open(file).ok()?;
        if !small(file) {
            return None;
        }
        loop {
            let event = match reader.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(_) => return None,
            };
            let fits = event.view().is_ok_and(|event| match &event.what {
                What::FileVersion(_) => true,
                What::Summary(summary) => summary.values().all(|value| session.take(&value)),
                _ => false,
            });
            if !fits {
                return None;
            }
        }
    }
    Some(session)
}

impl Session {
    /// Whether the value may stand in such a run.
    fn take(&mut self, value: &ValueView<'_>) -> bool {
        let metadata = value.metadata.as_ref().filter(|m| m.plugin_name() == "hparams");
        let Some(metadata) = metadata else {
            // The experiment comes first, which spares reading runs of another kind.
            return self.experiment && value.scalar().is_ok() && self.is_new_metric(value.tag);
        };
        match HParamsPluginData::decode(metadata.plugin_content()).ok().and_then(|data| data.data) {
            Some(Data::Experiment(experiment)) => {
                self.experiment = true;
                let names = experiment.metric_infos.into_iter().filter_map(|info| info.name);
                self.metrics.extend(names.map(|name| name.tag));
                true
            }
            Some(Data::SessionStartInfo(_)) => {
                self.started = true;
                self.experiment
            }
            _ => true,
        }
    }

    fn is_new_metric(&mut self, tag: &str) -> bool {
        self.metrics.contains(tag) && self.logged.insert(tag.to_owned())
    }
}

/// Bytes of the largest file that is looked into.
const LARGEST: u64 = 1 << 20;
