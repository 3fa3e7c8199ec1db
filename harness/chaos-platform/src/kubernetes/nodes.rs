//! Whether the nodes of the cluster are ready.
//!
//! Invariant: pure. A node is told of when it changes, never when it is first seen.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;

use super::Shared;
use super::follow::Follower;
use super::slots::Told;
use super::words::shortened;
use crate::observation::{PlatformChange, Seen};

/// Name, whether it is ready, and what its kubelet says of that.
pub(super) type Says = (String, bool, String);

/// Tells of nodes that become ready or stop being so.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: BTreeMap<String, bool>,
}

impl Nodes {
    fn changed(&mut self, (node, ready, why): Says) -> Vec<Told> {
        let before = self.known.insert(node.clone(), ready);
        if before.is_none_or(|before| before == ready) {
            return Vec::new();
        }
        let seen = PlatformChange::Node { node, ready, why };
        vec![(String::new(), String::new(), Seen::Platform(seen))]
    }
}

impl Follower for Nodes {
    type Object = Node;
    type Small = Says;

    fn small(&self, object: Node) -> Option<Says> {
        read(object)
    }

    fn all(&mut self, _: &Shared, all: Vec<Says>) -> Vec<Told> {
        self.known
            .retain(|name, _| all.iter().any(|(node, ..)| node == name));
        all.into_iter()
            .flat_map(|says| self.changed(says))
            .collect()
    }

    fn there(&mut self, _: &Shared, says: Says) -> Vec<Told> {
        self.changed(says)
    }

    fn gone(&mut self, _: &Shared, (node, ..): Says) -> Vec<Told> {
        self.known.remove(&node);
        Vec::new()
    }
}

fn read(node: Node) -> Option<Says> {
    let conditions = node.status.and_then(|status| status.conditions);
    let mut conditions = conditions.unwrap_or_default().into_iter();
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    let (is_ready, why) = match ready {
        Some(ready) => (
            ready.status == "True",
            ready.message.or(ready.reason).unwrap_or_default(),
        ),
        None => (false, "nothing is known of it".to_owned()),
    };
    Some((node.metadata.name?, is_ready, shortened(&why)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(status: &str) -> Says {
        let object = json!({ "metadata": { "name": "n1" }, "status": { "conditions": [
            { "type": "MemoryPressure", "status": "False" },
            { "type": "Ready", "status": status, "message": "kubelet says" } ] } });
        read(serde_json::from_value(object).expect("a node")).expect("a name")
    }

    #[test]
    fn a_node_is_told_of_when_it_changes() {
        let mut nodes = Nodes::default();
        assert!(nodes.changed(node("True")).is_empty());
        assert!(nodes.changed(node("True")).is_empty());
        let told = nodes.changed(node("Unknown"));
        let seen = PlatformChange::Node {
            node: "n1".to_owned(),
            ready: false,
            why: "kubelet says".to_owned(),
        };
        assert_eq!(told, [(String::new(), String::new(), Seen::Platform(seen))]);
        assert!(nodes.changed(node("False")).is_empty(), "as bad as before");
        assert_eq!(nodes.changed(node("True")).len(), 1);
    }
}
