//! What is found in the environment, the settings and netrc.

use super::*;

const KEY: &str = "0123456789012345678901234567890123456789";

fn environ(pairs: &[(&str, &str)]) -> Environ {
    let home = ("HOME", "/nonexistent");
    pairs.iter().chain([&home]).map(|(name, value)| (*name, *value)).collect()
}

fn server(pairs: &[(&str, &str)]) -> Result<Server> {
    Server::resolve(&environ(pairs), Path::new("/nonexistent"))
}

/// A directory with a home and a working directory, both full of settings, and what is made of it.
fn resolved(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Server> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let home = dir.path().join("home").display().to_string();
    let variables = variables.iter().copied().chain([("HOME", home.as_str())]);
    Server::resolve(&variables.collect(), &dir.path().join("work"))
}

#[test]
fn of_the_places_for_a_base_url_the_first_counts() {
    let base = |variables: &[(&str, &str)], files: &[(&str, &str)]| {
        let key = [("WANDB_API_KEY", KEY)];
        let variables: Vec<_> = variables.iter().chain(&key).copied().collect();
        resolved(&variables, files).unwrap().base
    };
    let here =
        ("work/wandb/settings", "[other]\nbase_url = http://o\n[default]\nBASE_URL=http://here/\n");
    let home = ("home/.config/wandb/settings", "[default]\nbase_url = http://home\n");
    let variable = ("WANDB_BASE_URL", "http://variable/path/");
    assert_eq!(base(&[variable], &[here, home]), "http://variable/path");
    assert_eq!(base(&[("WANDB_BASE_URL", "")], &[here, home]), "http://here");
    assert_eq!(base(&[], &[home]), "http://home");
    assert_eq!(base(&[], &[]), DEFAULT_BASE);
    assert_eq!(base(&[("WANDB_CONFIG_DIR", "/nonexistent")], &[home]), DEFAULT_BASE);
}

#[test]
fn of_the_places_for_a_key_the_first_counts() {
    let key = |letter: &str| letter.repeat(40);
    let settings = format!("[default]\napi_key = {}\n", key("s"));
    let here = ("work/wandb/settings", settings.as_str());
    let netrc = |letter: &str, machine: &str| {
        format!("machine {machine} login user password {}\n", key(letter))
    };
    let (dot, underscore, other) = (
        netrc("d", "api.forge.coreweave.com"),
        netrc("u", "api.wandb.ai"),
        netrc("o", "api.forge.coreweave.com:8443"),
    );
    let dot = ("home/.netrc", dot.as_str());
    let underscore = ("home/_netrc", underscore.as_str());
    let other = ("home/.netrc", other.as_str());
    let (k, t) = (key("k"), ("WANDB_IDENTITY_TOKEN_FILE", "/t"));
    let variable = ("WANDB_API_KEY", k.as_str());
    for (variables, files, want) in [
        (&[variable][..], &[dot, underscore, here][..], Some("k")),
        (&[], &[dot, underscore, here], Some("d")),
        (&[], &[underscore, here], Some("u")),
        (&[], &[other, underscore, here], Some("s")),
        (&[], &[here], Some("s")),
        (&[("NETRC", "/nonexistent")], &[dot, here], Some("s")),
        (&[t], &[dot, here], None),
    ] {
        let server = resolved(variables, files).unwrap();
        let found = match &server.credentials {
            Credentials::Key(key) => Some(key.expose().to_owned()),
            Credentials::IdentityToken(path) => {
                assert_eq!(path, Path::new("/t"));
                None
            }
        };
        assert_eq!(found, want.map(key), "{variables:?} {files:?}");
    }
    assert!(resolved(&[variable, t], &[]).is_err());
    assert!(resolved(&[], &[]).unwrap_err().to_string().contains("WANDB_API_KEY"));
}

#[test]
fn of_the_places_for_a_proxy_the_first_counts() {
    let places = [
        ("WANDB_HTTPS_PROXY", "http://own"),
        ("HTTPS_PROXY", "http://upper"),
        ("https_proxy", "http://lower"),
        ("ALL_PROXY", "http://all"),
        ("all_proxy", "http://last"),
    ];
    let settings = ("work/wandb/settings", "[default]\nhttps_proxy = http://settings\n");
    let proxy = |variables: &[(&str, &str)], files: &[(&str, &str)]| {
        let key = [("WANDB_API_KEY", KEY)];
        let variables: Vec<_> = variables.iter().chain(&key).copied().collect();
        let proxies = resolved(&variables, files).unwrap().proxies;
        proxies.of("https://h").map(|url| url.expose().to_owned())
    };
    for (first, (_, url)) in places.iter().enumerate() {
        assert_eq!(proxy(&places[first..], &[]).as_deref(), Some(*url));
    }
    assert_eq!(proxy(&places, &[settings]).as_deref(), Some("http://own"));
    assert_eq!(proxy(&places[1..], &[settings]).as_deref(), Some("http://settings"));
    assert_eq!(proxy(&[("HTTP_PROXY", "http://p")], &[]), None, "that is for http");
    assert_eq!(proxy(&[("HTTPS_PROXY", "http://p"), ("no_proxy", "h")], &[]), None);
}

