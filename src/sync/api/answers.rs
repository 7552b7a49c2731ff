//! Answers, as far as they are used. Each is taken apart here, and what does not fit is refused here.

use super::{Answer, read};
use crate::sync::ledger::MOST_LINES;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The headers in a list of `Name: value` texts. Those that could not be sent are left out, and those that say how
/// long the body is and where it goes, for that is known here.
pub(crate) fn parse_headers(lines: &[String]) -> Vec<(String, String)> {
    let pairs = lines.iter().filter_map(|line| line.split_once(':'));
    let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    let sendable = |text: &str| !text.contains(|c: char| c.is_control());
    let frames = |name: &str| FRAMING.iter().any(|other| name.eq_ignore_ascii_case(other));
    pairs
        .filter(|(name, value)| {
            !name.is_empty() && sendable(name) && sendable(value) && !frames(name)
        })
        .collect()
}

const FRAMING: &[&str] = &["Connection", "Content-Length", "Host", "TE", "Transfer-Encoding"];

/// A number of lines, which places are counted from.
fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let count = Option::<u64>::deserialize(deserializer)?;
    match count {
        Some(count) if count > MOST_LINES => Err(D::Error::custom("no run has so many lines")),
        count => Ok(count),
    }
}

/// A run, as the server has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "displayName")]
    pub(crate) display_name: Option<String>,
    #[serde(rename = "historyLineCount", default, deserialize_with = "lines")]
    pub(crate) history_lines: Option<u64>,
    pub(crate) project: Option<Project>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) entity: Named,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

impl Bucket {
    /// The run made or updated, and whether it is new, if the server says so.
    pub(crate) fn upserted(answer: &Answer) -> Result<(Self, Option<bool>), String> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(rename = "upsertBucket")]
            payload: Option<Payload>,
        }
        #[derive(Deserialize)]
        struct Payload {
            bucket: Option<Bucket>,
            inserted: Option<bool>,
        }
        let payload = read::<Data>(answer)?.payload.ok_or("the server returned no run")?;
        let bucket = payload.bucket.ok_or("the server returned no run")?;
        Ok((bucket, payload.inserted))
    }

    /// The run after a rewind.
    pub(crate) fn rewound(answer: &Answer) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(rename = "rewindRun")]
            payload: Option<Payload>,
        }
        #[derive(Deserialize)]
        struct Payload {
            #[serde(rename = "rewoundRun")]
            run: Option<Bucket>,
        }
        let payload = read::<Data>(answer)?.payload;
        payload.and_then(|payload| payload.run).ok_or_else(|| "the server returned no run".into())
    }
}

/// What the server has of a run: line counts, last lines, config, summary.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Tail {
    pub(crate) id: String,
    #[serde(rename = "summaryMetrics")]
    pub(crate) summary: Option<String>,
    #[serde(rename = "logLineCount", default, deserialize_with = "lines")]
    pub(crate) console_lines: Option<u64>,
    #[serde(rename = "historyLineCount", default, deserialize_with = "lines")]
    pub(crate) history_lines: Option<u64>,
    #[serde(rename = "eventsLineCount", default, deserialize_with = "lines")]
    pub(crate) events_lines: Option<u64>,
    #[serde(rename = "historyTail")]
    pub(crate) history_tail: Option<String>,
    pub(crate) config: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) notes: Option<String>,
    #[serde(rename = "wandbConfig")]
    wandb_config: Option<String>,
}

impl Tail {
    /// The run that was asked for; `None` if the server has none that was ever started.
    pub(crate) fn of(answer: &Answer) -> Result<Option<Self>, String> {
        Ok(Self::of_any(answer)?.filter(Self::is_started))
    }

    /// The run that was asked for, also one that was never started.
    pub(crate) fn of_any(answer: &Answer) -> Result<Option<Self>, String> {
        #[derive(Deserialize)]
        struct Data {
            model: Option<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            bucket: Option<Tail>,
        }
        Ok(read::<Data>(answer)?.model.and_then(|model| model.bucket))
    }

    /// The numbers of lines of history, events and console.
    pub(crate) const fn counted(&self) -> [Option<u64>; 3] {
        [self.history_lines, self.events_lines, self.console_lines]
    }

    /// Whether the server tells of rows, by their number or by the last of them.
    pub(crate) fn has_rows(&self) -> bool {
        self.history_lines.is_some_and(|lines| lines > 0) || !self.last_rows().is_empty()
    }

    /// A run counts as started once its config holds telemetry.
    fn is_started(&self) -> bool {
        let text = self.wandb_config.as_deref().unwrap_or_default();
        crate::json::Value::parse(text).is_ok_and(|config| config.get("t").is_some())
    }

