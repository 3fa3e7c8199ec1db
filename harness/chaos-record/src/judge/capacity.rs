//! What a search found: the highest rate that holds, the lowest that breaks, and the claim about it.
//!
//! Invariant: a limit of the generator, or a search that was cut off, is never taken for a limit of
//! the target.

use std::time::Duration;

use chaos_plan::plan::{Part, Quantile, Search};
use chaos_plan::units::{Rate, duration_to_text};

use super::claims::Ground;
use crate::event::Event;
use crate::facts::{Facts, ns};
use crate::search::{self, SearchEnd, bracket};
use crate::verdict::{Capacity, Finding, ProbeFinding, ProbeOutcome, Status};
use crate::words;

/// What the search of the plan found; `None` without one.
pub(super) fn found(facts: &Facts<'_>) -> Option<Capacity> {
    let search = facts.plan.load.search.as_ref()?;
    let probes: Vec<ProbeFinding> = search::certain(facts, judged_until(facts)).collect();
    let (holds, breaks) = bracket(&search::tried(&probes));
    let ended = facts
        .record
        .events
        .iter()
        .find_map(|event| match event.what {
            Event::Searched { end } => Some(end),
            _ => None,
        });
    let limit = p95_limit(facts);
    let found = Found {
        search,
        probes: &probes,
        limit,
    };
    let sentence = found.sentence((holds, breaks), ended);
    Some(Capacity {
        search: search.name.clone(),
        holds,
        breaks,
        ended,
        sentence,
        probes,
    })
}

/// Cells below this one are accounted for: all that were offered, of a complete record.
fn judged_until(facts: &Facts<'_>) -> u64 {
    let seen = facts.seen();
    match facts.stopped {
        Some(stopped) if stopped.cut_short => seen.min(stopped.until / crate::CELL_NS),
        _ => seen,
    }
}

/// The tightest limit of a p95 over all requests.
fn p95_limit(facts: &Facts<'_>) -> Option<Duration> {
    let all = facts
        .plan
        .deciding()
        .filter(|claim| claim.expect.part() == Part::All);
    let limits = all.flat_map(|claim| claim.expect.latency_limits());
    let p95 = limits.filter(|limit| limit.quantile == Quantile::P95);
    p95.map(|limit| limit.at_most).min()
}

/// What is put into words.
struct Found<'a> {
    search: &'a Search,
    probes: &'a [ProbeFinding],
    limit: Option<Duration>,
}

impl Found<'_> {
    /// `holds up to 494/s (p95 143 ms of 200 ms); breaks at 516/s: fast enough: all requests: ...`.
    fn sentence(
        &self,
        (holds, breaks): (Option<f64>, Option<f64>),
        ended: Option<SearchEnd>,
    ) -> String {
        let mut parts = Vec::new();
        if let Some(rate) = holds {
            let p95 = self.p95(rate, ProbeOutcome::Held);
            let rate = Rate::new(rate);
            parts.push(match ended {
                Some(SearchEnd::Found) => format!("holds up to {rate}{p95}"),
                Some(SearchEnd::Top) => {
                    format!("holds up to {rate}{p95}, the highest rate that was tried")
                }
                _ => format!("holds at {rate} at least{p95}"),
            });
        }
        if let Some(rate) = breaks {
            let already = if holds.is_none() { "already " } else { "" };
            let p95 = self.p95(rate, ProbeOutcome::Broke);
            let (because, rate) = (self.because(rate), Rate::new(rate));
            parts.push(format!("breaks {already}at {rate}{p95}{because}"));
        }
        parts.extend(self.end(ended));
        parts.join("; ")
    }

    fn of_rate(&self, rate: f64, outcome: ProbeOutcome) -> impl Iterator<Item = &ProbeFinding> {
        let is_it = move |probe: &&ProbeFinding| {
            probe.outcome == outcome && probe.rate.total_cmp(&rate).is_eq()
        };
        self.probes.iter().filter(is_it)
    }

    /// ` (p95 143 ms of 200 ms)`: of several probes the slowest, so that the better one is not shown.
    fn p95(&self, rate: f64, outcome: ProbeOutcome) -> String {
        let all: Option<Vec<u64>> = self.of_rate(rate, outcome).map(|probe| probe.p95).collect();
        let slowest = all.and_then(|all| all.into_iter().max());
        let of = self.limit.map_or_else(String::new, |limit| {
            format!(" of {}", words::duration(ns(limit)))
        });
        slowest.map_or_else(String::new, |p95| {
            format!(" (p95 {}{of})", words::duration(p95))
        })
    }

    fn because(&self, rate: f64) -> String {
        let broken = self.of_rate(rate, ProbeOutcome::Broke).last();
        broken.map_or_else(String::new, |probe| {
            let claim = probe.claim.as_deref().unwrap_or("a claim");
            format!(": {claim}: {}", probe.why)
        })
    }

    /// What kept it from finding more.
    fn end(&self, ended: Option<SearchEnd>) -> Option<String> {
        let last = self.probes.last();
        let rate = last.map_or(self.search.from, |probe| Rate::new(probe.rate));
        match ended {
            Some(SearchEnd::Found | SearchEnd::Top | SearchEnd::Bottom) => None,
            Some(SearchEnd::Generator) => Some(format!(
                "the generator, not the target, was the limit at {rate}: {}",
                last.map_or("", |probe| probe.why.as_str())
            )),
            Some(SearchEnd::NotRecovered) => Some(format!(
                "after {rate} the target did not answer as before within {}",
                duration_to_text(Search::REST_MAX)
            )),
            Some(SearchEnd::Spent) => Some(format!(
                "{} were not enough to narrow it down to {}",
                words::counted(self.probes.len() as u64, "probe"),
                self.search.precision
            )),
            None => Some("the search was cut off".to_owned()),
        }
    }
}

