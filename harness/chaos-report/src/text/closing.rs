//! The last lines of a run: verdict, why, worst number, faults, clean-up, report, exit code, what to do next.
//!
//! Invariant: at most 12 lines, whatever happened; the verdict stands first and what to do last.

use chaos_record::exit::{INCONCLUSIVE, NOT_HELD};
use chaos_record::verdict::{ClaimVerdict, FaultFinding, Status};

use super::paint::Paint;
use crate::clean::{clean, clean_composed};
use crate::timeline::Timeline;
use crate::view::{
    Mark, Number, Story, Tone, exit, outcome, scaled, scenario, summary, worst_second,
};
use crate::words;

/// Most lines of the block.
const LINES_MAX: usize = 12;
const WHY_MAX: usize = 2;
/// Faults and services that scaled, together, and the latter.
const FAULTS_MAX: usize = 3;
const SCALED_MAX: usize = 1;

/// The last lines of a run; `report_path` is where the report lies.
pub fn closing_block(story: &Story<'_>, color: bool, report_path: &str) -> String {
    let paint = Paint::new(color);
    let verdict = story.verdict;
    let Mark { tone, word } = outcome(verdict.outcome);
    let mut lines = vec![format!(
        "{}  {}",
        paint.tone(tone, &word.to_uppercase()),
        paint.bold(&clean(&story.plan().name))
    )];
    let mut put = |label: &str, text: &str| {
        lines.push(format!("  {}  {text}", paint.dim(&format!("{label:<8}"))));
    };
    put("verdict", &clean_composed(&verdict.sentence));
    for why in words::at_most(WHY_MAX, why(story)) {
        put("why", &why);
    }
    put("worst", &worst(&worst_second(story, &Timeline::new(story))));
    let scaled = words::at_most(SCALED_MAX, scaling(story));
    for scaled in &scaled {
        put("scaled", scaled);
    }
    for fault in words::at_most(FAULTS_MAX - scaled.len(), faults(story)) {
        put("fault", &fault);
    }
    put("clean-up", &cleanup(story, paint));
    put("report", &clean(report_path));
    let exit = exit(verdict);
    put("exit", &format!("{}: {}", exit.code, exit.meaning));
    put("next", &next(story));
    debug_assert!(lines.len() <= LINES_MAX, "the parts are limited one by one");
    lines.join("\n") + "\n"
}

/// What decided, if that was no claim; then claims that do not hold, then unknown ones; then warnings.
fn why(story: &Story<'_>) -> Vec<String> {
    let verdict = story.verdict;
    let mut claims: Vec<&ClaimVerdict> = verdict
        .claims
        .iter()
        .filter(|claim| claim.status != Status::Held)
        .collect();
    claims.sort_by_key(|claim| claim.status != Status::NotHeld);
    let of_claims = [NOT_HELD.code, INCONCLUSIVE.code];
    // What claims say for themselves is not said twice.
    let decided = verdict
        .exit
        .because
        .iter()
        .filter(|because| claims.is_empty() || !of_claims.contains(&because.code));
    let mut lines: Vec<String> = decided.map(|because| clean(&because.why)).collect();
    let line = |claim: &&ClaimVerdict| {
        let why = if claim.why.is_empty() {
            String::new()
        } else {
            format!("; {}", clean(&claim.why))
        };
        let word = Mark::of_status(claim.status).word;
        format!(
            "{word}: {}: {}, measured {}{why}",
            clean(&claim.name),
            clean(&claim.target),
            clean(&claim.measured)
        )
    };
    lines.extend(claims.iter().map(line));
    lines.extend(
        verdict
            .generator
            .warnings
            .iter()
            .map(|warning| clean(warning)),
    );
    lines
}

fn worst(number: &Number) -> String {
    format!("{}: {} {}", number.label, number.value, number.note)
}

fn faults(story: &Story<'_>) -> Vec<String> {
    let line = |(i, fault): (usize, &FaultFinding)| {
        let noticed = fault.detected_after.as_ref().map(|(ns, what)| {
            format!(" Noticed after {} ({}).", words::duration(*ns), clean(what))
        });
        format!(
            "{} {}: {}{}",
            words::letter(i),
            clean(&fault.name),
            summary(fault),
            noticed.unwrap_or_default()
        )
    };
    story.verdict.faults.iter().enumerate().map(line).collect()
}

fn scaling(story: &Story<'_>) -> Vec<String> {
    let shown = scaled(story).into_iter();
    shown.map(|one| clean_composed(&one.sentence)).collect()
}

fn cleanup(story: &Story<'_>, paint: Paint) -> String {
    let cleanup = &story.verdict.cleanup;
    if cleanup.verified {
        return "verified: nothing is left behind".to_owned();
    }
    let left = if cleanup.left.is_empty() {
        String::new()
    } else {
        format!(": {}", clean(&cleanup.left.join(", ")))
    };
    format!(
        "{}{left}",
        paint.tone(Tone::Bad, "NOT VERIFIED, something may be left behind")
    )
}

/// What to do next, by exit code.
fn next(story: &Story<'_>) -> String {
    let again = format!(
        "`chaos run {} --seed {}`",
        scenario(story),
        story.plan().seed
    );
    match story.verdict.exit.code {
        0 => format!("open the report; the same load again: {again}"),
        1 | 8 => {
            format!("open the report at the claim that did not hold; the same load again: {again}")
        }
        3 => format!("see `why`, then the evidence in the report; again: {again}"),
        4 => "see `why`; a smaller fault or rate, or a wider `safety.abort_if`, lets the run go on"
            .to_owned(),
        5 => format!("put right what `why` names, then {again}"),
        6 => "`chaos recover` undoes what is left; do not start another run before".to_owned(),
        70 => "please report this with the run's record.jsonl".to_owned(),
        _ => format!("the whole run: {again}"),
    }
}
