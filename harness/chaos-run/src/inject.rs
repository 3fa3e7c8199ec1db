//! One fault, from its time having come to its effect being proven, and back.
//!
//! Order: choose targets from the instances as they are now, prepare (reads only), write every undo
//! ahead, apply, prove. Invariant: whatever happens after the first undo was written, the undos come
//! back to the caller, who takes them back.

use std::fmt::Display;
use std::time::Duration;

use chaos_faults::fault::{Breakage, breakage};
use chaos_load::clock::now_ns;
use chaos_plan::plan::{Fault, PlatformName, Safety};
use chaos_platform::{InstanceRef, Pace, Platform, Probe, Reverted, Undo};
use chaos_record::event::NotInjected;
use tokio_util::sync::CancellationToken;

use crate::failpoint;
use crate::ledger::{Entry, LedgerHandle};

/// How long an effect may take to show; a process that dies or stops does so in milliseconds.
const PROOF_LIMIT: Duration = Duration::from_secs(2);
/// Time between two looks.
const PROOF_PAUSE: Duration = Duration::from_millis(5);
/// Beyond a fault's own length and the longest proof of its effect, before the guardian calls it overdue.
const OVERDUE_SLACK: Duration = Duration::from_secs(15);
/// Tries of one undo.
const UNDO_TRIES: u32 = 3;

/// What acting needs.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a platform object")]
pub struct Tools<'a> {
    pub platform: &'a dyn Platform,
    pub safety: &'a Safety,
    pub seed: u64,
    /// What kind of platform it is: some faults are other acts there.
    pub runs_on: PlatformName,
    /// Set once the run is to stop: no further act, no waiting for proof.
    pub stopping: &'a CancellationToken,
}

/// A fault that was applied and has to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub targets: Vec<InstanceRef>,
    /// Instant of the first act, `CLOCK_MONOTONIC` nanoseconds.
    pub at_ns: u64,
    /// Ledger number and undo, in the order of the acts.
    pub undos: Vec<(u64, Undo)>,
    pub undone: Vec<Probe>,
    /// Longest the targets may take to be back beyond a moment, once all is undone.
    pub comeback: Duration,
    /// What was read from the world, or why nothing shows an effect.
    pub effect: Result<Vec<String>, String>,
}

/// Why a fault was not applied, or not wholly; `undos` are to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotApplied {
    pub reason: NotInjected,
    pub why: String,
    /// Those that may have been hit.
    pub targets: Vec<InstanceRef>,
    pub undos: Vec<(u64, Undo)>,
    /// The disk refused to take the undos down: nothing more can be changed safely.
    pub ledger_failed: bool,
}

impl NotApplied {
    pub fn before_any_act(reason: NotInjected, why: &dyn Display) -> Self {
        Self {
            reason,
            why: why.to_string(),
            targets: Vec::new(),
            undos: Vec::new(),
            ledger_failed: false,
        }
    }

    fn failed(why: &dyn Display, undos: Vec<(u64, Undo)>) -> Self {
        Self {
            undos,
            ..Self::before_any_act(NotInjected::Failed, why)
        }
    }

    /// The run is to stop; what was done of it so far is to be taken back.
    fn stopping(undos: Vec<(u64, Undo)>) -> Self {
        Self {
            undos,
            ..Self::before_any_act(NotInjected::Stopping, &"the run was ending")
        }
    }
}

/// Draws the targets of a fault, with the blast radius as it is at this moment.
pub async fn choose(
    tools: Tools<'_>,
    fault: &Fault,
    hurt: &[InstanceRef],
) -> Result<Vec<InstanceRef>, NotApplied> {
    let instances = tools.platform.instances().await;
    let instances = instances.map_err(|error| {
        NotApplied::before_any_act(NotInjected::Failed, &format!("failed to {error}"))
    })?;
    chaos_faults::choose(fault, tools.safety, tools.seed, &instances, hurt)
        .map_err(|refusal| NotApplied::before_any_act(NotInjected::BlastRadius, &refusal))
}

