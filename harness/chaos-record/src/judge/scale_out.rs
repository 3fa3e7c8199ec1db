//! The claim that a service scales out in time.
//!
//! Invariant: it holds only if the autoscaler asked for more and they were ready. Whoever was there before
//! does not count, and without an autoscaler that was seen nothing is known.

use std::time::Duration;

use chaos_plan::units::duration_to_text;

use super::claims::Ground;
use super::requests::unbelievable;
use crate::facts::ns;
use crate::scaling::{Replicas, raised, replicas};
use crate::verdict::{Finding, Raise, Status};
use crate::words;

/// What is claimed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimed<'a> {
    pub(super) service: &'a str,
    pub(super) to: Option<u32>,
    pub(super) within: Duration,
    pub(super) stages: &'a [usize],
}

/// The claim in words.
pub(super) fn target(service: &str, to: Option<u32>, within: Duration) -> String {
    let within = duration_to_text(within);
    match to {
        Some(to) => format!("{to} of {service} ready within {within}"),
        None => format!("more of {service} ready within {within}"),
    }
}

/// One finding, of the service.
pub(super) fn findings(ground: &Ground<'_>, claimed: Claimed<'_>) -> Vec<Finding> {
    let all = replicas(&ground.facts.record.events);
    let one = all.iter().find(|one| one.service == claimed.service);
    let (mut status, measured, mut why) = match one {
        Some(one) => decide(ground, claimed, one),
        None => (
            Status::Unknown,
            "not measured".to_owned(),
            format!("no autoscaler of {} was seen", claimed.service),
        ),
    };
    // A generator that could not offer the load gave the autoscaler nothing to go by.
    if let (Status::NotHeld, Some(sick)) = (status, ground.health.sick(claimed.stages)) {
        (status, why) = (Status::Unknown, unbelievable(&sick));
    }
    vec![Finding {
        of: format!("service {}", claimed.service),
        status,
        n: 1,
        bad: u64::from(status == Status::NotHeld),
        allowed: 0,
        measured,
        why,
    }]
}

fn decide(ground: &Ground<'_>, claimed: Claimed<'_>, one: &Replicas) -> (Status, String, String) {
    let stages = &ground.facts.plan.load.stages;
    let first = claimed.stages.first().and_then(|stage| stages.get(*stage));
    let start = first.map_or(0, |stage| ns(stage.start));
    let due = start.saturating_add(ns(claimed.within));
    let unknown = |why: &str| (Status::Unknown, String::new(), why.to_owned());
    let Some(before) = Replicas::at(&one.ready, start) else {
        return unknown("how many were ready before is not known");
    };
    let least = claimed.to.unwrap_or(before.saturating_add(1));
    if before >= least {
        return unknown(&format!(
            "{before} were ready from the start, so nothing had to scale out"
        ));
    }
    let raises = one.raises();
    let asked = raises
        .iter()
        .find(|raise| raise.at >= start && raise.wanted >= least);
    let ready = one.ready_from(start, least);
    let measured = measured(one, asked.or(raises.last()), (start, due));
    match (asked, ready) {
        (None, Some(_)) => {
            let why =
                "more were ready, and the autoscaler had asked before, or not at all".to_owned();
            (Status::Unknown, measured, why)
        }
        (Some(_), Some(ready)) if ready <= due => (Status::Held, measured, String::new()),
        _ if ground.facts.offered() < due => {
            let why = "the run ended before the time was over".to_owned();
            (Status::Unknown, measured, why)
        }
        (_, ready) => (Status::NotHeld, measured, late(ready, (start, due), least)),
    }
}

fn measured(one: &Replicas, raise: Option<&Raise>, (start, due): (u64, u64)) -> String {
    let Some(raise) = raise else {
        let metric = one.metric(due).unwrap_or("it had seen no metric");
        return format!("never asked for more: {metric}");
    };
    raised(raise, start)
}

fn late(ready: Option<u64>, (start, due): (u64, u64), least: u32) -> String {
    let allowed = words::duration(due - start);
    match ready {
        Some(ready) => format!(
            "{least} were ready only after {}, {allowed} were allowed",
            words::duration(ready - start)
        ),
        None => format!("{least} were never ready, {allowed} were allowed"),
    }
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::Expect;

    use super::*;
    use crate::event::{InstanceChange, PlatformChange};
    use crate::fixture::{Run, SEC};
    use crate::judge::judge;
    use crate::verdict::ClaimVerdict;

    /// In ten seconds, from the second stage on.
    fn claim(to: Option<u32>) -> Expect {
        Expect::ScaleOut {
            service: "api".to_owned(),
            to,
            within: Duration::from_secs(10),
            stages: vec![1],
        }
    }

    /// Two are ready; more are asked for at one instant of the load and a third is ready at another.
    fn run(asked: Option<u64>, ready: Option<u64>) -> Run {
        let autoscaled = |was, wanted, cpu: u32| PlatformChange::Autoscaled {
            autoscaler: "api".to_owned(),
            was,
            wanted,
            metric: Some(format!("cpu at {cpu} %, 70 % is meant")),
        };
        let mut run = Run::calm()
            .claims(vec![claim(None)])
            .instance(0, "api-1", InstanceChange::Ready)
            .instance(0, "api-2", InstanceChange::Ready)
            .platform(0, autoscaled(None, 2, 20));
        if let Some(at) = asked {
            run = run.platform(at, autoscaled(Some(2), 3, 90));
        }
        if let Some(at) = ready {
            run = run.instance(at, "api-3", InstanceChange::Ready);
        }
        run
    }

    fn judged(run: &Run) -> ClaimVerdict {
        let claims = judge(&run.record()).claims;
        let mut found = claims.into_iter().filter(|claim| claim.kind == "scale_out");
        found.next().expect("the claim")
    }

    #[test]
    fn it_holds_if_more_were_asked_for_and_ready_in_time() {
        let claim = judged(&run(Some(6 * SEC), Some(9 * SEC)));
        assert_eq!(claim.status, Status::Held, "{claim:?}");
        // The first judged stage begins after 2 s.
        assert_eq!(claim.measured, "asked for 3 after 4 s, ready after 7 s");
    }

    #[test]
    fn too_late_and_never_are_not_held() {
        let late = judged(&run(Some(6 * SEC), Some(13 * SEC)));
        assert_eq!(late.status, Status::NotHeld);
        assert!(
            late.why.contains("only after 11 s, 10 s were allowed"),
            "{}",
            late.why
        );
        let never = judged(&run(None, None));
        assert_eq!(never.status, Status::NotHeld);
        assert_eq!(
            never.measured,
            "never asked for more: cpu at 20 %, 70 % is meant"
        );
    }

    #[test]
    fn without_the_evidence_it_is_unknown() {
        let by_somebody_else = judged(&run(None, Some(9 * SEC)));
        assert_eq!(
            by_somebody_else.status,
            Status::Unknown,
            "{by_somebody_else:?}"
        );
        let unseen = Run::calm().claims(vec![claim(None)]);
        assert_eq!(judged(&unseen).status, Status::Unknown);
        let cut_short = run(None, None).cut_short(11 * SEC);
        assert_eq!(judged(&cut_short).status, Status::Unknown);
        let there_before = run(Some(6 * SEC), Some(9 * SEC));
        let there_before = there_before.claims(vec![claim(Some(2))]);
        assert_eq!(judged(&there_before).status, Status::Unknown);
    }
}
