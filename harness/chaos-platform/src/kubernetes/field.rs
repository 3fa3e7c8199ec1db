//! The values of an object that a fault may change, and how they are read and written.
//!
//! Invariant: pure. What is written is a merge patch of exactly these values; lists go into it whole, so
//! it is only sent against the version of the object that it was made from.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Annotation of a template that makes a version differ from the same one before.
const AGAIN: &str = "chaos.dev/rolled-out";

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    /// How many pods a workload is to have.
    Replicas,
    /// The image of a container of a workload's template.
    Image { container: String },
    /// A variable of such a container: all that is said of it, so also where it is read from.
    Variable { container: String, name: String },
    /// What tells a template from the same one before.
    Again,
    /// Request and limit of a pod's container, thousandths of a core.
    Cpu { container: String },
}

/// A value that is changed; null is a value that is not there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) field: Field,
    pub(super) was: Value,
    pub(super) set: Value,
}

/// Without the values: a variable may hold what nobody else is to read.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

impl Field {
    /// Under which annotation the undo stands: one change of a kind at a time.
    pub(super) fn annotation(&self) -> &'static str {
        match self {
            Self::Replicas => "chaos.dev/undo-replicas",
            Self::Image { .. } | Self::Variable { .. } | Self::Again => "chaos.dev/undo-rollout",
            Self::Cpu { .. } => "chaos.dev/undo-cpu",
        }
    }

    /// The value; `None` if there is no place for it.
    pub(super) fn read(&self, object: &Value) -> Option<Value> {
        match self {
            // One is what the API takes for granted.
            Self::Replicas => Some(
                object
                    .pointer("/spec/replicas")
                    .cloned()
                    .unwrap_or(json!(1)),
            ),
            Self::Again => {
                let all = object.pointer("/spec/template/metadata/annotations");
                Some(
                    all.and_then(|all| all.get(AGAIN))
                        .cloned()
                        .unwrap_or_default(),
                )
            }
            Self::Image { container } => {
                let found = named(object.pointer(OF_TEMPLATE)?, container)?;
                found.get("image").cloned()
            }
            Self::Variable { container, name } => {
                let found = named(object.pointer(OF_TEMPLATE)?, container)?;
                let variable = found.get("env").and_then(|env| named(env, name));
                Some(variable.cloned().unwrap_or_default())
            }
            Self::Cpu { container } => {
                let found = named(object.pointer(OF_POD)?, container)?;
                let resources = found.get("resources").unwrap_or(&Value::Null);
                Some(
                    json!({ "limit": cores(resources, "limits"), "request": cores(resources, "requests") }),
                )
            }
        }
    }
}

const OF_TEMPLATE: &str = "/spec/template/spec/containers";
const OF_POD: &str = "/spec/containers";

/// The element of a list that has this name.
fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    let mut all = list.as_array()?.iter();
    all.find(|one| one.get("name").and_then(Value::as_str) == Some(name))
}

/// Thousandths of a core that stand in `limits` or `requests`; null for none.
pub(super) fn cores(resources: &Value, which: &str) -> Value {
    let text = resources.pointer(&format!("/{which}/cpu"));
    text.and_then(Value::as_str)
        .and_then(millicores)
        .map_or(Value::Null, |millicores| json!(millicores))
}

/// A quantity of CPU (Kubernetes "Quantity", as far as it is written for CPU: `2`, `0.5`, `250m`).
fn millicores(text: &str) -> Option<u64> {
    if let Some(thousandths) = text.strip_suffix('m') {
        return thousandths.parse().ok();
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(part)
}

/// The merge patch that sets these values of this version of an object.
pub(super) fn patch(object: &Value, values: &[(&Field, &Value)]) -> Value {
    let mut spec = Map::new();
    let mut template = Map::new();
    let mut containers = object.pointer(OF_TEMPLATE).cloned();
    let mut has_containers = false;
    for (field, value) in values {
        match field {
            Field::Replicas => {
                spec.insert("replicas".to_owned(), (*value).clone());
            }
            Field::Again => {
                template.insert(
                    "metadata".to_owned(),
                    json!({ "annotations": { AGAIN: value } }),
                );
            }
            Field::Image { container } | Field::Variable { container, .. } => {
                has_containers = true;
                if let Some(found) = containers
                    .as_mut()
                    .and_then(|all| named_mut(all, container))
                {
                    write(found, field, value);
                }
            }
            Field::Cpu { .. } => {}
        }
    }
    if let (true, Some(containers)) = (has_containers, containers) {
        template.insert("spec".to_owned(), json!({ "containers": containers }));
    }
    if !template.is_empty() {
        spec.insert("template".to_owned(), Value::Object(template));
    }
    json!({ "spec": spec })
}

fn named_mut<'a>(list: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let mut all = list.as_array_mut()?.iter_mut();
    all.find(|one| one.get("name").and_then(Value::as_str) == Some(name))
}

