//! Keeps single instances away, and restarts them one by one.
//!
//! Invariant: an instance is away only as long as somebody says so: a hold is in memory, so it ends with
//! the harness, and a restart that is given up halfway lets its instance go.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::instance::KILLED;
use super::process::ProcessId;
use super::supervisor::Status;
use super::teardown::SLACK;
use super::{LocalPlatform, Member};
use crate::act::{InstanceRef, Reading};
use crate::clock::monotonic_ns;
use crate::platform::PlatformError;
use crate::undo::Reverted;

/// Keeps an instance away until it is dropped.
struct Held<'a>(&'a watch::Sender<bool>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl LocalPlatform {
    /// Ends exactly this life in order, and no other begins until [`release`](Self::release).
    pub(super) fn hold(&self, target: &InstanceRef) -> Result<u64, PlatformError> {
        self.living(target)?;
        let member = self.member(target)?;
        let at_ns = monotonic_ns();
        member.hold.send_replace(true);
        Ok(at_ns)
    }

    /// Lets an instance start again.
    pub(super) fn release(&self, instance: &str) -> Reverted {
        let member = self
            .members
            .iter()
            .find(|member| member.instance == instance);
        if member.is_some_and(|member| member.hold.send_replace(false)) {
            return Reverted::Restored {
                proof: format!("{instance} may start again"),
            };
        }
        Reverted::Clean {
            proof: format!("nobody keeps {instance} away"),
        }
    }

    /// Ends this life in order and waits until the next is ready; refused while another instance of the
    /// service is not, so that never more than one is away.
    pub(super) async fn restart_one(&self, target: &InstanceRef) -> Result<u64, PlatformError> {
        if let Some(other) = self.unready_beside(target) {
            return Err(PlatformError::Stop {
                instance: target.instance.clone(),
                why: format!("`{other}` of the same service is not ready, so two would be away"),
            });
        }
        let member = self.member(target)?;
        let at_ns = self.hold(target)?;
        let held = Held(&member.hold);
        let ended = |status: &Status| status.process.is_none();
        member.reaches(member.stop + KILLED + SLACK, ended).await?;
        drop(held);
        let life = target.incarnation;
        let ready = |status: &Status| status.incarnation > life && status.ready_since.is_some();
        member.reaches(member.ready_within, ready).await?;
        Ok(at_ns)
    }

    fn unready_beside(&self, target: &InstanceRef) -> Option<&str> {
        let mut beside = self.members.iter().filter(|member| {
            member.service == target.service && member.instance != target.instance
        });
        let away = beside.find(|member| !member.is_there())?;
        Some(&away.instance)
    }

    /// Whether a later life of the instance runs and is ready.
    pub(super) fn back(&self, target: &InstanceRef) -> Result<Reading, PlatformError> {
        let status = self.member(target)?.status.borrow();
        let instance = &target.instance;
        let later = status.incarnation > target.incarnation;
        let Some(process) = status.process.as_ref().filter(|_| later) else {
            return Ok(Reading {
                holds: false,
                seen: format!("{instance} has not begun another life: {}", status.trouble),
            });
        };
        let alive = process.is_alive().map_err(|source| PlatformError::Io {
            act: format!("read in /proc how `{instance}` ({process}) is"),
            source,
        })?;
        let ready = status.ready_since.is_some();
        Ok(Reading {
            holds: alive && ready,
            seen: match (alive, ready) {
                (true, true) => format!("{process} runs and is ready"),
                (true, false) => format!("{process} runs and is not ready: {}", status.trouble),
                (false, _) => format!("{process} is gone"),
            },
        })
    }
}

impl Member {
    /// Ready, and neither asked to go nor gone without anybody having noticed yet.
    fn is_there(&self) -> bool {
        let status = self.status.borrow();
        let alive = |process: &ProcessId| process.is_alive().unwrap_or(false);
        status.ready_since.is_some()
            && status.process.as_ref().is_some_and(alive)
            && !*self.hold.borrow()
    }

    async fn reaches(
        &self,
        within: Duration,
        wanted: impl FnMut(&Status) -> bool,
    ) -> Result<(), PlatformError> {
        let mut status = self.status.clone();
        let failed = |why: String| PlatformError::Stop {
            instance: self.instance.clone(),
            why,
        };
        match timeout(within, status.wait_for(wanted)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(failed("nobody looks after it any more".to_owned())),
            Err(_) => Err(failed(format!(
                "it has not gone or come back within {within:?}: {}",
                self.status.borrow().trouble
            ))),
        }
    }
}
