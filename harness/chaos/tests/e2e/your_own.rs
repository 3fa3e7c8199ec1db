//! Somebody's own programs as the target, by a description alone.

use crate::leftovers;
use crate::program::{Ended, Place, measured};

const SERVER: &str = r#"
import http.server, os, sys, urllib.request

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body, status = b"ok", 200
        upstream = os.environ.get("UPSTREAM")
        if upstream and self.path != "/health":
            try:
                body = urllib.request.urlopen(f"http://{upstream}/", timeout=1).read()
            except OSError:
                body, status = b"upstream failed", 502
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

const TARGET: &str = r#"
# Two small programs of somebody's own.
version: 1
name: mine
entry: front
services:
  front:
    calls: [back]
    ready: { path: /health }
    local: { command: [python3, "{here}/server.py", "{port}"], env: { UPSTREAM: "{calls.back}" } }
  back:
    replicas: 3
    ready: { path: /health }
    local: { command: [python3, "{here}/server.py", "{port}"] }
"#;

const JOURNEY: &str = r"
# One page.
version: 1
name: look
steps:
  - { name: page, get: / }
";

const SCENARIO: &str = r"
# Does my page stay up when a back end dies?
version: 1
name: mine
target: { app: mine }
load:
  people:
    journeys: { look: 1 }
    arrivals: even
    stages:
      - { name: steady, for: 18s, rate: 40/s }
faults:
  - { name: kill-back, at: steady + 7s, inject: { kill: { service: back } } }
hypothesis:
  - { name: fast, expect: { latency: { p95: 500ms } } }
  - { name: soon back, expect: { recovery: { within: 5s } } }
";

/// Whether there is an interpreter; says what is skipped if there is none and that is allowed.
pub(crate) fn has_python() -> bool {
    let python = std::process::Command::new("python3")
        .arg("--version")
        .output();
    if python.is_ok() {
        return true;
    }
    let none_may = std::env::var("CHAOS_TESTS_MAY_SKIP").is_ok_and(|may| may == "no");
    assert!(
        !none_may,
        "python3 is missing (apt-get install python3) and nothing may be skipped"
    );
    println!("SKIPPED: a target of Python programs (apt-get install python3)");
    false
}

fn run() -> Option<(Place, Ended)> {
    if !has_python() {
        return None;
    }
    Some(measured(|| {
        let place = mine();
        let ended = place.run(&["run", "mine.yaml"]);
        (place, ended)
    }))
}

/// A place with the two programs, their description and a scenario.
fn mine() -> Place {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in our folder"))
            .and_then(|()| std::fs::write(path, text))
            .expect("our folder");
    };
    write("targets/server.py", SERVER);
    write("targets/mine.yaml", TARGET);
    write("journeys/look.yaml", JOURNEY);
    write("mine.yaml", SCENARIO);
    place
}

#[test]
fn two_programs_and_a_description_are_a_target() {
    let Some((place, ended)) = run() else { return };
    ended.assert_code(0);
    crate::verdicts::assert_sound(&ended);
    let fault = &ended.result()["faults"][0];
    assert!(fault["effective"].is_u64(), "{fault:#}");
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
}
