//! What all tasks of the local platform share, and what is known of each instance.
//!
//! Invariant: the status of an instance changes before the observation of the change is sent, so
//! whoever has heard an observation does not find an older status.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LocalConfig;
use super::ports::Ports;
use super::power::Power;
use super::process::ProcessId;
use super::proxy;
use crate::observation::Seen;
use crate::observer::Observer;

/// Lives of one instance that questions may be asked about; older ones are forgotten.
const LIVES: usize = 256;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: LocalConfig,
    pub(super) observer: Observer,
    /// Cancelled when teardown begins; nothing is started any more.
    pub(super) stop: CancellationToken,
    /// Cancelled when the data plane is gone.
    pub(super) lost: CancellationToken,
    pub(super) ports: Ports,
    /// Off while all instances are down for a restart of everything.
    pub(super) power: Power,
}

impl Shared {
    /// Says once that the data plane is gone, unless it is being taken down.
    pub(super) async fn lose(&self, why: String) {
        if self.stop.is_cancelled() || self.lost.is_cancelled() {
            return;
        }
        self.lost.cancel();
        tracing::error!(why, "the data plane is lost");
        self.observer
            .tell(proxy::NAME, proxy::NAME, Seen::PlatformLost { why })
            .await;
    }

    /// Folder of a service, shared by its instances.
    pub(super) fn data(&self, service: &str) -> PathBuf {
        self.config.work.join("data").join(service)
    }
}

/// What is known of an instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    /// Counts its lives, from 1; 0 before the first.
    pub(super) incarnation: u32,
    /// Its process, between start and exit.
    pub(super) process: Option<ProcessId>,
    /// Where that process is reached.
    pub(super) address: Option<SocketAddr>,
    /// Since when it has been ready without a break.
    pub(super) ready_since: Option<Instant>,
    /// Since the deploy, or since it was parked last.
    pub(super) was_ready: bool,
    /// Exits and failed starts, since the deploy or since it was parked last.
    pub(super) ends: u32,
    /// It is not started again.
    pub(super) down: bool,
    /// What went wrong last: an exit, or the answer to a readiness probe.
    pub(super) trouble: String,
    /// The power cut for which it was last ended and is, or was, kept from starting; 0 before the first.
    pub(super) parked: u64,
    lives: BTreeMap<u32, ProcessId>,
}

impl Status {
    pub(super) fn begin(&mut self, process: ProcessId, address: SocketAddr) {
        self.incarnation += 1;
        self.lives.insert(self.incarnation, process.clone());
        if self.lives.len() > LIVES {
            self.lives.pop_first();
        }
        self.process = Some(process);
        self.address = Some(address);
        self.ready_since = None;
    }

    pub(super) fn end(&mut self, trouble: String) {
        self.process = None;
        self.address = None;
        self.ready_since = None;
        self.ends = self.ends.saturating_add(1);
        self.trouble = trouble;
    }

    /// Where it is reached, while it is ready.
    pub(super) fn ready_at(&self) -> Option<SocketAddr> {
        self.address.filter(|_| self.ready_since.is_some())
    }

    /// It waits for the power to come back, and begins anew then: nothing is held against it.
    pub(super) fn park(&mut self, cut: u64) {
        self.parked = cut;
        self.was_ready = false;
        self.ends = 0;
        self.down = false;
        self.trouble.clear();
    }

    /// The process of one life, also one that has ended.
    pub(super) fn life(&self, incarnation: u32) -> Option<&ProcessId> {
        self.lives.get(&incarnation)
    }

    /// The process of the life after one.
    pub(super) fn life_after(&self, incarnation: u32) -> Option<&ProcessId> {
        let later = incarnation.checked_add(1)?;
        self.lives.range(later..).next().map(|(_, process)| process)
    }
}
