//! All processes of one life of an instance, also those that left its process group.
//!
//! A launcher may give the program a session of its own (`setsid`), which takes it out of the group of
//! the leader, while it still bears the mark of the run and of the instance. What follows is found by
//! one pass over `/proc`, in which only the environments of processes younger than the leader are read.
//! Invariant: outside the group, only what bears this very mark and began during this life belongs to
//! it. What left the group and erased its mark as well is not found.

use std::io;

use super::mark;
use super::process::{self, ProcessId, Stat};

/// Whose processes are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family<'a> {
    pub(crate) run: &'a str,
    pub(crate) instance: &'a str,
    /// The process that the life began with.
    pub(crate) leader: &'a ProcessId,
    /// When the next life began, clock ticks since boot; `None` if there is none.
    pub(crate) until: Option<u64>,
}

impl Family<'_> {
    /// All that have not ended, except the leader: the rest of its group, while its number says whose
    /// that is, and those outside.
    pub(crate) fn others(&self) -> io::Result<Vec<ProcessId>> {
        let all = process::all()?;
        // Looked up last: if it is still there, the group was its own during the pass.
        let leads = self
            .leader
            .stat()?
            .is_some_and(|stat| stat.group == self.leader.pid);
        let mut others = Vec::new();
        for (process, stat) in all {
            if process == *self.leader || !stat.is_alive() {
                continue;
            }
            let in_group = leads && stat.group == self.leader.pid;
            if in_group || self.is_outside(&process, &stat)? {
                others.push(process);
            }
        }
        Ok(others)
    }

    /// Those outside the group that have not ended, with what is known of them.
    pub(crate) fn outside(&self) -> io::Result<Vec<(ProcessId, Stat)>> {
        let mut outside = Vec::new();
        for (process, stat) in process::all()? {
            if self.is_outside(&process, &stat)? {
                outside.push((process, stat));
            }
        }
        Ok(outside)
    }

    /// Those outside the group once the leader is gone, for whoever does not know whether another life
    /// has begun. A life begins with a leader of a group in the session of the harness: what is as
    /// old as such a process or younger is left out.
    pub(crate) fn orphans(&self) -> io::Result<Vec<ProcessId>> {
        let outside = self.outside()?;
        let begins = |(process, stat): &(ProcessId, Stat)| {
            (stat.group == process.pid && stat.session != process.pid).then_some(process.start)
        };
        let next = outside.iter().filter_map(begins).min().unwrap_or(u64::MAX);
        let orphans = outside.into_iter().map(|(process, _)| process);
        Ok(orphans.filter(|process| process.start < next).collect())
    }

    /// Whether it belongs to this life, has not ended and is outside the group.
    pub(crate) fn is_outside(&self, process: &ProcessId, stat: &Stat) -> io::Result<bool> {
        let in_time = process.boot == self.leader.boot
            && process.start >= self.leader.start
            && self.until.is_none_or(|until| process.start < until);
        if !in_time
            || !stat.is_alive()
            || stat.group == self.leader.pid
            || process.pid == std::process::id()
        {
            return Ok(false);
        }
        Ok(mark::instance(process, self.run)?.is_some_and(|name| name == self.instance))
    }
}
