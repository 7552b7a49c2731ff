//! As much of HTTP/1.1 as clients of the protocol speak: keep-alive, bodies with a length or in chunks.

use super::encoding;
use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;

/// A request, its body still as it was sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query, not decoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) chunked: bool,
}

impl Request {
    /// Reads the next request of a connection; `None` when the client is done with it.
    pub(crate) fn read(from: &mut (impl BufRead + AsStream)) -> io::Result<Option<Self>> {
        let mut first = String::new();
        if from.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut words = first.split_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(bad(&format!("no request line: {first:?}")));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: encoding::form(query),
            headers: read_headers(from)?,
            body: Vec::new(),
            chunked: false,
        };
        if request.header("Expect").is_some() {
            from.stream().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.chunked = request.header("Transfer-Encoding").is_some_and(|how| how == "chunked");
        request.body = match request.header("Content-Length") {
            _ if request.chunked => read_chunks(from)?,
            Some(length) => read_exactly(from, length.parse().map_err(|_| bad("Content-Length"))?)?,
            None => Vec::new(),
        };
        Ok(Some(request))
    }

    /// The value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        let answer = Self { status, body: body.to_string().into_bytes(), ..Self::default() };
        answer.with("Content-Type", "application/json")
    }

    /// An error of the storage behind signed URLs, which speaks XML.
    pub(crate) fn storage_error(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code></Error>").into_bytes();
        Self { status, body, ..Self::default() }.with("Content-Type", "application/xml")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The bytes on the wire. `share` of 2 leaves out the second half of the body.
    pub(crate) fn write(&self, to: &mut impl Write, share: usize) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Answer\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body[..self.body.len() / share]);
        to.write_all(&bytes)
    }
}

/// A reader that can give back the socket it reads from.
pub(crate) trait AsStream {
    fn stream(&self) -> &TcpStream;
}

impl AsStream for io::BufReader<TcpStream> {
    fn stream(&self) -> &TcpStream {
        self.get_ref()
    }
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn read_headers(from: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk without a size"))?;
        if size == 0 {
            read_headers(from)?;
            return Ok(body);
        }
        body.append(&mut read_exactly(from, size)?);
        if !read_line(from)?.is_empty() {
            return Err(bad("a chunk longer than its size"));
        }
    }
}

fn read_exactly(from: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match from.take(size).read_to_end(&mut bytes)? as u64 {
        read if read == size => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match from.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
