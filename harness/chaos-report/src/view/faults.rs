//! A card for each fault: what was done, what proves it, what shoppers felt and how it ended.
//!
//! Invariant: what was not observed says "not observed"; it is never shown as 0.

use chaos_plan::Plan;
use chaos_plan::plan::{HowMany, Inject, Rollout, Target};
use chaos_plan::units::duration_to_text;
use chaos_record::CELL_NS;
use chaos_record::event::NotInjected;
use chaos_record::verdict::{FaultFinding, Recovery};
use serde::Serialize;

use super::{Mark, Story, Tone, budgets};
use crate::clean::{clean, clean_all};
use crate::words;

const NOT_OBSERVED: &str = "not observed";

/// What one fault did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultCard {
    /// Names it in the charts.
    pub letter: String,
    pub name: String,
    /// What was planned, such as `kill 1 of 3 api instances with SIGKILL`.
    pub act: String,
    pub mark: Mark,
    /// One sentence: how it ended for shoppers.
    pub summary: String,
    pub targets: String,
    /// Times on the load's clock.
    pub times: Vec<Fact>,
    /// What shoppers and the system felt.
    pub effects: Vec<Fact>,
    pub effect_proof: Vec<String>,
    pub undo_proof: Vec<String>,
    /// What went wrong with the fault itself; empty if nothing did.
    pub trouble: String,
}

/// A label and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    pub label: String,
    pub value: String,
}

fn fact(label: &str, value: impl Into<String>) -> Fact {
    Fact {
        label: label.to_owned(),
        value: value.into(),
    }
}

/// Where a fault lies on the load's clock, nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultSpan {
    pub letter: String,
    pub name: String,
    pub from: u64,
    /// End of the fault itself; `from` for a one-shot fault.
    pub undone: u64,
    /// End of what shoppers felt.
    pub until: u64,
}

/// A fault on the timeline strip, whether or not it took effect. Times are nanoseconds of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultLane {
    pub letter: String,
    pub name: String,
    /// All of it in words.
    pub title: String,
    pub requested: Option<u64>,
    pub effective: Option<u64>,
    pub undone: u64,
    pub until: u64,
}

/// Every fault in the order of their letters.
pub fn fault_lanes(story: &Story<'_>) -> Vec<FaultLane> {
    let lane = |(i, fault): (usize, &FaultFinding)| {
        let span = span(story, i, fault);
        let end = |of: fn(&FaultSpan) -> u64| span.as_ref().map_or(0, of);
        FaultLane {
            letter: words::letter(i),
            name: clean(&fault.name),
            title: format!("{}: {}", clean(&fault.name), summary(fault)),
            requested: fault.requested,
            effective: fault.effective,
            undone: end(|span| span.undone),
            until: end(|span| span.until),
        }
    };
    story.verdict.faults.iter().enumerate().map(lane).collect()
}

/// The spans of all faults that took effect, in the order of their letters.
pub fn spans(story: &Story<'_>) -> Vec<FaultSpan> {
    story
        .verdict
        .faults
        .iter()
        .enumerate()
        .filter_map(|(i, fault)| span(story, i, fault))
        .collect()
}

fn span(story: &Story<'_>, number: usize, fault: &FaultFinding) -> Option<FaultSpan> {
    let from = fault.effective?;
    let end = story.verdict.load_length.max(from);
    let undone = if is_one_shot(story, fault) {
        from
    } else {
        fault.undone.unwrap_or(end).max(from)
    };
    let until = match &fault.recovery {
        Recovery::Absorbed | Recovery::Unknown { .. } => undone,
        Recovery::Recovered { after, .. } => undone.saturating_add(*after),
        Recovery::NotRecovered { .. } => end,
    };
    Some(FaultSpan {
        letter: words::letter(number),
        name: clean(&fault.name),
        from,
        undone: undone.min(end),
        until: until.min(end),
    })
}

fn is_one_shot(story: &Story<'_>, fault: &FaultFinding) -> bool {
    story
        .plan()
        .fault(&fault.name)
        .is_none_or(|planned| planned.lasts.is_none())
}

pub(super) fn cards(story: &Story<'_>) -> Vec<FaultCard> {
    story
        .verdict
        .faults
        .iter()
        .enumerate()
        .map(|(i, fault)| card(story, i, fault))
        .collect()
}

fn card(story: &Story<'_>, number: usize, fault: &FaultFinding) -> FaultCard {
    FaultCard {
        letter: words::letter(number),
        name: clean(&fault.name),
        act: act(story, fault),
        mark: mark(fault),
        summary: summary(fault),
        targets: words::list(&clean_all(&fault.targets)),
        times: times(story, fault),
        effects: effects(story, fault),
        effect_proof: clean_all(&fault.effect_proof),
        undo_proof: clean_all(&fault.undo_proof),
        trouble: clean(fault.trouble.as_deref().unwrap_or_default()),
    }
}

