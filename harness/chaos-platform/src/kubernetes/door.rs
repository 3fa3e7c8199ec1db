//! How the harness reaches a target: shoppers through a node port or a given address, the audit
//! through the API server.
//!
//! Invariant: an address is given out only after something took a connection there.

use std::time::Duration;

use bytes::Bytes;
use chaos_plan::plan::{Door, Find};
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::client::Body;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use chaos_plan::plan::{Workload, WorkloadKind};

use super::pod::{Seen, join};
use super::{KubernetesPlatform, Shared, marks, planned_door, words};
use crate::platform::PlatformError;

/// Longest wait for a node to pass connections on.
const OPEN: Duration = Duration::from_secs(15);
/// Between two tries.
const RETRY: Duration = Duration::from_millis(200);
/// Longest text of a refusal that is read.
const REFUSAL_BYTES: usize = 2_000;

impl KubernetesPlatform {
    /// Learns by which labels the pods of each service are known.
    pub(super) async fn find_selectors(&self) -> Result<(), PlatformError> {
        for service in &self.shared.services {
            let labels = match &service.pods.find {
                Find::Labels(labels) => labels.clone(),
                Find::Workload(workload) => {
                    let selector = self.selector(workload).await?;
                    let simple = selector.match_expressions.is_none_or(|all| all.is_empty());
                    let labels = selector
                        .match_labels
                        .filter(|labels| simple && !labels.is_empty());
                    labels.ok_or_else(|| PlatformError::Cluster {
                        act: format!("find the pods of {workload}"),
                        why: "its selector is not made of labels alone; give `selector:` in the target description".to_owned(),
                    })?
                }
            };
            service.selector.get_or_init(|| labels);
        }
        Ok(())
    }

    async fn selector(&self, workload: &Workload) -> Result<LabelSelector, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let (name, namespace) = (&workload.name, &place.namespace);
        let act = format!("look at {workload}");
        let selector = match workload.kind {
            WorkloadKind::Deployment => {
                let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
                let found = place.answer(&act, api.get(name)).await?;
                marks::refuse(&found.metadata, place)?;
                found.spec.map(|spec| spec.selector)
            }
            WorkloadKind::StatefulSet => {
                let api: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
                let found = place.answer(&act, api.get(name)).await?;
                marks::refuse(&found.metadata, place)?;
                found.spec.map(|spec| spec.selector)
            }
        };
        Ok(selector.unwrap_or_default())
    }

    /// Where shoppers come in; something took a connection there.
    pub(super) async fn door(&self) -> Result<String, PlatformError> {
        let address = match planned_door(&self.description) {
            Door::Url(url) => return Ok(url),
            Door::Service(name) => self.node_port(&name).await?,
        };
        let deadline = Instant::now() + OPEN;
        loop {
            let why = match timeout(RETRY * 5, TcpStream::connect(&address)).await {
                Ok(Ok(_)) => return Ok(format!("http://{address}")),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if Instant::now() >= deadline {
                return Err(PlatformError::Cluster {
                    act: format!("reach the target at {address}"),
                    why: format!(
                        "{why}; run where the nodes can be reached, or give the target description `kubernetes: {{ url: ... }}`"
                    ),
                });
            }
            sleep(RETRY).await;
        }
    }

    async fn node_port(&self, name: &str) -> Result<String, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let api: Api<Service> = Api::namespaced(client.clone(), &place.namespace);
        let act = format!("look at service/{name}");
        let found = place.answer(&act, api.get(name)).await?;
        let ports = found.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let port = ports.iter().find_map(|port| port.node_port);
        let port = port.and_then(|port| u16::try_from(port).ok());
        let port = port.ok_or_else(|| PlatformError::Cluster {
            act: format!("reach the target through service/{name}"),
            why: "it has no node port: make it of type NodePort, or give the target description `kubernetes: { url: ... }`".to_owned(),
        })?;
        let entry = self.ready_pod(&self.description.entry).await?;
        let host = entry.host.ok_or_else(|| PlatformError::Missing {
            what: format!("the node of pod {}", entry.name),
        })?;
        Ok(join(&host, port))
    }

    async fn ready_pod(&self, service: &str) -> Result<Seen, PlatformError> {
        let pods = self.all_pods().await?;
        let mut of_it = pods
            .iter()
            .filter_map(|pod| self.shared.meant(pod))
            .filter(|(of, seen)| of == service && seen.ready)
            .map(|(_, seen)| seen);
        of_it.next().ok_or_else(|| PlatformError::NoAnswer {
            service: service.to_owned(),
            why: "no pod of it is ready".to_owned(),
        })
    }

    /// What a ready pod answers to `GET path`, through the API server.
    pub(super) async fn ask_pod(
        &self,
        service: &str,
        path: &str,
        body_max: usize,
    ) -> Result<Vec<u8>, PlatformError> {
        let refused = |why: String| PlatformError::NoAnswer {
            service: service.to_owned(),
            why,
        };
        let Seen { name, address, .. } = self.ready_pod(service).await?;
        let port = address
            .as_deref()
            .and_then(|address| address.rsplit_once(':'));
        let (_, port) = port.ok_or_else(|| {
            refused(format!(
                "pod {name} declares no port; give `port:` in the target description"
            ))
        })?;
        let Shared { client, place, .. } = &*self.shared;
        let uri = format!(
            "/api/v1/namespaces/{}/pods/{name}:{port}/proxy{path}",
            place.namespace
        );
        let request = Request::get(uri)
            .body(Body::empty())
            .map_err(|error| refused(format!("`{path}` cannot be asked: {error}")))?;
        let answer = client
            .send(request)
            .await
            .map_err(|error| refused(place.said(&error)))?;
        let status = answer.status();
        let limit = if status.is_success() {
            body_max
        } else {
            REFUSAL_BYTES
        };
        let body = Limited::new(answer.into_body(), limit).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes);
        if status.is_success() {
            let body =
                body.map_err(|error| refused(format!("`{path}` gave no whole answer: {error}")))?;
            return Ok(body.into());
        }
        let said = words::shortened(&String::from_utf8_lossy(
            &body.unwrap_or_else(|_| Bytes::new()),
        ));
        Err(refused(format!(
            "`{path}` of pod {name} answered {}: {said}",
            status.as_u16()
        )))
    }
}
