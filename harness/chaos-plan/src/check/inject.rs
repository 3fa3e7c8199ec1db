//! What is broken: from the scenario's words to a planned fault, and whether the platform can do it.
//!
//! Invariant: what comes out names a service of the target, says what all it takes, and can be done on
//! the platform of the plan.

use std::collections::BTreeMap;

use super::radius;
use super::target::{Reach, Role};
use crate::diagnostic::{Diagnostics, Span, codes, quote};
use crate::file::cluster_fault as form;
use crate::file::located::Located;
use crate::file::scenario;
use crate::plan::{
    HowMany, Inject, KillSignal, PlatformName, Rollout, Targets, WorkloadKind, is_object_name,
};
use crate::units::Share;

/// Why a fault has no length, where it has none.
pub(super) fn one_shot(inject: &scenario::Inject) -> Option<&'static str> {
    match inject {
        scenario::Inject::Kill(_) => Some("the restart policy brings the instances back"),
        scenario::Inject::Restart(_) => {
            Some("it takes as long as the instances need, one after the other")
        }
        scenario::Inject::Evict(_) => Some("what owns the pods makes others"),
        scenario::Inject::Pause(_)
        | scenario::Inject::Stop(_)
        | scenario::Inject::Scale(_)
        | scenario::Inject::Drift(_)
        | scenario::Inject::Rollout(_)
        | scenario::Inject::ServiceLost(_)
        | scenario::Inject::Cpu(_) => None,
    }
}

/// What a fault is, if its words are good.
pub(super) fn planned(
    inject: &scenario::Inject,
    reach: &Reach,
    problems: &mut Diagnostics,
) -> Option<Inject> {
    let service = reach.service(inject.service(), problems).cloned();
    let role = service.as_ref().and_then(|service| reach.role(service));
    let how_many = how_many(inject, role, problems);
    let targets = || {
        Some(Targets {
            service: service.clone()?,
            how_many: how_many?,
        })
    };
    match inject {
        scenario::Inject::Kill(kill) => Some(Inject::Kill {
            targets: targets()?,
            signal: kill.signal.or(KillSignal::Kill)?,
        }),
        scenario::Inject::Pause(_) => Some(Inject::Pause {
            targets: targets()?,
        }),
        scenario::Inject::Stop(_) => Some(Inject::Stop {
            targets: targets()?,
        }),
        scenario::Inject::Restart(restart) => Some(Inject::Restart {
            targets: targets()?,
            pause_between: restart.pause_between.or_text(scenario::PAUSE_BETWEEN)?,
        }),
        scenario::Inject::Evict(_) => Some(Inject::Evict {
            targets: targets()?,
        }),
        scenario::Inject::Scale(scale) => Some(Inject::Scale {
            targets: targets()?,
            replicas: *scale.replicas.get()?,
        }),
        scenario::Inject::Drift(scale) => Some(Inject::Drift {
            targets: targets()?,
            replicas: *scale.replicas.get()?,
        }),
        scenario::Inject::Rollout(given) => {
            let to = rollout(given, problems);
            Some(Inject::Rollout {
                targets: targets()?,
                to: to?,
            })
        }
        scenario::Inject::ServiceLost(lost) => {
            let name = service_object(lost, problems);
            Some(Inject::ServiceLost {
                targets: targets()?,
                name: name?,
            })
        }
        scenario::Inject::Cpu(cpu) => Some(Inject::Cpu {
            targets: targets()?,
            millicores: millicores(*cpu.limit.get()?),
        }),
    }
}

/// How many instances a fault takes away at most at a time.
fn how_many(
    inject: &scenario::Inject,
    role: Option<&Role>,
    problems: &mut Diagnostics,
) -> Option<HowMany> {
    match inject {
        scenario::Inject::Kill(kill) => radius::how_many(&kill.count, &kill.share, problems),
        scenario::Inject::Pause(pause) => radius::how_many(&pause.count, &pause.share, problems),
        scenario::Inject::Stop(stop) => radius::how_many(&stop.count, &stop.share, problems),
        scenario::Inject::Evict(evict) => radius::how_many(&evict.count, &evict.share, problems),
        scenario::Inject::Cpu(cpu) => radius::how_many(&cpu.count, &cpu.share, problems),
        scenario::Inject::Restart(_) | scenario::Inject::Rollout(_) => Some(HowMany::Count(1)),
        scenario::Inject::ServiceLost(_) => Some(HowMany::Share(Share::from_ratio(1.0))),
        scenario::Inject::Scale(scale) | scenario::Inject::Drift(scale) => {
            let there = role?.replicas?;
            let wanted = *scale.replicas.get()?;
            if wanted == there {
                same_number(scale, there, problems);
                return None;
            }
            Some(HowMany::Count(there.saturating_sub(wanted)))
        }
    }
}

fn same_number(scale: &form::Scale, there: u32, problems: &mut Diagnostics) {
    let service = scale.service.get().map_or("", String::as_str);
    let problem = codes::NO_CHANGE
        .at(
            scale.replicas.span,
            format!("{} has {there} already", quote(service)),
        )
        .label("would change nothing");
    problems.add(problem.help(format!(
        "write another number, for example `replicas: {}`",
        there / 2
    )));
}

