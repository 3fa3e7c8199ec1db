//! Whether the generator can be believed: did it send what was planned, when it was planned.
//!
//! Invariant: a stage nobody is judged on cannot spoil a run, and a missing account of a worker
//! counts against all of it.

mod headroom;
mod watched;

use std::collections::{BTreeMap, BTreeSet};

use chaos_plan::plan::Expect;
use hdrhistogram::Histogram;

use crate::CELL_NS;
use crate::event::{Event, WorkerReport};
use crate::facts::{Facts, ns};
use crate::histogram::new_histogram;
use crate::outcome::FailKind;
use crate::quantile;
use crate::verdict::{ACHIEVED_MIN_PERCENT, GeneratorHealth, Headroom, LATE_MAX_PERCENT};
use crate::words;

use watched::Watched;

/// Most of its time a worker may be stalled for longer than the lag budget, in a closed model.
const STALLED_MAX: f64 = 0.01;
/// A worker that is busier than this has no room for a spike.
const BUSY: f64 = 0.8;
/// Least of a judged stage that must have been watched in a closed model, where only watching shows delay.
const WATCHED_MIN: f64 = 0.9;

/// The account of the generator, and which claims it spoils.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) report: GeneratorHealth,
    /// What is wrong in a stage: first what makes times doubtful, then whether arrivals are missing.
    stages: BTreeMap<usize, Sick>,
    /// Wrong for the whole run.
    everywhere: Option<String>,
}

#[derive(Debug, Default)]
struct Sick {
    complaints: Vec<String>,
    /// Achieved less than 99 % of what was offered.
    short: bool,
}

impl Health {
    /// Why times measured in these stages are doubtful, if they are.
    pub(crate) fn sick(&self, stages: &[usize]) -> Option<String> {
        let of_stage = |stage: &usize| {
            self.stages
                .get(stage)
                .and_then(|sick| sick.complaints.first())
        };
        self.everywhere
            .clone()
            .or_else(|| stages.iter().find_map(of_stage).cloned())
    }

    /// What is wrong for the whole run.
    pub(crate) fn everywhere(&self) -> Option<&str> {
        self.everywhere.as_deref()
    }

    /// Why even counts in these stages are doubtful, if they are.
    pub(crate) fn short(&self, stages: &[usize]) -> Option<String> {
        let short = stages
            .iter()
            .find(|stage| self.stages.get(stage).is_some_and(|sick| sick.short));
        short.and_then(|stage| self.sick(&[*stage]))
    }
}

pub(super) fn judge(facts: &Facts<'_>) -> Health {
    let reports = reports(facts);
    let stages: BTreeMap<usize, Sick> = judged_stages(facts)
        .into_iter()
        .map(|stage| (stage, examine(facts, stage)))
        .collect();
    let headroom = headroom::headroom(facts);
    let beyond = headroom
        .as_ref()
        .and_then(|headroom| headroom::beyond(facts, headroom));
    let everywhere = missing_account(facts, &reports)
        .or_else(|| unconnected(&reports))
        .or(beyond);
    let all = everywhere
        .iter()
        .chain(stages.values().flat_map(|sick| &sick.complaints));
    let complaints: Vec<String> = all.cloned().collect();
    let report = GeneratorHealth {
        healthy: complaints.is_empty(),
        warnings: warnings(facts, headroom.as_ref(), &reports),
        headroom,
        complaints,
        ..account(facts, &reports)
    };
    Health {
        report,
        stages,
        everywhere,
    }
}

/// The figures, without what is thought of them.
fn account(facts: &Facts<'_>, reports: &BTreeMap<usize, &WorkerReport>) -> GeneratorHealth {
    let lag = lag(facts);
    let quantile = |over| quantile::response(&lag, 0, over);
    let watched = judged_time(facts);
    GeneratorHealth {
        workers: reports.len(),
        lag_budget: ns(facts.plan.lag_budget()),
        lag_p50: quantile(500),
        lag_p99: quantile(10),
        lag_p999: quantile(1),
        lag_max: reports
            .values()
            .map(|report| report.lag_max_ns)
            .max()
            .or_else(|| (!lag.is_empty()).then(|| lag.max() * 1_000)),
        cpu: reports
            .values()
            .filter(|report| report.wall_ns > 0)
            .map(|report| report.cpu_ns as f64 / report.wall_ns as f64)
            .sum(),
        cpu_peak: watched.cpu_peak(),
        waiting: watched.waiting(),
        stalls: watched.stalls(),
        hiccups: watched.hiccups(),
        pressure: watched.pressure(),
        throttled: watched.throttled().map(|throttled| throttled.periods),
        descriptors: watched.descriptors(),
        ports: watched.ports(),
        connections_max: reports.values().map(|report| report.connections_max).sum(),
        meter_cpu: watched.meter_cpu(),
        ..GeneratorHealth::default()
    }
}

