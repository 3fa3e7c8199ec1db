//! `chaos plan`: what a run would do; touches nothing.

use chaos_faults::fault::{describe, needs};
use chaos_plan::Plan;
use chaos_plan::plan::{Fault, PlatformName};
use chaos_platform::Capability;
use chaos_record::exit;
use chaos_report::plan_text::{FaultDetail, plan_text};

use crate::cli::PlanArgs;
use crate::output::{Failure, Output};

pub(super) fn plan(args: &PlanArgs, output: &Output) -> Result<u8, Failure> {
    let plan = super::plan_of(&args.scenario, output)?;
    if args.json {
        output.give(&serde_json::to_string_pretty(&plan).expect("a plan is plain data"));
    } else {
        output.give(&plan_text(&plan, &details(&plan)));
    }
    Ok(exit::HELD.code)
}

/// How each fault works on the plan's platform, in words.
fn details(plan: &Plan) -> Vec<FaultDetail> {
    let detail = |fault| detail(fault, plan.platform);
    plan.faults.iter().map(detail).collect()
}

fn detail(fault: &Fault, platform: PlatformName) -> FaultDetail {
    let words = describe(&fault.inject, platform);
    let one = |text: &str| vec![text.to_owned()];
    let needs = needs(&fault.inject).iter().map(|need| match need {
        Capability::Kill => "end an instance at once",
        Capability::Freeze => "stop an instance without ending it",
        Capability::Hold => "end an instance in order and decide when it starts again",
        Capability::Evict => "ask for an instance to be moved away",
        Capability::LimitCpu => "limit the CPU of a running instance",
        Capability::Scale => "set how many instances a service has",
        Capability::RollOut => "change the version of a service",
        Capability::Lose => "remove the object through which a service is found",
    });
    FaultDetail {
        fault: fault.name.clone(),
        acts: one(words.act),
        undo: one(words.undo),
        proof: one(words.proof),
        needs: needs.map(str::to_owned).collect(),
    }
}
