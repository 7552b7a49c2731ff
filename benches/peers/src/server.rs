//! A W&B server that takes everything and keeps nothing, for measuring who uploads.
//!
//! It answers what `wandb sync` 0.31 and this crate ask: GraphQL, `file_stream`, and files that are put. It runs in
//! threads of the process that measures, so that its time is not that of the process that uploads.

use anyhow::Result;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Starts a server for as long as this process lives, which waits so long before each answer; gives its URL.
pub(crate) fn start(delay: Duration) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    let base = url.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let url = base.clone();
            thread::spawn(move || {
                if let Err(error) = serve(stream, delay, &url) {
                    eprintln!("  server: {error}");
                }
            });
        }
    });
    Ok(url)
}

fn serve(stream: TcpStream, delay: Duration, url: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::with_capacity(64 << 10, stream);
    while let Some(request) = Request::read(&mut from)? {
        thread::sleep(delay);
        let body = request.answer(url).to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
        let answer = format!("{head}{}\r\n\r\n{body}", body.len());
        from.get_mut().write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// A request. Of its body only GraphQL is kept.
#[derive(Debug)]
struct Request {
    path: String,
    graphql: Vec<u8>,
}

impl Request {
    /// The next request; `None` at the end of the connection.
    fn read(from: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let first = line(from)?;
        let Some(path) = first.split(' ').nth(1) else { return Ok(None) };
        let mut request = Self { path: path.to_owned(), graphql: Vec::new() };
        let mut length = Some(0);
        loop {
            let header = line(from)?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').unwrap_or((&header, ""));
            match (name, value.trim()) {
                ("content-length", value) => length = value.parse().ok(),
                ("transfer-encoding", "chunked") => length = None,
                ("expect", _) => from.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
                _ => {}
            }
        }
        if let Some(length) = length {
            request.take(from, length)?;
            return Ok(Some(request));
        }
        loop {
            let length = u64::from_str_radix(&line(from)?, 16).unwrap_or(0);
            request.take(from, length)?;
            line(from)?;
            if length == 0 {
                return Ok(Some(request));
            }
        }
    }

    fn take(&mut self, from: &mut impl Read, length: u64) -> io::Result<()> {
        let mut body = from.take(length);
        match self.path.starts_with("/graphql") {
            true => body.read_to_end(&mut self.graphql).map(drop),
            false => io::copy(&mut body, &mut io::sink()).map(drop),
        }
    }

    fn answer(&self, url: &str) -> Value {
        match self.path.starts_with("/graphql") {
            true => graphql(&self.graphql, url),
            false => json!({ "exitcode": null, "limits": {} }),
        }
    }
}

/// One answer for every operation: clients take from it what they asked for.
fn graphql(body: &[u8], url: &str) -> Value {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let variables = &request["variables"];
    let name = |key: &str, default: &str| -> String {
        let given = variables[key].as_str().filter(|name| !name.is_empty());
        given.unwrap_or(default).into()
    };
    let files = variables["files"].as_array().cloned().unwrap_or_default();
    let files = files.iter().map(|file| json!({ "name": file, "uploadUrl": format!("{url}/put") }));
    let entity = json!({ "id": "e", "name": name("entity", "peers") });
    let run = json!({
        "id": "b", "name": name("name", "run"), "displayName": name("displayName", "run"),
        "sweepName": null, "historyLineCount": 0, "config": "{}", "stopped": false,
        "project": { "id": "p", "name": name("project", "peers"), "entity": entity },
    });
    let viewer = json!({ "id": "u", "entity": "peers", "username": "peers", "flags": "{}",
        "email": "peers@example.com", "teams": { "edges": [] } });
    json!({ "data": {
        "upsertBucket": { "bucket": run, "inserted": true },
        "model": { "id": "p", "name": name("project", "peers"), "entity": entity, "bucket": null },
        "createRunFiles": { "runID": "b", "uploadHeaders": [], "files": files.collect::<Vec<_>>() },
        "project": { "run": { "stopped": false } },
        "serverInfo": { "features": [], "cliVersionInfo": { "max_cli_version": "99.0.0" } },
        "viewer": viewer,
    } })
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    line.truncate(line.trim_end().len());
    Ok(line)
}