fn judged_time<'a>(facts: &Facts<'a>) -> Watched<'a> {
    let stages: Vec<usize> = judged_stages(facts).into_iter().collect();
    Watched::over(facts, &stages)
}

fn warnings(
    facts: &Facts<'_>,
    headroom: Option<&Headroom>,
    reports: &BTreeMap<usize, &WorkerReport>,
) -> Vec<String> {
    let narrow = headroom.and_then(|headroom| headroom::narrow(facts, headroom));
    let watched = judged_time(facts);
    let busy = watched
        .busiest()
        .filter(|share| *share > BUSY)
        .map(|share| {
            let effect = if facts.is_paced() {
                "it may not keep pace with more"
            } else {
                "it may be what sets the pace, and service times hold its own queue"
            };
            format!(
                "a worker was busy {} of the judged time: {effect}",
                words::percent(share)
            )
        });
    narrow
        .into_iter()
        .chain(busy)
        .chain(turned_away(reports))
        .collect()
}

/// A bound of ours, reached because the target answers too slowly: what is given up by it counts
/// against the target, and it is told who gave it up.
fn turned_away(reports: &BTreeMap<usize, &WorkerReport>) -> Option<String> {
    let journeys = reports.values().map(|report| report.turned_away).sum();
    (journeys > 0).then(|| {
        format!(
            "{} given up unsent as soon as due: as many waited for the target already as a worker lets wait",
            words::counted(journeys, "journey")
        )
    })
}

fn reports<'a>(facts: &Facts<'a>) -> BTreeMap<usize, &'a WorkerReport> {
    let reports = facts
        .record
        .events
        .iter()
        .filter_map(|event| match &event.what {
            Event::Worker(report) => Some((report.worker, report)),
            _ => None,
        });
    reports.collect()
}

fn missing_account(facts: &Facts<'_>, reports: &BTreeMap<usize, &WorkerReport>) -> Option<String> {
    let missing = facts.workers.saturating_sub(reports.len()) as u64;
    (facts.complete && missing > 0).then(|| {
        format!(
            "{} of the load generator gave no account of itself",
            words::counted(missing, "worker")
        )
    })
}

/// Connections that we had no port or descriptor for: fewer carry the load than it asks for, and
/// requests wait for each other.
fn unconnected(reports: &BTreeMap<usize, &WorkerReport>) -> Option<String> {
    let exhausted = |report: &&WorkerReport| report.connect_failures[FailKind::Exhausted as usize];
    let times = reports.values().map(exhausted).sum();
    (times > 0).then(|| {
        format!(
            "the generator ran out of ports or descriptors {} as it opened connections",
            words::counted(times, "time")
        )
    })
}

/// Stages some claim is judged on; for a claim on recovery those from the first fault on.
pub(crate) fn judged_stages(facts: &Facts<'_>) -> BTreeSet<usize> {
    let mut stages: BTreeSet<usize> = facts.plan.judged_stages().into_iter().collect();
    if facts
        .plan
        .claims
        .iter()
        .any(|claim| matches!(claim.expect, Expect::Recovery { .. }))
    {
        stages.extend(recovery_stages(facts));
    }
    stages
}

/// Stages in which recovery can be felt: from that of the first fault to the last.
pub(crate) fn recovery_stages(facts: &Facts<'_>) -> Vec<usize> {
    let earliest = facts
        .plan
        .faults
        .iter()
        .map(|fault| ns(fault.when.latest()))
        .min()
        .unwrap_or(0);
    (facts.stage_of_cell(earliest / CELL_NS)..facts.plan.load.stages.len()).collect()
}

