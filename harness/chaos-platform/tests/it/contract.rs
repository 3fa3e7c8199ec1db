//! What every platform keeps, whatever it runs on.
//!
//! The target is two services with two instances each: `front`, which shoppers reach, and `api`,
//! which `front` calls. `/call` answers with the instance of each that was reached.

mod holding;

use std::collections::{BTreeMap, BTreeSet};

use chaos_platform::{
    Act, Deployment, InstanceRef, InstanceState, InstanceUse, Observation, Platform, PlatformError,
    Probe, Reverted, Seen, Signal, undo,
};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bench::{Watcher, get, life, until};

pub(crate) use holding::{
    a_held_instance_stays_away_until_it_is_released, a_restart_while_another_is_away_is_refused,
    a_restarted_instance_is_back_before_the_act_is_done,
};

/// Makes a platform over the target, and reads from the world what is left of it.
pub(crate) trait Builder {
    type Built: Platform;

    fn build(&self) -> Self::Built;

    /// Processes, folders and the like, found without the platform.
    fn left(&self) -> Vec<String>;
}

const NAMES: [&str; 4] = ["front-1", "front-2", "api-1", "api-2"];

/// Runs `body` over a deployed target, then takes it down and looks for anything left.
async fn over<B: Builder>(
    builder: &B,
    body: impl AsyncFnOnce(&mut B::Built, &mut Watcher, &Deployment),
) {
    let mut platform = builder.build();
    let mut watcher = Watcher::of(&mut platform);
    assert!(
        platform.observe().is_none(),
        "only the first caller observes"
    );
    let deployment = platform.deploy().await.expect("a deployment");
    body(&mut platform, &mut watcher, &deployment).await;
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(builder.left(), Vec::<String>::new());
}

fn signal(target: &InstanceRef, signal: Signal) -> Act {
    Act::Signal {
        target: target.clone(),
        signal,
    }
}

/// Prepares, then applies, as a conductor does.
async fn act(platform: &impl Platform, act: &Act) -> undo::Undo {
    let undo = platform.prepare(act).await.expect("an undo");
    let at_ns = platform.apply(act).await.expect("it is done");
    assert!(at_ns > 0);
    undo
}

async fn holds(platform: &impl Platform, probe: &Probe) -> bool {
    platform.probe(probe).await.expect("a reading").holds
}

fn gone(target: &InstanceRef) -> Probe {
    Probe::Gone {
        target: target.clone(),
    }
}

fn frozen(target: &InstanceRef) -> Probe {
    Probe::Frozen {
        target: target.clone(),
    }
}

fn thawed(target: &InstanceRef) -> Probe {
    Probe::Thawed {
        target: target.clone(),
    }
}

/// Instances of `service` that answer to `count` calls in a row, each of which must succeed.
async fn reached(deployment: &Deployment, service: &str, count: usize) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    for _ in 0..count {
        let answer = get(&deployment.address, "/call").await.expect("an answer");
        let names = answer.split('>').filter_map(|part| part.split(' ').next());
        reached.extend(
            names
                .filter(|name| name.starts_with(service))
                .map(str::to_owned),
        );
    }
    reached
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

pub(crate) async fn deploy_makes_every_instance_ready(builder: &impl Builder) {
    over(builder, async |platform, watcher, deployment| {
        let instances = platform.instances().await.expect("readable");
        let found: Vec<&str> = instances
            .iter()
            .map(|state| state.target.instance.as_str())
            .collect();
        assert_eq!(found, NAMES);
        assert!(
            instances
                .iter()
                .all(|state| state.ready && state.target.incarnation == 1)
        );
        assert_eq!(
            reached(deployment, "front", 8).await,
            names(&["front-1", "front-2"])
        );
        assert_eq!(
            reached(deployment, "api", 8).await,
            names(&["api-1", "api-2"])
        );
        let seen = watcher.so_far();
        for name in NAMES {
            assert_eq!(story(&seen, name), ["started", "ready"], "{name}");
        }
    })
    .await;
}

/// What was seen of an instance, in a word each.
fn story(seen: &[Observation], instance: &str) -> Vec<&'static str> {
    let of = seen
        .iter()
        .filter(|observation| observation.instance == instance);
    of.map(|observation| match observation.seen {
        Seen::Started { .. } => "started",
        Seen::Ready => "ready",
        Seen::Unready { .. } => "unready",
        Seen::Exited { asked: true, .. } => "ended",
        Seen::Exited { asked: false, .. } => "exited",
        Seen::Restarting { .. } => "restarting",
        Seen::Down => "down",
        Seen::PlatformLost { .. } => "lost",
    })
    .collect()
}

