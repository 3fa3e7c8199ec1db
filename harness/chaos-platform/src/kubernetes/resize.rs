//! CPU: another limit of a running container, set without starting it again.
//!
//! Invariant: the class of service (`QoS`) of the pod stays what it is, since the API refuses anything
//! else; what it runs under is read from what its kubelet reports, not from what was asked for.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::KubernetesPlatform;
use super::changed::{Changed, Kind, Object};
use super::field::{Change, Field, cores};
use crate::act::{InstanceRef, Reading};
use crate::platform::PlatformError;

impl KubernetesPlatform {
    pub(super) async fn plan_limit(
        &self,
        target: &InstanceRef,
        millicores: u32,
    ) -> Result<Changed, PlatformError> {
        let (life, pod) = self.living(target).await?;
        let refused = |why: &str| PlatformError::Cluster {
            act: format!("limit the CPU of pod {}", life.pod),
            why: why.to_owned(),
        };
        let container = self.meant_container(target, &pod);
        let container = container.ok_or_else(|| refused("it has no such container"))?;
        let field = Field::Cpu { container };
        let pod = serde_json::to_value(&pod).expect("it came as JSON");
        let was = field.read(&pod).unwrap_or_default();
        let set = limited(&was, millicores).map_err(refused)?;
        let object = Object {
            kind: Kind::Pod,
            name: life.pod.clone(),
            uid: life.uid.clone(),
        };
        Ok(self.changed(object, vec![Change { field, was, set }]))
    }

    fn meant_container(&self, target: &InstanceRef, pod: &Pod) -> Option<String> {
        let mut all = self.shared.services.iter();
        let meant = all.find(|known| known.name == target.service)?;
        let named = meant.pods.container.clone();
        named.or_else(|| Some(pod.spec.as_ref()?.containers.first()?.name.clone()))
    }

    /// Thousandths of a core under which a container of a life runs; `None` if the life is over.
    async fn actual(&self, target: &InstanceRef) -> Result<Option<(String, Value)>, PlatformError> {
        let life = self.life(target)?;
        let Some(pod) = self.find(&life).await? else {
            return Ok(None);
        };
        let container = self.meant_container(target, &pod);
        let status = pod
            .status
            .as_ref()
            .and_then(|status| status.container_statuses.as_ref());
        let state =
            status.and_then(|all| all.iter().find(|one| Some(&one.name) == container.as_ref()));
        let resources = state.and_then(|state| state.resources.as_ref());
        let resources = serde_json::to_value(resources).expect("it came as JSON");
        Ok(Some((life.pod, cores(&resources, "limits"))))
    }

    pub(super) async fn is_limited(
        &self,
        target: &InstanceRef,
        millicores: u32,
    ) -> Result<Reading, PlatformError> {
        Ok(match self.actual(target).await? {
            None => Reading {
                holds: false,
                seen: format!("the pod of {} is gone", target.instance),
            },
            Some((pod, limit)) => Reading {
                holds: limit == json!(millicores),
                seen: format!(
                    "pod {pod} runs under a CPU limit of {limit}m, as its kubelet reports"
                ),
            },
        })
    }

    pub(super) async fn is_unlimited(
        &self,
        target: &InstanceRef,
        millicores: u32,
    ) -> Result<Reading, PlatformError> {
        let mut reading = self.is_limited(target, millicores).await?;
        reading.holds = !reading.holds;
        Ok(reading)
    }
}

/// Request and limit that keep the class of service, or why there are none.
fn limited(was: &Value, millicores: u32) -> Result<Value, &'static str> {
    let of = |which: &str| was.get(which).and_then(Value::as_u64);
    let wanted = u64::from(millicores);
    let limit = of("limit").ok_or(
        "its container has no CPU limit, and one that is set could not be taken away again",
    )?;
    let request = of("request").unwrap_or(limit);
    if limit == wanted {
        return Err("it has that limit already");
    }
    // A pod whose requests are its limits stays one; another must not become one.
    let request = if request == limit {
        wanted
    } else {
        request.min(wanted - 1).max(1)
    };
    Ok(json!({ "limit": wanted, "request": request }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: Option<u64>, request: Option<u64>, wanted: u32) -> Option<(u64, u64)> {
        let set = limited(&json!({ "limit": limit, "request": request }), wanted).ok()?;
        Some((set["limit"].as_u64()?, set["request"].as_u64()?))
    }

    #[test]
    fn request_and_limit_stay_apart_or_together_as_they_were() {
        assert_eq!(check(Some(500), Some(100), 200), Some((200, 100)));
        assert_eq!(check(Some(500), Some(100), 50), Some((50, 49)));
        assert_eq!(check(Some(500), Some(500), 50), Some((50, 50)));
        assert_eq!(check(Some(500), None, 50), Some((50, 50)));
    }

    #[test]
    fn what_could_not_be_undone_is_refused() {
        assert_eq!(check(None, None, 50), None);
        assert_eq!(check(Some(50), Some(10), 50), None);
    }
}
