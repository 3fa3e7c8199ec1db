//! The boundary every platform stands behind.
//!
//! Order of use: `deploy`, then any number of `prepare` -> (write the undo ahead) -> `apply` ->
//! `probe` -> `undo`, then `teardown`, which must be callable at any point, also after a failure.
//! Invariant: `prepare` only reads; nothing is changed before its [`Undo`] is in the caller's hands.

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::act::{Act, Capability, InstanceRef, Probe, Reading};
use crate::observation::Observation;
use crate::undo::{Reverted, Undo};

/// A place where a target can run.
#[async_trait]
pub trait Platform: Send + Sync {
    fn capabilities(&self) -> Vec<Capability>;

    /// The stream of observations; the first caller gets it, a second one gets `None`.
    fn observe(&mut self) -> Option<mpsc::Receiver<Observation>>;

    /// Starts everything and waits until each instance is ready.
    async fn deploy(&mut self) -> Result<Deployment, PlatformError>;

    /// How every instance is right now.
    async fn instances(&self) -> Vec<InstanceState>;

    /// Works out how `act` will be undone. Reads only.
    async fn prepare(&self, act: &Act) -> Result<Undo, PlatformError>;

    /// Acts. Returns the instant of the act, `CLOCK_MONOTONIC` nanoseconds.
    async fn apply(&self, act: &Act) -> Result<u64, PlatformError>;

    /// Reads from the world whether something is so.
    async fn probe(&self, probe: &Probe) -> Result<Reading, PlatformError>;

    /// Takes one act back; idempotent.
    async fn undo(&self, undo: &Undo) -> Reverted;

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
    #[error("find {what}")]
    Missing { what: String },
    #[error("{act}: {source}")]
    Io { act: String, source: std::io::Error },
    #[error("talk to the proxy process: {why}")]
    Proxy { why: String },
    #[error("{act}: this platform cannot do that")]
    Unable { act: String },
}