/// The claim on what was found.
pub(super) fn findings(ground: &Ground<'_>, min: Option<Rate>) -> Vec<Finding> {
    let Some(capacity) = ground.capacity else {
        return Vec::new();
    };
    let status = status(capacity, min.map(Rate::per_second));
    let broke = |probe: &&ProbeFinding| probe.outcome == ProbeOutcome::Broke;
    vec![Finding {
        of: format!("search {}", capacity.search),
        status,
        n: capacity.probes.len() as u64,
        bad: capacity.probes.iter().filter(broke).count() as u64,
        allowed: capacity.probes.len() as u64,
        measured: capacity.holds.map_or_else(
            || "no rate held".to_owned(),
            |rate| format!("{} holds", Rate::new(rate)),
        ),
        why: why(capacity, status),
    }]
}

/// With a rate: whether it holds, which the narrowed search may leave open. Without one: whether the
/// search found a limit of the target, or that there is none up to its highest rate.
fn status(capacity: &Capacity, min: Option<f64>) -> Status {
    let is_answered = matches!(
        capacity.ended,
        Some(SearchEnd::Found | SearchEnd::Top | SearchEnd::Bottom)
    );
    // A target that a rate has brought down for good needs no second probe of it.
    let is_down = capacity.ended == Some(SearchEnd::NotRecovered);
    match (min, capacity.holds, capacity.breaks) {
        (Some(min), Some(holds), _) if holds >= min => Status::Held,
        (Some(min), _, Some(breaks)) if breaks <= min && (is_answered || is_down) => {
            Status::NotHeld
        }
        (None, Some(_), _) if is_answered => Status::Held,
        (None, None, Some(_)) if is_answered || is_down => Status::NotHeld,
        _ => Status::Unknown,
    }
}

/// In short: the sentence of the search tells the rest.
fn why(capacity: &Capacity, status: Status) -> String {
    let rate = |rate: Option<f64>| rate.map_or_else(String::new, |it| Rate::new(it).to_string());
    match (status, capacity.ended) {
        (Status::Held, _) => String::new(),
        (Status::NotHeld, _) => format!("{} breaks already", rate(capacity.breaks)),
        (_, None) => "the search was cut off".to_owned(),
        (_, Some(SearchEnd::Generator)) => {
            "the generator, not the target, was the limit".to_owned()
        }
        (_, Some(SearchEnd::NotRecovered)) => "the target did not recover from a probe".to_owned(),
        (_, Some(SearchEnd::Spent)) => "the probes were used up".to_owned(),
        (_, Some(SearchEnd::Found | SearchEnd::Top | SearchEnd::Bottom)) => format!(
            "{} holds and {} breaks, nothing between was tried",
            rate(capacity.holds),
            rate(capacity.breaks)
        ),
    }
}