pub(crate) async fn a_killed_instance_is_gone_and_comes_back(builder: &impl Builder) {
    over(builder, async |platform, watcher, deployment| {
        let first = life(platform, "api-1").await;
        let started = watcher
            .wait("api-1", |seen| matches!(seen, Seen::Started { .. }))
            .await;
        assert!(!holds(platform, &gone(&first)).await);
        let kill = signal(&first, Signal::Kill);
        let undo = platform.prepare(&kill).await.expect("an undo");
        let at_ns = platform.apply(&kill).await.expect("it is done");
        until("the proof that it is gone", async || {
            holds(platform, &gone(&first)).await
        })
        .await;

        let exited = watcher
            .wait("api-1", |seen| {
                matches!(seen, Seen::Exited { asked: false, .. })
            })
            .await;
        assert!(
            started.at_ns < at_ns && at_ns <= exited.at_ns,
            "{started:?} {at_ns} {exited:?}"
        );
        reached(deployment, "api", 20).await;

        let again = watcher
            .wait("api-1", |seen| {
                matches!(seen, Seen::Started { incarnation: 2, .. })
            })
            .await;
        assert_ne!(
            address(&again),
            address(&started),
            "a new port for each life"
        );
        watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
        assert_eq!(
            reached(deployment, "api", 8).await,
            names(&["api-1", "api-2"])
        );
        assert_eq!(life(platform, "api-1").await.incarnation, 2);
        assert!(
            holds(platform, &gone(&first)).await,
            "the first life stays gone"
        );
        assert!(matches!(platform.undo(&undo).await, Reverted::Clean { .. }));
    })
    .await;
}

fn address(observation: &Observation) -> &str {
    let Seen::Started { address, .. } = &observation.seen else {
        unreachable!("{observation:?}")
    };
    address
}

pub(crate) async fn a_paused_instance_is_frozen_until_it_is_undone(builder: &impl Builder) {
    over(builder, async |platform, watcher, deployment| {
        let target = life(platform, "api-1").await;
        assert!(!holds(platform, &frozen(&target)).await);
        assert!(holds(platform, &thawed(&target)).await);
        let undo = act(platform, &signal(&target, Signal::Stop)).await;
        until("the proof that it is frozen", async || {
            holds(platform, &frozen(&target)).await
        })
        .await;
        assert!(!holds(platform, &thawed(&target)).await);
        assert!(!holds(platform, &gone(&target)).await);
        watcher
            .wait("api-1", |seen| matches!(seen, Seen::Unready { .. }))
            .await;
        assert_eq!(reached(deployment, "api", 6).await, names(&["api-2"]));

        assert!(matches!(
            platform.undo(&undo).await,
            Reverted::Restored { .. }
        ));
        assert!(holds(platform, &thawed(&target)).await);
        assert!(!holds(platform, &frozen(&target)).await);
        watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
        assert_eq!(
            reached(deployment, "api", 8).await,
            names(&["api-1", "api-2"])
        );
        assert!(
            matches!(platform.undo(&undo).await, Reverted::Clean { .. }),
            "undone twice is undone once"
        );
        assert_eq!(
            life(platform, "api-1").await,
            target,
            "the same life throughout"
        );
    })
    .await;
}

/// The undo is data: another process reads it back and reverts it without the platform.
pub(crate) async fn an_undo_works_without_the_platform_that_acted(builder: &impl Builder) {
    over(builder, async |platform, _, _| {
        let target = life(platform, "front-2").await;
        let undo = act(platform, &signal(&target, Signal::Stop)).await;
        until("the proof that it is frozen", async || {
            holds(platform, &frozen(&target)).await
        })
        .await;
        let text = serde_json::to_string(&undo).expect("json");
        let read: undo::Undo = serde_json::from_str(&text).expect("an undo");
        assert!(matches!(
            undo::revert(&read).await,
            Reverted::Restored { .. }
        ));
        assert!(holds(platform, &thawed(&target)).await);

        let foreign = undo::Undo {
            mark: "another run".to_owned(),
            ..read.clone()
        };
        act(platform, &signal(&target, Signal::Stop)).await;
        until("the proof that it is frozen", async || {
            holds(platform, &frozen(&target)).await
        })
        .await;
        assert!(matches!(
            undo::revert(&foreign).await,
            Reverted::Foreign { .. }
        ));
        assert!(
            holds(platform, &frozen(&target)).await,
            "what bears another mark is left as it is"
        );
        let newer = undo::Undo {
            version: undo::VERSION + 1,
            ..read
        };
        assert!(matches!(
            undo::revert(&newer).await,
            Reverted::Failed { .. }
        ));
    })
    .await;
}

