//! What must hold of what people set: the environment, the settings files and netrc.

use std::fs;
use std::path::Path;
use wandb_offline::sync::{HttpTransport, Server};
use wandb_offline::{Reader, Writer};

/// Netrc, the settings of the home and those of the directory, and then `NAME=VALUE` texts, each behind a zero
/// byte: the server they name is one that can be talked to, the same each time; an entry for it that comes first
/// counts, and so does a setting that comes last; a run that is made with them is sound; no key is shown or logged.
pub fn settings(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.split('\0');
    let mut file = || parts.next().unwrap_or_default();
    let [netrc, home, here] = [file(), file(), file()];
    let vars: Vec<_> = parts.filter_map(|part| part.split_once('=')).filter(is_harmless).collect();
    let dir = tempfile::tempdir().expect("a directory");
    let place = Place { dir: dir.path(), vars: &vars };
    place.write(netrc, home, here);
    let secrets = Secrets::of(netrc, &[home, here], &vars);

    let found = place.server();
    let shown = format!("{found:?}");
    secrets.are_not_in(&shown);
    assert_eq!(shown, format!("{:?}", place.server()), "the same each time");
    if let Ok(server) = &found {
        assert!(server.base.starts_with("http://") || server.base.starts_with("https://"));
        assert!(!server.base.ends_with('/') && !server.base.contains(['@', '?', '#', ' ']));
        if let Err(error) = HttpTransport::new(server) {
            secrets.are_not_in(&error.to_string());
        }
    }
    run(&place, &secrets);
    first_and_last(&place, netrc, home, here);
}

/// A run that the variables have a say in is sound, and does not hold the key.
fn run(place: &Place<'_>, secrets: &Secrets<'_>) {
    let made = Writer::options().dir(place.dir).environment(place.all()).create();
    let run = match made {
        Ok(run) => run,
        Err(error) => return secrets.are_not_in(&error.to_string()),
    };
    run.log([("loss", 0.5)]).and_then(|()| run.finish()).expect("room");
    if run.is_disabled() {
        return;
    }
    let mut log = Reader::open(run.path()).expect("a log");
    while let Some(record) = log.next_record().expect("sound") {
        record.check().expect("a message");
    }
    assert!(log.tail().is_some_and(|tail| tail.is_clean()));
    secrets.are_not_in(&String::from_utf8_lossy(&fs::read(run.path()).expect("readable")));
}

/// With a host's entry in front of netrc, that one counts; with a base URL behind the settings, that one does.
fn first_and_last(place: &Place<'_>, netrc: &str, home: &str, here: &str) {
    let decides = |(name, _): &&(&str, &str)| {
        ["BASE_URL", "API_KEY", "IDENTITY_TOKEN_FILE"].iter().any(|end| name.ends_with(end))
    };
    let vars: Vec<_> = place.vars.iter().filter(|var| !decides(var)).copied().collect();
    let place = Place { dir: place.dir, vars: &vars };
    let netrc = format!("machine {HOST} login user password {KEY}\n{netrc}");
    place.write(&netrc, home, &format!("{here}\n[default]\nbase_url = https://{HOST}/\n"));
    // A variable may still have a value that will not do.
    let Ok(server) = place.server() else { return };
    assert_eq!(server.base, format!("https://{HOST}"));
    assert!(server.source.ends_with(".netrc"), "{}", server.source);
}

/// Where the files are, and the variables.
struct Place<'a> {
    dir: &'a Path,
    vars: &'a [(&'a str, &'a str)],
}

impl Place<'_> {
    fn write(&self, netrc: &str, home: &str, here: &str) {
        for (name, text) in
            [(".netrc", netrc), (".config/wandb/settings", home), ("wandb/settings", here)]
        {
            let path = self.dir.join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("room");
            fs::write(path, text).expect("room");
        }
    }

    fn server(&self) -> wandb_offline::Result<Server> {
        Server::from_variables(self.all(), self.dir)
    }

    fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let home = self.dir.to_str().expect("text");
        self.vars.iter().copied().chain([("HOME", home), ("WANDB_DISABLE_GIT", "true")])
    }
}

/// Whether a variable can be set without other files being read or written than those of the place.
fn is_harmless((name, _): &(&str, &str)) -> bool {
    name.starts_with("WANDB_") && !["_DIR", "_DISABLE_GIT"].iter().any(|end| name.ends_with(end))
}

/// What must not be shown: texts where keys stand, long enough to be told from other texts, and in no other place.
struct Secrets<'a>(Vec<&'a str>);

impl<'a> Secrets<'a> {
    fn of(netrc: &'a str, settings: &[&'a str], vars: &[(&'a str, &'a str)]) -> Self {
        let words: Vec<_> = netrc.split_whitespace().collect();
        let passwords = words.windows(2).filter(|pair| pair[0] == "password").map(|pair| pair[1]);
        let lines = settings.iter().flat_map(|text| text.lines());
        let set = lines.filter_map(|line| line.split_once('=')).chain(vars.iter().copied());
        let keys = set.clone().filter(|(name, _)| name.to_lowercase().contains("api_key"));
        let mut secrets: Vec<_> = passwords.chain(keys.map(|(_, value)| value.trim())).collect();
        // What other places have as well may be shown for their sake.
        let hosts = words.windows(2).filter(|pair| pair[0] != "password").map(|pair| pair[1]);
        let others = set.filter(|(name, _)| !name.to_lowercase().contains("api_key"));
        let others: Vec<_> = others.flat_map(|(name, value)| [name, value]).chain(hosts).collect();
        let is_secret = |text: &str| text.len() >= 20 && !text.contains(['"', '\\', '\'']);
        secrets.retain(|text| is_secret(text) && !others.iter().any(|other| other.contains(text)));
        Self(secrets)
    }

    fn are_not_in(&self, shown: &str) {
        for secret in &self.0 {
            assert!(!shown.contains(secret), "{secret:?} is in {shown}");
        }
    }
}

const HOST: &str = "api.example.com";
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";
