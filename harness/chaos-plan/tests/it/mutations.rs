//! k mistakes in a good file give at least k problems, each on the line of its mistake.
//!
//! A mutation is a text that stands once in the file, and what it is replaced by. It begins on the
//! line it changes.

use std::collections::BTreeSet;

use chaos_plan::check::Options;
use proptest::prelude::*;

use crate::folder::{Folder, examine_text};

type Mutation = (&'static str, &'static str);

/// No two touch one line, and none hides another: what one makes unknown, no other is judged by.
const TOGETHER: [Mutation; 61] = [
    ("version: 1", "version: 2"),
    ("name: every-key", "name: every key"),
    ("front: 4", "fornt: 4"),
    ("api: 6", "api: 0"),
    ("\"{instance}\"", "\"{instanse}\""),
    ("\"{calls.api}\"", "\"{calls.db}\""),
    ("DELAY_MS: 20", "DELAY_MS: [20]"),
    ("platform: local", "platform: locl"),
    ("seed: 7", "seed: -7"),
    ("browse: 70", "browze: 70"),
    ("checkout: 30", "checkout: -30"),
    ("arrivals: even", "arrivals: evenly"),
    ("timeout: 1s", "timeout: 1"),
    ("patience: 3s", "patience: 0s"),
    ("name: warmup", "nam: warmup"),
    ("for: 10s", "for: 10 parsecs"),
    ("rate: 20/s", "rate: 20"),
    ("name: baseline", "name: warmup"),
    ("for: 20s", "fro: 20s"),
    ("rate: 50/s", "rate: 50 a second"),
    ("shape: constant", "shape: steady"),
    ("name: climb", "name: the climb"),
    ("for: 5s", "for: 0s"),
    ("rate: 200/s", "rate: 200/day"),
    ("shape: linear", "shpe: linear"),
    ("for: 60s", "for: [60s]"),
    ("rate: 12000/min", "rate: -12000/min"),
    ("for: 25s", "for:"),
    ("rate: 40/s", "rte: 40/s"),
    ("name: kill-api", "name: kill api"),
    ("at: spike + 10s", "at: spkie + 10s"),
    ("{ kill: { service: api", "{ kil: { service: api"),
    ("name: pause-front", "nmae: pause-front"),
    ("at: spike + 30s", "at: 30"),
    ("for: 4s", "for: 0s"),
    ("service: front\n", "service: frnt\n"),
    ("share: 50%", "share: 0.5"),
    ("kill-api.recovered", "kill-api.recoverd"),
    ("or_by: calm + 6s", "or_by: clam + 6s"),
    ("service: front, share", "serivce: front, share"),
    ("pause-front.undone", "pause-frnt.undone"),
    ("or_by: calm + 8s", "orby: calm + 8s"),
    ("for: 3s", "for: 3"),
    ("service: db", "service: bd"),
    ("count: 1", "count: one"),
    ("name: fast enough for shoppers", "name: [fast, enough]"),
    ("p50: 50ms", "p50: 50"),
    ("p90: 100ms", "p91: 100ms"),
    ("p95: 200ms", "p95: fast"),
    ("p99: 500ms", "p99: 0.5"),
    ("except: [warmup]", "except: [warmpu]"),
    ("max: 0.2%", "max: 200%"),
    (
        "during: [baseline, climb, spike]",
        "during: [baseline, climb, spkie]",
    ),
    ("min: 99%", "mni: 99%"),
    ("except: [climb]", "except: climb"),
    ("within: 10s", "wihtin: 10s"),
    ("steady_for: 2s", "steady_for: soon"),
    ("safety:", "saftey:"),
    ("errors: 40%", "errors: 400%"),
    ("max_share: 60%", "max_share: 0.6"),
    ("[db]", "[bd]"),
];

