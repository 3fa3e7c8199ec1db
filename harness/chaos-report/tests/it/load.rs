//! A load by itself: its last lines and its JSON, from records built by hand.

use chaos_record::exit;
use chaos_record::judge::{judge, unclaimed};
use chaos_record::measured::{self, Measured};
use chaos_record::record::Record;
use chaos_record::verdict::{Exit, Verdict};
use chaos_report::load::{LoadStory, load_json, load_schema};
use chaos_report::text::load_closing;
use serde_json::{Value, json};

const S: u64 = 1_000_000_000;

/// What happens in each second of the load: answers by microseconds, and requests that break.
struct Second {
    answers: Vec<(u64, u64)>,
    broken: u64,
    late: u64,
}

fn quick() -> Second {
    Second {
        answers: vec![(210, 400), (260, 300), (340, 200), (900, 90), (4_100, 10)],
        broken: 0,
        late: 0,
    }
}

struct Load {
    level: Value,
    warmup: bool,
    claims: Value,
    second: Second,
    interrupted: bool,
}

/// A finished load with everything that was made of it.
struct Finished {
    record: Record,
    verdict: Verdict,
    measured: Measured,
    exit: Exit,
    expects: bool,
}

impl Finished {
    fn story(&self) -> LoadStory<'_> {
        LoadStory {
            header: &self.record.header,
            verdict: &self.verdict,
            measured: &self.measured,
            expects: self.expects,
            exit: &self.exit,
        }
    }
}

fn closed() -> Load {
    Load {
        level: json!({ "users": { "from": 64, "to": 64 } }),
        warmup: false,
        claims: json!([]),
        second: quick(),
        interrupted: false,
    }
}

fn open() -> Load {
    Load {
        level: json!({ "rate": { "from": "1000/s", "to": "1000/s" } }),
        warmup: true,
        ..closed()
    }
}

/// `p95<=1ms` and `errors<=1%`, as the command writes them.
fn claims(stage: usize) -> Value {
    let scope = json!({ "stages": [stage], "part": { "endpoint": { "journey": 0, "step": 0 } } });
    json!([
        { "name": "p95<=1ms", "line": 20, "expect": { "latency": { "limits": [{ "quantile": "p95", "at_most": "1ms" }], "scope": scope } } },
        { "name": "errors<=1%", "line": 21, "expect": { "errors": { "max": "1%", "scope": scope } } }
    ])
}

/// The claim nobody made.
fn unclaimed(stage: usize) -> Value {
    json!([{ "name": "ours", "line": 20, "expect": { "goodput": { "journey": null, "min": null, "at_least": "0.000001/s", "stages": [stage] } } }])
}

impl Load {
    fn plan(&self) -> Value {
        let stage = |name: &str, start: u64, length: u64| json!({ "name": name, "start": format!("{start}s"), "length": format!("{length}s"), "level": self.level });
        let (stages, last) = if self.warmup {
            (vec![stage("warmup", 0, 2), stage("load", 2, 10)], 1)
        } else {
            (vec![stage("load", 0, 10)], 0)
        };
        let claims = if self.expects() {
            self.claims.clone()
        } else {
            unclaimed(last)
        };
        let model = if self.is_open() {
            json!("open")
        } else {
            json!({ "closed": { "cycle": null } })
        };
        json!({
            "name": "load", "question": "q", "platform": "local", "seed": 1, "scale": { "time": 1.0, "rate": 1.0 },
            "target": { "url": "http://127.0.0.1:8080" },
            "load": {
                "name": "clients", "model": model, "arrivals": "even", "timeout": "5s", "patience": "10s", "connections": 64,
                "journeys": [{ "name": "request", "weight": 1.0, "data": {}, "steps": [{
                    "name": "request", "method": "GET", "path": "/items?token=hush", "headers": [], "body": null,
                    "statuses": [{ "from": 200, "to": 299 }], "checks": [], "extract": {}, "think": "0s"
                }] }],
                "stages": stages
            },
            "faults": [], "claims": claims,
            "safety": { "abort_if": null, "max_share": "50%", "allow_outage": [] },
            "source": { "path": "p", "text": "", "overrides": [] }
        })
    }

    fn is_open(&self) -> bool {
        self.level["rate"].is_object()
    }

    fn expects(&self) -> bool {
        self.claims
            .as_array()
            .is_some_and(|claims| !claims.is_empty())
    }

    fn seconds(&self) -> u64 {
        if self.warmup { 12 } else { 10 }
    }

    /// What one worker tells of the second with this number.
    fn delta(&self, second: u64) -> Value {
        let ok: u64 = self.second.answers.iter().map(|(_, n)| n).sum();
        let over: u64 = self
            .second
            .answers
            .iter()
            .filter(|(us, _)| *us > 1_000)
            .map(|(_, n)| n)
            .sum();
        let mut cells = Vec::new();
        // A tenth of everything in each cell.
        for cell in 0..10 {
            let counts = json!({
                "ok": ok / 10, "failed": { "reset": self.second.broken / 10 }, "late": self.second.late / 10,
                "over": [over / 10], "written": (ok + self.second.broken) / 10
            });
            for series in [0, 1] {
                cells.push(
                    json!({ "cell": second * 10 + cell, "series": series, "counts": counts }),
                );
            }
        }
        let seconds: Vec<Value> = [0, 1]
            .map(|series| json!({ "second": second, "series": series, "response": self.second.answers }))
            .to_vec();
        let stage = u64::from(self.warmup && second >= 2);
        let clock = |us: u64| json!([[us, ok]]);
        let clocks = json!([{ "stage": stage, "lag": clock(12), "wait": clock(3), "first_byte": clock(180), "service": clock(200) }]);
        json!({ "delta": { "worker": 0, "closed_cells": (second + 1) * 10, "cells": cells, "seconds": seconds, "clocks": clocks } })
    }

