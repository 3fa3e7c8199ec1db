//! Whether the generator can be believed: did it send what was planned, when it was planned.
//!
//! Invariant: a stage nobody is judged on cannot spoil a run, and a missing account of a worker
//! counts against all of it.

use std::collections::{BTreeMap, BTreeSet};

use chaos_plan::plan::Expect;
use hdrhistogram::Histogram;

use crate::CELL_NS;
use crate::event::{Event, WorkerReport};
use crate::facts::{Facts, ns};
use crate::histogram::new_histogram;
use crate::outcome::FailKind;
use crate::quantile;
use crate::verdict::GeneratorHealth;
use crate::words;

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
    let lag = lag(facts);
    let stages: BTreeMap<usize, Sick> = judged_stages(facts)
        .into_iter()
        .map(|stage| (stage, examine(facts, stage)))
        .collect();
    let everywhere = missing_account(facts, &reports);
    let all = everywhere
        .iter()
        .chain(stages.values().flat_map(|sick| &sick.complaints));
    let complaints: Vec<String> = all.cloned().collect();
    let quantile = |over| quantile::response(&lag, 0, over);
    let report = GeneratorHealth {
        healthy: complaints.is_empty(),
        workers: reports.len(),
        lag_budget: ns(facts.plan.lag_budget()),
        lag_p50: quantile(500),
        lag_p99: quantile(10),
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
        connections_max: reports.values().map(|report| report.connections_max).sum(),
        complaints,
    };
    Health {
        report,
        stages,
        everywhere,
    }
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

fn examine(facts: &Facts<'_>, stage: usize) -> Sick {
    let name = &facts.plan.load.stages[stage].name;
    let counts = facts.requests(&facts.stage_cells(stage)).counts;
    let mut sick = Sick::default();
    let sent = counts.ok + counts.failed_total() + counts.shed;
    if u128::from(counts.late) * 100 > u128::from(sent) {
        let (late, budget) = (
            words::share(counts.late, sent),
            words::duration(ns(facts.plan.lag_budget())),
        );
        sick.complaints.push(format!(
            "{name}: {late} of the requests were sent more than {budget} late, 1 % may be"
        ));
    }
    let (offered, achieved) = achieved(facts, stage);
    if u128::from(achieved) * 100 < u128::from(offered) * 99 {
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

/// Journeys the schedule holds in a stage, and those whose first step was sent before the stage was over.
pub(super) fn achieved(facts: &Facts<'_>, stage: usize) -> (u64, u64) {
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
    use crate::fixture::{Answer, MS, Run};
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
}
