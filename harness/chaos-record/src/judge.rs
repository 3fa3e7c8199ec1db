//! The judge: from a record to a verdict.
//!
//! Invariant: a pure function of the record. Unknown is where every claim begins: evidence that is
//! missing, doubtful or cut off never leads to `held`.

mod availability;
mod capacity;
mod claims;
mod conservation;
mod drift;
pub(crate) mod fault;
pub(crate) mod generator;
mod goodput;
mod integrity;
mod population;
pub(crate) mod probe;
mod reasons;
mod recovery;
mod requests;
mod resources;
mod scale_out;
mod sentence;
mod signals;
mod summary;
#[cfg(test)]
mod truths;
pub mod unclaimed;

use crate::exit;
use crate::facts::Facts;
use crate::record::Record;
use crate::verdict::Verdict;

/// Judges a run by its record.
pub fn judge(record: &Record) -> Verdict {
    let facts = &Facts::of(record);
    let conservation = conservation::check(facts);
    let health = generator::judge(facts);
    let faults = fault::judge(facts);
    let examined = crate::integrity::examine(facts);
    let capacity = capacity::found(facts);
    let ground = claims::Ground {
        facts,
        conservation: &conservation,
        health: &health,
        faults: &faults,
        integrity: examined.as_ref(),
        capacity: capacity.as_ref(),
    };
    let claims = claims::judge(&ground);
    let cleanup = reasons::cleanup(facts);
    let reasons = reasons::collect(&ground, &claims, &cleanup);
    let outcome = reasons::outcome(facts, &claims, &reasons);
    let exit = exit::decide(reasons);
    Verdict {
        outcome,
        sentence: sentence::write(&ground, outcome, &exit, &claims),
        exit,
        incomplete_after: reasons::incomplete_after(facts),
        scaled: facts.plan.scale.is_scaled(),
        load_started: facts.load_started,
        load_length: facts.offered(),
        claims,
        faults: faults.into_iter().map(|fault| fault.finding).collect(),
        generator: health.report,
        stages: summary::stages(facts),
        series: summary::series(facts),
        conservation,
        cleanup,
        integrity: examined.map(|examined| examined.verdict),
        usage: summary::usage(facts),
        notes: summary::notes(facts),
        capacity,
        scaling: crate::scaling::summary(&record.events),
    }
}
