//! The end of a run: everything taken back, ended, removed, looked for and written down.

use std::time::Duration;

use chaos_load::clock::now_ns;
use chaos_platform::local::sweep;
use chaos_record::event::Event;
use chaos_record::record::Record;

use super::{Conductor, ticking};
use crate::failpoint;
use crate::lease::BEAT;
use crate::ledger::Entry;
use crate::state::Input;

/// Limit for the processes of the run to be gone after SIGKILL.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);
/// How long a stopped load may take to account for itself.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

impl Conductor<'_> {
    /// Undoes what is still applied, tears down, verifies, closes record and ledger. Runs after every
    /// way out of [`Conductor::play`].
    pub(super) async fn finish(mut self) -> Record {
        self.drain().await;
        while let Some(fault) = self.active.last().map(|active| active.fault) {
            self.take_back(fault).await;
        }
        failpoint::reach("teardown.started");
        let left = self.tear_down().await;
        drop(self.state.next(&Input::TornDown));
        self.event_now(Event::CleanedUp {
            verified: left.is_empty(),
            left: left.clone(),
        });
        let record = self.writer.close(now_ns().saturating_sub(self.zero_ns));
        failpoint::reach("record.closed");
        // From here on the record is whole; what the ledger cannot say any more, the folder's presence says.
        drop(self.ledger.write(&Entry::Closed { left: left.clone() }));
        self.lease.finish().await;
        if left.is_empty() {
            drop(self.ledger.remove());
        }
        record
    }

    /// After a panic the engine may still run: stop it and hear what it has to say.
    async fn drain(&mut self) {
        self.stop_load();
        let deadline = tokio::time::Instant::now() + DRAIN_LIMIT;
        while let Some(engine) = &mut self.engine {
            let next = tokio::select! {
                next = engine.next() => next,
                _ = self.beat.tick() => {
                    self.lease.beat().await;
                    continue;
                }
                () = tokio::time::sleep_until(deadline) => break,
            };
            drop(self.engine_said(next));
        }
    }

    /// Ends everything that was deployed; a second Ctrl-C cuts the grace short. Names what is left.
    async fn tear_down(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(mut platform) = self.platform.take() {
            let outcome = self.tear_down_platform(platform.teardown()).await;
            left.extend(outcome.unwrap_or_default());
        }
        left.extend(
            super::beating(
                &mut self.lease,
                sweep::sweep(&self.run, &[std::process::id()], SWEEP_LIMIT),
            )
            .await,
        );
        if let Err(error) = std::fs::remove_dir_all(&self.work)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            left.push(format!("folder {}: {error}", self.work.display()));
        }
        left
    }

    async fn tear_down_platform(
        &mut self,
        teardown: impl Future<Output = Vec<String>>,
    ) -> Option<Vec<String>> {
        tokio::pin!(teardown);
        let mut beat = ticking(BEAT);
        loop {
            if self.interrupts > 1 {
                return None;
            }
            tokio::select! {
                left = &mut teardown => return Some(left),
                _ = beat.tick() => self.lease.beat().await,
                signal = self.stops.next() => drop(self.interrupted(signal)),
                () = self.lease.lost(), if !self.lease_lost => drop(self.guardian_lost()),
                Some(seen) = super::next_observation(self.observations.as_mut()) => drop(self.observed(seen)),
            }
        }
    }
}
