//! Runs made up for tests: a plan, a law by which requests are answered, and the record of it.
//!
//! Invariant: a run is counted as the engine counts it: steps and journeys by their own intended
//! instants, what a failed step leaves unsent as not reached.

#![cfg(test)]

mod counted;
mod plan;

use std::ops::Range;
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::{Audit, Expect, Fault, Inject, KillSignal, Limits, Role, Search, Segment};
use chaos_plan::units::{Rate, Share};

use counted::{Counted, arrivals};
use plan::{Shape, fault, plan, targets};

use crate::CELL_NS;
use crate::calibration::Calibration;
use crate::event::{Event, FaultChange, InstanceChange, PlatformChange, Stamped, WorkerReport};
use crate::health::{Health, WorkerHealth};
use crate::line::{Header, Host, Line, VERSION};
use crate::outcome::{FailKind, Outcome};
use crate::record::Record;
use crate::search::SearchEnd;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SEC: u64 = 1_000_000_000;
/// When the load starts, since the start of the run.
const LOAD_AT: u64 = SEC;

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
    shape: Shape,
    effective: Option<u64>,
    proven: bool,
    undone: bool,
    cut_short: Option<u64>,
    until_cell: Option<u64>,
    stuck: Option<Range<u64>>,
    answer: Law<Answer>,
    late: Law<bool>,
    segments: Vec<Segment>,
    events: Vec<Stamped>,
    more: Vec<Line>,
    health: Vec<Health>,
    calibration: Option<Calibration>,
}

impl Run {
    /// Without any fault.
    pub(crate) fn calm() -> Self {
        Self {
            shape: Shape::calm(),
            effective: None,
            proven: true,
            undone: true,
            cut_short: None,
            until_cell: None,
            stuck: None,
            answer: Box::new(|_| Answer::Ok(MS)),
            late: Box::new(|_| false),
            segments: Vec::new(),
            events: Vec::new(),
            more: Vec::new(),
            health: vec![Health {
                until: 30 * SEC,
                workers: vec![WorkerHealth::default()],
                ..Health::default()
            }],
            calibration: None,
        }
    }

    pub(crate) fn kill() -> Self {
        let inject = Inject::Kill {
            targets: targets(),
            signal: KillSignal::Kill,
        };
        Self {
            shape: Shape {
                fault: Some(fault("kill-api", None, inject)),
                ..Shape::calm()
            },
            effective: Some(12 * SEC),
            ..Self::calm()
        }
    }

    /// Undone after 3 s.
    pub(crate) fn pause() -> Self {
        let inject = Inject::Pause { targets: targets() };
        let fault = fault("stall-api", Some(Duration::from_secs(3)), inject);
        Self {
            shape: Shape {
                fault: Some(fault),
                ..Shape::calm()
            },
            effective: Some(12 * SEC),
            ..Self::calm()
        }
    }

    pub(crate) fn rate(mut self, per_second: u32) -> Self {
        self.shape.rate = per_second;
        self
    }

    /// Of the whole load.
    pub(crate) fn length(mut self, length: u64) -> Self {
        self.shape.length = length;
        self
    }

    /// A closed model with so many users.
    pub(crate) fn users(mut self, users: u32, cycle: Option<Duration>) -> Self {
        self.shape.users = Some((users, cycle));
        self
    }

    /// These claims instead of the usual ones.
    pub(crate) fn claims(mut self, claims: Vec<Expect>) -> Self {
        self.shape.claims = Some(claims);
        self
    }

    /// A search after the load, from 100 to 800 a second: probes of so many journeys a second that lasted
    /// so many of their 4 s, each with a second before it and 2 s of rest at 50 a second after it.
    pub(crate) fn search(mut self, probes: &[(u32, u64)], end: Option<SearchEnd>) -> Self {
        let mut from = self.shape.length;
        let mut add = |rate: f64, (lasts, longest): (u64, u64), role| {
            self.segments.push(Segment {
                from,
                until: from + longest * SEC,
                rate: Rate::new(rate),
                role,
            });
            from += lasts * SEC;
        };
        for (rate, lasted) in probes {
            add(f64::from(*rate), (1, 1), Role::Settle);
            add(f64::from(*rate), (*lasted, 4), Role::Probe);
            add(50.0, (2, 35), Role::Rest);
        }
        add(0.0, (0, 0), Role::End);
        self.shape.search = Some(Search {
            name: "find".to_owned(),
            start: Duration::from_nanos(self.shape.length),
            from: Rate::new(100.0),
            to: Rate::new(800.0),
            step: Duration::from_secs(4),
            settle: Search::SETTLE,
            factor: 2.0,
            precision: Share::from_ratio(0.5),
            rest: Duration::from_secs(1),
        });
        match end {
            Some(end) => self.event(LOAD_AT, Event::Searched { end }),
            None => self,
        }
    }

