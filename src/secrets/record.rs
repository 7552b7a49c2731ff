//! The strings of a record, with their names, in place.
//!
//! The bytes are walked with the tables of the fields, so that no message needs to be decoded, and a
//! record that is rewritten keeps what the tables do not know.

use super::json;
use super::{NAME_LEN, SecretKind, SecretScanner, replaced, tail};
use crate::proto::descriptors::WANDB_INTERNAL_RECORD;
use crate::proto::schema::{FieldType, Kind, MessageType, Shape};
use crate::record::{HistoryItem, RecordKind, join_key};
use crate::wire::{self, Fields};

/// A secret in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordSecret {
    /// What it is.
    pub kind: SecretKind,
    /// The field of the record, like `run.config.update`.
    pub field: String,
    /// The name of the value: a key, in which nested ones are joined with dots, a flag, or the last
    /// element of the field.
    pub name: String,
    /// What may be shown of it.
    pub masked: String,
}

impl SecretScanner {
    /// The secrets in a record's bytes, but for fragments of console output, which say something only
    /// together.
    pub fn record(&self, payload: &[u8]) -> Vec<RecordSecret> {
        let mut found = Vec::new();
        rewrite(payload, &mut |text| {
            self.take(text, &mut found);
            None
        });
        found
    }

    /// A record with marks in place of its secrets, and those; `None` if it has none.
    pub fn scrub_record(&self, payload: &[u8]) -> Option<(Vec<u8>, Vec<RecordSecret>)> {
        let mut found = Vec::new();
        let scrubbed = rewrite(payload, &mut |text| self.take(text, &mut found))?;
        Some((scrubbed, found))
    }

    /// A JSON text with marks in place of its secrets, and those; `None` if it has none. Their field is
    /// empty.
    pub(crate) fn scrub_json(&self, text: &str) -> Option<(String, Vec<RecordSecret>)> {
        let mut found = Vec::new();
        let scrubbed = json("", text, "", &mut |text| self.take(text, &mut found))?;
        Some((scrubbed, found))
    }

    fn take(&self, text: RecordText<'_>, found: &mut Vec<RecordSecret>) -> Option<String> {
        if text.is_console() {
            return None;
        }
        let secrets = self.value(text.name, text.text);
        found.extend(secrets.iter().map(|secret| RecordSecret {
            kind: secret.kind,
            field: text.field.to_owned(),
            name: tail(text.name, NAME_LEN).to_owned(),
            masked: secret.masked(text.text),
        }));
        (!secrets.is_empty()).then(|| replaced(text.text, &secrets))
    }
}

/// A string in a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordText<'a> {
    /// The field, like `run.config.update`.
    pub(crate) field: &'a str,
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl RecordText<'_> {
    /// Whether it is a fragment of console output.
    pub(crate) fn is_console(&self) -> bool {
        matches!(self.field, "output_raw.line" | "output.line")
    }
}

/// What answers with the text to be put in place of another.
type Visit<'v> = dyn FnMut(RecordText<'_>) -> Option<String> + 'v;

/// Shows `visit` each string of a record that may hold a secret, and puts what it answers in its place;
/// `None` if it never answers. All other bytes stay as they are.
pub(crate) fn rewrite(payload: &[u8], visit: &mut Visit<'_>) -> Option<Vec<u8>> {
    let mut walk = Walk { field: String::new(), visit };
    walk.message(&WANDB_INTERNAL_RECORD, payload, DEPTH)
}

struct Walk<'v, 'c> {
    field: String,
    visit: &'v mut Visit<'c>,
}

impl Walk<'_, '_> {
    fn message(&mut self, of: &'static MessageType, bytes: &[u8], depth: u32) -> Option<Vec<u8>> {
        let depth = depth.checked_sub(1)?;
        let mut names =
            Names { message: bytes, entry: entry_key(of, bytes), flag: None, item: None };
        let mut out: Option<Vec<u8>> = None;
        let mut fields = Fields::new(bytes);
        loop {
            let from = fields.consumed();
            let Some(Ok(field)) = fields.next() else {
                // What cannot be walked stays as it is.
                if let Some(out) = &mut out {
                    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
                }
                return out;
            };
            let known = of.field(field.number).zip(field.value.bytes());
            let new = known.and_then(|(known, value)| {
                let length = self.enter(known.name);
                let new = self.value(known, value, &mut names, depth);
                self.field.truncate(length);
                new
            });
            match (new, &mut out) {
                (Some(new), _) => {
                    let before = || bytes.get(..from).unwrap_or_default().to_vec();
                    wire::put_bytes(out.get_or_insert_with(before), field.number, &new);
                }
                (None, Some(out)) => {
                    out.extend_from_slice(bytes.get(from..fields.consumed()).unwrap_or_default());
                }
                (None, None) => {}
            }
        }
    }

