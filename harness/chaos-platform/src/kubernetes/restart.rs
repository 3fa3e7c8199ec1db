//! Restarts everything for the last reading of an audit, as `kubectl rollout restart` would.
//!
//! Invariant: bounded in time; pods that go meanwhile are told as asked for. Of a service that is found
//! by labels alone each pod is deleted with its own grace, and its controller makes another.

use std::time::Duration;

use chaos_plan::plan::{Find, Workload, WorkloadKind};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{FIELD_MANAGER, KubernetesPlatform, Shared};
use crate::act::InstanceRef;
use crate::platform::PlatformError;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

impl KubernetesPlatform {
    pub(super) async fn roll_all(&mut self) -> Result<(), PlatformError> {
        if !self.deployed || self.shared.stop.is_cancelled() {
            return Err(PlatformError::Unable {
                act: "restart what is not deployed".to_owned(),
            });
        }
        self.shared.slots.send_modify(|slots| slots.asked = true);
        let rolled = self.roll().await;
        self.shared.slots.send_modify(|slots| slots.asked = false);
        rolled
    }

    async fn roll(&self) -> Result<(), PlatformError> {
        let at = Timestamp::now().to_string();
        let mut workloads = Vec::new();
        for service in &self.shared.services {
            match &service.pods.find {
                Find::Workload(workload) => {
                    self.touch(workload, &at).await?;
                    workloads.push(workload);
                }
                Find::Labels(_) => self.replace_pods(&service.name).await?,
            }
        }
        self.until_rolled(&workloads).await
    }

    /// Changes the template of a workload, so that its controller replaces every pod.
    async fn touch(&self, workload: &Workload, at: &str) -> Result<(), PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let (name, namespace) = (&workload.name, &place.namespace);
        let annotations = json!({ "chaos.dev/restarted-at": at });
        let patch =
            json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
        let patch = Patch::Merge(&patch);
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let act = format!("restart {workload}");
        match workload.kind {
            WorkloadKind::Deployment => {
                let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
                place
                    .answer(&act, api.patch(name, &parameters, &patch))
                    .await?;
            }
            WorkloadKind::StatefulSet => {
                let api: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
                place
                    .answer(&act, api.patch(name, &parameters, &patch))
                    .await?;
            }
        }
        Ok(())
    }

    async fn replace_pods(&self, service: &str) -> Result<(), PlatformError> {
        let states = self.look_at_pods().await?;
        let lives: Vec<InstanceRef> = states
            .into_iter()
            .filter(|state| state.target.service == service)
            .map(|state| state.target)
            .collect();
        for life in &lives {
            self.delete(life, None).await?;
        }
        let deadline = Instant::now() + self.shared.patience;
        for life in &lives {
            while !self.is_back(life).await?.holds {
                if Instant::now() >= deadline {
                    return Err(self.not_back(&life.instance));
                }
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Given up when nothing changed for as long as a service may take to be ready.
    async fn until_rolled(&self, workloads: &[&Workload]) -> Result<(), PlatformError> {
        let mut last = (String::new(), Instant::now());
        loop {
            let mut progress = Vec::new();
            for workload in workloads {
                let told = self.progress_if_told(workload).await?;
                progress.push((workload.to_string(), told.unwrap_or_default()));
            }
            let Some((first, _)) = progress.iter().find(|(_, progress)| !progress.is_up()) else {
                return Ok(());
            };
            let state = format!("{progress:?}");
            if state != last.0 {
                last = (state, Instant::now());
            } else if last.1.elapsed() >= self.shared.patience {
                return Err(self.not_back(first));
            }
            sleep(LOOK).await;
        }
    }

    fn not_back(&self, what: &str) -> PlatformError {
        PlatformError::NotReady {
            instance: what.to_owned(),
            within: chaos_plan::units::duration_to_text(self.shared.patience),
            why: "its new pods are not ready".to_owned(),
        }
    }
}
