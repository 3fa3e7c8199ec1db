//! Measures what this machine's load generator can do, against a server that does nothing.
//!
//! The same plans, engine and recording as in a run; the null server is a thread beside it and takes
//! its share of the machine, as a target on this machine would.
//! Invariant: bounded: seven short loads of known length, each with a limit to its drain.

use std::sync::Arc;

use chaos_load::clock::now_ns;
use chaos_load::{Address, Engine, EngineConfig, EngineError, EngineEvent, FaultClock, NullServer};
use chaos_plan::Plan;
use chaos_plan::check::{Library, Options, Sources, examine};
use chaos_plan::diagnostic::SourceFile;
use chaos_record::calibration::Calibration;
use chaos_record::histogram::new_histogram;
use chaos_record::outcome::Counts;
use chaos_record::quantile;
use chaos_record::series::SeriesTable;
use chaos_record::window::Windows;
use hdrhistogram::Histogram;
use thiserror::Error;

use super::this_machine;

/// Connections in the closed model.
const USERS: u32 = 64;
/// Length of a load in the closed model, seconds.
const CLOSED_S: u32 = 2;
/// Length of a load at a rate, seconds.
const OPEN_S: u32 = 1;
/// The rate at which the floor is measured: so low that nothing waits.
const FLOOR_RATE: u32 = 500;
const FLOOR_S: u32 = 3;
/// Rates tried between nothing and the closed-model rate; each halves what is uncertain.
const TRIES: u32 = 5;
/// Longest lag p99 of a rate that counts as sent: the least lag budget of a plan, nanoseconds.
const LAG_P99_MAX: u64 = 10_000_000;
/// Least share of a rate that must be answered.
const ANSWERED_MIN: f64 = 0.99;
/// Between the start of the workers and time zero.
const HEAD_START_NS: u64 = 50_000_000;

/// Why nothing was measured. The text completes "failed to ...".
#[derive(Debug, Error)]
pub enum MeasureError {
    #[error("start the null server: {0}")]
    Server(#[from] std::io::Error),
    #[error("start the load: {0}")]
    Load(#[from] EngineError),
    #[error("get an answer from our own server on the loopback interface: is it up?")]
    NoAnswer,
    #[error("measure: {0}")]
    Broken(String),
}

/// Measures with `workers` workers at most; tells `progress` what is going on.
pub async fn measure(
    workers: usize,
    version: &str,
    mut progress: impl FnMut(&str),
) -> Result<Calibration, MeasureError> {
    let server = NullServer::start("127.0.0.1:0")?;
    let address = format!("http://{}", server.address());
    progress("closed model, one worker");
    let one = play(&closed(), &address, 1)
        .await?
        .answered_a_second(CLOSED_S);
    let all = if workers == 1 {
        one
    } else {
        progress("closed model, all workers");
        play(&closed(), &address, workers)
            .await?
            .answered_a_second(CLOSED_S)
    };
    progress("latency floor");
    let floor = play(&open(FLOOR_RATE, FLOOR_S), &address, 1).await?;
    if one < 1.0 || floor.response(500).is_none() {
        return Err(MeasureError::NoAnswer);
    }
    progress("highest rate");
    let open_all = highest_rate(all, &address, workers).await?;
    Ok(Calibration {
        machine: this_machine(),
        measured: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
        chaos: version.to_owned(),
        workers,
        closed_one: one,
        closed_all: all,
        open_all,
        floor_p50: floor.response(500).unwrap_or(0),
        floor_p99: floor.response(10).unwrap_or(0),
        hiccup_p999: quantile::response(&floor.hiccups, 0, 1).unwrap_or(0),
    })
}

/// Halves the stretch between a rate that was sent and one that was not.
async fn highest_rate(ceiling: f64, address: &str, workers: usize) -> Result<f64, MeasureError> {
    let (mut sent, mut not_sent) = (0.0, ceiling);
    for _ in 0..TRIES {
        let rate = f64::midpoint(sent, not_sent);
        let tried = play(&open(whole(rate), OPEN_S), address, workers).await?;
        if tried.kept_pace(rate) {
            sent = rate;
        } else {
            not_sent = rate;
        }
    }
    Ok(sent.floor())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and far below 2^32"
)]
fn whole(rate: f64) -> u32 {
    rate.max(1.0) as u32
}

fn closed() -> Plan {
    plan("", &format!("for: {CLOSED_S}s, users: {USERS}"))
}

fn open(rate: u32, seconds: u32) -> Plan {
    let stage = format!("for: {seconds}s, rate: {rate}/s");
    plan("    arrivals: even\n", &stage)
}

/// A load of one stage, checked as every plan is.
fn plan(keys: &str, stage: &str) -> Plan {
    let scenario = format!(
        "version: 1\nname: calibrate\ntarget: {{ url: \"http://127.0.0.1:1\" }}\nload:\n  shoppers:\n    journeys: {{ hit: 1 }}\n{keys}    timeout: 1s\n    patience: 1s\n    stages:\n      - {{ name: load, {stage} }}\nhypothesis: [{{ expect: {{ latency: {{ p95: 200ms }} }} }}]\n"
    );
    let sources = Sources {
        scenario: file("calibrate.yaml", &scenario),
        library: &OneJourney,
    };
    let outcome = examine(&sources, &Options::default());
    outcome.plan.expect("the scenario is ours and right")
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        text: text.to_owned(),
        ..SourceFile::default()
    }
}