#[test]
fn the_rest_comes_from_variables() {
    let variables = [
        ("WANDB_API_KEY", KEY),
        ("REQUESTS_CA_BUNDLE", "/second"),
        ("CURL_CA_BUNDLE", "/third"),
        ("WANDB_INSECURE_DISABLE_SSL", "true"),
        ("WANDB_X_FILE_STREAM_NO_GZIP", "1"),
        ("WANDB_APP_URL", "https://people/"),
        ("WANDB_CREDENTIALS_FILE", "/kept"),
        ("WANDB_X_GRAPHQL_RETRY_MAX", "3"),
        ("WANDB_X_GRAPHQL_RETRY_WAIT_MIN_SECONDS", "0.5"),
        ("WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS", "1e300"),
        ("WANDB_X_EXTRA_HTTP_HEADERS", r#"{"X-A":"b"}"#),
        ("WANDB_USERNAME", "who"),
    ];
    let server = resolved(&variables, &[]).unwrap();
    assert_eq!(server.certificates.as_deref(), Some(Path::new("/second")));
    assert!(server.insecure && !server.gzip);
    assert_eq!(server.app, "https://people");
    assert_eq!(server.tokens.as_deref(), Some(Path::new("/kept")));
    let Patience { retries, first_wait, longest_wait } = server.patience;
    let seconds = (first_wait.as_secs_f64(), longest_wait.as_secs_f64());
    assert_eq!((retries, seconds), (3, (0.5, 86_400.0)));
    let headers = [("X-A", "b"), ("X-WANDB-USERNAME", "who"), ("X-WANDB-USER-EMAIL", "")];
    let headers = headers.map(|(name, value)| (name.to_owned(), Secret::new(value)));
    assert_eq!(server.headers, headers);

    let plain = resolved(&variables[..1], &[]).unwrap();
    assert!(plain.tokens.unwrap().ends_with(".config/wandb/credentials.json"));
    assert!(plain.gzip && !plain.insecure && plain.certificates.is_none());
    assert_eq!(plain.patience, Patience::default());
}

#[test]
fn headers_that_cannot_be_sent_or_are_not_for_others_to_say_are_refused_and_not_shown() {
    for bad in [
        r#"{"a b":"secret"}"#,
        r#"{"":"secret"}"#,
        r#"{"X-A":"secret\r\nX-B: c"}"#,
        r#"{"authorization":"secret"}"#,
        r#"{"X-A":["secret"]}"#,
        "secret",
    ] {
        let error = server(&[("WANDB_API_KEY", KEY), ("WANDB_X_EXTRA_HTTP_HEADERS", bad)]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("WANDB_X_EXTRA_HTTP_HEADERS"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn the_base_url_decides_where_runs_are_looked_at() {
    for (base, app) in [
        ("https://api.wandb.ai/", "https://wandb.ai"),
        ("https://api.example.com", "https://app.example.com"),
        ("https://wandb.example.com/prefix", "https://wandb.example.com/prefix"),
        ("https://forge.coreweave.com/api/wandb", "https://forge.coreweave.com/wandb"),
    ] {
        let server = server(&[("WANDB_BASE_URL", base), ("WANDB_API_KEY", KEY)]).unwrap();
        assert_eq!(server.app, app);
    }
    for bad in [
        "wandb.ai",
        "http://api.wandb.ai",
        "https://wandb.ai",
        "https://",
        "http://h/?a",
        "http://h i",
    ] {
        assert!(server(&[("WANDB_BASE_URL", bad), ("WANDB_API_KEY", KEY)]).is_err(), "{bad}");
    }
}

#[test]
fn a_password_in_a_base_url_is_refused_and_not_shown() {
    for bad in ["https://u:secret@h", "ftp://u:secret@h", "u:secret@h", "http://u:se?secret@h"] {
        let error = server(&[("WANDB_BASE_URL", bad), ("WANDB_API_KEY", KEY)]).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn keys_are_checked_and_never_shown() {
    for good in [KEY, &format!("local-{KEY}"), "aaa.bbb.ccc"] {
        let server = server(&[("WANDB_API_KEY", good)]).unwrap();
        assert!(!format!("{server:?}").contains(good));
    }
    for bad in ["short-but-secret", "x y"] {
        let error = server(&[("WANDB_API_KEY", bad)]).unwrap_err().to_string();
        assert!(!error.contains(bad), "{error}");
    }
    let both = [("WANDB_API_KEY", KEY), ("WANDB_IDENTITY_TOKEN_FILE", "/t")];
    assert!(server(&both).is_err());
    assert!(server(&[("WANDB_API_KEY", "")]).is_err(), "empty counts as unset");
}

#[test]
fn what_goes_to_this_machine_is_not_in_the_open() {
    for url in [
        "http://127.0.0.1:8080",
        "http://LOCALHOST",
        "http://[::1]:80/x",
        "http://[::1]",
        "https://h",
    ] {
        let server = server(&[("WANDB_BASE_URL", url), ("WANDB_API_KEY", KEY)]).unwrap();
        assert!(!server.is_in_the_open(), "{url}");
    }
    for url in ["http://h:80", "http://127.0.0.1.example.org", "http://localhost.example.org"] {
        let server = server(&[("WANDB_BASE_URL", url), ("WANDB_API_KEY", KEY)]).unwrap();
        assert!(server.is_in_the_open(), "{url}");
    }
}
