//! The few numbers and chips of the banner: what a reader takes along in five seconds.
//!
//! Invariant: a number that is not known says so in words and is never 0.

use chaos_plan::plan::Expect;
use chaos_record::verdict::{FaultFinding, Recovery, Status};
use serde::Serialize;

use super::budget::{budgets, times};
use super::evidence::Evidence;
use super::{Mark, Story, Tone};
use crate::clean::clean;
use crate::timeline::{Response, Timeline};
use crate::words;

/// One number of the banner with what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Number {
    pub label: String,
    pub value: String,
    /// What it is measured against, or when it was.
    pub note: String,
    pub tone: Tone,
}

/// The tightest limit on response times that a claim sets, nanoseconds.
pub fn tightest_limit(story: &Story<'_>) -> Option<u64> {
    story
        .plan()
        .limits()
        .first()
        .map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX))
}

/// The numbers of the banner.
pub(super) fn numbers(story: &Story<'_>, timeline: &Timeline) -> Vec<Number> {
    vec![
        slowest_stage(story, timeline),
        bad_requests(story),
        back_to_normal(story),
        budget(story),
        integrity(story),
    ]
}

fn number(label: &str, value: String, note: String, tone: Tone) -> Number {
    Number {
        label: label.to_owned(),
        value,
        note,
        tone,
    }
}

fn against(ns: Option<u64>, limit: Option<u64>) -> Tone {
    match (ns, limit) {
        (Some(ns), Some(limit)) if ns <= limit => Tone::Good,
        (_, Some(_)) => Tone::Bad,
        (_, None) => Tone::Plain,
    }
}

fn slowest_stage(story: &Story<'_>, timeline: &Timeline) -> Number {
    let label = "p95, slowest stage";
    let judged = story.plan().judged_stages();
    let stages = story
        .verdict
        .stages
        .iter()
        .enumerate()
        .filter(|(i, stage)| judged.contains(i) && stage.counts.judged() > 0);
    let Some((_, stage)) = stages.max_by_key(|(_, stage)| stage.p95.unwrap_or(u64::MAX)) else {
        return number(
            label,
            "not known".to_owned(),
            "no judged stage has requests".to_owned(),
            Tone::Unknown,
        );
    };
    let limit = tightest_limit(story);
    let note = limit.map_or_else(String::new, |limit| {
        format!(", limit {}", words::duration(limit))
    });
    let value = words::duration_or(stage.p95, "no answer");
    let worst = worst_second(story, timeline);
    number(
        label,
        value,
        format!(
            "in {}{note}; worst second: {}",
            clean(&stage.name),
            worst.value
        ),
        against(stage.p95, limit),
    )
}

/// The second (or longer bucket) with the highest p95.
pub fn worst_second(story: &Story<'_>, timeline: &Timeline) -> Number {
    let span = if timeline.width == 1 {
        "second".to_owned()
    } else {
        format!("{} s", timeline.width)
    };
    let label = format!("p95, worst {span}");
    let Some(worst) = timeline.worst() else {
        return number(
            &label,
            "not known".to_owned(),
            "nothing was asked".to_owned(),
            Tone::Unknown,
        );
    };
    let p95 = if let Response::Answered(ns) = worst.p95 {
        Some(ns)
    } else {
        None
    };
    let stage = story
        .verdict
        .stages
        .iter()
        .find(|stage| stage.start <= worst.start && worst.start < stage.end);
    let stage = stage.map_or_else(String::new, |stage| format!(", {}", clean(&stage.name)));
    let note = format!("at {}{stage}", words::clock_seconds(worst.start));
    // One slow second breaks no claim by itself: it is shown without a judgement.
    number(
        &label,
        words::duration_or(p95, "no answer"),
        note,
        Tone::Plain,
    )
}

fn bad_requests(story: &Story<'_>) -> Number {
    let requests = &story.verdict.conservation.requests;
    let (bad, judged) = (requests.bad(), requests.judged());
    if judged == 0 {
        let note = "no request was judged";
        return number(
            "Bad requests",
            "not known".to_owned(),
            note.to_owned(),
            Tone::Unknown,
        );
    }
    let note = format!(
        "of {}, {}",
        words::count(judged),
        words::percent_of(bad, judged)
    );
    number("Bad requests", words::count(bad), note, Tone::Plain)
}

