//! Who the run is: identity, names, origin, machine.

use crate::proto::wandb_internal::{
    BranchPoint, ConfigRecord, EnvironmentRecord, GitRepoRecord, HeaderRecord, RunRecord,
    TelemetryRecord,
};
use prost::{DecodeError, Message};
use prost_types::Timestamp;

/// What the run, header, environment and telemetry records of a log come to.
///
/// A field that a later run record leaves empty keeps its value, for empty means "not set". Tags are
/// the exception: each run record has all of them.
#[derive(Clone, Debug, Default)]
pub struct RunInfo {
    run: Option<RunRecord>,
    telemetry: TelemetryRecord,
    environment: Option<EnvironmentRecord>,
    header: HeaderRecord,
}

impl RunInfo {
    /// Applies a `RunRecord` and hands out its config.
    pub(super) fn apply_run(&mut self, message: &[u8]) -> Result<ConfigRecord, DecodeError> {
        let mut new = RunRecord::decode(message)?;
        let config = new.config.take().unwrap_or_default();
        (new.summary, new.settings) = (None, None);
        let run = self.run.get_or_insert_default();
        run.tags.clear();
        run.merge(&*new.encode_to_vec())?;
        if let Some(telemetry) = new.telemetry {
            self.telemetry.merge(&*telemetry.encode_to_vec())?;
        }
        Ok(config)
    }

    pub(super) fn apply_telemetry(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        TelemetryRecord::decode(message)?;
        self.telemetry.merge(message)
    }

    pub(super) fn apply_environment(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        EnvironmentRecord::decode(message)?;
        self.environment.get_or_insert_default().merge(message)
    }

    pub(super) fn apply_header(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        self.header = HeaderRecord::decode(message)?;
        Ok(())
    }

    /// The run records merged, without config, summary and settings; `None` if there is none.
    pub const fn run(&self) -> Option<&RunRecord> {
        self.run.as_ref()
    }

    /// The telemetry records merged.
    pub const fn telemetry(&self) -> &TelemetryRecord {
        &self.telemetry
    }

    /// The environment records merged; only wandb 0.21.0 and later write them.
    pub const fn environment(&self) -> Option<&EnvironmentRecord> {
        self.environment.as_ref()
    }

    /// The run's id.
    pub fn run_id(&self) -> &str {
        self.text(|run| &run.run_id)
    }

    /// The entity (user or team), mostly empty offline.
    pub fn entity(&self) -> &str {
        self.text(|run| &run.entity)
    }

    /// The project.
    pub fn project(&self) -> &str {
        self.text(|run| &run.project)
    }

    /// The name the user gave the run; empty if none, since names are otherwise made by the server.
    pub fn name(&self) -> &str {
        self.text(|run| &run.display_name)
    }

    /// The notes.
    pub fn notes(&self) -> &str {
        self.text(|run| &run.notes)
    }

    /// The group.
    pub fn group(&self) -> &str {
        self.text(|run| &run.run_group)
    }

    /// The job type.
    pub fn job_type(&self) -> &str {
        self.text(|run| &run.job_type)
    }

    /// The sweep the run belongs to.
    pub fn sweep_id(&self) -> &str {
        self.text(|run| &run.sweep_id)
    }

    /// The name of the machine.
    pub fn host(&self) -> &str {
        self.text(|run| &run.host)
    }

    /// The tags.
    pub fn tags(&self) -> &[String] {
        self.run.as_ref().map_or(&[], |run| &run.tags)
    }

    /// When the run started.
    pub fn start_time(&self) -> Option<Timestamp> {
        self.run.as_ref()?.start_time
    }

    /// Whether the server said that the run was resumed; offline it cannot.
    pub fn resumed(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.resumed)
    }

    /// The git repository the program ran in.
    pub fn git(&self) -> Option<&GitRepoRecord> {
        let run = self.run.as_ref().and_then(|run| run.git.as_ref());
        run.or_else(|| self.environment.as_ref()?.git.as_ref())
    }

    /// Where the run branched off another.
    pub fn branch_point(&self) -> Option<&BranchPoint> {
        self.run.as_ref()?.branch_point.as_ref()
    }

    /// The release of the wandb package, like "0.31.0".
    pub fn cli_version(&self) -> &str {
        &self.telemetry.cli_version
    }

    /// The release of Python, like "3.11.7".
    pub fn python_version(&self) -> &str {
        &self.telemetry.python_version
    }

    /// The platform, like "linux-x86_64".
    pub fn platform(&self) -> &str {
        &self.telemetry.platform
    }

    /// The program that wrote the file, like `0.31.0+<commit>`; empty before 0.16.3.
    pub fn producer(&self) -> &str {
        self.header.version_info.as_ref().map_or("", |version| &version.producer)
    }

    fn text(&self, field: impl FnOnce(&RunRecord) -> &String) -> &str {
        self.run.as_ref().map_or("", |run| field(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(records: &[RunRecord]) -> RunInfo {
        let mut info = RunInfo::default();
        for record in records {
            info.apply_run(&record.encode_to_vec()).unwrap();
        }
        info
    }

    #[test]
    fn later_run_records_change_what_they_fill_in_and_all_the_tags() {
        let first = RunRecord {
            run_id: "r".into(),
            notes: "first".into(),
            display_name: "old".into(),
            tags: vec!["a".into(), "b".into()],
            ..Default::default()
        };
        let second = RunRecord {
            run_id: "r".into(),
            display_name: "new".into(),
            tags: vec!["c".into()],
            ..Default::default()
        };
        let info = applied(&[first.clone(), second]);
        assert_eq!((info.name(), info.notes(), info.tags()), ("new", "first", &["c".into()][..]));
        assert!(applied(&[first, RunRecord::default()]).tags().is_empty());
    }

    #[test]
    fn environments_are_merged() {
        let first = EnvironmentRecord { os: "Linux".into(), cpu_count: 4, ..Default::default() };
        let second = EnvironmentRecord { cpu_count: 8, ..Default::default() };
        let mut info = RunInfo::default();
        for record in [first, second] {
            info.apply_environment(&record.encode_to_vec()).unwrap();
        }
        let found = info.environment().unwrap();
        assert_eq!((found.os.as_str(), found.cpu_count), ("Linux", 8));
        assert!(info.apply_environment(&[0x0a, 9]).is_err());
    }

    #[test]
    fn the_config_is_handed_out_and_not_kept() {
        let config = Some(ConfigRecord::default());
        let record = RunRecord { run_id: "r".into(), config, ..Default::default() };
        assert_eq!(applied(&[record]).run().unwrap().config, None);
    }
}
