//! Keys and tokens: where they go, and where they must not show.

use super::server::{Fault, State, Target};
use super::{Scene, only};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use wandb_offline::sync::{
    Credentials, Event, HttpTransport, RunStatus, Secret, Server, Stop, SyncOptions, SyncReport,
    sync,
};

const JWT: &str = "head.the-identity-itself.signature";

impl Scene {
    fn kept(&self) -> PathBuf {
        self.dir.path().join("config/credentials.json")
    }

    /// The server, and who has an identity token there.
    fn with_identity(&self) -> Server {
        let identity = self.dir.path().join("identity");
        fs::write(&identity, format!("{JWT}\n")).unwrap();
        let mut to = Server::new(self.server.url(), Secret::new("")).unwrap();
        to.credentials = Credentials::IdentityToken(identity);
        to.tokens = Some(self.kept());
        to.patience = to.patience.waiting_at_most(Duration::from_millis(1));
        // Only granted tokens are let in.
        self.server.configure(|config| config.api_keys = Some(Vec::new()));
        to
    }

    /// Syncs as a process of its own would, and tells what it remarks.
    fn sync_with(&self, to: &Server) -> (SyncReport, Vec<String>) {
        let remarks = Mutex::new(Vec::new());
        let observe = |event: Event<'_>| {
            if let Event::Remark { text } = event {
                remarks.lock().unwrap().push(text.to_owned());
            }
        };
        let transport = HttpTransport::new(to).unwrap();
        let options = SyncOptions::default();
        let report = sync(&[self.root()], to, &transport, &options, &Stop::new(), &observe);
        (report, remarks.into_inner().unwrap())
    }

    /// Puts a token into the file, as the official client does.
    fn keep(&self, token: &str, expires: &str) {
        fs::create_dir_all(self.kept().parent().unwrap()).unwrap();
        let url = self.server.url();
        let other =
            r#""https://other":{"expires_at":"2000-01-01 00:00:00","access_token":"theirs"}"#;
        let text = format!(
            r#"{{"credentials":{{{other},"{url}":{{"expires_at":"{expires}","access_token":"{token}"}}}}}}"#
        );
        fs::write(self.kept(), text).unwrap();
    }
}

fn exchanges(state: &State) -> usize {
    state.requests_to(Target::Oidc).count()
}

fn entry(file: &Path, server: &str) -> serde_json::Value {
    let text = fs::read_to_string(file).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["credentials"][server].clone()
}

#[test]
fn an_access_token_is_asked_for_once_and_kept_for_the_next_process() {
    let scene = Scene::new();
    scene.run("r1", 2);
    let to = scene.with_identity();
    let (report, remarks) = scene.sync_with(&to);
    assert_eq!((only(&report).status, remarks.len()), (RunStatus::Synced, 0), "{report:?}");
    assert_eq!(exchanges(&scene.server.state()), 1);
    let kept = entry(&scene.kept(), scene.server.url());
    let expires = kept["expires_at"].as_str().unwrap();
    assert!(jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", expires).is_ok(), "{expires}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(scene.kept()).unwrap().permissions().mode() & 0o777, 0o600);
    }
    scene.run("r2", 2);
    let (report, _) = scene.sync_with(&to);
    assert!(report.runs.iter().any(|run| run.status == RunStatus::Synced), "{report:?}");
    assert_eq!(exchanges(&scene.server.state()), 1, "the next process has it from the file");
    assert_eq!(scene.server.state().violations, [""; 0]);
}

#[test]
fn a_token_that_lasts_for_five_minutes_or_less_is_renewed_and_others_stay() {
    let scene = Scene::new();
    scene.run("r1", 1);
    let to = scene.with_identity();
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(200);
    scene.keep("old", &soon.strftime("%Y-%m-%d %H:%M:%S").to_string());
    assert_eq!(only(&scene.sync_with(&to).0).status, RunStatus::Synced);
    assert_eq!(exchanges(&scene.server.state()), 1);
    assert_ne!(entry(&scene.kept(), scene.server.url())["access_token"], "old");
    assert_eq!(entry(&scene.kept(), "https://other")["access_token"], "theirs");
}

#[test]
fn a_kept_token_that_is_not_taken_any_more_is_replaced_and_a_new_one_is_not() {
    let scene = Scene::new();
    scene.run("r1", 2);
    let to = scene.with_identity();
    scene.keep("withdrawn", "2999-01-01 00:00:00");
    assert_eq!(only(&scene.sync_with(&to).0).status, RunStatus::Synced);
    assert_eq!(exchanges(&scene.server.state()), 1);
    assert_ne!(entry(&scene.kept(), scene.server.url())["access_token"], "withdrawn");

    scene.run("r2", 2);
    scene.server.inject(Fault::status(401).on(Target::Graphql).forever());
    let (report, _) = scene.sync_with(&to);
    assert!(report.runs.iter().any(|run| run.status == RunStatus::Failed), "{report:?}");
    assert_eq!(exchanges(&scene.server.state()), 2, "it might have been the old one, once");
}