pub(crate) async fn an_undo_after_the_target_is_gone_is_clean(builder: &impl Builder) {
    over(builder, async |platform, watcher, _| {
        let target = life(platform, "api-2").await;
        let undo = act(platform, &signal(&target, Signal::Stop)).await;
        act(platform, &signal(&target, Signal::Kill)).await;
        watcher
            .wait("api-2", |seen| matches!(seen, Seen::Exited { .. }))
            .await;
        assert!(
            holds(platform, &thawed(&target)).await,
            "what is gone is no longer frozen"
        );
        assert!(!holds(platform, &frozen(&target)).await);
        assert!(matches!(platform.undo(&undo).await, Reverted::Clean { .. }));
    })
    .await;
}

pub(crate) async fn prepare_changes_nothing(builder: &impl Builder) {
    over(builder, async |platform, watcher, _| {
        watcher.so_far();
        let before: Vec<InstanceState> = platform.instances().await.expect("readable");
        for state in &before {
            for kind in [Signal::Stop, Signal::Kill, Signal::Term] {
                platform
                    .prepare(&signal(&state.target, kind))
                    .await
                    .expect("an undo");
            }
            assert!(!holds(platform, &frozen(&state.target)).await);
            assert!(!holds(platform, &gone(&state.target)).await);
        }
        assert_eq!(platform.instances().await.expect("readable"), before);
        assert_eq!(watcher.so_far(), []);
    })
    .await;
}

pub(crate) async fn an_act_on_a_life_that_is_over_is_refused(builder: &impl Builder) {
    over(builder, async |platform, watcher, _| {
        let first = life(platform, "api-1").await;
        act(platform, &signal(&first, Signal::Kill)).await;
        watcher
            .wait("api-1", |seen| {
                matches!(seen, Seen::Started { incarnation: 2, .. })
            })
            .await;
        watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
        let before = platform.instances().await.expect("readable");
        let unborn = InstanceRef {
            incarnation: 3,
            ..first.clone()
        };
        let unknown = InstanceRef {
            instance: "api-9".to_owned(),
            ..first.clone()
        };
        for stale in [&first, &unborn, &unknown] {
            for kind in [Signal::Kill, Signal::Stop] {
                let act = signal(stale, kind);
                assert!(matches!(
                    platform.prepare(&act).await,
                    Err(PlatformError::Missing { .. })
                ));
                assert!(matches!(
                    platform.apply(&act).await,
                    Err(PlatformError::Missing { .. })
                ));
            }
        }
        for unknown in [unborn, unknown] {
            assert!(
                platform.probe(&gone(&unknown)).await.is_err(),
                "nothing is known of it"
            );
        }
        let second = life(platform, "api-1").await;
        assert!(!holds(platform, &gone(&second)).await);
        assert!(!holds(platform, &frozen(&second)).await);
        assert_eq!(platform.instances().await.expect("readable"), before);
    })
    .await;
}

pub(crate) async fn teardown_leaves_nothing(builder: &impl Builder) {
    let mut platform = builder.build();
    let mut watcher = Watcher::of(&mut platform);
    let deployment = platform.deploy().await.expect("a deployment");
    let mut addresses: Vec<String> = watcher
        .so_far()
        .iter()
        .filter(|observation| matches!(observation.seen, Seen::Started { .. }))
        .map(|observation| address(observation).to_owned())
        .filter(|address| !address.is_empty())
        .collect();
    assert_eq!(addresses.len(), NAMES.len());
    addresses.push(deployment.address);
    // One is paused and one is between two lives when it begins.
    act(
        &platform,
        &signal(&life(&platform, "api-1").await, Signal::Stop),
    )
    .await;
    act(
        &platform,
        &signal(&life(&platform, "front-1").await, Signal::Kill),
    )
    .await;
    assert!(!builder.left().is_empty());

    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(builder.left(), Vec::<String>::new());
    for address in addresses {
        let error = get(&address, "/").await.expect_err("nobody listens");
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionRefused,
            "{address}"
        );
    }
    let seen = watcher.so_far();
    for name in ["front-2", "api-1", "api-2"] {
        assert_eq!(story(&seen, name).last(), Some(&"ended"), "{name}");
    }
    assert!(
        platform
            .instances()
            .await
            .expect("readable")
            .iter()
            .all(|state| state.pid.is_none() && !state.ready)
    );
    assert_eq!(
        platform.teardown().await,
        Vec::<String>::new(),
        "a second time changes nothing"
    );
    assert!(platform.deploy().await.is_err(), "and nothing comes back");
    assert_eq!(builder.left(), Vec::<String>::new());
}

