//! Which act is done how, and what proves it: each in a module of its own.
//!
//! Invariant: `prepare` only reads, and asks the API server whether it would take what comes. What was
//! prepared is what is applied: the undo in the ledger is the one that goes onto the object.

use std::sync::PoisonError;

use chaos_plan::plan::Workload;

use super::changed::{self, Asking, Changed};
use super::{FIELD_MANAGER, KubernetesPlatform, Shared, lost, unable};
use crate::act::{Act, Probe, Reading};
use crate::platform::PlatformError;
use crate::undo::{self, Undo, UndoStep};

/// In whose name a drift is made.
const NOBODY: &str = "somebody-else";

impl KubernetesPlatform {
    pub(super) async fn prepare_act(&self, act: &Act) -> Result<Undo, PlatformError> {
        let step = match act {
            Act::Delete { target, .. } | Act::Evict { target } => {
                self.replaceable(target).await?;
                UndoStep::Nothing {
                    instance: target.instance.clone(),
                }
            }
            Act::LimitCpu { target, millicores } => {
                UndoStep::Restore(self.plan_limit(target, *millicores).await?)
            }
            Act::Scale { service, replicas } | Act::Drift { service, replicas } => {
                UndoStep::Restore(self.plan_scale(service, *replicas).await?)
            }
            Act::RollOut { service, to } => {
                UndoStep::Restore(self.plan_rollout(service, to).await?)
            }
            Act::Lose { service, name } => UndoStep::Recreate(self.plan_loss(service, name).await?),
            Act::Signal { .. } | Act::Hold { .. } | Act::Restart { .. } => return Err(unable(act)),
        };
        let undo = Undo {
            version: undo::VERSION,
            mark: self.shared.run.clone(),
            step,
        };
        self.make(act, &undo, true).await?;
        let mut prepared = self
            .shared
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        prepared.retain(|(other, _)| other != act);
        prepared.push((act.clone(), undo.clone()));
        Ok(undo)
    }

    pub(super) async fn apply_act(&self, act: &Act) -> Result<u64, PlatformError> {
        match act {
            Act::Delete { target, grace_s } => self.delete(target, *grace_s).await,
            Act::Evict { target } => self.evict(target).await,
            other => {
                let undo = self.taken(other)?;
                self.charge_janitor(&undo).await?;
                self.make(other, &undo, false).await
            }
        }
    }

    /// What was prepared for an act, once.
    fn taken(&self, act: &Act) -> Result<Undo, PlatformError> {
        let mut prepared = self
            .shared
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let at = prepared.iter().position(|(other, _)| other == act);
        at.map(|at| prepared.remove(at).1)
            .ok_or_else(|| PlatformError::Unable {
                act: format!("do to `{}` what was not prepared", act.on()),
            })
    }

    /// Changes what the undo says it will give back; `dry` asks only whether that would be taken.
    async fn make(&self, act: &Act, undo: &Undo, dry: bool) -> Result<u64, PlatformError> {
        let client = &self.shared.client;
        let manager = match act {
            Act::Drift { .. } => NOBODY,
            _ => FIELD_MANAGER,
        };
        match &undo.step {
            UndoStep::Restore(changed) => {
                changed::set(client, undo, changed, Asking { dry, manager }).await
            }
            UndoStep::Recreate(lost) => lost::lose(client, undo, lost, dry).await,
            _ => Ok(0),
        }
    }

    pub(super) async fn read_probe(&self, probe: &Probe) -> Result<Reading, PlatformError> {
        match probe {
            Probe::Gone { target } => self.is_gone(target).await,
            Probe::Back { target } => self.is_back(target).await,
            Probe::Evicted { target } => self.is_evicted(target).await,
            Probe::Limited { target, millicores } => self.is_limited(target, *millicores).await,
            Probe::Unlimited { target, millicores } => self.is_unlimited(target, *millicores).await,
            Probe::Scaled { service, replicas } => self.is_scaled(service, *replicas).await,
            Probe::Wanted { service, replicas } => self.is_wanted(service, *replicas).await,
            Probe::RolledOut { service, to } => self.is_rolled_out(service, to).await,
            Probe::Whole { service } => self.is_whole(service).await,
            Probe::Lost { name, .. } => self.is_lost(name).await,
            Probe::Found { name, .. } => self.is_found(name).await,
            Probe::Frozen { target } | Probe::Thawed { target } => Err(PlatformError::Unable {
                act: format!("see whether `{}` is stopped", target.instance),
            }),
        }
    }

    /// The workload that makes the pods of a service.
    pub(super) fn workload(&self, service: &str) -> Result<&Workload, PlatformError> {
        let missing = || PlatformError::Missing {
            what: format!("the workload of service `{service}`"),
        };
        let mut all = self.shared.services.iter();
        let found = all
            .find(|known| known.name == service)
            .ok_or_else(missing)?;
        found.pods.workload().ok_or_else(missing)
    }

    /// Whether all pods are there that a workload is to have.
    pub(super) async fn is_whole(&self, service: &str) -> Result<Reading, PlatformError> {
        let workload = self.workload(service)?;
        let progress = self.progress(workload).await?;
        Ok(Reading {
            holds: progress.is_up() && progress.made == progress.wanted,
            seen: format!(
                "{workload}: {} of {} pods are ready",
                progress.ready, progress.wanted
            ),
        })
    }

    /// The undo data of changes of an object of this run's place.
    pub(super) fn changed(
        &self,
        object: changed::Object,
        changes: Vec<super::field::Change>,
    ) -> Changed {
        let Shared { place, .. } = &*self.shared;
        Changed {
            place: place.clone(),
            object,
            changes,
            autoscaler: None,
        }
    }
}
