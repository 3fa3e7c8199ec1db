//! Which instances a fault hits, and whether that stays within the blast radius.
//!
//! Invariant: chosen immediately before the act from the instances as they are then. Those already
//! unhealthy or under another fault count against the limit, and the last healthy one is never hit
//! unless the scenario allows an outage of the service.

use chaos_plan::chance;
use chaos_plan::plan::{Fault, Inject, Safety};
use chaos_platform::{InstanceRef, InstanceState};
use rand::RngExt;
use thiserror::Error;

/// Why no target could be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error(
        "only {healthy} of {all} {service} instances are healthy and free of faults; {wanted} are wanted"
    )]
    TooFew {
        service: String,
        healthy: usize,
        all: usize,
        wanted: usize,
    },
    #[error(
        "{down} of {all} {service} instances would be down, more than safety.max_share {limit} (safety.allow_outage: [{service}] lifts it)"
    )]
    BeyondShare {
        service: String,
        down: usize,
        all: usize,
        limit: String,
    },
    #[error(
        "no healthy {service} instance would be left (safety.allow_outage: [{service}] allows it)"
    )]
    LastHealthy { service: String },
}

/// Draws the fault's targets from `instances`; `hurt` are those under other active faults.
pub fn choose(
    fault: &Fault,
    safety: &Safety,
    seed: u64,
    instances: &[InstanceState],
    hurt: &[InstanceRef],
) -> Result<Vec<InstanceRef>, Refusal> {
    let wanted = fault.inject.targets();
    let service = || wanted.service.clone();
    let of_service: Vec<&InstanceState> = instances
        .iter()
        .filter(|instance| instance.target.service == wanted.service)
        .collect();
    let mut healthy: Vec<&InstanceRef> = of_service
        .iter()
        .filter(|instance| instance.ready)
        .map(|instance| &instance.target)
        .collect();
    healthy.retain(|target| !hurt.iter().any(|other| other.instance == target.instance));
    let all = of_service.len();
    let count = fault.inject.takes(u32::try_from(all).unwrap_or(u32::MAX)) as usize;
    let whole = fault.inject.is_of_service();
    if count > healthy.len() || count == 0 && !whole {
        return Err(Refusal::TooFew {
            service: service(),
            healthy: healthy.len(),
            all,
            wanted: count,
        });
    }
    if !safety.allow_outage.contains(&wanted.service) {
        let down = all - healthy.len() + count;
        if down as f64 > safety.max_share.ratio() * all as f64 + 1e-9 {
            return Err(Refusal::BeyondShare {
                service: service(),
                down,
                all,
                limit: safety.max_share.to_string(),
            });
        }
        if count == healthy.len() && count > 0 {
            return Err(Refusal::LastHealthy { service: service() });
        }
    }
    if whole {
        // Which of them go is for the platform to say.
        healthy.sort();
        return Ok(healthy.into_iter().cloned().collect());
    }
    if let Inject::Restart { .. } = fault.inject {
        return all_in_turn(&wanted.service, all, healthy);
    }
    Ok(draw(&fault.name, seed, healthy, count))
}

/// Every instance, all of which must be healthy: with one away already, two would be.
fn all_in_turn(
    service: &str,
    all: usize,
    mut healthy: Vec<&InstanceRef>,
) -> Result<Vec<InstanceRef>, Refusal> {
    if healthy.len() < all {
        return Err(Refusal::TooFew {
            service: service.to_owned(),
            healthy: healthy.len(),
            all,
            wanted: all,
        });
    }
    healthy.sort();
    Ok(healthy.into_iter().cloned().collect())
}