#[test]
fn tokens_that_cannot_be_kept_are_told_once_and_stop_nothing() {
    for foreign in ["not JSON", r#"{"credentials":[]}"#] {
        let scene = Scene::new();
        scene.run("r1", 2);
        let to = scene.with_identity();
        // Each request needs another one.
        scene.server.configure(|config| config.token_seconds = 1);
        fs::create_dir_all(scene.kept().parent().unwrap()).unwrap();
        fs::write(scene.kept(), foreign).unwrap();
        let (report, remarks) = scene.sync_with(&to);
        assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].contains("WANDB_CREDENTIALS_FILE"), "{remarks:?}");
        assert!(exchanges(&scene.server.state()) > 1);
        assert_eq!(fs::read_to_string(scene.kept()).unwrap(), foreign, "it is somebody's");
    }
}

#[test]
fn grants_that_make_no_sense_are_refused() {
    let long = format!(r#"{{"access_token":"{}","expires_in":1}}"#, "x".repeat(65 << 20));
    for body in [
        "",
        "[]",
        r#"{"access_token":7,"expires_in":1}"#,
        r#"{"access_token":"","expires_in":1}"#,
        r#"{"access_token":"a\r\nX-B: c","expires_in":1}"#,
        r#"{"access_token":"a"}"#,
        &"[".repeat(1 << 20),
        &long,
    ] {
        let scene = Scene::new();
        scene.run("r1", 1);
        let to = scene.with_identity();
        scene.server.inject(Fault::status(200).body(body).on(Target::Oidc));
        assert_eq!(only(&scene.sync_with(&to).0).status, RunStatus::Failed);
        assert!(!scene.kept().exists());
    }
}

#[test]
fn how_long_a_token_lasts_is_bounded() {
    for seconds in ["1e300", "-5", "86400.5"] {
        let scene = Scene::new();
        scene.run("r1", 1);
        let to = scene.with_identity();
        let body = format!(r#"{{"access_token":"unknown","expires_in":{seconds}}}"#);
        scene.server.inject(Fault::status(200).body(&body).on(Target::Oidc).forever());
        assert_eq!(only(&scene.sync_with(&to).0).status, RunStatus::Failed);
        let expires = entry(&scene.kept(), scene.server.url())["expires_at"].clone();
        assert!(expires.as_str().unwrap() < "2999", "{expires}");
    }
}

/// All that a sync says and leaves behind.
fn traces(scene: &Scene, to: &Server) -> String {
    let told = Mutex::new(String::new());
    let transport = HttpTransport::new(to).unwrap();
    let observe = |event: Event<'_>| {
        let json = serde_json::to_string(&event).unwrap();
        told.lock().unwrap().push_str(&format!("{event:?} {json}\n"));
    };
    let mut options = SyncOptions::default();
    options.include_synced = true;
    let report = sync(&[scene.root()], to, &transport, &options, &Stop::new(), &observe);
    let json = serde_json::to_string(&report).unwrap();
    let mut all = format!("{report:?} {json} {to:?} {transport:?}");
    all.push_str(&told.into_inner().unwrap());
    for file in walkdir::WalkDir::new(scene.root()).into_iter().map(Result::unwrap) {
        if file.file_type().is_file() {
            all.push_str(&String::from_utf8_lossy(&fs::read(file.path()).unwrap()));
        }
    }
    all
}

/// What a server may do that gets into what is told; some of its pages repeat the request.
fn misdeeds(echo: &str) -> [Fault; 10] {
    [
        Fault::none(),
        Fault::status(401),
        Fault::status(307).header("Location", "https://elsewhere.example.org/graphql"),
        Fault::status(307).header("Location", "/graphql?again"),
        Fault::status(500),
        Fault::drop_connection(),
        Fault::status(200).body("<html>"),
        Fault::status(403).body(echo),
        Fault::status(200).body(&format!("<html>{echo}")),
        Fault::status(200).body(&format!(r#"{{"errors":[{{"message":"{echo}"}}]}}"#)),
    ]
}

#[test]
fn a_key_shows_nowhere_whatever_the_server_does() {
    let (key, token) = ("k".repeat(40), "the-token-itself");
    let encoded = super::server::base64(format!("api:{key}").as_bytes());
    let echoes =
        [format!("got Basic {encoded} of {key}, the-header-itself"), format!("got Bearer {token}")];
    for target in [Target::Graphql, Target::Filestream, Target::RunUpload, Target::Oidc] {
        for (first, second) in misdeeds(&echoes[0]).into_iter().zip(misdeeds(&echoes[1])) {
            let scene = Scene::new();
            scene.run("r1", 2);
            let (mut with_key, _) = scene.connection();
            with_key.headers.push(("X-Access".into(), Secret::new("the-header-itself")));
            let identity = scene.with_identity();
            scene.keep(token, "2999-01-01 00:00:00");
            scene.server.configure(|config| config.api_keys = None);
            let mut seen = String::new();
            for (to, fault) in [(with_key, first), (identity, second)] {
                scene.server.inject(fault.on(target).times(3));
                seen.push_str(&traces(&scene, &to));
                scene.server.clear_faults();
            }
            for secret in [&key, &encoded, "the-header-itself", JWT, token] {
                assert!(!seen.contains(secret), "{target:?}: {secret}");
            }
        }
    }
}