    /// The last lines of the history, newest last. The server sends a list of texts, as a text.
    pub(crate) fn last_rows(&self) -> Vec<String> {
        let text = self.history_tail.as_deref().unwrap_or("[]");
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// Where the files of a run go.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RunFiles {
    #[serde(rename = "uploadHeaders", default)]
    headers: Option<Vec<String>>,
    pub(crate) files: Vec<CreatedRunFile>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CreatedRunFile {
    pub(crate) name: String,
    #[serde(rename = "uploadUrl")]
    pub(crate) url: Option<String>,
}

impl RunFiles {
    pub(crate) fn of(answer: &Answer) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(rename = "createRunFiles")]
            files: Option<RunFiles>,
        }
        read::<Data>(answer)?.files.ok_or_else(|| "the server returned no upload URLs".into())
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        parse_headers(self.headers.as_deref().unwrap_or_default())
    }
}

/// An artifact that was made, or found to be there already.
#[derive(Clone, Debug)]
pub(crate) struct CreatedArtifact {
    pub(crate) id: String,
    /// The server has all of it.
    pub(crate) committed: bool,
    /// The number of this version, if the server has counted it.
    pub(crate) version: Option<u64>,
    /// The version before it.
    pub(crate) latest: Option<String>,
}

impl CreatedArtifact {
    pub(crate) fn of(answer: &Answer) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(rename = "createArtifact")]
            payload: Option<Payload>,
        }
        #[derive(Deserialize)]
        struct Payload {
            artifact: Artifact,
        }
        #[derive(Deserialize)]
        struct Artifact {
            id: String,
            state: String,
            #[serde(rename = "versionIndex")]
            version: Option<i64>,
            #[serde(rename = "artifactSequence")]
            sequence: Option<Sequence>,
        }
        #[derive(Deserialize)]
        struct Sequence {
            #[serde(rename = "latestArtifact")]
            latest: Option<Latest>,
        }
        #[derive(Deserialize)]
        struct Latest {
            id: String,
        }
        let payload = read::<Data>(answer)?.payload.ok_or("the server returned no artifact")?;
        let Artifact { id, state, version, sequence } = payload.artifact;
        let latest = sequence.and_then(|sequence| sequence.latest).map(|latest| latest.id);
        Ok(Self {
            id,
            committed: state == "COMMITTED",
            version: version.and_then(|number| u64::try_from(number).ok()),
            latest,
        })
    }
}

/// The number of the version that was committed, if the server tells it.
pub(crate) fn committed_version(answer: &Answer) -> Result<Option<u64>, String> {
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "commitArtifact")]
        payload: Option<Payload>,
    }
    #[derive(Deserialize)]
    struct Payload {
        artifact: Option<Artifact>,
    }
    #[derive(Deserialize)]
    struct Artifact {
        #[serde(rename = "versionIndex")]
        version: Option<i64>,
    }
    let artifact = read::<Data>(answer)?.payload.and_then(|payload| payload.artifact);
    Ok(artifact.and_then(|artifact| u64::try_from(artifact.version?).ok()))
}

/// The server's id of an artifact whose client id was asked for; `None` if it knows of none.
pub(crate) fn mapped_id(answer: &Answer) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "clientIDMapping")]
        mapping: Option<Mapping>,
    }
    #[derive(Deserialize)]
    struct Mapping {
        #[serde(rename = "serverID")]
        id: String,
    }
    Ok(read::<Data>(answer)?.mapping.map(|mapping| mapping.id))
}

/// The manifest of an artifact: its id, and where its text goes.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) id: String,
    file: Option<ManifestFile>,
}

#[derive(Clone, Debug, Deserialize)]
struct ManifestFile {
    #[serde(rename = "uploadUrl")]
    url: Option<String>,
    #[serde(rename = "uploadHeaders")]
    headers: Option<Vec<String>>,
}

impl Manifest {
    pub(crate) fn of(answer: &Answer) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(rename = "createArtifactManifest", alias = "updateArtifactManifest")]
            payload: Option<Payload>,
        }
        #[derive(Deserialize)]
        struct Payload {
            #[serde(rename = "artifactManifest")]
            manifest: Manifest,
        }
        let payload = read::<Data>(answer)?.payload.ok_or("the server returned no manifest")?;
        Ok(payload.manifest)
    }

    /// Where the text of the manifest goes, and with which headers.
    pub(crate) fn upload(self) -> Option<(String, Vec<(String, String)>)> {
        let file = self.file?;
        Some((file.url?, parse_headers(&file.headers.unwrap_or_default())))
    }
}