/// Prepares, writes ahead, applies and proves.
pub async fn apply(
    tools: Tools<'_>,
    ledger: &LedgerHandle,
    fault: &Fault,
    targets: Vec<InstanceRef>,
    first_id: u64,
) -> Result<Applied, NotApplied> {
    let breakage = breakage(fault, tools.runs_on, &targets);
    let undos = prepare(tools, &breakage, first_id).await?;
    let pace = pace(tools.platform, &breakage).await;
    write_ahead(ledger, fault, &undos, pace.shows).await?;
    failpoint::reach("ledger.written");
    let mut at_ns = None;
    for (number, act) in breakage.acts.iter().enumerate() {
        if number > 0 {
            let pause = tokio::time::sleep(breakage.between);
            tools.stopping.run_until_cancelled(pause).await;
        }
        if tools.stopping.is_cancelled() {
            return Err(NotApplied::stopping(undos));
        }
        let at = tools
            .platform
            .apply(act)
            .await
            .map_err(|error| NotApplied::failed(&error, undos.clone()))?;
        at_ns.get_or_insert(at);
    }
    failpoint::reach("fault.applied");
    let effect = prove_effect(tools, &breakage.effect, pace.shows).await;
    for (id, _) in undos.iter().filter(|_| effect.is_ok()) {
        // The act is done and its undo is on disk: a disk that refuses this note changes nothing.
        drop(ledger.write(Entry::Effective { id: *id }).await);
    }
    failpoint::reach("fault.effective");
    Ok(Applied {
        targets,
        at_ns: at_ns.unwrap_or_else(now_ns),
        undos,
        undone: breakage.undone,
        comeback: pace.comes_back,
        effect,
    })
}

async fn prepare(
    tools: Tools<'_>,
    breakage: &Breakage,
    first_id: u64,
) -> Result<Vec<(u64, Undo)>, NotApplied> {
    let mut undos = Vec::new();
    for (id, act) in (first_id..).zip(&breakage.acts) {
        let undo = tools
            .platform
            .prepare(act)
            .await
            .map_err(|error| NotApplied::failed(&error, Vec::new()))?;
        undos.push((id, undo));
    }
    Ok(undos)
}

/// How long all acts of a fault may take, one after the other.
async fn pace(platform: &dyn Platform, breakage: &Breakage) -> Pace {
    let mut whole = Pace::default();
    for act in &breakage.acts {
        let one = platform.pace(act).await;
        whole = whole.and(one);
        whole.shows += breakage.between;
    }
    whole
}

async fn write_ahead(
    ledger: &LedgerHandle,
    fault: &Fault,
    undos: &[(u64, Undo)],
    grace: Duration,
) -> Result<(), NotApplied> {
    let overdue_ns = overdue_ns(now_ns(), fault, grace + undoing(undos));
    for (id, undo) in undos {
        let entry = Entry::Intend {
            id: *id,
            fault: fault.name.clone(),
            undo: undo.clone(),
            overdue_ns,
        };
        let written = ledger.write(entry).await;
        written.map_err(|error| NotApplied {
            ledger_failed: true,
            ..NotApplied::failed(&format!("failed to {error}"), undos.to_vec())
        })?;
    }
    Ok(())
}

/// Longest that taking back all of it may take: on a cluster an undo goes on while the API server is away.
fn undoing(undos: &[(u64, Undo)]) -> Duration {
    let once: Duration = undos.iter().map(|(_, undo)| undo.limit()).sum();
    once * UNDO_TRIES
}

/// When a fault that begins now must have been taken back by a harness that works: its undo may
/// come after the longest proof of its effect.
fn overdue_ns(now_ns: u64, fault: &Fault, grace: Duration) -> u64 {
    let lasts = fault.lasts.unwrap_or_default() + PROOF_LIMIT + grace + OVERDUE_SLACK;
    now_ns.saturating_add(u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX))
}

