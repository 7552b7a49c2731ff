//! Which peers this machine has.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python packages that were looked for, and where they are.
#[derive(Debug)]
pub(crate) struct Peers {
    python: PathBuf,
    found: Vec<(&'static str, Result<Package, String>)>,
}

#[derive(Debug)]
struct Package {
    version: String,
    directory: PathBuf,
}

impl Peers {
    /// Asks a Python for each of the peers.
    pub(crate) fn find(python: &Path) -> Self {
        let found = PACKAGES.map(|name| (name, ask(python, name))).into();
        Self { python: python.into(), found }
    }

    /// The Python that was asked.
    pub(crate) fn python(&self) -> &Path {
        &self.python
    }

    /// Why a package cannot be measured, if it cannot.
    pub(crate) fn missing(&self, package: &str) -> Option<String> {
        match self.package(package) {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(why.clone()),
            None => Some(format!("{package} is not looked for")),
        }
    }

    /// A name with the version of the package it belongs to.
    pub(crate) fn named(&self, package: &str, name: &str) -> String {
        match self.package(package) {
            Some(Ok(found)) => format!("{name} ({package} {})", found.version),
            _ => format!("{name} ({package})"),
        }
    }

    /// A file of a package; if that is not there, a path that is none.
    pub(crate) fn file(&self, package: &str, path: &str) -> PathBuf {
        match self.package(package) {
            Some(Ok(found)) => found.directory.join(path),
            _ => path.into(),
        }
    }

    fn package(&self, name: &str) -> Option<&Result<Package, String>> {
        self.found.iter().find(|(package, _)| *package == name).map(|(_, found)| found)
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peers of {}:", self.python.display())?;
        for (name, found) in &self.found {
            match found {
                Ok(package) => write!(f, "\n  {name} {}", package.version)?,
                Err(why) => write!(f, "\n  {name}: not measured, {why}")?,
            }
        }
        Ok(())
    }
}

fn ask(python: &Path, package: &str) -> Result<Package, String> {
    let module = package.replace('-', "_");
    let code = format!(
        "import {module}, importlib.metadata, os; \
         print(importlib.metadata.version('{package}'), os.path.dirname({module}.__file__))"
    );
    let answer = Command::new(python).args(["-c", &code]).output();
    let answer = answer.map_err(|error| format!("{}: {error}", python.display()))?;
    if !answer.status.success() {
        return Err(format!("`python -c 'import {module}'` fails"));
    }
    // What a package prints while it is imported stands before.
    let text = String::from_utf8_lossy(&answer.stdout);
    let last = text.lines().last().and_then(|line| line.split_once(' '));
    let (version, directory) = last.ok_or("its version is not known")?;
    Ok(Package { version: version.into(), directory: directory.into() })
}

const PACKAGES: [&str; 5] =
    ["wandb", "tensorboard", "tensorboardX", "tensorboard-data-server", "tbparse"];