fn write(container: &mut Value, field: &Field, value: &Value) {
    match field {
        Field::Image { .. } => container["image"] = value.clone(),
        Field::Variable { name, .. } => {
            let mut env = container.get("env").cloned().unwrap_or(json!([]));
            if let Some(all) = env.as_array_mut() {
                let is_it = |one: &Value| one.get("name").and_then(Value::as_str) == Some(name);
                match (all.iter().position(is_it), value) {
                    (Some(at), Value::Null) => drop(all.remove(at)),
                    (Some(at), value) => all[at] = value.clone(),
                    (None, Value::Null) => {}
                    (None, value) => all.push(value.clone()),
                }
            }
            container["env"] = env;
        }
        Field::Replicas | Field::Again | Field::Cpu { .. } => {}
    }
}

/// The strategic patch that sets request and limit of a running pod's container.
pub(super) fn resize(container: &str, value: &Value) -> Value {
    let quantity = |which: &str| {
        value
            .get(which)
            .and_then(Value::as_u64)
            .map(|m| json!({ "cpu": format!("{m}m") }))
    };
    let mut resources = Map::new();
    for (key, which) in [("limits", "limit"), ("requests", "request")] {
        if let Some(quantity) = quantity(which) {
            resources.insert(key.to_owned(), quantity);
        }
    }
    json!({ "spec": { "containers": [{ "name": container, "resources": resources }] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Value {
        json!({ "spec": { "replicas": 3, "template": { "metadata": {}, "spec": { "containers": [
            { "name": "side", "image": "side:1" },
            { "name": "api", "image": "shop:1", "env": [
                { "name": "A", "value": "1" },
                { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } } ] } ] } } } })
    }

    /// As the API server merges a patch (RFC 7386).
    fn merge(object: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *object = patch.clone();
            return;
        };
        if !object.is_object() {
            *object = json!({});
        }
        for (key, value) in patch {
            match value {
                Value::Null => drop(object.as_object_mut().expect("made one").remove(key)),
                value => merge(&mut object[key], value),
            }
        }
    }

    fn variable(name: &str) -> Field {
        Field::Variable {
            container: "api".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn what_is_set_is_read_and_set_back_gives_the_same_object() {
        let image = Field::Image {
            container: "api".to_owned(),
        };
        let values = [
            (Field::Replicas, json!(0)),
            (image, json!("shop:broken")),
            (variable("A"), json!({ "name": "A", "value": "2" })),
            (variable("KEY"), json!({ "name": "KEY", "value": "plain" })),
            (variable("NEW"), json!({ "name": "NEW", "value": "x" })),
            (Field::Again, json!("run-1")),
        ];
        for (field, value) in &values {
            let before = deployment();
            let was = field.read(&before).expect("there is a place for it");
            assert_ne!(&was, value, "{field:?}");
            let mut object = before.clone();
            merge(&mut object, &patch(&before, &[(field, value)]));
            assert_eq!(field.read(&object).as_ref(), Some(value), "{field:?}");
            let back = patch(&object, &[(field, &was)]);
            merge(&mut object, &back);
            if *field == Field::Again {
                // The API server keeps no empty map of annotations.
                object["spec"]["template"]["metadata"] = json!({});
            }
            assert_eq!(object, before, "{field:?}");
        }
    }

    #[test]
    fn a_container_that_is_not_there_has_no_place_for_a_value() {
        let image = Field::Image {
            container: "gone".to_owned(),
        };
        assert_eq!(image.read(&deployment()), None);
        assert_eq!(image.read(&json!({})), None);
    }

    #[test]
    fn quantities_of_cpu_are_read_as_they_are_written() {
        for (text, expected) in [
            ("250m", Some(250)),
            ("2", Some(2_000)),
            ("0.5", Some(500)),
            ("1.25", Some(1_250)),
            ("0.0001", None),
            ("a", None),
        ] {
            assert_eq!(millicores(text), expected, "{text}");
        }
    }

    #[test]
    fn a_pod_is_resized_by_what_stands_in_it() {
        let pod = json!({ "spec": { "containers": [{ "name": "api", "resources": {
            "limits": { "cpu": "1", "memory": "64Mi" }, "requests": { "cpu": "100m" } } }] } });
        let field = Field::Cpu {
            container: "api".to_owned(),
        };
        let value = json!({ "limit": 1_000, "request": 100 });
        assert_eq!(field.read(&pod), Some(value.clone()));
        let patch = resize("api", &value);
        let resources = &patch["spec"]["containers"][0]["resources"];
        assert_eq!(
            resources,
            &json!({ "limits": { "cpu": "1000m" }, "requests": { "cpu": "100m" } })
        );
    }

    #[test]
    fn no_value_stands_in_a_debugging_text() {
        let change = Change {
            field: variable("TOKEN"),
            was: json!({ "name": "TOKEN", "value": "s3cret" }),
            set: json!(null),
        };
        assert!(!format!("{change:?}").contains("s3cret"));
    }
}
