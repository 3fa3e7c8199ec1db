//! A real server beside the roles, on a free port and in a temporary folder.
//!
//! A shell keeps it: it starts and ends the server when it is told to, and when its input ends, however
//! this process ended, it kills the server and removes the folder. Nothing outlives the tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::skipping::skip;

/// How long a server may take to start: a broker on a machine with much else to do.
const START_LIMIT: Duration = Duration::from_mins(2);

/// $0 is the store's program, $1 the name of the part, $2 its port, $3 its folder.
const KEEPER: &str = r#"
end() { kill -s "$1" "$server" 2>/dev/null; kill -s CONT "$server" 2>/dev/null; wait "$server" 2>/dev/null; }
while read -r word; do
  case "$word" in
    start) "$0" part "$1" --port "$2" --data "$3/data" </dev/null >/dev/null 2>>"$3/log" & server=$! ;;
    STOP | CONT) kill -s "$word" "$server" ;;
    *) end "$word" ;;
  esac
  echo done
done
end KILL
rm -rf "$3"
"#;

/// A server, running or not.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
    running: bool,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _keeper: Child,
}

impl Server {
    /// A server that does not run yet.
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let [port] = free_ports();
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, env!("CARGO_BIN_EXE_store")])
            .args([name, &port.to_string()])
            .arg(&folder)
            .env("PART_PASSWORD", "quiet-secret")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            port,
            folder,
            running: false,
            orders: keeper.stdin.take().unwrap(),
            answers: BufReader::new(keeper.stdout.take().unwrap()),
            _keeper: keeper,
        }
    }

    /// Starts it if it does not run, and waits until it listens; false if its package is missing and may
    /// be.
    pub(crate) async fn start(&mut self) -> bool {
        if !self.running {
            self.order("start");
            self.running = true;
        }
        let listens = async {
            loop {
                if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                    return true;
                }
                if self.log().contains("apt-get install") {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let started = tokio::time::timeout(START_LIMIT, listens).await;
        let started = started.unwrap_or_else(|_| panic!("it did not start: {}", self.log()));
        if !started {
            skip(&self.log());
        }
        started
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        self.order("TERM");
        self.running = false;
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.order("KILL");
        self.running = false;
    }

    /// Makes it stand still: it still accepts connections, and answers nothing.
    pub(crate) fn pause(&mut self) {
        self.order("STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&mut self) {
        self.order("CONT");
    }

    fn order(&mut self, word: &str) {
        writeln!(self.orders, "{word}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

/// Ports that were free a moment ago, all different.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
