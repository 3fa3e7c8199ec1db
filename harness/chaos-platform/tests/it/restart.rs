//! The restart of everything on the local platform: what becomes of policies, back-off and bad programs.

use std::time::{Duration, Instant};

use chaos_plan::plan::{RestartPolicy, Service};
use chaos_platform::local::LocalPlatform;
use chaos_platform::{Act, Platform, PlatformError, Seen, Signal};

use crate::bench::Bench;
use crate::look::{Watcher, life};

/// A deployed target of one instance, `api-1`.
async fn deployed(change: impl FnOnce(&mut Service)) -> (Bench, LocalPlatform, Watcher) {
    let bench = Bench::alone(change);
    let mut platform = bench.local();
    let watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    (bench, platform, watcher)
}

async fn clean(bench: &Bench, mut platform: LocalPlatform) {
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(bench.left(), Vec::<String>::new());
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

async fn kill(platform: &LocalPlatform) {
    let target = life(platform, "api-1").await;
    let kill = Act::Signal {
        target,
        signal: Signal::Kill,
    };
    platform.apply(&kill).await.expect("it is done");
}

/// Kills it and gives the wait before its restart in ms, once it is ready again.
async fn wait_after_kill(platform: &LocalPlatform, watcher: &mut Watcher) -> u64 {
    kill(platform).await;
    let restarting = watcher
        .wait("api-1", |seen| matches!(seen, Seen::Restarting { .. }))
        .await;
    let Seen::Restarting { after_ns } = restarting.seen else {
        unreachable!()
    };
    watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
    after_ns / 1_000_000
}

#[tokio::test]
async fn it_is_no_failure_and_earlier_ones_are_forgotten() {
    let (bench, mut platform, mut watcher) = deployed(|_| ()).await;
    for expected in [0, 100, 200] {
        assert_eq!(wait_after_kill(&platform, &mut watcher).await, expected);
    }
    for _ in 0..3 {
        platform.restart_all().await.expect("a restart");
    }
    watcher.so_far();
    for expected in [0, 100] {
        assert_eq!(wait_after_kill(&platform, &mut watcher).await, expected);
    }
    clean(&bench, platform).await;
}

#[tokio::test]
async fn a_wait_for_a_restart_is_cut_short() {
    let (bench, mut platform, mut watcher) = deployed(|service| {
        service.restart.delay = Duration::from_secs(1000);
    })
    .await;
    kill(&platform).await;
    watcher
        .wait("api-1", |seen| matches!(seen, Seen::Restarting { .. }))
        .await;
    platform.restart_all().await.expect("a restart");
    assert!(platform.instances().await.expect("readable")[0].ready);
    clean(&bench, platform).await;
}

#[tokio::test]
async fn what_its_policy_left_down_comes_back() {
    let (bench, mut platform, mut watcher) = deployed(|service| {
        service.restart.policy = RestartPolicy::Never;
    })
    .await;
    platform.restart_all().await.expect("a restart");
    for incarnation in [2, 3] {
        let state = &platform.instances().await.expect("readable")[0];
        assert!(state.ready && state.target.incarnation == incarnation);
        kill(&platform).await;
        watcher.wait("api-1", |seen| *seen == Seen::Down).await;
        platform.restart_all().await.expect("a restart");
    }
    kill(&platform).await;
    watcher.wait("api-1", |seen| *seen == Seen::Down).await;
    clean(&bench, platform).await;
}

#[tokio::test]
async fn all_wait_for_a_program_that_ignores_the_request_to_end() {
    const GRACE: Duration = Duration::from_millis(500);
    let mut bench = Bench::new();
    let stubborn = bench.description.services.last_mut().expect("two");
    stubborn.command = sh("trap '' TERM; exec {chaos} serve {port}");
    stubborn.stop = GRACE;
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    watcher.so_far();
    let began = Instant::now();
    platform.restart_all().await.expect("a restart");
    assert!(began.elapsed() >= GRACE, "it was given its time");

    let seen = watcher.so_far();
    let mut started = Vec::new();
    let mut ended = Vec::new();
    for observation in &seen {
        match &observation.seen {
            Seen::Started { .. } => started.push(observation.at_ns),
            Seen::Exited { status, asked } => {
                assert!(asked);
                let killed = status.contains("SIGKILL");
                assert_eq!(killed, observation.service == "api", "{observation:?}");
                ended.push(observation.at_ns);
            }
            _ => {}
        }
    }
    assert_eq!((started.len(), ended.len()), (4, 4));
    assert!(
        ended.iter().max() <= started.iter().min(),
        "{ended:?} {started:?}"
    );
    clean(&bench, platform).await;
}

#[tokio::test]
async fn a_program_that_does_not_start_again_is_named_with_its_last_words() {
    let (bench, mut platform, _watcher) = deployed(|service| {
        service.command = sh(
            "cd {data}; if test -e lost; then echo the data is broken; exit 3; fi; touch lost; exec {chaos} serve {port}",
        );
    })
    .await;
    let error = platform.restart_all().await.expect_err("it never starts");
    let text = error.to_string();
    assert!(matches!(error, PlatformError::Start { .. }), "{text}");
    assert!(
        text.contains("ended 3 times") && text.contains("the data is broken"),
        "{text}"
    );
    clean(&bench, platform).await;
}

#[tokio::test]
async fn a_program_that_is_not_ready_again_in_time_is_given_up() {
    let (bench, mut platform, _watcher) = deployed(|service| {
        service.command =
            sh("cd {data}; test -e slow && exec sleep 100; touch slow; exec {chaos} serve {port}");
        service.ready.within = Duration::from_secs(2);
    })
    .await;
    let error = platform.restart_all().await.expect_err("it is never ready");
    let text = error.to_string();
    assert!(matches!(error, PlatformError::NotReady { .. }), "{text}");
    assert!(text.contains("no connection"), "{text}");
    clean(&bench, platform).await;
}
