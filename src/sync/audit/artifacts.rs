//! Comparing artifacts: those that the log has, whether a ledger knows of them or not.
//!
//! A ledger has the server's id of each that is stored. Without one the server is asked for the id that it gave the
//! client's: the official client marks a log as synced even if its artifacts were never committed.

use super::expected::{Expected, Logged};
use super::{Audit, Check};
use crate::json::Value;
use crate::sync::api::{Operation, artifact, mapped_id, operations};
use crate::sync::driver::Session;
use crate::sync::ledger::ArtifactMark;
use crate::sync::paths::Candidate;
use crate::sync::report::{ArtifactReport, ArtifactStatus};
use std::path::Path;

impl Session<'_> {
    pub(super) fn compare_artifacts(
        &self,
        audit: &mut Audit,
        expected: &Expected,
        candidate: &Candidate,
    ) {
        let mut wanted = expected.artifacts.clone();
        for (key, mark) in &audit.ledger.artifacts {
            let mark = mark.clone();
            let logged = wanted.entry(key.clone()).or_insert_with(|| Logged::of(mark.clone()));
            logged.mark = mark;
        }
        let (mut wrong, mut is_told) = (Vec::new(), true);
        for (key, logged) in &wanted {
            let mark = &logged.mark;
            let found = match is_told {
                true => self.artifact(&candidate.log.path, logged, audit.is_known),
                false => None,
            };
            is_told &= found.is_some();
            let status = match found {
                // What the server does not tell is stored if the ledger says so.
                None if mark.id.is_empty() => continue,
                None => ArtifactStatus::Unchanged,
                Some(Ok(id)) => {
                    let mark = ArtifactMark { id, ..mark.clone() };
                    audit.ledger.artifacts.insert(key.clone(), mark);
                    ArtifactStatus::Unchanged
                }
                Some(Err(what)) => {
                    audit.ledger.artifacts.remove(key);
                    wrong.push(what.clone());
                    ArtifactStatus::Failed(format!("the server has {what}"))
                }
            };
            let artifact = audit.ledger.artifacts.get(key).unwrap_or(mark).clone();
            audit.artifacts.push(ArtifactReport { artifact, status });
        }
        let log = match wanted.len() {
            0 => return,
            1 => "1 artifact".to_owned(),
            count => format!("{count} artifacts"),
        };
        audit.checks.push(Check::things("artifacts", log, &wrong, is_told));
    }

    /// The server's id of an artifact that it has as a whole, or what it has instead; `None` if it does not tell.
    fn artifact(
        &self,
        log: &Path,
        logged: &Logged,
        is_known: bool,
    ) -> Option<Result<String, String>> {
        let Logged { mark, client_id, stays_open } = logged;
        let lacking = || Some(Err(format!("not {:?}", mark.name)));
        let ask = |operation: Operation, name: &str, id: &str| {
            let request = operation.request(Value::from_iter([(name, Value::from(id))]));
            self.sender.send(log, &request).ok()
        };
        let id = match (&*mark.id, &**client_id) {
            // What the ledger does not know of is not stored.
            ("", _) if is_known => return lacking(),
            // Clients of long ago gave artifacts no ids.
            ("", "") => return None,
            ("", client_id) => {
                let answer = ask(operations::CLIENT_ID_MAPPING, "clientID", client_id)?;
                match mapped_id(&answer).ok()? {
                    Some(id) => id,
                    None => return lacking(),
                }
            }
            (id, _) => id.to_owned(),
        };
        let Some(facts) = artifact(&ask(operations::ARTIFACT, "id", &id)?)? else {
            return lacking();
        };
        let state = facts.state.as_deref().unwrap_or(COMMITTED);
        let is_whole = state == COMMITTED || (*stays_open && state == PENDING);
        let is_same = facts.digest.is_none_or(|digest| digest == mark.digest);
        Some(match (is_whole, is_same) {
            (true, true) => Ok(id),
            (true, false) => Err(format!("another {:?}", mark.name)),
            (false, _) => Err(format!("{:?} as {state}", mark.name)),
        })
    }
}

impl Logged {
    /// An artifact that a ledger has and the log has not.
    const fn of(mark: ArtifactMark) -> Self {
        Self { mark, client_id: String::new(), stays_open: false }
    }
}

/// The states of an artifact that is all there, and of one that was begun.
const COMMITTED: &str = "COMMITTED";
const PENDING: &str = "PENDING";
