//! What the scheduler gave a thread: `/proc/self/task/TID/schedstat`.
//!
//! Its first two numbers are nanoseconds on a core and nanoseconds runnable without one, a CPU quota
//! included (Linux, Documentation/scheduler/sched-stats.rst).
//! Invariant: a thread that is gone or a kernel without the file is `None`.

use std::fs;

/// Nanoseconds between two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) cpu_ns: u64,
    pub(super) waiting_ns: u64,
}

/// The last reading of one thread.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    last: Used,
}

impl Schedule {
    /// What `thread` got since the last call; the first counts from its start.
    pub(super) fn since_last(&mut self, thread: Option<i32>) -> Option<Used> {
        let path = format!("/proc/self/task/{}/schedstat", thread?);
        let now = parse(&fs::read_to_string(path).ok()?)?;
        let last = std::mem::replace(&mut self.last, now);
        Some(Used {
            cpu_ns: now.cpu_ns.saturating_sub(last.cpu_ns),
            waiting_ns: now.waiting_ns.saturating_sub(last.waiting_ns),
        })
    }
}

fn parse(text: &str) -> Option<Used> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (cpu_ns, waiting_ns, slices) = (
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    );
    // A kernel that keeps no account writes three zeros.
    (slices > 0_u64).then_some(Used { cpu_ns, waiting_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_the_kernel_writes() {
        let used = Used {
            cpu_ns: 41,
            waiting_ns: 7,
        };
        assert_eq!(parse("41 7 3\n"), Some(used));
        assert_eq!(parse("0 0 0\n"), None);
        assert_eq!(parse("41 7\n"), None);
        assert_eq!(Schedule::default().since_last(None), None);
    }

    #[test]
    fn a_thread_that_works_is_seen_to_work() {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let mut schedule = Schedule::default();
        if schedule.since_last(Some(thread)).is_none() {
            // A kernel without schedstats: there is nothing to be seen.
            return;
        }
        let until = crate::clock::thread_cpu_ns() + 20_000_000;
        while crate::clock::thread_cpu_ns() < until {}
        let used = schedule
            .since_last(Some(thread))
            .expect("it was there before");
        assert!(used.cpu_ns >= 15_000_000, "{used:?}");
    }
}
