//! An invented run, real enough to look at: a ten-fold spike in which an instance dies and another stops.
//!
//! Every foreign text takes a suffix, so that a hostile run differs from the benign one in texts alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use chaos_plan::Plan;
use chaos_plan::schedule::Schedule;
use chaos_record::event::{Event, FaultChange, InstanceChange, Stamped};
use chaos_record::histogram::{Sparse, new_histogram, record_ns};
use chaos_record::line::{Header, Host};
use chaos_record::outcome::{Counts, FailKind, Outcome};
use chaos_record::series::SeriesTable;
use chaos_record::verdict::{
    Because, ClaimVerdict, Cleanup, Conservation, Exit, FaultFinding, Finding, GeneratorHealth,
    Recovery, Reference, RunOutcome, SeriesSummary, StageSummary, Status, Verdict,
};
use chaos_record::window::{CellDelta, Delta, SecondDelta, Windows};
use chaos_record::{CELL_NS, SECOND_NS};
use chaos_report::Story;
use serde_json::{Value, json};

const S: u64 = SECOND_NS;
const MS: u64 = 1_000_000;
/// The load starts this long after the run.
pub(crate) const LOAD_STARTED: u64 = 3_200 * MS;
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

/// The same run with `suffix` at the end of every text that comes from outside.
pub(crate) fn run(suffix: &str) -> Run {
    // Names change no number, so every run has the same windows.
    static WINDOWS: OnceLock<Windows> = OnceLock::new();
    let word = |text: &str| format!("{text}{suffix}");
    let plan: Plan = serde_json::from_value(plan(&word)).expect("the plan of the test is complete");
    let windows = WINDOWS.get_or_init(|| windows(&plan));
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
    }
}

fn service(word: &dyn Fn(&str) -> String, name: &str, replicas: u32, calls: &[&str]) -> Value {
    json!({
        "name": word(name), "replicas": replicas, "calls": calls.iter().map(|call| word(call)).collect::<Vec<_>>(),
        "ready": { "path": word("/ready"), "within": "10s", "every": "200ms", "timeout": "1s", "failures": 2 },
        "restart": { "policy": "always", "backoff": "1s", "backoff_max": "10s" },
        "stop": "5s", "command": [word("{here}/shop"), name], "env": { "DB": word("{address:db}") }, "labels": { "tier": word(name) },
    })
}

