//! The verdict on the run: two claims hold, two do not, one fault is felt and one absorbed.

use std::sync::OnceLock;

use chaos_plan::Plan;
use chaos_plan::plan::Rule;
use chaos_record::event::NoteKind;
use chaos_record::health::Used;
use chaos_record::outcome::Counts;
use chaos_record::series::SeriesTable;
use chaos_record::verdict::{
    Because, ClaimVerdict, Cleanup, Conservation, Exit, FaultFinding, Finding, GeneratorHealth,
    Headroom, Hiccups, IntegrityVerdict, NoteLine, Raise, Recovery, Reference, RuleVerdict,
    RunOutcome, Scaling, SeriesSummary, StageSummary, Stalls, Status, UsageSummary, Verdict,
};
use chaos_record::window::Windows;

use super::{KILLED, LOAD_STARTED, MS, RECOVERED_AFTER, S};

/// Sums of the windows for the verdict's tables.
struct Sums<'a> {
    windows: &'a Windows,
    table: SeriesTable,
}

impl Sums<'_> {
    fn counts(&self, from: u64, until: u64, keep: impl Fn(usize) -> bool) -> Counts {
        self.windows.sum(from * 10, until * 10, keep).counts
    }

    fn quantiles(
        &self,
        from: u64,
        until: u64,
        keep: impl Fn(usize) -> bool + Copy,
    ) -> [Option<u64>; 3] {
        let answered = self.windows.responses(from, until, keep);
        let bad = self.counts(from, until, keep).bad();
        [500, 50, 10].map(|over| chaos_record::quantile::response(&answered, bad, over))
    }

    fn is_step(&self, series: usize) -> bool {
        self.table
            .get(series)
            .is_some_and(|series| series.step.is_some())
    }

    fn stage(&self, from: u64, until: u64) -> StageSummary {
        let journeys = self
            .counts(from, until, |series| !self.is_step(series))
            .total();
        let [p50, p95, p99] = self.quantiles(from, until, |series| self.is_step(series));
        StageSummary {
            name: String::new(),
            start: from * S,
            end: until * S,
            offered: journeys,
            achieved: journeys,
            counts: self.counts(from, until, |series| self.is_step(series)),
            p50,
            p95,
            p99,
            late: if until == 75 { 0.0021 } else { 0.0 },
        }
    }

    fn series(&self, number: usize) -> SeriesSummary {
        let [p50, p95, p99] = self.quantiles(10, 100, |other| other == number);
        SeriesSummary {
            journey: String::new(),
            step: None,
            counts: self.counts(10, 100, |other| other == number),
            p50,
            p95,
            p99,
            max: Some(
                self.windows
                    .responses(10, 100, |other| other == number)
                    .max()
                    * 1_000,
            ),
        }
    }
}

/// What the verdict's tables count; names left out.
#[derive(Clone)]
struct Numbers {
    requests: Counts,
    journeys: Counts,
    stages: Vec<StageSummary>,
    series: Vec<SeriesSummary>,
}

fn numbers(plan: &Plan, windows: &Windows) -> Numbers {
    static NUMBERS: OnceLock<Numbers> = OnceLock::new();
    let count = || {
        let sums = Sums {
            windows,
            table: SeriesTable::new(plan),
        };
        Numbers {
            requests: sums.counts(0, 100, |series| sums.is_step(series)),
            journeys: sums.counts(0, 100, |series| !sums.is_step(series)),
            stages: plan
                .load
                .stages
                .iter()
                .map(|stage| sums.stage(stage.start.as_secs(), stage.end().as_secs()))
                .collect(),
            series: (0..sums.table.len())
                .map(|number| sums.series(number))
                .collect(),
        }
    };
    NUMBERS.get_or_init(count).clone()
}

