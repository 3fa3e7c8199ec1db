//! Everything that happened in the run, in order.

use chaos_record::audit::Reading;
use chaos_record::event::{Event, FaultChange, InstanceChange, NoteKind, PlatformChange, Stamped};

use super::{LOAD_STARTED, MS, S};

pub(super) fn events(word: &dyn Fn(&str) -> String) -> Vec<Stamped> {
    let mut events = deployed(word);
    events.extend(
        [0, 10, 30, 35]
            .into_iter()
            .enumerate()
            .map(|(stage, start)| of_load(start * 1_000, Event::StageStarted { stage })),
    );
    events.extend(killed(word));
    events.extend(scaled(word));
    events.extend(paused(word));
    events.extend([
        of_load(75_000, Event::StageStarted { stage: 4 }),
        note(word, 47_100, NoteKind::Surprise, "shoppers saw errors"),
        of_load(
            100_000,
            Event::LoadStopped {
                until: 100 * S,
                cut_short: false,
            },
        ),
        of_load(100_100, Event::OperationsLogged { count: 1_414 }),
        of_load(
            100_400,
            Event::AuditRead {
                reading: Reading::After,
                quiet: true,
                orders: 1_405,
            },
        ),
        of_load(100_410, Event::Restarting),
        of_load(100_800, Event::Restarted),
        of_load(
            100_850,
            Event::AuditFailed {
                reading: Reading::Restarted,
                why: word("connection refused"),
            },
        ),
        of_load(
            100_900,
            Event::CleanedUp {
                verified: true,
                left: Vec::new(),
            },
        ),
    ]);
    events
}

fn at(ms: u64, what: Event) -> Stamped {
    Stamped { at: ms * MS, what }
}

fn of_load(ms: u64, what: Event) -> Stamped {
    Stamped {
        at: LOAD_STARTED + ms * MS,
        what,
    }
}

fn note(word: &dyn Fn(&str) -> String, ms: u64, kind: NoteKind, text: &str) -> Stamped {
    let (text, by) = (word(text), word("mara"));
    of_load(ms, Event::Note { kind, text, by })
}

fn deployed(word: &dyn Fn(&str) -> String) -> Vec<Stamped> {
    let first = |change| Event::Instance {
        service: word("api"),
        instance: word("api-1"),
        change,
    };
    vec![
        at(2, Event::DeployStarted),
        at(
            40,
            first(InstanceChange::Started {
                incarnation: 1,
                pid: Some(4_118),
                address: "127.0.0.1:40001".to_owned(),
                place: None,
            }),
        ),
        at(1_900, first(InstanceChange::Ready)),
        at(2_310, Event::Deployed),
        of_load(0, Event::LoadStarted { workers: 2 }),
    ]
}

fn killed(word: &dyn Fn(&str) -> String) -> Vec<Stamped> {
    let fault = |change| Event::Fault {
        fault: word("kill-api"),
        change,
    };
    let instance = |change| Event::Instance {
        service: word("api"),
        instance: word("api-2"),
        change,
    };
    let proof = vec![
        word("pid 4121 of api-2 is gone"),
        word("2 of 3 api instances ready"),
    ];
    vec![
        of_load(
            45_000,
            fault(FaultChange::Requested {
                targets: vec![word("api-2")],
            }),
        ),
        of_load(45_020, fault(FaultChange::Effective { proof })),
        of_load(
            45_230,
            instance(InstanceChange::Exited {
                status: word("signal 9"),
                asked: false,
            }),
        ),
        of_load(45_231, instance(InstanceChange::Restarting { after: 0 })),
        of_load(
            45_260,
            instance(InstanceChange::Started {
                incarnation: 2,
                pid: Some(4_388),
                address: "127.0.0.1:40107".to_owned(),
                place: None,
            }),
        ),
        of_load(47_660, instance(InstanceChange::Ready)),
    ]
}

/// What a platform tells beside its instances, and of one that never starts.
fn scaled(word: &dyn Fn(&str) -> String) -> Vec<Stamped> {
    let platform = |change| Event::Platform {
        service: Some(word("api")),
        change,
    };
    let wants = |was, wanted| PlatformChange::Autoscaled {
        autoscaler: word("api"),
        was,
        wanted,
        metric: Some(word("cpu at 95 %, 70 % is meant")),
    };
    let third = |change| Event::Instance {
        service: word("api"),
        instance: word("api-3"),
        change,
    };
    let serving = PlatformChange::Serving {
        name: word("front"),
        was: Some(2),
        ready: 1,
    };
    let warned = PlatformChange::Warned {
        object: word("pod/api-7c"),
        reason: word("Unhealthy"),
        message: word("Readiness probe failed"),
        times: 4,
    };
    let node = PlatformChange::Node {
        node: word("node1"),
        ready: false,
        why: word("its kubelet does not answer"),
    };
    let unwatched = PlatformChange::Unwatched {
        what: word("whether nodes are ready"),
        why: word("you may not list and watch nodes"),
    };
    let stuck = InstanceChange::Stuck {
        why: word("image `shop:2` cannot be pulled"),
    };
    let withdrawn = InstanceChange::Withdrawn {
        why: word("its pod is gone and never started"),
    };
    vec![
        of_load(1_000, platform(wants(None, 1))),
        of_load(1_001, platform(unwatched)),
        of_load(46_000, platform(wants(Some(1), 2))),
        of_load(46_100, platform(serving)),
        of_load(46_200, platform(warned)),
        of_load(46_300, platform(node)),
        of_load(46_400, third(stuck)),
        of_load(49_000, third(withdrawn)),
    ]
}

fn paused(word: &dyn Fn(&str) -> String) -> Vec<Stamped> {
    let fault = |change| Event::Fault {
        fault: word("pause-db"),
        change,
    };
    let instance = |change| Event::Instance {
        service: word("db"),
        instance: word("db-1"),
        change,
    };
    vec![
        of_load(
            62_200,
            fault(FaultChange::Requested {
                targets: vec![word("db-1")],
            }),
        ),
        of_load(
            62_203,
            fault(FaultChange::Effective {
                proof: vec![word("pid 4009 of db-1 is stopped (state T)")],
            }),
        ),
        of_load(
            62_633,
            instance(InstanceChange::Unready {
                why: word("no answer within 1s"),
            }),
        ),
        of_load(
            66_204,
            fault(FaultChange::Undone {
                proof: vec![word("pid 4009 of db-1 runs (state S)")],
            }),
        ),
        of_load(66_803, instance(InstanceChange::Ready)),
    ]
}
