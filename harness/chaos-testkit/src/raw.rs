//! A server that writes given bytes: for answers no proper server would send.
//!
//! Invariant: it writes a script only after it has read the end of a request's head.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// One act of a script.
#[derive(Debug, Clone)]
pub enum Act {
    Write(Vec<u8>),
    /// The same bytes again and again, until the client is gone.
    WriteForEver(Vec<u8>),
    Pause(Duration),
    /// Reads so many bytes.
    Skip(usize),
    /// Reads HTTP/2 frames up to and with one of this type (RFC 9113, section 6).
    AwaitFrame(u8),
    /// Waits until the client is gone.
    Hang,
    Close,
}

impl Act {
    pub fn text(text: &str) -> Self {
        Self::Write(text.as_bytes().to_vec())
    }

    /// An HTTP/2 frame.
    pub fn frame((kind, flags, stream): (u8, u8, u32), payload: &[u8]) -> Self {
        Self::Write(frame((kind, flags, stream), payload))
    }
}

/// An HTTP/2 frame as it is sent (RFC 9113, section 4.1).
pub fn frame((kind, flags, stream): (u8, u8, u32), payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame's payload is small");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A running server; each request of each connection gets the whole script.
#[derive(Debug)]
pub struct RawServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl RawServer {
    /// Listens on a free port of the loopback interface.
    pub fn start(script: Vec<Act>) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener
            .set_nonblocking(true)
            .expect("a listener can be set so");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("raw-server".to_owned())
            .spawn(move || serve(listener, &script.into(), stopped));
        Self {
            address,
            stop,
            thread: Some(thread.expect("a thread")),
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(listener: std::net::TcpListener, script: &Arc<[Act]>, mut stopped: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("a listener that does not block");
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    drop(connections.spawn(connection(stream, Arc::clone(script))));
                }
                Some(_) = connections.join_next() => {}
                _ = stopped.wait_for(|stop| *stop) => break,
            }
        }
    });
}

async fn connection(mut stream: TcpStream, script: Arc<[Act]>) {
    while read_head(&mut stream).await {
        for act in script.iter() {
            let went_on = match act {
                Act::Write(bytes) => stream.write_all(bytes).await.is_ok(),
                Act::WriteForEver(bytes) => {
                    while stream.write_all(bytes).await.is_ok() {}
                    false
                }
                Act::Pause(length) => {
                    tokio::time::sleep(*length).await;
                    true
                }
                Act::Skip(bytes) => stream.read_exact(&mut vec![0; *bytes]).await.is_ok(),
                Act::AwaitFrame(kind) => await_frame(&mut stream, *kind).await.is_ok(),
                Act::Hang => {
                    let mut rest = [0; 512];
                    while stream.read(&mut rest).await.is_ok_and(|bytes| bytes > 0) {}
                    false
                }
                Act::Close => false,
            };
            if !went_on {
                return;
            }
        }
    }
}

async fn await_frame(stream: &mut TcpStream, awaited: u8) -> io::Result<()> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = stream.take(length.into());
        tokio::io::copy(&mut payload, &mut tokio::io::sink()).await?;
        if head[3] == awaited {
            return Ok(());
        }
    }
}

/// Reads up to the empty line that ends a head; false if the client is gone first.
async fn read_head(stream: &mut TcpStream) -> bool {
    let mut last = [0; 4];
    while let Ok(byte) = stream.read_u8().await {
        last = [last[1], last[2], last[3], byte];
        if &last == b"\r\n\r\n" {
            return true;
        }
    }
    false
}
