//! What instances use, read from `/proc`. Linux only.
//!
//! Counted is the whole process group of an instance, not only the program itself, and what left that
//! group and still bears its mark. CPU time is that of
//! all its processes and of the children they have waited for, in clock ticks (10 ms). It falls only if
//! a child ends that its parent has left to others, and for one look if a child ends meanwhile. Memory is the sum of resident pages, so pages shared
//! by processes of one instance count more than once. Connections are open sockets, which is one look
//! at each descriptor: listening and local ones count too, which matters little for a trend.
//! Invariant: reads only, off the threads of the runtime. What cannot be read is left out, not 0.

use std::io;

use rustix::param::{clock_ticks_per_second, page_size};
use tokio::task::spawn_blocking;

use super::LocalPlatform;
use super::family::Family;
use super::process::{self, ProcessId, Stat};
use crate::act::InstanceRef;
use crate::platform::InstanceUse;

/// Descriptors of one process beyond which they are not counted.
const MOST: u32 = 100_000;

impl LocalPlatform {
    pub(super) async fn look_at_usage(&self) -> Vec<InstanceUse> {
        let living = self.members.iter().filter_map(|member| {
            // The life and its process from one look, so that they belong together.
            let status = member.status.borrow();
            let target = InstanceRef {
                service: member.service.clone(),
                instance: member.instance.clone(),
                incarnation: status.incarnation,
            };
            Some((target, status.process.clone()?))
        });
        let living: Vec<(InstanceRef, ProcessId)> = living.collect();
        let run = self.shared.config.run.clone();
        let looked = spawn_blocking(move || look(&run, living)).await;
        looked.unwrap_or_else(|source| {
            tracing::error!(%source, "failed to look at what instances use");
            Vec::new()
        })
    }
}

fn look(run: &str, living: Vec<(InstanceRef, ProcessId)>) -> Vec<InstanceUse> {
    let all = match process::all() {
        Ok(all) => all,
        Err(source) => {
            tracing::debug!(%source, "failed to read what instances use");
            return Vec::new();
        }
    };
    let used = living.into_iter().filter_map(|(target, leader)| {
        let family = Family {
            run,
            instance: &target.instance,
            leader: &leader,
            until: None,
        };
        used(family, &target, &all).unwrap_or_else(|source| {
            tracing::debug!(%source, "failed to read what {leader} uses");
            None
        })
    });
    used.collect()
}

