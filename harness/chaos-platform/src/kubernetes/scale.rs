//! Scale and drift: another number of pods than a workload had.
//!
//! Invariant: an autoscaler that keeps the number is known before it is changed, so that the undo gives
//! no fewer than it keeps and leaves what it set itself.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use chaos_plan::plan::Workload;

use super::changed::{self, Changed, Kind, Object};
use super::field::{Change, Field};
use super::{KubernetesPlatform, Shared};
use crate::act::Reading;
use crate::platform::PlatformError;

impl KubernetesPlatform {
    pub(super) async fn plan_scale(
        &self,
        service: &str,
        replicas: u32,
    ) -> Result<Changed, PlatformError> {
        let workload = self.workload(service)?;
        let (object, found) = self.look_at_workload(workload).await?;
        let was = Field::Replicas.read(&found).unwrap_or_default();
        let set = json!(replicas);
        if was == set {
            return Err(PlatformError::Cluster {
                act: format!("scale {workload}"),
                why: format!("it has {replicas} replicas already"),
            });
        }
        let change = Change {
            field: Field::Replicas,
            was,
            set,
        };
        let autoscaler = self.autoscaler(workload).await?;
        Ok(Changed {
            autoscaler,
            ..self.changed(object, vec![change])
        })
    }

    /// A workload as it is now.
    pub(super) async fn look_at_workload(
        &self,
        workload: &Workload,
    ) -> Result<(Object, serde_json::Value), PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let kind = Kind::of(workload.kind);
        let found = changed::version(client, place, (kind, &workload.name)).await?;
        let found = found.ok_or_else(|| PlatformError::Missing {
            what: workload.to_string(),
        })?;
        let uid = changed::uid(&found).unwrap_or_default().to_owned();
        let object = Object {
            kind,
            name: workload.name.clone(),
            uid,
        };
        Ok((object, found))
    }

    /// The autoscaler that keeps the number of a workload's pods.
    async fn autoscaler(&self, workload: &Workload) -> Result<Option<String>, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &place.namespace);
        let parameters = ListParams::default();
        let listing = api.list(&parameters);
        let all = place.answer("list the autoscalers", listing).await?.items;
        let keeps = |one: &HorizontalPodAutoscaler| {
            one.spec.as_ref().is_some_and(|spec| {
                let of = &spec.scale_target_ref;
                of.name == workload.name && of.kind.eq_ignore_ascii_case(workload.kind.name())
            })
        };
        Ok(all
            .into_iter()
            .find(keeps)
            .and_then(|one| one.metadata.name))
    }

    /// How many pods of a service are there and stay.
    pub(super) async fn is_scaled(
        &self,
        service: &str,
        replicas: u32,
    ) -> Result<Reading, PlatformError> {
        let pods = self.all_pods().await?;
        let of_it = pods.iter().filter_map(|pod| self.shared.meant(pod));
        let stay = of_it
            .filter(|(of, seen)| of == service && !seen.leaving)
            .count();
        let plural = if stay == 1 {
            "pod of it stays"
        } else {
            "pods of it stay"
        };
        Ok(Reading {
            holds: stay == replicas as usize,
            seen: format!("{}: {stay} {plural}", self.workload(service)?),
        })
    }

    /// How many pods a service is to have.
    pub(super) async fn is_wanted(
        &self,
        service: &str,
        replicas: u32,
    ) -> Result<Reading, PlatformError> {
        let workload = self.workload(service)?;
        let wanted = self.progress(workload).await?.wanted;
        Ok(Reading {
            holds: u32::try_from(wanted) == Ok(replicas),
            seen: format!("{workload} is to have {wanted} pods"),
        })
    }
}
