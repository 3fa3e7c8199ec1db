//! What store and platform noticed of a fault: the first sign, and when all instances were back.
//!
//! Invariant: only what instances did counts, never the act itself nor what the run took down on purpose.

use std::collections::BTreeSet;

use chaos_plan::plan::Inject;

use crate::event::{Event, InstanceChange, PlatformChange};
use crate::facts::Facts;
use crate::life::Life;
use crate::words;

/// A change of an instance: `(time of the load, service, instance, change)`.
type Change<'a> = (u64, &'a str, &'a str, &'a InstanceChange);

fn changes<'a>(facts: &Facts<'a>) -> impl Iterator<Item = Change<'a>> {
    let start = facts.load_started.unwrap_or(0);
    facts
        .record
        .events
        .iter()
        .filter_map(move |event| match &event.what {
            Event::Instance {
                service,
                instance,
                change,
            } => Some((
                event.at.saturating_sub(start),
                service.as_str(),
                instance.as_str(),
                change,
            )),
            _ => None,
        })
}

/// First sign after the effect and before the next fault, counted from the effect, and which.
pub(super) fn detected(
    facts: &Facts<'_>,
    life: &Life<'_>,
    next: Option<u64>,
) -> Option<(u64, String)> {
    let effective = life.effective?;
    let window = effective..next.unwrap_or(u64::MAX);
    let signs = changes(facts)
        .filter(|(at, ..)| window.contains(at))
        .filter_map(|(at, _, instance, change)| {
            let what = match change {
                InstanceChange::Unready { .. } => "not ready",
                InstanceChange::Exited { asked: false, .. } => "exited",
                InstanceChange::Restarting { .. } => "restarting",
                InstanceChange::Stuck { .. } => "cannot start",
                _ => return None,
            };
            Some((at - effective, format!("{instance} {what}")))
        });
    let of_platform = told(facts)
        .filter(|(at, _)| window.contains(at))
        .filter_map(|(at, change)| Some((at - effective, sign(&life.fault.inject, change)?)));
    signs.chain(of_platform).min_by_key(|(after, _)| *after)
}

/// What the platform told of the target's services, and of nodes.
fn told<'a>(facts: &Facts<'a>) -> impl Iterator<Item = (u64, &'a PlatformChange)> {
    let start = facts.load_started.unwrap_or(0);
    let events = facts.record.events.iter();
    events.filter_map(move |event| match &event.what {
        Event::Platform { service, change } => {
            let counts = service.is_some() || matches!(change, PlatformChange::Node { .. });
            counts.then_some((event.at.saturating_sub(start), change))
        }
        _ => None,
    })
}

/// The words for something that is a sign of a fault.
fn sign(inject: &Inject, change: &PlatformChange) -> Option<String> {
    match change {
        // That its endpoints go with a Service is the fault itself, not that somebody noticed it.
        PlatformChange::Serving { .. } if matches!(inject, Inject::ServiceLost { .. }) => None,
        PlatformChange::Serving { name, was, ready } => {
            let was = (*was)?;
            (*ready < was).then(|| {
                let ready = words::counted(u64::from(*ready), "ready endpoint");
                format!("Service {name} has {ready}, {was} before")
            })
        }
        PlatformChange::Warned { object, reason, .. } => Some(format!("{object}: {reason}")),
        PlatformChange::Node { node, ready, .. } => {
            (!ready).then(|| format!("node {node} not ready"))
        }
        PlatformChange::Autoscaled { .. } | PlatformChange::Unwatched { .. } => None,
    }
}

/// When every instance of the fault's service was ready again, counted from the effect; absent if
/// none was lost or one stayed away.
pub(super) fn capacity(facts: &Facts<'_>, life: &Life<'_>) -> Option<u64> {
    let effective = life.effective?;
    let service = &life.fault.inject.targets().service;
    let mut away: BTreeSet<&str> = BTreeSet::new();
    let mut acted = false;
    for (at, _, instance, change) in changes(facts).filter(|(_, of, ..)| of == service) {
        if at >= effective && !acted {
            acted = true;
            if takes_down(&life.fault.inject) {
                away.extend(life.targets.iter().map(String::as_str));
            }
        }
        match change {
            // With a fault that changes how many there are, fewer are wanted than were there before.
            InstanceChange::Withdrawn { .. } if changes_how_many(&life.fault.inject) => {}
            InstanceChange::Ready | InstanceChange::Withdrawn { .. } => {
                if away.remove(instance) && away.is_empty() && acted {
                    return Some(at - effective);
                }
            }
            InstanceChange::Exited { asked: true, .. }
            | InstanceChange::Started { .. }
            | InstanceChange::Stuck { .. } => {}
            InstanceChange::Unready { .. }
            | InstanceChange::Exited { .. }
            | InstanceChange::Restarting { .. }
            | InstanceChange::Down => {
                away.insert(instance);
            }
        }
    }
    None
}

