//! An invented run, real enough to look at: a ten-fold spike in which an instance dies and another stops.
//!
//! Every foreign text takes a suffix, so that a hostile run differs from the benign one in texts alone.

mod events;
mod verdict;
mod windows;

use std::borrow::Cow;
use std::sync::OnceLock;

use chaos_plan::Plan;
use chaos_record::SECOND_NS;
use chaos_record::event::{Event, Stamped, WorkerReport};
use chaos_record::line::{End, Header, Host, Line};
use chaos_record::verdict::Verdict;
use chaos_record::window::{Delta, Windows};
use chaos_report::Story;
use serde_json::{Value, json};

use self::events::events;
use self::verdict::verdict;
use self::windows::delta;

const S: u64 = SECOND_NS;
const MS: u64 = 1_000_000;
/// The load starts this long after the run.
const LOAD_STARTED: u64 = 3_200 * MS;
/// The kill takes effect here, on the clock of the load.
const KILLED: u64 = 45_020 * MS;
const RECOVERED_AFTER: u64 = 9_180 * MS;

/// Owned parts of a story.
pub(crate) struct Run {
    pub(crate) header: Header,
    pub(crate) events: Vec<Stamped>,
    pub(crate) windows: Cow<'static, Windows>,
    pub(crate) verdict: Verdict,
}

impl Run {
    pub(crate) fn story(&self) -> Story<'_> {
        Story {
            header: &self.header,
            events: &self.events,
            windows: &self.windows,
            verdict: &self.verdict,
        }
    }
}

/// The run as it was, without any hostile text.
pub(crate) fn benign() -> Run {
    run("")
}

/// The benign run as the text of its record.
pub(crate) fn record() -> String {
    let run = benign();
    let delta = delta(&run.header.plan);
    let (before, after) = run.events.split_at(run.events.len() - 2);
    let mut lines = vec![Line::Header(Box::new(run.header.clone()))];
    lines.extend(before.iter().cloned().map(Line::Event));
    lines.push(Line::Delta(delta));
    for worker in 0..2 {
        let report = WorkerReport {
            worker,
            cpu_ns: 31 * S,
            wall_ns: 100 * S,
            ..WorkerReport::default()
        };
        lines.push(Line::Event(Stamped {
            at: LOAD_STARTED + 100 * S,
            what: Event::Worker(report),
        }));
    }
    lines.push(Line::Delta(Delta {
        worker: 1,
        closed_cells: 1_000,
        ..Delta::default()
    }));
    lines.extend(after.iter().cloned().map(Line::Event));
    lines.push(Line::End(End {
        at: LOAD_STARTED + 101 * S,
        lines: lines.len() as u64,
    }));
    lines.iter().map(|line| line.to_json() + "\n").collect()
}

/// The same run with `suffix` at the end of every text that comes from outside.
pub(crate) fn run(suffix: &str) -> Run {
    // Names change no number, so every run has the same windows.
    static WINDOWS: OnceLock<Windows> = OnceLock::new();
    let word = |text: &str| format!("{text}{suffix}");
    let plan: Plan = serde_json::from_value(plan(&word)).expect("the plan of the test is complete");
    let windows = WINDOWS.get_or_init(|| {
        let mut windows = Windows::default();
        windows.add(&delta(&plan));
        windows
    });
    let verdict = verdict(&plan, windows, &word);
    Run {
        events: events(&word),
        header: header(plan, &word),
        windows: Cow::Borrowed(windows),
        verdict,
    }
}

fn header(plan: Plan, word: &dyn Fn(&str) -> String) -> Header {
    Header {
        version: 1,
        run: word("20261121-093012-spike-with-podkill-7f3a"),
        started: "2026-11-21T09:30:12.482Z".to_owned(),
        chaos: word("chaos 0.1.0 (4be71c2)"),
        command: vec![
            "chaos".to_owned(),
            "run".to_owned(),
            word("spike-with-podkill"),
            "--seed".to_owned(),
            "42".to_owned(),
        ],
        host: Host {
            kernel: word("Linux 6.8.0"),
            cpus: 2,
            memory_mib: 24_064,
        },
        plan,
        calibration: None,
    }
}

fn service(word: &dyn Fn(&str) -> String, name: &str, replicas: u32, calls: &[&str]) -> Value {
    json!({
        "name": word(name), "replicas": replicas, "calls": calls.iter().map(|call| word(call)).collect::<Vec<_>>(),
        "ready": { "path": word("/ready"), "within": "10s", "every": "200ms", "timeout": "1s", "failures": 2 },
        "restart": { "policy": "always", "delay": "0s", "backoff": "1s", "backoff_max": "10s" },
        "stop": "5s", "command": [word("{here}/shop"), name], "env": { "DB": word("{address:db}") }, "labels": { "tier": word(name) },
    })
}