/// What is wrong in one stage, if anything is.
pub(super) fn complaint(facts: &Facts<'_>, stage: usize) -> Option<String> {
    examine(facts, stage).complaints.into_iter().next()
}

fn examine(facts: &Facts<'_>, stage: usize) -> Sick {
    let name = &facts.plan.load.stages[stage].name;
    let counts = facts.requests(&facts.stage_cells(stage)).counts;
    let mut sick = Sick::default();
    let watched = Watched::over(facts, &[stage]);
    let lag_budget = ns(facts.plan.lag_budget());
    let cause = || {
        watched
            .blame(lag_budget)
            .map_or(String::new(), |why| format!(" ({why})"))
    };
    let sent = counts.ok + counts.failed_total() + counts.shed;
    if u128::from(counts.late) * 100 > u128::from(sent) * u128::from(LATE_MAX_PERCENT) {
        let (late, budget) = (words::share(counts.late, sent), words::duration(lag_budget));
        sick.complaints.push(format!(
            "{name}: {late} of the requests were sent more than {budget} late, {LATE_MAX_PERCENT} % may be{}",
            cause()
        ));
    }
    if !facts.is_paced() {
        let why = held_up(facts, stage, &watched);
        sick.complaints
            .extend(why.map(|why| format!("{name}: {why}{}", cause())));
    }
    let (offered, achieved) = achieved(facts, stage);
    if u128::from(achieved) * 100 < u128::from(offered) * u128::from(ACHIEVED_MIN_PERCENT) {
        let (achieved, offered) = (words::count(achieved), words::count(offered));
        sick.complaints.push(format!(
            "{name}: only {achieved} of {offered} planned journeys were sent in time"
        ));
        sick.short = true;
    }
    let exhausted = counts.failed[FailKind::Exhausted as usize];
    if exhausted > 0 {
        let times = words::counted(exhausted, "time");
        sick.complaints.push(format!(
            "{name}: the generator ran out of ports or descriptors {times}"
        ));
    }
    sick
}

/// Why times of a closed model are doubtful. Nothing is due there, so nothing can be sent late, and
/// what takes the place of lag is the time in which a worker did not look at its connections: an
/// answer that comes then is stamped too late, as one that comes due then would be sent too late.
fn held_up(facts: &Facts<'_>, stage: usize, watched: &Watched<'_>) -> Option<String> {
    let content = &facts.plan.load.stages[stage];
    let length = ns(content.end())
        .min(facts.offered())
        .saturating_sub(ns(content.start));
    let seen = watched
        .stalls()
        .filter(|_| watched.time() >= length as f64 * WATCHED_MIN);
    let Some(stalls) = seen else {
        return facts
            .complete
            .then(|| "the load generator did not watch itself all the time".to_owned());
    };
    if stalls.share <= STALLED_MAX {
        return None;
    }
    let (share, budget) = (
        words::percent(stalls.share),
        words::duration(ns(facts.plan.lag_budget())),
    );
    Some(format!(
        "a worker was held up for more than {budget} at a time in {share} of the time, 1 % may be"
    ))
}

/// Journeys the schedule holds in a stage, and those whose first step was sent before the stage was over.
pub(crate) fn achieved(facts: &Facts<'_>, stage: usize) -> (u64, u64) {
    let cells = facts.stage_cells(stage);
    let offered = if facts.load_started.is_some() {
        facts.planned.journeys(cells.start, cells.end)
    } else {
        0
    };
    let first = facts.first_steps(&cells);
    // After a cut the work cut off is nobody's fault; after a whole run it was never sent.
    let cut_off = if facts.stopped.is_some_and(|stopped| stopped.cut_short) {
        0
    } else {
        first.cancelled
    };
    let achieved = first.total().saturating_sub(first.overdue + cut_off);
    (offered, achieved.min(offered))
}

