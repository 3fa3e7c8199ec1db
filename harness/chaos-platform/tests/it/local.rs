//! The local platform: the contract, and what only processes of this machine have.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chaos_plan::plan::{RestartPolicy, StopSignal};
use chaos_platform::local::process::ProcessId;
use chaos_platform::local::{INSTANCE, RUN, signal, sweep};
use chaos_platform::{Act, Platform, PlatformError, Probe, Reverted, Seen, Signal};
use rustix::process::{Pid, kill_process};

use crate::bench::{Bench, program};
use crate::look::{Watcher, get, life, until};
use crate::{contract, holding, processes};

/// Each over a target of its own.
macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                contract::over(&Bench::new(), async |up| contract::$test(up).await).await;
            }
        )*
    };
}

contract!(
    deploy_makes_every_instance_ready,
    prepare_changes_nothing,
    a_killed_instance_is_gone_and_comes_back,
    what_lasts_holds_until_it_is_undone,
    an_undo_works_without_the_platform_that_acted,
    an_undo_after_the_target_is_gone_is_clean,
    an_act_on_a_life_that_is_over_is_refused,
    a_restart_of_all_replaces_every_life,
);

macro_rules! beside {
    ($($room:ident::$test:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                $room::$test(&Bench::new()).await;
            }
        )*
    };
}

beside!(
    contract::teardown_works_when_a_deploy_was_given_up,
    processes::a_paused_instance_is_frozen_until_it_is_undone,
    processes::the_harness_reaches_a_service_while_one_of_it_is_ready,
    processes::what_an_instance_uses_is_seen,
    processes::a_restart_of_all_ends_every_life_before_the_next_begins,
    processes::a_restart_of_all_that_is_given_up_leaves_nothing_down,
    processes::teardown_leaves_nothing,
    holding::a_held_instance_stays_away_until_it_is_released,
    holding::a_restarted_instance_is_back_before_the_act_is_done,
    holding::a_restart_while_another_is_away_is_refused,
);

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

