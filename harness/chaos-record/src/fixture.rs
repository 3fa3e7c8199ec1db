//! Runs made up for tests: a plan, a law by which requests are answered, and the record of it.
//!
//! Invariant: a run is counted as the engine counts it: steps and journeys by their own intended
//! instants, what a failed step leaves unsent as not reached.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::{
    AbortIf, Arrivals, Claim, Description, Expect, Fault, HowMany, Inject, Journey, KillSignal,
    LatencyLimit, Load, Method, PlatformName, Quantile, Ready, Resolved, Restart, RestartPolicy,
    Safety, Scale, Service, Source, Stage, StatusRange, Step, Target, Targets, When,
};
use chaos_plan::schedule::Schedule;
use chaos_plan::template::Template;
use chaos_plan::units::{Rate, Share};

use crate::CELL_NS;
use crate::event::{Event, FaultChange, InstanceChange, Stamped, WorkerReport};
use crate::histogram::{MAX_US, Sparse, new_histogram, record_ns};
use crate::line::{Header, Host, Line, VERSION};
use crate::outcome::{Counts, FailKind, Outcome};
use crate::record::Record;
use crate::series::SeriesTable;
use crate::window::{CellDelta, ClockDelta, Delta, SecondDelta, ladder};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SEC: u64 = 1_000_000_000;
/// When the load starts, since the start of the run.
const LOAD_AT: u64 = SEC;
const LENGTH: u64 = 30 * SEC;

/// A request about to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// Position among all requests sent.
    pub(crate) number: u64,
    pub(crate) journey: usize,
    /// Intended instant from the start of the load.
    pub(crate) at: u64,
}

/// How it is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Answer {
    /// As expected after this many nanoseconds.
    Ok(u64),
    Failed(FailKind),
    Shed,
    /// Broken by a fault that came while it was in flight.
    Caught,
}

impl Answer {
    pub(crate) fn reset() -> Self {
        Self::Failed(FailKind::Reset)
    }

    pub(crate) fn refused() -> Self {
        Self::Failed(FailKind::ConnectRefused)
    }

    pub(crate) fn caught() -> Self {
        Self::Caught
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Ok(_) => Outcome::Ok,
            Self::Failed(kind) => Outcome::Failed(kind),
            Self::Shed => Outcome::Shed,
            Self::Caught => Outcome::Failed(FailKind::Reset),
        }
    }
}

type Law<T> = Box<dyn Fn(&Request) -> T>;

/// A run of 30 s: 2 s of warm-up, then 28 s at 100 journeys a second, with a fault at 12 s.
pub(crate) struct Run {
    rate: u32,
    fault: Option<Fault>,
    effective: Option<u64>,
    proven: bool,
    undone: bool,
    cut_short: Option<u64>,
    until_cell: Option<u64>,
    answer: Law<Answer>,
    late: Law<bool>,
    events: Vec<Stamped>,
}

impl Run {
    /// Without any fault.
    pub(crate) fn calm() -> Self {
        Self {
            rate: 100,
            fault: None,
            effective: None,
            proven: true,
            undone: true,
            cut_short: None,
            until_cell: None,
            answer: Box::new(|_| Answer::Ok(MS)),
            late: Box::new(|_| false),
            events: Vec::new(),
        }
    }

    pub(crate) fn kill() -> Self {
        let inject = Inject::Kill {
            targets: targets(),
            signal: KillSignal::Kill,
        };
        Self {
            fault: Some(fault("kill-api", None, inject)),
            effective: Some(12 * SEC),
            ..Self::calm()
        }
    }

    /// Undone after 3 s.
    pub(crate) fn pause() -> Self {
        let inject = Inject::Pause { targets: targets() };
        let fault = fault("stall-api", Some(Duration::from_secs(3)), inject);
        Self {
            fault: Some(fault),
            effective: Some(12 * SEC),
            ..Self::calm()
        }
    }

    pub(crate) fn rate(mut self, per_second: u32) -> Self {
        self.rate = per_second;
        self
    }

    pub(crate) fn effective(mut self, at: u64) -> Self {
        self.effective = Some(at);
        self
    }

    pub(crate) fn without_effect(mut self) -> Self {
        self.effective = None;
        self
    }

    pub(crate) fn unproven(mut self) -> Self {
        self.proven = false;
        self
    }

    pub(crate) fn without_undo(mut self) -> Self {
        self.undone = false;
        self
    }

    pub(crate) fn cut_short(mut self, until: u64) -> Self {
        self.cut_short = Some(until);
        self
    }

    /// Only what is known once this many cells are closed, as while the run goes on.
    pub(crate) fn until_cell(mut self, cell: u64) -> Self {
        self.until_cell = Some(cell);
        self
    }

