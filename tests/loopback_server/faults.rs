//! The ways in which answers go wrong.

use super::client::Client;
use super::server::{Fault, Server, Target};
use super::{HISTORY, STREAM, UPSERT, create_file, graphql, rows, with_run};
use serde_json::json;
use std::time::Duration;

/// Statuses of heartbeats sent one after another.
fn heartbeats<const N: usize>(client: &mut Client) -> [u16; N] {
    [(); N].map(|()| client.post(STREAM, &json!({})).status)
}

#[test]
fn a_fault_happens_as_often_as_it_was_told_to() {
    let (server, mut client) = with_run();
    let busy = Fault::status(429).header("Retry-After", "0.5").body("slow down");
    server.inject(busy.on(Target::Filestream).skip(1).times(2));
    assert_eq!(heartbeats(&mut client), [200]);
    let answer = client.post(STREAM, &json!({}));
    assert_eq!((answer.status, answer.header("Retry-After")), (429, Some("0.5")));
    assert_eq!(answer.body, "slow down");
    assert_eq!(heartbeats(&mut client), [429, 200]);
    assert_eq!(server.faults_left(), 0);
    assert_eq!(server.state().run().counts.heartbeats, 2, "what fails is not performed");
    let statuses: Vec<_> =
        server.state().requests_to(Target::Filestream).map(|r| r.status).collect();
    assert_eq!(statuses, [Some(200), Some(429), Some(429), Some(200)]);

    server.inject(Fault::status(500).forever());
    assert_eq!(heartbeats(&mut client), [500, 500, 500]);
    server.clear_faults();
    assert_eq!(heartbeats(&mut client), [200]);
}

#[test]
fn a_fault_meets_only_the_requests_it_is_for() {
    let (server, mut client) = with_run();
    server.inject(Fault::graphql_error("no").operation("createRunFiles").forever());
    server
        .inject(Fault::status(410).path_has("/p/r1/").body_has("needle").method("POST").forever());
    let answer = client.post("/graphql", &json!({ "query": super::CREATE_FILES, "variables": {} }));
    assert_eq!((answer.status, answer.json()["errors"][0]["message"].as_str()), (200, Some("no")));
    graphql(&mut client, UPSERT, json!({ "name": "r1", "project": "p" }));
    assert_eq!(client.post(STREAM, &rows(0, &["{}"])).status, 200);
    assert_eq!(client.post(STREAM, &rows(1, &[r#"{"needle":1}"#])).status, 410);
    assert_eq!(server.faults_left(), 2);
    assert_eq!(server.state().violations, [""; 0], "what was not performed was not checked");
}

#[test]
fn an_acknowledgement_is_lost() {
    let (server, mut client) = with_run();
    let stream = || Fault::drop_connection().on(Target::Filestream);
    server.inject(stream());
    server.inject(stream().applied());
    server.inject(Fault::cut_answer().on(Target::Filestream));
    let body = rows(0, &[r#"{"a":1}"#]).to_string();
    let json = [("Content-Type", "application/json")];
    let mut lines = Vec::new();
    for _ in 0..2 {
        assert!(client.ask("POST", STREAM, &json, body.as_bytes()).is_none(), "no answer");
        lines.push(server.state().run().lines(HISTORY).len());
        client = Client::connect(server.url());
    }
    assert_eq!(lines, [0, 1]);
    let cut = client.ask("POST", STREAM, &json, body.as_bytes()).unwrap();
    assert_eq!((cut.status, cut.whole), (200, false));
    let state = server.state();
    assert_eq!(state.run().counts.rewritten_same[HISTORY], 1);
    assert!(state.requests_to(Target::Filestream).all(|request| request.status.is_none()));

    let mut client = Client::connect(server.url());
    server.inject(Fault::status(502).applied().on(Target::Filestream));
    assert_eq!(client.post(STREAM, &rows(1, &[r#"{"a":2}"#])).status, 502);
    assert_eq!(server.state().run().lines(HISTORY).len(), 2);
}

#[test]
fn answers_carry_headers_that_were_asked_for() {
    let (server, mut client) = with_run();
    let limits = Fault::none().header("RateLimit-Remaining", "3").header("RateLimit-Reset", "7");
    server.inject(limits.on(Target::Filestream).times(1));
    let answer = client.post(STREAM, &rows(0, &["{}"]));
    assert_eq!((answer.status, answer.header("RateLimit-Remaining")), (200, Some("3")));
    assert_eq!(answer.header("RateLimit-Reset"), Some("7"));
    assert_eq!(server.state().run().lines(HISTORY), ["{}"]);
}

#[test]
fn uploads_fail_as_well() {
    let (server, mut client) = with_run();
    server.inject(Fault::status(403).on(Target::RunUpload));
    let created = create_file(&mut client, "f");
    let mut put =
        || client.put(&created["files"][0]["uploadUrl"], &created["uploadHeaders"], b"x").status;
    assert_eq!([put(), put()], [403, 200]);
    assert_eq!(server.state().run().files["f"].puts, 1);
}

#[test]
fn a_server_that_goes_hangs_up_at_once() {
    let (server, mut client) = with_run();
    let mut idle = Client::connect(server.url());
    server.inject(Fault::none().delayed(Duration::from_secs(3600)));
    client.send("POST", STREAM, &[], b"{}");
    while server.state().requests_to(Target::Filestream).next().is_none() {
        std::thread::yield_now();
    }
    let address = server.url().trim_start_matches("http://").to_owned();
    drop(server);
    assert!(client.receive().is_none() && idle.receive().is_none());
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens");
}

#[test]
fn servers_know_nothing_of_each_other() {
    let (one, _) = with_run();
    let other = Server::start();
    assert_ne!(one.url(), other.url());
    assert!(other.state().runs.is_empty());
}