pub(super) fn verdict(plan: &Plan, windows: &Windows, word: &dyn Fn(&str) -> String) -> Verdict {
    let Numbers {
        requests,
        journeys,
        mut stages,
        mut series,
    } = numbers(plan, windows);
    for (summary, stage) in stages.iter_mut().zip(&plan.load.stages) {
        summary.name.clone_from(&stage.name);
    }
    for (summary, (_, number)) in series.iter_mut().zip(SeriesTable::new(plan).iter()) {
        let journey = &plan.load.journeys[number.journey];
        summary.journey.clone_from(&journey.name);
        summary.step = number.step.map(|step| journey.steps[step].name.clone());
    }
    Verdict {
        outcome: RunOutcome::NotHeld,
        exit: exit(word),
        sentence: word(
            "Killing 1 of 3 api instances in the middle of the spike made 68 requests fail and some slow for 9.18 s; p95 stayed within 200 ms over the run, but errors and availability did not hold.",
        ),
        incomplete_after: None,
        scaled: false,
        load_started: Some(LOAD_STARTED),
        load_length: 100 * S,
        claims: claims(word),
        faults: vec![kill(word), pause(word)],
        conservation: Conservation {
            exact: true,
            cells: 1_000,
            planned_journeys: journeys.total(),
            planned_requests: requests.total(),
            journeys,
            requests,
            differences: Vec::new(),
        },
        generator: generator(word),
        stages,
        series,
        cleanup: Cleanup {
            verified: true,
            left: Vec::new(),
        },
        integrity: Some(integrity(word)),
        usage: usage(word),
        notes: notes(word),
        capacity: None,
        scaling: vec![Scaling {
            service: word("api"),
            autoscaler: word("api"),
            wanted_first: Some(1),
            wanted_most: Some(2),
            ready_most: Some(2),
            sentence: word("api: asked for 2 at T+46 s, ready 1.7 s later"),
            raises: vec![Raise {
                at: 46 * S,
                was: 1,
                wanted: 2,
                metric: Some(word("cpu at 95 %, 70 % is meant")),
                ready: Some(47_660 * MS),
            }],
        }],
    }
}

fn generator(word: &dyn Fn(&str) -> String) -> GeneratorHealth {
    GeneratorHealth {
        healthy: true,
        workers: 2,
        lag_budget: 10 * MS,
        lag_p50: Some(62_000),
        lag_p99: Some(840_000),
        lag_p999: Some(6_200_000),
        lag_max: Some(14 * MS),
        cpu: 0.31,
        cpu_peak: Some(0.44),
        waiting: Some(0.021),
        stalls: Some(Stalls {
            longest: 13 * MS,
            over_10ms: 2,
            over_25ms: 0,
            share: 0.000_3,
        }),
        hiccups: Some(Hiccups {
            p50: 71_000,
            p99: 310_000,
            p999: 5_900_000,
            max: 12 * MS,
        }),
        pressure: Some(0.12),
        throttled: None,
        descriptors: Some(Used {
            used: 161,
            limit: 524_288,
        }),
        ports: Some(Used {
            used: 402,
            limit: 28_232,
        }),
        headroom: Some(Headroom {
            peak: 212.0,
            limit: 41_000.0,
            measured: "2026-11-20T08:00:00Z".to_owned(),
        }),
        meter_cpu: Some(0.003_5),
        connections_max: 118,
        complaints: vec![word("stage spike: 0.21 % of the requests were sent late")],
        warnings: vec![word("a worker was busy 84 % of the judged time")],
    }
}

fn exit(word: &dyn Fn(&str) -> String) -> Exit {
    Exit {
        code: 1,
        name: "not-held".to_owned(),
        because: vec![
            Because {
                code: 1,
                why: word(
                    "`almost nothing fails`: 0.34 % of the requests were bad, at most 0.1 % may be",
                ),
            },
            Because {
                code: 1,
                why: word(
                    "`the shop is open`: 97.8 % of the seconds were good, at least 99.9 % must be",
                ),
            },
        ],
    }
}

