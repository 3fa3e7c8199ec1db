//! What a janitor looks after: the objects on which a fault of its run may stand.
//!
//! Invariant: pure. It only grows. What is not named in it the janitor has no right to.

use std::collections::BTreeSet;

use chaos_plan::Plan;
use chaos_plan::plan::{Inject, Target};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::kubernetes::changed::Kind;
use crate::kubernetes::lease;
use crate::undo::{Undo, UndoStep};

/// Named objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::kubernetes) struct Charge {
    /// Workloads and pods, which bear the undos of their own faults.
    pub(super) objects: BTreeSet<(Kind, String)>,
    /// Autoscalers of such workloads, whose least number an undo asks for.
    pub(super) autoscalers: BTreeSet<String>,
    /// Services that may be made again.
    pub(super) services: BTreeSet<String>,
}

impl Charge {
    /// What a plan names. Pods and autoscalers are known only when a fault is prepared.
    pub(in crate::kubernetes) fn of(plan: &Plan) -> Self {
        let mut charge = Self::default();
        for fault in &plan.faults {
            match &fault.inject {
                Inject::Scale { targets, .. }
                | Inject::Drift { targets, .. }
                | Inject::Rollout { targets, .. } => {
                    charge.objects.extend(workload(plan, &targets.service));
                }
                Inject::ServiceLost { name, .. } => {
                    charge.services.insert(name.clone());
                }
                Inject::Cpu { .. }
                | Inject::Kill { .. }
                | Inject::Evict { .. }
                | Inject::Pause { .. }
                | Inject::Stop { .. }
                | Inject::Restart { .. } => {}
            }
        }
        charge
    }

    /// What this undo stands on, and needs.
    pub(super) fn take(&mut self, undo: &Undo) {
        match &undo.step {
            UndoStep::Restore(changed) => {
                let object = &changed.object;
                self.objects.insert((object.kind, object.name.clone()));
                self.autoscalers.extend(changed.autoscaler.clone());
            }
            UndoStep::Recreate(lost) => {
                self.services.insert(lost.name.clone());
            }
            UndoStep::Nothing { .. }
            | UndoStep::Resume { .. }
            | UndoStep::Release { .. }
            | UndoStep::Remove(_) => {}
        }
    }

    fn named(&self, kind: Kind) -> Vec<&str> {
        let of_kind = self.objects.iter().filter(|(other, _)| *other == kind);
        of_kind.map(|(_, name)| name.as_str()).collect()
    }

    /// The rules of a Role that grants what is needed to take back what stands on these objects.
    pub(super) fn rules(&self) -> Vec<Value> {
        let pods = self.named(Kind::Pod);
        let scalers: Vec<&str> = self.autoscalers.iter().map(String::as_str).collect();
        let services: Vec<&str> = self.services.iter().map(String::as_str).collect();
        let change = &["get", "patch"];
        let mut rules: Vec<Value> = [
            rule(
                "coordination.k8s.io",
                "leases",
                &[lease::NAME],
                &["get", "patch", "delete"],
            ),
            rule("apps", "deployments", &self.named(Kind::Deployment), change),
            rule(
                "apps",
                "statefulsets",
                &self.named(Kind::StatefulSet),
                change,
            ),
            rule("", "pods", &pods, change),
            rule("", "pods/resize", &pods, &["patch"]),
            rule(
                "autoscaling",
                "horizontalpodautoscalers",
                &scalers,
                &["get"],
            ),
            rule("", "services", &services, &["get"]),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !services.is_empty() {
            // No Role limits by name who may make something: the name is not known to who decides.
            rules
                .push(json!({ "apiGroups": [""], "resources": ["services"], "verbs": ["create"] }));
        }
        rules
    }
}

/// A rule without names would be one about all objects of the kind.
fn rule(group: &str, resource: &str, names: &[&str], verbs: &[&str]) -> Option<Value> {
    let rule = json!({ "apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": verbs });
    (!names.is_empty()).then_some(rule)
}

fn workload(plan: &Plan, service: &str) -> Option<(Kind, String)> {
    let Target::Deploy(description) = &plan.target else {
        return None;
    };
    let workload = description.service(service)?.workload()?;
    Some((Kind::of(workload.kind), workload.name.clone()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kubernetes::Lost;
    use crate::undo;

    pub(in crate::kubernetes::janitor) fn charge() -> Charge {
        let name = |kind, name: &str| (kind, name.to_owned());
        Charge {
            objects: [name(Kind::Deployment, "api"), name(Kind::Pod, "api-x")].into(),
            autoscalers: BTreeSet::new(),
            services: ["api".to_owned()].into(),
        }
    }

    #[test]
    fn no_right_is_on_objects_that_are_not_named() {
        for charge in [Charge::default(), charge()] {
            for rule in charge.rules() {
                let names = rule["resourceNames"].as_array().map_or(0, Vec::len);
                let is_making = rule["verbs"] == json!(["create"]);
                assert!(names > 0 || is_making, "{rule}");
                assert!(!rule.to_string().contains('*') && rule["resources"] != json!(["secrets"]));
            }
        }
        assert_eq!(Charge::default().rules().len(), 1, "the lease alone");
        assert_eq!(charge().rules().len(), 6);
    }

    #[test]
    fn it_grows_by_what_an_undo_stands_on_and_fits_an_annotation() {
        let mut charge = charge();
        let lost: Lost = serde_json::from_value(json!({ "name": "front", "uid": "u1", "manifest": {},
            "place": { "kubeconfig": [], "context": "test", "server": "https://10.0.0.1", "namespace": "shop" } }))
        .expect("a lost Service");
        let undo = Undo {
            version: undo::VERSION,
            mark: "r1".to_owned(),
            step: UndoStep::Recreate(lost),
        };
        charge.take(&undo);
        assert!(charge.services.contains("front"));
        let text = serde_json::to_string(&charge).expect("plain data");
        let same: Charge = serde_json::from_str(&text).expect("the same");
        assert_eq!(same, charge);
    }
}