fn step(word: &dyn Fn(&str) -> String, name: &str, method: &str, path: &str) -> Value {
    json!({
        "name": word(name), "method": method, "path": path, "headers": [["accept", "application/json"]], "body": null,
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
    json!({ "name": word(name), "start": start, "length": length, "from": rates[0], "to": rates[1] })
}

fn plan(word: &dyn Fn(&str) -> String) -> Value {
    json!({
        "name": word("spike-with-podkill"),
        "question": word("Does the shop keep selling when an api instance dies in the middle of a ten-fold spike?"),
        "platform": "local", "seed": 42, "scale": { "time": 1.0, "rate": 1.0 },
        "target": { "deploy": { "name": word("shop"), "folder": word("targets"), "entry": word("front"), "services": [
            service(word, "front", 2, &["api", "users"]), service(word, "api", 3, &["db"]), service(word, "users", 1, &[]), service(word, "db", 2, &[]),
        ] } },
        "load": { "name": word("shoppers"), "arrivals": "poisson", "timeout": "2s", "patience": "5s",
            "journeys": [
                { "name": word("browse"), "weight": 70.0, "data": {}, "steps": [step(word, "list", "GET", "/items"), step(word, "item", "GET", "/items/1")] },
                { "name": word("buy"), "weight": 30.0, "data": {}, "steps": [step(word, "log in", "POST", "/login"), step(word, "add", "POST", "/cart"), step(word, "check out", "POST", "/orders")] },
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
            { "name": word("fast enough for shoppers"), "line": 32, "expect": { "latency": { "limits": [{ "quantile": "p95", "at_most": "200ms" }], "stages": [1, 2, 3, 4] } } },
            { "name": word("almost nothing fails"), "line": 34, "expect": { "errors": { "max": "0.1%", "stages": [1, 2, 3, 4] } } },
            { "name": word("the shop is open"), "line": 36, "expect": { "availability": { "min": "99.9%", "good": "95%", "stages": [1, 2, 3, 4] } } },
            { "name": word("back to normal soon"), "line": 38, "expect": { "recovery": { "within": "10s", "steady_for": "3s" } } },
        ],
        "safety": { "abort_if": { "errors": "50%", "for": "10s" }, "max_share": "50%", "allow_outage": [word("users")] },
        "source": { "path": word("scenarios/spike-with-podkill.yaml"), "text": word(SOURCE), "overrides": [word("target.replicas.api=3")] },
    })
}

const SOURCE: &str = "# Does the shop keep selling when an api instance dies in the middle of a ten-fold spike?\n\
version: 1\nname: spike-with-podkill\n\ntarget:\n  app: shop\n  replicas: { front: 2, api: 3, db: 2 }\n\nload:\n  shoppers:\n    \
headers: { authorization: \"Bearer hunter2\" }\n    journeys: { browse: 70, buy: 30 }\n";

/// A stream of numbers that is the same everywhere (Knuth's MMIX constants).
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How bad it is at this instant of the load: 0 is calm, 1 is right after the kill.
fn trouble(at: u64) -> f64 {
    let recovered = KILLED + RECOVERED_AFTER;
    if (KILLED..recovered).contains(&at) {
        1.0 - (at - KILLED) as f64 / (RECOVERED_AFTER as f64 * 1.25)
    } else {
        0.0
    }
}

/// The response of a request in nanoseconds, or how it failed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few seconds at most, and never negative"
)]
fn respond(at: u64, chance: &mut Chance) -> Result<u64, FailKind> {
    let (trouble, u, v) = (trouble(at), chance.next(), chance.next());
    if v < 0.09 * trouble.powi(6) {
        return Err(if v < 0.05 * trouble.powi(6) {
            FailKind::ConnectRefused
        } else {
            FailKind::Reset
        });
    }
    let busy = if (35 * S..75 * S).contains(&at) {
        2.1
    } else {
        1.0
    };
    // About log-normal: most answers near the middle, a tail to the right.
    let spread = (u * 2.0 - 1.0) * 0.9 + (u.powi(24) * 1.1);
    let ms = 9.0 * busy * spread.exp() + 290.0 * trouble * u.powi(3);
    Ok((ms * MS as f64) as u64)
}

/// Cell or second, then series.
type Key = (u64, usize);

#[derive(Default)]
struct Deltas {
    cells: BTreeMap<Key, Counts>,
    seconds: BTreeMap<Key, hdrhistogram::Histogram<u64>>,
}

impl Deltas {
    fn add(&mut self, series: usize, at: u64, response: Result<u64, Outcome>) {
        let counts = self.cells.entry((at / CELL_NS, series)).or_default();
        counts.written += 1;
        match response {
            Ok(ns) => {
                counts.add(Outcome::Ok);
                counts.over.resize(1, 0);
                counts.over[0] += u64::from(ns > 200 * MS);
                record_ns(
                    self.seconds
                        .entry((at / SECOND_NS, series))
                        .or_insert_with(new_histogram),
                    ns,
                );
            }
            Err(outcome) => counts.add(outcome),
        }
    }

    fn into_delta(self) -> Delta {
        let cell = |((cell, series), counts)| CellDelta {
            cell,
            series,
            counts,
            rungs: Vec::new(),
        };
        let second = |((second, series), histogram): (Key, _)| SecondDelta {
            second,
            series,
            response: Sparse::from(&histogram),
        };
        Delta {
            worker: 0,
            closed_cells: 1_000,
            cells: self.cells.into_iter().map(cell).collect(),
            seconds: self.seconds.into_iter().map(second).collect(),
            clocks: Vec::new(),
        }
    }
}

fn windows(plan: &Plan) -> Windows {
    let (table, mut chance, mut deltas) = (SeriesTable::new(plan), Chance(42), Deltas::default());
    for arrival in Schedule::new(plan) {
        let start = u64::try_from(arrival.at.as_nanos()).expect("the load is short");
        let (mut at, mut failed) = (start, None);
        for step in 0..plan.load.journeys[arrival.journey].steps.len() {
            let series = table.of_step(arrival.journey, step);
            let response = if failed.is_some() {
                Err(Outcome::NotReached)
            } else {
                respond(at, &mut chance).map_err(Outcome::Failed)
            };
            deltas.add(series, at, response);
            match response {
                Ok(ns) => at += ns,
                Err(outcome) => failed = failed.or(Some(outcome)),
            }
        }
        deltas.add(
            table.of_journey(arrival.journey),
            start,
            failed.map_or(Ok(at - start), Err),
        );
    }
    let mut windows = Windows::default();
    windows.add(&deltas.into_delta());
    windows
}

/// Sums of the windows for the verdict's tables.
struct Sums<'a> {
    windows: &'a Windows,
    table: SeriesTable,
}

