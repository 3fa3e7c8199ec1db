//! How a target stands in a Kubernetes cluster, as its description says.
//!
//! Invariant: names and labels only. No credential, no address of an API server and no manifest
//! stands here, so none of them reaches a record.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What the whole target has in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Where it stands unless the command line says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// File with what is applied, from the description's folder; `None` for what runs already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<String>,
    /// Secrets that are made for the run, by name: keys, and templates of their values in which
    /// `{random}` is drawn when it is made and `{KEY}` is another value. The values stand nowhere else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, BTreeMap<String, String>>,
    pub door: Door,
}

/// The slot of a Secret's value that is drawn by chance.
pub const RANDOM: &str = "random";

/// How shoppers come in from outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Through a node port of this Service.
    Service(String),
    /// At this address, whatever stands behind it.
    Url(String),
}

/// The pods of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pods {
    pub find: Find,
    /// The container that is meant; `None` is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The port at which it answers; `None` is the first one that the container declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Pods {
    /// The object that makes them, if they are found by it.
    pub fn workload(&self) -> Option<&Workload> {
        match &self.find {
            Find::Workload(workload) => Some(workload),
            Find::Labels(_) => None,
        }
    }
}

/// How the pods of a service are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Find {
    /// Those that this object makes.
    Workload(Workload),
    /// Those that bear all of these labels.
    Labels(BTreeMap<String, String>),
}

/// An object that makes pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
}

impl WorkloadKind {
    /// As `kubectl` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

/// Longest name of an object, in bytes (RFC 1123 label).
const MAX_NAME: usize = 63;

/// Whether a text can be the name of a namespace, a Service or a workload: an RFC 1123 label.
pub fn is_object_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= MAX_NAME
        && text.starts_with(inner)
        && text.ends_with(inner)
        && text.chars().all(|c| inner(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labels_of_rfc_1123_are_names() {
        for good in ["a", "shop-2", "0a"] {
            assert!(is_object_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "Shop", "a.b", "a/b", &"a".repeat(64)] {
            assert!(!is_object_name(bad), "{bad}");
        }
    }
}
