//! The claim on integrity: a finding for each rule it names.
//!
//! Invariant: what the load generator or the books of requests went through changes nothing here:
//! an operation that was acknowledged is owed.

use chaos_plan::plan::Rule;

use super::claims::Ground;
use crate::verdict::{Finding, IntegrityVerdict, Status};
use crate::words;

/// The claim in words.
pub(super) fn target(rules: &[Rule]) -> String {
    if rules == Rule::ALL {
        return "every rule of integrity holds".to_owned();
    }
    let names: Vec<String> = rules.iter().map(|rule| rule.name().to_owned()).collect();
    words::list(&names)
}

pub(super) fn findings(ground: &Ground<'_>, rules: &[Rule]) -> Vec<Finding> {
    let Some(examined) = ground.integrity else {
        return Vec::new();
    };
    let judged = examined.verdict.rules.iter().zip(&examined.whys);
    judged
        .filter(|(verdict, _)| rules.contains(&verdict.rule))
        .map(|(verdict, why)| Finding {
            of: verdict.rule.name().to_owned(),
            status: verdict.status,
            n: verdict.checked,
            bad: verdict.violations,
            allowed: 0,
            measured: match verdict.violations {
                0 => format!("{} checked", words::count(verdict.checked)),
                n => format!(
                    "{} of {}",
                    words::counted(n, "violation"),
                    words::count(verdict.checked)
                ),
            },
            why: why.clone(),
        })
        .collect()
}

/// What became of all operations.
pub(super) fn measured(verdict: &IntegrityVerdict, findings: &[Finding]) -> String {
    let broken: Vec<String> = findings
        .iter()
        .filter(|finding| finding.status == Status::NotHeld)
        .map(|finding| {
            format!(
                "{} broken {}",
                finding.of,
                words::counted(finding.bad, "time")
            )
        })
        .collect();
    let unknown = match verdict.unknown {
        0 => String::new(),
        n => format!(
            ", {} unknown ({} of them stored)",
            words::count(n),
            words::count(verdict.unknown_stored)
        ),
    };
    let counts = format!(
        "{} acknowledged, {} refused{unknown}",
        words::count(verdict.ok),
        words::count(verdict.failed)
    );
    if broken.is_empty() {
        counts
    } else {
        format!("{}; {counts}", words::list(&broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Reading;
    use crate::event::Event;
    use crate::fixture::Run;
    use crate::integrity::histories::{History, audit};
    use crate::judge::judge;
    use crate::line::Line;
    use crate::verdict::{RunOutcome, Verdict};
    use chaos_plan::plan::Expect;

    /// A whole run with this history.
    fn judged(history: &History, rules: &[Rule]) -> Verdict {
        let claim = Expect::Integrity {
            rules: rules.to_vec(),
        };
        let mut run = Run::kill().claims(vec![claim]).audit(audit());
        let told = history.record(&crate::integrity::histories::base());
        for operation in &told.operations {
            run = run.line(Line::Operation(operation.clone()));
        }
        for audited in &told.audits {
            run = run.line(Line::Audited(audited.clone()));
        }
        let own =
            |event: &Event| !matches!(event, Event::LoadStarted { .. } | Event::LoadStopped { .. });
        for event in told.events.into_iter().filter(|event| own(&event.what)) {
            run = run.event(event.at, event.what);
        }
        judge(&run.record())
    }

    #[test]
    fn a_clean_history_holds_and_every_rule_is_listed() {
        let verdict = judged(&History::of(5), &Rule::ALL);
        assert_eq!(
            (verdict.outcome, verdict.exit.code),
            (RunOutcome::Held, 0),
            "{:?}",
            verdict.exit
        );
        let claim = &verdict.claims[0];
        assert_eq!(claim.target, "every rule of integrity holds");
        let of: Vec<&str> = claim
            .findings
            .iter()
            .map(|finding| finding.of.as_str())
            .collect();
        assert_eq!(of, Rule::ALL.map(Rule::name));
        assert!(
            claim.measured.contains(" acknowledged, "),
            "{}",
            claim.measured
        );
    }

    #[test]
    fn a_violation_is_exit_8_and_comes_first_in_the_sentence() {
        let mut history = History::of(5);
        history.restarted.deliveries.clear();
        let verdict = judged(&history, &Rule::ALL);
        assert_eq!(
            (verdict.outcome, verdict.exit.code),
            (RunOutcome::NotHeld, 8)
        );
        assert!(
            verdict
                .sentence
                .starts_with("Integrity is violated: events_delivered "),
            "{}",
            verdict.sentence
        );
        assert!(
            verdict.claims[0]
                .measured
                .starts_with("events_delivered broken "),
            "{}",
            verdict.claims[0].measured
        );
        // A claim on another rule does not hear of it.
        let other = judged(&history, &[Rule::StockConserved]);
        assert_eq!(
            (other.outcome, other.exit.code),
            (RunOutcome::Held, 0),
            "{:?}",
            other.exit
        );
        assert_eq!(other.integrity.expect("claimed").rules.len(), 1);
    }

    #[test]
    fn a_broken_audit_is_inconclusive() {
        let mut history = History::of(5);
        for event in &mut history.events {
            if matches!(
                event,
                Event::AuditRead {
                    reading: Reading::After,
                    ..
                }
            ) {
                *event = Event::AuditFailed {
                    reading: Reading::After,
                    why: "connection refused".to_owned(),
                };
            }
        }
        let verdict = judged(&history, &Rule::ALL);
        assert_eq!(
            (verdict.outcome, verdict.exit.code),
            (RunOutcome::Inconclusive, 3)
        );
        assert!(
            verdict.claims[0].why.contains("connection refused"),
            "{}",
            verdict.claims[0].why
        );
    }

    #[test]
    fn without_the_claim_there_is_no_verdict_on_integrity() {
        assert_eq!(judge(&Run::kill().record()).integrity, None);
    }
}
