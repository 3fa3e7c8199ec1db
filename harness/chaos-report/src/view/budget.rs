//! Error budgets: how much may be bad by each claim, and how much was.
//!
//! Invariant: bad and allowed are the numbers the claim was judged by; nothing is judged again here.

use chaos_plan::plan::{Claim, Expect, Part};
use chaos_record::outcome::Counts;
use chaos_record::series::SeriesTable;
use chaos_record::verdict::ClaimVerdict;
use chaos_record::{CELL_NS, SECOND_NS};

use super::Story;
use crate::clean::clean;
use crate::timeline::Timeline;
use crate::words;

const THIRTY_DAYS_S: f64 = 30.0 * 86_400.0;
const CELLS_PER_SECOND: u64 = SECOND_NS / CELL_NS;

/// What one claim allows to be bad, and what was.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// What is counted, such as `Bad requests (at most 0.1%)`.
    pub title: String,
    /// Name of the claim.
    pub claim: String,
    pub bad: u64,
    pub allowed: u64,
    /// Requests or seconds it is judged on.
    pub n: u64,
    /// Share of a month's budget, if every day had this traffic; absent if nothing is allowed.
    pub of_thirty_days: Option<f64>,
    what: What,
    part: Part,
    /// Judged stretches of the load, nanoseconds.
    stretches: Vec<(u64, u64)>,
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Bad,
    /// Bad or over the limit with this number among the plan's.
    BadOrOver(usize),
    /// Seconds in which less than this share was good.
    Seconds(f64),
}

/// The first budget on errors, on latency and on availability, in this order.
pub fn budgets(story: &Story<'_>) -> Vec<Budget> {
    let claims = || story.plan().claims.iter().zip(&story.verdict.claims);
    let first = |kind: &str| {
        claims()
            .filter(|(claim, _)| claim.expect.kind() == kind)
            .find_map(|(claim, verdict)| budget(story, claim, verdict))
    };
    ["errors", "latency", "availability"]
        .into_iter()
        .filter_map(first)
        .collect()
}

fn budget(story: &Story<'_>, claim: &Claim, verdict: &ClaimVerdict) -> Option<Budget> {
    let finding = verdict.findings.first().filter(|finding| finding.n > 0)?;
    let (title, what, share) = match &claim.expect {
        Expect::Errors { max, .. } => (
            format!("Bad requests (at most {max})"),
            What::Bad,
            max.ratio(),
        ),
        Expect::Latency { limits, .. } => {
            let limit = limits.first()?;
            let number = story
                .plan()
                .limits()
                .iter()
                .position(|other| *other == limit.at_most)?;
            let share = limit.quantile.over_per_mille() as f64 / 1_000.0;
            let at_most = u64::try_from(limit.at_most.as_nanos()).unwrap_or(u64::MAX);
            (
                format!(
                    "Bad or over {} (at most {}%)",
                    words::duration(at_most),
                    share * 100.0
                ),
                What::BadOrOver(number),
                share,
            )
        }
        Expect::Availability { min, good, .. } => (
            format!("Bad seconds (at least {min} good)"),
            What::Seconds(good.ratio()),
            1.0 - min.ratio(),
        ),
        _ => return None,
    };
    let stretches = stretches(story, claim.expect.stages());
    let length: u64 = stretches.iter().map(|(from, until)| until - from).sum();
    let a_second = finding.n as f64 / (length as f64 / SECOND_NS as f64).max(1e-9);
    let a_month = match what {
        What::Seconds(_) => THIRTY_DAYS_S,
        What::Bad | What::BadOrOver(_) => a_second * THIRTY_DAYS_S,
    } * share;
    Some(Budget {
        title,
        claim: clean(&claim.name),
        bad: finding.bad,
        allowed: finding.allowed,
        n: finding.n,
        of_thirty_days: (a_month > 0.0).then(|| finding.bad as f64 / a_month),
        what,
        part: claim.expect.part(),
        stretches,
    })
}

fn stretches(story: &Story<'_>, stages: &[usize]) -> Vec<(u64, u64)> {
    let length = story.verdict.load_length;
    let judged = stages
        .iter()
        .filter_map(|stage| story.verdict.stages.get(*stage));
    judged
        .map(|stage| (stage.start.min(length), stage.end.min(length)))
        .filter(|(from, until)| from < until)
        .collect()
}

