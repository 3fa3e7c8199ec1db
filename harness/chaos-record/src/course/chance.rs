//! How often chance alone leaves the band, and what still does: made-up traffic in great numbers.
//!
//! Invariant: nothing is wrong in these runs but what a test plants. Arrivals are Poisson, answers take a
//! log-normal time, now and then the target stands still for 20 ms, and requests fail at one rate.

#![cfg(test)]

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::ops::Range;

use super::{Course, Instants};
use crate::CELL_NS;
use crate::band::Band;
use crate::facts::Facts;
use crate::fixture::{Answer, MS, Run, SEC};
use crate::outcome::{Counts, FailKind, Outcome};
use crate::record::Record;
use crate::window::{Cell, ladder};

/// Healthy runs of each kind.
const RUNS: u64 = 100;
/// Length of each, after a fault that does nothing at 12 s.
const LENGTH: u64 = 72 * SEC;
const EFFECTIVE: u64 = 12 * SEC;
/// Steps of a journey.
const STEPS: f64 = 2.0;
/// Stalls a second, and how long each is in seconds.
const STALLS: f64 = 0.2;
const STALL: f64 = 0.020;
const NOTHING: Planted = Planted {
    time: 0.0..0.0,
    bad: 0.0,
};

/// Healthy traffic.
#[derive(Debug, Clone, Copy)]
struct Healthy {
    /// Journeys a second.
    rate: u32,
    /// Share of requests that fails.
    bad: f64,
    /// Standard deviation of the logarithm of the time an answer takes; its median is 5 ms.
    sigma: f64,
}

/// What is wrong with it: in this time of the load, in seconds, such a share fails.
#[derive(Debug, Clone)]
struct Planted {
    time: Range<f64>,
    bad: f64,
}

/// Chance from a seed: `SplitMix64` (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Seconds to the next event of a Poisson process.
    fn gap(&mut self, per_second: f64) -> f64 {
        -self.unit().ln() / per_second
    }

    /// Standard normal (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (TAU * self.unit()).cos()
    }
}

impl Healthy {
    /// A run of this traffic in place of the one in `record`.
    fn fill(self, record: &mut Record, seed: u64, planted: &Planted) {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9));
        let length = LENGTH as f64 / SEC as f64;
        let (mut at, mut stall_until, mut next_stall) = (0.0, 0.0, dice.gap(STALLS));
        record.sums.requests.clear();
        loop {
            at += dice.gap(f64::from(self.rate) * STEPS);
            if at >= length {
                break;
            }
            while next_stall <= at {
                stall_until = next_stall + STALL;
                next_stall += dice.gap(STALLS);
            }
            let wait = f64::max(stall_until - at, 0.0);
            let answer = 0.005 * (self.sigma * dice.normal()).exp();
            let struck = planted.time.contains(&at);
            let failed = dice.unit() <= if struck { planted.bad } else { self.bad };
            let cell = record.sums.requests.entry(cell_of(at)).or_default();
            count(cell, failed, wait + answer);
        }
        record.sums.journeys = journeys(record);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "instants are positive and short"
)]
fn cell_of(at: f64) -> u64 {
    (at * SEC as f64) as u64 / CELL_NS
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "responses are positive and short"
)]
fn count(cell: &mut Cell, failed: bool, seconds: f64) {
    if failed {
        cell.counts.add(Outcome::Failed(FailKind::Reset));
    } else {
        cell.counts.add(Outcome::Ok);
        *cell
            .rungs
            .entry(ladder::rung((seconds * 1e6) as u64))
            .or_default() += 1;
    }
}

/// The planned journeys, as expected but for the failed ones.
fn journeys(record: &Record) -> BTreeMap<u64, Counts> {
    let cells = 0..LENGTH / CELL_NS;
    cells
        .map(|cell| {
            let planned = record.planned.journeys(cell, cell + 1);
            let bad = record.sums.requests(&(cell..cell + 1)).counts.bad();
            let ok = planned.saturating_sub(bad);
            (
                cell,
                Counts {
                    ok,
                    ..Counts::default()
                },
            )
        })
        .collect()
}