/// What was planned, or the kind of fault if the plan does not know it.
fn act(story: &Story<'_>, fault: &FaultFinding) -> String {
    story.plan().fault(&fault.name).map_or_else(
        || clean(&fault.kind),
        |planned| inject(story.plan(), &planned.inject),
    )
}

/// A planned fault in words: `kill 1 of 3 api instances with SIGKILL`.
pub fn inject(plan: &Plan, inject: &Inject) -> String {
    let targets = inject.targets();
    let replicas = match &plan.target {
        Target::Deploy(description) => description
            .service(&targets.service)
            .map(|service| service.replicas),
        Target::Url(_) => None,
    };
    let hit = match (targets.how_many, replicas) {
        (how_many, Some(all)) => format!("{} of {all}", how_many.of(all)),
        (HowMany::Count(count), None) => count.to_string(),
        (HowMany::Share(share), None) => share.to_string(),
    };
    let instances = format!("{hit} {} instances", clean(&targets.service));
    match inject {
        Inject::Kill { signal, .. } => format!(
            "kill {instances} with SIG{}",
            format!("{signal:?}").to_ascii_uppercase()
        ),
        Inject::Pause { .. } => format!("pause {instances}"),
        Inject::Stop { .. } => format!("stop {instances}"),
        Inject::Restart { pause_between, .. } => {
            let service = clean(&targets.service);
            let pause = match pause_between.as_nanos() {
                0 => String::new(),
                _ => format!(", {} between two", duration_to_text(*pause_between)),
            };
            format!("restart every {service} instance, one at a time{pause}")
        }
        Inject::Evict { .. } => format!("evict {instances}"),
        Inject::Cpu { millicores, .. } => format!("limit {instances} to {millicores}m of CPU"),
        Inject::Scale { replicas, .. } => {
            format!("scale {} to {replicas}", clean(&targets.service))
        }
        Inject::Drift { replicas, .. } => format!(
            "drift the replicas of {} to {replicas}",
            clean(&targets.service)
        ),
        Inject::Rollout { to, .. } => rollout(&targets.service, to),
        Inject::ServiceLost { name, .. } => format!(
            "lose the Service {} of {}",
            clean(name),
            clean(&targets.service)
        ),
    }
}

/// Names, not the values of variables: nobody knows what they hold.
fn rollout(service: &str, to: &Rollout) -> String {
    let image = to
        .image
        .iter()
        .map(|image| format!("image {}", clean(image)));
    let all: Vec<String> = image.chain(to.env.keys().map(|name| clean(name))).collect();
    let service = clean(service);
    if all.is_empty() {
        return format!("roll out {service} again as it is");
    }
    format!("roll out {service} with another {}", all.join(", "))
}

fn mark(fault: &FaultFinding) -> Mark {
    if fault.not_injected.is_some() {
        return Mark::new(Tone::Unknown, "not injected");
    }
    match &fault.recovery {
        Recovery::Absorbed => Mark::new(Tone::Good, "absorbed"),
        Recovery::Recovered { .. } => Mark::new(Tone::Good, "recovered"),
        Recovery::NotRecovered { .. } => Mark::new(Tone::Bad, "not recovered"),
        Recovery::Unknown { .. } => Mark::new(Tone::Unknown, "unknown"),
    }
}

/// How a fault ended for shoppers, in one sentence without its name.
pub fn summary(fault: &FaultFinding) -> String {
    if let Some((reason, why)) = &fault.not_injected {
        return format!("Not injected, {}: {}", not_injected(*reason), clean(why));
    }
    match &fault.recovery {
        Recovery::Absorbed => match fault.excess_bad + fault.caught[1] {
            0 => "It took effect and shoppers felt nothing.".to_owned(),
            bad => format!(
                "It took effect and shoppers felt nothing beyond {}.",
                words::counted(bad, "failed request")
            ),
        },
        Recovery::Recovered { after: 0, relapses } if *relapses > 0 => {
            format!(
                "Nothing was felt at first; {} later.",
                words::counted(*relapses, "disturbance")
            )
        }
        Recovery::Recovered { after, relapses } => format!(
            "{} Back to normal after {}{}.",
            felt(fault),
            words::duration(*after),
            relapse(*relapses)
        ),
        Recovery::NotRecovered { longer_than } => format!(
            "{} Not back to normal when the run ended, {} later.",
            felt(fault),
            words::duration(*longer_than)
        ),
        Recovery::Unknown { why } => format!("Not known: {}", clean(why)),
    }
}