    /// The plan with what the search decided on.
    fn unrolled(&self) -> Plan {
        let mut plan = plan(&self.shape);
        for segment in &self.segments {
            plan.unroll(segment).expect("a plan with a search");
        }
        plan
    }

    fn whole_length(&self) -> u64 {
        u64::try_from(self.unrolled().load.length().as_nanos()).expect("short")
    }

    pub(crate) fn audit(mut self, audit: Audit) -> Self {
        self.shape.audit = Some(audit);
        self
    }

    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.shape.limits = limits;
        self
    }

    /// One more line, after the load.
    pub(crate) fn line(mut self, line: Line) -> Self {
        self.more.push(line);
        self
    }

    /// How the generator was, instead of without any trouble.
    pub(crate) fn health(mut self, health: Vec<Health>) -> Self {
        self.health = health;
        self
    }

    /// What the machine was found able to do.
    pub(crate) fn calibrated(mut self, calibration: Calibration) -> Self {
        self.calibration = Some(calibration);
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

    /// Nobody begins anything in this time of the load: all users wait for what they asked before.
    pub(crate) fn stuck(mut self, from: u64, until: u64) -> Self {
        self.stuck = Some(from..until);
        self
    }

    fn is_stuck(&self, at: u64) -> bool {
        self.stuck.as_ref().is_some_and(|stuck| stuck.contains(&at))
    }

    /// Every step but the last of a journey is followed by this pause.
    pub(crate) fn think(mut self, think: Duration) -> Self {
        self.shape.think = think;
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

    /// Something the platform tells of the target service, at a time of the load.
    pub(crate) fn platform(self, at: u64, change: PlatformChange) -> Self {
        let service = Some("api".to_owned());
        self.event(LOAD_AT + at, Event::Platform { service, change })
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
        let until = self.cut_short.unwrap_or(self.whole_length());
        let counted_below = self.until_cell.map_or(until + 1, |cell| cell * CELL_NS);
        let deltas = Counted::of(self, &self.unrolled(), counted_below).deltas(self.until_cell);
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
            lines.extend(self.health.iter().cloned().map(Line::Health));
            lines.extend(self.more.iter().cloned());
            lines.extend(self.ending(until).into_iter().map(Line::Event));
            let mut counted = self.header_only();
            counted.lines = lines.len() as u64;
            lines.push(counted.end_line(LOAD_AT + self.shape.length + 14 * SEC));
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
        events.extend(self.shape.fault.iter().flat_map(|fault| self.life(fault)));
        events.extend(self.segments.iter().map(|segment| Stamped {
            at: LOAD_AT + segment.from - SEC / 2,
            what: Event::Searching(*segment),
        }));
        // What is stamped after the load stands behind its end.
        events.extend(
            self.events
                .iter()
                .filter(|event| event.at <= LOAD_AT + self.shape.length)
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
        let begun = arrivals(&self.unrolled()).into_iter();
        let report = WorkerReport {
            journeys: begun
                .filter(|(at, _)| *at <= until && !self.is_stuck(*at))
                .count() as u64,
            cpu_ns: SEC,
            wall_ns: self.shape.length,
            lag_max_ns: MS,
            connections_max: 8,
            connections_failed: 0,
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
                at: LOAD_AT + self.shape.length + 7 * SEC,
                what: Event::CleanedUp {
                    verified: true,
                    left: Vec::new(),
                },
            },
        ];
        events.extend(
            self.events
                .iter()
                .filter(|event| event.at > LOAD_AT + self.shape.length)
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
            plan: plan(&self.shape),
            calibration: self.calibration.clone().map(Box::new),
        }
    }
}

/// Loses what is known of some cells.
pub(crate) fn forget(record: &mut Record, cells: Range<u64>) {
    for cell in cells {
        record.windows.cells.remove(&cell);
        record.sums.requests.remove(&cell);
        record.sums.journeys.remove(&cell);
        record.sums.first_steps.remove(&cell);
    }
}
