//! Folded and unfolded records of the same load, asked the same.

use std::time::Duration;

use chaos_plan::plan::{LatencyLimit, Part, Quantile, Scope};
use chaos_plan::units::{Rate, Share};
use proptest::prelude::*;

use super::*;
use crate::fixture::{Answer, MS, Run, SEC};
use crate::health::{Health, WorkerHealth};
use crate::judge::judge;
use crate::line::Line;
use crate::measured;
use crate::verdict::Status;

/// The same record folded as it grows, and not folded.
fn both(run: &Run) -> (Record, Record) {
    folded_beyond(PAIRS_MAX, run)
}

/// The same with room for so many pairs of value and count.
fn folded_beyond(pairs_max: usize, run: &Run) -> (Record, Record) {
    let (mut folded, mut whole) = (run.header_only(), run.header_only());
    let is_look = |line: &Line| matches!(line, Line::Health(_));
    let (looks, rest): (Vec<Line>, Vec<Line>) = run.lines().into_iter().skip(1).partition(is_look);
    for line in looks.iter().chain(&rest) {
        whole.apply(line);
        folded.apply(line);
        folded.fold_beyond(pairs_max);
    }
    (folded, whole)
}

/// Every claim that can be about a load without faults.
fn claims() -> Vec<Expect> {
    let scope = |part| Scope {
        part,
        stages: vec![1],
    };
    let share = |ratio| Share::from_ratio(ratio);
    let limit = LatencyLimit {
        quantile: Quantile::P95,
        at_most: Duration::from_millis(200),
    };
    vec![
        Expect::Latency {
            limits: vec![limit],
            scope: scope(Part::All),
        },
        Expect::Latency {
            limits: vec![limit],
            scope: scope(Part::Journey(1)),
        },
        Expect::Errors {
            max: share(0.02),
            scope: scope(Part::All),
        },
        Expect::Availability {
            min: share(0.99),
            good: share(0.95),
            scope: scope(Part::All),
        },
        Expect::Drift {
            memory: None,
            descriptors: None,
            connections: None,
            p95: Some(Duration::from_millis(20)),
            stages: vec![1],
        },
        Expect::Goodput {
            journey: None,
            min: None,
            at_least: Some(Rate::new(1.9)),
            stages: vec![1],
        },
    ]
}

/// Two hours and more of it, watched all the time.
fn run(seconds: u64, worse: u64) -> Run {
    let look = |second: u64| Health {
        from: second * SEC,
        until: (second + 1) * SEC,
        workers: vec![WorkerHealth {
            stall_max_ns: (second % 50) * MS,
            ..WorkerHealth::default()
        }],
        hiccups: Sparse(vec![
            (50 + second % 7, 150),
            (90 + second % 40, 40),
            (400 + second, 1),
        ]),
        ..Health::default()
    };
    Run::calm()
        .rate(2)
        .length(seconds * SEC)
        .health((0..seconds).map(look).collect())
        .claims(claims())
        .answer(
            move |request| match request.number.wrapping_mul(2_654_435_761) % 1_000 {
                n if n < worse => Answer::reset(),
                n if n < 2 * worse => Answer::Ok(300 * MS),
                n if n < 3 * worse => Answer::Shed,
                n => Answer::Ok(n * 40_000 + request.at / SEC * worse * 1_000),
            },
        )
}

