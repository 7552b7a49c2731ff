//! Environment variables, as a value.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

/// The variables a run is made with: the process's, or others for a test.
#[derive(Clone, Default)]
pub(crate) struct Environ(BTreeMap<OsString, OsString>);

/// Without the variables: secrets are among them.
impl fmt::Debug for Environ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} variables", self.0.len())
    }
}

impl Environ {
    /// The variables of this process, as they are now.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The value of a variable; none if it is empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>> {
        Ok(self.text_or_empty(name)?.filter(|text| !text.is_empty()))
    }

    /// The value of a variable, which may be empty.
    pub(crate) fn text_or_empty(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.0.get(OsStr::new(name)) else { return Ok(None) };
        let text = value.to_str().ok_or_else(|| Error::setting(name, "must be UTF-8 text"))?;
        Ok(Some(text))
    }

    /// The first of these variables that is set and not empty, with its name.
    pub(crate) fn first<'a>(
        &'a self,
        names: &[&'static str],
    ) -> Result<Option<(&'static str, &'a str)>> {
        for &name in names {
            if let Some(text) = self.text(name)? {
                return Ok(Some((name, text)));
            }
        }
        Ok(None)
    }

    /// The first of these variables that is set and not empty, whatever it is. For those that are not
    /// W&B's: what another program put there must not stop a training.
    pub(crate) fn first_lossy(&self, names: &[&str]) -> Option<String> {
        let mut values = names.iter().filter_map(|name| self.0.get(OsStr::new(name)));
        Some(values.find(|value| !value.is_empty())?.to_string_lossy().into_owned())
    }

    /// The value of a variable as a path; none if it is empty.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The value of a yes-or-no variable. Empty means no.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        let text = self.text(name)?.unwrap_or("no");
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
            "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
            _ => Err(Error::setting(
                name,
                format!("{text:?} is neither yes nor no; write `true` or `false`"),
            )),
        }
    }

    /// The variables with this prefix: what follows it, and the value. Those that are not UTF-8 are
    /// left out.
    pub(crate) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let text =
            self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        text.filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environ {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        Self(vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