/// Whether whoever it hits is surely away for a moment. What a cluster is asked to do it may refuse, or do
/// to others than it was thought.
fn takes_down(inject: &Inject) -> bool {
    matches!(
        inject,
        Inject::Kill { .. } | Inject::Stop { .. } | Inject::Restart { .. }
    )
}

fn changes_how_many(inject: &Inject) -> bool {
    matches!(inject, Inject::Scale { .. } | Inject::Drift { .. })
}

#[cfg(test)]
mod tests {
    use crate::event::{InstanceChange as Is, PlatformChange};
    use crate::fixture::{MS, Run, SEC};
    use crate::judge::judge;

    fn exited() -> Is {
        Is::Exited {
            status: "signal 9".to_owned(),
            asked: false,
        }
    }

    fn judged(changes: &[(u64, &str, Is)]) -> (Option<(u64, String)>, Option<u64>) {
        let run = changes
            .iter()
            .fold(Run::kill(), |run, (at, instance, change)| {
                run.instance(*at, instance, change.clone())
            });
        let fault = judge(&run.record()).faults.remove(0);
        (fault.detected_after, fault.capacity_after)
    }

    #[test]
    fn the_exit_of_the_target_is_the_first_sign_and_its_ready_the_capacity() {
        let at = 12 * SEC;
        let (detected, capacity) = judged(&[
            (at + 2 * MS, "api-2", exited()),
            (at + 3 * MS, "api-2", Is::Restarting { after: 0 }),
            (at + 900 * MS, "api-2", Is::Ready),
        ]);
        assert_eq!(detected, Some((2 * MS, "api-2 exited".to_owned())));
        assert_eq!(capacity, Some(900 * MS));
    }

    #[test]
    fn capacity_waits_for_every_instance() {
        let at = 12 * SEC;
        let (_, capacity) = judged(&[
            (
                at - SEC,
                "api-1",
                Is::Unready {
                    why: "503".to_owned(),
                },
            ),
            (at + MS, "api-2", exited()),
            (at + SEC, "api-2", Is::Ready),
            (at + 4 * SEC, "api-1", Is::Ready),
        ]);
        assert_eq!(capacity, Some(4 * SEC));
    }

    fn because(why: &str) -> String {
        why.to_owned()
    }

    #[test]
    fn one_that_cannot_start_is_a_sign_and_nobody_misses_it() {
        let why = because("image `shop:2` cannot be pulled");
        let stuck = Is::Stuck { why };
        let (detected, capacity) = judged(&[(13 * SEC, "api-4", stuck)]);
        assert_eq!(detected, Some((SEC, "api-4 cannot start".to_owned())));
        assert_eq!(capacity, None);
    }

    #[test]
    fn what_the_platform_tells_of_a_service_is_a_sign() {
        let serving = |ready| PlatformChange::Serving {
            name: "front".to_owned(),
            was: Some(2),
            ready,
        };
        let run = Run::kill()
            .platform(12 * SEC - MS, serving(0))
            .platform(12 * SEC + MS, serving(3))
            .platform(12 * SEC + 2 * MS, serving(1));
        let detected = judge(&run.record()).faults.remove(0).detected_after;
        let words = "Service front has 1 ready endpoint, 2 before".to_owned();
        assert_eq!(detected, Some((2 * MS, words)));
    }

    #[test]
    fn whose_place_is_withdrawn_is_not_waited_for() {
        let at = 12 * SEC;
        let why = because("its pod is gone");
        let (_, capacity) = judged(&[
            (at + MS, "api-2", exited()),
            (at + SEC, "api-3", Is::Ready),
            (at + 2 * SEC, "api-2", Is::Withdrawn { why }),
        ]);
        assert_eq!(capacity, Some(2 * SEC));
    }

    #[test]
    fn what_the_run_took_down_itself_is_no_sign() {
        let gone = Is::Exited {
            status: "signal 15".to_owned(),
            asked: true,
        };
        assert_eq!(judged(&[(20 * SEC, "api-1", gone)]), (None, None));
    }

    #[test]
    fn an_instance_that_stays_away_leaves_capacity_open() {
        let (detected, capacity) = judged(&[
            (12 * SEC, "api-2", exited()),
            (12 * SEC + 1, "api-2", Is::Down),
        ]);
        assert!(detected.is_some());
        assert_eq!(capacity, None);
    }
}
