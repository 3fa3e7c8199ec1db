//! Programs that overwrite the environment they were started with, and the mark in it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use chaos_plan::plan::Service;
use chaos_platform::local::process::ProcessId;
use chaos_platform::local::sweep;
use chaos_platform::{Act, Platform, Probe, Reverted, Seen, Signal};
use rustix::process::{Pid, kill_process};

use crate::bench::{Bench, program};
use crate::look::{Watcher, life, until};

fn erases(service: &mut Service) {
    for name in ["CHILD", "ERASE"] {
        service.env.insert(name.to_owned(), "1".to_owned());
    }
}

/// The child that the only instance said it started, once it has erased its mark.
async fn child(bench: &Bench) -> ProcessId {
    let log = bench.log("api-1");
    let pid = log.lines().find_map(|line| line.strip_prefix("child "));
    let child = ProcessId::of(pid.expect("a line").parse().expect("a pid")).expect("it runs");
    until("it has no mark", async || {
        !sweep::marked(&bench.run)
            .iter()
            .any(|(process, _)| *process == child)
    })
    .await;
    child
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
}

async fn clean(bench: &Bench, platform: &mut impl Platform) {
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_paused_program_without_its_mark_is_resumed() {
    let bench = Bench::alone(erases);
    let mut platform = bench.local();
    platform.deploy().await.expect("a deployment");
    let target = life(&platform, "api-1").await;
    let child = child(&bench).await;
    let names: Vec<String> = sweep::marked(&bench.run)
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["chaos-proxy"], "nothing else bears a mark");
    let stop = Act::Signal {
        target: target.clone(),
        signal: Signal::Stop,
    };
    let undo = platform.prepare(&stop).await.expect("an undo");
    platform.apply(&stop).await.expect("it is done");
    until("it is frozen", async || {
        let frozen = Probe::Frozen {
            target: target.clone(),
        };
        platform.probe(&frozen).await.expect("a reading").holds
    })
    .await;
    let undone = platform.undo(&undo).await;
    assert!(matches!(undone, Reverted::Restored { .. }), "{undone:?}");
    assert!(!child.is_stopped().expect("readable"));
    clean(&bench, &mut platform).await;
    assert!(!child.is_alive().expect("readable"));
}

#[tokio::test]
async fn children_without_a_mark_do_not_outlive_their_program() {
    let bench = Bench::alone(erases);
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let child = child(&bench).await;
    kill(
        platform.instances().await.expect("readable")[0]
            .pid
            .expect("it runs"),
    );
    watcher
        .wait("api-1", |seen| {
            matches!(seen, Seen::Started { incarnation: 2, .. })
        })
        .await;
    assert!(!child.is_alive().expect("readable"));
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn a_sweep_after_the_death_of_the_harness_ends_what_lost_its_mark() {
    let bench = Bench::alone(erases);
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
    let child = child(&bench).await;
    harness.kill().expect("it runs");
    harness.wait().expect("it ends");
    assert_eq!(up, "up\n");
    assert!(child.is_alive().expect("readable"), "nothing else ends it");
    let grace = Duration::from_secs(5);
    let left = sweep::sweep_with(&bench.run, &bench.work(), &[], grace).await;
    assert_eq!(left, Vec::<String>::new());
    let alive = child.is_alive().expect("readable");
    if alive {
        kill(child.pid);
    }
    assert!(!alive, "it was found");
}