async fn clean(bench: &Bench, platform: &mut impl Platform) {
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_program_that_ends_at_once_fails_the_deploy_with_its_last_words() {
    let bench = Bench::alone(|service| service.command = sh("echo the wheel came off; exit 3"));
    let mut platform = bench.local();
    let began = Instant::now();
    let error = platform.deploy().await.expect_err("it never starts");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "long before the limit of readiness"
    );
    let text = error.to_string();
    assert!(matches!(error, PlatformError::Start { .. }), "{text}");
    assert!(
        text.contains("ended 3 times") && text.contains("exit status: 3"),
        "{text}"
    );
    assert!(text.contains("the wheel came off"), "{text}");
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    let bench = Bench::alone(|service| service.command = vec!["/no/such/program".to_owned()]);
    let mut platform = bench.local();
    let text = platform
        .deploy()
        .await
        .expect_err("it never starts")
        .to_string();
    assert!(text.contains("run `/no/such/program`"), "{text}");
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn a_program_that_never_gets_ready_is_given_up() {
    let bench = Bench::alone(|service| {
        service.ready.path = Some("/nowhere".to_owned());
        service.ready.within = Duration::from_millis(500);
    });
    let mut platform = bench.local();
    let error = platform.deploy().await.expect_err("it is never ready");
    let text = error.to_string();
    assert!(matches!(error, PlatformError::NotReady { .. }), "{text}");
    assert!(text.contains("`/nowhere` answered 404"), "{text}");
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn a_policy_of_never_leaves_it_down() {
    let bench = Bench::alone(|service| service.restart.policy = RestartPolicy::Never);
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let target = life(&platform, "api-1").await;
    platform
        .apply(&Act::Signal {
            target,
            signal: Signal::Term,
        })
        .await
        .expect("it is done");
    watcher.wait("api-1", |seen| *seen == Seen::Down).await;
    let states = platform.instances().await.expect("readable");
    assert!(!states[0].ready && states[0].pid.is_none());
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn a_crash_loop_waits_longer_each_time_and_its_log_goes_on() {
    let bench = Bench::alone(|service| service.restart.policy = RestartPolicy::Always);
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let mut waits = Vec::new();
    for _ in 0..3 {
        let target = life(&platform, "api-1").await;
        platform
            .apply(&Act::Signal {
                target,
                signal: Signal::Kill,
            })
            .await
            .expect("it is done");
        let restarting = watcher
            .wait("api-1", |seen| matches!(seen, Seen::Restarting { .. }))
            .await;
        let Seen::Restarting { after_ns } = restarting.seen else {
            unreachable!()
        };
        waits.push(after_ns / 1_000_000);
        watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
    }
    assert_eq!(waits, [0, 100, 200]);
    assert_eq!(bench.log("api-1").matches("serves").count(), 4);
    clean(&bench, &mut platform).await;
}

/// How the only instance ended on teardown, in the words of its observation.
async fn ending(bench: &Bench, platform: &mut impl Platform, watcher: &mut Watcher) -> String {
    clean(bench, platform).await;
    let ended = watcher
        .wait("api-1", |seen| {
            matches!(seen, Seen::Exited { asked: true, .. })
        })
        .await;
    let Seen::Exited { status, .. } = ended.seen else {
        unreachable!()
    };
    status
}

#[tokio::test]
async fn a_program_that_ignores_the_request_to_end_is_killed() {
    let bench = Bench::alone(|service| {
        service.command = sh("trap '' TERM; exec {chaos} serve {port}");
        service.stop = Duration::from_millis(300);
    });
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let began = Instant::now();
    let status = ending(&bench, &mut platform, &mut watcher).await;
    assert!(status.contains("SIGKILL"), "{status}");
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "it was given its time"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_paused_program_is_asked_to_end_like_any_other() {
    let bench = Bench::alone(|_| ());
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let target = life(&platform, "api-1").await;
    platform
        .apply(&Act::Signal {
            target,
            signal: Signal::Stop,
        })
        .await
        .expect("it is done");
    let status = ending(&bench, &mut platform, &mut watcher).await;
    assert!(status.contains("SIGTERM"), "{status}");
}

#[tokio::test]
async fn acts_reach_the_children_of_a_program_too() {
    let bench = Bench::alone(|service| {
        service.env.insert("CHILD".to_owned(), "1".to_owned());
    });
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let target = life(&platform, "api-1").await;
    let leader = platform.instances().await.expect("readable")[0]
        .pid
        .expect("it runs");
    let child = sweep::marked(&bench.run)
        .into_iter()
        .find(|(process, name)| name == "api-1" && process.pid != leader)
        .map(|(process, _)| process)
        .expect("a child");
    let stop = Act::Signal {
        target: target.clone(),
        signal: Signal::Stop,
    };
    let undo = platform.prepare(&stop).await.expect("an undo");
    platform.apply(&stop).await.expect("it is done");
    let frozen = Probe::Frozen {
        target: target.clone(),
    };
    until("it is frozen", async || {
        platform.probe(&frozen).await.expect("a reading").holds
    })
    .await;
    assert!(child.is_stopped().expect("readable"));
    assert!(matches!(
        platform.undo(&undo).await,
        Reverted::Restored { .. }
    ));
    assert!(!child.is_stopped().expect("readable"));

    // Only its own process is told to end here; the child is ended because it must not outlive it.
    kill_process(
        Pid::from_raw(i32::try_from(leader).expect("a pid")).expect("a pid"),
        rustix::process::Signal::KILL,
    )
    .expect("it runs");
    watcher
        .wait("api-1", |seen| {
            matches!(seen, Seen::Started { incarnation: 2, .. })
        })
        .await;
    assert!(!child.is_alive().expect("readable"));
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn the_loss_of_the_proxy_process_is_told() {
    let bench = Bench::alone(|_| ());
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    let deployment = platform.deploy().await.expect("a deployment");
    let proxy = sweep::marked(&bench.run)
        .into_iter()
        .find(|(_, name)| name == "chaos-proxy")
        .expect("a proxy")
        .0;
    let pid = Pid::from_raw(i32::try_from(proxy.pid).expect("a pid")).expect("a pid");
    kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    watcher
        .wait("chaos-proxy", |seen| {
            matches!(seen, Seen::PlatformLost { .. })
        })
        .await;
    assert!(get(&deployment.address, "/").await.is_err());
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn the_mark_cannot_be_replaced_and_slots_are_filled() {
    let bench = Bench::alone(|service| {
        service.env.insert(RUN.to_owned(), "another".to_owned());
        service
            .env
            .insert(INSTANCE.to_owned(), "another".to_owned());
        service.command = sh(
            "echo $CHAOS_RUN $CHAOS_INSTANCE {instance} {address} {data}; exec {chaos} serve {port}",
        );
    });
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let started = watcher
        .wait("api-1", |seen| matches!(seen, Seen::Started { .. }))
        .await;
    let Seen::Started { address, .. } = started.seen else {
        unreachable!()
    };
    let data = bench.work().join("data/api");
    let expected = format!("{} api-1 api-1 {address} {}", bench.run, data.display());
    assert_eq!(bench.log("api-1").lines().next(), Some(expected.as_str()));
    clean(&bench, &mut platform).await;
}

/// Without a platform and without a guardian, the kernel ends what the harness had started.
#[tokio::test]
async fn the_death_of_the_harness_leaves_no_process() {
    let bench = Bench::new();
    bench.write_plan();
    let mut harness = Command::new(program())
        .arg("harness")
        .arg(bench.path())
        .env("HARNESS_RUN", &bench.run)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut up = String::new();
    BufReader::new(harness.stdout.take().expect("a pipe"))
        .read_line(&mut up)
        .expect("a line");
    let ran = sweep::marked(&bench.run).len();
    harness.kill().expect("it runs");
    harness.wait().expect("it ends");
    assert_eq!(
        (up.as_str(), ran),
        ("up\n", 5),
        "four instances and the proxy"
    );
    until("nothing is left", async || {
        sweep::marked(&bench.run).is_empty()
    })
    .await;
}

/// A process that bears the mark of `run`, outside any platform.
fn stray(run: &str) -> (std::process::Child, ProcessId) {
    let child = Command::new(program())
        .arg("idle")
        .env(RUN, run)
        .env(INSTANCE, "stray")
        .spawn()
        .expect("it starts");
    let process = ProcessId::of(child.id()).expect("it runs");
    (child, process)
}

#[tokio::test]
async fn a_sweep_ends_what_bears_the_mark_and_spares_the_rest() {
    let bench = Bench::new();
    let other = Bench::new();
    let (mut marked, _) = stray(&bench.run);
    let (mut spared, spared_id) = stray(&bench.run);
    let (mut foreign, foreign_id) = stray(&other.run);
    until("all bear their marks", async || {
        sweep::marked(&bench.run).len() == 2 && sweep::marked(&other.run).len() == 1
    })
    .await;
    let left = sweep::sweep(&bench.run, &[spared.id()], Duration::from_secs(5)).await;
    assert_eq!(left, Vec::<String>::new());
    assert!(
        marked.wait().expect("it ends").code().is_none(),
        "ended by a signal"
    );
    assert!(spared_id.is_alive().expect("readable"));
    assert!(foreign_id.is_alive().expect("readable"));
    for child in [&mut spared, &mut foreign] {
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
}

#[tokio::test]
async fn a_stopped_process_is_resumed_only_if_it_is_the_one_that_was_meant() {
    let bench = Bench::new();
    let (mut child, process) = stray(&bench.run);
    until("it bears its mark", async || {
        sweep::marked(&bench.run).len() == 1
    })
    .await;
    let pid = Pid::from_child(&child);
    kill_process(pid, rustix::process::Signal::STOP).expect("it runs");
    until("it is stopped", async || {
        process.is_stopped().expect("readable")
    })
    .await;

    let recycled = ProcessId {
        start: process.start + 1,
        ..process.clone()
    };
    assert!(matches!(
        signal::resume(&bench.run, "stray", &recycled).await,
        Reverted::Clean { .. }
    ));
    assert!(matches!(
        signal::resume("another", "stray", &process).await,
        Reverted::Foreign { .. }
    ));
    assert!(
        process.is_stopped().expect("readable"),
        "neither touched it"
    );
    assert!(matches!(
        signal::resume(&bench.run, "stray", &process).await,
        Reverted::Restored { .. }
    ));
    assert!(!process.is_stopped().expect("readable"));
    assert!(matches!(
        signal::resume(&bench.run, "stray", &process).await,
        Reverted::Clean { .. }
    ));

    child.kill().expect("it runs");
    until("it is a zombie", async || {
        !process.is_alive().expect("readable")
    })
    .await;
    assert!(matches!(
        signal::resume(&bench.run, "stray", &process).await,
        Reverted::Clean { .. }
    ));
    child.wait().expect("it ends");
}

/// One that speaks no HTTP: it takes connections a while after it began, and ends by its own signal.
#[tokio::test]
async fn a_program_without_http_is_ready_when_it_takes_connections_and_ends_by_its_signal() {
    const SERVER: &str = "import signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, lambda *_: (print('ended in order', flush=True), sys.exit(0)))
time.sleep(0.5)
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while True: server.accept()[0].close()";
    let bench = Bench::alone(|service| {
        service.command = ["python3", "-c", SERVER, "{port}"]
            .map(str::to_owned)
            .to_vec();
        service.ready.path = None;
        service.stop_signal = StopSignal::Int;
    });
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let exited = |seen: &Seen| matches!(seen, Seen::Exited { asked: true, .. });
    let target = life(&platform, "api-1").await;
    let hold = Act::Hold { target };
    let undo = platform.prepare(&hold).await.expect("an undo");
    platform.apply(&hold).await.expect("it is done");
    let ended = watcher.wait("api-1", exited).await;
    let Seen::Exited { status, .. } = ended.seen else {
        unreachable!("waited for")
    };
    assert_eq!(status, "exit status: 0");
    assert!(bench.log("api-1").contains("ended in order"));
    platform.undo(&undo).await;
    watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn a_log_is_cut_and_goes_on() {
    let bench = Bench::alone(|service| {
        service.command = sh(
            "cd {data}; test -e said || yes | head -c 80000000; touch said; exec {chaos} serve {port}",
        );
    });
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let path = bench.path().join("api-1.log");
    until("it is cut", async || {
        let length = std::fs::metadata(&path).expect("a log").len();
        (1..1 << 20).contains(&length)
    })
    .await;
    watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
    let target = life(&platform, "api-1").await;
    let kill = Act::Signal {
        target,
        signal: Signal::Kill,
    };
    platform.apply(&kill).await.expect("it is done");
    watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
    let log = bench.log("api-1");
    let mut lines = log.lines();
    let first = lines.next().expect("a line");
    assert!(first.starts_with("log cut at 64 MiB"), "{first}");
    assert_eq!(lines.next(), Some("y"), "what it said last is kept");
    let last = lines.last().expect("a line");
    assert!(last.ends_with("serves"), "the next life goes on: {last}");
    clean(&bench, &mut platform).await;
}
