//! What every fault comes down to.

use std::time::Duration;

use chaos_plan::plan::{Fault, Inject, PlatformName};
use chaos_platform::{Act, Capability, InstanceRef, Probe};
use serde::Serialize;

use crate::{cpu, drift, evict, kill, pause, restart, rollout, scale, service_lost, stop};

/// A fault for drawn targets: its acts, and the questions that prove effect and undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breakage {
    pub acts: Vec<Act>,
    /// From the end of one act to the beginning of the next.
    pub between: Duration,
    /// All must hold after the acts; otherwise the fault had no effect.
    pub effect: Vec<Probe>,
    /// All must hold after the undos; empty if there is nothing to undo.
    pub undone: Vec<Probe>,
}

/// Words about a kind of fault, for the dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Description {
    pub act: &'static str,
    pub undo: &'static str,
    pub proof: &'static str,
}

/// What a fault is made of once its targets are known.
pub fn breakage(fault: &Fault, platform: PlatformName, targets: &[InstanceRef]) -> Breakage {
    let service = &fault.inject.targets().service;
    match &fault.inject {
        Inject::Kill { signal, .. } => kill::breakage(*signal, platform, targets),
        Inject::Pause { .. } => pause::breakage(targets),
        Inject::Stop { .. } => stop::breakage(targets),
        Inject::Restart { pause_between, .. } => restart::breakage(*pause_between, targets),
        Inject::Evict { .. } => evict::breakage(targets),
        Inject::Scale { replicas, .. } => scale::breakage(service, *replicas),
        Inject::Drift { replicas, .. } => drift::breakage(service, *replicas),
        Inject::Rollout { to, .. } => rollout::breakage(service, to),
        Inject::ServiceLost { name, .. } => service_lost::breakage(service, name),
        Inject::Cpu { millicores, .. } => cpu::breakage(*millicores, targets),
    }
}

/// What a platform must be able to do for it.
pub fn needs(inject: &Inject) -> &'static [Capability] {
    match inject {
        Inject::Kill { .. } => kill::NEEDS,
        Inject::Pause { .. } => pause::NEEDS,
        Inject::Stop { .. } => stop::NEEDS,
        Inject::Restart { .. } => restart::NEEDS,
        Inject::Evict { .. } => evict::NEEDS,
        Inject::Scale { .. } => scale::NEEDS,
        Inject::Drift { .. } => drift::NEEDS,
        Inject::Rollout { .. } => rollout::NEEDS,
        Inject::ServiceLost { .. } => service_lost::NEEDS,
        Inject::Cpu { .. } => cpu::NEEDS,
    }
}

/// How it works on a platform, in words.
pub fn describe(inject: &Inject, platform: PlatformName) -> Description {
    match inject {
        Inject::Kill { .. } if platform == PlatformName::Kubernetes => kill::OF_A_POD,
        Inject::Kill { .. } => kill::DESCRIPTION,
        Inject::Pause { .. } => pause::DESCRIPTION,
        Inject::Stop { .. } => stop::DESCRIPTION,
        Inject::Restart { .. } => restart::DESCRIPTION,
        Inject::Evict { .. } => evict::DESCRIPTION,
        Inject::Scale { .. } => scale::DESCRIPTION,
        Inject::Drift { .. } => drift::DESCRIPTION,
        Inject::Rollout { .. } => rollout::DESCRIPTION,
        Inject::ServiceLost { .. } => service_lost::DESCRIPTION,
        Inject::Cpu { .. } => cpu::DESCRIPTION,
    }
}