fn integrity(word: &dyn Fn(&str) -> String) -> IntegrityVerdict {
    let rule = |rule, checked| RuleVerdict {
        rule,
        status: Status::Held,
        checked,
        violations: 0,
        examples: Vec::new(),
    };
    IntegrityVerdict {
        status: Status::NotHeld,
        ok: 1_402,
        failed: 7,
        unknown: 5,
        unknown_stored: 3,
        unknown_absent: 2,
        rules: vec![
            rule(Rule::AcknowledgedIsStored, 1_402),
            RuleVerdict {
                status: Status::NotHeld,
                violations: 2,
                examples: vec![
                    word("order 8f2c of key 31aa has 2 charges"),
                    word("order 77b0 of key c41e has 2 charges"),
                ],
                ..rule(Rule::OneOrderOneCharge, 1_405)
            },
            rule(Rule::StockConserved, 40),
        ],
        why: word("2 orders were charged twice"),
    }
}

fn usage(word: &dyn Fn(&str) -> String) -> Vec<UsageSummary> {
    let instance = |service: &str, number, cpu, memory| UsageSummary {
        service: word(service),
        instance: word(&format!("{service}-{number}")),
        cpu_share: Some(cpu),
        cpu_peak: Some(cpu * 1.7),
        memory_max: memory,
        memory_share: None,
        descriptors_max: 41,
        connections_max: 18,
    };
    vec![
        instance("front", 1, 0.11, 21 << 20),
        instance("api", 1, 0.24, 48 << 20),
        instance("api", 2, 0.19, 47 << 20),
        instance("db", 1, 0.31, 112 << 20),
    ]
}

fn notes(word: &dyn Fn(&str) -> String) -> Vec<NoteLine> {
    let note = |ms: u64, kind, text: &str| NoteLine {
        at: LOAD_STARTED + ms * MS,
        kind,
        text: word(text),
        by: word("mara"),
    };
    vec![
        note(
            47_100,
            NoteKind::Surprise,
            "shoppers saw errors although two instances were left",
        ),
        note(
            58_000,
            NoteKind::Decision,
            "go on with the pause, the shop is calm again",
        ),
        note(
            71_300,
            NoteKind::Action,
            "retry refused connections at the front",
        ),
    ]
}

fn finding(of: String, status: Status, [n, bad, allowed]: [u64; 3], measured: String) -> Finding {
    let why = if status == Status::NotHeld {
        format!("{bad} bad, {allowed} may be")
    } else {
        String::new()
    };
    Finding {
        of,
        status,
        n,
        bad,
        allowed,
        measured,
        why,
    }
}

fn claim(
    word: &dyn Fn(&str) -> String,
    (name, kind, line): (&str, &str, usize),
    status: Status,
    texts: [&str; 3],
    findings: Vec<Finding>,
) -> ClaimVerdict {
    let [target, measured, why] = texts;
    ClaimVerdict {
        name: word(name),
        kind: kind.to_owned(),
        line,
        status,
        target: word(target),
        measured: word(measured),
        why: if why.is_empty() {
            String::new()
        } else {
            word(why)
        },
        findings,
    }
}

fn claims(word: &dyn Fn(&str) -> String) -> Vec<ClaimVerdict> {
    vec![
        latency(word),
        errors(word),
        availability(word),
        recovery(word),
        claim(
            word,
            ("no order lost or paid twice", "integrity", 40),
            Status::NotHeld,
            [
                "3 rules on what is stored",
                "2 violations in 1,414 operations",
                "2 orders were charged twice",
            ],
            Vec::new(),
        ),
    ]
}

fn latency(word: &dyn Fn(&str) -> String) -> ClaimVerdict {
    let texts = [
        "p95 <= 200ms (baseline, climb, spike, calm)",
        "p95 142.3 ms",
        "",
    ];
    claim(
        word,
        ("fast enough for shoppers", "latency", 32),
        Status::Held,
        texts,
        vec![
            finding(
                word("all requests"),
                Status::Held,
                [21_871, 690, 1_093],
                word("p95 142.3 ms"),
            ),
            finding(
                word("journey browse"),
                Status::Held,
                [6_671, 207, 333],
                word("p95 151 ms"),
            ),
            finding(
                word("journey buy"),
                Status::Held,
                [2_843, 129, 142],
                word("p95 187 ms"),
            ),
        ],
    )
}