pub(crate) async fn teardown_works_when_a_deploy_was_given_up(builder: &impl Builder) {
    let mut platform = builder.build();
    let mut watcher = Watcher::of(&mut platform);
    {
        let deploy = platform.deploy();
        let first = watcher.wait("api-2", |seen| matches!(seen, Seen::Started { .. }));
        tokio::pin!(deploy, first);
        tokio::select! {
            _ = &mut first => {}
            _ = &mut deploy => unreachable!("it is ready before it is seen to start"),
        }
    }
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(builder.left(), Vec::<String>::new());
}

pub(crate) async fn the_harness_reaches_a_service_while_one_of_it_is_ready(builder: &impl Builder) {
    let mut platform = builder.build();
    assert_eq!(platform.address("api").await, None, "nothing is deployed");
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    for service in ["front", "api"] {
        assert!(reaches(&platform, service, service).await);
    }
    assert_eq!(platform.address("nobody").await, None);

    let mut undos = Vec::new();
    for (name, other) in [("api-1", Some("api-2")), ("api-2", None)] {
        let target = life(&platform, name).await;
        undos.push(act(&platform, &signal(&target, Signal::Stop)).await);
        watcher
            .wait(name, |seen| matches!(seen, Seen::Unready { .. }))
            .await;
        match other {
            Some(other) => assert!(reaches(&platform, "api", other).await),
            None => assert_eq!(platform.address("api").await, None, "none is ready"),
        }
    }
    for undo in &undos {
        platform.undo(undo).await;
    }
    for name in ["api-1", "api-2"] {
        let kill = signal(&life(&platform, name).await, Signal::Kill);
        act(&platform, &kill).await;
        watcher
            .wait(name, |seen| {
                matches!(seen, Seen::Started { incarnation: 2, .. })
            })
            .await;
    }
    watcher.wait("api-2", |seen| *seen == Seen::Ready).await;
    assert!(
        reaches(&platform, "api", "api").await,
        "the address is that of the new life"
    );
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(platform.address("api").await, None);
    assert_eq!(builder.left(), Vec::<String>::new());
}

/// Whether the harness gets an answer of an instance whose name begins so.
async fn reaches(platform: &impl Platform, service: &str, instance: &str) -> bool {
    let address = platform.address(service).await.expect("one is ready");
    let answer = get(&address, "/").await.expect("an answer");
    answer.starts_with(instance)
}

/// What every instance uses, by its name.
async fn uses(platform: &impl Platform) -> BTreeMap<String, InstanceUse> {
    let used = platform.usage().await.into_iter();
    used.map(|used| (used.instance.clone(), used)).collect()
}

pub(crate) async fn what_an_instance_uses_is_seen(builder: &impl Builder) {
    over(builder, async |platform, watcher, _| {
        let idle = uses(platform).await;
        assert_eq!(idle.keys().map(String::as_str).collect::<Vec<_>>(), {
            let mut names = NAMES;
            names.sort_unstable();
            names
        });
        for used in idle.values() {
            assert_eq!(used.incarnation, 1);
            assert!(used.instance.starts_with(&used.service), "{used:?}");
            // A program with standard streams and a listener has no fewer.
            let open = used.memory > 100_000 && used.descriptors >= 4 && used.connections >= 1;
            assert!(open, "{used:?}");
        }

        let address = platform.address("api").await.expect("one is ready");
        let busy = get(&address, "/").await.expect("an answer");
        let busy = busy.split(' ').next().expect("a name").to_owned();
        let grown = |used: &BTreeMap<String, InstanceUse>, name: &str| {
            used[name].cpu_ns.saturating_sub(idle[name].cpu_ns)
        };
        until("its CPU time is counted", async || {
            get(&address, "/burn").await.expect("an answer");
            grown(&uses(platform).await, &busy) >= 300_000_000
        })
        .await;
        let burnt = uses(platform).await;
        for name in NAMES.iter().filter(|name| **name != busy) {
            assert!(grown(&burnt, name) < grown(&burnt, &busy) / 2, "{burnt:?}");
        }

        get(&address, "/hoard").await.expect("an answer");
        let hoarded = uses(platform).await;
        assert!(hoarded[&busy].memory >= burnt[&busy].memory + (30 << 20));

        let mut held = Vec::new();
        for _ in 0..20 {
            let host = address.strip_prefix("http://").expect("a base address");
            let mut stream = TcpStream::connect(host).await.expect("a connection");
            stream.write_all(b"GET").await.expect("it is open");
            held.push(stream);
        }
        let (few, open) = (burnt[&busy].connections, burnt[&busy].descriptors);
        until("its connections are counted", async || {
            let used = &uses(platform).await[&busy];
            used.connections >= few + 20 && used.descriptors >= open + 20
        })
        .await;
        drop(held);
        until("they are no longer counted", async || {
            let used = &uses(platform).await[&busy];
            used.connections < few + 20 && used.descriptors < open + 20
        })
        .await;

        let kill = signal(&life(platform, &busy).await, Signal::Kill);
        act(platform, &kill).await;
        let second = |seen: &Seen| matches!(seen, Seen::Started { incarnation: 2, .. });
        watcher.wait(&busy, second).await;
        watcher.wait(&busy, |seen| *seen == Seen::Ready).await;
        let anew = &uses(platform).await[&busy];
        assert_eq!(anew.incarnation, 2);
        assert!(
            anew.cpu_ns < 300_000_000 && anew.memory < 30 << 20,
            "each life begins with nothing: {anew:?}"
        );
    })
    .await;
}

