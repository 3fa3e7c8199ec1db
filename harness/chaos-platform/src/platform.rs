//! The boundary every platform stands behind.
//!
//! Order of use: `deploy`, then any number of `prepare` -> (write the undo ahead) -> `apply` ->
//! `probe` -> `undo`, then `teardown`, which must be callable at any point, also after a failure.
//! Invariant: `prepare` only reads; nothing is changed before its [`Undo`] is in the caller's hands.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::act::{Act, Capability, InstanceRef, Probe, Reading};
use crate::http;
use crate::observation::Observation;
use crate::undo::{Reverted, Undo};

/// A place where a target can run.
#[async_trait]
pub trait Platform: Send + Sync {
    fn capabilities(&self) -> Vec<Capability>;

    /// The stream of observations; the first caller gets it, a second one gets `None`.
    fn observe(&mut self) -> Option<mpsc::Receiver<Observation>>;

    /// What deploying will change that outlives this process, as the undo that takes it back. Reads only;
    /// whoever calls it writes it ahead. `None` where everything dies with the harness.
    async fn prepare_deploy(&mut self) -> Result<Option<Undo>, PlatformError> {
        Ok(None)
    }

    /// Starts everything and waits until each instance is ready.
    async fn deploy(&mut self) -> Result<Deployment, PlatformError>;

    /// How every instance is right now, read from the world; one that is missing is not ready.
    async fn instances(&self) -> Result<Vec<InstanceState>, PlatformError>;

    /// Works out how `act` will be undone. Reads only.
    async fn prepare(&self, act: &Act) -> Result<Undo, PlatformError>;

    /// Acts. Returns the instant of the act, `CLOCK_MONOTONIC` nanoseconds.
    async fn apply(&self, act: &Act) -> Result<u64, PlatformError>;

    /// Reads from the world whether something is so.
    async fn probe(&self, probe: &Probe) -> Result<Reading, PlatformError>;

    /// How long the target may take to follow `act`. Reads only.
    async fn pace(&self, act: &Act) -> Pace;

    /// Takes one act back; idempotent.
    async fn undo(&self, undo: &Undo) -> Reverted;

    /// Where the harness itself reaches a ready instance of a service, `http://host:port`; `None`
    /// while none is ready. To be asked for anew each time: a life may end, and its address with it.
    async fn address(&self, service: &str) -> Option<String>;

    /// What a ready instance of `service` answers to `GET path`, at most `body_max` bytes.
    async fn get(
        &self,
        service: &str,
        path: &str,
        body_max: usize,
    ) -> Result<Vec<u8>, PlatformError> {
        let refused = |why: String| PlatformError::NoAnswer {
            service: service.to_owned(),
            why,
        };
        let address = self.address(service).await;
        let address = address.ok_or_else(|| refused("no instance of it is ready".to_owned()))?;
        let authority = address
            .strip_prefix("http://")
            .unwrap_or(&address)
            .to_owned();
        let answer = http::get(authority, path, body_max)
            .await
            .map_err(refused)?;
        if !answer.status.is_success() {
            return Err(refused(format!(
                "`{path}` answered {}",
                answer.status.as_u16()
            )));
        }
        Ok(answer.body.map_err(refused)?.into())
    }

    /// What every running instance uses now. Cheap enough to be asked once a second; an instance that
    /// cannot be read is left out.
    async fn usage(&self) -> Vec<InstanceUse>;

    /// Ends every instance, gracefully first, then starts them all and waits until each is ready, so that
    /// only what was stored outlives it. Where the platform decides, none begins its new life before all
    /// have ended their old one; Kubernetes replaces them in the order its workloads ask for. What was
    /// left down comes back too, and earlier restarts are forgotten. Bounded in time; given up halfway,
    /// the instances that ended come back all the same.
    async fn restart_all(&mut self) -> Result<(), PlatformError>;

    /// Ends everything, gracefully first, and names what is left behind. Bounded in time.
    async fn teardown(&mut self) -> Vec<String>;
}

/// A target that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Base address for shoppers, `http://host:port`.
    pub address: String,
}

/// One instance as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceState {
    pub target: InstanceRef,
    pub ready: bool,
    /// Process id where there is one on this machine.
    pub pid: Option<u32>,
}

/// What one life of an instance uses, with the processes it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceUse {
    pub service: String,
    pub instance: String,
    /// Counts the lives of this instance, from 1.
    pub incarnation: u32,
    /// CPU time since the life began, nanoseconds; as exact as the platform counts it (locally 10 ms).
    pub cpu_ns: u64,
    /// Resident memory, bytes.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u32,
    /// Open connections, or what grows and shrinks with them (locally: open sockets).
    pub connections: u32,
}

/// How long a target may take beyond a moment, such as the grace of who is asked to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Until the effect of an act shows.
    pub shows: Duration,
    /// Until all is back, once the act was undone.
    pub comes_back: Duration,
}

impl Pace {
    /// Of two acts, one after the other.
    #[must_use]
    pub fn and(self, next: Self) -> Self {
        Self {
            shows: self.shows + next.shows,
            comes_back: self.comes_back + next.comes_back,
        }
    }
}

/// Why a platform could not do something; completes "failed to ...".
#[derive(Debug, Error)]
pub enum PlatformError {
    #[error("start `{instance}`: {why}")]
    Start { instance: String, why: String },
    #[error("get `{instance}` ready within {within}: {why}")]
    NotReady {
        instance: String,
        within: String,
        why: String,
    },
    #[error("end `{instance}`: {why}")]
    Stop { instance: String, why: String },
    #[error("find {what}")]
    Missing { what: String },
    #[error("{act}: {source}")]
    Io { act: String, source: std::io::Error },
    #[error("talk to the proxy process: {why}")]
    Proxy { why: String },
    #[error("ask `{service}`: {why}")]
    NoAnswer { service: String, why: String },
    #[error("{act}: {why}")]
    Cluster { act: String, why: String },
    /// Nobody answered, or only to say that it cannot now: the same may succeed later.
    #[error("{act}: {why}")]
    Unreachable { act: String, why: String },
    #[error("{act}: this platform cannot do that")]
    Unable { act: String },
}
