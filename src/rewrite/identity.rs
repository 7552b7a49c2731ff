//! Who a run is, and every place in its log that says so.
//!
//! ```text
//! Record          200 _info { 1 stream_id }            the id, of records that came from the client
//! RunRecord       1 run_id  2 entity  3 project  6 run_group  7 job_type  8 display_name  9 notes  10 tags*
//! ArtifactRecord  1 run_id  2 project  3 entity  5 name
//! ```
//!
//! The client names the artifact of a table that was logged `run-<id>-<key>`.

use super::splice::{Fate, splice, splice_at};
use crate::error::{Error, Result};
use crate::run::RunInfo;
use crate::wire::{self, Field, Malformed, WireValue};
use crate::writer::{id_fault, project_fault, tag_fault};
use std::path::Path;

/// What changes about who a run is; `None` stays. An empty text removes what was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) job_type: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
}

impl Identity {
    /// Whether W&B takes it.
    pub(crate) fn check(&self) -> Result<()> {
        let project = self.project.as_deref();
        let empty = project.filter(|project| project.is_empty());
        let faults = [
            ("id", self.id.as_deref().and_then(id_fault)),
            ("project", project.and_then(project_fault)),
            ("project", empty.map(|_| "a project has a name".to_owned())),
            ("tags", self.tags.iter().flatten().find_map(|tag| tag_fault(tag))),
        ];
        match faults.into_iter().find_map(|(name, fault)| Some((name, fault?))) {
            Some((name, fault)) => Err(Error::setting(name, fault)),
            None => Ok(()),
        }
    }

    /// Appends the body of a run record.
    pub(crate) fn put_run(&self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let texts = [
            (1, self.id.as_deref()),
            (2, self.entity.as_deref()),
            (3, self.project.as_deref()),
            (6, self.group.as_deref()),
            (7, self.job_type.as_deref()),
            (8, self.name.as_deref()),
            (9, self.notes.as_deref()),
        ];
        let Some(tags) = &self.tags else { return put_texts(body, texts, out) };
        let mut named = Vec::new();
        put_texts(body, texts, &mut named)?;
        splice(&named, out, |field, _| {
            Ok::<_, Malformed>(if field.number == TAGS { Fate::Drop } else { Fate::Keep })
        })?;
        tags.iter().for_each(|tag| wire::put_bytes(out, TAGS, tag.as_bytes()));
        Ok(())
    }

    /// Appends the body of an artifact record of the run that had the id `old`.
    pub(crate) fn put_artifact(
        &self,
        old: &str,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let name = self.id.as_ref().and_then(|new| {
            let key = text(body, 5)?.strip_prefix("run-")?.strip_prefix(old)?.strip_prefix('-')?;
            Some(format!("run-{new}-{key}"))
        });
        let texts = [
            (1, self.id.as_deref()),
            (2, self.project.as_deref()),
            (3, self.entity.as_deref()),
            (5, name.as_deref()),
        ];
        put_texts(body, texts, out)
    }

    /// Whether artifact records say anything that changes.
    pub(crate) const fn is_in_artifacts(&self) -> bool {
        self.id.is_some() || self.project.is_some() || self.entity.is_some()
    }

    /// Appends the payload of a record of the run that had the id `old`; whether it named that id.
    pub(crate) fn put_stream(
        &self,
        old: &str,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, Malformed> {
        let Some(new) = &self.id else { return Ok(false) };
        let names_it = |field: &Field<'_>| {
            field.number == STREAM_ID && field.value == WireValue::Bytes(old.as_bytes())
        };
        splice_at(payload, &[INFO], out, &mut |field, out| {
            if !names_it(&field) {
                return Ok::<_, Malformed>(Fate::Keep);
            }
            wire::put_bytes(out, STREAM_ID, new.as_bytes());
            Ok(Fate::Drop)
        })
    }
}

/// The id of the run whose log this is: as its records say, else as the name of the log does
/// (`run-<id>.wandb`).
pub(crate) fn run_id<'a>(info: &'a RunInfo, log: &'a Path) -> &'a str {
    let named = || log.file_name()?.to_str()?.strip_prefix("run-")?.rsplit_once(".wandb");
    match info.run_id() {
        "" => named().map_or("", |(id, _)| id),
        id => id,
    }
}