impl Budget {
    /// Bad over allowed; absent if nothing is allowed.
    pub fn spent(&self) -> Option<f64> {
        (self.allowed > 0).then(|| self.bad as f64 / self.allowed as f64)
    }

    /// How a number of bad ones compares with what this run and 30 days allow: `352 % of this run's`.
    pub fn share_of(&self, bad: u64) -> String {
        let run = if self.allowed == 0 {
            "none was allowed in this run".to_owned()
        } else {
            let share = bad as f64 / self.allowed as f64;
            format!("{} of this run's budget", times(share))
        };
        match self.of_thirty_days.filter(|_| self.bad > 0) {
            Some(month) => {
                let share = month * bad as f64 / self.bad as f64;
                format!("{run}, {} of 30 days'", words::percent(share))
            }
            None => run,
        }
    }

    /// In a sentence.
    pub fn finding(&self) -> String {
        let what = match self.what {
            What::Bad => "requests were bad",
            What::BadOrOver(_) => "requests were bad or too slow",
            What::Seconds(_) => "seconds were bad",
        };
        let start = format!(
            "{} of {} {what}, {} allowed",
            words::count(self.bad),
            words::count(self.n),
            words::count(self.allowed)
        );
        if self.bad == 0 {
            return format!("{start}.");
        }
        format!("{start}: {}.", self.share_of(self.bad))
    }

    /// How much of it was spent at the end of each bucket.
    pub fn spent_by(&self, story: &Story<'_>, timeline: &Timeline) -> Vec<u64> {
        let table = SeriesTable::new(story.plan());
        let keep = |series: usize| {
            table.get(series).is_some_and(|series| {
                series
                    .step
                    .is_some_and(|step| self.part.holds(series.journey, step))
            })
        };
        let mut sum = 0;
        let spent = timeline.buckets.iter().map(|bucket| {
            for (from, until) in &self.stretches {
                let (from, until) = (bucket.start.max(*from), bucket.end.min(*until));
                if from < until {
                    sum += self.bad_in(story, (from / CELL_NS, until.div_ceil(CELL_NS)), &keep);
                }
            }
            sum
        });
        spent.collect()
    }

    /// Bad ones in a range of cells.
    fn bad_in(
        &self,
        story: &Story<'_>,
        (from, until): (u64, u64),
        keep: &impl Fn(usize) -> bool,
    ) -> u64 {
        let sum = |from, until| story.windows.sum(from, until, keep).counts;
        match self.what {
            What::Bad => sum(from, until).bad(),
            What::BadOrOver(limit) => sum(from, until).bad_or_over(limit),
            What::Seconds(good) => {
                let seconds = from / CELLS_PER_SECOND..until / CELLS_PER_SECOND;
                let cells = seconds.map(|second| second * CELLS_PER_SECOND);
                let bad = cells.filter(|cell| is_bad(&sum(*cell, cell + CELLS_PER_SECOND), good));
                bad.count() as u64
            }
        }
    }
}

/// Whether a second with these counts is bad; one without data is.
fn is_bad(counts: &Counts, good: f64) -> bool {
    let judged = counts.judged();
    judged == 0 || (counts.ok as f64) < good * judged as f64
}

/// A share that may be above all of it: `63 %`, `352 %`, `12 times`.
pub(super) fn times(share: f64) -> String {
    if share <= 1.0 {
        words::percent(share)
    } else if share < 10.0 {
        format!("{:.0} %", share * 100.0)
    } else {
        format!("{share:.0} times all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_without_data_is_bad() {
        let counts = |ok, shed| Counts {
            ok,
            shed,
            ..Counts::default()
        };
        assert!(is_bad(&counts(0, 0), 0.95));
        assert!(is_bad(&counts(94, 6), 0.95));
        assert!(!is_bad(&counts(95, 5), 0.95));
    }

    #[test]
    fn a_share_above_all_of_it_is_still_read_at_once() {
        assert_eq!(times(0.631), "63 %");
        assert_eq!(times(3.524), "352 %");
        assert_eq!(times(41.2), "41 times all");
    }
}
