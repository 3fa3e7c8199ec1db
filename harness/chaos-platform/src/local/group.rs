//! The process groups of the instances, and the list of them in the work folder.
//!
//! Each instance is started as the leader of a group. A program may lose its mark, and its leader may
//! end before its children: the group still tells whose they are, also to a guardian or a later
//! process, by one small file an instance under `groups/`.
//! Invariant: the number of a group stays taken as long as it has a member. A group whose number
//! another process bears by now is therefore empty, and nobody in it is taken for ours.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mark::{self, Mark};
use super::process::{self, ProcessId};

/// Folder of the list in the work folder.
const FOLDER: &str = "groups";
/// Most bytes of one file of the list.
const MAX_READ: u64 = 4096;

/// A group of processes that was started by a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    leader: ProcessId,
    /// Session of all its members: that of the harness.
    session: u32,
}

impl Group {
    /// The group that a child of this process leads, or has led.
    pub(crate) fn led_by(leader: &ProcessId) -> io::Result<Self> {
        Ok(Self {
            leader: leader.clone(),
            session: process::own_session()?,
        })
    }

    /// The leader and the members that have not ended, except what bears the mark of another run.
    pub(crate) fn members(&self, run: &str) -> io::Result<Vec<ProcessId>> {
        let mut members = Vec::new();
        if !self.is_ours()? {
            return Ok(members);
        }
        for (process, stat) in process::all()? {
            let in_group = stat.group == self.leader.pid
                && stat.session == self.session
                && process.start >= self.leader.start;
            let ours = (in_group || process == self.leader) && stat.is_alive();
            if ours && !matches!(mark::look(&process, run)?, Mark::Other(_)) {
                members.push(process);
            }
        }
        Ok(members)
    }

    /// False once another process bears the number of the leader, or after a reboot.
    fn is_ours(&self) -> io::Result<bool> {
        match ProcessId::of(self.leader.pid) {
            Ok(now) => Ok(now == self.leader),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.leader.is_of_this_boot(),
            Err(error) => Err(error),
        }
    }
}

/// Lists the group of the present life of an instance, instead of that of the life before.
pub(super) fn list(work: &Path, instance: &str, group: &Group) -> io::Result<()> {
    let path = path(work, instance);
    fs::create_dir_all(work.join(FOLDER))?;
    // Renamed into place, so that whoever reads it after a crash finds a whole one.
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec(group)?)?;
    fs::rename(new, path)
}

/// Takes the group of an instance off the list, once it is known to be empty.
pub(super) fn unlist(work: &Path, instance: &str) -> io::Result<()> {
    match fs::remove_file(path(work, instance)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// All that is listed, with the names of the instances; nothing if there is no work folder.
pub(super) fn listed(work: &Path) -> io::Result<Vec<(Group, String)>> {
    let entries = match fs::read_dir(work.join(FOLDER)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut groups = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        if let Some(group) = read(&path)? {
            let instance = path.file_stem().unwrap_or_default().to_string_lossy();
            groups.push((group, instance.into_owned()));
        }
    }
    Ok(groups)
}

/// `None` if it was taken off the list meanwhile.
fn read(path: &Path) -> io::Result<Option<Group>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MAX_READ).read_to_end(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

fn path(work: &Path, instance: &str) -> PathBuf {
    work.join(FOLDER).join(format!("{instance}.json"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use super::*;

    /// A process without an environment, or with the mark of a run, in a group (0: its own).
    fn start(run: Option<&str>, group: u32) -> (Child, ProcessId) {
        let mut command = Command::new("sleep");
        command.arg("100").env_clear();
        command.process_group(group.cast_signed());
        command.envs(run.map(|run| (mark::RUN, run)));
        let child = command.spawn().expect("it starts");
        let process = ProcessId::of(child.id()).expect("it runs");
        (child, process)
    }

    fn end(children: impl IntoIterator<Item = Child>) {
        for mut child in children {
            child.kill().expect("ours");
            child.wait().expect("it ends");
        }
    }

    fn check(group: &Group, mut expected: Vec<ProcessId>) {
        let mut members = group.members("r1").expect("readable");
        members.sort_by_key(|process| process.pid);
        expected.sort_by_key(|process| process.pid);
        assert_eq!(members, expected);
    }

    #[test]
    fn members_are_ours_unless_they_bear_another_mark() {
        let (mut first, leader) = start(Some("r1"), 0);
        let (second, absent) = start(None, leader.pid);
        let (third, other) = start(Some("r2"), leader.pid);
        let (fourth, outside) = start(Some("r1"), 0);
        let group = Group::led_by(&leader).expect("a session");
        check(&group, vec![leader.clone(), absent.clone()]);

        first.kill().expect("it runs");
        first.wait().expect("it ends");
        check(&group, vec![absent]);
        for process in [other, outside] {
            assert!(process.is_alive().expect("readable"));
        }
        end([second, third, fourth]);
        check(&group, Vec::new());
    }

    #[test]
    fn a_number_that_is_used_again_is_nobody_of_ours() {
        let (child, leader) = start(None, 0);
        let (member, _) = start(None, leader.pid);
        let group = Group::led_by(&leader).expect("a session");
        let earlier = ProcessId {
            start: leader.start - 1,
            ..leader.clone()
        };
        check(&Group::led_by(&earlier).expect("a session"), Vec::new());
        let elsewhere = Group {
            session: group.session + 1,
            leader: leader.clone(),
        };
        check(&elsewhere, vec![leader.clone()]);
        let before_a_reboot = ProcessId {
            boot: "another boot".to_owned(),
            ..leader.clone()
        };
        let before_a_reboot = Group::led_by(&before_a_reboot).expect("a session");
        check(&before_a_reboot, Vec::new());
        end([child]);
        check(&before_a_reboot, Vec::new());
        check(&elsewhere, Vec::new());
        end([member]);
    }

    #[test]
    fn the_list_holds_the_present_life_of_each_instance() {
        let work = tempfile::tempdir().expect("a folder");
        assert_eq!(listed(work.path()).expect("readable"), []);
        let own = ProcessId::of(std::process::id()).expect("it runs");
        let group = Group::led_by(&own).expect("a session");
        let before = Group {
            session: 0,
            ..group.clone()
        };
        for group in [&before, &group] {
            list(work.path(), "api-1", group).expect("room");
        }
        let expected = vec![(group, "api-1".to_owned())];
        assert_eq!(listed(work.path()).expect("readable"), expected);
        for _ in 0..2 {
            unlist(work.path(), "api-1").expect("its folder");
        }
        assert_eq!(listed(work.path()).expect("readable"), []);
        fs::write(path(work.path(), "api-1"), "{").expect("room");
        listed(work.path()).expect_err("what cannot be read is not nothing");
    }
}
