//! What must be true of every verdict, whatever the run was like.

use proptest::prelude::*;

use super::judge;
use crate::event::{Event, FaultChange, Stamped};
use crate::fixture::{Answer, MS, Run, SEC};
use crate::line::Line;
use crate::outcome::FailKind;
use crate::record::Record;
use crate::verdict::{RunOutcome, Status, Verdict};

/// How a made-up run goes wrong, if it does.
#[derive(Debug, Clone)]
struct Trouble {
    /// One in so many requests ends like this.
    every: u64,
    kind: u8,
    /// Everything is refused for so long after the fault.
    outage_ms: u64,
    pause: bool,
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let every = prop_oneof![Just(u64::MAX), 2_u64..400];
    (
        every,
        0_u8..5,
        prop_oneof![Just(0), 0_u64..20_000],
        any::<bool>(),
    )
        .prop_map(|(every, kind, outage_ms, pause)| Trouble {
            every,
            kind,
            outage_ms,
            pause,
        })
}

impl Trouble {
    /// By the intended instant alone, so that one request more or less changes no other.
    fn answer(&self, at: u64) -> Answer {
        if (12 * SEC..12 * SEC + self.outage_ms * MS).contains(&at) {
            return Answer::refused();
        }
        if !(at / 1_000).is_multiple_of(self.every) {
            return Answer::Ok(5 * MS);
        }
        match self.kind {
            0 => Answer::reset(),
            1 => Answer::Failed(FailKind::Timeout),
            2 => Answer::Shed,
            3 => Answer::Ok(150 * MS),
            _ => Answer::Ok(400 * MS),
        }
    }

    fn run(&self) -> Run {
        let trouble = self.clone();
        let run = if self.pause {
            Run::pause()
        } else {
            Run::kill()
        };
        run.rate(60)
            .answer(move |request| trouble.answer(request.at))
    }
}

fn judged(lines: &[Line]) -> Verdict {
    let text: String = lines.iter().map(|line| line.to_json() + "\n").collect();
    judge(&Record::read(text.as_bytes()).expect("the header is whole"))
}

