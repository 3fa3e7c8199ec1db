//! Service lost: a Service is deleted, and made again as it was, with its addresses and ports.
//!
//! Nothing of it is left to bear an annotation, so its undo stands on the lease of the run.
//! Invariant: deleted by its UID, after its undo stands on the lease. What somebody else made in its
//! place stays.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::place::Place;
use super::restore::persist;
use super::{FIELD_MANAGER, KubernetesPlatform, Shared, lease};
use crate::act::Reading;
use crate::clock::monotonic_ns;
use crate::platform::PlatformError;
use crate::undo::{Reverted, Undo};

/// A Service that a fault deletes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(super) uid: String,
    /// All of it that somebody asked for, and the addresses and ports that it was given.
    pub(super) manifest: Value,
}

impl Lost {
    fn services(&self, client: &Client) -> Api<Service> {
        Api::namespaced(client.clone(), &self.place.namespace)
    }

    fn leases(&self, client: &Client) -> Api<Lease> {
        Api::namespaced(client.clone(), &self.place.namespace)
    }

    fn annotation(&self) -> String {
        format!("{ANNOTATION}{}", self.name)
    }
}

/// Begin of the annotation of the lease; the name of the Service follows.
pub(super) const ANNOTATION: &str = "chaos.dev/undo-service-";
/// Longest name of an annotation behind its prefix, bytes.
const ANNOTATION_BYTES: usize = 63;

impl KubernetesPlatform {
    pub(super) async fn plan_loss(&self, service: &str, name: &str) -> Result<Lost, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let refused = |why: &str| PlatformError::Cluster {
            act: format!("delete service/{name}, which leads to `{service}`"),
            why: why.to_owned(),
        };
        let found = service_object(client, place, name).await?;
        let found = found.ok_or_else(|| refused("there is no such object"))?;
        let uid = found.metadata.uid.clone().unwrap_or_default();
        let kind = found.spec.as_ref().and_then(|spec| spec.type_.clone());
        match kind.as_deref() {
            Some("LoadBalancer") => {
                return Err(refused(
                    "it is of type LoadBalancer, whose address nobody gives back",
                ));
            }
            Some("ExternalName") => {
                return Err(refused("it is of type ExternalName, which has no pods"));
            }
            _ => {}
        }
        let finalizers = found.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.is_empty() {
            return Err(refused(
                "it has finalizers: somebody else acts on its deletion",
            ));
        }
        let lost = Lost {
            place: place.clone(),
            name: name.to_owned(),
            uid,
            manifest: manifest(&serde_json::to_value(&found).expect("it came as JSON")),
        };
        if lost.annotation().len() - "chaos.dev/".len() > ANNOTATION_BYTES {
            return Err(refused(
                "its name is too long for the annotation of its undo",
            ));
        }
        Ok(lost)
    }

    pub(super) async fn is_lost(&self, name: &str) -> Result<Reading, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let found = service_object(client, place, name).await?;
        Ok(Reading {
            holds: found.is_none(),
            seen: match found {
                None => format!("service/{name} is gone from the API server"),
                Some(_) => format!("service/{name} is there"),
            },
        })
    }

    pub(super) async fn is_found(&self, name: &str) -> Result<Reading, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        if service_object(client, place, name).await?.is_none() {
            return Ok(Reading {
                holds: false,
                seen: format!("service/{name} is gone"),
            });
        }
        let api: Api<EndpointSlice> = Api::namespaced(client.clone(), &place.namespace);
        let parameters =
            ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let act = format!("look where service/{name} leads");
        let slices = place.answer(&act, api.list(&parameters)).await?.items;
        let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
        let ready = endpoints.filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.is_some_and(|conditions| conditions.ready == Some(true))
        });
        let ready = ready.count();
        Ok(Reading {
            holds: ready > 0,
            seen: format!("service/{name} is there and leads to {ready} ready pods"),
        })
    }
}

