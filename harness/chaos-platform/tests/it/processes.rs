//! What the local platform keeps beside the contract: its instances are processes of this machine, which
//! can be stopped, reached one by one, and looked at for what they use.

use std::collections::{BTreeMap, BTreeSet};

use chaos_platform::{
    Act, Deployment, InstanceRef, InstanceUse, Observation, Platform, Probe, Reverted, Seen, Signal,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::bench::Bench;
use crate::contract::{NAMES, Up, act, gone, holds, names, over, story};
use crate::look::{Watcher, get, life, until};

pub(crate) fn signal(target: &InstanceRef, signal: Signal) -> Act {
    Act::Signal {
        target: target.clone(),
        signal,
    }
}

pub(crate) fn frozen(target: &InstanceRef) -> Probe {
    Probe::Frozen {
        target: target.clone(),
    }
}

pub(crate) fn thawed(target: &InstanceRef) -> Probe {
    Probe::Thawed {
        target: target.clone(),
    }
}

/// Instances of `service` that answer to `count` calls in a row, each of which must succeed.
pub(crate) async fn reached(
    deployment: &Deployment,
    service: &str,
    count: usize,
) -> BTreeSet<String> {
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

pub(crate) async fn a_paused_instance_is_frozen_until_it_is_undone(builder: &Bench) {
    over(builder, async |up| {
        let Up {
            platform,
            watcher,
            deployment,
            ..
        } = up;
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

pub(crate) async fn the_harness_reaches_a_service_while_one_of_it_is_ready(builder: &Bench) {
    let mut platform = builder.local();
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

pub(crate) async fn what_an_instance_uses_is_seen(builder: &Bench) {
    over(builder, async |up| {
        let Up {
            platform, watcher, ..
        } = up;
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

pub(crate) async fn a_restart_of_all_ends_every_life_before_the_next_begins(builder: &Bench) {
    over(builder, async |up| {
        let Up {
            platform,
            watcher,
            deployment,
            ..
        } = up;
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

pub(crate) async fn a_restart_of_all_that_is_given_up_leaves_nothing_down(builder: &Bench) {
    over(builder, async |up| {
        let Up {
            platform, watcher, ..
        } = up;
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

pub(crate) async fn teardown_leaves_nothing(builder: &Bench) {
    let mut platform = builder.local();
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

fn address(observation: &Observation) -> &str {
    let Seen::Started { address, .. } = &observation.seen else {
        unreachable!("{observation:?}")
    };
    address
}
