//! Where a run on Kubernetes happens, and what is applied there.
//!
//! Invariant: no context is ever taken because it is the current one: who breaks things says where.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ScenarioArgs;

/// Flags of `--platform kubernetes`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct ClusterArgs {
    /// Context of the kubeconfig; never taken from the current one.
    #[arg(long, value_name = "NAME", env = "CHAOS_KUBE_CONTEXT")]
    pub context: Option<String>,
    /// Namespace; otherwise what the target description says. Made if it is not there, and then removed.
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The kubeconfig; otherwise what `kubectl` reads.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Apply these manifests in place of those of the target description.
    #[arg(long, value_name = "FILE", conflicts_with = "existing")]
    pub manifests: Option<PathBuf>,
    /// Apply nothing: the target runs already in the namespace.
    #[arg(long)]
    pub existing: bool,
    /// Image of the target's own containers; `NAME=REFERENCE` for one that the manifests call NAME. May be repeated.
    #[arg(long = "image", value_name = "[NAME=]REFERENCE", value_parser = image, conflicts_with = "existing")]
    pub images: Vec<(Option<String>, String)>,
    /// When nodes pull images; otherwise what the manifests say.
    #[arg(long, value_enum, conflicts_with = "existing")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Image of the janitor, which takes faults back from inside the cluster if this machine dies; otherwise the
    /// one called `chaos` among the target's own.
    #[arg(long, value_name = "REFERENCE", value_parser = reference, conflicts_with = "no_janitor")]
    pub janitor_image: Option<String>,
    /// Make no janitor: if this machine dies, faults stand until `chaos recover`.
    #[arg(long)]
    pub no_janitor: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RbacArgs {
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Namespace; otherwise what the target description says.
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The run applies the target too, and so makes all that it is made of. Otherwise: `chaos run --existing`.
    #[arg(long)]
    pub deploy: bool,
    /// What is applied, in place of what the target description says.
    #[arg(long, value_name = "FILE", requires = "deploy")]
    pub manifests: Option<PathBuf>,
    /// The run makes no janitor.
    #[arg(long)]
    pub no_janitor: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// A name in a manifest has no tag, so the first `=` ends it.
fn image(text: &str) -> Result<(Option<String>, String), String> {
    let (name, reference) = match text.split_once('=') {
        Some((name, reference)) => (Some(name.to_owned()), reference),
        None => (None, text),
    };
    if fits(reference) && name.as_deref().is_none_or(fits) {
        return Ok((name, reference.to_owned()));
    }
    Err("write registry/image:tag, or name=registry/image:tag".to_owned())
}

fn reference(text: &str) -> Result<String, String> {
    if fits(text) {
        return Ok(text.to_owned());
    }
    Err("write registry/image:tag".to_owned())
}

fn fits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_may_say_which_one_it_replaces() {
        let check = |text, name: Option<&str>, reference: &str| {
            let expected = (name.map(str::to_owned), reference.to_owned());
            assert_eq!(image(text), Ok(expected), "{text}");
        };
        check("localhost/chaos:1", None, "localhost/chaos:1");
        check(
            "db=reg:5000/db@sha256:0",
            Some("db"),
            "reg:5000/db@sha256:0",
        );
        for bad in ["", "=x", "x=", "a b"] {
            assert!(image(bad).is_err(), "{bad}");
        }
    }
}
