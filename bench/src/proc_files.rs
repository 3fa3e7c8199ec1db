//! What the kernel tells about processes and the machine.
//!
//! Invariant: reads only, and what is not there is an error or `None`, never 0.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks of `/proc/PID/stat` a second; Linux has shown 100 to programs on every architecture for decades (`proc(5)`).
const TICKS_A_SECOND: u64 = 100;

/// User and system time of a process, all its threads, also when it is a zombie.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))?;
    let [user, system, ..] =
        times(&text).with_context(|| format!("`{path}` is not as expected"))?;
    Ok(ticks(user + system))
}

/// The same of every process but those listed, with that of their reaped children, so that nothing is lost when one ends.
pub(crate) fn cpu_time_of_others(ours: &[u32]) -> Result<Duration> {
    let mut sum = 0;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between the two reads.
        if !ours.contains(&pid)
            && let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat"))
        {
            sum += times(&text).map_or(0, |times| times.iter().sum());
        }
    }
    Ok(ticks(sum))
}

/// Highest resident memory so far, in bytes (`VmHWM`).
pub(crate) fn memory_peak(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    kilobytes(&text, "VmHWM:").map(|value| value * 1024)
}

/// TCP sockets in use in this network namespace: both ends of a connection over loopback.
pub(crate) fn tcp_sockets() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("TCP: inuse "))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Time that a host took away from this virtual machine, all cores.
pub(crate) fn stolen() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let steal = line.split_ascii_whitespace().nth(8);
    Ok(ticks(steal.and_then(|word| word.parse().ok()).unwrap_or(0)))
}

/// Time during which some task waited for a core; `None` where the kernel does not count it.
pub(crate) fn cpu_pressure() -> Option<Duration> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    let total = text.lines().next()?.rsplit_once("total=")?.1;
    Some(Duration::from_micros(total.trim().parse().ok()?))
}

/// Model name of the first core.
pub(crate) fn cpu_model() -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/cpuinfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// User, system, and those of reaped children, in ticks: fields 14 to 17.
fn times(stat: &str) -> Option<[u64; 4]> {
    // The name in brackets may hold anything, so count from the last bracket: the state is field 3.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse().ok();
    Some([next()?, next()?, next()?, next()?])
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 1000 / TICKS_A_SECOND)
}

fn kilobytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_hostile_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 7 8 9 10 20 0 1 0 5 6 7";
        assert_eq!(times(stat), Some([7, 8, 9, 10]));
        assert_eq!(times("42 (cut"), None);
    }

    #[test]
    fn peak_memory_is_read_by_its_key() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t  512 kB\n";
        assert_eq!(kilobytes(status, "VmHWM:"), Some(512));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_is_seen_by_the_kernel() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_ok());
        assert!(memory_peak(pid).is_some_and(|bytes| bytes > 1 << 16));
        assert!(tcp_sockets().is_some());
        assert!(cpu_time_of_others(&[pid]).is_ok());
    }
}