/// `count` of `from`, without order from the seed and the fault's name.
fn draw(fault: &str, seed: u64, mut from: Vec<&InstanceRef>, count: usize) -> Vec<InstanceRef> {
    let mut chance = chance::stream(seed, &format!("targets of {fault}"));
    from.sort();
    let mut drawn: Vec<InstanceRef> = (0..count)
        .map(|_| from.remove(chance.random_range(0..from.len())).clone())
        .collect();
    drawn.sort();
    drawn
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::{HowMany, KillSignal, Targets, When};
    use chaos_plan::units::Share;

    use super::*;

    fn fault(how_many: HowMany) -> Fault {
        let targets = Targets {
            service: "api".to_owned(),
            how_many,
        };
        Fault {
            name: "f".to_owned(),
            when: When::At(std::time::Duration::ZERO),
            lasts: None,
            inject: Inject::Kill {
                targets,
                signal: KillSignal::Kill,
            },
            line: 1,
        }
    }

    fn instances(ready: &[bool]) -> Vec<InstanceState> {
        let state = |(i, ready): (usize, &bool)| InstanceState {
            target: InstanceRef {
                service: "api".to_owned(),
                instance: format!("api-{}", i + 1),
                incarnation: 1,
            },
            ready: *ready,
            pid: None,
        };
        ready.iter().enumerate().map(state).collect()
    }

    fn safety(allow_outage: &[&str]) -> Safety {
        let allow_outage = allow_outage.iter().map(|name| (*name).to_owned()).collect();
        Safety {
            abort_if: None,
            max_share: Share::from_ratio(0.5),
            allow_outage,
        }
    }

    fn check(
        how_many: HowMany,
        ready: &[bool],
        allow: &[&str],
        hurt: &[InstanceRef],
    ) -> Result<usize, Refusal> {
        choose(&fault(how_many), &safety(allow), 1, &instances(ready), hurt)
            .map(|targets| targets.len())
    }

    fn scaled(to: u32, ready: &[bool], allow: &[&str]) -> Result<usize, Refusal> {
        let mut scale = fault(HowMany::Count(1));
        scale.inject = Inject::Scale {
            targets: scale.inject.targets().clone(),
            replicas: to,
        };
        let chosen = choose(&scale, &safety(allow), 1, &instances(ready), &[]);
        chosen.map(|targets| targets.len())
    }

    #[test]
    fn a_service_is_scaled_as_a_whole_by_as_many_as_there_are_now() {
        assert_eq!(scaled(2, &[true; 3], &[]), Ok(3), "one of three goes");
        assert_eq!(scaled(5, &[true; 3], &[]), Ok(3), "none goes");
        assert!(matches!(
            scaled(1, &[true; 5], &[]),
            Err(Refusal::BeyondShare { down: 4, .. })
        ));
        assert!(scaled(0, &[true; 1], &[]).is_err());
        assert_eq!(scaled(0, &[true; 3], &["api"]), Ok(3));
    }

    #[test]
    fn one_of_three_is_within_half() {
        assert_eq!(check(HowMany::Count(1), &[true; 3], &[], &[]), Ok(1));
        assert_eq!(
            check(HowMany::Share(Share::from_ratio(0.5)), &[true; 4], &[], &[]),
            Ok(2)
        );
    }

    #[test]
    fn the_unhealthy_and_the_hurt_count_against_the_share() {
        let refused = |result| {
            assert!(
                matches!(result, Err(Refusal::BeyondShare { .. })),
                "{result:?}"
            );
        };
        refused(check(HowMany::Count(2), &[true; 3], &[], &[]));
        refused(check(HowMany::Count(1), &[true, true, false], &[], &[]));
        let hurt = [instances(&[true])[0].target.clone()];
        refused(check(HowMany::Count(1), &[true; 3], &[], &hurt));
        assert_eq!(check(HowMany::Count(1), &[true; 3], &["api"], &hurt), Ok(1));
    }

    #[test]
    fn the_last_healthy_one_is_never_hit_unless_allowed() {
        assert!(check(HowMany::Count(1), &[true], &[], &[]).is_err());
        assert_eq!(check(HowMany::Count(1), &[true], &["api"], &[]), Ok(1));
        assert!(matches!(
            check(HowMany::Count(2), &[true], &["api"], &[]),
            Err(Refusal::TooFew { .. })
        ));
    }

    #[test]
    fn a_rolling_restart_takes_all_in_turn_and_none_if_one_is_away() {
        let rolling = Fault {
            inject: Inject::Restart {
                targets: fault(HowMany::Count(1)).inject.targets().clone(),
                pause_between: std::time::Duration::ZERO,
            },
            ..fault(HowMany::Count(1))
        };
        let choose = |ready: &[bool], allow: &[&str]| {
            let chosen = choose(&rolling, &safety(allow), 1, &instances(ready), &[])?;
            Ok(chosen
                .into_iter()
                .map(|target| target.instance)
                .collect::<Vec<_>>())
        };
        assert_eq!(
            choose(&[true; 3], &[]).expect("all"),
            ["api-1", "api-2", "api-3"]
        );
        assert!(matches!(
            choose(&[true], &[]),
            Err(Refusal::BeyondShare { .. })
        ));
        assert_eq!(choose(&[true], &["api"]).expect("allowed"), ["api-1"]);
        let one_away = choose(&[true, false, true, true, true], &["api"]);
        assert!(
            matches!(one_away, Err(Refusal::TooFew { wanted: 5, .. })),
            "{one_away:?}"
        );
    }

    #[test]
    fn the_seed_decides_which() {
        let names = |seed| {
            choose(
                &fault(HowMany::Count(1)),
                &safety(&[]),
                seed,
                &instances(&[true; 8]),
                &[],
            )
            .expect("enough")
        };
        assert_eq!(names(5), names(5));
        assert!((0..20).any(|seed| names(seed) != names(5)));
    }
}