/// `None` if the leader has ended: its number no longer says whose group it is.
fn used(
    family: Family<'_>,
    target: &InstanceRef,
    all: &[(ProcessId, Stat)],
) -> io::Result<Option<InstanceUse>> {
    let leader = family.leader;
    let lives = |(process, stat): &(ProcessId, Stat)| process == leader && stat.is_alive();
    if !all.iter().any(lives) {
        return Ok(None);
    }
    let (mut ticks, mut pages, mut descriptors, mut connections) = (0, 0, 0, 0);
    for (process, stat) in all {
        if process != leader && stat.group != leader.pid && !family.is_outside(process, stat)? {
            continue;
        }
        // Of one that has ended and was not waited for yet, only its CPU time is left.
        ticks += stat.cpu;
        pages += stat.resident;
        if stat.is_alive() {
            let (open, sockets) = process::descriptors(process.pid, MOST)?;
            descriptors += open;
            connections += sockets;
        }
    }
    Ok(Some(InstanceUse {
        service: target.service.clone(),
        instance: target.instance.clone(),
        incarnation: target.incarnation,
        cpu_ns: ticks * (1_000_000_000 / clock_ticks_per_second()),
        memory: pages * page_size() as u64,
        descriptors,
        connections,
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use super::super::mark::{INSTANCE, RUN};
    use super::*;

    const MS: u64 = 1_000_000;
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A shell in a group; a test that fails must not leave it running.
    struct Shell(Child);

    impl Shell {
        /// In the group of this number; 0: its own.
        fn start(script: &str, group: u32) -> (Self, ProcessId) {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command.process_group(group.cast_signed());
            let shell = Self(command.spawn().expect("it starts"));
            let process = ProcessId::of(shell.0.id()).expect("it runs");
            (shell, process)
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            self.0.kill().expect("ours");
            self.0.wait().expect("it ends");
        }
    }

    fn until(mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "it takes too long");
            std::thread::yield_now();
        }
    }

    /// Until it has become `sleep`.
    fn until_sleeps(pid: u32) {
        let name = format!("/proc/{pid}/comm");
        until(|| std::fs::read_to_string(&name).expect("it lives") == "sleep\n");
    }

    fn used_by(leader: &ProcessId) -> Option<InstanceUse> {
        let target = InstanceRef {
            service: "api".to_owned(),
            instance: "api-1".to_owned(),
            incarnation: 1,
        };
        look("r1", vec![(target, leader.clone())]).pop()
    }

    #[test]
    fn the_group_counts_as_long_as_its_leader_lives() {
        let (first, leader) = Shell::start("exec sleep 100", 0);
        let alone = used_by(&leader).expect("it lives");
        let (_member, _) = Shell::start("while :; do :; done", leader.pid);
        let (_stranger, _) = Shell::start("while :; do :; done", 0);
        let mut both = alone.clone();
        until(|| {
            both = used_by(&leader).expect("it lives");
            both.cpu_ns >= alone.cpu_ns + 100 * MS
        });
        assert!(both.memory > alone.memory, "{both:?} {alone:?}");
        assert!(both.descriptors > alone.descriptors, "{both:?} {alone:?}");
        drop(first);
        assert_eq!(used_by(&leader), None);
    }

    #[test]
    fn what_left_the_group_counts_by_its_mark() {
        let (_first, leader) = Shell::start("exec sleep 100", 0);
        until_sleeps(leader.pid);
        let marked = |instance: &str| {
            let mut command = Command::new("sh");
            // Enough descriptors to be told from the one more of a program that loads its libraries.
            let open = "exec 3</dev/null 4<&3 5<&3 6<&3 7<&3 8<&3 9<&3; exec sleep 100";
            command.args(["-c", open]).process_group(0);
            command.env(RUN, "r1").env(INSTANCE, instance);
            let shell = Shell(command.spawn().expect("it starts"));
            until_sleeps(shell.0.id());
            shell
        };
        let descriptors = || used_by(&leader).expect("it lives").descriptors;
        let alone = descriptors();
        let _other = marked("api-2");
        let with_other = descriptors();
        assert!(with_other < alone + 4, "{alone} {with_other}");
        let _outside = marked("api-1");
        let with_outside = descriptors();
        assert!(with_outside > alone + 4, "{alone} {with_outside}");
    }

    #[test]
    fn cpu_time_of_a_child_that_was_waited_for_stays() {
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let (_shell, leader) = Shell::start(&format!("({busy}); exec sleep 100"), 0);
        until_sleeps(leader.pid);
        let used = used_by(&leader).expect("it lives");
        assert!(used.cpu_ns >= 50 * MS, "{used:?}");
    }

    #[test]
    fn own_descriptors_and_sockets_are_counted() {
        let own = ProcessId::of(std::process::id()).expect("it runs");
        let before = process::descriptors(own.pid, MOST).expect("readable");
        let sockets: Vec<_> = (0..200)
            .map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket"))
            .collect();
        let with = process::descriptors(own.pid, MOST).expect("readable");
        drop(sockets);
        // Other tests of this process open and close some meanwhile.
        assert!(with.0 >= before.0 + 150, "{before:?} {with:?}");
        assert!(with.1 >= before.1 + 150, "{before:?} {with:?}");
        assert_eq!(process::descriptors(own.pid, 3).expect("readable").0, 3);
        assert_eq!(
            process::descriptors(u32::MAX, MOST).expect("nobody"),
            (0, 0)
        );
    }
}