    pub(crate) fn answer(mut self, law: impl Fn(&Request) -> Answer + 'static) -> Self {
        self.answer = Box::new(law);
        self
    }

    pub(crate) fn late(mut self, law: impl Fn(&Request) -> bool + 'static) -> Self {
        self.late = Box::new(law);
        self
    }

    /// One more event, `at` nanoseconds since the start of the run.
    pub(crate) fn event(mut self, at: u64, what: Event) -> Self {
        self.events.push(Stamped { at, what });
        self
    }

    /// A change of an instance of the target service, at a time of the load.
    pub(crate) fn instance(self, at: u64, instance: &str, change: InstanceChange) -> Self {
        self.event(
            LOAD_AT + at,
            Event::Instance {
                service: "api".to_owned(),
                instance: instance.to_owned(),
                change,
            },
        )
    }

    pub(crate) fn header_only(&self) -> Record {
        Record::new(self.header())
    }

    pub(crate) fn record(&self) -> Record {
        let mut record = self.header_only();
        self.lines()
            .iter()
            .skip(1)
            .for_each(|line| record.apply(line));
        record
    }

    /// The record's lines.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let header = self.header();
        let until = self.cut_short.unwrap_or(LENGTH);
        let counted_below = self.until_cell.map_or(until + 1, |cell| cell * CELL_NS);
        let deltas = Counted::of(self, &header.plan, counted_below).deltas(self.until_cell);
        let mut lines = vec![Line::Header(Box::new(header))];
        let known = self
            .until_cell
            .map_or(u64::MAX, |cell| LOAD_AT + cell * CELL_NS);
        let stamped = self
            .all_events()
            .into_iter()
            .filter(|event| event.at <= known);
        lines.extend(stamped.map(Line::Event));
        lines.extend(deltas.into_iter().map(Line::Delta));
        if self.until_cell.is_none() {
            lines.extend(self.ending(until).into_iter().map(Line::Event));
            let mut counted = self.header_only();
            counted.lines = lines.len() as u64;
            lines.push(counted.end_line(45 * SEC));
        }
        lines
    }

    fn all_events(&self) -> Vec<Stamped> {
        let mut events = vec![
            Stamped {
                at: 0,
                what: Event::DeployStarted,
            },
            Stamped {
                at: SEC / 2,
                what: Event::Deployed,
            },
            Stamped {
                at: LOAD_AT,
                what: Event::LoadStarted { workers: 1 },
            },
        ];
        events.extend(self.fault.iter().flat_map(|fault| self.life(fault)));
        // What is stamped after the load stands behind its end.
        events.extend(
            self.events
                .iter()
                .filter(|event| event.at <= LOAD_AT + LENGTH)
                .cloned(),
        );
        events
    }

    fn life(&self, fault: &Fault) -> Vec<Stamped> {
        let Some(effective) = self.effective else {
            return Vec::new();
        };
        let event = |at: u64, change| Stamped {
            at: LOAD_AT + at,
            what: Event::Fault {
                fault: fault.name.clone(),
                change,
            },
        };
        let mut events = vec![event(
            effective - MS,
            FaultChange::Requested {
                targets: vec!["api-2".to_owned()],
            },
        )];
        events.push(if self.proven {
            event(
                effective,
                FaultChange::Effective {
                    proof: vec!["pid 4121 is gone".to_owned()],
                },
            )
        } else {
            event(
                effective,
                FaultChange::Unproven {
                    why: "pid 4121 is still there".to_owned(),
                },
            )
        });
        let lasts = fault
            .lasts
            .map_or(0, |lasts| u64::try_from(lasts.as_nanos()).expect("short"));
        if self.undone && self.proven {
            events.push(event(
                effective + lasts,
                FaultChange::Undone {
                    proof: vec!["pid 4121 runs".to_owned()],
                },
            ));
        }
        events
    }

    fn ending(&self, until: u64) -> Vec<Stamped> {
        let stopped = Event::LoadStopped {
            until,
            cut_short: self.cut_short.is_some(),
        };
        let report = WorkerReport {
            cpu_ns: SEC,
            wall_ns: LENGTH,
            lag_max_ns: MS,
            connections_max: 8,
            ..WorkerReport::default()
        };
        let mut events = vec![
            Stamped {
                at: LOAD_AT + until,
                what: stopped,
            },
            Stamped {
                at: LOAD_AT + until,
                what: Event::Worker(report),
            },
            Stamped {
                at: 38 * SEC,
                what: Event::CleanedUp {
                    verified: true,
                    left: Vec::new(),
                },
            },
        ];
        events.extend(
            self.events
                .iter()
                .filter(|event| event.at > LOAD_AT + LENGTH)
                .cloned(),
        );
        events
    }

    fn header(&self) -> Header {
        Header {
            version: VERSION,
            run: "2026-01-01-quiet-1a2b".to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            chaos: "0.0.0".to_owned(),
            command: vec!["chaos".to_owned(), "run".to_owned(), "quiet".to_owned()],
            host: Host::default(),
            plan: plan(self.rate, self.fault.clone()),
        }
    }
}

