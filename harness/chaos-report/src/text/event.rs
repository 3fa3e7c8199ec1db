//! One line for each event that tells a person something.
//!
//! Invariant: a line says who and what in words; measurements of the engine about itself have none.

use chaos_plan::Plan;
use chaos_plan::plan::{Level, PlatformName, Role, Segment, Target};
use chaos_record::audit::Reading;
use chaos_record::event::{
    Event, FaultChange, InstanceChange, PlatformChange, Stamped, StopSignal,
};
use chaos_record::search::SearchEnd;

use crate::clean::{clean, clean_all};
use crate::words;

/// Lines for the events of one run, handed in as they come.
///
/// Times count from the start of the load, as in the report; what comes before it has none.
#[derive(Debug, Clone, Default)]
pub struct EventLines {
    /// Also say what goes as planned: each instance that becomes ready, each that ends as asked.
    pub everything: bool,
    deployed: bool,
    load_started: Option<u64>,
}

impl EventLines {
    pub fn new(everything: bool) -> Self {
        Self {
            everything,
            ..Self::default()
        }
    }

    /// The next event: `T+00:12.3  fault kill-api: requested on api-2`.
    pub fn line(&mut self, event: &Stamped, plan: &Plan) -> Option<String> {
        let expected = self.is_expected(&event.what);
        match event.what {
            Event::Deployed => self.deployed = true,
            Event::LoadStarted { .. } => self.load_started = Some(event.at),
            _ => {}
        }
        if expected && !self.everything {
            return None;
        }
        let text = event_text(&event.what, plan)?;
        let clock = self
            .load_started
            .and_then(|start| event.at.checked_sub(start));
        let clock = clock.map_or_else(String::new, |at| format!("T+{}", words::clock(at)));
        Some(format!("{clock:9}  {text}"))
    }

    fn is_expected(&self, event: &Event) -> bool {
        let Event::Instance { change, .. } = event else {
            return false;
        };
        match change {
            // A deploy says itself what keeps it from ending.
            InstanceChange::Ready | InstanceChange::Stuck { .. } => !self.deployed,
            InstanceChange::Exited { asked, .. } => *asked,
            _ => false,
        }
    }
}

/// An event in words, without its time; `None` if it tells a person nothing.
pub fn event_text(event: &Event, plan: &Plan) -> Option<String> {
    let text = match event {
        Event::DeployStarted => format!("deploy: {}", deploy(plan)),
        Event::Deployed => "deploy: every instance is ready".to_owned(),
        Event::Instance {
            instance, change, ..
        } => format!("instance {}: {}", clean(instance), instance_change(change)?),
        Event::Platform { change, .. } => platform_change(change)?,
        Event::LoadStarted { workers } => load_started(plan, *workers),
        Event::StageStarted { stage } => stage_started(plan, *stage)?,
        Event::Searching(segment) => searching(plan, segment)?,
        Event::Searched { end } => format!("search: over, {}", search_end(*end)),
        Event::Fault { fault, change } => {
            format!("fault {}: {}", clean(fault), fault_change(change))
        }
        Event::LoadStopped { until, cut_short } => {
            format!(
                "load: {} after {}",
                if *cut_short { "cut short" } else { "ended" },
                words::duration(*until)
            )
        }
        Event::Aborted { why } => format!("aborted by a safety limit: {}", clean(why)),
        Event::Interrupted {
            signal: StopSignal::Interrupt,
        } => "stopped by the user (Ctrl-C)".to_owned(),
        Event::Interrupted {
            signal: StopSignal::Terminate,
        } => "stopped by the user (SIGTERM)".to_owned(),
        Event::EnvironmentFailed { what } => format!("environment: {}", clean(what)),
        Event::GuardianLost => {
            "the guardian is gone: no new fault, everything is undone".to_owned()
        }
        Event::Panicked { message } => format!("a bug in chaos: {}", clean(message)),
        Event::CleanedUp { verified: true, .. } => {
            "clean-up: verified, nothing is left behind".to_owned()
        }
        Event::CleanedUp {
            verified: false,
            left,
        } => format!(
            "clean-up: NOT VERIFIED, may be left behind: {}",
            clean(&left.join(", "))
        ),
        Event::Worker(_) => return None,
        // Named one by one, so that a new event cannot be forgotten.
        Event::Halted { .. }
        | Event::AuditStarted { .. }
        | Event::AuditRead { .. }
        | Event::AuditFailed { .. }
        | Event::OperationsLogged { .. }
        | Event::OperationLogFailed { .. }
        | Event::Restarting
        | Event::Restarted
        | Event::Note { .. }
        | Event::KeyAwaited { .. }
        | Event::KeyPressed { .. } => return audit_or_facilitator(event),
    };
    Some(text)
}