/// Tried one by one: these hide others, or are hidden.
const ALONE: [Mutation; 34] = [
    ("version: 1", "version: one"),
    ("name: every-key", "name: [every-key]"),
    ("name: every-key", "name: "),
    ("app: shop", "app: shpo"),
    ("app: shop", "ap: shop"),
    ("app: shop", "app: shop, url: http://localhost"),
    ("share: 25%", "share: 80%"),
    ("share: 25%", "share: 0%"),
    ("\"{instance}\"", "\"{instance\""),
    ("LIMIT:", "\"LI=MIT\":"),
    ("platform: local", "platform: compose"),
    ("browse: 70", "browse: 0.7s"),
    ("patience: 3s", "patience: 3s, 4s"),
    ("rate: 50/s", "rate: 0/s"),
    ("shape: constant", "rate: 30/s"),
    ("rate: 12000/min", "rate: 0/min"),
    ("for: 60s", "for: 0s"),
    ("at: spike + 10s", "at: spike + 4s"),
    ("at: spike + 10s", "at: climb + 2s"),
    ("at: spike + 10s", "at: calm + 20s"),
    ("at: spike + 10s", "at: spike + 61s"),
    ("at: spike + 10s", "at: spike + 10s, 5s"),
    ("service: api,", "service: api, share: 50%,"),
    ("count: 2", "count: 4"),
    ("count: 2", "count: 9"),
    ("signal: TERM", "signal: TREM"),
    ("for: 4s", "fro: 4s"),
    ("kill-api.recovered", "kill-api.undone"),
    ("kill-api.recovered", "kill-front.recovered"),
    ("or_by: calm + 8s", "or_by: baseline"),
    ("max: 0.2%", "max: 0.01%"),
    ("during: [baseline, climb, spike]", "during: []"),
    ("min: 99%", "min: 0%"),
    ("within: 10s", "within: 0s"),
];

fn base() -> String {
    Folder::cases()
        .read("every-key.yaml")
        .expect("every-key.yaml")
        .text
}

/// The text with all of them made, and the line of each.
fn mutate(mutations: &[Mutation]) -> (String, Vec<usize>) {
    let text = base();
    let place = |from: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from} stands once");
        text.find(from).expect("it stands there")
    };
    let mut places: Vec<(usize, Mutation)> = mutations
        .iter()
        .map(|mutation| (place(mutation.0), *mutation))
        .collect();
    places.sort_unstable();
    let lines = places
        .iter()
        .map(|(at, _)| text[..*at].lines().count() + usize::from(text[..*at].ends_with('\n')))
        .collect();
    let mut mutated = text.clone();
    for (at, (from, to)) in places.iter().rev() {
        mutated.replace_range(*at..at + from.len(), to);
    }
    (mutated, lines)
}

/// Checks that each is reported on its line, and returns the number of problems.
fn check(mutations: &[Mutation]) -> usize {
    let (text, expected) = mutate(mutations);
    let outcome = examine_text(&text, &Options::default());
    let all = &outcome.diagnostics;
    assert!(outcome.plan.is_none(), "{mutations:?} gave a plan");
    for problem in &all.problems {
        assert!(problem.help.is_some(), "a fix for {problem:?}");
    }
    let lines: BTreeSet<usize> = all
        .problems
        .iter()
        .filter_map(|problem| Some(all.place(problem.span?)?.line))
        .collect();
    for line in &expected {
        assert!(lines.contains(line), "line {line} of {mutations:?}:\n{all}");
    }
    assert!(all.problems.len() >= mutations.len(), "{all}");
    all.problems.len()
}

#[test]
fn each_mistake_alone_is_reported_on_its_line_and_hardly_anywhere_else() {
    for mutation in TOGETHER.iter().chain(&ALONE) {
        let problems = check(std::slice::from_ref(mutation));
        assert!(problems <= 3, "{mutation:?} gives {problems} problems");
    }
}

#[test]
fn without_a_mistake_there_is_a_plan() {
    let outcome = examine_text(&base(), &Options::default());
    assert!(
        outcome.diagnostics.problems.is_empty(),
        "{}",
        outcome.diagnostics
    );
    assert!(outcome.plan.is_some());
}

#[test]
fn mistakes_that_go_together_are_many_and_on_lines_of_their_own() {
    let (_, lines) = mutate(&TOGETHER);
    let distinct: BTreeSet<usize> = lines.iter().copied().collect();
    assert_eq!(distinct.len(), lines.len());
    assert!(lines.len() >= 40);
    check(&TOGETHER);
}

proptest! {
    #[test]
    fn mistakes_together_give_as_many_problems(chosen in prop::sample::subsequence(TOGETHER.to_vec(), 1..=TOGETHER.len())) {
        check(&chosen);
    }
}