/// A run's requests, counted.
struct Counted {
    cells: BTreeMap<(u64, usize), (Counts, BTreeMap<u16, u64>)>,
    seconds: BTreeMap<(u64, usize), hdrhistogram::Histogram<u64>>,
}

impl Counted {
    fn of(run: &Run, plan: &Plan, below: u64) -> Self {
        let table = SeriesTable::new(plan);
        let mut counted = Self {
            cells: BTreeMap::new(),
            seconds: BTreeMap::new(),
        };
        let mut number = 0;
        for arrival in Schedule::new(plan) {
            let begin = u64::try_from(arrival.at.as_nanos()).expect("short");
            if begin >= below {
                break;
            }
            let steps = plan.load.journeys[arrival.journey].steps.len();
            let (mut at, mut whole, mut late) = (begin, Answer::Ok(0), false);
            for step in 0..steps {
                let request = Request {
                    number,
                    journey: arrival.journey,
                    at,
                };
                number += 1;
                let answer = (run.answer)(&request);
                let request_late = (run.late)(&request);
                late |= request_late && step == 0;
                let series = table.of_step(arrival.journey, step);
                counted.add(at, series, answer, request_late);
                match answer {
                    Answer::Ok(response) => at += response,
                    failed => {
                        whole = failed;
                        for rest in step + 1..steps {
                            let series = table.of_step(arrival.journey, rest);
                            counted.counts(at, series).add(Outcome::NotReached);
                        }
                        break;
                    }
                }
            }
            if whole == Answer::Ok(0) {
                whole = Answer::Ok(at - begin);
            }
            counted.add(begin, table.of_journey(arrival.journey), whole, late);
        }
        counted
    }

    fn counts(&mut self, at: u64, series: usize) -> &mut Counts {
        &mut self.cells.entry((at / CELL_NS, series)).or_default().0
    }

    fn add(&mut self, at: u64, series: usize, answer: Answer, late: bool) {
        let counts = self.counts(at, series);
        counts.add(answer.outcome());
        counts.written += 1;
        counts.late += u64::from(late);
        counts.caught[1] += u64::from(answer == Answer::Caught);
        if let Answer::Ok(response) = answer {
            counts.over.resize(1, 0);
            counts.over[0] += u64::from(response > 200 * MS);
            let us = ((response + 500) / 1_000).clamp(1, MAX_US);
            *self
                .cells
                .entry((at / CELL_NS, series))
                .or_default()
                .1
                .entry(ladder::rung(us))
                .or_default() += 1;
            record_ns(
                self.seconds
                    .entry((at / SEC, series))
                    .or_insert_with(new_histogram),
                response,
            );
        }
    }

    /// One delta a second, the other clocks with the last one.
    fn deltas(self, closed: Option<u64>) -> Vec<Delta> {
        let mut deltas: BTreeMap<u64, Delta> = BTreeMap::new();
        for ((cell, series), (counts, rungs)) in self.cells {
            let part = CellDelta {
                cell,
                series,
                counts,
                rungs: rungs.into_iter().collect(),
            };
            deltas
                .entry(cell * CELL_NS / SEC)
                .or_default()
                .cells
                .push(part);
        }
        for ((second, series), histogram) in self.seconds {
            let part = SecondDelta {
                second,
                series,
                response: Sparse::from(&histogram),
            };
            deltas.entry(second).or_default().seconds.push(part);
        }
        let last = deltas.keys().last().copied().unwrap_or(0);
        for (second, delta) in &mut deltas {
            delta.closed_cells = (second + 1) * 10;
        }
        let end = deltas.entry(last).or_default();
        end.closed_cells = closed.unwrap_or((last + 1) * 10);
        let mut lag = new_histogram();
        record_ns(&mut lag, MS);
        end.clocks = vec![ClockDelta {
            stage: 1,
            lag: Sparse::from(&lag),
            wait: Sparse::default(),
            first_byte: Sparse::default(),
            service: Sparse::default(),
        }];
        let closed = closed.unwrap_or(u64::MAX);
        deltas
            .into_values()
            .map(|delta| Delta {
                closed_cells: delta.closed_cells.min(closed),
                ..delta
            })
            .collect()
    }
}

/// Loses what is known of some cells.
pub(crate) fn forget(record: &mut Record, cells: std::ops::Range<u64>) {
    for cell in cells {
        record.windows.cells.remove(&cell);
        record.sums.requests.remove(&cell);
        record.sums.journeys.remove(&cell);
        record.sums.first_steps.remove(&cell);
    }
}

