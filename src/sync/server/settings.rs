//! The settings files of W&B.

use crate::error::{Error, Result};
use crate::io::read_small;
use crate::writer::environ::Environ;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The settings files: what stands under `[default]`.
#[derive(Debug, Default)]
pub(super) struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(super) fn read(environ: &Environ, dir: &Path) -> Result<Self> {
        let config = environ.path("WANDB_CONFIG_DIR");
        let config = config.or_else(|| Some(home(environ)?.join(".config").join("wandb")));
        let files = config.into_iter().chain([dir.join("wandb")]);
        let mut all = Self::default();
        for path in files.map(|dir| dir.join("settings")) {
            match read_small(&path) {
                Ok(text) => all.add(&text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", &path, error)),
            }
        }
        Ok(all)
    }

    fn add(&mut self, text: &str) {
        let mut here = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                here = line == "[default]";
            } else if let (true, Some((key, value))) = (here, line.split_once('=')) {
                self.0.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}

pub(super) fn home(environ: &Environ) -> Option<PathBuf> {
    environ.path("HOME").or_else(|| environ.path("USERPROFILE"))
}