/// What the audit, the operation log and the people around a run say.
fn audit_or_facilitator(event: &Event) -> Option<String> {
    let text = match event {
        Event::Halted { by } => format!("stopped by `chaos halt`, {}", clean(by)),
        Event::AuditStarted { reading } => {
            format!("audit: asking what the target holds {}", reading.words())
        }
        Event::AuditRead {
            reading,
            quiet,
            orders,
        } => audit_read(*reading, *quiet, *orders),
        Event::AuditFailed { reading, why } => {
            format!("audit: no answer {}: {}", reading.words(), clean(why))
        }
        Event::OperationsLogged { count } => {
            format!(
                "operation log: {} read back",
                words::counted(*count, "operation")
            )
        }
        Event::OperationLogFailed { why } => {
            format!("operation log: not whole: {}", clean(why))
        }
        Event::Restarting => "restart: every instance, for the last audit".to_owned(),
        Event::Restarted => "restart: every instance is ready again".to_owned(),
        Event::Note { kind, text, by } => {
            format!("{} ({}): {}", kind.name(), clean(by), clean(text))
        }
        Event::KeyAwaited { fault } => {
            format!(
                "fault {0}: waits for the facilitator: `chaos go --fault {0}`",
                clean(fault)
            )
        }
        Event::KeyPressed { fault } => {
            format!("fault {}: the facilitator lets it begin", clean(fault))
        }
        _ => return None,
    };
    Some(text)
}

fn audit_read(reading: Reading, quiet: bool, orders: u64) -> String {
    let rest = if quiet {
        ""
    } else {
        ", which had not come to rest"
    };
    format!(
        "audit: read {} {}{rest}",
        words::counted(orders, "order"),
        reading.words()
    )
}

fn deploy(plan: &Plan) -> String {
    match &plan.target {
        Target::Url(_) => "nothing to start, the target runs already".to_owned(),
        Target::Deploy(description) => {
            let instances: u64 = description
                .services
                .iter()
                .map(|service| u64::from(service.replicas))
                .sum();
            let services = words::counted(description.services.len() as u64, "service");
            // In a cluster they may run already.
            let act = match plan.platform {
                PlatformName::Kubernetes => "waiting for",
                PlatformName::Local | PlatformName::Compose => "starting",
            };
            format!(
                "{}: {act} {} of {services}",
                clean(&description.name),
                words::counted(instances, "instance")
            )
        }
    }
}

/// Starting for the first time and becoming ready is part of the deployment and told once, by it;
/// unless there is something to say of where.
fn instance_change(change: &InstanceChange) -> Option<String> {
    let text = match change {
        InstanceChange::Started {
            incarnation, place, ..
        } => started(*incarnation, place.as_deref())?,
        InstanceChange::Ready => "ready".to_owned(),
        InstanceChange::Unready { why } => format!("not ready: {}", clean(why)),
        InstanceChange::Exited {
            status,
            asked: true,
        } => format!("ended as asked, {}", clean(status)),
        InstanceChange::Exited {
            status,
            asked: false,
        } => format!("exited, {}", clean(status)),
        InstanceChange::Restarting { after: 0 } => "restarts at once".to_owned(),
        InstanceChange::Restarting { after } => format!("restarts in {}", words::duration(*after)),
        InstanceChange::Down => "stays down".to_owned(),
        InstanceChange::Stuck { why } => format!("cannot start: {}", clean(why)),
        InstanceChange::Withdrawn { why } => format!("withdrawn: {}", clean(why)),
    };
    Some(text)
}

/// What the platform told; what is only the beginning or the metric of something has no line.
fn platform_change(change: &PlatformChange) -> Option<String> {
    let text = match change {
        PlatformChange::Autoscaled {
            autoscaler,
            was,
            wanted,
            metric,
        } => {
            let was = (*was).filter(|was| was != wanted)?;
            let metric = metric
                .as_deref()
                .map(|metric| format!(" ({})", clean(metric)));
            format!(
                "autoscaler {}: wants {wanted}, {was} before{}",
                clean(autoscaler),
                metric.unwrap_or_default()
            )
        }
        PlatformChange::Serving { name, was, ready } => {
            let was = (*was)?;
            let ready = words::counted(u64::from(*ready), "ready endpoint");
            format!("service {}: {ready}, {was} before", clean(name))
        }
        PlatformChange::Warned {
            object,
            reason,
            message,
            times,
        } => {
            let times = match times {
                0 | 1 => String::new(),
                times => format!(", {times} times so far"),
            };
            let (object, reason) = (clean(object), clean(reason));
            format!("warning {object}: {reason}{times}: {}", clean(message))
        }
        PlatformChange::Node {
            node, ready: true, ..
        } => format!("node {}: ready", clean(node)),
        PlatformChange::Node { node, why, .. } => {
            format!("node {}: not ready: {}", clean(node), clean(why))
        }
        PlatformChange::Unwatched { what, why } => {
            format!("not looked at: {}: {}", clean(what), clean(why))
        }
    };
    Some(text)
}