    fn enter(&mut self, name: &str) -> usize {
        let length = self.field.len();
        if length > 0 {
            self.field.push('.');
        }
        self.field.push_str(name);
        length
    }

    fn value(
        &mut self,
        known: &FieldType,
        value: &[u8],
        names: &mut Names<'_>,
        depth: u32,
    ) -> Option<Vec<u8>> {
        match known.kind {
            Kind::Message(_) if depth + 1 == DEPTH && is_plain(known.number) => None,
            Kind::Message(of) => self.message(of, value, depth),
            Kind::String if known.shape != Shape::Map => {
                let text = std::str::from_utf8(value).ok()?;
                self.string(known, text, names).map(String::into_bytes)
            }
            _ => None,
        }
    }

    fn string(&mut self, known: &FieldType, text: &str, names: &mut Names<'_>) -> Option<String> {
        match known.name {
            // Names, not values; and numbers, nearly always.
            "key" | "nested_key" => None,
            "value_json" | "json" if text.len() < SHORTEST || is_number(text) => None,
            "metadata" => json(&self.field, text, known.name, self.visit),
            "value_json" | "json" => json(list(&self.field), text, names.item(), self.visit),
            "text" if self.field.starts_with("history") => {
                (self.visit)(RecordText { field: list(&self.field), name: names.item(), text })
            }
            own => {
                let name = names.flag.take();
                if own == "args" {
                    names.flag = json::is_flag(text).then(|| text.to_owned());
                }
                let name = name.as_deref().or(names.entry.as_deref()).unwrap_or(own);
                (self.visit)(RecordText { field: &self.field, name, text })
            }
        }
    }
}

/// What the strings of a message go by, if not by the names of their fields.
struct Names<'m> {
    message: &'m [u8],
    /// The key, if the message is an entry of a map.
    entry: Option<String>,
    /// The flag that the argument before was.
    flag: Option<String>,
    /// The key, if the message is an item; looked up once it is asked for.
    item: Option<String>,
}

impl Names<'_> {
    fn item(&mut self) -> &str {
        self.item.get_or_insert_with(|| item_key(self.message))
    }
}

/// The field that items are in, whose value stands in `field`.
fn list(field: &str) -> &str {
    field.rsplit_once('.').map_or("", |(list, _)| list)
}

fn json(field: &str, text: &str, name: &str, visit: &mut Visit<'_>) -> Option<String> {
    if !text.trim_start().starts_with(['"', '{', '[']) {
        return visit(RecordText { field, name, text });
    }
    json::rewrite(text, name, &mut |name, text| visit(RecordText { field, name, text }))
}

/// Whether the body of that number has nothing but numbers and fixed names in it.
fn is_plain(number: u32) -> bool {
    let kind = RecordKind::from_field(number);
    matches!(kind, Some(RecordKind::Stats | RecordKind::Metric | RecordKind::Header))
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| matches!(c, '0'..='9' | '-' | 'N' | 'I')) && text.len() < 40
}

/// The key of an item, its elements joined with dots.
fn item_key(item: &[u8]) -> String {
    HistoryItem::read_untyped(item).map(|item| join_key(item.path.elements())).unwrap_or_default()
}

/// The key of an entry of a map of strings.
fn entry_key(of: &MessageType, bytes: &[u8]) -> Option<String> {
    let [key, value] = of.fields else { return None };
    if key.name != "key" || value.name != "value" || !matches!(value.kind, Kind::String) {
        return None;
    }
    let found = Fields::new(bytes).map_while(Result::ok).find(|field| field.number == key.number);
    Some(std::str::from_utf8(found?.value.bytes()?).ok()?.to_owned())
}

/// Deepest nesting of messages in a record; the schema has less.
const DEPTH: u32 = 16;

