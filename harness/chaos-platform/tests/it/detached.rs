//! Launchers that start the program in a session of its own, outside the group of the instance.

use std::process::{Child, Command};

use chaos_platform::local::process::ProcessId;
use chaos_platform::local::{INSTANCE, LocalPlatform, RUN, signal, sweep};
use chaos_platform::{Act, InstanceRef, Platform, Probe, Reverted, Seen, Signal, undo};
use rustix::process::{Pid, kill_process};

use crate::bench::Bench;
use crate::look::{Watcher, life, until};

fn detached() -> Bench {
    Bench::alone(|service| {
        service.command = ["sh", "-c", "setsid {chaos} serve {port}; true"]
            .map(str::to_owned)
            .to_vec();
    })
}

/// The server, which leads a session of its own.
async fn server(bench: &Bench, platform: &LocalPlatform) -> ProcessId {
    let leader = platform.instances().await.expect("readable")[0]
        .pid
        .expect("it runs");
    let server = sweep::marked(&bench.run)
        .into_iter()
        .find(|(process, name)| name == "api-1" && process.pid != leader)
        .map(|(process, _)| process)
        .expect("a server");
    assert_eq!(field(&server, 5), server.pid.to_string(), "its own group");
    server
}

/// A field of its `stat`, counted from 1; its name holds no space.
fn field(process: &ProcessId, number: usize) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).expect("it lives");
    let field = stat.split(' ').nth(number - 1).expect("a field");
    field.to_owned()
}

fn send(process: &ProcessId, signal: rustix::process::Signal) {
    let pid = Pid::from_raw(i32::try_from(process.pid).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("it runs");
}

fn act(target: &InstanceRef, signal: Signal) -> Act {
    Act::Signal {
        target: target.clone(),
        signal,
    }
}

async fn holds(platform: &LocalPlatform, probe: &Probe) -> bool {
    platform.probe(probe).await.expect("a reading").holds
}

async fn clean(bench: &Bench, platform: &mut LocalPlatform) {
    assert_eq!(platform.teardown().await, Vec::<String>::new());
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pause_stops_it_and_the_undo_resumes_it() {
    let bench = detached();
    let mut platform = bench.local();
    platform.deploy().await.expect("a deployment");
    let target = life(&platform, "api-1").await;
    let server = server(&bench, &platform).await;
    let stop = act(&target, Signal::Stop);
    let undo = platform.prepare(&stop).await.expect("an undo");
    platform.apply(&stop).await.expect("it is done");
    let (frozen, thawed) = (
        Probe::Frozen {
            target: target.clone(),
        },
        Probe::Thawed { target },
    );
    until("it is frozen", async || holds(&platform, &frozen).await).await;
    assert_eq!(field(&server, 3), "T");

    send(&server, rustix::process::Signal::CONT);
    until("it runs", async || field(&server, 3) != "T").await;
    let reading = platform.probe(&frozen).await.expect("a reading");
    assert!(!reading.holds, "{reading:?}");
    assert!(reading.seen.contains(&server.to_string()), "{reading:?}");
    send(&server, rustix::process::Signal::STOP);
    until("it is frozen", async || holds(&platform, &frozen).await).await;

    // As the guardian does it: from the data alone.
    let undone = undo::revert(&undo).await;
    assert!(matches!(undone, Reverted::Restored { .. }), "{undone:?}");
    until("it sleeps", async || field(&server, 3) == "S").await;
    assert!(holds(&platform, &thawed).await);
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn a_kill_ends_it_before_the_next_life() {
    let bench = detached();
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let target = life(&platform, "api-1").await;
    let server_1 = server(&bench, &platform).await;
    let gone = Probe::Gone {
        target: target.clone(),
    };
    assert!(!holds(&platform, &gone).await);
    watcher.so_far();
    let kill = act(&target, Signal::Kill);
    platform.apply(&kill).await.expect("it is done");
    until("it is gone", async || holds(&platform, &gone).await).await;
    assert!(!server_1.is_alive().expect("readable"));
    watcher.wait("api-1", |seen| *seen == Seen::Ready).await;
    // What the next life detached is not taken for a rest of this one.
    let server_2 = server(&bench, &platform).await;
    assert!(server_2.is_alive().expect("readable"));
    assert!(holds(&platform, &gone).await);
    clean(&bench, &mut platform).await;
}

#[tokio::test]
async fn the_end_of_its_launcher_ends_it() {
    let bench = detached();
    let mut platform = bench.local();
    let mut watcher = Watcher::of(&mut platform);
    platform.deploy().await.expect("a deployment");
    let server = server(&bench, &platform).await;
    let leader = platform.instances().await.expect("readable")[0]
        .pid
        .expect("it runs");
    let leader = ProcessId::of(leader).expect("it runs");
    send(&leader, rustix::process::Signal::KILL);
    watcher
        .wait("api-1", |seen| {
            matches!(seen, Seen::Started { incarnation: 2, .. })
        })
        .await;
    assert!(!server.is_alive().expect("readable"));
    clean(&bench, &mut platform).await;
}

/// A process with the mark of an instance, in the group and session of the test.
fn marked(run: &str, instance: &str) -> (Child, ProcessId) {
    let mut command = Command::new("sleep");
    let command = command.arg("100").env(RUN, run).env(INSTANCE, instance);
    let child = command.spawn().expect("it starts");
    let process = ProcessId::of(child.id()).expect("it runs");
    (child, process)
}

#[tokio::test]
async fn an_undo_resumes_it_also_when_the_launcher_is_gone_and_nothing_else() {
    let bench = Bench::new();
    let (mut launcher, leader) = marked(&bench.run, "api-1");
    let children = [("api-1", "S"), ("api-2", "T")].map(|(name, expected)| {
        let (child, process) = marked(&bench.run, name);
        (child, process, expected)
    });
    for (_, process, _) in &children {
        send(process, rustix::process::Signal::STOP);
        until("it is stopped", async || field(process, 3) == "T").await;
    }
    launcher.kill().expect("it runs");
    launcher.wait().expect("it ends");
    let undone = signal::resume(&bench.run, "api-1", &leader).await;
    assert!(matches!(undone, Reverted::Restored { .. }), "{undone:?}");
    for (mut child, process, expected) in children {
        until("it is as expected", async || field(&process, 3) == expected).await;
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
    let again = signal::resume(&bench.run, "api-1", &leader).await;
    assert!(matches!(again, Reverted::Clean { .. }), "{again:?}");
}
