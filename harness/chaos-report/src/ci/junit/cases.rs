//! Which cases a run has and how each ended.
//!
//! Invariant: what a fault did to shoppers is judged by the claims; the fault's own case says
//! whether it was injected, took effect and was undone, so that nothing fails twice.

use chaos_record::event::NotInjected;
use chaos_record::exit;
use chaos_record::verdict::{ClaimVerdict, FaultFinding, IntegrityVerdict, RuleVerdict, Status};

use super::{Case, Ending};
use crate::clean::{clean, clean_all, clean_composed};
use crate::view::{ClaimRow, FaultCard, Story, View, summary};
use crate::words;

/// All cases, in the order in which a report tells them.
pub(super) fn cases(story: &Story<'_>, view: &View) -> Vec<Case> {
    let verdict = story.verdict;
    let mut cases: Vec<Case> = verdict
        .claims
        .iter()
        .zip(&view.claims)
        .map(|(claim, row)| of_claim(claim, row))
        .collect();
    if let Some(integrity) = &verdict.integrity {
        cases.extend(integrity.rules.iter().map(|rule| of_rule(integrity, rule)));
    }
    cases.extend(
        verdict
            .faults
            .iter()
            .zip(&view.faults)
            .map(|(fault, card)| of_fault(story, fault, card)),
    );
    cases.extend(trust(story, view));
    cases.push(cleanup(story));
    let told = cases
        .iter()
        .any(|case| matches!(case.ending, Ending::Failed | Ending::Error));
    cases.push(of_run(story, view, told));
    cases
}

fn passed(group: &'static str, name: impl Into<String>, body: String) -> Case {
    Case {
        group,
        name: name.into(),
        ending: Ending::Passed,
        kind: String::new(),
        message: String::new(),
        body,
    }
}

/// Something that puts the run in doubt: an error, unless the run is good in spite of it.
fn doubtful(story: &Story<'_>, case: Case, message: String) -> Case {
    let ending = if story.verdict.exit.code == exit::HELD.code {
        Ending::Skipped
    } else {
        Ending::Error
    };
    Case {
        ending,
        kind: exit::INCONCLUSIVE.name.to_owned(),
        message,
        ..case
    }
}

