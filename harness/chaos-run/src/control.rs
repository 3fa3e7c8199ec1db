//! How a second terminal speaks to a live run: a Unix socket in the run's own state folder.
//!
//! One request a connection, one line of JSON each way. Invariant: whoever can connect could also
//! signal the harness (the folder is theirs alone, mode 0700); requests are short, few and timed, and
//! the conductor is asked through a bounded channel, so nobody can hold up a run by talking to it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chaos_record::event::NoteKind;
use rustix::fs::{Mode, OFlags, open};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader as AsyncBufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Name of the socket in the run's folder.
const SOCKET: &str = "control";
/// Longest request in bytes; a note is a sentence or two.
const REQUEST_BYTES_MAX: u64 = 32 * 1024;
/// Requests that wait for the conductor.
const WAITING_MAX: usize = 8;
/// Second terminals that speak at once.
const PEERS_MAX: usize = 64;
/// Limit of one exchange, on both sides.
const LIMIT: Duration = Duration::from_secs(5);
/// After a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a second terminal may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Stamp the timeline.
    Note {
        kind: NoteKind,
        text: String,
        by: String,
    },
    /// Stop the load, undo, judge and report.
    Halt { by: String },
    /// Let the fault begin that waits for its key; the only one if no name is given.
    Go { fault: Option<String>, by: String },
    /// What the run is and where shoppers reach its target.
    About,
}

/// What the run answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Done { said: String },
    Refused { why: String },
}

#[derive(Debug, Error)]
pub enum ControlError {
    #[error("reach run `{run}`: nobody listens there; `chaos list runs` names the runs")]
    Gone { run: String },
    #[error("speak with run `{run}`: {source}")]
    Io { run: String, source: io::Error },
    #[error("understand the answer of run `{run}`: was it started by another version of chaos?")]
    Strange { run: String },
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Asked {
    pub request: Request,
    reply: oneshot::Sender<Reply>,
}

impl Asked {
    pub fn answer(self, reply: Reply) {
        // Whoever asked may have gone; that changes nothing.
        drop(self.reply.send(reply));
    }
}

/// The run's end.
#[derive(Debug)]
pub struct Control {
    asked: mpsc::Receiver<Asked>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Listens in a run's state folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(short_path(&held(folder)?))?;
        let (sender, asked) = mpsc::channel(WAITING_MAX);
        let accepting = tokio::spawn(accept(listener, sender));
        Ok(Self { asked, accepting })
    }

    /// The next request; for ever if none comes. Cancel safe.
    pub async fn next(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, sender: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(PEERS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely no descriptor is left; it may pass.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Beyond that many at once a peer is turned away: its connection closes.
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let sender = sender.clone();
            tokio::spawn(async move {
                // A peer that is slow, gone or talks nonsense holds up nobody else.
                drop(tokio::time::timeout(LIMIT, exchange(stream, &sender)).await);
                drop(place);
            });
        }
    }
}

async fn exchange(mut stream: UnixStream, sender: &mpsc::Sender<Asked>) -> io::Result<()> {
    let mut line = String::new();
    let (reading, mut writing) = stream.split();
    AsyncBufReader::new(reading.take(REQUEST_BYTES_MAX))
        .read_line(&mut line)
        .await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => ask_conductor(request, sender).await,
        Err(error) => Reply::Refused {
            why: format!("not a request: {error}"),
        },
    };
    let text = serde_json::to_string(&answer)? + "\n";
    writing.write_all(text.as_bytes()).await
}

async fn ask_conductor(request: Request, sender: &mpsc::Sender<Asked>) -> Reply {
    let (reply, answer) = oneshot::channel();
    let over = || Reply::Refused {
        why: "the run is over".to_owned(),
    };
    if sender.send(Asked { request, reply }).await.is_err() {
        return over();
    }
    answer.await.unwrap_or_else(|_| over())
}

/// Asks a live run under `root` and waits for its answer, at most 5 s.
pub fn ask(root: &Path, run: &str, request: &Request) -> Result<Reply, ControlError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::Gone {
            run: run.to_owned(),
        },
        _ => ControlError::Io {
            run: run.to_owned(),
            source,
        },
    };
    let strange = || ControlError::Strange {
        run: run.to_owned(),
    };
    let folder = held(&root.join(run)).map_err(failed)?;
    let mut stream = BlockingStream::connect(short_path(&folder)).map_err(failed)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(failed)?;
    stream.set_write_timeout(Some(LIMIT)).map_err(failed)?;
    let text = serde_json::to_string(request).map_err(|_| strange())? + "\n";
    stream.write_all(text.as_bytes()).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_BYTES_MAX))
        .read_line(&mut line)
        .map_err(failed)?;
    serde_json::from_str(&line).map_err(|_| strange())
}

fn held(folder: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(open(folder, flags, Mode::empty())?))
}

/// A socket's path has at most 108 bytes (unix(7)); a state folder may lie deeper, so we go through
/// its descriptor.
fn short_path(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks from a thread while a run listens in a folder deeper than a socket's path may be.
    async fn exchange_with(request: Request, reply: Reply) -> (Request, Reply) {
        let root = tempfile::tempdir().expect("a folder");
        let run = "r".repeat(200);
        std::fs::create_dir(root.path().join(&run)).expect("our folder");
        let mut control = Control::open(&root.path().join(&run)).expect("a socket");
        let root_path = root.path().to_owned();
        let asking = tokio::task::spawn_blocking(move || ask(&root_path, &run, &request));
        let asked = control.next().await;
        let heard = asked.request.clone();
        asked.answer(reply);
        let answer = asking.await.expect("no panic").expect("an answer");
        (heard, answer)
    }

    #[tokio::test]
    async fn a_request_reaches_the_run_and_its_answer_comes_back() {
        let request = Request::Note {
            kind: NoteKind::Surprise,
            text: "the queue\nstayed \u{1b}[31mfull".to_owned(),
            by: "ada".to_owned(),
        };
        let reply = Reply::Done {
            said: "noted".to_owned(),
        };
        let (heard, answer) = exchange_with(request.clone(), reply.clone()).await;
        assert_eq!((heard, answer), (request, reply));
    }

    #[tokio::test]
    async fn a_run_that_is_gone_is_named() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("r")).expect("our folder");
        drop(Control::open(&root.path().join("r")).expect("a socket"));
        tokio::task::yield_now().await;
        for run in ["r", "never"] {
            let error = ask(root.path(), run, &Request::About).expect_err("nobody is there");
            assert!(matches!(error, ControlError::Gone { .. }), "{run}: {error}");
        }
    }

    #[tokio::test]
    async fn nonsense_is_refused_and_the_next_request_is_heard() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("r");
        std::fs::create_dir(&folder).expect("our folder");
        let mut control = Control::open(&folder).expect("a socket");
        let root_path = root.path().to_owned();
        let asking = tokio::task::spawn_blocking(move || {
            let held = held(&folder).expect("it exists");
            let mut stream = BlockingStream::connect(short_path(&held)).expect("it listens");
            stream.write_all(b"{\"burn\":1}\n").expect("it reads");
            let mut line = String::new();
            BufReader::new(stream)
                .read_line(&mut line)
                .expect("it answers");
            (line, ask(&root_path, "r", &Request::About))
        });
        control.next().await.answer(Reply::Done {
            said: "a run".to_owned(),
        });
        let (line, answer) = asking.await.expect("no panic");
        assert!(line.contains("not a request"), "{line}");
        assert!(matches!(answer, Ok(Reply::Done { .. })), "{answer:?}");
    }
}