fn started(incarnation: u32, place: Option<&str>) -> Option<String> {
    let again = format!("started again, incarnation {incarnation}");
    match (incarnation, place.map(clean)) {
        (0 | 1, None) => None,
        (0 | 1, Some(place)) => Some(format!("started, {place}")),
        (_, None) => Some(again),
        (_, Some(place)) => Some(format!("{again}, {place}")),
    }
}

fn load_started(plan: &Plan, workers: usize) -> String {
    let length = u64::try_from(plan.load.length().as_nanos()).unwrap_or(u64::MAX);
    let stages = words::counted(plan.load.stages.len() as u64, "stage");
    let search = match &plan.load.search {
        Some(search) => format!(", then a search from {} to {}", search.from, search.to),
        None => String::new(),
    };
    format!(
        "load: started, {} in {stages}{search}, {}",
        words::duration(length),
        words::counted(workers as u64, "worker")
    )
}

fn stage_started(plan: &Plan, stage: usize) -> Option<String> {
    let stage = plan.load.stages.get(stage)?;
    let length = u64::try_from(stage.length.as_nanos()).unwrap_or(u64::MAX);
    let level = match stage.level {
        Level::Rate { to, .. } if stage.is_constant() => words::rate(to.per_second()),
        Level::Rate { from, to } => format!(
            "{} to {}",
            words::rate(from.per_second()),
            words::rate(to.per_second())
        ),
        Level::Users { from, to } if from == to => words::counted(to.into(), "user"),
        Level::Users { from, to } => {
            format!("{from} to {}", words::counted(to.into(), "user"))
        }
    };
    Some(format!(
        "stage {}: {level} for {}",
        clean(&stage.name),
        words::duration(length)
    ))
}

/// A probe and what leads up to it are told once; where the search ends is told by why it does.
fn searching(plan: &Plan, segment: &Segment) -> Option<String> {
    let name = clean(&plan.load.search.as_ref()?.name);
    let length = words::duration(segment.until.saturating_sub(segment.from));
    let rate = words::rate(segment.rate.per_second());
    match segment.role {
        Role::Probe => Some(format!("search {name}: {rate} for {length}")),
        Role::Rest => Some(format!("search {name}: rests at {rate}")),
        Role::Settle | Role::End => None,
    }
}

fn search_end(end: SearchEnd) -> &'static str {
    match end {
        SearchEnd::Found => "the limit is found",
        SearchEnd::Top => "the highest rate holds",
        SearchEnd::Bottom => "the lowest rate breaks already",
        SearchEnd::Generator => "the generator was the limit, not the target",
        SearchEnd::NotRecovered => "the target does not recover",
        SearchEnd::Spent => "every probe is used up",
    }
}

fn fault_change(change: &FaultChange) -> String {
    let proof = |proof: &[String]| clean(&proof.join("; "));
    match change {
        FaultChange::Requested { targets } => {
            format!("requested on {}", words::list(&clean_all(targets)))
        }
        FaultChange::Effective { proof: read } => format!("effective ({})", proof(read)),
        FaultChange::Unproven { why } => format!("applied, but no effect was seen: {}", clean(why)),
        FaultChange::NotInjected { why, .. } => format!("not injected: {}", clean(why)),
        FaultChange::Undone { proof: read } if read.is_empty() => {
            "over, nothing to undo".to_owned()
        }
        FaultChange::Undone { proof: read } => format!("undone ({})", proof(read)),
        FaultChange::UndoFailed { why } => format!("UNDO FAILED: {}", clean(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_is_told_only_where_a_place_is() {
        let check = |incarnation, place: Option<&str>, expected: Option<&str>| {
            let change = InstanceChange::Started {
                incarnation,
                pid: None,
                address: String::new(),
                place: place.map(str::to_owned),
            };
            assert_eq!(instance_change(&change).as_deref(), expected);
        };
        check(1, None, None);
        check(1, Some("api-x on node1"), Some("started, api-x on node1"));
        check(2, None, Some("started again, incarnation 2"));
        let again = "started again, incarnation 2, api-y on node2";
        check(2, Some("api-y on node2"), Some(again));
    }
}
