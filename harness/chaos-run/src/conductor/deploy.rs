//! The conductor's part of a deploy: it waits, and hears everything meanwhile.

use std::sync::Arc;

use chaos_platform::{Deployment, Platform};
use chaos_record::event::Event;

use super::Conductor;
use crate::failpoint;
use crate::ledger::{Entry, LedgerHandle};
use crate::state::{Action, Input, Phase};

/// What the ledger calls the deploy where it names a fault.
const TARGET: &str = "the target";

/// Writes ahead what outlives this process, and deploys; in words, why not.
async fn announced(
    platform: &mut dyn Platform,
    ledger: LedgerHandle,
    id: u64,
) -> Result<Deployment, String> {
    let prepared = platform.prepare_deploy().await;
    let undo = prepared.map_err(|error| format!("failed to {error}"))?;
    if let Some(undo) = undo {
        let entry = Entry::Intend {
            id,
            fault: TARGET.to_owned(),
            undo,
            // It stays for as long as the run does.
            overdue_ns: u64::MAX,
        };
        let written = ledger.write(entry).await;
        written.map_err(|error| format!("failed to {error}"))?;
    }
    failpoint::reach("deploy.announced");
    platform
        .deploy()
        .await
        .map_err(|error| format!("failed to {error}"))
}

impl Conductor<'_> {
    pub(super) async fn deploy(&mut self) -> Vec<Action> {
        self.event_now(Event::DeployStarted);
        failpoint::reach("deploy.started");
        let Some(mut platform) = self.platform.take() else {
            return self.state.next(&Input::Deployed);
        };
        let only = Arc::get_mut(&mut platform).expect("nobody else holds it before the load");
        let ledger = self.ledger.clone();
        let id = self.next_undo;
        self.next_undo += 1;
        let is_deploying = |conductor: &Self| conductor.state.phase() == Phase::Deploy;
        let work = announced(only, ledger, id);
        let deployed = Box::pin(self.meanwhile_if(work, is_deploying)).await;
        self.platform = Some(platform);
        match deployed {
            None => Vec::new(),
            Some(Ok(deployment)) => {
                self.address = deployment.address;
                self.hear_what_was_seen();
                self.event_now(Event::Deployed);
                failpoint::reach("deploy.done");
                if let Some(audience) = &mut self.audience {
                    audience.deployed(&self.address);
                }
                if self.hold {
                    return Vec::new();
                }
                Box::pin(self.read_before()).await;
                self.state.next(&Input::Deployed)
            }
            Some(Err(what)) => {
                self.event_now(Event::EnvironmentFailed { what });
                self.state.next(&Input::DeployFailed)
            }
        }
    }

    /// Writes down what was seen before the deploy was done, so that the record keeps its order.
    fn hear_what_was_seen(&mut self) {
        while let Some(seen) = self
            .observations
            .as_mut()
            .and_then(|seen| seen.try_recv().ok())
        {
            let actions = self.observed(seen);
            self.take_in(actions);
        }
    }
}