fn course_of(record: &Record) -> Course {
    let facts = Facts::of(record);
    let band = Band::before(&facts, EFFECTIVE).expect("a reference");
    let instants = Instants {
        from: EFFECTIVE,
        origin: EFFECTIVE,
        next: None,
    };
    Course::after(&facts, &band, instants)
}

/// Runs of `RUNS` with any stretch out of band.
fn alarms(healthy: Healthy) -> u64 {
    let mut record = Run::kill().rate(healthy.rate).length(LENGTH).record();
    let alarmed = (0..RUNS).filter(|seed| {
        healthy.fill(&mut record, seed + 1, &NOTHING);
        course_of(&record).symptom_at().is_some()
    });
    alarmed.count() as u64
}

#[test]
fn less_than_one_healthy_run_in_a_hundred_leaves_the_band() {
    let mut all = Vec::new();
    for rate in [20, 200] {
        for bad in [0.0, 0.000_5, 0.01] {
            for sigma in [0.5, 1.0] {
                let healthy = Healthy { rate, bad, sigma };
                all.push((healthy, alarms(healthy)));
            }
        }
    }
    for (healthy, alarms) in &all {
        println!("{alarms} of {RUNS}: {healthy:?}");
    }
    assert!(all.iter().all(|(_, alarms)| alarms * 100 < RUNS), "{all:?}");
}

/// The outage lies anywhere in its cells and groups.
#[test]
fn an_outage_of_three_seconds_is_timed_within_250_ms_whatever_chance_adds() {
    let length = 3 * SEC;
    for bad in [0.0, 0.000_5, 0.01] {
        let healthy = Healthy {
            rate: 200,
            bad,
            sigma: 0.5,
        };
        let mut record = Run::kill().rate(healthy.rate).length(LENGTH).record();
        for seed in 1..=20 {
            let begin = EFFECTIVE as f64 / SEC as f64 + Dice(seed).unit();
            let planted = Planted {
                time: begin..begin + length as f64 / SEC as f64,
                bad: 1.0,
            };
            healthy.fill(&mut record, seed, &planted);
            let course = course_of(&record);
            let told = course.recovered_at().expect("it recovered") as f64 / SEC as f64;
            assert!(
                (told - planted.time.end).abs() <= 0.25,
                "{seed}: {told} for {planted:?}"
            );
            assert_eq!(course.relapses(), [], "{seed}");
        }
    }
}

#[test]
fn a_few_bad_requests_in_each_group_for_seconds_are_noticed() {
    let healthy = Healthy {
        rate: 200,
        bad: 0.0,
        sigma: 0.5,
    };
    let planted = Planted {
        time: 13.0..18.0,
        bad: 0.02,
    };
    let mut record = Run::kill().rate(healthy.rate).length(LENGTH).record();
    for seed in 1..=20 {
        healthy.fill(&mut record, seed, &planted);
        let course = course_of(&record);
        let from = course.symptom_at().expect("a symptom");
        assert!(from.abs_diff(13 * SEC) <= SEC, "{seed}: {from}");
        let until = course.last_out_until().expect("a symptom");
        assert!(until.abs_diff(18 * SEC) <= 2 * SEC, "{seed}: {until}");
    }
}

/// Answers that are slow for so long from 14 s on, where a group is one cell.
fn slow_for(length: u64) -> Record {
    let slow = 14_050 * MS..14_050 * MS + length;
    let run = Run::kill().rate(600).answer(move |request| {
        Answer::Ok(if slow.contains(&request.at) {
            60 * MS
        } else {
            5 * MS
        })
    });
    run.record()
}

#[test]
fn one_stall_is_not_a_symptom_and_lasting_slowness_is() {
    let symptom = |length: u64| course_of(&slow_for(length)).symptom_at();
    assert_eq!(symptom(100 * MS), None);
    assert_eq!(symptom(300 * MS), Some(14 * SEC));
}