/// Appends `message` with these texts: each where it first was, else at the end. An empty one is what a
/// field that is not there means.
fn put_texts<const N: usize>(
    message: &[u8],
    mut texts: [(u32, Option<&str>); N],
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let put = |out: &mut Vec<u8>, number: u32, text: &str| {
        if !text.is_empty() {
            wire::put_bytes(out, number, text.as_bytes());
        }
    };
    let replaced = texts;
    splice(message, out, |field, out| {
        let is_it =
            |(number, text): &(u32, Option<&str>)| *number == field.number && text.is_some();
        if !replaced.iter().any(is_it) {
            return Ok::<_, Malformed>(Fate::Keep);
        }
        if let Some((number, text)) = texts.iter_mut().find(|text| is_it(text)) {
            put(out, *number, text.take().unwrap_or_default());
        }
        Ok(Fate::Drop)
    })?;
    for (number, text) in texts {
        put(out, number, text.unwrap_or_default());
    }
    Ok(())
}

fn text(message: &[u8], number: u32) -> Option<&str> {
    let mut fields = wire::Fields::new(message).flatten();
    std::str::from_utf8(fields.find(|field| field.number == number)?.value.bytes()?).ok()
}

const TAGS: u32 = 10;
const INFO: u32 = 200;
const STREAM_ID: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use prost::Message;

    #[test]
    fn a_run_is_renamed_and_the_rest_stays() {
        let run = pb::RunRecord {
            run_id: "old".into(),
            entity: "me".into(),
            project: "p".into(),
            notes: "n".into(),
            tags: vec!["a".into(), "b".into()],
            host: "h".into(),
            ..Default::default()
        };
        let mut bytes = run.encode_to_vec();
        wire::put_bytes(&mut bytes, 777, b"future");
        let identity = Identity {
            id: Some("new".into()),
            entity: Some("".into()),
            name: Some("nick".into()),
            tags: Some(vec!["c".into()]),
            ..Identity::default()
        };
        let mut out = Vec::new();
        identity.put_run(&bytes, &mut out).unwrap();
        let want = pb::RunRecord {
            run_id: "new".into(),
            entity: "".into(),
            display_name: "nick".into(),
            tags: vec!["c".into()],
            ..run
        };
        assert_eq!(pb::RunRecord::decode(&*out).unwrap(), want);
        assert!(out.windows(6).any(|window| window == b"future"));
    }

    #[test]
    fn artifacts_and_records_name_the_run_anew() {
        let identity =
            Identity { id: Some("new".into()), entity: Some("team".into()), ..Identity::default() };
        for (name, want) in [("run-old-tbl", "run-new-tbl"), ("run-older-x", "run-older-x")] {
            let artifact = pb::ArtifactRecord {
                run_id: "old".into(),
                name: name.into(),
                project: "p".into(),
                ..Default::default()
            };
            let mut out = Vec::new();
            identity.put_artifact("old", &artifact.encode_to_vec(), &mut out).unwrap();
            let want = pb::ArtifactRecord {
                run_id: "new".into(),
                entity: "team".into(),
                name: want.into(),
                ..artifact
            };
            assert_eq!(pb::ArtifactRecord::decode(&*out).unwrap(), want);
        }
        let mut out = Vec::new();
        assert!(identity.put_stream("old", b"\x12\x01x\xc2\x0c\x05\x0a\x03old", &mut out).unwrap());
        assert_eq!(out, b"\x12\x01x\xc2\x0c\x05\x0a\x03new");
        out.clear();
        let other = b"\x12\x01x\xc2\x0c\x07\x0a\x05other";
        assert!(!identity.put_stream("old", other, &mut out).unwrap());
    }

    #[test]
    fn names_that_w_and_b_does_not_take_are_refused() {
        let refused = |identity: Identity| identity.check().unwrap_err().to_string();
        let id = refused(Identity { id: Some("a/b".into()), ..Identity::default() });
        assert!(id.starts_with("id: \"a/b\" contains '/'"), "{id}");
        let project = refused(Identity { project: Some("".into()), ..Identity::default() });
        assert_eq!(project, "project: a project has a name");
        let tags = refused(Identity { tags: Some(vec!["".into()]), ..Identity::default() });
        assert!(tags.starts_with("tags: tag \"\" has 0 characters"), "{tags}");
    }
}