fn step(word: &dyn Fn(&str) -> String, name: &str, method: &str, path: &str) -> Value {
    let template = |text: &str| word(text).replace('{', "{{").replace('}', "}}");
    json!({
        "name": word(name), "method": method, "path": path, "headers": [["accept", template("application/json")]], "body": template("{}"),
        "statuses": [{ "from": 200, "to": 399 }], "checks": [], "extract": {}, "think": "0s",
    })
}

fn stage(
    word: &dyn Fn(&str) -> String,
    name: &str,
    start: &str,
    length: &str,
    rates: [&str; 2],
) -> Value {
    json!({
        "name": word(name), "start": start, "length": length,
        "level": { "rate": { "from": rates[0], "to": rates[1] } },
    })
}

fn plan(word: &dyn Fn(&str) -> String) -> Value {
    json!({
        "name": word("spike-with-podkill"),
        "question": word("Does the shop keep selling when an api instance dies in the middle of a ten-fold spike?"),
        "platform": "local", "seed": 42, "scale": { "time": 1.0, "rate": 1.0 },
        "target": { "deploy": { "name": word("shop"), "folder": word("targets"), "entry": word("front"), "services": [
            service(word, "front", 2, &["api", "accounts"]), service(word, "api", 3, &["db"]), service(word, "accounts", 1, &[]), service(word, "db", 2, &[]),
        ] } },
        "load": { "name": word("shoppers"), "arrivals": "poisson", "timeout": "2s", "patience": "5s",
            "journeys": [
                { "name": word("browse"), "weight": 70.0, "data": {}, "steps": [step(word, "list", "GET", "/items"), step(word, "item", "GET", "/items/1")] },
                { "name": word("buy"), "weight": 30.0, "data": {}, "steps": [step(word, "log in", "POST", "/login"), step(word, "add", "POST", "/cart"), step(word, "check out", "POST", "/purchases")] },
            ],
            "stages": [
                stage(word, "warmup", "0s", "10s", ["20/s", "20/s"]), stage(word, "baseline", "10s", "20s", ["20/s", "20/s"]),
                stage(word, "climb", "30s", "5s", ["20/s", "200/s"]), stage(word, "spike", "35s", "40s", ["200/s", "200/s"]),
                stage(word, "calm", "1m15s", "25s", ["20/s", "20/s"]),
            ] },
        "faults": [
            { "name": word("kill-api"), "when": { "at": "45s" }, "lasts": null, "line": 24,
              "inject": { "kill": { "targets": { "service": word("api"), "how_many": { "count": 1 } }, "signal": "KILL" } } },
            { "name": word("pause-db"), "when": { "after": { "fault": word("kill-api"), "moment": "recovered", "offset": "8s", "or_by": "1m5s" } }, "lasts": "4s", "line": 27,
              "inject": { "pause": { "targets": { "service": word("db"), "how_many": { "share": "50%" } } } } },
        ],
        "claims": [
            { "name": word("fast enough for shoppers"), "line": 32, "expect": { "latency": { "limits": [{ "quantile": "p95", "at_most": "200ms" }], "scope": { "stages": [1, 2, 3, 4], "part": "all" } } } },
            { "name": word("almost nothing fails"), "line": 34, "expect": { "errors": { "max": "0.1%", "scope": { "stages": [1, 2, 3, 4], "part": "all" } } } },
            { "name": word("the shop is open"), "line": 36, "expect": { "availability": { "min": "99.9%", "good": "95%", "scope": { "stages": [1, 2, 3, 4], "part": "all" } } } },
            { "name": word("back to normal soon"), "line": 38, "expect": { "recovery": { "within": "10s", "steady_for": "3s" } } },
            { "name": word("no order lost or paid twice"), "line": 40, "expect": { "integrity": { "rules": ["acknowledged_is_stored", "one_order_one_charge", "stock_conserved"] } } },
        ],
        "safety": { "abort_if": { "errors": "50%", "for": "10s" }, "max_share": "50%", "allow_outage": [word("accounts")] },
        "source": { "path": word("scenarios/spike-with-podkill.yaml"), "text": word(SOURCE), "overrides": [word("target.replicas.api=3")] },
    })
}

const SOURCE: &str = "# Does the shop keep selling when an api instance dies in the middle of a ten-fold spike?\n\
version: 1\nname: spike-with-podkill\n\ntarget:\n  app: shop\n  replicas: { front: 2, api: 3, db: 2 }\n\nload:\n  shoppers:\n    \
headers: { authorization: \"Bearer hunter2\" }\n    journeys: { browse: 70, buy: 30 }\n";
