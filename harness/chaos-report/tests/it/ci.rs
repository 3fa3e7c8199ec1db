//! What CI systems read: valid, bounded, and deaf to foreign text.

mod annotations;
mod jenkins;
mod junit;
mod markdown;
mod schemas;
mod strings;

use chaos_record::verdict::{Because, RunOutcome, Status};

use crate::story::{Run, run};

/// Every way a run can end that its outputs tell apart, with `suffix` at each foreign text.
fn endings(suffix: &str) -> Vec<(&'static str, Run)> {
    let with = |change: &dyn Fn(&mut Run)| {
        let mut run = run(suffix);
        change(&mut run);
        run
    };
    vec![
        ("not held", with(&|_| {})),
        ("held", with(&held)),
        ("unknown", with(&|run| unknown(run, suffix))),
        ("aborted", with(&|run| exit(run, 4, "aborted", suffix))),
        (
            "interrupted",
            with(&|run| exit(run, 130, "interrupted", suffix)),
        ),
        ("not clean", with(&|run| not_clean(run, suffix))),
        ("empty", with(&empty)),
    ]
}

fn held(run: &mut Run) {
    run.verdict.outcome = RunOutcome::Held;
    run.verdict.exit.code = 0;
    "held".clone_into(&mut run.verdict.exit.name);
    run.verdict.exit.because.clear();
    for claim in &mut run.verdict.claims {
        claim.status = Status::Held;
        claim.why.clear();
    }
    for rule in run
        .verdict
        .integrity
        .iter_mut()
        .flat_map(|it| &mut it.rules)
    {
        rule.status = Status::Held;
        rule.violations = 0;
        rule.examples.clear();
    }
}

fn unknown(run: &mut Run, suffix: &str) {
    held(run);
    exit(run, 3, "inconclusive", suffix);
    run.verdict.outcome = RunOutcome::Inconclusive;
    run.verdict.claims[0].status = Status::Unknown;
    run.verdict.claims[0].why = format!("the generator fell behind{suffix}");
    run.verdict.generator.healthy = false;
    run.verdict.faults[0].trouble = Some(format!("no effect was seen{suffix}"));
}

fn exit(run: &mut Run, code: u8, name: &str, suffix: &str) {
    run.verdict.outcome = RunOutcome::Aborted;
    run.verdict.exit.code = code;
    name.clone_into(&mut run.verdict.exit.name);
    let why = format!("{name}{suffix}");
    run.verdict.exit.because.insert(0, Because { code, why });
}

fn not_clean(run: &mut Run, suffix: &str) {
    exit(run, 6, "not-clean", suffix);
    run.verdict.cleanup.verified = false;
    run.verdict.cleanup.left = vec![format!("pid 4009 of db-1 is stopped{suffix}")];
}

/// Nothing was asked and nothing was claimed.
fn empty(run: &mut Run) {
    exit(run, 5, "environment", "");
    run.verdict.claims.clear();
    run.verdict.faults.clear();
    run.verdict.stages.clear();
    run.verdict.series.clear();
    run.verdict.load_length = 0;
    run.verdict.load_started = None;
    run.verdict.incomplete_after = Some(2_000_000_000);
}
