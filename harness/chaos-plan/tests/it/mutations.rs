//! k mistakes in a good file give at least k problems, each on the line of its mistake.

use std::collections::BTreeSet;

use chaos_plan::check::Options;
use proptest::prelude::*;

use crate::folder::{examine_text, good};

/// A line of the good scenario, the text in it that is replaced, and by what. No two touch one line,
/// and none hides another: what one makes unknown, no other is judged by.
const MUTATIONS: [(usize, &str, &str); 23] = [
    (2, "version: 1", "version: 2"),
    (3, "name: good", "name: not good"),
    (5, "app: shop", "app: shpo"),
    (8, "browse: 70", "browze: 70"),
    (10, "rate: 20/s", "rte: 20/s"),
    (11, "for: 20s", "for: 0s"),
    (12, "linear", "liner"),
    (13, "200/s", "200"),
    (14, "for: 25s", "for: 25 parsecs"),
    (16, "name: kill-api", "name: kill api"),
    (17, "at: spike", "at: spkie"),
    (18, "kill:", "kil:"),
    (19, "name: pause-front", "nam: pause-front"),
    (20, "kill-api.recovered", "kill-api.recoverd"),
    (21, "or_by: calm", "or_by: clam"),
    (22, "for: 2s", "for: 0s"),
    (23, "share: 50%", "share: 0.5"),
    (26, "p95: 200ms", "p95: fast"),
    (27, "errors:", "erors:"),
    (28, "during: [spike, calm]", "during: [spike, clam]"),
    (29, "within: 10s", "wihtin: 10s"),
    (30, "safety:", "saftey:"),
    (31, "errors: 50%", "errors: 500%"),
];

/// Other mistakes, tried one by one on the good scenario.
const ALONE: [(usize, &str, &str); 23] = [
    (2, "version: 1", "version: one"),
    (3, "name: good", "name: [good]"),
    (3, "name: good", "name: "),
    (5, "app: shop", "ap: shop"),
    (5, "app: shop", "url: https://example.org"),
    (8, "browse: 70", "browse: -1"),
    (
        8,
        "{ browse: 70, checkout: 30 }",
        "{ browse: 0, checkout: 0 }",
    ),
    (8, "{ browse: 70, checkout: 30 }", "[browse]"),
    (10, "rate: 20/s", "rate: 0/s"),
    (10, "rate: 20/s", "rate: 20/s, rate: 30/s"),
    (11, "name: baseline", "name: warmup"),
    (17, "spike + 10s", "spike + 4s"),
    (17, "spike + 10s", "climb + 2s"),
    (17, "spike + 10s", "calm + 20s"),
    (17, "spike + 10s", "spike + 41s"),
    (17, "at: spike + 10s", "at: spike + 10s, 5s"),
    (18, "service: api", "service: apu"),
    (18, "service: api", "service: api, count: 3"),
    (18, "service: api", "service: api, count: 9"),
    (18, "service: api", "service: db"),
    (18, "service: api", "service: api, signal: KIL"),
    (27, "max: 0.1%", "max: 0.01%"),
    (
        27,
        "except: [warmup]",
        "except: [warmup, baseline, climb, spike, calm]",
    ),
];

fn mutate(text: &str, mutations: &[(usize, &str, &str)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (line, from, to) in mutations {
        assert!(
            lines[line - 1].contains(from),
            "line {line} holds {from}: {}",
            lines[line - 1]
        );
        lines[line - 1] = lines[line - 1].replacen(from, to, 1);
    }
    lines.join("\n") + "\n"
}

fn check(mutations: &[(usize, &str, &str)]) {
    let outcome = examine_text(&mutate(&good(), mutations), &Options::default());
    let all = &outcome.diagnostics;
    assert!(outcome.plan.is_none(), "{mutations:?} gave a plan");
    let lines: BTreeSet<usize> = all
        .problems
        .iter()
        .filter_map(|problem| Some(all.place(problem.span?)?.line))
        .collect();
    for (line, ..) in mutations {
        assert!(lines.contains(line), "line {line} of {mutations:?}:\n{all}");
    }
    assert!(all.problems.len() >= mutations.len(), "{all}");
}

#[test]
fn each_mistake_alone_gives_one_problem_on_its_line() {
    for mutation in MUTATIONS.iter().chain(&ALONE) {
        check(std::slice::from_ref(mutation));
        let all = examine_text(
            &mutate(&good(), std::slice::from_ref(mutation)),
            &Options::default(),
        )
        .diagnostics;
        assert!(
            all.problems.len() <= 3,
            "{mutation:?} is reported more than once:\n{all}"
        );
    }
}

proptest! {
    #[test]
    fn mistakes_together_give_as_many_problems(chosen in prop::sample::subsequence(MUTATIONS.to_vec(), 1..=MUTATIONS.len())) {
        check(&chosen);
    }
}