pub(crate) async fn a_restart_of_all_ends_every_life_before_the_next_begins(
    builder: &impl Builder,
) {
    over(builder, async |platform, watcher, deployment| {
        // Whatever a fault has left, it comes back.
        act(
            platform,
            &signal(&life(platform, "api-1").await, Signal::Stop),
        )
        .await;
        for round in 1..=2 {
            watcher.so_far();
            let before = platform.instances().await.expect("readable");
            platform.restart_all().await.expect("a restart");
            let seen = watcher.so_far();
            for name in NAMES {
                let expected = ["ended", "started", "ready"];
                let story = story(&seen, name);
                // The paused one may be found not to be ready just before.
                let story = story.strip_prefix(&["unready"]).unwrap_or(&story);
                assert_eq!(story, expected, "{name} {round}");
            }
            let of = |fits: fn(&Seen) -> bool| {
                let fit = seen.iter().filter(move |seen| fits(&seen.seen));
                fit.map(|seen| seen.at_ns)
            };
            let ended = of(|seen| matches!(seen, Seen::Exited { .. })).max();
            let started = of(|seen| matches!(seen, Seen::Started { .. })).min();
            assert!(ended <= started, "{ended:?} {started:?}");

            let after = platform.instances().await.expect("readable");
            for (old, new) in before.iter().zip(&after) {
                let InstanceRef { incarnation, .. } = old.target;
                assert_eq!(new.target.incarnation, incarnation + 1, "{new:?}");
                assert!(new.ready, "{new:?}");
                assert!(holds(platform, &gone(&old.target)).await);
                assert!(!holds(platform, &gone(&new.target)).await);
            }
            assert_eq!(
                reached(deployment, "api", 8).await,
                names(&["api-1", "api-2"])
            );
            assert!(reaches(platform, "front", "front").await);
        }
    })
    .await;
}

pub(crate) async fn a_restart_of_all_needs_a_target(builder: &impl Builder) {
    let mut platform = builder.build();
    let unable = |result| matches!(result, Err(PlatformError::Unable { .. }));
    assert!(unable(platform.restart_all().await), "nothing is deployed");
    platform.deploy().await.expect("a deployment");
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert!(
        unable(platform.restart_all().await),
        "and nothing comes back"
    );
    assert_eq!(builder.left(), Vec::<String>::new());
}

pub(crate) async fn a_restart_of_all_that_is_given_up_leaves_nothing_down(builder: &impl Builder) {
    over(builder, async |platform, watcher, _| {
        {
            let restart = platform.restart_all();
            let first = watcher.wait("api-1", |seen| matches!(seen, Seen::Exited { .. }));
            tokio::pin!(restart, first);
            tokio::select! {
                biased;
                _ = &mut first => {}
                _ = &mut restart => unreachable!("it is seen to end before it is ready again"),
            }
        }
        until("all are ready again", async || {
            platform
                .instances()
                .await
                .expect("readable")
                .iter()
                .all(|state| state.ready)
        })
        .await;
        assert_eq!(life(platform, "api-1").await.incarnation, 2);
    })
    .await;
}
