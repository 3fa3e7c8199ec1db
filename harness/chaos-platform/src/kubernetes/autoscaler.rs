//! What the autoscalers of a target want, and by which metric.
//!
//! Invariant: pure. An autoscaler is of the service whose workload it scales; others are not told.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
};

use super::Shared;
use super::follow::Follower;
use super::slots::Told;
use super::words::shortened;
use crate::observation::{PlatformChange, Seen};

/// What one version of an autoscaler says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Says {
    name: String,
    /// Kind and name of the workload it scales.
    scales: (String, String),
    /// Absent until its controller has looked once.
    wanted: Option<u32>,
    metric: Option<String>,
}

/// Tells what an autoscaler wants whenever that or its metric changes.
#[derive(Debug, Default)]
pub(super) struct Autoscalers {
    known: BTreeMap<String, (u32, Option<String>)>,
}

impl Autoscalers {
    fn changed(&mut self, service: String, says: Says) -> Vec<Told> {
        let Some(wanted) = says.wanted else {
            return Vec::new();
        };
        let now = (wanted, says.metric.clone());
        let before = self.known.insert(says.name.clone(), now.clone());
        if before.as_ref() == Some(&now) {
            return Vec::new();
        }
        let seen = PlatformChange::Autoscaled {
            autoscaler: says.name,
            was: before.map(|(was, _)| was),
            wanted,
            metric: says.metric,
        };
        vec![(service, String::new(), Seen::Platform(seen))]
    }
}

impl Follower for Autoscalers {
    type Object = HorizontalPodAutoscaler;
    type Small = Says;

    fn small(&self, object: HorizontalPodAutoscaler) -> Option<Says> {
        read(&object)
    }

    fn all(&mut self, shared: &Shared, all: Vec<Says>) -> Vec<Told> {
        self.known
            .retain(|name, _| all.iter().any(|says| says.name == *name));
        let all = all.into_iter();
        all.flat_map(|says| self.there(shared, says)).collect()
    }

    fn there(&mut self, shared: &Shared, says: Says) -> Vec<Told> {
        let service = shared.services.iter().find(|service| {
            let (kind, name) = (says.scales.0.as_str(), says.scales.1.as_str());
            service.pods.workload().is_some_and(|workload| {
                workload.name == name && workload.kind.name() == kind.to_ascii_lowercase()
            })
        });
        match service {
            Some(service) => self.changed(service.name.clone(), says),
            None => Vec::new(),
        }
    }

    fn gone(&mut self, _: &Shared, says: Says) -> Vec<Told> {
        self.known.remove(&says.name);
        Vec::new()
    }
}

fn read(object: &HorizontalPodAutoscaler) -> Option<Says> {
    let spec = object.spec.as_ref()?;
    let status = object.status.clone().unwrap_or_default();
    let scales = &spec.scale_target_ref;
    let targets = spec.metrics.as_deref().unwrap_or_default();
    let current = status.current_metrics.as_deref().unwrap_or_default();
    let mut metrics = targets.iter().filter_map(|target| metric(target, current));
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let blind = conditions
        .iter()
        .find(|condition| condition.type_ == "ScalingActive" && condition.status == "False");
    Some(Says {
        name: object.metadata.name.clone()?,
        scales: (scales.kind.clone(), scales.name.clone()),
        // Before its first look the controller says 0, which it never wants of a workload that runs.
        wanted: u32::try_from(status.desired_replicas)
            .ok()
            .filter(|wanted| *wanted > 0),
        metric: match blind {
            Some(blind) => {
                let why = blind.message.as_deref().or(blind.reason.as_deref());
                Some(shortened(&format!(
                    "it sees no metric: {}",
                    why.unwrap_or_default()
                )))
            }
            None => metrics.next(),
        },
    })
}

/// `cpu at 182 % of its request, 70 % are meant`; `None` while nothing is seen of it.
fn metric(spec: &MetricSpec, current: &[MetricStatus]) -> Option<String> {
    let target = spec.resource.as_ref()?;
    let seen = current.iter().find_map(|metric| {
        let resource = metric.resource.as_ref()?;
        (resource.name == target.name).then_some(&resource.current)
    })?;
    Some(format!(
        "{} {}",
        target.name,
        against(seen, &target.target)?
    ))
}

fn against(seen: &MetricValueStatus, target: &MetricTarget) -> Option<String> {
    let share = seen.average_utilization.zip(target.average_utilization);
    if let Some((seen, target)) = share {
        return Some(format!("at {seen} %, {target} % is meant"));
    }
    let (seen, target) = (seen.average_value.as_ref()?, target.average_value.as_ref()?);
    Some(format!("at {}, {} is meant", seen.0, target.0))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn autoscaler(status: &Value) -> Says {
        let object = json!({ "metadata": { "name": "api" }, "spec": { "maxReplicas": 10,
            "scaleTargetRef": { "kind": "Deployment", "name": "api-v1" },
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu",
                "target": { "type": "Utilization", "averageUtilization": 70 } } }] }, "status": status });
        read(&serde_json::from_value(object).expect("an autoscaler")).expect("a name")
    }

    fn status(wanted: u32, cpu: u32) -> Value {
        json!({ "desiredReplicas": wanted, "currentReplicas": 3, "currentMetrics": [{ "type": "Resource",
            "resource": { "name": "cpu", "current": { "averageUtilization": cpu, "averageValue": "182m" } } }] })
    }

    fn told(autoscalers: &mut Autoscalers, status: &Value) -> Vec<PlatformChange> {
        let told = autoscalers.changed("api".to_owned(), autoscaler(status));
        let changes = told.into_iter().map(|(_, _, seen)| match seen {
            Seen::Platform(change) => change,
            other => panic!("{other:?}"),
        });
        changes.collect()
    }

    #[test]
    fn what_is_wanted_is_told_with_the_metric_and_what_was_wanted_before() {
        let mut autoscalers = Autoscalers::default();
        assert!(told(&mut autoscalers, &json!({ "desiredReplicas": 0 })).is_empty());
        let seen = |was, wanted, cpu: u32| PlatformChange::Autoscaled {
            autoscaler: "api".to_owned(),
            was,
            wanted,
            metric: Some(format!("cpu at {cpu} %, 70 % is meant")),
        };
        assert_eq!(told(&mut autoscalers, &status(3, 60)), [seen(None, 3, 60)]);
        assert!(told(&mut autoscalers, &status(3, 60)).is_empty());
        assert_eq!(
            told(&mut autoscalers, &status(8, 182)),
            [seen(Some(3), 8, 182)]
        );
    }

    #[test]
    fn one_that_sees_no_metric_says_so() {
        let blind = json!({ "desiredReplicas": 3, "conditions": [{ "type": "ScalingActive",
            "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics known" }] });
        let says = autoscaler(&blind);
        assert_eq!(
            says.metric.as_deref(),
            Some("it sees no metric: no metrics known")
        );
    }
}
