//! Rollout: another version of a Deployment, whose pods are replaced as its strategy says.
//!
//! Invariant: only what the fault names is changed of the template, so giving it back makes the template
//! that was, and with it the pods that were.

use chaos_plan::plan::Rollout;
use serde_json::{Value, json};

use super::KubernetesPlatform;
use super::changed::Changed;
use super::field::{Change, Field};
use super::trouble;
use crate::act::Reading;
use crate::platform::PlatformError;

impl KubernetesPlatform {
    pub(super) async fn plan_rollout(
        &self,
        service: &str,
        to: &Rollout,
    ) -> Result<Changed, PlatformError> {
        let workload = self.workload(service)?;
        let (object, found) = self.look_at_workload(workload).await?;
        let refused = |why: &str| PlatformError::Cluster {
            act: format!("roll out {workload}"),
            why: why.to_owned(),
        };
        let strategy = found.pointer("/spec/strategy/type").and_then(Value::as_str);
        if strategy == Some("Recreate") {
            return Err(refused(
                "its strategy is Recreate: all of its pods would end first",
            ));
        }
        if found.pointer("/spec/paused") == Some(&json!(true)) {
            return Err(refused("it is paused: nothing would be replaced"));
        }
        let container = self.container(service, &found);
        let container = container.ok_or_else(|| refused("it has no such container"))?;
        let mut changes = Vec::new();
        for (field, set) in wanted(to, &container, &self.shared.run) {
            let was = field.read(&found);
            let was = was.ok_or_else(|| refused("it has no such container"))?;
            if was != set {
                changes.push(Change { field, was, set });
            }
        }
        if changes.is_empty() {
            return Err(refused("it has that image and environment already"));
        }
        Ok(self.changed(object, changes))
    }

    /// The container of a template that is meant: the named one, or the first.
    fn container(&self, service: &str, workload: &Value) -> Option<String> {
        let mut all = self.shared.services.iter();
        let meant = all.find(|known| known.name == service)?;
        if let Some(name) = &meant.pods.container {
            return Some(name.clone());
        }
        let first = workload.pointer("/spec/template/spec/containers/0/name")?;
        Some(first.as_str()?.to_owned())
    }

    /// Whether there is a pod of the version that was asked for; also what keeps it from being ready.
    pub(super) async fn is_rolled_out(
        &self,
        service: &str,
        to: &Rollout,
    ) -> Result<Reading, PlatformError> {
        let workload = self.workload(service)?;
        let (_, found) = self.look_at_workload(workload).await?;
        let container = self.container(service, &found).unwrap_or_default();
        let mut set = wanted(to, &container, &self.shared.run).into_iter();
        if !set.all(|(field, value)| field.read(&found) == Some(value)) {
            return Ok(Reading {
                holds: false,
                seen: format!("the template of {workload} is another"),
            });
        }
        let number = |path: &str| found.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        let (asked, seen) = (
            number("/metadata/generation"),
            number("/status/observedGeneration"),
        );
        let updated = number("/status/updatedReplicas");
        let ready = number("/status/readyReplicas");
        if seen < asked {
            return Ok(Reading {
                holds: false,
                seen: format!("{workload}: its controller has not seen the change"),
            });
        }
        let pods = self.all_pods().await?;
        let mut of_it = pods.iter().filter(|pod| {
            let meant = self.shared.meant(pod);
            meant.is_some_and(|(of, _)| of == service)
        });
        let stuck = of_it.find_map(trouble::of_pod);
        let why = stuck.map_or(String::new(), |stuck| format!("; {}", stuck.why));
        Ok(Reading {
            holds: updated > 0,
            seen: format!(
                "{workload}: {updated} of the new version are made, {ready} in all are ready{why}"
            ),
        })
    }
}

fn wanted(to: &Rollout, container: &str, run: &str) -> Vec<(Field, Value)> {
    let container = || container.to_owned();
    let image = to.image.iter().map(|image| {
        let field = Field::Image {
            container: container(),
        };
        (field, json!(image))
    });
    let env = to.env.iter().map(|(name, value)| {
        let field = Field::Variable {
            container: container(),
            name: name.clone(),
        };
        (field, json!({ "name": name, "value": value }))
    });
    let all: Vec<(Field, Value)> = image.chain(env).collect();
    if all.is_empty() {
        return vec![(Field::Again, json!(run))];
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_without_a_difference_is_the_same_one_again() {
        let same = wanted(&Rollout::default(), "api", "run-1");
        assert_eq!(same, [(Field::Again, json!("run-1"))]);
        let other = Rollout {
            image: Some("shop:2".to_owned()),
            env: [("A".to_owned(), "1".to_owned())].into(),
        };
        let fields: Vec<Field> = wanted(&other, "api", "run-1")
            .into_iter()
            .map(|(field, _)| field)
            .collect();
        let container = || "api".to_owned();
        assert_eq!(
            fields,
            [
                Field::Image {
                    container: container()
                },
                Field::Variable {
                    container: container(),
                    name: "A".to_owned()
                }
            ]
        );
    }
}
