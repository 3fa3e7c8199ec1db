//! The faults that are done through the API of a cluster, as a scenario writes them.
//!
//! Doc comments here are the descriptions in the published schema.
//! Invariant: what is read here is a wish; `check` says whether the target can be asked for it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::cluster::ObjectName;
use super::format::{Format, Text};
use super::located::{Located, Map, Optional};
use super::scenario::{COUNT, Replicas};
use super::value::Plain;
use crate::diagnostic::quote;
use crate::units::Share;

/// Which instances the cluster is asked to move away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Evict {
    /// The service whose instances are hit.
    pub(crate) service: Located<String>,
    /// Number of instances, 1 or more; which ones is drawn from the seed. Default: 1.
    #[serde(default)]
    #[schemars(extend("default" = COUNT))]
    pub(crate) count: Optional<Replicas>,
    /// In place of `count`: share of the instances, rounded down, at least one.
    #[serde(default)]
    pub(crate) share: Optional<Text<Share>>,
}

/// How many instances a service has meanwhile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scale {
    /// The service whose number of instances is changed.
    pub(crate) service: Located<String>,
    /// Number of instances meanwhile: 0 to 100, and not as many as there are.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "examples" = [1]))]
    pub(crate) replicas: Located<u32>,
}

/// Which version a service gets meanwhile. With neither `image` nor `env`: the same one again, in new pods.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollout {
    /// The service whose instances are replaced one after the other, as its workload says.
    pub(crate) service: Located<String>,
    /// The image meanwhile. Default: as it is.
    #[serde(default)]
    pub(crate) image: Optional<Text<ImageName>>,
    /// Environment that is set meanwhile, by name; never a secret. Default: as it is.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 20, "examples" = [{ "LISTEN": "nowhere" }]))]
    pub(crate) env: Optional<Map<Plain>>,
}

/// Which Service is gone meanwhile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceLost {
    /// The service that is not found any more.
    pub(crate) service: Located<String>,
    /// The object of kind Service. Default: the service's name.
    #[serde(default)]
    pub(crate) name: Optional<Text<ObjectName>>,
}

/// How little CPU instances get meanwhile.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cpu {
    /// The service whose instances are hit.
    pub(crate) service: Located<String>,
    /// Number of instances, 1 or more; which ones is drawn from the seed. Default: 1.
    #[serde(default)]
    #[schemars(extend("default" = COUNT))]
    pub(crate) count: Optional<Replicas>,
    /// In place of `count`: share of the instances, rounded down, at least one.
    #[serde(default)]
    pub(crate) share: Optional<Text<Share>>,
    /// Limit meanwhile, cores: 0.01 to 64, in steps of 0.001.
    #[schemars(extend("minimum" = 0.01, "maximum" = 64, "examples" = [0.05]))]
    pub(crate) limit: Located<f64>,
}

/// The name of a container image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageName(pub(crate) String);

impl Format for ImageName {
    const NAME: &'static str = "image-name";
    const EXAMPLES: &'static [&'static str] = &["registry.example/shop:2"];
    const MAX: usize = 255;

    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_graphic())
        {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{} is no name of an image: write it as `registry/name:tag`",
            quote(text)
        ))
    }
}