/// Takes everything back, newest first, and reads from the world that it is so. `comeback` is the longest
/// that targets may take to be back beyond a moment.
pub async fn undo(
    platform: &dyn Platform,
    ledger: &LedgerHandle,
    undos: &[(u64, Undo)],
    (undone, comeback): (&[Probe], Duration),
) -> Result<Vec<String>, String> {
    failpoint::reach("undo.started");
    let mut proof = Vec::new();
    let mut failures = Vec::new();
    for (id, undo) in undos.iter().rev() {
        let how = undo_one(platform, undo).await;
        if how.is_clean() {
            proof.push(how.words().to_owned());
        } else {
            failures.push(how.words().to_owned());
        }
        // The undo is done; if the disk refuses the note, guardian and recover do it again, which is harmless.
        drop(ledger.write(Entry::Reverted { id: *id, how }).await);
    }
    failpoint::reach("undo.done");
    match prove(platform, undone, PROOF_LIMIT + comeback).await {
        Ok(seen) => proof.extend(seen),
        Err(why) => failures.push(why),
    }
    if failures.is_empty() {
        Ok(proof)
    } else {
        Err(failures.join("; "))
    }
}

async fn undo_one(platform: &dyn Platform, undo: &Undo) -> Reverted {
    let mut how = platform.undo(undo).await;
    for _ in 1..UNDO_TRIES {
        if how.is_clean() {
            break;
        }
        how = platform.undo(undo).await;
    }
    how
}

/// Waits for the effect, but not beyond the wish to stop.
async fn prove_effect(
    tools: Tools<'_>,
    probes: &[Probe],
    grace: Duration,
) -> Result<Vec<String>, String> {
    tokio::select! {
        biased;
        proof = prove(tools.platform, probes, PROOF_LIMIT + grace) => proof,
        () = tools.stopping.cancelled() => Err("the run was stopped before an effect showed".to_owned()),
    }
}

/// Asks until every probe holds or the limit is over.
async fn prove(
    platform: &dyn Platform,
    probes: &[Probe],
    limit: Duration,
) -> Result<Vec<String>, String> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut seen = Vec::new();
    for probe in probes {
        loop {
            match platform.probe(probe).await {
                Ok(reading) if reading.holds => {
                    seen.push(reading.seen);
                    break;
                }
                Ok(reading) if tokio::time::Instant::now() >= deadline => return Err(reading.seen),
                Err(error) if tokio::time::Instant::now() >= deadline => {
                    return Err(error.to_string());
                }
                Ok(_) | Err(_) => tokio::time::sleep(PROOF_PAUSE).await,
            }
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::{HowMany, Inject, KillSignal, Targets, When};
    use chaos_platform::undo::UndoStep;

    use super::*;

    #[test]
    fn a_slow_proof_does_not_make_a_fault_overdue() {
        let (lasts, grace) = (Duration::from_secs(30), Duration::from_secs(10));
        let fault = Fault {
            name: "f".to_owned(),
            when: When::At(Duration::ZERO),
            lasts: Some(lasts),
            inject: Inject::Kill {
                targets: Targets {
                    service: "api".to_owned(),
                    how_many: HowMany::Count(1),
                },
                signal: KillSignal::Term,
            },
            line: 1,
        };
        let overdue = Duration::from_nanos(overdue_ns(7, &fault, grace) - 7);
        assert_eq!(overdue, lasts + PROOF_LIMIT + grace + OVERDUE_SLACK);
        assert_eq!(overdue_ns(u64::MAX, &fault, grace), u64::MAX);
    }

    #[test]
    fn a_harness_may_try_every_undo_as_often_as_it_does() {
        let undo = Undo {
            version: 1,
            mark: "r".to_owned(),
            step: UndoStep::Nothing {
                instance: "api-1".to_owned(),
            },
        };
        let once = undo.limit();
        assert!(once > Duration::ZERO);
        let both = [(1, undo.clone()), (2, undo)];
        assert_eq!(undoing(&both), once * 2 * UNDO_TRIES);
    }
}
