//! The body of `chaos proxy`: commands in, answers out, the end of the input is the end.
//!
//! Invariant: every command that can be read is answered once, in order, under its id.

use std::io;
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::runtime::Runtime;

use crate::line::{MAX_LINE, next_line};
use crate::plane::Plane;
use crate::protocol::{Answer, Request, Response};

/// Most connections carried at a time, if there are file descriptors for them.
const MAX_CONNECTIONS: usize = 16_384;
/// File descriptors kept for listeners and the process itself.
const RESERVED_FILES: u64 = 256;
/// Soft limit of open files when the hard limit is none.
const PLENTY_OF_FILES: u64 = 65_536;

/// Why the proxy process could not start or go on; completes "failed to ...".
#[derive(Debug, Error)]
pub enum ProxyError {
    #[error("start the runtime of the proxy: {source}")]
    Runtime { source: io::Error },
    #[error("listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("read a command on standard input: {source}")]
    Read { source: io::Error },
    #[error("understand the command `{line}`: {source}")]
    Garbled {
        line: String,
        source: serde_json::Error,
    },
    #[error("write an answer on standard output: {source}")]
    Write { source: io::Error },
}

/// Serves standard input and output until the input ends. Blocks.
pub fn run_blocking() -> Result<(), ProxyError> {
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(tokio::io::stdin(), tokio::io::stdout()));
    // After an error a read of the input may still be under way, and nobody will end it.
    runtime.shutdown_background();
    ended
}

/// One thread: its core is shared with what is measured, and one passes more than the rest can take.
pub(crate) fn runtime() -> Result<Runtime, ProxyError> {
    raise_open_files();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ProxyError::Runtime { source })
}

/// Serves any pair of streams until the input ends, then closes all that was opened.
pub async fn serve<R, W>(input: R, mut output: W) -> Result<(), ProxyError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut input = BufReader::new(input);
    let mut plane = Plane::new(connections());
    let ended = obey_all(&mut input, &mut output, &mut plane).await;
    plane.close().await;
    ended
}

async fn obey_all<R, W>(
    input: &mut BufReader<R>,
    output: &mut W,
    plane: &mut Plane,
) -> Result<(), ProxyError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    while let Some(line) = next_line(input)
        .await
        .map_err(|source| ProxyError::Read { source })?
    {
        let response = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => Response {
                id: request.id,
                answer: plane.obey(request.command),
            },
            Err(source) => refuse(&line, source)?,
        };
        let text = within_limit(&response);
        output
            .write_all(&text)
            .await
            .map_err(|source| ProxyError::Write { source })?;
        output
            .flush()
            .await
            .map_err(|source| ProxyError::Write { source })?;
    }
    Ok(())
}

/// A command that cannot be understood is refused under its id; without one there is nobody to answer.
fn refuse(line: &[u8], source: serde_json::Error) -> Result<Response, ProxyError> {
    #[derive(Deserialize)]
    struct Numbered {
        id: u64,
    }
    if let Ok(Numbered { id }) = serde_json::from_slice(line) {
        return Ok(Response {
            id,
            answer: Answer::Failed {
                why: source.to_string(),
            },
        });
    }
    let start = &line[..line.len().min(200)];
    Err(ProxyError::Garbled {
        line: String::from_utf8_lossy(start).into_owned(),
        source,
    })
}

fn within_limit(response: &Response) -> Vec<u8> {
    let text = |response: &Response| serde_json::to_vec(response).expect("an answer is plain data");
    let mut line = text(response);
    if line.len() > MAX_LINE {
        let why = format!("the answer is longer than {MAX_LINE} bytes");
        line = text(&Response {
            id: response.id,
            answer: Answer::Failed { why },
        });
    }
    line.push(b'\n');
    line
}

/// Each connection takes two file descriptors; the soft limit is often 1024 where the hard one is far higher.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(PLENTY_OF_FILES);
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(source) = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(wanted),
                maximum: limit.maximum,
            },
        )
    {
        tracing::warn!(%source, "failed to raise the limit of open files");
    }
}

/// Most connections at a time, by the files this process may open.
pub(crate) fn connections() -> usize {
    let files = getrlimit(Resource::Nofile)
        .current
        .unwrap_or(PLENTY_OF_FILES);
    let pairs = files.saturating_sub(RESERVED_FILES) / 2;
    usize::try_from(pairs)
        .unwrap_or(MAX_CONNECTIONS)
        .clamp(1, MAX_CONNECTIONS)
}