struct OneJourney;

impl Library for OneJourney {
    fn target(&self, _: &str) -> Option<SourceFile> {
        None
    }

    fn journey(&self, name: &str) -> Option<SourceFile> {
        let text = "version: 1\nname: hit\nsteps:\n  - { name: get, get: / }\n";
        (name == "hit").then(|| file("hit.yaml", text))
    }

    fn targets(&self) -> Vec<String> {
        Vec::new()
    }

    fn journeys(&self) -> Vec<String> {
        vec!["hit".to_owned()]
    }
}

/// What came of one load.
struct Played {
    counts: Counts,
    response: Histogram<u64>,
    lag: Histogram<u64>,
    hiccups: Histogram<u64>,
}

async fn play(plan: &Plan, address: &str, workers: usize) -> Result<Played, MeasureError> {
    let mut engine = Engine::start(EngineConfig {
        plan: Arc::new(plan.clone()),
        address: Address::resolve(address).map_err(EngineError::from)?,
        workers,
        start_ns: now_ns() + HEAD_START_NS,
        faults: Arc::new(FaultClock::new(0)),
        operations: None,
    })?;
    let mut windows = Windows::default();
    let mut hiccups = new_histogram();
    while let Some(event) = engine.next().await {
        match event {
            EngineEvent::Delta(delta) => windows.add(&delta),
            EngineEvent::Health(look) => look.hiccups.add_to(&mut hiccups),
            EngineEvent::Failed { message, .. } => return Err(MeasureError::Broken(message)),
            EngineEvent::Worker(_) | EngineEvent::OperationLogFailed { .. } => {}
        }
    }
    let table = SeriesTable::new(plan);
    let is_step = |series: usize| {
        table
            .get(series)
            .is_some_and(|series| series.step.is_some())
    };
    Ok(Played {
        counts: windows.sum(0, u64::MAX, is_step).counts,
        response: windows.responses(0, u64::MAX, is_step),
        lag: windows
            .clocks
            .get(&0)
            .map_or_else(new_histogram, |clocks| clocks.lag.clone()),
        hiccups,
    })
}

impl Played {
    fn answered_a_second(&self, seconds: u32) -> f64 {
        self.counts.ok as f64 / f64::from(seconds)
    }

    fn response(&self, over_per_mille: u64) -> Option<u64> {
        quantile::response(&self.response, 0, over_per_mille)
    }

    fn kept_pace(&self, rate: f64) -> bool {
        let lag_p99 = quantile::response(&self.lag, 0, 10).unwrap_or(u64::MAX);
        lag_p99 <= LAG_P99_MAX && self.answered_a_second(OPEN_S) >= rate.floor() * ANSWERED_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_are_what_they_are_meant_to_be() {
        assert!(!closed().load.model.is_paced());
        let open = open(40_000, 1);
        assert!(open.load.model.is_paced());
        assert_eq!(chaos_plan::schedule::Schedule::new(&open).count(), 40_000);
    }

    #[tokio::test]
    async fn a_rate_far_below_the_limit_is_kept_and_one_no_machine_reaches_is_not() {
        let server = NullServer::start("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", server.address());
        let low = play(&open(300, OPEN_S), &address, 1).await.expect("played");
        assert_eq!(low.counts.ok, 300);
        assert!(low.response(500).is_some() && !low.hiccups.is_empty());
        assert!(!low.kept_pace(1_000_000.0));
    }
}
