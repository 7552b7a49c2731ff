//! The server that tests of an uploader talk to, tested by raw HTTP.

mod artifacts;
mod client;
mod faults;
#[path = "../support/server/mod.rs"]
mod server;

use client::Client;
use serde_json::{Value, json};
use server::{Alert, Config, Server, Target, base64, wandb_json};
use std::io::Write;

const STREAM: &str = "/files/test-entity/p/r1/file_stream";
const HISTORY: &str = "wandb-history.jsonl";

const UPSERT: &str =
    "mutation Upsert($id: String, $name: String, $project: String, $config: JSONString,
    $tags: [String!]) {
  upsertBucket(input: {id: $id, name: $name, modelName: $project, config: $config, tags: $tags}) {
    bucket { id name displayName historyLineCount project { name entity { name } } } inserted
  }
}";

const CREATE_FILES: &str = "mutation($e: String!, $p: String!, $r: String!, $f: [String!]!) {
  createRunFiles(input: {entityName: $e, projectName: $p, runName: $r, files: $f}) {
    runID uploadHeaders files { name uploadUrl }
  }
}";

/// A server, and a client that upserted the run `r1` of the project `p`.
fn with_run() -> (Server, Client) {
    let server = Server::start();
    let mut client = Client::connect(server.url());
    let upserted = graphql(&mut client, UPSERT, json!({ "name": "r1", "project": "p" }));
    assert_eq!(upserted["upsertBucket"]["inserted"], true);
    (server, client)
}

/// The data of an answer without errors.
fn graphql(client: &mut Client, query: &str, variables: Value) -> Value {
    let answer = client.post("/graphql", &json!({ "query": query, "variables": variables }));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["errors"], Value::Null);
    answer.json()["data"].clone()
}

/// Lines for the history, from some offset on.
fn rows(offset: u64, lines: &[&str]) -> Value {
    json!({ "files": { HISTORY: { "offset": offset, "content": lines } } })
}

fn create_file(client: &mut Client, name: &str) -> Value {
    let variables = json!({ "e": "test-entity", "p": "p", "r": "r1", "f": [name] });
    graphql(client, CREATE_FILES, variables)["createRunFiles"].clone()
}

