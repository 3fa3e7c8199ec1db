//! The conductor's part of a fault's life: is it time, is it steady, inject, take back.

use std::sync::Arc;
use std::time::Duration;

use chaos_load::clock::now_ns;
use chaos_plan::plan::Moment;
use chaos_platform::InstanceRef;
use chaos_record::event::{Event, FaultChange, NotInjected};
use chaos_record::steady::{self, Steady};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::{ActiveFault, Conductor};
use crate::inject::{self, Applied, NotApplied, Tools};
use crate::state::{Action, Input};

/// A fault that was taken back, or was not.
pub(super) struct Taken {
    fault: usize,
    targets: Vec<InstanceRef>,
    /// What was read from the world, or why it is not known to be so.
    result: Result<Vec<String>, String>,
}

pub(super) type TakingBack = LocalBoxFuture<'static, Taken>;

impl Conductor<'_> {
    /// One that was queued when the run began to stop is not begun any more.
    pub(super) async fn inject(&mut self, fault: usize) -> Vec<Action> {
        if !self.state.may_inject() {
            self.skip(fault, NotInjected::Stopping);
            return self.state.next(&Input::NotInjected { fault });
        }
        match self.try_inject(fault).await {
            Ok(applied) => self.injected(fault, applied),
            Err(not_applied) => self.not_injected(fault, not_applied).await,
        }
    }

    async fn try_inject(&mut self, fault: usize) -> Result<Applied, NotApplied> {
        let plan = Arc::clone(&self.plan);
        let planned = &plan.faults[fault];
        if self.lease_lost || self.lease.is_lost() {
            return Err(NotApplied::before_any_act(
                NotInjected::Stopping,
                &"the guardian is gone: nobody would undo it",
            ));
        }
        let platform = self.platform.as_ref().map(Arc::clone).ok_or_else(|| {
            NotApplied::before_any_act(
                NotInjected::Failed,
                &"nothing was deployed that a fault could hit",
            )
        })?;
        let stopping = self.stopping.clone();
        let tools = Tools {
            platform: platform.as_ref(),
            safety: &plan.safety,
            seed: plan.seed,
            runs_on: plan.platform,
            stopping: &stopping,
        };
        let hurt: Vec<_> = self
            .active
            .iter()
            .flat_map(|active| &active.targets)
            .chain(&self.still_hurt)
            .cloned()
            .collect();
        let targets = self
            .meanwhile(inject::choose(tools, planned, &hurt))
            .await?;
        let names = targets
            .iter()
            .map(|target| target.instance.clone())
            .collect();
        self.fault_event_now(fault, FaultChange::Requested { targets: names });
        self.check_steady(fault)?;
        let first_id = self.next_undo;
        // At most one act for each target, or one for the service.
        self.next_undo += targets.len().max(1) as u64;
        let ledger = self.ledger.clone();
        let apply = inject::apply(tools, &ledger, planned, targets.clone(), first_id);
        let applied = Box::pin(self.meanwhile(apply)).await;
        applied.map_err(|not_applied| NotApplied {
            targets,
            ..not_applied
        })
    }

    fn check_steady(&self, fault: usize) -> Result<(), NotApplied> {
        let load_ns = self.load_ns().unwrap_or(0);
        match steady::before(self.writer.record(), fault, load_ns) {
            Steady::Yes => Ok(()),
            Steady::No(why) | Steady::Unknown(why) => {
                Err(NotApplied::before_any_act(NotInjected::NotSteady, &why))
            }
        }
    }

    fn injected(&mut self, fault: usize, applied: Applied) -> Vec<Action> {
        let load_ns = self
            .load_start_ns
            .map_or(0, |start| applied.at_ns.saturating_sub(start));
        let at = self.run_ns(applied.at_ns);
        let change = match applied.effect {
            Ok(proof) => {
                self.fault_clock.effective(fault, applied.at_ns);
                FaultChange::Effective { proof }
            }
            Err(why) => FaultChange::Unproven { why },
        };
        self.event(
            at,
            Event::Fault {
                fault: self.plan.faults[fault].name.clone(),
                change,
            },
        );
        self.active.push(ActiveFault {
            fault,
            targets: applied.targets,
            undos: applied.undos,
            undone: applied.undone,
            comeback: applied.comeback,
        });
        let mut actions = self.state.next(&Input::Injected { fault, load_ns });
        actions.extend(self.state.next(&Input::Reached {
            fault,
            moment: Moment::Effective,
            load_ns,
        }));
        actions
    }

    async fn not_injected(&mut self, fault: usize, not_applied: NotApplied) -> Vec<Action> {
        let NotApplied {
            reason,
            why,
            targets,
            undos,
            ledger_failed,
        } = not_applied;
        if ledger_failed {
            // Before this one is taken back, which may take minutes.
            let actions = self.environment_failed(why.clone());
            self.take_in(actions);
        }
        self.fault_event_now(fault, FaultChange::NotInjected { reason, why });
        if !undos.is_empty() {
            self.active.push(ActiveFault {
                fault,
                targets,
                undos,
                undone: Vec::new(),
                comeback: Duration::ZERO,
            });
            self.take_back(fault).await;
        }
        self.state.next(&Input::NotInjected { fault })
    }

    pub(super) fn skip(&mut self, fault: usize, reason: NotInjected) {
        let why = match reason {
            NotInjected::TooLate => "what it waits for had not happened in time",
            _ => "the run was ending",
        };
        self.fault_event_now(
            fault,
            FaultChange::NotInjected {
                reason,
                why: why.to_owned(),
            },
        );
    }

    /// Begins to take a fault back; [`Self::taken_back`] hears of its end.
    pub(super) fn undo(&mut self, fault: usize) {
        let not_applied = || Taken {
            fault,
            targets: Vec::new(),
            result: Err("it is not applied".to_owned()),
        };
        let work = self.taking_back(fault);
        self.undoing
            .push(work.unwrap_or_else(|| std::future::ready(not_applied()).boxed_local()));
    }

    pub(super) fn taken_back(&mut self, taken: Taken) -> Vec<Action> {
        let (fault, is_undone) = (taken.fault, taken.result.is_ok());
        self.write_taken_back(taken);
        let mut actions = self.state.next(&Input::Undone { fault });
        // Who waits for it to be undone does not begin beside what is hurt still.
        if is_undone {
            actions.extend(self.state.next(&Input::Reached {
                fault,
                moment: Moment::Undone,
                load_ns: self.load_ns().unwrap_or(0),
            }));
        }
        actions
    }

    /// Takes one applied fault back and waits for it.
    pub(super) async fn take_back(&mut self, fault: usize) {
        if let Some(work) = self.taking_back(fault) {
            let taken = Box::pin(self.meanwhile(work)).await;
            self.write_taken_back(taken);
        }
    }

    /// Waits until nothing is being taken back any more.
    pub(super) async fn all_taken_back(&mut self) {
        let is_undoing = |conductor: &Self| !conductor.undoing.is_empty();
        self.meanwhile_if(std::future::pending::<()>(), is_undoing)
            .await;
    }

    /// The work of taking back one applied fault.
    fn taking_back(&mut self, fault: usize) -> Option<TakingBack> {
        let position = self
            .active
            .iter()
            .position(|active| active.fault == fault)?;
        let active = self.active.remove(position);
        let platform = self.platform.as_ref().map(Arc::clone)?;
        let ledger = self.ledger.clone();
        let work = async move {
            let proof = (active.undone.as_slice(), active.comeback);
            let result = inject::undo(platform.as_ref(), &ledger, &active.undos, proof).await;
            Taken {
                fault,
                targets: active.targets,
                result,
            }
        };
        Some(work.boxed_local())
    }

    fn write_taken_back(&mut self, taken: Taken) {
        let change = match taken.result {
            Ok(proof) => FaultChange::Undone { proof },
            Err(why) => {
                self.still_hurt.extend(taken.targets);
                FaultChange::UndoFailed { why }
            }
        };
        self.fault_event_now(taken.fault, change);
    }

    fn fault_event_now(&mut self, fault: usize, change: FaultChange) {
        let name = self.plan.faults[fault].name.clone();
        let at = self.run_ns(now_ns());
        self.event(
            at,
            Event::Fault {
                fault: name,
                change,
            },
        );
    }
}