async fn service_object(
    client: &Client,
    place: &Place,
    name: &str,
) -> Result<Option<Service>, PlatformError> {
    let api: Api<Service> = Api::namespaced(client.clone(), &place.namespace);
    let act = format!("look at service/{name}");
    place.answer(&act, api.get_opt(name)).await
}

/// What makes the same Service again: not what the API server writes of each object it keeps.
fn manifest(found: &Value) -> Value {
    let mut metadata = Map::new();
    for key in ["name", "labels", "annotations", "ownerReferences"] {
        if let Some(value) = found.pointer(&format!("/metadata/{key}")) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": found.get("spec") })
}

/// Writes the undo onto the lease, then deletes the Service. The instant is that of the deletion.
pub(super) async fn lose(
    client: &Client,
    undo: &Undo,
    lost: &Lost,
    dry: bool,
) -> Result<u64, PlatformError> {
    let Lost {
        place, name, uid, ..
    } = lost;
    if !dry {
        let text = serde_json::to_string(undo).expect("plain data");
        note(client, lost, Some(&text)).await?;
    }
    let parameters = DeleteParams {
        dry_run: dry,
        preconditions: Some(Preconditions {
            uid: Some(uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let act = format!("delete service/{name}");
    let api = lost.services(client);
    let at_ns = monotonic_ns();
    place.answer(&act, api.delete(name, &parameters)).await?;
    Ok(at_ns)
}

/// Writes the undo onto the lease of the run, or takes it from there; a lease that is gone bears none.
async fn note(client: &Client, lost: &Lost, text: Option<&str>) -> Result<(), PlatformError> {
    let api = lost.leases(client);
    let act = "write the undo onto the lease of the namespace";
    let patch = json!({ "metadata": { "annotations": { lost.annotation(): text } } });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(&patch);
    let patching = async {
        match api.patch(lease::NAME, &parameters, &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 && text.is_none() => Ok(()),
            other => other.map(drop),
        }
    };
    lost.place.answer(act, patching).await
}

/// Makes the Service again; tried again while the API server does not answer.
pub(crate) async fn recreate(_run: &str, lost: &Lost) -> Reverted {
    persist(|| try_recreate(lost), || by_hand(lost)).await
}

async fn try_recreate(lost: &Lost) -> Result<Reverted, PlatformError> {
    let Lost {
        place,
        name,
        uid,
        manifest,
    } = lost;
    let client = place.reach().await?;
    if let Some(found) = service_object(&client, place, name).await? {
        note(&client, lost, None).await?;
        let same = found.metadata.uid.as_ref() == Some(uid);
        return Ok(judge(&found, lost, same));
    }
    let service: Service =
        serde_json::from_value(manifest.clone()).map_err(|error| PlatformError::Cluster {
            act: format!("make service/{name} again"),
            why: error.to_string(),
        })?;
    let act = format!("make service/{name} again");
    let api = lost.services(&client);
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let making = async {
        match api.create(&parameters, &service).await {
            Ok(made) => Ok(Some(made)),
            // The namespace is gone or going, and everything in it.
            Err(kube::Error::Api(status)) if is_of_namespace(&status) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let made = place.answer(&act, making).await?;
    note(&client, lost, None).await?;
    Ok(match made {
        None => Reverted::Clean {
            proof: format!(
                "namespace {} is gone, and service/{name} with it",
                place.namespace
            ),
        },
        Some(made) if addresses(&to_value(&made)) == addresses(manifest) => Reverted::Restored {
            proof: format!("service/{name} is there again{}", at(manifest)),
        },
        Some(_) => Reverted::Failed {
            why: format!("service/{name} is there again, but at another address or port"),
        },
    })
}

fn is_of_namespace(status: &kube::core::Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 404 || causes.any(|cause| cause.reason == "NamespaceTerminating")
}

fn to_value(service: &Service) -> Value {
    serde_json::to_value(service).expect("it came as JSON")
}

fn judge(found: &Service, lost: &Lost, same: bool) -> Reverted {
    let name = &lost.name;
    if same {
        let proof = format!("service/{name} was not deleted");
        return Reverted::Clean { proof };
    }
    if addresses(&to_value(found)) == addresses(&lost.manifest) {
        let proof = format!("service/{name} is there again{}", at(&lost.manifest));
        return Reverted::Clean { proof };
    }
    Reverted::Foreign {
        why: format!("somebody else made service/{name} meanwhile; left as it is"),
    }
}

/// What a Service is reached at: addresses, and node ports by port.
fn addresses(service: &Value) -> (Vec<Value>, BTreeMap<String, Value>) {
    let ips = service
        .pointer("/spec/clusterIPs")
        .and_then(Value::as_array);
    let ports = service.pointer("/spec/ports").and_then(Value::as_array);
    let ports = ports.into_iter().flatten().map(|port| {
        let key = format!("{}/{}", port["port"], port["protocol"]);
        (key, port.get("nodePort").cloned().unwrap_or_default())
    });
    (ips.cloned().unwrap_or_default(), ports.collect())
}

fn at(manifest: &Value) -> String {
    let (ips, ports) = addresses(manifest);
    let ip = ips.first().and_then(Value::as_str).unwrap_or("no address");
    let nodes: Vec<String> = ports
        .values()
        .filter(|port| port.is_number())
        .map(Value::to_string)
        .collect();
    match nodes.as_slice() {
        [] => format!(" at {ip}"),
        nodes => format!(" at {ip}, node port {}", nodes.join(", ")),
    }
}

fn by_hand(lost: &Lost) -> String {
    let Place {
        context, namespace, ..
    } = &lost.place;
    let key = lost.annotation().replace('.', "\\.");
    format!(
        "`kubectl --context {context} -n {namespace} get lease {} -o jsonpath='{{.metadata.annotations.{key}}}'` shows its manifest, for `kubectl --context {context} -n {namespace} create -f -`",
        lease::NAME
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ip: &str, port: u16) -> Value {
        json!({ "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "api", "uid": "u1", "resourceVersion": "7", "managedFields": [], "creationTimestamp": "2026-11-21T10:00:00Z", "labels": { "app": "api" } },
            "spec": { "clusterIP": ip, "clusterIPs": [ip], "type": "NodePort", "selector": { "app": "api" },
                "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": port }] }, "status": { "loadBalancer": {} } })
    }

    fn lost() -> Lost {
        Lost {
            place: Place {
                kubeconfig: vec!["/none".into()],
                context: "test".to_owned(),
                server: "https://10.0.0.1".to_owned(),
                namespace: "shop".to_owned(),
            },
            name: "api".to_owned(),
            uid: "u1".to_owned(),
            manifest: manifest(&found("10.0.0.9", 30_080)),
        }
    }

    #[test]
    fn what_makes_it_again_holds_its_addresses_and_nothing_of_its_former_life() {
        let manifest = lost().manifest;
        assert_eq!(manifest["spec"]["clusterIP"], "10.0.0.9");
        assert_eq!(manifest["spec"]["ports"][0]["nodePort"], 30_080);
        assert_eq!(
            manifest["metadata"],
            json!({ "name": "api", "labels": { "app": "api" } })
        );
        assert_eq!(at(&manifest), " at 10.0.0.9, node port 30080");
    }

    #[test]
    fn one_that_somebody_else_made_is_left() {
        let read = |value: Value| serde_json::from_value::<Service>(value).expect("a Service");
        let ours = judge(&read(found("10.0.0.9", 30_080)), &lost(), false);
        assert!(matches!(ours, Reverted::Clean { .. }), "{ours:?}");
        for other in [found("10.0.0.8", 30_080), found("10.0.0.9", 30_081)] {
            let how = judge(&read(other), &lost(), false);
            assert!(matches!(how, Reverted::Foreign { .. }), "{how:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_made_again_is_told_with_the_place_of_its_manifest() {
        let how = recreate("mine", &lost()).await;
        assert!(!how.is_clean());
        let part =
            "get lease chaos -o jsonpath='{.metadata.annotations.chaos\\.dev/undo-service-api}'`";
        assert!(how.words().contains(part), "{how:?}");
    }
}
