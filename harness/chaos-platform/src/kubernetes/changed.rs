//! Changes values of an object of the cluster for a fault. The undo stands on the object itself, as an
//! annotation that is written with the change, so that another machine finds it.
//!
//! Invariant: a change is made against one version of the object. A change by somebody else in between
//! is seen, never overwritten; a pod is marked before its resources are changed.

use chaos_plan::plan::WorkloadKind;
use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::applied::dynamic;
use super::field::{self, Change, Field};
use super::place::Place;
use crate::clock::monotonic_ns;
use crate::platform::PlatformError;
use crate::undo::Undo;

/// Versions of an object that may overtake a change before it is given up.
pub(super) const OVERTAKEN: u32 = 20;

/// What a fault changes of one object, and what that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub(crate) place: Place,
    pub(crate) object: Object,
    /// At least one, all of one annotation.
    pub(super) changes: Vec<Change>,
    /// The `HorizontalPodAutoscaler` that keeps the number of pods, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) autoscaler: Option<String>,
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(crate) uid: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
    Pod,
}

impl Kind {
    pub(super) fn of(workload: WorkloadKind) -> Self {
        match workload {
            WorkloadKind::Deployment => Self::Deployment,
            WorkloadKind::StatefulSet => Self::StatefulSet,
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        let (group, kind) = match self {
            Self::Deployment => ("apps", "Deployment"),
            Self::StatefulSet => ("apps", "StatefulSet"),
            Self::Pod => ("", "Pod"),
        };
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
    }

    fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::Pod => "pod",
        }
    }
}

impl Object {
    /// As `kubectl` takes it.
    pub(super) fn words(&self) -> String {
        format!("{}/{}", self.kind.word(), self.name)
    }

    fn api(&self, client: &Client, place: &Place) -> Api<DynamicObject> {
        dynamic(client, place, &self.kind.resource())
    }
}

/// One version of an object, whole.
pub(super) async fn version(
    client: &Client,
    place: &Place,
    (kind, name): (Kind, &str),
) -> Result<Option<Value>, PlatformError> {
    let api = dynamic(client, place, &kind.resource());
    let act = format!("look at {}/{name}", kind.word());
    let found = place.answer(&act, api.get_opt(name)).await?;
    Ok(found.map(|found| serde_json::to_value(found).expect("it came as JSON")))
}

/// How a change is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    /// Only whether it would be taken.
    pub(super) dry: bool,
    /// In whose name.
    pub(super) manager: &'static str,
}

/// Makes the change, with its undo on the object. The instant is that of the request.
pub(super) async fn set(
    client: &Client,
    undo: &Undo,
    changed: &Changed,
    asking: Asking,
) -> Result<u64, PlatformError> {
    let Changed { place, object, .. } = changed;
    let refused = |why: String| PlatformError::Cluster {
        act: format!("change {}", object.words()),
        why,
    };
    let text = serde_json::to_string(undo).expect("plain data");
    for _ in 0..OVERTAKEN {
        let found = version(client, place, (object.kind, &object.name)).await?;
        let found = found.ok_or_else(|| refused("it is gone".to_owned()))?;
        may_set(&found, changed).map_err(refused)?;
        let at_ns = monotonic_ns();
        let values: Vec<(&Field, &Value)> = changed
            .changes
            .iter()
            .map(|change| (&change.field, &change.set))
            .collect();
        let made = if object.kind == Kind::Pod {
            mark(client, changed, &found, Some(&text), asking).await?
                && resize(client, changed, &values, asking).await?
        } else {
            write(client, changed, (&found, &values), Some(&text), asking).await?
        };
        if made {
            return Ok(at_ns);
        }
    }
    Err(refused("others change it all the time".to_owned()))
}

/// Why an object may not be changed as it is now.
fn may_set(found: &Value, changed: &Changed) -> Result<(), String> {
    if uid(found) != Some(&changed.object.uid) {
        return Err("another object has its name by now".to_owned());
    }
    if let Some(text) = annotated(found, changed.annotation()) {
        let run = run_of(text);
        return Err(format!(
            "run `{run}` changed it and has not given it back; if that run is over: `chaos recover {run}`"
        ));
    }
    for change in &changed.changes {
        if change.field.read(found).as_ref() != Some(&change.was) {
            return Err("somebody else changed it at the same moment".to_owned());
        }
    }
    Ok(())
}

pub(super) fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid")?.as_str()
}

pub(super) fn annotated<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

/// The run that an annotation is of.
pub(super) fn run_of(text: &str) -> String {
    let undo: Option<Undo> = serde_json::from_str(text).ok();
    undo.map_or("?".to_owned(), |undo| undo.mark)
}

/// Sets values and annotation of this version of the object; false if it has a newer one.
pub(super) async fn write(
    client: &Client,
    changed: &Changed,
    (found, values): (&Value, &[(&Field, &Value)]),
    annotation: Option<&str>,
    asking: Asking,
) -> Result<bool, PlatformError> {
    let mut patch = field::patch(found, values);
    patch["metadata"] = json!({
        "resourceVersion": found.pointer("/metadata/resourceVersion"),
        "annotations": { changed.annotation(): annotation },
    });
    let Changed { place, object, .. } = changed;
    let api = object.api(client, place);
    let parameters = asking.parameters();
    let patch = Patch::Merge(&patch);
    let patching = api.patch(&object.name, &parameters, &patch);
    unless_overtaken(changed, patching).await
}

/// The annotation alone.
pub(super) async fn mark(
    client: &Client,
    changed: &Changed,
    found: &Value,
    annotation: Option<&str>,
    asking: Asking,
) -> Result<bool, PlatformError> {
    write(client, changed, (found, &[]), annotation, asking).await
}

/// Sets request and limit of a running pod, for which there is a door of its own.
pub(super) async fn resize(
    client: &Client,
    changed: &Changed,
    values: &[(&Field, &Value)],
    asking: Asking,
) -> Result<bool, PlatformError> {
    let Changed { place, object, .. } = changed;
    let api = object.api(client, place);
    let parameters = asking.parameters();
    for (field, value) in values {
        if let Field::Cpu { container } = field {
            let patch = field::resize(container, value);
            let patch = Patch::Strategic(&patch);
            let patching = api.patch_subresource("resize", &object.name, &parameters, &patch);
            if !unless_overtaken(changed, patching).await? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

async fn unless_overtaken(
    changed: &Changed,
    patching: impl Future<Output = kube::Result<DynamicObject>>,
) -> Result<bool, PlatformError> {
    let act = format!("change {}", changed.object.words());
    let patching = async {
        match patching.await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    };
    changed.place.answer(&act, patching).await
}

impl Asking {
    fn parameters(self) -> PatchParams {
        PatchParams {
            dry_run: self.dry,
            field_manager: Some(self.manager.to_owned()),
            ..PatchParams::default()
        }
    }
}

impl Changed {
    /// Under which annotation its undo stands.
    pub(super) fn annotation(&self) -> &'static str {
        self.changes
            .first()
            .map_or("chaos.dev/undo", |change| change.field.annotation())
    }
}
