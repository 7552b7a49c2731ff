//! Requests that go through a proxy, or past it.

use super::{Scene, only};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use wandb_offline::sync::{
    HttpTransport, RunReport, RunStatus, Secret, Server, Stop, SyncOptions, sync,
};

/// A proxy that connects to one server, whatever host it is asked for.
struct Proxy {
    url: String,
    /// The heads of the requests that it got.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// To the server at this address; or one that answers with this status.
    fn start(to: Result<String, u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (to, seen) = (to.clone(), Arc::clone(&seen));
                // A client may go at any time.
                thread::spawn(move || serve(client, &to, &seen).ok());
            }
        });
        Self { url, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    mut client: TcpStream,
    to: &Result<String, u16>,
    seen: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut from_client = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from_client.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    seen.lock().unwrap().push(head);
    let to = match to {
        Ok(to) => to,
        Err(status) => return write!(client, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"),
    };
    let mut server = TcpStream::connect(to)?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_server, mut back) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    io::copy(&mut from_client, &mut server)?;
    server.shutdown(Shutdown::Both)
}

impl Scene {
    fn address(&self) -> String {
        self.server.url().trim_start_matches("http://").to_owned()
    }

    fn sync_through(&self, change: impl FnOnce(&mut Server)) -> RunReport {
        let mut to = Server::new("http://wandb.invalid", Secret::new("k".repeat(40))).unwrap();
        to.patience = to.patience.waiting_at_most(Duration::from_millis(1));
        change(&mut to);
        let transport = HttpTransport::new(&to).unwrap();
        let options = SyncOptions::default();
        only(&sync(&[self.root()], &to, &transport, &options, &Stop::new(), &|_| {})).clone()
    }
}

#[test]
fn requests_go_through_a_proxy_and_those_to_this_machine_past_it() {
    let scene = Scene::new();
    scene.run("r1", 3);
    let proxy = Proxy::start(Ok(scene.address()));
    let report = scene.sync_through(|to| {
        to.proxies.http = Some(Secret::new(format!("http://user:pass%40word@{}", proxy.url)));
    });
    assert_eq!(report.status, RunStatus::Synced, "{report:?}");
    scene.has_rows(3);
    let heads = proxy.heads();
    assert!(!heads.is_empty());
    let credentials = super::server::base64(b"user:pass@word");
    for head in heads {
        // Uploads go to signed URLs, which are of this machine here.
        assert!(head.starts_with("CONNECT wandb.invalid:80 HTTP/1.1\r\n"), "{head}");
        let lines = head.to_ascii_lowercase();
        let wanted = format!("proxy-authorization: basic {}", credentials.to_ascii_lowercase());
        assert!(lines.contains(&wanted), "{head}");
        assert!(!lines.contains("\r\nauthorization:"), "the key is not the proxy's: {head}");
    }
}

#[test]
fn what_is_to_be_reached_without_a_proxy_is() {
    let scene = Scene::new();
    scene.run("r1", 3);
    let proxy = Proxy::start(Ok(scene.address()));
    let report = scene.sync_through(|to| {
        to.proxies.http = Some(Secret::new(format!("http://{}", proxy.url)));
        to.proxies.except = "other, wandb.invalid".to_owned();
        to.patience.retries = 0;
    });
    assert_eq!(report.status, RunStatus::Failed, "there is no such host: {report:?}");
    assert_eq!(proxy.heads(), [""; 0]);
}

#[test]
fn a_proxy_that_refuses_is_told_and_asked_once() {
    for status in [403, 405, 407] {
        let scene = Scene::new();
        scene.run("r1", 3);
        let proxy = Proxy::start(Err(status));
        let report = scene.sync_through(|to| {
            to.proxies.http = Some(Secret::new(format!("http://user:secret@{}", proxy.url)));
        });
        assert_eq!(report.status, RunStatus::Failed);
        let problem = &report.problems[0];
        assert!(problem.contains(&status.to_string()) && problem.contains("NO_PROXY"), "{problem}");
        assert!(!problem.contains("secret"), "{problem}");
        assert_eq!(proxy.heads().len(), 1);
    }
}