/// Where a file of an artifact goes.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CreatedFile {
    #[serde(rename = "storagePath")]
    pub(crate) storage_path: Option<String>,
    /// Where to; `None` if the server has the file already.
    #[serde(rename = "uploadUrl")]
    pub(crate) url: Option<String>,
    #[serde(rename = "uploadHeaders")]
    headers: Option<Vec<String>>,
    #[serde(rename = "uploadMultipartUrls")]
    pub(crate) multipart: Option<Multipart>,
    artifact: Option<WithId>,
}

#[derive(Clone, Debug, Deserialize)]
struct WithId {
    id: String,
}

/// Where the parts of a large file go.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Multipart {
    #[serde(rename = "uploadID")]
    pub(crate) id: String,
    #[serde(rename = "uploadUrlParts")]
    pub(crate) parts: Vec<PartUrl>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PartUrl {
    #[serde(rename = "partNumber")]
    pub(crate) number: u64,
    #[serde(rename = "uploadUrl")]
    pub(crate) url: String,
}

impl CreatedFile {
    /// One for each file that was asked for, in that order.
    pub(crate) fn list(answer: &Answer, asked: usize) -> Result<Vec<Self>, String> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(rename = "createArtifactFiles")]
            payload: Option<Payload>,
        }
        #[derive(Deserialize)]
        struct Payload {
            files: Connection,
        }
        #[derive(Deserialize)]
        struct Connection {
            edges: Vec<Edge>,
        }
        #[derive(Deserialize)]
        struct Edge {
            node: Option<CreatedFile>,
        }
        let payload = read::<Data>(answer)?.payload.ok_or("the server returned no upload URLs")?;
        let files: Vec<_> = payload.files.edges.into_iter().filter_map(|edge| edge.node).collect();
        if files.len() == asked {
            return Ok(files);
        }
        Err(format!("the server returned {} upload URLs for {asked} files", files.len()))
    }

    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        parse_headers(self.headers.as_deref().unwrap_or_default())
    }

    /// The artifact that first held the file.
    pub(crate) fn birth_artifact(&self) -> Option<&str> {
        self.artifact.as_ref().map(|artifact| artifact.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer::new(status, body.into())
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words_whatever_its_status() {
        let body = r#"{"errors":[{"message":"no such entity"},{}],"data":null}"#;
        let told = Bucket::upserted(&answer(404, body)).unwrap_err();
        assert_eq!(told, "the server answered 404: no such entity; <no message>");
        let told = Bucket::upserted(&answer(200, body)).unwrap_err();
        assert_eq!(told, "the server refused: no such entity; <no message>");
        let told = Bucket::upserted(&answer(502, "<html>bad gateway</html>")).unwrap_err();
        assert_eq!(told, "the server answered 502: <html>bad gateway</html>");
        let told = Bucket::upserted(&answer(503, "")).unwrap_err();
        assert_eq!(told, "the server answered 503");
    }

    #[test]
    fn what_is_no_wandb_server_is_told_from_one_that_refuses() {
        for (status, body) in [(404, ""), (404, "<html>"), (405, "{}"), (200, "<html>"), (200, "")]
        {
            let told = Bucket::upserted(&answer(status, body)).unwrap_err();
            assert!(
                told.contains("is WANDB_BASE_URL another server's?"),
                "{status} {body}: {told}"
            );
            assert_eq!(told.contains("It begins: <html>"), body == "<html>", "{told}");
        }
        let told = Bucket::upserted(&answer(200, "{\"data\":7}")).unwrap_err();
        assert!(told.starts_with("the server's answer makes no sense: "), "{told}");
    }

    #[test]
    fn answers_of_the_wrong_shape_are_refused() {
        for body in ["", "[]", "{}", r#"{"data":{"upsertBucket":{"bucket":{"id":7}}}}"#, "null"] {
            assert!(Bucket::upserted(&answer(200, body)).is_err(), "{body}");
        }
        let body = r#"{"data":{"createArtifactFiles":{"files":{"edges":[{"node":null}]}}}}"#;
        assert!(CreatedFile::list(&answer(200, body), 1).is_err());
    }

    #[test]
    fn headers_are_split_at_the_first_colon_and_must_be_sendable() {
        let lines = [
            "A: b:c",
            " X-Y :",
            "no colon",
            ": v",
            "Bad: a\r\nEvil: 1",
            "host: x",
            "transfer-encoding: chunked",
        ]
        .map(String::from);
        let want = [("A", "b:c"), ("X-Y", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(parse_headers(&lines), want);
    }
}