/// The lines as if those that `drop` picks had never been written.
fn never_written(lines: &[Line], drop: impl Fn(&Line) -> bool) -> Vec<Line> {
    let mut kept: Vec<Line> = lines.iter().filter(|line| !drop(line)).cloned().collect();
    let count = kept.len() as u64 - 1;
    if let Some(Line::End(end)) = kept.last_mut() {
        end.lines = count;
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_record_that_lost_any_line_is_never_held(trouble in trouble(), at in any::<prop::sample::Index>()) {
        let mut lines = trouble.run().lines();
        lines.remove(1 + at.index(lines.len() - 1));
        prop_assert_ne!(judged(&lines).outcome, RunOutcome::Held);
    }

    #[test]
    fn a_record_cut_at_any_line_is_never_held(trouble in trouble(), at in any::<prop::sample::Index>()) {
        let lines = trouble.run().lines();
        let cut = 1 + at.index(lines.len() - 1);
        let verdict = judged(&lines[..cut]);
        prop_assert_ne!(verdict.outcome, RunOutcome::Held);
        prop_assert!(verdict.claims.iter().all(|claim| claim.status != Status::Held));
        prop_assert!(verdict.incomplete_after.is_some());
    }

    #[test]
    fn a_failure_never_improves_anything(trouble in trouble(), hit in 0_u64..5_000) {
        let before = judge(&trouble.run().record());
        let same = trouble.clone();
        let worse = trouble.run().answer(move |request| {
            let is_hit = (3 * SEC + hit * 5 * MS..3 * SEC + (hit + 8) * 5 * MS).contains(&request.at);
            if is_hit { Answer::reset() } else { same.answer(request.at) }
        });
        let after = judge(&worse.record());
        let infinite = |value: Option<u64>| value.unwrap_or(u64::MAX);
        for (before, after) in before.stages.iter().zip(&after.stages) {
            prop_assert!(infinite(after.p50) >= infinite(before.p50));
            prop_assert!(infinite(after.p95) >= infinite(before.p95));
            prop_assert!(infinite(after.p99) >= infinite(before.p99));
            prop_assert_eq!(after.counts.total(), before.counts.total());
        }
        for (before, after) in before.claims.iter().zip(&after.claims).filter(|(claim, _)| claim.kind != "recovery") {
            prop_assert!(after.status != Status::Held || before.status == Status::Held);
            for (before, after) in before.findings.iter().zip(&after.findings) {
                prop_assert!(after.bad >= before.bad, "{} of {}", after.of, after.bad);
            }
        }
    }

    #[test]
    fn the_order_of_deltas_does_not_matter(trouble in trouble(), rotate in 0_usize..30) {
        let lines = trouble.run().lines();
        let is_delta = |line: &&Line| matches!(line, Line::Delta(_));
        let mut deltas: Vec<&Line> = lines.iter().filter(is_delta).collect();
        deltas.reverse();
        let middle = rotate % deltas.len();
        deltas.rotate_left(middle);
        let mut deltas = deltas.into_iter();
        let shuffled: Vec<Line> = lines.iter().map(|line| if is_delta(&line) { deltas.next().expect("as many").clone() } else { line.clone() }).collect();
        prop_assert_eq!(judged(&shuffled), judged(&lines));
    }
}

#[test]
fn a_held_run_needs_each_piece_of_its_evidence() {
    for run in [Run::kill(), Run::pause()] {
        let lines = run.rate(60).lines();
        assert_eq!(judged(&lines).outcome, RunOutcome::Held);
        let check = |what: &str, drop: &dyn Fn(&Event) -> bool| {
            let rest = never_written(
                &lines,
                |line| matches!(line, Line::Event(Stamped { what, .. }) if drop(what)),
            );
            assert!(rest.len() < lines.len(), "{what} was there");
            assert_ne!(judged(&rest).outcome, RunOutcome::Held, "without {what}");
        };
        check("load started", &|event| {
            matches!(event, Event::LoadStarted { .. })
        });
        check("load stopped", &|event| {
            matches!(event, Event::LoadStopped { .. })
        });
        check("worker", &|event| matches!(event, Event::Worker(_)));
        check("clean-up", &|event| {
            matches!(event, Event::CleanedUp { .. })
        });
        check("effect", &|event| {
            matches!(
                event,
                Event::Fault {
                    change: FaultChange::Effective { .. },
                    ..
                }
            )
        });
        let deltas = lines
            .iter()
            .filter(|line| matches!(line, Line::Delta(_)))
            .count();
        for number in 0..deltas {
            let seen = std::cell::Cell::new(0);
            let rest = never_written(&lines, |line| {
                matches!(line, Line::Delta(_)) && seen.replace(seen.get() + 1) == number
            });
            assert_ne!(
                judged(&rest).outcome,
                RunOutcome::Held,
                "without delta {number}"
            );
        }
    }
    let lines = Run::pause().lines();
    let rest = never_written(&lines, |line| {
        matches!(
            line,
            Line::Event(Stamped {
                what: Event::Fault {
                    change: FaultChange::Undone { .. },
                    ..
                },
                ..
            })
        )
    });
    assert_eq!(judged(&rest).exit.code, 6);
}

#[test]
fn without_any_claim_nothing_holds() {
    let mut lines = Run::kill().rate(60).lines();
    let mut header = serde_json::to_value(&lines[0]).expect("plain data");
    header["header"]["plan"]["claims"] = serde_json::json!([]);
    lines[0] = serde_json::from_value(header).expect("still a header");
    assert_eq!(judged(&lines).outcome, RunOutcome::Inconclusive);
}

#[test]
fn what_was_not_sent_in_time_holds_nothing() {
    let mut record = Run::kill().record();
    for (_, counts) in record.sums.first_steps.range_mut(250..) {
        counts.overdue = counts.total();
    }
    let claims = judge(&record).claims;
    assert_eq!(claims.len(), 4);
    for claim in claims {
        assert_eq!(claim.status, Status::Unknown, "{}", claim.name);
        assert!(claim.why.contains("too slow to tell"), "{}", claim.why);
    }
}

#[test]
fn a_doubled_delta_is_never_held() {
    let mut lines = Run::kill().rate(60).lines();
    let at = lines
        .iter()
        .position(|line| matches!(line, Line::Delta(_)))
        .expect("a delta");
    lines.insert(at, lines[at].clone());
    let count = lines.len() as u64 - 1;
    if let Some(Line::End(end)) = lines.last_mut() {
        end.lines = count;
    }
    assert_eq!(judged(&lines).exit.code, 70);
}

#[test]
fn judging_twice_gives_the_same() {
    let record = Run::kill().record();
    assert_eq!(judge(&record), judge(&record));
}
