//! Everything that happened in the run, in order.

use chaos_record::audit::Reading;
use chaos_record::event::{Event, FaultChange, InstanceChange, NoteKind, Stamped};

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