impl Sums<'_> {
    fn counts(&self, from: u64, until: u64, keep: impl Fn(usize) -> bool) -> Counts {
        self.windows.sum(from * 10, until * 10, keep).counts
    }

    fn quantiles(
        &self,
        from: u64,
        until: u64,
        keep: impl Fn(usize) -> bool + Copy,
    ) -> [Option<u64>; 3] {
        let answered = self.windows.responses(from, until, keep);
        let bad = self.counts(from, until, keep).bad();
        [500, 50, 10].map(|over| chaos_record::quantile::response(&answered, bad, over))
    }

    fn is_step(&self, series: usize) -> bool {
        self.table
            .get(series)
            .is_some_and(|series| series.step.is_some())
    }

    fn stage(&self, from: u64, until: u64) -> StageSummary {
        let journeys = self
            .counts(from, until, |series| !self.is_step(series))
            .total();
        let [p50, p95, p99] = self.quantiles(from, until, |series| self.is_step(series));
        StageSummary {
            name: String::new(),
            start: from * S,
            end: until * S,
            offered: journeys,
            achieved: journeys,
            counts: self.counts(from, until, |series| self.is_step(series)),
            p50,
            p95,
            p99,
            late: if until == 75 { 0.0021 } else { 0.0 },
        }
    }

    fn series(&self, number: usize) -> SeriesSummary {
        let [p50, p95, p99] = self.quantiles(10, 100, |other| other == number);
        SeriesSummary {
            journey: String::new(),
            step: None,
            counts: self.counts(10, 100, |other| other == number),
            p50,
            p95,
            p99,
            max: Some(
                self.windows
                    .responses(10, 100, |other| other == number)
                    .max()
                    * 1_000,
            ),
        }
    }
}

/// What the verdict's tables count; names left out.
#[derive(Clone)]
struct Numbers {
    requests: Counts,
    journeys: Counts,
    stages: Vec<StageSummary>,
    series: Vec<SeriesSummary>,
}

fn numbers(plan: &Plan, windows: &Windows) -> Numbers {
    static NUMBERS: OnceLock<Numbers> = OnceLock::new();
    let count = || {
        let sums = Sums {
            windows,
            table: SeriesTable::new(plan),
        };
        Numbers {
            requests: sums.counts(0, 100, |series| sums.is_step(series)),
            journeys: sums.counts(0, 100, |series| !sums.is_step(series)),
            stages: plan
                .load
                .stages
                .iter()
                .map(|stage| sums.stage(stage.start.as_secs(), stage.end().as_secs()))
                .collect(),
            series: (0..sums.table.len())
                .map(|number| sums.series(number))
                .collect(),
        }
    };
    NUMBERS.get_or_init(count).clone()
}

fn verdict(plan: &Plan, windows: &Windows, word: &dyn Fn(&str) -> String) -> Verdict {
    let Numbers {
        requests,
        journeys,
        mut stages,
        mut series,
    } = numbers(plan, windows);
    for (summary, stage) in stages.iter_mut().zip(&plan.load.stages) {
        summary.name.clone_from(&stage.name);
    }
    for (summary, (_, number)) in series.iter_mut().zip(SeriesTable::new(plan).iter()) {
        let journey = &plan.load.journeys[number.journey];
        summary.journey.clone_from(&journey.name);
        summary.step = number.step.map(|step| journey.steps[step].name.clone());
    }
    Verdict {
        outcome: RunOutcome::NotHeld,
        exit: Exit {
            code: 1,
            name: "not-held".to_owned(),
            because: vec![
                Because {
                    code: 1,
                    why: word(
                        "`almost nothing fails`: 0.34 % of the requests were bad, at most 0.1 % may be",
                    ),
                },
                Because {
                    code: 1,
                    why: word(
                        "`the shop is open`: 97.8 % of the seconds were good, at least 99.9 % must be",
                    ),
                },
            ],
        },
        sentence: word(
            "Killing 1 of 3 api instances in the middle of the spike made 68 requests fail and some slow for 9.18 s; p95 stayed within 200 ms over the run, but errors and availability did not hold.",
        ),
        incomplete_after: None,
        scaled: false,
        load_started: Some(LOAD_STARTED),
        load_length: 100 * S,
        claims: claims(word),
        faults: vec![kill(word), pause(word)],
        conservation: Conservation {
            exact: true,
            cells: 1_000,
            planned_journeys: journeys.total(),
            planned_requests: requests.total(),
            journeys,
            requests,
            differences: Vec::new(),
        },
        generator: GeneratorHealth {
            healthy: true,
            workers: 2,
            lag_budget: 10 * MS,
            lag_p50: Some(62_000),
            lag_p99: Some(840_000),
            lag_max: Some(14 * MS),
            cpu: 0.31,
            connections_max: 118,
            complaints: vec![word("stage spike: 0.21 % of the requests were sent late")],
        },
        stages,
        series,
        cleanup: Cleanup {
            verified: true,
            left: Vec::new(),
        },
    }
}

