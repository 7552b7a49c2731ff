//! Runs that are no runs of their own, but hold the hyperparameters of others.
//!
//! ```text
//! add_hparams of torch, tensorboardX:  run/             metrics
//!                                      run/1700000000/  hyperparameters, final metrics
//! KerasCallback of hparams, beside     run/             hyperparameters
//! Keras' TensorBoard:                  run/train/       metrics
//!                                      run/validation/  metrics
//! ```

use crate::event::{ValueView, What};
use crate::proto::tensorboard::hparams::HParamsPluginData;
use crate::proto::tensorboard::hparams::h_params_plugin_data::Data;
use crate::tfevents::{EventReaderOptions, RunFiles};
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::iter::successors;

/// A run, and those that hold hyperparameters of it.
#[derive(Debug)]
pub(super) struct Folded {
    /// In a directory above, what is said of all below. What a run says of itself counts more.
    pub above: Option<RunFiles>,
    pub run: RunFiles,
    /// What `add_hparams` left just below.
    pub trial: Option<RunFiles>,
}

/// The runs, each with those that hold hyperparameters of it.
///
/// A trial is a directory just below the run's, whose files hold an experiment, the start of a session, and
/// nothing more than the metrics that the experiment names, once each. A run with several of them is
/// many trials in one process, and these stay runs, for each has hyperparameters of its own.
///
/// The nearest directory above whose files hold a session and no metrics is that of all runs below it that
/// are no sessions themselves.
pub(super) fn fold(runs: Vec<RunFiles>) -> Vec<Folded> {
    let names: HashMap<&str, usize> =
        runs.iter().enumerate().map(|(at, run)| (run.name.as_str(), at)).collect();
    let number = |name: &str| names.get(name).copied();
    let mut looked_at: HashMap<usize, Option<Session>> = HashMap::new();
    let mut is = |at: usize, kind: fn(&Session) -> bool| {
        let session = looked_at.entry(at).or_insert_with(|| runs.get(at).and_then(session));
        session.as_ref().is_some_and(kind)
    };
    let mut trials: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut sessions: HashMap<usize, usize> = HashMap::new();
    for (at, run) in runs.iter().enumerate() {
        // Of trials two are enough to know that none is to be folded.
        if let Some(parent) = parent(&run.name).and_then(number)
            && trials.get(&parent).map_or(0, Vec::len) < 2
            && is(at, Session::is_trial)
        {
            trials.entry(parent).or_default().push(at);
        }
        let mut above = successors(parent(&run.name), |name| parent(name)).filter_map(number);
        if let Some(above) = above.find(|&above| is(above, Session::is_only_parameters))
            && !is(at, |session| session.started)
        {
            sessions.insert(at, above);
        }
    }
    // One that is no run itself takes none in.
    let above: HashSet<usize> = sessions.values().copied().collect();
    trials.retain(|parent, trials| trials.len() == 1 && !above.contains(parent));
    let of: HashSet<usize> = trials.values().flatten().chain(&above).copied().collect();
    let get = |at: Option<&usize>| at.and_then(|&at| runs.get(at)).cloned();
    let kept = runs.iter().enumerate().filter(|(at, _)| !of.contains(at));
    let folded = kept.map(|(at, run)| Folded {
        above: get(sessions.get(&at)),
        run: run.clone(),
        trial: get(trials.get(&at).and_then(|trials| trials.first())),
    });
    folded.collect()
}

/// The name of the directory that a run's is in; `.` is the log directory.
fn parent(name: &str) -> Option<&str> {
    (name != ".").then(|| name.rsplit_once('/').map_or(".", |(parent, _)| parent))
}

/// The runs but those that may turn out to be folded, for runs that are still written: what is a session
/// so far may become more than that, and get siblings.
pub(super) fn hold_back(mut runs: Vec<RunFiles>) -> Vec<RunFiles> {
    let names: HashSet<String> = runs.iter().map(|run| run.name.clone()).collect();
    runs.retain(|run| {
        let has_parent = parent(&run.name).is_some_and(|parent| names.contains(parent));
        session(run).is_none_or(|session| !has_parent && !session.is_only_parameters())
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
    /// Whether it is what `add_hparams` writes.
    const fn is_trial(&self) -> bool {
        self.started && self.experiment
    }

    fn is_only_parameters(&self) -> bool {
        self.started && self.logged.is_empty()
    }

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
                true
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