fn back_to_normal(story: &Story<'_>) -> Number {
    let label = "Back to normal";
    let within = story
        .plan()
        .claims
        .iter()
        .find_map(|claim| match claim.expect {
            Expect::Recovery { within, .. } => {
                Some(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX))
            }
            _ => None,
        });
    let note = within.map_or_else(
        || "slowest fault".to_owned(),
        |within| format!("slowest fault, limit {}", words::duration(within)),
    );
    let Some(slowest) = story.verdict.faults.iter().max_by_key(|fault| rank(fault)) else {
        return number(
            label,
            "-".to_owned(),
            "no fault was planned".to_owned(),
            Tone::Plain,
        );
    };
    match &slowest.recovery {
        Recovery::Absorbed => number(
            label,
            "at once".to_owned(),
            "shoppers felt no fault".to_owned(),
            Tone::Good,
        ),
        Recovery::Recovered { after, .. } => number(
            label,
            if *after == 0 {
                "at once".to_owned()
            } else {
                words::duration(*after)
            },
            note,
            against(Some(*after), within),
        ),
        Recovery::NotRecovered { longer_than } => number(
            label,
            format!("> {}", words::duration(*longer_than)),
            "run ended before".to_owned(),
            Tone::Bad,
        ),
        Recovery::Unknown { why } => {
            number(label, "not known".to_owned(), clean(why), Tone::Unknown)
        }
    }
}

/// Ranks recoveries from best to worst; unknown beats all, so that it is never hidden by a good one.
fn rank(fault: &FaultFinding) -> (u8, u64) {
    match &fault.recovery {
        Recovery::Absorbed => (0, 0),
        Recovery::Recovered { after, .. } => (1, *after),
        Recovery::NotRecovered { longer_than } => (2, *longer_than),
        Recovery::Unknown { .. } => (3, 0),
    }
}

/// Of the first claim that allows a number of bad ones.
fn budget(story: &Story<'_>) -> Number {
    let label = "Error budget spent";
    let Some(budget) = budgets(story).into_iter().next() else {
        let note = "no claim allows a number of bad ones";
        return number(label, "-".to_owned(), note.to_owned(), Tone::Plain);
    };
    let note = format!(
        "{} bad, {} allowed by \u{201c}{}\u{201d}",
        words::count(budget.bad),
        words::count(budget.allowed),
        budget.claim
    );
    let tone = if budget.bad <= budget.allowed {
        Tone::Good
    } else {
        Tone::Bad
    };
    let value = match budget.spent() {
        Some(spent) => times(spent),
        None if budget.bad == 0 => "0 %".to_owned(),
        None => "all of it".to_owned(),
    };
    number(label, value, note, tone)
}

fn integrity(story: &Story<'_>) -> Number {
    let label = "Integrity";
    let Some(integrity) = &story.verdict.integrity else {
        let note = "no claim on integrity";
        return number(
            label,
            "not checked".to_owned(),
            note.to_owned(),
            Tone::Plain,
        );
    };
    let violations: u64 = integrity.rules.iter().map(|rule| rule.violations).sum();
    let operations = integrity.ok + integrity.failed + integrity.unknown;
    let operations = words::counted(operations, "operation");
    let (value, tone) = match integrity.status {
        Status::Held => ("intact", Tone::Good),
        Status::NotHeld => ("violated", Tone::Bad),
        Status::Unknown | Status::NotJudged => ("not known", Tone::Unknown),
    };
    let is_known = integrity.status == Status::Held;
    let note = match violations {
        0 if is_known => format!("{operations} checked after the run"),
        0 => format!("{operations} sent, not all could be checked"),
        n => format!("{} in {operations}", words::counted(n, "violation")),
    };
    number(label, value.to_owned(), note, tone)
}

/// What the reader may trust, in a word each.
pub(super) fn chips(story: &Story<'_>, evidence: &[Evidence]) -> Vec<Mark> {
    let verdict = story.verdict;
    let judged = || evidence.iter().filter(|line| line.mark.tone != Tone::Plain);
    let (good, all) = (
        judged().filter(|line| line.mark.tone == Tone::Good).count(),
        judged().count(),
    );
    let or = |good: bool, yes: String, no: String| {
        if good {
            Mark::new(Tone::Good, yes)
        } else {
            Mark::new(Tone::Bad, no)
        }
    };
    let trust = format!("trust {good} of {all}");
    let mut chips = vec![or(good == all, trust.clone(), trust)];
    if !verdict.generator.healthy {
        chips.push(Mark::new(Tone::Bad, "generator fell behind"));
    }
    if !verdict.conservation.exact {
        chips.push(Mark::new(Tone::Bad, "requests unaccounted for"));
    }
    chips.push(or(
        verdict.cleanup.verified,
        "clean-up verified".to_owned(),
        "clean-up not verified".to_owned(),
    ));
    chips.push(Mark::new(
        Tone::Plain,
        format!("seed {}", story.plan().seed),
    ));
    chips
}