fn rollout(given: &form::Rollout, problems: &mut Diagnostics) -> Option<Rollout> {
    let image = match given.image.given() {
        None => None,
        Some(image) => Some(image.get()?.0.0.clone()),
    };
    let mut env = BTreeMap::new();
    if let Some(all) = given.env.given() {
        for (name, value) in all.get()?.iter() {
            env.insert(env_name(name, problems)?, value.get()?.0.clone());
        }
    }
    Some(Rollout { image, env })
}

/// As a cluster takes it (`IsEnvVarName` of Kubernetes, narrowed to what a shell can name as well).
fn env_name(name: &Located<String>, problems: &mut Diagnostics) -> Option<String> {
    let text = name.get()?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins && text.chars().all(good) {
        return Some(text.clone());
    }
    let problem = codes::BAD_NAME.at(
        name.span,
        format!("{} cannot be the name of a variable", quote(text)),
    );
    problems.add(problem.help("use letters, digits and `_`, a letter first"));
    None
}

fn service_object(given: &form::ServiceLost, problems: &mut Diagnostics) -> Option<String> {
    if let Some(name) = given.name.given() {
        return Some(name.get()?.0.0.clone());
    }
    let name = given.service.get()?;
    if is_object_name(name) {
        return Some(name.clone());
    }
    let problem = codes::BAD_NAME.at(
        given.service.span,
        format!("no Service can be named {}", quote(name)),
    );
    problems.add(problem.help("say which one it is: `service_lost: { service: ..., name: NAME }`"));
    None
}

/// Cores in thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the schema has it between 0.01 and 64"
)]
fn millicores(cores: f64) -> u32 {
    (cores * 1_000.0).round() as u32
}

/// Refuses a fault that cannot be done on the plan's platform, and names one where it can.
pub(super) fn check_platform(
    inject: &Inject,
    (platform, reach): (PlatformName, &Reach),
    span: Span,
    problems: &mut Diagnostics,
) {
    let refused = match platform {
        PlatformName::Kubernetes => of_cluster(inject, reach),
        PlatformName::Local | PlatformName::Compose => inject.is_of_cluster().then(|| {
            let what = format!(
                "`{}` is done through the API of Kubernetes, which platform `{}` does not have",
                inject.kind(),
                if platform == PlatformName::Local {
                    "local"
                } else {
                    "compose"
                }
            );
            (
                what,
                "run it with `--platform kubernetes`, or write `platform: kubernetes`".to_owned(),
            )
        }),
    };
    if let Some((what, help)) = refused {
        problems.add(codes::NOT_ON_PLATFORM.at(span, what).help(help));
    }
}

/// What cannot be done to pods through the API, and what to do instead.
fn of_cluster(inject: &Inject, reach: &Reach) -> Option<(String, String)> {
    match inject {
        Inject::Kill {
            signal: KillSignal::Kill | KillSignal::Term,
            ..
        }
        | Inject::Evict { .. }
        | Inject::ServiceLost { .. }
        | Inject::Cpu { .. } => None,
        Inject::Kill { .. } => Some((
            "only `KILL` and `TERM` can be asked for through the API of Kubernetes".to_owned(),
            "write `signal: KILL` (no grace) or `signal: TERM` (the pod's own grace)".to_owned(),
        )),
        Inject::Stop { targets } => {
            let has = reach.role(&targets.service)?.replicas?;
            let left = has.saturating_sub(targets.how_many.of(has));
            Some((
                "`stop` cannot be done on platform `kubernetes`".to_owned(),
                format!(
                    "write `scale: {{ service: {}, replicas: {left} }}`, which takes as many pods away for as long, or run it with `--platform local`",
                    targets.service
                ),
            ))
        }
        Inject::Pause { .. } | Inject::Restart { .. } => Some((
            format!("`{}` cannot be done on platform `kubernetes`", inject.kind()),
            "use `kill`, `evict`, `scale`, `rollout`, `service_lost` or `cpu`, or run it with `--platform local`".to_owned(),
        )),
        Inject::Scale { targets, .. } | Inject::Drift { targets, .. } => {
            let has = reach.role(&targets.service)?.workload;
            has.is_none().then(|| without_workload(inject, "deployment/NAME"))
        }
        Inject::Rollout { targets, .. } => {
            let has = reach.role(&targets.service)?.workload;
            (has != Some(WorkloadKind::Deployment))
                .then(|| without_workload(inject, "deployment/NAME"))
        }
    }
}

fn without_workload(inject: &Inject, wanted: &str) -> (String, String) {
    let service = quote(&inject.targets().service);
    let what = format!(
        "`{}` changes the workload of a service, and that of {service} is not known or of another kind",
        inject.kind()
    );
    let help = format!("give {service} `kubernetes: {{ workload: {wanted} }}` in the description");
    (what, help)
}