fn finding(of: String, status: Status, [n, bad, allowed]: [u64; 3], measured: String) -> Finding {
    let why = if status == Status::NotHeld {
        format!("{bad} bad, {allowed} may be")
    } else {
        String::new()
    };
    Finding {
        of,
        status,
        n,
        bad,
        allowed,
        measured,
        why,
    }
}

fn claims(word: &dyn Fn(&str) -> String) -> Vec<ClaimVerdict> {
    let claim = |name: &str,
                 kind: &str,
                 line,
                 status,
                 target: &str,
                 measured: &str,
                 why: &str,
                 findings| ClaimVerdict {
        name: word(name),
        kind: kind.to_owned(),
        line,
        status,
        target: word(target),
        measured: word(measured),
        why: if why.is_empty() {
            String::new()
        } else {
            word(why)
        },
        findings,
    };
    vec![
        claim(
            "fast enough for shoppers",
            "latency",
            32,
            Status::Held,
            "p95 <= 200ms (baseline, climb, spike, calm)",
            "p95 142.3 ms",
            "",
            vec![
                finding(
                    word("all requests"),
                    Status::Held,
                    [21_871, 690, 1_093],
                    word("p95 142.3 ms"),
                ),
                finding(
                    word("journey browse"),
                    Status::Held,
                    [6_671, 207, 333],
                    word("p95 151 ms"),
                ),
                finding(
                    word("journey buy"),
                    Status::Held,
                    [2_843, 129, 142],
                    word("p95 187 ms"),
                ),
            ],
        ),
        claim(
            "almost nothing fails",
            "errors",
            34,
            Status::NotHeld,
            "bad <= 0.1 % (baseline, climb, spike, calm)",
            "0.34 % bad",
            "74 of 21,871 requests were bad, 21 may be",
            vec![
                finding(
                    word("all requests"),
                    Status::NotHeld,
                    [21_871, 74, 21],
                    word("0.34 % bad"),
                ),
                finding(
                    word("journey browse"),
                    Status::NotHeld,
                    [6_671, 27, 6],
                    word("0.4 % bad"),
                ),
                finding(
                    word("journey buy"),
                    Status::NotJudged,
                    [2_843, 19, 2],
                    word("0.67 % bad"),
                ),
            ],
        ),
        claim(
            "the shop is open",
            "availability",
            36,
            Status::NotHeld,
            "99.9 % of seconds with 95 % good",
            "97.8 % of 90 seconds",
            "2 seconds were bad, none may be",
            vec![finding(
                word("all requests"),
                Status::NotHeld,
                [90, 2, 0],
                word("97.8 %"),
            )],
        ),
        claim(
            "back to normal soon",
            "recovery",
            38,
            Status::Held,
            "within 10s, steady for 3s",
            "9.18 s at most",
            "",
            vec![
                finding(
                    word("fault kill-api"),
                    Status::Held,
                    [1, 0, 0],
                    word("9.18 s"),
                ),
                finding(
                    word("fault pause-db"),
                    Status::Held,
                    [1, 0, 0],
                    word("absorbed"),
                ),
            ],
        ),
    ]
}

fn kill(word: &dyn Fn(&str) -> String) -> FaultFinding {
    FaultFinding {
        name: word("kill-api"),
        kind: "kill".to_owned(),
        targets: vec![word("api-2")],
        requested: Some(45 * S),
        effective: Some(KILLED),
        undone: Some(KILLED),
        effect_proof: vec![
            word("pid 4121 of api-2 is gone"),
            word("2 of 3 api instances ready"),
        ],
        undo_proof: vec![word("api-2 is ready again as pid 4388")],
        not_injected: None,
        trouble: None,
        reference: Some(Reference {
            from: 35 * S,
            until: 45 * S,
            requests: 4_588,
            bad: 0,
            p95: Some(43_100_000),
            goodput: 458.8,
        }),
        symptom_after: Some(80 * MS),
        detected_after: Some((210 * MS, word("api-2 exited, signal 9"))),
        recovery: Recovery::Recovered {
            after: RECOVERED_AFTER,
            relapses: 1,
        },
        capacity_after: Some(2_640 * MS),
        excess_bad: 74,
        caught: [3, 5],
        worst_p95: None,
    }
}