/// No string of fewer bytes, quotes included, is a secret.
const SHORTEST: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use crate::proto::wandb_internal::record::RecordType;
    use prost::Message;

    const KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";

    fn scrubbed(body: RecordType) -> (RecordType, Vec<(String, String)>) {
        let record = pb::Record { num: 7, record_type: Some(body), ..Default::default() };
        let mut bytes = record.encode_to_vec();
        bytes.extend_from_slice(&[0xf8, 0x3f, 1]);
        let scanner = SecretScanner::default();
        let Some((new, found)) = scanner.scrub_record(&bytes) else {
            return (record.record_type.unwrap(), Vec::new());
        };
        assert!(new.ends_with(&[0xf8, 0x3f, 1]), "unknown fields stay");
        assert!(scanner.record(&new).is_empty());
        assert_eq!(scanner.record(&bytes), found);
        let places = found.into_iter().map(|found| (found.field, found.name)).collect();
        let record = pb::Record::decode(&new[..]).unwrap();
        assert_eq!(record.num, 7);
        (record.record_type.unwrap(), places)
    }

    fn item(key: &str, json: &str) -> pb::ConfigItem {
        pb::ConfigItem { key: key.into(), value_json: json.into(), ..Default::default() }
    }

    #[test]
    fn configs_are_scrubbed_value_by_value() {
        let nested = format!(r#"{{"max_tokens": 5, "wandb": {{"key": "{KEY}"}}, "lr":1e-05}}"#);
        let update =
            vec![item("opts", &nested), item("seed", "1"), item("password", "\"hunter2\"")];
        let config = Some(pb::ConfigRecord { update, ..Default::default() });
        let run = pb::RunRecord { run_id: "r".into(), config, ..Default::default() };
        let (body, places) = scrubbed(RecordType::Run(run));
        let RecordType::Run(run) = body else { panic!() };
        let update = run.config.unwrap().update;
        let want = r#"{"max_tokens": 5, "wandb": {"key": "[scrubbed wandb api key]"}, "lr":1e-05}"#;
        assert_eq!(update[0].value_json, want);
        assert_eq!(update[2].value_json, "\"[scrubbed password]\"");
        let field = "run.config.update".to_owned();
        assert_eq!(places, [(field.clone(), "opts.wandb.key".into()), (field, "password".into())]);
    }

    #[test]
    fn arguments_are_read_with_the_flag_before_them() {
        let args = ["--api-key", "hq7Xz2Lm9Rk4Tb8W", "--lr", "0.1", "--out", "hq7Xz2Lm9Rk4Tb8W"];
        let args = args.map(String::from).to_vec();
        let git = Some(pb::GitRepoRecord {
            commit: KEY.into(),
            remote_url: "https://me:pw12@host/x".into(),
        });
        let environment = pb::EnvironmentRecord { args, git, ..Default::default() };
        let (body, places) = scrubbed(RecordType::Environment(environment));
        let RecordType::Environment(environment) = body else { panic!() };
        assert_eq!(environment.args[1], "[scrubbed secret]");
        assert_eq!(environment.args[5], "hq7Xz2Lm9Rk4Tb8W", "no flag says what it is");
        let git = environment.git.unwrap();
        assert_eq!((git.commit.as_str(), places.len()), (KEY, 2));
        assert_eq!(git.remote_url, "https://me:[scrubbed url password]@host/x");
    }

    #[test]
    fn environment_variables_of_the_scheduler_go_by_their_names() {
        let slurm = [("job_password", "hunter2"), ("job_id", "123456")];
        let slurm = slurm.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let environment = pb::EnvironmentRecord { slurm, ..Default::default() };
        let (body, places) = scrubbed(RecordType::Environment(environment));
        let RecordType::Environment(environment) = body else { panic!() };
        assert_eq!(environment.slurm["job_password"], "[scrubbed password]");
        assert_eq!(environment.slurm["job_id"], "123456");
        assert_eq!(places[0].1, "job_password");
    }

    #[test]
    fn rows_keep_their_numbers_and_lose_their_secrets() {
        let json = format!("\"used {KEY}\"");
        let note = pb::HistoryItem {
            nested_key: vec!["train".into(), "note".into()],
            value_json: json,
            ..Default::default()
        };
        let typed = pb::HistoryItem {
            nested_key: vec!["t".into()],
            value: Some(pb::history_item::Value::Text(format!("x {KEY}"))),
            ..Default::default()
        };
        let loss =
            pb::HistoryItem { key: "loss".into(), value_json: "0.5".into(), ..Default::default() };
        let row = pb::HistoryRecord { item: vec![loss.clone(), note, typed], ..Default::default() };
        let (body, places) = scrubbed(RecordType::History(row));
        let RecordType::History(row) = body else { panic!() };
        assert_eq!(row.item[0], loss);
        assert_eq!(row.item[1].value_json, "\"used [scrubbed wandb api key]\"");
        assert_eq!(places[0], ("history.item".into(), "train.note".into()));
        assert_eq!(places.len(), 2);
    }

    #[test]
    fn console_fragments_are_left_to_others() {
        let line = format!("key {KEY}\n");
        let output = pb::OutputRawRecord { line, ..Default::default() };
        assert!(scrubbed(RecordType::OutputRaw(output)).1.is_empty());
        let logged = pb::OutputLoggerRecord { line: format!("key {KEY}\n") };
        assert_eq!(scrubbed(RecordType::OutputLogger(logged)).1.len(), 1);
    }
}
