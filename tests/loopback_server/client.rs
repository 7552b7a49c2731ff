//! HTTP as bytes on a socket.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    /// Sent with every request but those to signed URLs.
    pub(crate) authorization: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body ended where it should.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    pub(crate) fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        // base64 of "api:" and a key
        let authorization = Some("Basic YXBpOmtleQ==".to_owned());
        Self { stream: BufReader::new(stream), authorization }
    }

    /// The answer to a request; `None` if the server hangs up instead.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        self.send(method, path, headers, body);
        self.receive()
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
        if let Some(authorization) = &self.authorization
            && !path.starts_with("/storage")
        {
            head.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| *name == "Transfer-Encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let bytes = [head.as_bytes(), b"\r\n", body].concat();
        self.stream.get_mut().write_all(&bytes).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Option<Answer> {
        let status = self.line().filter(|line| !line.is_empty())?;
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_owned(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "Content-Length");
        let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
        let mut body = String::new();
        let read = self.stream.by_ref().take(length as u64).read_to_string(&mut body).unwrap();
        Some(Answer { status, headers, body, whole: read == length })
    }

    /// `POST` of JSON.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        let json = [("Content-Type", "application/json")];
        self.ask("POST", path, &json, body.to_string().as_bytes()).expect("an answer")
    }

    /// A `PUT` to a signed URL, with headers as GraphQL answers list them.
    pub(crate) fn put(&mut self, url: &Value, headers: &Value, body: &[u8]) -> Answer {
        let (_, path) = url.as_str().unwrap()["http://".len()..].split_once('/').unwrap();
        let headers = headers.as_array().unwrap().iter().map(|header| header.as_str().unwrap());
        let headers: Vec<_> = headers.map(|header| header.split_once(": ").unwrap()).collect();
        self.ask("PUT", &format!("/{path}"), &headers, body).expect("an answer")
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        // A connection that is reset ends as well.
        self.stream.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    }
}