fn pause(word: &dyn Fn(&str) -> String) -> FaultFinding {
    FaultFinding {
        name: word("pause-db"),
        kind: "pause".to_owned(),
        targets: vec![word("db-1")],
        requested: Some(62_200 * MS),
        effective: Some(62_203 * MS),
        undone: Some(66_204 * MS),
        effect_proof: vec![word("pid 4009 of db-1 is stopped (state T)")],
        undo_proof: vec![word("pid 4009 of db-1 runs (state S)")],
        not_injected: None,
        trouble: None,
        reference: Some(Reference {
            from: 55 * S,
            until: 62 * S,
            requests: 3_218,
            bad: 0,
            p95: Some(44_800_000),
            goodput: 459.7,
        }),
        symptom_after: None,
        detected_after: Some((430 * MS, word("db-1 not ready"))),
        recovery: Recovery::Absorbed,
        capacity_after: Some(4_600 * MS),
        excess_bad: 0,
        caught: [2, 0],
        worst_p95: Some(46_200_000),
    }
}

fn events(word: &dyn Fn(&str) -> String) -> Vec<Stamped> {
    let at = |ms: u64, what| Stamped { at: ms * MS, what };
    let of_load = |ms: u64, what| Stamped {
        at: LOAD_STARTED + ms * MS,
        what,
    };
    let instance = |service: &str, instance: &str, change| Event::Instance {
        service: word(service),
        instance: word(instance),
        change,
    };
    let fault = |name: &str, change| Event::Fault {
        fault: word(name),
        change,
    };
    let mut events = vec![
        at(2, Event::DeployStarted),
        at(
            40,
            instance(
                "api",
                "api-1",
                InstanceChange::Started {
                    incarnation: 1,
                    pid: Some(4_118),
                    address: "127.0.0.1:40001".to_owned(),
                },
            ),
        ),
        at(1_900, instance("api", "api-1", InstanceChange::Ready)),
        at(2_310, Event::Deployed),
        of_load(0, Event::LoadStarted { workers: 2 }),
    ];
    events.extend(
        [0, 10, 30, 35]
            .into_iter()
            .enumerate()
            .map(|(stage, start)| of_load(start * 1_000, Event::StageStarted { stage })),
    );
    events.extend([
        of_load(
            45_000,
            fault(
                "kill-api",
                FaultChange::Requested {
                    targets: vec![word("api-2")],
                },
            ),
        ),
        of_load(
            45_020,
            fault(
                "kill-api",
                FaultChange::Effective {
                    proof: vec![
                        word("pid 4121 of api-2 is gone"),
                        word("2 of 3 api instances ready"),
                    ],
                },
            ),
        ),
        of_load(
            45_230,
            instance(
                "api",
                "api-2",
                InstanceChange::Exited {
                    status: word("signal 9"),
                    asked: false,
                },
            ),
        ),
        of_load(
            45_231,
            instance("api", "api-2", InstanceChange::Restarting { after: 0 }),
        ),
        of_load(
            45_260,
            instance(
                "api",
                "api-2",
                InstanceChange::Started {
                    incarnation: 2,
                    pid: Some(4_388),
                    address: "127.0.0.1:40107".to_owned(),
                },
            ),
        ),
        of_load(47_660, instance("api", "api-2", InstanceChange::Ready)),
        of_load(
            62_200,
            fault(
                "pause-db",
                FaultChange::Requested {
                    targets: vec![word("db-1")],
                },
            ),
        ),
        of_load(
            62_203,
            fault(
                "pause-db",
                FaultChange::Effective {
                    proof: vec![word("pid 4009 of db-1 is stopped (state T)")],
                },
            ),
        ),
        of_load(
            62_633,
            instance(
                "db",
                "db-1",
                InstanceChange::Unready {
                    why: word("no answer within 1s"),
                },
            ),
        ),
        of_load(
            66_204,
            fault(
                "pause-db",
                FaultChange::Undone {
                    proof: vec![word("pid 4009 of db-1 runs (state S)")],
                },
            ),
        ),
        of_load(66_803, instance("db", "db-1", InstanceChange::Ready)),
        of_load(75_000, Event::StageStarted { stage: 4 }),
        of_load(
            100_000,
            Event::LoadStopped {
                until: 100 * S,
                cut_short: false,
            },
        ),
        of_load(
            100_900,
            Event::CleanedUp {
                verified: true,
                left: Vec::new(),
            },
        ),
    ]);
    events
}
