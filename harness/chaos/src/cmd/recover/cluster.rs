//! `chaos recover --context`: takes back faults by what stands on the objects of a cluster, without the
//! ledger of the machine they came from.
//!
//! Invariant: nothing is done beside a run that is alive, and only what bears the mark of a run is touched.

use chaos_platform::kubernetes::{self, Chosen, TakenBack};
use chaos_record::exit;
use serde_json::json;

use crate::cli::RecoverArgs;
use crate::output::{Failure, Output};

/// The namespace that is meant, if one is.
pub(super) fn chosen(args: &RecoverArgs) -> Option<Chosen> {
    Some(Chosen {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone()?,
        namespace: args.namespace.clone()?,
    })
}

pub(super) fn recover(chosen: &Chosen, args: &RecoverArgs, output: &Output) -> Result<u8, Failure> {
    let runtime = super::super::runtime()?;
    let taking = kubernetes::take_back(chosen, args.run.as_deref());
    let found = runtime
        .block_on(taking)
        .map_err(|error| Failure::new(exit::ENVIRONMENT, format!("error: failed to {error}")))?;
    if args.json {
        let all: Vec<_> = found.iter().map(row).collect();
        output.give(&serde_json::to_string_pretty(&all).expect("plain data"));
    }
    if found.is_empty() {
        output.tell("nothing to recover");
    }
    for one in &found {
        output.tell(&format!("{}: {}", one.run, one.how.words()));
    }
    let clean = found.iter().all(|one| one.how.is_clean());
    Ok(if clean {
        exit::HELD.code
    } else {
        exit::NOT_CLEAN.code
    })
}

fn row(one: &TakenBack) -> serde_json::Value {
    json!({ "run": one.run, "clean": one.how.is_clean(), "how": one.how })
}
