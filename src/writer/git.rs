//! The git checkout a program was started in, read from its files; git itself is not run.

use crate::proto::wandb_internal::GitRepoRecord;
use std::fs;
use std::path::{Path, PathBuf};

/// A git checkout.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    /// The directory that holds `.git`.
    pub(super) root: PathBuf,
    /// The remote `origin` without its password, and the commit at HEAD. Either may be empty.
    pub(super) record: GitRepoRecord,
}

impl Checkout {
    /// The checkout that `dir` is in.
    pub(super) fn around(dir: &Path) -> Option<Self> {
        let dir = std::path::absolute(dir).ok()?;
        let (root, dot_git) = dir
            .ancestors()
            .map(|root| (root, root.join(".git")))
            .find(|(_, dot_git)| dot_git.exists())?;
        // A worktree or submodule has a file there, which names the directory.
        let git_dir = match read(&dot_git) {
            Some(text) => root.join(text.strip_prefix("gitdir:")?.trim()),
            None => dot_git,
        };
        // A worktree shares refs and config with the main checkout.
        let common_dir = match read(&git_dir.join("commondir")) {
            Some(text) => git_dir.join(text.trim()),
            None => git_dir.clone(),
        };
        let record = GitRepoRecord {
            remote_url: read(&common_dir.join("config"))
                .and_then(|config| origin_url(&config))
                .map(|url| without_password(&url))
                .unwrap_or_default(),
            commit: head(&git_dir, &common_dir).unwrap_or_default(),
        };
        Some(Self { root: root.to_owned(), record })
    }

    /// The name of the checkout's directory.
    pub(super) fn name(&self) -> Option<&str> {
        self.root.file_name()?.to_str()
    }
}

fn head(git_dir: &Path, common_dir: &Path) -> Option<String> {
    let head = read(&git_dir.join("HEAD"))?;
    let Some(name) = head.trim().strip_prefix("ref:") else {
        return commit(&head);
    };
    let name = name.trim();
    let loose = [git_dir, common_dir].iter().find_map(|dir| read(&dir.join(name)));
    if let Some(hash) = loose {
        return commit(&hash);
    }
    let packed = read(&common_dir.join("packed-refs"))?;
    let line =
        packed.lines().find(|line| line.split_once(' ').is_some_and(|(_, at)| at == name))?;
    commit(line.split_once(' ')?.0)
}

fn commit(text: &str) -> Option<String> {
    let hash = text.trim();
    (hash.len() >= 40 && hash.bytes().all(|b| b.is_ascii_hexdigit())).then(|| hash.to_owned())
}

/// The `url` in section `[remote "origin"]` of a git config.
fn origin_url(config: &str) -> Option<String> {
    let mut in_origin = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            in_origin = line.split_whitespace().eq(["[remote", "\"origin\"]"]);
        } else if in_origin
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case("url")
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

/// Removes the password from `scheme://user:password@host/`; the user name stays.
pub(super) fn without_password(url: &str) -> String {
    let parts = || {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.find('/').map_or(rest, |end| rest.get(..end).unwrap_or(rest));
        let at = authority.rfind('@')?;
        let (user, _password) = rest.get(..at)?.split_once(':')?;
        Some(format!("{scheme}://{user}:{}", rest.get(at..)?))
    };
    parts().unwrap_or_else(|| url.to_owned())
}

/// The text of a file; whatever is no file, such as a pipe nobody writes to, has none.
fn read(path: &Path) -> Option<String> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_removed_and_user_names_stay() {
        for (url, want) in [
            ("https://me:secret@host/a/b.git", "https://me:@host/a/b.git"),
            ("https://me:se@cr:et@host/a@b", "https://me:@host/a@b"),
            ("https://host:8080/a", "https://host:8080/a"),
            ("https://me@host", "https://me@host"),
            ("git@host:a/b.git", "git@host:a/b.git"),
        ] {
            assert_eq!(without_password(url), want);
        }
    }

    #[test]
    fn commit_and_remote_are_read_from_the_files_of_a_checkout() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        let hash = "0123456789abcdef0123456789abcdef01234567";
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let config = "[core]\n\turl = no\n[remote \"origin\"]\n\turl = https://u:p@h/r\n[branch]\n";
        fs::write(git.join("config"), config).unwrap();
        fs::write(git.join("packed-refs"), format!("# pack\n{hash} refs/heads/main\n")).unwrap();
        let below = dir.path().join("src");
        fs::create_dir(&below).unwrap();

        let packed = Checkout::around(&below).unwrap();
        assert_eq!(packed.record.commit, hash);
        assert_eq!(packed.record.remote_url, "https://u:@h/r");
        assert_eq!(packed.root, std::path::absolute(dir.path()).unwrap());

        let loose = hash.replace('0', "f");
        fs::write(git.join("refs/heads/main"), format!("{loose}\n")).unwrap();
        assert_eq!(Checkout::around(&below).unwrap().record.commit, loose);

        // A worktree: `.git` is a file, and refs are the main checkout's.
        let tree = dir.path().join("tree");
        let tree_git = git.join("worktrees/tree");
        fs::create_dir_all(&tree_git).unwrap();
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join(".git"), "gitdir: ../.git/worktrees/tree\n").unwrap();
        fs::write(tree_git.join("commondir"), "../..\n").unwrap();
        fs::write(tree_git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let worktree = Checkout::around(&tree).unwrap();
        assert_eq!((worktree.name(), &worktree.record.commit), (Some("tree"), &loose));
        assert_eq!(worktree.record.remote_url, "https://u:@h/r");
    }
}
