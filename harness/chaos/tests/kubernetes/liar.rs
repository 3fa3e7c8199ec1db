//! An API server that says of every change that it is made, and makes none: what a harness must see through.
//!
//! Each request that would change something passes as one that is only tried (`dryRun`), so that the answer
//! is the API server's own. Invariant: what a harness keeps for itself there passes as it is: its lease,
//! and its questions about its rights.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

/// What it said yes to, `METHOD path` each.
type Denied = Arc<Mutex<Vec<String>>>;

/// A port of this machine, without TLS or credentials, that leads to the API server.
pub(crate) struct Liar {
    pub(crate) port: u16,
    denied: Denied,
    proxy: Child,
}

impl Drop for Liar {
    fn drop(&mut self) {
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

impl Liar {
    /// `kubectl` knows the cluster and the credentials.
    pub(crate) fn before(mut kubectl: Command) -> Self {
        let mut proxy = kubectl
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut said = String::new();
        BufReader::new(proxy.stdout.take().expect("a pipe"))
            .read_line(&mut said)
            .expect("it says where it listens");
        let (_, server) = said.trim().rsplit_once(' ').expect("an address");
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let denied = Denied::default();
        let shared = Arc::clone(&denied);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (denied, server) = (Arc::clone(&shared), server.clone());
                // Whoever comes while the server does not answer is sent away.
                thread::spawn(move || drop(carry(&denied, stream, &server)));
            }
        });
        Self {
            port,
            denied,
            proxy,
        }
    }

    pub(crate) fn denied(&self) -> Vec<String> {
        let denied = self.denied.lock();
        denied.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Carries the requests of one connection, and the answers as they are.
fn carry(denied: &Denied, client: TcpStream, server: &str) -> io::Result<()> {
    let mut upstream = TcpStream::connect(server)?;
    let (mut answers, mut back) = (upstream.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut answers, &mut back));
        drop(back.shutdown(Shutdown::Both));
    });
    let mut requests = BufReader::new(client);
    while let Some(mut request) = Request::read(&mut requests)? {
        if request.is_change() {
            let mut denied = denied.lock().unwrap_or_else(PoisonError::into_inner);
            denied.push(format!("{} {}", request.method, request.path));
            request.only_try();
        }
        request.write(&mut upstream)?;
    }
    upstream.shutdown(Shutdown::Both)
}

struct Request {
    method: String,
    path: String,
    /// Lines of the head but the first and that of the length.
    head: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    /// `None` at the end of a connection.
    fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = words.next().zip(words.next()).expect("a request line");
        let mut head = Vec::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let (name, value) = line.trim().split_once(':').unwrap_or_default();
            if name.is_empty() {
                break;
            }
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a length");
            } else {
                head.push(line);
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Some(Self {
            method,
            path,
            head,
            body,
        }))
    }

    /// Whether it would change something of the target.
    fn is_change(&self) -> bool {
        let own = ["/leases", "/selfsubjectaccessreviews"];
        let is_own = own.iter().any(|part| self.path.contains(part));
        self.method != "GET" && !is_own && !self.path.contains("dryRun=All")
    }

    fn only_try(&mut self) {
        // The options of a DELETE are read from its body if it has one.
        if self.method == "DELETE"
            && let Ok(mut options) = serde_json::from_slice::<Value>(&self.body)
        {
            options["dryRun"] = json!(["All"]);
            self.body = options.to_string().into_bytes();
            return;
        }
        let joint = if self.path.contains('?') { '&' } else { '?' };
        self.path = format!("{}{joint}dryRun=All", self.path);
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let Self {
            method, path, body, ..
        } = self;
        let head = self.head.concat();
        let length = body.len();
        let mut whole =
            format!("{method} {path} HTTP/1.1\r\n{head}content-length: {length}\r\n\r\n")
                .into_bytes();
        whole.extend(body);
        to.write_all(&whole)
    }
}