#[test]
fn a_run_goes_up_whole() {
    let server = Server::start();
    let mut client = Client::connect(server.url());
    let config = r#"{"lr":{"value":0.1},"bad":{"value":-Infinity}}"#;
    let variables = json!({ "name": "r1", "project": "p", "config": config, "tags": ["a"] });
    let bucket = graphql(&mut client, UPSERT, variables)["upsertBucket"]["bucket"].clone();
    assert_eq!(bucket["project"], json!({ "name": "p", "entity": { "name": "test-entity" } }));

    let content = [r#"{"_step":0,"x":1}"#, r#"{"_step":1,"x":NaN}"#];
    assert_eq!(client.post(STREAM, &rows(0, &content)).status, 200);
    let created = create_file(&mut client, "d/a b%41.txt");
    let put = client.put(&created["files"][0]["uploadUrl"], &created["uploadHeaders"], b"hello");
    assert_eq!((put.status, put.header("ETag").is_some()), (200, true));
    let last = json!({
        "files": {
            "wandb-summary.json": { "offset": 0, "content": [r#"{"x":NaN}"#] },
            "output.log": { "offset": 3, "content": ["fourth"] },
        },
        "uploaded": ["d/a b%41.txt"], "complete": true, "exitcode": 3,
    });
    assert_eq!(client.post(STREAM, &last).json(), json!({ "exitcode": null, "limits": {} }));

    let state = server.state();
    assert_eq!(state.violations, [""; 0]);
    let run = state.run();
    assert_eq!(run.config(), json!({ "lr": 0.1, "bad": "-Infinity" }));
    assert_eq!(run.details["tags"], json!(["a"]));
    assert_eq!(run.lines(HISTORY), content);
    assert_eq!(run.history()[1], json!({ "_step": 1, "x": "NaN" }));
    assert_eq!(run.summary(), json!({ "x": "NaN" }));
    assert_eq!(run.output(), ["fourth"], "console lines may leave a gap");
    assert_eq!((run.complete, run.exit_code, run.status), (true, Some(3), "failed"));
    let file = &run.files["d/a b%41.txt"];
    assert_eq!((file.text(), file.requested, file.puts), ("hello", 1, 1));
    assert_eq!(file.md5(), "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(file.sha256(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert!(run.uploaded.contains("d/a b%41.txt"));
    let statuses: Vec<_> = state.requests.iter().map(|r| (r.target, r.status)).collect();
    let [graphql, stream] = [Target::Graphql, Target::Filestream].map(|t| (t, Some(200)));
    assert_eq!(statuses, [graphql, stream, graphql, (Target::RunUpload, Some(200)), stream]);
    assert_eq!(state.variables_of("upsertBucket")[0]["name"], "r1");
}

#[test]
fn lines_written_again_are_counted_and_gaps_are_violations() {
    let (server, mut client) = with_run();
    client.post(STREAM, &rows(0, &[r#"{"a":1}"#, r#"{"a":2}"#]));
    client.post(STREAM, &rows(1, &[r#"{"a":2}"#, r#"{"a":3}"#]));
    client.post(STREAM, &rows(2, &[r#"{"a":4}"#]));
    assert_eq!(server.state().violations, [""; 0]);
    client.post(STREAM, &rows(5, &[r#"{"a":5}"#]));
    client.post(STREAM, &json!({}));

    let state = server.state();
    assert_eq!(
        state.violations,
        ["request 4: gap: wandb-history.jsonl goes on at line 5 after 3 lines"]
    );
    let counts = &state.run().counts;
    assert_eq!(counts.rewritten_same[HISTORY], 1);
    assert_eq!(counts.rewritten_different[HISTORY], 1);
    assert_eq!((counts.gaps[HISTORY], counts.heartbeats, counts.filestream_requests), (1, 1, 5));
    assert_eq!(state.run().lines(HISTORY).len(), 4);
}

#[test]
fn lines_must_be_objects_of_a_bearable_length() {
    let (server, mut client) = with_run();
    server.configure(|config| config.max_line_bytes = 20);
    for line in ["[1]", r#"{"a":1"#, r#"{"a":01}"#, "nan", r#"{"a":"long enough to be too long"}"#]
    {
        let answer = client.post(STREAM, &rows(0, &[r#"{"fine":1}"#, line]));
        assert_eq!(answer.status, 400, "{line}");
    }
    assert_eq!(server.state().violations.len(), 5);
    assert!(server.state().run().history().is_empty(), "all of a request is refused");

    client
        .post(STREAM, &json!({ "files": { "output.log": { "offset": 0, "content": ["a\nb"] } } }));
    client.post(STREAM, &json!({ "complete": true, "nonsense": 1 }));
    let violations = &server.state().violations[5..];
    assert!(violations[0].contains("newline"), "{violations:?}");
    assert!(violations[1].contains("nonsense"), "{violations:?}");
    assert!(violations[2].contains("exitcode"), "{violations:?}");

    server.configure(|config| config.max_request_bytes = 10);
    assert_eq!(client.post(STREAM, &rows(0, &["{}"])).status, 413);
    let other = client.post("/files/test-entity/p/r2/file_stream", &json!({}));
    assert_eq!(other.status, 404);
}

#[test]
fn zipped_bodies_are_for_servers_that_say_so() {
    let (server, mut client) = with_run();
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(rows(0, &["{}"]).to_string().as_bytes()).unwrap();
    let zipped = zip.finish().unwrap();
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let mut ask = || client.ask("POST", STREAM, &headers, &zipped).unwrap().status;
    assert_eq!(ask(), 400);
    assert_eq!(server.state().violations.len(), 1);
    server.configure(|config| config.features.extend([("FILESTREAM_GZIP".to_owned(), true)]));
    assert_eq!(ask(), 200);
    assert_eq!(server.state().run().counts.gzip_requests, 1);
    assert_eq!(server.state().run().history(), [json!({})]);
}

#[test]
fn a_connection_serves_request_after_request_with_a_length_or_in_chunks() {
    let (server, mut client) = with_run();
    let headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")];
    let body = b"7\r\n{\"files\r\n4;x=y\r\n\":{}\r\n1\r\n}\r\n0\r\n\r\n";
    assert_eq!(client.ask("POST", STREAM, &headers, body).unwrap().status, 200);
    assert_eq!(client.post(STREAM, &json!({})).status, 200);
    let close = [("Connection", "close"), ("Content-Type", "application/json")];
    assert_eq!(client.ask("POST", STREAM, &close, b"{}").unwrap().status, 200);
    assert!(client.receive().is_none());

    let mut client = Client::connect(server.url());
    client.ask("GET", "/nowhere", &[], b"").unwrap();
    client.send("POST", STREAM, &[("Expect", "100-continue")], b"{}");
    assert_eq!(client.receive().unwrap().status, 100);
    client.receive();
    assert!(client.ask("POST", STREAM, &[("Transfer-Encoding", "chunked")], b"what\r\n").is_none());
    let state = server.state();
    assert_eq!(state.run().counts.filestream_requests, 4);
    assert_eq!(state.violations[0], "request 4: unknown path: GET /nowhere");
    assert!(state.violations.last().unwrap().contains("not HTTP"), "{:?}", state.violations);
}

#[test]
fn only_who_has_a_key_or_a_token_is_let_in() {
    let server =
        Server::with(Config { api_keys: Some(vec!["key".to_owned()]), ..Config::default() });
    let mut client = Client::connect(server.url());
    let query = json!({ "query": "query { viewer { entity teams { edges { node { name } } } } }" });
    assert_eq!(client.post("/graphql", &query).json()["data"]["viewer"]["entity"], "test-entity");
    let basic = |pair: &str| Some(format!("Basic {}", base64(pair.as_bytes())));
    for authorization in [None, basic("api:other"), Some("Bearer other".to_owned()), basic("api:")]
    {
        client.authorization = authorization;
        assert_eq!(client.post("/graphql", &query).status, 401);
        assert_eq!(client.post(STREAM, &json!({})).status, 401);
    }
    assert_eq!(server.state().violations, [""; 0]);
    client.authorization = basic("user:key");
    assert_eq!(client.post("/graphql", &query).status, 200);
    assert_eq!(server.state().violations.len(), 1);

    client.authorization = None;
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let mut exchange =
        |jwt| client.ask("POST", "/oidc/token", &[], format!("{grant}{jwt}").as_bytes());
    assert_eq!(exchange("a.b").unwrap().status, 400);
    let token = exchange("a.b.c").unwrap().json();
    assert_eq!(token["expires_in"], 3600);
    client.authorization = Some(format!("Bearer {}", token["access_token"].as_str().unwrap()));
    assert_eq!(client.post("/graphql", &query).status, 200);
}

#[test]
fn uploads_must_be_as_they_were_signed() {
    let (server, mut client) = with_run();
    let created = create_file(&mut client, "f.txt");
    assert_eq!(created["files"][0]["name"], "f.txt");
    let (url, headers) = (&created["files"][0]["uploadUrl"], &created["uploadHeaders"]);
    let mut put = |headers: &Value, body: &[u8]| client.put(url, headers, body).status;
    assert_eq!(put(&json!([]), b"x"), 403);
    assert_eq!(put(&json!(["X-Test-Upload: 1", "Content-MD5: AAAA"]), b"x"), 400);
    assert_eq!(put(&json!(["X-Test-Upload: 1", "Transfer-Encoding: chunked"]), b"0\r\n\r\n"), 411);
    assert_eq!(put(&json!(["X-Test-Upload: 1", "Authorization: Bearer x"]), b"x"), 200);
    assert_eq!(put(headers, b""), 200, "files may be empty");
    assert_eq!(server.state().violations.len(), 3, "{:?}", server.state().violations);
    assert_eq!(server.state().run().files["f.txt"].bytes(), b"");

    server.expire_upload_urls();
    assert_eq!(put(headers, b"x"), 403);
    assert_eq!(server.state().run().files["f.txt"].puts, 2);
    let mut create = |name: &str| {
        let variables = json!({ "e": "", "p": "p", "r": "r1", "f": [name] });
        client.post("/graphql", &json!({ "query": CREATE_FILES, "variables": variables })).status
    };
    assert_eq!([create("a/b"), create("../b"), create("/b")], [200, 400, 400]);
}

#[test]
fn graphql_that_the_schema_does_not_allow_is_refused_and_a_violation() {
    let (server, mut client) = with_run();
    let wrong = [
        ("mutation { nonsense { id } }", json!({}), "unknown field Mutation.nonsense"),
        ("query { viewer { nope } }", json!({}), "unknown field User.nope"),
        ("query { viewer }", json!({}), "is of type User"),
        ("mutation { upsertBucket(input: {nope: 1}) { inserted } }", json!({}), "argument nope"),
        ("query { clientIDMapping { serverID } }", json!({}), "ID! is required"),
        ("query($a: String) { viewer { id } }", json!({}), "$a is never used"),
        ("query { clientIDMapping(clientID: $x) { serverID } }", json!({}), "$x is not declared"),
        ("query($x: ID) { clientIDMapping(clientID: $x) { serverID } }", json!({}), "not a ID!"),
        (
            "query($x: ID!) { clientIDMapping(clientID: $x) { serverID } }",
            json!({}),
            "cannot be null",
        ),
        (
            "query($x: Nope) { clientIDMapping(clientID: $x) { serverID } }",
            json!({}),
            "unknown type",
        ),
        ("query { viewer { ...F } }", json!({}), "unknown fragment"),
        ("query { viewer { id }", json!({}), "want a name"),
        (UPSERT, json!({ "config": "{" }), "JSONString cannot be"),
        (UPSERT, json!({ "tags": ["a", null] }), "String! cannot be null"),
    ];
    for (query, variables, message) in &wrong {
        let answer = client.post("/graphql", &json!({ "query": query, "variables": variables }));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.body.contains(message), "{query}: {}", answer.body);
    }
    assert_eq!(server.state().violations.len(), wrong.len());
    graphql(&mut client, UPSERT, json!({ "name": "r1", "project": "p", "stray": 1 }));
    assert!(server.state().violations.last().unwrap().contains("stray"));
    let named = |name: &str| json!({ "query": UPSERT, "operationName": name });
    assert_eq!(client.post("/graphql", &named("Upsert")).status, 200);
    assert_eq!(client.post("/graphql", &named("Other")).status, 400);
}

#[test]
fn graphql_answers_what_was_asked_for() {
    let (_server, mut client) = with_run();
    let query = r#"
        # Aliases, fragments, conditions and arguments in place.
        query Q($no: Boolean!) {
          model(name: "p", entityName: "test-entity") {
            run: bucket(name: "r1", missingOk: true) { ...R displayName @include(if: $no) state @skip(if: false) }
            none: bucket(name: "\u0072 2", missingOk: true) { id }
          }
          serverInfo { features { name } }
        }
        fragment R on Run { called: name project { ...P } }
        fragment P on Project { name }"#;
    let data = graphql(&mut client, query, json!({ "no": false }));
    let run = json!({ "called": "r1", "project": { "name": "p" }, "state": "running" });
    assert_eq!(data["model"], json!({ "run": run, "none": null }));
    assert!(
        data["serverInfo"]["features"]
            .as_array()
            .unwrap()
            .contains(&json!({ "name": "CLIENT_IDS" }))
    );
}

#[test]
fn a_run_is_resumed_and_rewound() {
    let (server, mut client) = with_run();
    let lines = [r#"{"_step":0}"#, r#"{"_step":1}"#, r#"{"_step":2,"s":"\""}"#];
    client.post(STREAM, &rows(0, &lines));
    client.post(STREAM, &json!({ "preempting": true }));
    assert_eq!(server.state().run().status, "preempting");
    let config = r#"{"_wandb":{"value":{"t":{"1":[1]},"m":[]}}}"#;
    graphql(&mut client, UPSERT, json!({ "name": "r1", "project": "p", "config": config }));

    let status = r#"query($n: String!) { model(name: "p") { bucket(name: $n) {
        id historyLineCount eventsLineCount logLineCount historyTail eventsTail wandbConfig(keys: ["t"]) } } }"#;
    let bucket = graphql(&mut client, status, json!({ "n": "r1" }))["model"]["bucket"].clone();
    assert_eq!((&bucket["historyLineCount"], &bucket["logLineCount"]), (&json!(3), &json!(0)));
    assert_eq!(bucket["historyTail"], json!([lines[2]]).to_string());
    assert_eq!(
        (&bucket["eventsTail"], &bucket["wandbConfig"]),
        (&json!("[]"), &json!(r#"{"t":{"1":[1]}}"#))
    );
    let missing =
        client.post("/graphql", &json!({ "query": status, "variables": { "n": "other" } }));
    assert_eq!(missing.status, 404);
    let by_id = graphql(&mut client, UPSERT, json!({ "id": bucket["id"], "tags": ["late"] }));
    assert_eq!(by_id["upsertBucket"]["inserted"], false);
    assert_eq!(
        server.state().run().config()["_wandb"]["m"],
        json!([]),
        "null leaves the config alone"
    );

    let rewind = r#"mutation($v: Float!) { rewindRun(input: {runName: "r1", projectName: "p",
        metricName: "_step", metricValue: $v}) { rewoundRun { historyLineCount } } }"#;
    let rewound = graphql(&mut client, rewind, json!({ "v": 0 }));
    assert_eq!(rewound["rewindRun"]["rewoundRun"]["historyLineCount"], 1);
    server.stop_runs();
    assert_eq!(client.post(STREAM, &json!({})).json()["stopped"], true);
}

#[test]
fn alerts_and_marks_are_kept() {
    let (server, mut client) = with_run();
    let alert = "mutation($title: String!, $severity: AlertSeverity, $wait: Duration) {
      notifyScriptableRunAlert(input: {entityName: \"\", projectName: \"p\", runName: \"r1\", title: $title,
        text: \"It\\u0027s late\", severity: $severity, waitDuration: $wait}) { success } }";
    let variables = json!({ "title": "Hm", "severity": "WARN", "wait": 60000 });
    graphql(&mut client, alert, variables);
    let wrong = json!({ "query": alert, "variables": { "title": "Hm", "severity": "LOUD" } });
    assert_eq!(client.post("/graphql", &wrong).status, 400);
    let marked =
        "mutation($f: [String!]!) { markRunFilesUploaded(input: {entityName: \"test-entity\",
      projectName: \"p\", runName: \"r1\", files: $f}) { success } }";
    graphql(&mut client, marked, json!({ "f": ["a.txt"] }));
    let state = server.state();
    let want = Alert {
        title: "Hm".to_owned(),
        text: "It's late".to_owned(),
        severity: Some("WARN".to_owned()),
        wait_duration: Some(60000),
    };
    assert_eq!(state.run().alerts, [want]);
    assert!(state.run().uploaded.contains("a.txt"));
}

#[test]
fn json_is_read_with_the_words_that_are_no_numbers() {
    let text = r#" {"a": [NaN, -Infinity, 1795486878.3898377, -0.0, 1e2, 9223372036854775808], "NaN": "\"NaN" } "#;
    let numbers =
        json!(["NaN", "-Infinity", 1795486878.3898377, -0.0, 100.0, 9223372036854775808_u64]);
    assert_eq!(wandb_json(text), Ok(json!({ "a": numbers, "NaN": "\"NaN" })));
    for text in [
        "", "{", "[1,]", "{,}", "[1 2]", "01", "1.", "-", "+1", "1e999", "\"\n\"", "nan", "{} {}",
        "{1:2}",
    ] {
        assert!(wandb_json(text).is_err(), "{text}");
    }
    assert!(wandb_json(&"[".repeat(1 << 20)).is_err());
}
