//! Our end of the proxy process: starts it, asks it, notices its end, ends it.
//!
//! Invariant: every call is bounded in time, and a caller that stops waiting disturbs nobody: calls
//! are written whole and in order by one task and answered by another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaos_proxy::line::next_line;
use chaos_proxy::protocol::{Answer, Command, Request, Response, Route};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::launch::{self, Program, Streams};
use super::supervisor::Shared;
use super::{logs, process::ProcessId};
use crate::observation::Seen;
use crate::platform::PlatformError;

/// Service and instance under which the process is seen.
pub(super) const NAME: &str = "chaos-proxy";
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Most calls under way.
const CALLS: usize = 256;
/// Longest wait for its end once its input has ended, and once it was killed.
const END: Duration = Duration::from_secs(2);

type Pending = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>>;

struct Call {
    command: Command,
    answer: oneshot::Sender<Answer>,
}

/// Asks the proxy process; clones share it.
#[derive(Debug, Clone)]
pub(super) struct ProxyClient {
    calls: mpsc::Sender<Call>,
}

impl ProxyClient {
    /// Opens a listener for one caller instance towards one service; gives its `host:port`.
    pub(super) async fn listen(&self, caller: &str, callee: &str) -> Result<String, PlatformError> {
        let command = Command::Listen {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
        };
        match self.call(command).await? {
            Answer::Listening { address } => Ok(address),
            other => Err(unexpected(&other)),
        }
    }

    /// Sets the instances of a service that new connections may go to.
    pub(super) async fn route(
        &self,
        service: &str,
        instances: Vec<Route>,
    ) -> Result<(), PlatformError> {
        self.done(Command::Route {
            service: service.to_owned(),
            instances,
        })
        .await
    }

    /// Takes one instance of a service out at once.
    pub(super) async fn eject(&self, service: &str, instance: &str) -> Result<(), PlatformError> {
        self.done(Command::Eject {
            service: service.to_owned(),
            instance: instance.to_owned(),
        })
        .await
    }

    async fn done(&self, command: Command) -> Result<(), PlatformError> {
        match self.call(command).await? {
            Answer::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn call(&self, command: Command) -> Result<Answer, PlatformError> {
        let ended = || PlatformError::Proxy {
            why: "it has ended".to_owned(),
        };
        let answered = async {
            let (answer, answered) = oneshot::channel();
            self.calls
                .send(Call { command, answer })
                .await
                .map_err(|_| ended())?;
            answered.await.map_err(|_| ended())
        };
        let late = |_| PlatformError::Proxy {
            why: format!("it gave no answer within {ANSWER:?}"),
        };
        match timeout(ANSWER, answered).await.map_err(late)?? {
            Answer::Failed { why } => Err(PlatformError::Proxy { why }),
            answer => Ok(answer),
        }
    }
}

fn unexpected(answer: &Answer) -> PlatformError {
    PlatformError::Proxy {
        why: format!("its answer does not fit the question: {answer:?}"),
    }
}

/// Starts the process; it ends when `close` is cancelled, which also ends the tasks spawned here.
pub(super) async fn start(
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
    close: &CancellationToken,
) -> Result<ProxyClient, PlatformError> {
    let failed = |error: std::io::Error| PlatformError::Start {
        instance: NAME.to_owned(),
        why: error.to_string(),
    };
    let config = &shared.config;
    let words = vec![
        config.chaos.to_string_lossy().into_owned(),
        "proxy".to_owned(),
    ];
    let program = Program {
        words,
        env: BTreeMap::new(),
    };
    let log = logs::open(&config.logs, NAME).map_err(failed)?;
    let (mut child, process) =
        launch::spawn(config, NAME, &program, Streams::Pipes, log).map_err(failed)?;
    let (input, output) = child
        .stdin
        .take()
        .zip(child.stdout.take())
        .expect("both are pipes");
    let pid = process.pid;
    let (calls, asked) = mpsc::channel(CALLS);
    let pending = Pending::default();
    tasks.spawn(ask(input, asked, Arc::clone(&pending), close.clone()));
    tasks.spawn(hear(output, pending));
    tasks.spawn(watch(child, process, Arc::clone(shared), close.clone()));
    let seen = Seen::Started {
        incarnation: 1,
        pid: Some(pid),
        address: String::new(),
        place: None,
    };
    shared.observer.tell(NAME, NAME, seen).await;
    Ok(ProxyClient { calls })
}

/// Writes the calls; its end is the end of the process's input.
async fn ask(
    mut input: ChildStdin,
    mut calls: mpsc::Receiver<Call>,
    pending: Pending,
    close: CancellationToken,
) {
    let mut id = 0;
    while let Some(Some(Call { command, answer })) = close.run_until_cancelled(calls.recv()).await {
        id += 1;
        let mut line =
            serde_json::to_vec(&Request { id, command }).expect("a command is plain data");
        line.push(b'\n');
        expect(&pending, id, answer);
        let written = close.run_until_cancelled(input.write_all(&line)).await;
        if !matches!(written, Some(Ok(()))) {
            break;
        }
    }
}

/// Remembers who waits. Those that no longer do are let go first, so the map stays as small as the
/// number of calls under way.
fn expect(pending: &Pending, id: u64, answer: oneshot::Sender<Answer>) {
    let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
    pending.retain(|_, waiting| !waiting.is_closed());
    pending.insert(id, answer);
}

/// Reads the answers. When there are no more, everybody who waits learns it.
async fn hear(output: ChildStdout, pending: Pending) {
    let mut output = BufReader::new(output);
    loop {
        let response = match next_line(&mut output).await {
            Ok(Some(line)) => serde_json::from_slice::<Response>(&line),
            Ok(None) => break,
            Err(source) => {
                tracing::warn!(%source, "failed to read an answer of the proxy process");
                break;
            }
        };
        match response {
            Ok(Response { id, answer }) => {
                let waiting = pending
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&id);
                // Nobody waits for it if the call was given up.
                waiting.map(|waiting| waiting.send(answer));
            }
            Err(source) => {
                tracing::warn!(%source, "failed to understand an answer of the proxy process");
            }
        }
    }
    pending
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}

async fn watch(
    mut child: Child,
    process: ProcessId,
    shared: Arc<Shared>,
    close: CancellationToken,
) {
    let ended = close.run_until_cancelled(child.wait()).await;
    let Some(status) = ended else {
        return end(child, process).await;
    };
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    shared
        .lose(format!(
            "the proxy process ({process}) ended by itself: {status}"
        ))
        .await;
}

async fn end(mut child: Child, process: ProcessId) {
    if timeout(END, child.wait()).await.is_ok() {
        return;
    }
    tracing::warn!("the proxy process ({process}) did not end with its input and is killed");
    if let Err(source) = child.start_kill() {
        tracing::warn!(%source, "failed to kill the proxy process ({process})");
    }
    if timeout(END, child.wait()).await.is_err() {
        tracing::error!("the proxy process ({process}) did not end");
    }
}