    fn finished(&self) -> Finished {
        let header = json!({ "header": {
            "version": 1, "run": "load", "started": "2026-11-21T09:30:12.482Z", "chaos": "0.1.0", "command": ["chaos"],
            "host": { "kernel": "k", "cpus": 2, "memory_mib": 1 }, "plan": self.plan()
        } });
        let event = |at: u64, what: Value| json!({ "event": { "at": at, "what": what } });
        let seconds = self.seconds();
        let until = if self.interrupted { 7 } else { seconds };
        let requests =
            (self.second.answers.iter().map(|(_, n)| n).sum::<u64>() + self.second.broken) * until;
        let mut lines = vec![
            header,
            event(S, json!({ "load_started": { "workers": 1 } })),
        ];
        lines.extend((0..until).map(|second| self.delta(second)));
        lines.push(json!({ "health": {
            "from": 0, "until": until * S, "hiccups": [[60, 5]], "meter_cpu_ns": 1,
            "workers": [{ "worker": 0, "stall_max_ns": 0, "stalls": [0, 0], "stalled_ns": 0 }]
        } }));
        if self.interrupted {
            lines.push(event(
                8 * S,
                json!({ "interrupted": { "signal": "interrupt" } }),
            ));
        }
        let worker = json!({ "worker": {
            "worker": 0, "cpu_ns": 19 * seconds * S / 20, "wall_ns": seconds * S, "lag_max_ns": 900_000,
            "connections_opened": 64, "connections_max": 64, "journeys": requests
        } });
        lines.push(event(14 * S, worker));
        lines.push(event(
            14 * S,
            json!({ "load_stopped": { "until": until * S, "cut_short": self.interrupted } }),
        ));
        lines.push(event(
            14 * S,
            json!({ "cleaned_up": { "verified": true, "left": [] } }),
        ));
        let end = json!({ "end": { "at": 15 * S, "lines": lines.len() } });
        lines.push(end);
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        let text = lines.concat();
        let record = Record::read(text.as_bytes()).expect("a record");
        assert_eq!((record.damaged_at_line, record.end.is_some()), (None, true));
        let verdict = judge(&record);
        assert_eq!(verdict.conservation.differences, Vec::<String>::new());
        let measured = measured::over(&record, &[usize::from(self.warmup)]);
        let exit = if self.expects() {
            verdict.exit.clone()
        } else {
            unclaimed::exit(&verdict, &measured)
        };
        Finished {
            expects: self.expects(),
            record,
            verdict,
            measured,
            exit,
        }
    }
}

/// 2 % of the requests break.
fn breaking() -> Second {
    Second {
        answers: vec![(210, 400), (260, 300), (340, 200), (900, 80)],
        broken: 20,
        late: 0,
    }
}

fn endings() -> Vec<(&'static str, u8, Finished)> {
    let late = Second {
        late: 500,
        ..quick()
    };
    vec![
        ("closed", exit::HELD.code, closed().finished()),
        ("open", exit::HELD.code, open().finished()),
        (
            "open_held",
            exit::HELD.code,
            Load {
                claims: claims(1),
                ..open()
            }
            .finished(),
        ),
        (
            "open_breaking",
            exit::NOT_HELD.code,
            Load {
                claims: claims(1),
                second: breaking(),
                ..open()
            }
            .finished(),
        ),
        (
            "open_late",
            exit::INCONCLUSIVE.code,
            Load {
                second: late,
                ..open()
            }
            .finished(),
        ),
        (
            "closed_stopped",
            exit::INTERRUPTED.code,
            Load {
                interrupted: true,
                claims: claims(0),
                ..closed()
            }
            .finished(),
        ),
    ]
}

#[test]
fn the_last_lines_say_what_was_measured_and_why_it_ends_so() {
    for (name, code, load) in endings() {
        assert_eq!(load.exit.code, code, "{name}: {:?}", load.exit.because);
        insta::assert_snapshot!(name, load_closing(&load.story(), false, false));
    }
}

#[test]
fn quiet_leaves_what_was_expected_and_the_code() {
    let load = Load {
        claims: claims(1),
        ..open()
    }
    .finished();
    let text = load_closing(&load.story(), false, true);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.split_whitespace().next().unwrap_or(""))
        .collect();
    assert_eq!(lines, ["held", "held", "exit"], "{text}");
}

#[test]
fn colour_adds_nothing_but_colour() {
    for (name, _, load) in endings() {
        let colored = load_closing(&load.story(), true, false);
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').expect("a whole sequence").1;
        }
        assert_eq!(
            plain + rest,
            load_closing(&load.story(), false, false),
            "{name}"
        );
    }
}

#[test]
fn the_json_is_what_its_schema_says() {
    let schema = load_schema();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (name, code, load) in endings() {
        let value: Value = serde_json::from_str(&load_json(&load.story())).expect("JSON");
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        assert_eq!(value["exit"]["code"], code);
        assert_eq!(
            value["expectations"].as_array().map(Vec::len),
            Some(if load.expects { 2 } else { 0 })
        );
        let mut without = value.clone();
        without
            .as_object_mut()
            .expect("an object")
            .remove("measured");
        assert!(!validator.is_valid(&without), "{name}");
    }
}

#[test]
fn the_json_is_stable_and_holds_no_secret_of_the_address() {
    let text = load_json(
        &Load {
            claims: claims(1),
            second: breaking(),
            ..open()
        }
        .finished()
        .story(),
    );
    assert!(!text.contains("hush"), "{text}");
    insta::assert_snapshot!("load_json", text);
}