fn of_claim(claim: &ClaimVerdict, row: &ClaimRow) -> Case {
    let (ending, kind) = match claim.status {
        Status::Held => (Ending::Passed, ""),
        Status::NotHeld if claim.kind == "integrity" => (Ending::Failed, exit::INTEGRITY.name),
        Status::NotHeld => (Ending::Failed, "slo"),
        Status::Unknown => (Ending::Error, exit::INCONCLUSIVE.name),
        Status::NotJudged => (Ending::Skipped, "not-judged"),
    };
    let message = format!("{}; claimed {}", or(&row.why, &row.measured), row.target);
    Case {
        ending,
        kind: kind.to_owned(),
        message,
        ..passed("hypothesis", row.name.clone(), body(row))
    }
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn body(row: &ClaimRow) -> String {
    let mut lines = vec![
        format!("claimed:  {}", row.target),
        format!("measured: {}", row.measured),
    ];
    if !row.why.is_empty() {
        lines.push(format!("why:      {}", row.why));
    }
    lines.push(format!("line {} of the scenario", row.line));
    lines.extend(row.findings.iter().map(|part| {
        let why = if part.why.is_empty() {
            String::new()
        } else {
            format!(" ({})", part.why)
        };
        format!(
            "{}: {}, {}, {}{why}",
            part.of, part.mark.word, part.measured, part.counts
        )
    }));
    lines.push("all of it: report.html and result.json in the run's folder".to_owned());
    lines.join("\n")
}

fn of_rule(integrity: &IntegrityVerdict, rule: &RuleVerdict) -> Case {
    let counts = format!(
        "{} broken of {} checked",
        words::count(rule.violations),
        words::count(rule.checked)
    );
    let mut lines = vec![rule.rule.words().to_owned(), counts.clone()];
    lines.extend(clean_all(&rule.examples));
    let (ending, kind) = match rule.status {
        Status::Held => (Ending::Passed, ""),
        Status::NotHeld => (Ending::Failed, exit::INTEGRITY.name),
        Status::Unknown => (Ending::Error, exit::INCONCLUSIVE.name),
        Status::NotJudged => (Ending::Skipped, "not-judged"),
    };
    let message = if rule.violations == 0 && ending == Ending::Error {
        format!("not known: {}", clean_composed(&integrity.why))
    } else {
        format!("{}: {counts}", rule.rule.words())
    };
    Case {
        ending,
        kind: kind.to_owned(),
        message,
        ..passed("integrity", rule.rule.name(), lines.join("\n"))
    }
}

fn of_fault(story: &Story<'_>, fault: &FaultFinding, card: &FaultCard) -> Case {
    let told = summary(fault);
    let mut lines = vec![card.act.clone(), format!("{}: {told}", card.mark.word)];
    lines.extend(
        card.effect_proof
            .iter()
            .map(|proof| format!("effect: {proof}")),
    );
    lines.extend(card.undo_proof.iter().map(|proof| format!("undo: {proof}")));
    let case = passed("fault", card.name.clone(), lines.join("\n"));
    match (&fault.not_injected, &fault.trouble) {
        (Some((NotInjected::Stopping, _)), _) => Case {
            ending: Ending::Skipped,
            kind: "not-injected".to_owned(),
            message: told,
            ..case
        },
        (Some(_), _) => doubtful(story, case, told),
        (None, Some(trouble)) => doubtful(story, case, clean_composed(trouble)),
        (None, None) => case,
    }
}

/// Whether the numbers can be believed.
fn trust(story: &Story<'_>, view: &View) -> Vec<Case> {
    let verdict = story.verdict;
    let join = |texts: &[String]| clean_all(texts).join("\n");
    let check = |name: &str, good: bool, why: String| {
        let message = why.lines().next().unwrap_or_default().to_owned();
        let case = passed("trust", name, why);
        if good {
            case
        } else {
            doubtful(story, case, message)
        }
    };
    let incomplete = view
        .notices
        .first()
        .filter(|_| verdict.incomplete_after.is_some());
    vec![
        check(
            "the generator kept pace",
            verdict.generator.healthy,
            join(&verdict.generator.complaints),
        ),
        check(
            "every planned request is accounted for",
            verdict.conservation.exact,
            join(&verdict.conservation.differences),
        ),
        check(
            "the record is complete",
            verdict.incomplete_after.is_none(),
            incomplete.cloned().unwrap_or_default(),
        ),
    ]
}

fn cleanup(story: &Story<'_>) -> Case {
    let cleanup = &story.verdict.cleanup;
    let case = passed(
        "cleanup",
        "nothing is left behind",
        clean_all(&cleanup.left).join("\n"),
    );
    if cleanup.verified {
        return case;
    }
    let message = if cleanup.left.is_empty() {
        exit::NOT_CLEAN.meaning.to_owned()
    } else {
        format!("left behind: {}", clean(&cleanup.left.join(", ")))
    };
    Case {
        ending: if story.verdict.exit.code == exit::HELD.code {
            Ending::Skipped
        } else {
            Ending::Error
        },
        kind: exit::NOT_CLEAN.name.to_owned(),
        message,
        ..case
    }
}

/// How the run ended: what no other case tells, such as an abort, and any exit code that nothing else explains.
fn of_run(story: &Story<'_>, view: &View, told: bool) -> Case {
    let because = &story.verdict.exit.because;
    let own = [
        exit::BUG,
        exit::ENVIRONMENT,
        exit::ABORTED,
        exit::INTERRUPTED,
        exit::TERMINATED,
    ];
    let why: Vec<String> = because
        .iter()
        .map(|because| format!("exit {}: {}", because.code, clean_composed(&because.why)))
        .collect();
    let case = passed("run", "it ended as planned", why.join("\n"));
    let found = own.iter().find_map(|code| {
        let because = because.iter().find(|because| because.code == code.code)?;
        Some((code.name, clean_composed(&because.why)))
    });
    let is_own = own.iter().any(|code| code.code == story.verdict.exit.code);
    let unexplained = !told && story.verdict.exit.code != exit::HELD.code;
    let of_exit = || (is_own || unexplained).then(|| (&*view.exit.name, view.exit.meaning.clone()));
    match found.or_else(of_exit) {
        None => case,
        Some((kind, message)) => Case {
            ending: Ending::Error,
            kind: kind.to_owned(),
            message,
            ..case
        },
    }
}