fn lag(facts: &Facts<'_>) -> Histogram<u64> {
    let mut sum = new_histogram();
    for stage in judged_stages(facts) {
        if let Some(clocks) = facts.record.windows.clocks.get(&stage) {
            sum.add(&clocks.lag)
                .expect("all histograms share one layout");
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::{Calibration, Machine};
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::health::WorkerHealth;
    use crate::histogram::Sparse;
    use crate::record::Record;

    fn complaint(record: &Record) -> Option<String> {
        judge(&Facts::of(record)).sick(&[1])
    }

    #[test]
    fn a_prompt_generator_is_healthy() {
        let record = Run::kill().record();
        let health = judge(&Facts::of(&record));
        assert_eq!(
            (
                health.report.healthy,
                health.report.complaints.len(),
                health.report.lag_budget
            ),
            (true, 0, 10 * MS)
        );
    }

    #[test]
    fn more_than_one_percent_late_is_a_complaint() {
        let late = |n: u64| {
            Run::kill()
                .answer(|_| Answer::Ok(MS))
                .late(move |request| request.number % n == 0)
                .record()
        };
        assert_eq!(complaint(&late(120)), None);
        assert!(complaint(&late(80)).is_some_and(|why| why.contains("late")));
    }

    #[test]
    fn journeys_sent_after_their_stage_are_not_achieved() {
        let mut record = Run::kill().record();
        for (_, counts) in record.sums.first_steps.range_mut(250..) {
            counts.overdue = counts.total();
        }
        let health = judge(&Facts::of(&record));
        assert!(
            health
                .short(&[1])
                .is_some_and(|why| why.contains("in time"))
        );
        assert_eq!(health.short(&[0]), None);
    }

    #[test]
    fn a_missing_account_spoils_everything() {
        let mut record = Run::kill().record();
        record
            .events
            .retain(|event| !matches!(event.what, Event::Worker(_)));
        let health = judge(&Facts::of(&record));
        assert!(health.sick(&[]).is_some() && !health.report.healthy);
    }

    #[test]
    fn our_own_lack_of_ports_is_a_complaint() {
        let run = Run::kill().answer(|request| {
            if request.number == 500 {
                Answer::Failed(FailKind::Exhausted)
            } else {
                Answer::Ok(MS)
            }
        });
        assert!(complaint(&run.record()).is_some_and(|why| why.contains("1 time")));
    }

    /// A run whose workers report something else.
    fn reported(change: impl Fn(&mut WorkerReport)) -> Record {
        let mut record = Run::kill().record();
        for event in &mut record.events {
            if let Event::Worker(report) = &mut event.what {
                change(report);
            }
        }
        record
    }

    #[test]
    fn who_waited_in_vain_for_a_slow_target_spoils_nothing() {
        let record = reported(|report| report.turned_away = 1_200);
        let report = judge(&Facts::of(&record)).report;
        assert!(report.healthy && report.warnings[0].starts_with("1,200 journeys given up unsent"));
    }

    #[test]
    fn connections_we_could_not_open_spoil_everything() {
        let with = |kind: FailKind| {
            let record = reported(|report| report.connect_failures[kind as usize] = 3);
            judge(&Facts::of(&record)).everywhere
        };
        let why = with(FailKind::Exhausted);
        assert!(why.is_some_and(|why| why.contains("descriptors 3 times")));
        assert_eq!(with(FailKind::ConnectRefused), None);
    }

    const QUIET: &[(u64, u64)] = &[(60, 199), (2_000, 1)];

    /// One look a second over the whole run; the worker stalls for `stalled` of each.
    fn looks(stalled: u64, hiccups: &[(u64, u64)]) -> Vec<crate::health::Health> {
        let look = |second| crate::health::Health {
            from: second * SEC,
            until: (second + 1) * SEC,
            workers: vec![WorkerHealth {
                cpu_ns: Some(SEC / 2),
                waiting_ns: Some(SEC / 10),
                stall_max_ns: stalled,
                stalls: [u64::from(stalled > 10 * MS), u64::from(stalled > 25 * MS)],
                stalled_ns: stalled,
                ..WorkerHealth::default()
            }],
            hiccups: Sparse(hiccups.to_vec()),
            meter_cpu_ns: SEC / 400,
            ..crate::health::Health::default()
        };
        (0..30).map(look).collect()
    }

    fn closed() -> Run {
        Run::kill().users(20, None)
    }

    #[test]
    fn in_a_closed_model_stalls_take_the_place_of_lag() {
        let stalled = |ms| closed().health(looks(ms * MS, QUIET)).record();
        assert_eq!(complaint(&stalled(9)), None);
        let why = complaint(&stalled(40)).expect("4 % is more than 1 %");
        assert!(
            why.contains("4 % of the time") && why.contains("the engine itself was busy"),
            "{why}"
        );
        // With a schedule every request tells itself whether it was late.
        let paced = Run::kill().health(looks(40 * MS, QUIET)).record();
        assert_eq!(complaint(&paced), None);
    }

    #[test]
    fn a_delay_is_laid_at_the_door_of_whoever_caused_it() {
        let stolen = [(60, 160), (150_000, 40)];
        let why = complaint(&closed().health(looks(160 * MS, &stolen)).record());
        assert!(why.is_some_and(|why| why.contains("30 of 30 seconds")
            || why.contains("the machine took the core away")));
        let late = Run::kill()
            .answer(|_| Answer::Ok(MS))
            .late(|request| request.number % 10 == 0);
        let why = complaint(&late.health(looks(160 * MS, &stolen)).record());
        assert!(why.is_some_and(|why| why.contains("the machine took the core away")));
    }

    #[test]
    fn a_closed_model_nobody_watched_is_doubtful() {
        let why = complaint(&closed().health(Vec::new()).record());
        assert!(why.is_some_and(|why| why.contains("did not watch itself")));
        let mut half = looks(0, QUIET);
        half.truncate(12);
        assert!(complaint(&closed().health(half).record()).is_some());
    }

    #[test]
    fn figures_cover_the_judged_stages_and_what_was_not_seen_is_absent() {
        let mut looks = looks(0, QUIET);
        looks[0].descriptors = Some(crate::health::Used {
            used: 900,
            limit: 1_000,
        });
        looks[5].descriptors = Some(crate::health::Used {
            used: 40,
            limit: 1_000,
        });
        let report = judge(&Facts::of(&Run::kill().health(looks).record())).report;
        let close = |value: Option<f64>, expected: f64| {
            value.is_some_and(|value| (value - expected).abs() < 1e-9)
        };
        assert!(
            close(report.cpu_peak, 0.5)
                && close(report.waiting, 0.1)
                && close(report.meter_cpu, 0.0025),
            "{report:?}"
        );
        assert_eq!(
            report.descriptors.map(|used| used.used),
            Some(40),
            "the warm-up is not judged"
        );
        assert_eq!(
            report.hiccups.map(|hiccups| (hiccups.p50, hiccups.max)),
            Some((60_000, 2 * MS))
        );
        assert_eq!(
            (
                report.pressure,
                report.throttled,
                report.ports,
                report.headroom
            ),
            (None, None, None, None)
        );
        assert_eq!(
            judge(&Facts::of(&Run::kill().health(Vec::new()).record()))
                .report
                .stalls,
            None
        );
    }

    fn calibrated(open_all: f64) -> Run {
        Run::kill().calibrated(Calibration {
            machine: Machine::default(),
            measured: "2026-01-01T00:00:00Z".to_owned(),
            chaos: "0".to_owned(),
            workers: 1,
            closed_one: 50_000.0,
            closed_all: 50_000.0,
            open_all,
            floor_p50: 1,
            floor_p99: 1,
            hiccup_p999: 1,
        })
    }

    /// The fixture's run is due to send 180 requests a second at most.
    #[test]
    fn more_than_half_of_what_the_machine_can_do_warns_and_beyond_it_is_inconclusive() {
        let health = |limit| judge(&Facts::of(&calibrated(limit).record()));
        let plenty = health(1_000.0);
        let headroom = plenty.report.headroom.clone().expect("it was measured");
        assert_eq!(
            headroom.limit.total_cmp(&1_000.0),
            std::cmp::Ordering::Equal
        );
        let peak = headroom.peak;
        assert!(peak > 100.0 && plenty.report.warnings.is_empty() && plenty.report.healthy);
        let narrow = health(peak * 1.5);
        assert!(
            narrow.report.healthy && narrow.report.warnings[0].contains("66.7 %"),
            "{:?}",
            narrow.report.warnings
        );
        let beyond = health(peak * 0.9);
        assert!(
            beyond
                .everywhere()
                .is_some_and(|why| why.contains("measured to send"))
        );
        assert!(beyond.report.warnings.is_empty() && !beyond.report.healthy);
        let verdict = crate::judge::judge(&calibrated(peak * 0.9).record());
        assert_eq!(verdict.outcome, crate::verdict::RunOutcome::Inconclusive);
    }
}
