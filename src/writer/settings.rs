//! From options and environment variables to what a run is made with.
//!
//! As in W&B, what the code says wins over the environment, which wins over defaults. Every bad value
//! is an error that names where it comes from and what would be right.

use super::environ::Environ;
use super::options::{Mode, WriterOptions};
use crate::error::{Error, Result};
use std::path::PathBuf;

/// What a run is made with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) id: String,
    /// Empty if nobody named one.
    pub(super) project: String,
    pub(super) entity: String,
    pub(super) name: String,
    pub(super) notes: String,
    pub(super) group: String,
    pub(super) job_type: String,
    pub(super) tags: Vec<String>,
}

impl Settings {
    pub(super) fn resolve(options: &WriterOptions, environ: &Environ) -> Result<Self> {
        let pick = |code: &Option<String>, names: &[&'static str]| -> Result<String> {
            if let Some(text) = code {
                return Ok(text.clone());
            }
            let found = environ.first(names)?;
            Ok(found.map(|(_, text)| text.to_owned()).unwrap_or_default())
        };
        Ok(Self {
            id: run_id(options, environ)?,
            project: project(options, environ)?,
            entity: pick(&options.entity, &["WANDB_ENTITY"])?,
            name: pick(&options.name, &["WANDB_NAME", "WANDB_RUN_NAME"])?,
            notes: pick(&options.notes, &["WANDB_NOTES", "WANDB_RUN_NOTES"])?,
            group: pick(&options.group, &["WANDB_RUN_GROUP"])?,
            job_type: pick(&options.job_type, &["WANDB_JOB_TYPE", "WANDB_RUN_JOB_TYPE"])?,
            tags: tags(options, environ)?,
        })
    }
}

/// Whether there is to be a log at all.
pub(super) fn mode(options: &WriterOptions, environ: &Environ) -> Result<Mode> {
    if let Some(mode) = options.mode {
        return Ok(mode);
    }
    if environ.flag("WANDB_DISABLED")? {
        return Ok(Mode::Disabled);
    }
    match environ.text_or_empty("WANDB_MODE")? {
        None | Some("offline" | "dryrun") => Ok(Mode::Offline),
        Some("disabled") => Ok(Mode::Disabled),
        Some(online @ ("online" | "run" | "shared")) => Err(Error::setting(
            "WANDB_MODE",
            format!(
                "{online:?} needs a server while the run goes on; set it to `offline`, and sync the run afterwards"
            ),
        )),
        Some(other) => Err(Error::setting(
            "WANDB_MODE",
            format!(
                "{other:?} is no mode; it can be `offline`, `disabled` or `dryrun`, in lower case"
            ),
        )),
    }
}

/// The directory that `wandb/` is made in, absolute.
pub(super) fn root(options: &WriterOptions, environ: &Environ) -> PathBuf {
    let root = options.dir.clone().or_else(|| environ.path("WANDB_DIR"));
    let root = root.or_else(|| environ.path("WANDB_ROOT_DIR")).unwrap_or_else(|| ".".into());
    // The program may go elsewhere; where the run is stays true.
    std::path::absolute(&root).unwrap_or(root)
}

fn run_id(options: &WriterOptions, environ: &Environ) -> Result<String> {
    let (name, id) = match (&options.id, environ.text_or_empty("WANDB_RUN_ID")?) {
        (Some(id), _) => ("id", id.as_str()),
        (None, Some(id)) => ("WANDB_RUN_ID", id),
        (None, None) => return random_id(),
    };
    match id_fault(id) {
        Some(wrong) => Err(Error::setting(name, wrong)),
        None => Ok(id.to_owned()),
    }
}

/// What keeps W&B, or the file system, from taking this run id.
pub(crate) fn id_fault(id: &str) -> Option<String> {
    let wrong = if id.is_empty() {
        "a run id has at least one character".to_owned()
    } else if id.trim() != id {
        format!("{id:?} begins or ends with white space")
    } else if let Some(c) = id.chars().find(|c| ":;,#?/\\'".contains(*c) || c.is_control()) {
        format!(
            "{id:?} contains {c:?}; a run id has none of : ; , # ? / \\ ' and no control characters"
        )
    } else if id == "." || id == ".." {
        format!("{id:?} is a directory's own name")
    } else if id.len() > ID_MAX {
        format!("a run id of {} bytes is too long for a file name; {ID_MAX} is the most", id.len())
    } else {
        return None;
    };
    Some(wrong)
}

/// Eight characters of `a-z0-9`, as W&B makes them.
fn random_id() -> Result<String> {
    let mut id = String::new();
    while id.len() < 8 {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::setting("id", format!("no random numbers: {error}")))?;
        // 252 = 7 * 36: bytes above would favour the first characters.
        let fair = bytes.iter().filter(|byte| **byte < 252);
        id.extend(fair.filter_map(|byte| char::from_digit(u32::from(byte % 36), 36)));
    }
    id.truncate(8);
    Ok(id)
}

fn project(options: &WriterOptions, environ: &Environ) -> Result<String> {
    let (name, project) = match &options.project {
        Some(project) => ("project", project.as_str()),
        None => match environ.text("WANDB_PROJECT")? {
            Some(project) => ("WANDB_PROJECT", project),
            None => return Ok(String::new()),
        },
    };
    match project_fault(project) {
        Some(wrong) => Err(Error::setting(name, wrong)),
        None => Ok(project.to_owned()),
    }
}

/// What keeps W&B from taking this project name.
pub(crate) fn project_fault(project: &str) -> Option<String> {
    if matches!(project, "." | "..") {
        return Some(format!("{project:?} is no name but a directory"));
    }
    if let Some(c) = project.chars().find(|c| "/\\#?%:".contains(*c) || c.is_control()) {
        return Some(format!(
            "{project:?} contains {c:?}; a project name has none of / \\ # ? % :"
        ));
    }
    let length = project.chars().count();
    (length > 128).then(|| format!("a project name has at most 128 characters, not {length}"))
}

/// Tags, trimmed, each once. Empty ones in the environment (`a,,b`) are left out, those in code refused.
fn tags(options: &WriterOptions, environ: &Environ) -> Result<Vec<String>> {
    let names = ["WANDB_TAGS", "WANDB_RUN_TAGS"];
    let (name, given): (_, Vec<&str>) = match &options.tags {
        Some(tags) => ("tags", tags.iter().map(|tag| tag.trim()).collect()),
        None => match environ.first(&names)? {
            Some((name, text)) => {
                (name, text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect())
            }
            None => return Ok(Vec::new()),
        },
    };
    let mut tags: Vec<String> = Vec::new();
    for tag in given {
        if let Some(wrong) = tag_fault(tag) {
            return Err(Error::setting(name, wrong));
        }
        if tags.iter().all(|earlier| earlier != tag) {
            tags.push(tag.to_owned());
        }
    }
    Ok(tags)
}

/// What keeps W&B from taking this tag.
pub(crate) fn tag_fault(tag: &str) -> Option<String> {
    let length = tag.chars().count();
    let fits = (1..=64).contains(&length);
    (!fits).then(|| format!("tag {tag:?} has {length} characters; a tag has 1 to 64"))
}

/// With what W&B puts around an id, the longest names in a run directory stay below 255 bytes.
const ID_MAX: usize = 200;
