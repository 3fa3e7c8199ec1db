//! The `kubernetes:` parts of a target description.
//!
//! Doc comments here are the descriptions in the published schema.
//! Invariant: what is read here names things; it never holds a credential.

use schemars::JsonSchema;
use serde::Deserialize;

use super::format::{Format, Text, Url};
use super::located::{Map, Optional};
use super::value::Plain;
use crate::diagnostic::quote;
use crate::plan::{Workload, WorkloadKind, is_object_name};
use crate::template::Template;

/// How the whole target stands in a Kubernetes cluster.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cluster {
    /// The namespace, unless `--namespace` says another. Default: none, so that the command line must say it.
    #[serde(default)]
    #[schemars(extend("examples" = ["shop"]))]
    pub(crate) namespace: Optional<Text<ObjectName>>,
    /// File with the manifests that `chaos` applies and removes, from this file's folder. Default: nothing is applied, the target runs already.
    #[serde(default)]
    #[schemars(extend("examples" = ["shop.kubernetes.yaml"]))]
    pub(crate) manifests: Optional<String>,
    /// Secrets that are made anew for each run, by name: keys and values, in which `{random}` is 48 hexadecimal digits drawn by chance and `{KEY}` the value of another key that holds no such slot.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 20, "examples" = [{ "shop": { "password": "{random}", "url": "db://shop:{password}@db" } }]))]
    pub(crate) secrets: Optional<Map<Map<Text<Template>>>>,
    /// The Service through whose node port the load comes in. Default: one of the entry service's name.
    #[serde(default)]
    #[schemars(extend("examples" = ["front"]))]
    pub(crate) service: Optional<Text<ObjectName>>,
    /// In place of `service`: the address at which the load comes in.
    #[serde(default)]
    pub(crate) url: Optional<Text<Url>>,
}

/// What a set of parts changes of how the target stands in a Kubernetes cluster.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithParts {
    /// File with the manifests of the target and of these parts, in place of the target's own. Default: the target's own.
    #[serde(default)]
    #[schemars(extend("examples" = ["shop-and-parts.kubernetes.yaml"]))]
    pub(crate) manifests: Optional<String>,
}

/// The pods of a service in a Kubernetes cluster.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pods {
    /// The `Deployment` or `StatefulSet` that makes them. Default: `deployment/` and the service's name.
    #[serde(default)]
    pub(crate) workload: Optional<Text<Workload>>,
    /// In place of `workload`: labels that they all bear.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 20, "examples" = [{ "app": "api" }]))]
    pub(crate) selector: Optional<Map<Plain>>,
    /// The container that is meant. Default: the first.
    #[serde(default)]
    #[schemars(extend("examples" = ["api"]))]
    pub(crate) container: Optional<Text<ObjectName>>,
    /// The port at which it answers, 1 to 65535. Default: the first one that the container declares.
    #[serde(default)]
    #[schemars(extend("minimum" = 1, "maximum" = 65_535, "examples" = [8080]))]
    pub(crate) port: Optional<u32>,
}

/// The name of an object in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectName(pub(crate) String);

impl Format for ObjectName {
    const NAME: &'static str = "object-name";
    const EXAMPLES: &'static [&'static str] = &["shop"];

    fn parse(text: &str) -> Result<Self, String> {
        if is_object_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{} cannot be a name in a cluster: use small letters, digits and `-`, at most 63",
            quote(text)
        ))
    }
}

impl Format for Workload {
    const NAME: &'static str = "workload";
    const EXAMPLES: &'static [&'static str] = &["deployment/api", "statefulset/db"];

    fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{} is not a workload: write `deployment/NAME` or `statefulset/NAME`",
                quote(text)
            )
        };
        let (kind, name) = text.split_once('/').ok_or_else(bad)?;
        let kind = [WorkloadKind::Deployment, WorkloadKind::StatefulSet]
            .into_iter()
            .find(|known| known.name() == kind)
            .ok_or_else(bad)?;
        if !is_object_name(name) {
            return Err(bad());
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}
