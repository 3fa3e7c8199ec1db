//! Whether a CPU quota held this process up: `cpu.stat` of its control groups.
//!
//! A quota of a group above holds us up as well, so every group from ours to the root is read;
//! version 2 (`throttled_usec`) and version 1 (`throttled_time`, nanoseconds).
//! Invariant: where no group tells of a quota it is `None`.

use std::fs;
use std::path::PathBuf;

use chaos_record::health::Throttled;

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 16;

/// The groups, and the last reading of them all.
#[derive(Debug)]
pub(super) struct Throttling {
    files: Vec<PathBuf>,
    last: Option<Throttled>,
}

impl Throttling {
    pub(super) fn open() -> Self {
        let files = files().unwrap_or_default();
        Self {
            last: read(&files),
            files,
        }
    }

    /// What was held up since the last call.
    pub(super) fn since_last(&mut self) -> Option<Throttled> {
        let now = read(&self.files)?;
        let last = self.last.replace(now)?;
        Some(Throttled {
            periods: now.periods.saturating_sub(last.periods),
            ns: now.ns.saturating_sub(last.ns),
        })
    }
}

/// The `cpu.stat` of our group and those above it.
fn files() -> Option<Vec<PathBuf>> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (mount, group) = place(&groups, &mounts)?;
    let own = PathBuf::from(mount.clone()).join(group.trim_start_matches('/'));
    let all = own
        .ancestors()
        .take(DEPTH_MAX)
        .take_while(|path| path.starts_with(&mount));
    let files = all.map(|path| path.join("cpu.stat"));
    Some(files.filter(|file| file.is_file()).collect())
}

/// Where the CPU controller is mounted, and our group below it.
fn place(groups: &str, mounts: &str) -> Option<(String, String)> {
    // `ID:controllers:path`; the unified hierarchy has no controllers there.
    let group = |wanted: &str| {
        let mut lines = groups.lines().map(|line| line.splitn(3, ':'));
        lines.find_map(|mut line| {
            let controllers = line.nth(1)?;
            let path = line.next()?;
            let is_wanted = controllers
                .split(',')
                .any(|controller| controller == wanted);
            is_wanted.then(|| path.to_owned())
        })
    };
    // `... mount-point options - type source options`.
    let mount = |kind: &str, option: &str| {
        mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut after = after.split(' ');
            let is_wanted = after.next() == Some(kind)
                && (option.is_empty() || after.nth(1)?.split(',').any(|found| found == option));
            is_wanted.then(|| before.split(' ').nth(4).map(str::to_owned))?
        })
    };
    let old = || Some((mount("cgroup", "cpu")?, group("cpu")?));
    old().or_else(|| Some((mount("cgroup2", "")?, group("")?)))
}

fn read(files: &[PathBuf]) -> Option<Throttled> {
    let each = files
        .iter()
        .filter_map(|file| parse(&fs::read_to_string(file).ok()?));
    each.reduce(|sum, more| Throttled {
        periods: sum.periods + more.periods,
        ns: sum.ns + more.ns,
    })
}

fn parse(text: &str) -> Option<Throttled> {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines
            .find(|(found, _)| *found == name)?
            .1
            .parse::<u64>()
            .ok()
    };
    let ns = field("throttled_usec")
        .map(|us| us * 1_000)
        .or_else(|| field("throttled_time"))?;
    Some(Throttled {
        periods: field("nr_throttled")?,
        ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let two = "usage_usec 9\nnr_periods 40\nnr_throttled 3\nthrottled_usec 250\n";
        let one = "nr_periods 40\nnr_throttled 3\nthrottled_time 250000\n";
        let expected = Throttled {
            periods: 3,
            ns: 250_000,
        };
        assert_eq!((parse(two), parse(one)), (Some(expected), Some(expected)));
        assert_eq!(
            parse("usage_usec 9\nuser_usec 3\n"),
            None,
            "the root has no quota"
        );
    }

    #[test]
    fn the_group_is_found_in_either_version() {
        let unified =
            "28 23 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let pair = |mount: &str, group: &str| Some((mount.to_owned(), group.to_owned()));
        assert_eq!(
            place("0::/user.slice/run.scope\n", unified),
            pair("/sys/fs/cgroup", "/user.slice/run.scope")
        );
        let both = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let groups = "5:devices:/\n1:cpuacct,cpu:/load\n0::/\n";
        assert_eq!(place(groups, both), pair("/sys/fs/cgroup/cpu", "/load"));
        assert_eq!(place("0::/\n", ""), None);
    }
}