fn felt(fault: &FaultFinding) -> String {
    match fault.symptom_after {
        None => "No symptom was observed.".to_owned(),
        Some(ns) if ns < CELL_NS => {
            format!("Felt within {} of its effect.", words::duration(CELL_NS))
        }
        Some(ns) => format!("Felt {} after it took effect.", words::duration(ns)),
    }
}

/// When shoppers first felt it; what they feel is known by cells.
fn symptom(after: Option<u64>) -> String {
    match after {
        None => NOT_OBSERVED.to_owned(),
        Some(ns) if ns < CELL_NS => format!("within {}", words::duration(CELL_NS)),
        Some(ns) => format!("after {}", words::duration(ns)),
    }
}

fn relapse(relapses: u64) -> String {
    if relapses == 0 {
        String::new()
    } else {
        format!(", with {}", words::counted(relapses, "relapse"))
    }
}

fn not_injected(reason: NotInjected) -> &'static str {
    match reason {
        NotInjected::NotSteady => "not steady before it",
        NotInjected::BlastRadius => "beyond the blast radius",
        NotInjected::TooLate => "too late",
        NotInjected::Failed => "could not be applied",
        NotInjected::Stopping => "the run was stopping",
    }
}

fn times(story: &Story<'_>, fault: &FaultFinding) -> Vec<Fact> {
    let at = |time: Option<u64>| time.map_or_else(|| NOT_OBSERVED.to_owned(), words::clock);
    let mut times = vec![
        fact("Requested", at(fault.requested)),
        fact("Took effect", at(fault.effective)),
    ];
    if !is_one_shot(story, fault) {
        times.push(fact("Undone", at(fault.undone)));
    }
    times
}

fn effects(story: &Story<'_>, fault: &FaultFinding) -> Vec<Fact> {
    // Without an effect there is nothing to count: 0 and "no answer" would both be untrue.
    let counted = |text: String| {
        if fault.effective.is_some() {
            text
        } else {
            NOT_OBSERVED.to_owned()
        }
    };
    let after = |time: Option<u64>| {
        time.map_or_else(
            || NOT_OBSERVED.to_owned(),
            |ns| format!("after {}", words::duration(ns)),
        )
    };
    let detected = fault.detected_after.as_ref().map_or_else(
        || NOT_OBSERVED.to_owned(),
        |(ns, what)| format!("after {} ({})", words::duration(*ns), clean(what)),
    );
    let [caught_ok, caught_bad] = fault.caught;
    vec![
        fact("Shoppers felt it", symptom(fault.symptom_after)),
        fact("System noticed it", detected),
        fact("All instances ready again", after(fault.capacity_after)),
        fact("Back to normal", back_to_normal(&fault.recovery)),
        fact(
            "Worst p95 in one second",
            counted(words::duration_or(fault.worst_p95, "no answer")),
        ),
        fact(
            "Bad beyond the usual",
            counted(words::counted(fault.excess_bad, "request")),
        ),
        fact("Error budget it spent", counted(spent(story, fault))),
        fact(
            "Caught in flight",
            counted(format!(
                "{} answered, {} bad",
                words::count(caught_ok),
                words::count(caught_bad)
            )),
        ),
        fact("Before it", reference(fault)),
    ]
}

/// Of the first claim on errors, else of the first with a budget in requests.
fn spent(story: &Story<'_>, fault: &FaultFinding) -> String {
    budgets(story).first().map_or_else(
        || "no claim has one".to_owned(),
        |budget| budget.share_of(fault.excess_bad),
    )
}

fn back_to_normal(recovery: &Recovery) -> String {
    match recovery {
        Recovery::Absorbed => "never left it".to_owned(),
        Recovery::Recovered { after: 0, relapses } => format!("at once{}", relapse(*relapses)),
        Recovery::Recovered { after, relapses } => {
            format!("after {}{}", words::duration(*after), relapse(*relapses))
        }
        Recovery::NotRecovered { longer_than } => {
            format!("> {} (run ended)", words::duration(*longer_than))
        }
        Recovery::Unknown { .. } => "not known".to_owned(),
    }
}

fn reference(fault: &FaultFinding) -> String {
    fault.reference.as_ref().map_or_else(
        || NOT_OBSERVED.to_owned(),
        |reference| {
            format!(
                "p95 {}, {} bad of {} in {}",
                words::duration_or(reference.p95, "no answer"),
                words::count(reference.bad),
                words::count(reference.requests),
                words::duration(reference.until.saturating_sub(reference.from)),
            )
        },
    )
}
