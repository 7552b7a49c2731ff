//! Answers to what is asked only in an audit. A server that does not know of such questions tells nothing, and that
//! is no error.

use super::answers::Project;
use super::{Answer, read};
use crate::io::hex;
use crate::sync::ledger::FileMark;
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Data<T> {
    model: Option<Model<T>>,
}

#[derive(Deserialize)]
struct Model<T> {
    bucket: Option<T>,
}

fn bucket<T: for<'a> Deserialize<'a>>(answer: &Answer) -> Option<T> {
    read::<Data<T>>(answer).ok()?.model?.bucket
}

/// The entity and the project of a run, as the server names them.
pub(crate) fn owner(answer: &Answer) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Data {
        model: Option<Project>,
    }
    let Project { name, entity } = read::<Data>(answer).ok()?.model?;
    Some((entity.name, name))
}

/// How a run goes, in the server's word.
pub(crate) fn run_state(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Run {
        state: Option<String>,
    }
    bucket::<Run>(answer)?.state
}

/// What the server tells of a file.
#[derive(Clone, Debug)]
pub(crate) struct FileFacts {
    pub(crate) size: Option<u64>,
    md5: Option<String>,
}

impl FileFacts {
    /// Whether it may be the marked file. Servers write the MD5 in base64 or in hex, and of some files none.
    pub(crate) fn fit(&self, mark: &FileMark) -> bool {
        let base64 = base64::engine::general_purpose::STANDARD;
        let decoded = |md5: &String| base64.decode(md5).ok().map(|bytes| hex(&bytes));
        let same = |md5: &String| {
            md5.eq_ignore_ascii_case(&mark.md5) || decoded(md5).is_some_and(|md5| md5 == mark.md5)
        };
        let md5 = self.md5.as_ref().filter(|md5| !md5.is_empty());
        self.size.is_none_or(|size| size == mark.size) && md5.is_none_or(same)
    }
}

/// The files that were asked for, by name.
pub(crate) fn run_files(answer: &Answer) -> Option<BTreeMap<String, FileFacts>> {
    #[derive(Deserialize)]
    struct Run {
        files: Option<Connection>,
    }
    #[derive(Deserialize)]
    struct Connection {
        edges: Vec<Edge>,
    }
    #[derive(Deserialize)]
    struct Edge {
        node: Option<File>,
    }
    #[derive(Deserialize)]
    struct File {
        name: String,
        #[serde(rename = "sizeBytes")]
        size: Option<serde_json::Value>,
        md5: Option<String>,
    }
    let files = bucket::<Run>(answer)?.files?.edges.into_iter().filter_map(|edge| edge.node);
    // 64-bit integers may come as text.
    let number = |size: serde_json::Value| size.as_u64().or_else(|| size.as_str()?.parse().ok());
    let facts =
        |file: File| (file.name, FileFacts { size: file.size.and_then(number), md5: file.md5 });
    Some(files.map(facts).collect())
}

/// What the server tells of an artifact.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ArtifactFacts {
    pub(crate) state: Option<String>,
    pub(crate) digest: Option<String>,
}

/// The artifact that was asked for; `None` in it if there is none.
pub(crate) fn artifact(answer: &Answer) -> Option<Option<ArtifactFacts>> {
    #[derive(Deserialize)]
    struct Data {
        artifact: Option<ArtifactFacts>,
    }
    read::<Data>(answer).ok().map(|data| data.artifact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_fits_by_its_size_and_its_md5_however_that_is_written() {
        let mark = FileMark {
            md5: "900150983cd24fb0d6963f7d28e17f72".into(),
            size: 3,
            ..FileMark::default()
        };
        let node = |rest: &str| {
            let body = format!(
                r#"{{"data":{{"model":{{"bucket":{{"files":{{"edges":[{{"node":{{"name":"a"{rest}}}}}]}}}}}}}}}}"#
            );
            let found = run_files(&Answer::new(200, body.into_bytes())).unwrap();
            found.get("a").unwrap().fit(&mark)
        };
        let fitting = [
            "",
            r#","sizeBytes":3"#,
            r#","sizeBytes":"3","md5":"kAFQmDzST7DWlj99KOF/cg==""#,
            r#","md5":"900150983CD24FB0D6963F7D28E17F72""#,
            r#","md5":"""#,
        ];
        assert!(fitting.iter().all(|rest| node(rest)));
        assert!(!node(r#","sizeBytes":4"#) && !node(r#","md5":"kAFQmDzST7DWlj99KOF/cQ==""#));
    }

    #[test]
    fn what_a_server_does_not_know_it_does_not_tell() {
        let refusals = [
            r#"{"errors":[{"message":"no field files"}]}"#,
            r#"{"data":{"model":null}}"#,
            "<html>",
        ];
        for body in refusals {
            let answer = Answer::new(200, body.into());
            assert!(run_files(&answer).is_none() && run_state(&answer).is_none(), "{body}");
        }
        assert!(artifact(&Answer::new(400, b"{}".to_vec())).is_none());
        assert!(
            artifact(&Answer::new(200, br#"{"data":{"artifact":null}}"#.to_vec()))
                .unwrap()
                .is_none()
        );
    }
}