fn targets() -> Targets {
    Targets {
        service: "api".to_owned(),
        how_many: HowMany::Count(1),
    }
}

fn fault(name: &str, lasts: Option<Duration>, inject: Inject) -> Fault {
    Fault {
        name: name.to_owned(),
        when: When::At(Duration::from_secs(12)),
        lasts,
        inject,
        line: 20,
    }
}

fn claim(name: &str, line: usize, expect: Expect) -> Claim {
    Claim {
        name: name.to_owned(),
        expect,
        line,
    }
}

fn claims(with_fault: bool) -> Vec<Claim> {
    let share = |text| Share::parse(text).expect("a share");
    let stages = || vec![1];
    let limit = LatencyLimit {
        quantile: Quantile::P95,
        at_most: Duration::from_millis(200),
    };
    let mut claims = vec![
        claim(
            "fast enough",
            30,
            Expect::Latency {
                limits: vec![limit],
                stages: stages(),
            },
        ),
        claim(
            "almost nothing fails",
            31,
            Expect::Errors {
                max: share("1%"),
                stages: stages(),
            },
        ),
        claim(
            "open",
            32,
            Expect::Availability {
                min: share("95%"),
                good: share("95%"),
                stages: stages(),
            },
        ),
    ];
    if with_fault {
        let recovery = Expect::Recovery {
            within: Duration::from_secs(5),
            steady_for: Duration::from_secs(3),
        };
        claims.push(claim("back soon", 33, recovery));
    }
    claims
}

fn step(name: &str) -> Step {
    Step {
        name: name.to_owned(),
        method: Method::Get,
        path: Template::parse("/").expect("a template"),
        headers: Vec::new(),
        body: None,
        statuses: vec![StatusRange { from: 200, to: 399 }],
        checks: Vec::new(),
        extract: BTreeMap::new(),
        think: Duration::ZERO,
    }
}

fn journey(name: &str, weight: f64, steps: &[&str]) -> Journey {
    Journey {
        name: name.to_owned(),
        weight,
        data: BTreeMap::new(),
        steps: steps.iter().map(|name| step(name)).collect(),
    }
}

fn load(rate: u32) -> Load {
    let seconds = Duration::from_secs;
    let rate = Rate::new(f64::from(rate));
    let slow = Rate::new(rate.per_second() / 5.0);
    let stage = |name: &str, start, length, from| Stage {
        name: name.to_owned(),
        start,
        length,
        from,
        to: rate,
    };
    Load {
        name: "shoppers".to_owned(),
        arrivals: Arrivals::Even,
        timeout: seconds(2),
        patience: seconds(5),
        journeys: vec![
            journey("browse", 80.0, &["list", "look"]),
            journey("buy", 20.0, &["pay"]),
        ],
        stages: vec![
            stage("warm", seconds(0), seconds(2), slow),
            stage("main", seconds(2), seconds(28), rate),
        ],
    }
}

fn service() -> Service {
    let second = Duration::from_secs(1);
    Service {
        name: "api".to_owned(),
        replicas: 3,
        calls: Vec::new(),
        ready: Ready {
            path: "/ready".to_owned(),
            within: second,
            every: second,
            timeout: second,
            failures: 2,
        },
        restart: Restart {
            policy: RestartPolicy::Always,
            delay: Duration::ZERO,
            backoff: second,
            backoff_max: second,
        },
        stop: second,
        command: vec!["api".to_owned()],
        env: BTreeMap::new(),
        labels: BTreeMap::new(),
    }
}

/// A plan can only be proven or read back, so it is read back here.
fn plan(rate: u32, fault: Option<Fault>) -> Plan {
    let abort_if = AbortIf {
        errors: Share::from_ratio(0.5),
        lasts: Duration::from_secs(3),
    };
    let content = Resolved {
        name: "quiet".to_owned(),
        question: "Does it hold?".to_owned(),
        platform: PlatformName::Local,
        seed: 7,
        scale: Scale {
            time: 1.0,
            rate: 1.0,
        },
        target: Target::Deploy(Description {
            name: "shop".to_owned(),
            folder: String::new(),
            entry: "api".to_owned(),
            services: vec![service()],
        }),
        load: load(rate),
        claims: claims(fault.is_some()),
        faults: fault.into_iter().collect(),
        safety: Safety {
            abort_if: Some(abort_if),
            max_share: Share::from_ratio(0.5),
            allow_outage: Vec::new(),
        },
        source: Source {
            path: "quiet.yaml".to_owned(),
            text: String::new(),
            overrides: Vec::new(),
        },
    };
    serde_json::from_value(serde_json::to_value(content).expect("plain data"))
        .expect("what was written")
}
