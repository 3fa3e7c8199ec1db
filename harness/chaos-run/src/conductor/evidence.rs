//! What is gathered beside the load's own measurements: what instances use, which operations were
//! sent, and what the target holds before, after and after a restart of everything.
//!
//! Invariant: none of it can fail a run; what could not be gathered is written down as missing, and
//! the judge makes of it what it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaos_plan::plan::{Audit, Expect, Target};
use chaos_platform::{InstanceUse, Platform};
use chaos_record::audit::{Audited, Reading};
use chaos_record::event::Event;
use chaos_record::usage::{InstanceUsage, Usage};

use super::Conductor;
use crate::audit::{self, AuditError, Read};

/// Limit of one look at what all instances use.
const SAMPLE_LIMIT: Duration = Duration::from_millis(500);
/// The operation log, in the run's folder.
const OPERATIONS: &str = "operations.jsonl";
/// Lines that are written down before anything else is heard: of a million the lease would miss its beats.
const LINES_AT_ONCE: usize = 5_000;

impl Conductor<'_> {
    pub(super) async fn sample_usage(&mut self) {
        let Some(platform) = self.platform.clone() else {
            return;
        };
        let at = self.run_ns(chaos_load::clock::now_ns());
        // A look that takes too long is left out: the next one comes in a second.
        if let Ok(uses) = tokio::time::timeout(SAMPLE_LIMIT, platform.usage()).await {
            let instances = uses.into_iter().map(usage_of).collect();
            self.writer.usage(Usage { at, instances });
        }
    }

    /// Where operations are logged; nowhere if no claim asks for them.
    pub(super) fn operations_path(&self) -> Option<PathBuf> {
        self.audited().map(|_| self.out.join(OPERATIONS))
    }

    /// The audit contract of the target, if a claim is judged by it.
    fn audited(&self) -> Option<Audit> {
        let is_integrity = |expect: &Expect| matches!(expect, Expect::Integrity { .. });
        let claimed = self
            .plan
            .claims
            .iter()
            .any(|claim| is_integrity(&claim.expect));
        match &self.plan.target {
            Target::Deploy(description) if claimed => description.audit.clone(),
            Target::Deploy(_) | Target::Url(_) => None,
        }
    }

    /// What the target holds before the load.
    pub(super) async fn read_before(&mut self) {
        if let (Some(audit), Some(platform)) = (self.audited(), self.platform.clone()) {
            self.event_now(Event::AuditStarted {
                reading: Reading::Before,
            });
            let read = self
                .unless_stopped(audit::read(platform.as_ref(), &audit))
                .await;
            self.write_down(Reading::Before, read).await;
        }
    }

    /// Once the load is over and every fault undone: the operations, what the target holds when it
    /// has come to rest, and again after a restart of all instances.
    pub(super) async fn gather_evidence(&mut self) {
        let Some(audit) = self.audited().filter(|_| self.load_start_ns.is_some()) else {
            return;
        };
        // Without a load that ended by itself it may still be writing them.
        self.drain().await;
        self.take_operations().await;
        // Who stops a run wants it to end: then what was not read is missing.
        if self.interrupts > 0 || self.lease_lost || self.panics > 0 {
            return;
        }
        if self.read_quiet(Reading::After, &audit).await && self.restart_all().await {
            self.read_quiet(Reading::Restarted, &audit).await;
        }
    }

    async fn take_operations(&mut self) {
        let path = self.out.join(OPERATIONS);
        let reading = tokio::task::spawn_blocking(move || chaos_load::read_operations(&path));
        match self.meanwhile(reading).await {
            Ok(Ok(operations)) => {
                let count = operations.len() as u64;
                self.event_now(Event::OperationsLogged { count });
                for (number, operation) in (1..).zip(operations) {
                    self.writer.operation(operation);
                    self.breathe(number).await;
                }
            }
            Ok(Err(error)) => self.operations_missing(&error),
            Err(error) => self.operations_missing(&error),
        }
    }

    fn operations_missing(&mut self, error: &dyn std::fmt::Display) {
        self.event_now(Event::OperationLogFailed {
            why: format!("it cannot be read back: {error}"),
        });
    }

    /// Whether there is a reading now.
    async fn read_quiet(&mut self, reading: Reading, audit: &Audit) -> bool {
        let Some(platform) = self.platform.clone() else {
            return false;
        };
        self.event_now(Event::AuditStarted { reading });
        let read = self
            .unless_stopped(audit::read_at_rest(platform.as_ref(), audit))
            .await;
        self.write_down(reading, read).await
    }

    /// Whether every instance was restarted and is ready again.
    async fn restart_all(&mut self) -> bool {
        let Some(mut platform) = self.platform.take() else {
            return false;
        };
        self.event_now(Event::Restarting);
        let only: &mut dyn Platform =
            Arc::get_mut(&mut platform).expect("whoever borrowed it has ended");
        let restarted = self.unless_stopped(only.restart_all()).await;
        self.platform = Some(platform);
        match restarted {
            Some(Ok(())) => {
                self.event_now(Event::Restarted);
                true
            }
            Some(Err(error)) => self.no_reading(Reading::Restarted, format!("failed to {error}")),
            None => self.no_reading(Reading::Restarted, "the run was stopped".to_owned()),
        }
    }

    async fn write_down(
        &mut self,
        reading: Reading,
        read: Option<Result<Read, AuditError>>,
    ) -> bool {
        match read {
            Some(Ok(read)) => {
                let (quiet, orders) = (read.quiet, read.orders());
                for (number, (service, line)) in (1..).zip(read.answers) {
                    self.writer.audited(Audited {
                        reading,
                        service,
                        line,
                    });
                    self.breathe(number).await;
                }
                self.event_now(Event::AuditRead {
                    reading,
                    quiet,
                    orders,
                });
                true
            }
            Some(Err(error)) => self.no_reading(reading, format!("failed to {error}")),
            None => self.no_reading(reading, "the run was stopped".to_owned()),
        }
    }

    /// Between many lines what waits is heard.
    async fn breathe(&mut self, lines: usize) {
        if lines.is_multiple_of(LINES_AT_ONCE) {
            self.meanwhile(tokio::task::yield_now()).await;
        }
    }

    fn no_reading(&mut self, reading: Reading, why: String) -> bool {
        self.event_now(Event::AuditFailed { reading, why });
        false
    }

    /// Waits for something while everything else is heard; `None` if the user wishes to stop.
    async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        self.meanwhile_if(work, |conductor| conductor.interrupts == 0)
            .await
    }
}

fn usage_of(usage: InstanceUse) -> InstanceUsage {
    InstanceUsage {
        service: usage.service,
        instance: usage.instance,
        incarnation: usage.incarnation,
        cpu_ns: usage.cpu_ns,
        memory: usage.memory,
        descriptors: usage.descriptors,
        connections: usage.connections,
    }
}