fn errors(word: &dyn Fn(&str) -> String) -> ClaimVerdict {
    let texts = [
        "bad <= 0.1 % (baseline, climb, spike, calm)",
        "0.34 % bad",
        "74 of 21,871 requests were bad, 21 may be",
    ];
    claim(
        word,
        ("almost nothing fails", "errors", 34),
        Status::NotHeld,
        texts,
        vec![
            finding(
                word("all requests"),
                Status::NotHeld,
                [21_871, 74, 21],
                word("0.34 % bad"),
            ),
            finding(
                word("journey browse"),
                Status::NotHeld,
                [6_671, 27, 6],
                word("0.4 % bad"),
            ),
            finding(
                word("journey buy"),
                Status::NotJudged,
                [2_843, 19, 2],
                word("0.67 % bad"),
            ),
        ],
    )
}

fn availability(word: &dyn Fn(&str) -> String) -> ClaimVerdict {
    let texts = [
        "99.9 % of seconds with 95 % good",
        "97.8 % of 90 seconds",
        "2 seconds were bad, none may be",
    ];
    let all = finding(
        word("all requests"),
        Status::NotHeld,
        [90, 2, 0],
        word("97.8 %"),
    );
    claim(
        word,
        ("the shop is open", "availability", 36),
        Status::NotHeld,
        texts,
        vec![all],
    )
}

fn recovery(word: &dyn Fn(&str) -> String) -> ClaimVerdict {
    claim(
        word,
        ("back to normal soon", "recovery", 38),
        Status::Held,
        ["within 10s, steady for 3s", "9.18 s at most", ""],
        vec![
            finding(
                word("fault kill-api"),
                Status::Held,
                [1, 0, 0],
                word("9.18 s"),
            ),
            finding(
                word("fault pause-db"),
                Status::Held,
                [1, 0, 0],
                word("absorbed"),
            ),
        ],
    )
}

fn kill(word: &dyn Fn(&str) -> String) -> FaultFinding {
    FaultFinding {
        name: word("kill-api"),
        kind: "kill".to_owned(),
        targets: vec![word("api-2")],
        requested: Some(45 * S),
        effective: Some(KILLED),
        undone: Some(KILLED),
        effect_proof: vec![
            word("pid 4121 of api-2 is gone"),
            word("2 of 3 api instances ready"),
        ],
        undo_proof: vec![word("api-2 is ready again as pid 4388")],
        not_injected: None,
        trouble: None,
        reference: Some(Reference {
            from: 35 * S,
            until: 45 * S,
            requests: 4_588,
            bad: 0,
            p95: Some(43_100_000),
            goodput: 458.8,
        }),
        symptom_after: Some(80 * MS),
        detected_after: Some((210 * MS, word("api-2 exited, signal 9"))),
        recovery: Recovery::Recovered {
            after: RECOVERED_AFTER,
            relapses: 1,
        },
        capacity_after: Some(2_640 * MS),
        excess_bad: 74,
        caught: [3, 5],
        worst_p95: None,
    }
}

fn pause(word: &dyn Fn(&str) -> String) -> FaultFinding {
    FaultFinding {
        name: word("pause-db"),
        kind: "pause".to_owned(),
        targets: vec![word("db-1")],
        requested: Some(62_200 * MS),
        effective: Some(62_203 * MS),
        undone: Some(66_204 * MS),
        effect_proof: vec![word("pid 4009 of db-1 is stopped (state T)")],
        undo_proof: vec![word("pid 4009 of db-1 runs (state S)")],
        not_injected: None,
        trouble: None,
        reference: Some(Reference {
            from: 55 * S,
            until: 62 * S,
            requests: 3_218,
            bad: 0,
            p95: Some(44_800_000),
            goodput: 459.7,
        }),
        symptom_after: None,
        detected_after: Some((430 * MS, word("db-1 not ready"))),
        recovery: Recovery::Absorbed,
        capacity_after: Some(4_600 * MS),
        excess_bad: 0,
        caught: [2, 0],
        worst_p95: Some(46_200_000),
    }
}
