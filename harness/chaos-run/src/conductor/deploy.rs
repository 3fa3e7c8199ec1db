//! The conductor's part of a deploy: it waits, and hears everything meanwhile.

use std::sync::Arc;

use chaos_platform::{Deployment, PlatformError};
use chaos_record::event::Event;

use super::{Conductor, LOOK, ticking};
use crate::failpoint;
use crate::state::{Action, Input, Phase};

impl Conductor<'_> {
    pub(super) async fn deploy(&mut self) -> Vec<Action> {
        self.event_now(Event::DeployStarted);
        failpoint::reach("deploy.started");
        let Some(mut platform) = self.platform.take() else {
            return self.state.next(&Input::Deployed);
        };
        let only = Arc::get_mut(&mut platform).expect("nobody else holds it before the load");
        let deployed = Box::pin(self.while_deploying(only.deploy())).await;
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
            Some(Err(error)) => {
                self.event_now(Event::EnvironmentFailed {
                    what: format!("failed to {error}"),
                });
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

    /// Waits for the deploy while everything else is heard; `None` if the run is to stop before it is done.
    async fn while_deploying(
        &mut self,
        deploy: impl Future<Output = Result<Deployment, PlatformError>>,
    ) -> Option<Result<Deployment, PlatformError>> {
        tokio::pin!(deploy);
        let mut look = ticking(LOOK);
        loop {
            let heard = tokio::select! {
                deployed = &mut deploy => return Some(deployed),
                heard = self.hear(&mut look) => heard,
            };
            let actions = self.react(heard).await;
            self.take_in(actions);
            if self.state.phase() != Phase::Deploy {
                return None;
            }
        }
    }
}