fn assert_same(folded: &Record, whole: &Record) {
    assert_eq!(judge(folded), judge(whole));
    for stages in [&[0][..], &[1], &[0, 1]] {
        assert_eq!(
            format!("{:?}", measured::over(folded, stages)),
            format!("{:?}", measured::over(whole, stages))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn a_folded_record_gets_the_same_verdict(
        seconds in 400_u64..9_000,
        pairs_max in prop_oneof![0_usize..4_000, Just(PAIRS_MAX)],
        worse in 0_u64..30,
        cut in prop::option::of(0.4_f64..1.0),
        users in prop::option::of(1_u32..4),
        think in 0_u64..1_500,
    ) {
        let mut run = run(seconds, worse).think(Duration::from_millis(think));
        if let Some(users) = users {
            run = run.users(users, None).stuck(600 * SEC, 620 * SEC);
        }
        if let Some(cut) = cut {
            let at = Duration::from_secs_f64(cut * seconds as f64);
            run = run.cut_short(ns(at) / MS * MS);
        }
        let (folded, whole) = folded_beyond(pairs_max, &run);
        prop_assert!(folded.windows.cells.len() < 2_400);
        assert_same(&folded, &whole);
    }
}

/// So that the property compares something: every claim is decided, one way and the other.
#[test]
fn the_claims_of_these_runs_are_decided() {
    for (worse, expected) in [(0, Status::Held), (25, Status::NotHeld)] {
        let (folded, whole) = both(&run(7_500, worse));
        assert_same(&folded, &whole);
        for claim in judge(&folded).claims {
            let is_slow_only = claim.kind == "latency" && worse == 25;
            assert!(is_slow_only || claim.status == expected, "{claim:?}");
        }
    }
}

#[test]
fn what_is_kept_does_not_grow_with_the_length() {
    let (folded, whole) = both(&run(9_000, 3));
    let kept = &folded.windows;
    assert_eq!(kept.piece_seconds(), 60);
    let (pieces, seconds) = (kept.folded.pieces.len() as u64, kept.seconds.len() as u64);
    assert!(pieces <= PIECES_MAX + 2, "{pieces}");
    assert!(seconds <= KEEP_SECONDS + AT_A_TIME + 60, "{seconds}");
    assert!(whole.windows.seconds.len() > 8_000);
    // Nothing is told twice and nothing is lost.
    let told: u64 = kept.intervals().map(|(_, length, _)| length).sum();
    assert!(told.abs_diff(9_000) <= 2, "{told} s");
    let late = |record: &Record| -> usize {
        let looks = record.health.iter();
        looks.map(|look| look.hiccups.0.len()).sum()
    };
    let (folded_late, whole_late) = (late(&folded), late(&whole));
    assert!(
        3 * folded_late < 2 * whole_late,
        "{folded_late} of {whole_late}"
    );
    let answers = |record: &Record| record.windows.responses(0, u64::MAX, |_| true).len();
    assert_eq!(answers(&folded), answers(&whole));
}

/// Responses of many values: pieces begin long before the hour is over, and grow longer as they get more.
#[test]
fn pieces_begin_when_there_are_many_values() {
    let run = run(3_000, 3);
    let pairs_max = 5_000;
    let (folded, whole) = folded_beyond(pairs_max, &run);
    let kept = &folded.windows;
    assert!(kept.piece_seconds() > 10, "{}", kept.piece_seconds());
    let in_pieces = pairs(&kept.folded.pieces);
    assert!(in_pieces <= pairs_max, "{in_pieces}");
    assert!(kept.seconds.len() as u64 <= KEEP_SECONDS + AT_A_TIME);
    assert!(pairs(&whole.windows.seconds) > 2 * pairs_max);
    assert_same(&folded, &whole);
    let told: u64 = kept.intervals().map(|(_, length, _)| length).sum();
    assert!(told.abs_diff(3_000) <= 2, "{told} s");
}

#[test]
fn a_piece_never_crosses_the_begin_of_a_stage() {
    let record = Run::calm().record();
    let facts = Facts::of(&record);
    let grain = Grain::new(&facts, 60, SECOND_NS);
    assert_eq!(
        [0, 1, 2, 59, 60, 119].map(|second| grain.of(second)),
        [0, 0, 2, 2, 60, 60]
    );
    assert_eq!(
        [600, 1_201, 3_601, 7_200, 7_201, 14_400, 14_401].map(width),
        [5, 10, 30, 30, 60, 60, 300]
    );
    assert_eq!([72_001, 864_000, 864_001].map(width), [900, 3_600, 3_600]);
}

#[test]
fn with_a_fault_single_cells_are_asked_and_nothing_is_folded() {
    let (folded, whole) = both(&Run::kill().length(600 * SEC).rate(5));
    assert_eq!(folded.windows.cells.len(), whole.windows.cells.len());
    assert_eq!(judge(&folded), judge(&whole));
}
