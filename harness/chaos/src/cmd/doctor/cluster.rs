//! The part of `chaos doctor` that looks at a cluster, if one is named.
//!
//! Invariant: no cluster is asked that was not named.

use chaos_platform::kubernetes::{self, Chosen, Look};
use chaos_platform::platform::PlatformError;

use super::{Finding, State, fine, wrong};
use crate::cli::DoctorArgs;
use crate::output::Failure;

pub(super) fn look(args: &DoctorArgs) -> Result<Vec<Finding>, Failure> {
    let chosen = Chosen {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone().unwrap_or_default(),
        namespace: args.namespace.clone().unwrap_or_default(),
    };
    if chosen.context.is_empty() {
        return Ok(vec![unnamed(kubernetes::contexts(&chosen))]);
    }
    let runtime = super::super::runtime()?;
    let looks = runtime.block_on(kubernetes::look(&chosen));
    Ok(looks.into_iter().map(finding).collect())
}

/// Never wrong: only `--platform kubernetes` needs a cluster, and says so itself.
fn unnamed(contexts: Result<Vec<String>, PlatformError>) -> Finding {
    let seen = match contexts {
        Ok(names) if names.is_empty() => "the kubeconfig has no context".to_owned(),
        Ok(names) => format!(
            "contexts {}; `--context NAME` looks at one",
            names.join(", ")
        ),
        Err(error) => {
            format!("no cluster, and needed only with `--platform kubernetes`: failed to {error}")
        }
    };
    fine("kubernetes", seen)
}

/// What is wrong says in itself what to do.
fn finding(look: Look) -> Finding {
    match look.seen {
        Ok(seen) => fine(look.what, seen),
        Err(error) => wrong(look.what, State::Missing, format!("failed to {error}"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_cluster_lacks_nothing() {
        let missing = PlatformError::Missing {
            what: "a kubeconfig".to_owned(),
        };
        let found = unnamed(Err(missing));
        assert_eq!(found.state, State::Fine);
        assert!(found.seen.contains("--platform kubernetes"), "{found:?}");
        let found = unnamed(Ok(vec!["test".to_owned()]));
        assert!(found.seen.contains("contexts test;"), "{found:?}");
    }

    #[test]
    fn what_is_wrong_in_a_cluster_fails() {
        let found = finding(Look {
            what: "namespace",
            seen: Err(PlatformError::Missing {
                what: "it".to_owned(),
            }),
        });
        assert_eq!(found.state, State::Missing);
        assert_eq!(found.seen, "failed to find it");
    }
}
