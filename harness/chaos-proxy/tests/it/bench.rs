//! A proxy under test, and services with a name behind it.

use std::net::SocketAddr;
use std::time::Duration;

use chaos_proxy::ProxyError;
use chaos_proxy::protocol::{Answer, Command, EdgeStats, Request, Response, Route};
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf,
    WriteHalf,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longest any single wait of these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

pub(crate) struct Proxy {
    input: WriteHalf<DuplexStream>,
    output: Lines<BufReader<ReadHalf<DuplexStream>>>,
    next: u64,
    served: JoinHandle<Result<(), ProxyError>>,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (output, input) = tokio::io::split(ours);
        let (theirs_in, theirs_out) = tokio::io::split(theirs);
        let served = tokio::spawn(chaos_proxy::serve(theirs_in, theirs_out));
        Self {
            input,
            output: BufReader::new(output).lines(),
            next: 0,
            served,
        }
    }

    pub(crate) async fn line(&mut self, line: &str) -> Option<Response> {
        self.input
            .write_all(line.as_bytes())
            .await
            .expect("the proxy reads");
        self.input.write_all(b"\n").await.expect("the proxy reads");
        let answer = soon(self.output.next_line()).await.expect("an answer")?;
        Some(serde_json::from_str(&answer).expect("a response"))
    }

    pub(crate) async fn ask(&mut self, command: Command) -> Answer {
        self.next += 1;
        let request = Request {
            id: self.next,
            command,
        };
        let response = self
            .line(&serde_json::to_string(&request).expect("json"))
            .await
            .expect("an answer");
        assert_eq!(response.id, self.next);
        response.answer
    }

    pub(crate) async fn listen(&mut self, caller: &str, callee: &str) -> SocketAddr {
        let command = Command::Listen {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
        };
        let answer = self.ask(command).await;
        let Answer::Listening { address } = &answer else {
            unreachable!("not listening: {answer:?}")
        };
        address.parse().expect("an address")
    }

    pub(crate) async fn route(&mut self, service: &str, to: &[(&str, SocketAddr)]) {
        let instances = to
            .iter()
            .map(|(instance, address)| Route {
                instance: (*instance).to_owned(),
                address: address.to_string(),
            })
            .collect();
        let done = self
            .ask(Command::Route {
                service: service.to_owned(),
                instances,
            })
            .await;
        assert_eq!(done, Answer::Done);
    }

    pub(crate) async fn stats(&mut self) -> Vec<EdgeStats> {
        let answer = self.ask(Command::Stats).await;
        let Answer::Stats { edges } = answer else {
            unreachable!("no counters: {answer:?}")
        };
        edges
    }

    /// Ends its input and waits for its end.
    pub(crate) async fn end(self) -> Result<(), ProxyError> {
        let Self {
            mut input, served, ..
        } = self;
        input.shutdown().await.expect("an end");
        soon(served).await.expect("no panic")
    }

    /// Waits for its end without ending its input.
    pub(crate) async fn ended(self) -> Result<(), ProxyError> {
        soon(self.served).await.expect("no panic")
    }
}

/// Tells its name to each connection, then sends back what it gets until the other side ends.
pub(crate) async fn echo(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.into_split();
                to.write_all(name.as_bytes()).await.ok();
                tokio::io::copy(&mut from, &mut to).await.ok();
                to.shutdown().await.ok();
            });
        }
    });
    address
}

/// An address nobody listens on.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

pub(crate) async fn connect(to: SocketAddr) -> TcpStream {
    soon(TcpStream::connect(to))
        .await
        .expect("the proxy accepts")
}

/// Connects and reads the one letter the service tells.
pub(crate) async fn greeted(to: SocketAddr) -> (TcpStream, String) {
    let mut stream = connect(to).await;
    let mut name = [0; 1];
    soon(stream.read_exact(&mut name)).await.expect("a name");
    (stream, String::from_utf8_lossy(&name).into_owned())
}

/// Asserts that the next read of the stream meets a reset.
pub(crate) async fn is_reset(stream: &mut TcpStream) {
    let error = soon(stream.read(&mut [0; 16]))
        .await
        .expect_err("a reset, not an end or bytes");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
