//! Metric definitions whose metrics go by other keys now.

use super::Stop;
use super::keys::{KeyMap, Place};
use super::survey::Survey;
use crate::error::Result;
use crate::record::join_key;
use crate::rewrite::{Fate, splice};
use crate::wire::{self, WireValue};
use std::collections::{BTreeMap, HashSet};

/// The patterns (`glob_name`) of the log whose metrics have other keys now.
#[derive(Debug, Default)]
pub(super) struct Globs {
    globs: BTreeMap<String, Glob>,
}

/// What became of the metrics that a pattern was for.
#[derive(Debug, Default)]
struct Glob {
    stays: bool,
    /// Their new keys.
    renamed: Vec<String>,
}

impl Globs {
    /// Places every key the rows have, and notes which pattern it was under.
    pub(super) fn place(keys: &mut KeyMap<'_>, survey: &Survey) -> Result<Self> {
        let mut globs = Self::default();
        let media = media(survey);
        for (path, ..) in survey.rows.history().keys() {
            let medium =
                (1..path.len()).find(|n| path.get(..*n).is_some_and(|p| media.contains(p)));
            let elements: Vec<_> = path.iter().map(String::as_str).collect();
            let place = keys.place(&elements, || medium)?;
            let length = medium.unwrap_or(path.len());
            let join =
                |path: &[String], length| join_key(path.iter().take(length).map(String::as_str));
            let name = join(path, length);
            let definition = survey.rows.metrics().definition_for(&name);
            let Some(pattern) = definition.map(|it| &it.glob_name).filter(|it| !it.is_empty())
            else {
                continue;
            };
            let glob = globs.globs.entry(pattern.clone()).or_default();
            match place {
                Place::Same => glob.stays = true,
                Place::Gone => {}
                Place::At(to) => {
                    let new = join(to, to.len() - (path.len() - length));
                    if !glob.renamed.contains(&new) {
                        glob.renamed.push(new);
                    }
                }
            }
        }
        Ok(globs)
    }

    /// Appends a definition that is for other metrics now; whether it is for any. What of `added` is no
    /// pattern any more, because its metrics have other keys, is a definition for each of them.
    pub(super) fn put(
        &self,
        keys: &mut KeyMap<'_>,
        body: &[u8],
        out: &mut Vec<u8>,
        added: &mut Vec<Vec<u8>>,
    ) -> Result<bool, Stop> {
        let mut is_for_any = true;
        splice(body, out, |field, out| {
            let (NAME | GLOB | STEP_METRIC, WireValue::Bytes(text)) = (field.number, field.value)
            else {
                return Ok(Fate::Keep);
            };
            let text = String::from_utf8_lossy(text);
            if field.number == GLOB {
                let glob = self.globs.get(&*text);
                is_for_any &= glob.is_none_or(|glob| glob.stays);
                return Ok(Fate::Keep);
            }
            match keys.named(&text)? {
                Some(name) if name == text => return Ok(Fate::Keep),
                Some(name) => wire::put_bytes(out, field.number, name.as_bytes()),
                // Its axis is gone; the metric is drawn over the step.
                None => is_for_any &= field.number != NAME,
            }
            Ok::<_, Stop>(Fate::Drop)
        })?;
        for name in self.of(body).map(|glob| &glob.renamed).into_iter().flatten() {
            let mut definition = Vec::new();
            splice(out, &mut definition, |field, definition| {
                if field.number != GLOB {
                    return Ok::<_, Stop>(Fate::Keep);
                }
                wire::put_bytes(definition, NAME, name.as_bytes());
                Ok(Fate::Drop)
            })?;
            added.push(definition);
        }
        Ok(is_for_any)
    }

    fn of(&self, body: &[u8]) -> Option<&Glob> {
        let mut fields = wire::Fields::new(body).flatten();
        let pattern = fields.find(|field| field.number == GLOB)?.value.bytes()?;
        self.globs.get(&*String::from_utf8_lossy(pattern))
    }
}

/// The paths of the media objects in the rows.
fn media(survey: &Survey) -> HashSet<&[String]> {
    let keys = survey.rows.history().keys();
    let types = keys.filter_map(|(path, ..)| path.split_last());
    types.filter(|(last, _)| *last == super::keys::TYPE).map(|(_, object)| object).collect()
}

const NAME: u32 = 1;
const GLOB: u32 = 2;
const STEP_METRIC: u32 = 4;
