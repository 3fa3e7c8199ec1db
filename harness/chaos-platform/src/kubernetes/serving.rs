//! Which endpoints of the target's Services take traffic.
//!
//! Invariant: pure. A pod counts once for a Service, in however many slices it stands; a Service is of
//! the target once one of its pods was.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::Shared;
use super::follow::Follower;
use super::slots::Told;
use crate::observation::{PlatformChange, Seen};

/// Label of a slice that names its Service.
const OF_SERVICE: &str = "kubernetes.io/service-name";

/// One slice: who stands in it, by the UID of the pod or by address, and who of them is ready.
#[derive(Debug)]
pub(super) struct Slice {
    name: String,
    of: String,
    pods: BTreeSet<String>,
    ready: BTreeSet<String>,
}

/// Tells how many endpoints of a Service are ready, whenever that changes.
#[derive(Debug, Default)]
pub(super) struct Services {
    slices: BTreeMap<String, Slice>,
    /// Name of a Service, with the service of the target that its pods are of, and what was told.
    known: BTreeMap<String, (String, u32)>,
}

impl Services {
    /// Tells of one Service; `whose` says of which service of the target a pod is.
    fn tell(&mut self, of: &str, whose: impl Fn(&str) -> Option<String>) -> Vec<Told> {
        let slices = || self.slices.values().filter(|slice| slice.of == of);
        let ready: BTreeSet<&String> = slices().flat_map(|slice| &slice.ready).collect();
        let ready = u32::try_from(ready.len()).unwrap_or(u32::MAX);
        let known = self.known.get(of).cloned();
        let service = match &known {
            Some((service, _)) => Some(service.clone()),
            None => slices()
                .flat_map(|slice| &slice.pods)
                .find_map(|pod| whose(pod)),
        };
        let was = known.map(|(_, was)| was);
        let Some(service) = service.filter(|_| was != Some(ready)) else {
            return Vec::new();
        };
        self.known.insert(of.to_owned(), (service.clone(), ready));
        let name = of.to_owned();
        vec![(
            service,
            String::new(),
            Seen::Platform(PlatformChange::Serving { name, was, ready }),
        )]
    }
}

impl Follower for Services {
    type Object = EndpointSlice;
    type Small = Slice;

    fn small(&self, object: EndpointSlice) -> Option<Slice> {
        read(&object)
    }

    fn all(&mut self, shared: &Shared, all: Vec<Slice>) -> Vec<Told> {
        self.slices = all
            .into_iter()
            .map(|slice| (slice.name.clone(), slice))
            .collect();
        let present = self.slices.values().map(|slice| slice.of.clone());
        let names: BTreeSet<String> = present.chain(self.known.keys().cloned()).collect();
        names
            .iter()
            .flat_map(|of| self.tell(of, |pod| shared.whose(pod)))
            .collect()
    }

    fn there(&mut self, shared: &Shared, slice: Slice) -> Vec<Told> {
        let of = slice.of.clone();
        self.slices.insert(slice.name.clone(), slice);
        self.tell(&of, |pod| shared.whose(pod))
    }

    fn gone(&mut self, shared: &Shared, slice: Slice) -> Vec<Told> {
        self.slices.remove(&slice.name);
        self.tell(&slice.of, |pod| shared.whose(pod))
    }
}

fn read(object: &EndpointSlice) -> Option<Slice> {
    let of = object.metadata.labels.as_ref()?.get(OF_SERVICE)?;
    let mut slice = Slice {
        name: object.metadata.name.clone()?,
        of: of.clone(),
        pods: BTreeSet::new(),
        ready: BTreeSet::new(),
    };
    for endpoint in &object.endpoints {
        let pod = endpoint
            .target_ref
            .as_ref()
            .and_then(|target| target.uid.clone());
        let Some(who) = pod.or_else(|| endpoint.addresses.first().cloned()) else {
            continue;
        };
        // Not said means yes (discovery.k8s.io/v1, EndpointConditions).
        let conditions = endpoint.conditions.as_ref();
        if conditions
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true)
        {
            slice.ready.insert(who.clone());
        }
        slice.pods.insert(who);
    }
    Some(slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(name: &str, pods: &[(&str, bool)]) -> Slice {
        let endpoint = |(uid, ready): &(&str, bool)| {
            json!({ "addresses": ["10.0.0.7"], "conditions": { "ready": ready },
                "targetRef": { "kind": "Pod", "name": uid, "uid": uid } })
        };
        let endpoints: Vec<_> = pods.iter().map(endpoint).collect();
        let object = json!({ "metadata": { "name": name, "labels": { OF_SERVICE: "front" } },
            "addressType": "IPv4", "endpoints": endpoints });
        read(&serde_json::from_value(object).expect("a slice")).expect("of a Service")
    }

    fn told(services: &mut Services, slice: Slice) -> Vec<String> {
        services.slices.insert(slice.name.clone(), slice);
        let told = services.tell("front", |pod| {
            pod.starts_with("api").then(|| "api".to_owned())
        });
        told.iter()
            .map(|(service, _, seen)| format!("{service} {seen:?}"))
            .collect()
    }

    #[test]
    fn a_service_whose_endpoints_change_is_told_with_what_was_before() {
        let mut services = Services::default();
        let serving = |was: &str, ready: u32| {
            format!("api Platform(Serving {{ name: \"front\", was: {was}, ready: {ready} }})")
        };
        assert!(told(&mut services, slice("f-1", &[("other", true)])).is_empty());
        let two = [("api-a", true), ("api-b", true)];
        assert_eq!(
            told(&mut services, slice("f-1", &two)),
            [serving("None", 2)]
        );
        assert!(
            told(&mut services, slice("f-2", &two)).is_empty(),
            "the same pods, in version 6"
        );
        let one = slice("f-1", &[("api-a", true), ("api-b", false)]);
        assert!(
            told(&mut services, one).is_empty(),
            "still in the other slice"
        );
        let one = slice("f-2", &[("api-a", true), ("api-b", false)]);
        assert_eq!(told(&mut services, one), [serving("Some(2)", 1)]);
        assert_eq!(told(&mut services, slice("f-2", &[])), Vec::<String>::new());
        assert_eq!(
            told(&mut services, slice("f-1", &[])),
            [serving("Some(1)", 0)]
        );
    }
}