/// The claim in words.
pub(super) fn target(min: Option<Rate>) -> String {
    min.map_or_else(
        || "a rate that holds".to_owned(),
        |min| format!("holds at {min}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::judge::judge;
    use crate::record::Record;
    use crate::verdict::Verdict;

    const CAPACITY: fn(Option<f64>) -> chaos_plan::plan::Expect =
        |min| chaos_plan::plan::Expect::Capacity {
            min: min.map(Rate::new),
        };

    /// Probes from 30 s on, 7 s each; those from the third on are slow.
    fn run(end: Option<SearchEnd>, min: Option<f64>) -> Run {
        let fast = Run::calm().record().header.plan.claims[0].expect.clone();
        Run::calm()
            .claims(vec![fast, CAPACITY(min)])
            .search(&[(100, 4), (200, 4), (400, 2), (200, 4), (283, 1)], end)
            .answer(|request| {
                let is_slow =
                    |from: u64, lasts: u64| (from..from + lasts).contains(&(request.at / SEC));
                // 400/s from 44 s, 283/s from 56 s on.
                let slow = is_slow(44, 3) || is_slow(56, 2);
                Answer::Ok(if slow { 900 * MS } else { 5 * MS })
            })
    }

    fn verdict(end: Option<SearchEnd>, min: Option<f64>) -> Verdict {
        judge(&run(end, min).record())
    }

    fn status(verdict: &Verdict) -> Status {
        let claim = verdict.claims.iter().find(|claim| claim.kind == "capacity");
        claim.expect("the plan has it").status
    }

    #[test]
    fn everything_a_search_offered_is_accounted_for() {
        let verdict = verdict(Some(SearchEnd::Found), None);
        assert!(verdict.conservation.exact, "{:?}", verdict.conservation);
        let names: Vec<&str> = verdict.stages.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["warm", "main", "find"]);
        let offered: u64 = verdict.stages.iter().map(|stage| stage.offered).sum();
        assert_eq!(offered, verdict.conservation.planned_journeys);
    }

    #[test]
    fn it_finds_what_holds_and_what_breaks() {
        let verdict = verdict(Some(SearchEnd::Found), None);
        let capacity = verdict.capacity.as_ref().expect("a search");
        let outcomes: Vec<ProbeOutcome> = capacity.probes.iter().map(|it| it.outcome).collect();
        let expected = "[Held, Held, Broke, Held, Broke]";
        assert_eq!(format!("{outcomes:?}"), expected, "{capacity:?}");
        assert_eq!(
            (capacity.holds, capacity.breaks),
            (Some(200.0), Some(283.0))
        );
        assert_eq!(status(&verdict), Status::Held, "{:?}", verdict.claims);
        assert!(
            verdict
                .sentence
                .starts_with("Holds up to 200/s (p95 5 ms of 200 ms); breaks at 283/s"),
            "{}",
            verdict.sentence
        );
    }

    #[test]
    fn the_claim_asks_for_a_rate_or_for_an_answer() {
        let found = Some(SearchEnd::Found);
        let spent = Some(SearchEnd::Spent);
        for (end, min, expected) in [
            (found, None, Status::Held),
            (found, Some(200.0), Status::Held),
            (found, Some(250.0), Status::Unknown),
            (found, Some(283.0), Status::NotHeld),
            (spent, None, Status::Unknown),
            (Some(SearchEnd::Generator), None, Status::Unknown),
            (Some(SearchEnd::Generator), Some(150.0), Status::Held),
            (Some(SearchEnd::Generator), Some(400.0), Status::Unknown),
            (None, None, Status::Unknown),
        ] {
            assert_eq!(status(&verdict(end, min)), expected, "{end:?} {min:?}");
        }
    }

    #[test]
    fn what_the_generator_sent_late_breaks_no_rate() {
        let late = run(Some(SearchEnd::Generator), None).late(|request| request.at / SEC >= 44);
        let capacity = judge(&late.record()).capacity.expect("a search");
        assert_eq!(capacity.breaks, None, "{capacity:?}");
        assert_eq!(capacity.probes[2].outcome, ProbeOutcome::Unclear);
    }

    #[test]
    fn a_record_that_is_read_back_says_the_same() {
        let run = run(Some(SearchEnd::Found), None);
        let text: String = run
            .lines()
            .iter()
            .map(|line| line.to_json() + "\n")
            .collect();
        let read = Record::read(text.as_bytes()).expect("a record");
        assert_eq!(judge(&read), judge(&run.record()));
    }
}
