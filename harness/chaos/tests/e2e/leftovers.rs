//! Looking, from outside, for anything a run left on the machine.
//!
//! Other tests may have runs at the same time, so what is found must belong to the run of this place.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::program::{Place, eventually};

/// Limit for everything to be gone after a kill.
pub(crate) const CLEAN_WITHIN: Duration = Duration::from_secs(10);

/// Processes that bear the marker of a run of this place, or have its folder in their command line.
pub(crate) fn processes(place: &Place) -> Vec<String> {
    let folder = place.path().display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("procfs").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(entry.path().join(name)).unwrap_or_default())
                .replace('\0', " ")
        };
        let (environment, command) = (read("environ"), read("cmdline"));
        let ours = environment.contains("CHAOS_RUN=") && environment.contains(&folder)
            || command.contains(&folder) && command.contains("guardian");
        if pid != std::process::id() && ours && !is_zombie(&entry.path()) {
            found.push(format!("{pid}: {command}"));
        }
    }
    found
}

/// Deployments of this place that were left in the background.
pub(crate) fn supervisors(place: &Place) -> Vec<String> {
    let folder = place.path().display().to_string();
    let processes = fs::read_dir("/proc").expect("procfs").flatten();
    let ours = processes.filter_map(|entry| {
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let text = |name: &str| String::from_utf8_lossy(&read(name)).replace('\0', " ");
        let command = text("cmdline");
        (command.contains("--run-name") && text("environ").contains(&folder)).then_some(command)
    });
    ours.collect()
}

/// A process that has ended and waits for its parent to ask.
fn is_zombie(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// Ports of the run's instances, by its own record, that somebody still listens on who is not known to
/// belong to another test: such a one may have got the port since.
pub(crate) fn listening(place: &Place) -> Vec<u16> {
    let record = place
        .out()
        .and_then(|out| fs::read_to_string(out.join("record.jsonl")).ok())
        .unwrap_or_default();
    let addresses = record.split("\"address\":\"127.0.0.1:").skip(1);
    let used: BTreeSet<u16> = addresses
        .filter_map(|rest| rest.split('"').next()?.parse().ok())
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").expect("procfs");
    // Columns: slot, local address, remote address, state; 0A is LISTEN; the tenth is the socket's inode.
    let open = table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let port = u16::from_str_radix(columns.get(1)?.split_once(':')?.1, 16).ok()?;
        let left = *columns.get(3)? == "0A" && used.contains(&port);
        (left && !is_of_another_test(columns.get(9)?, place)).then_some(port)
    });
    open.collect()
}

/// Whether a socket is held by this process or by one that was started with another test's folders.
fn is_of_another_test(inode: &str, place: &Place) -> bool {
    let socket = format!("socket:[{inode}]");
    let holds = |process: &Path| {
        let files = fs::read_dir(process.join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|target| target.as_os_str() == socket.as_str())
    };
    let is_others = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        process.ends_with(std::process::id().to_string())
            || environment.contains("XDG_STATE_HOME=")
                && !environment.contains(&place.path().display().to_string())
    };
    let processes = fs::read_dir("/proc").expect("procfs").flatten();
    let mut holders = processes
        .map(|entry| entry.path())
        .filter(|path| holds(path));
    holders.next().is_some_and(|holder| is_others(&holder))
}

/// Folders of state that are still there.
pub(crate) fn state(place: &Place) -> Vec<String> {
    fs::read_dir(place.state())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .collect()
}

/// Everything of the run that is still on the machine.
pub(crate) fn all(place: &Place) -> Vec<String> {
    let mut left = processes(place);
    left.extend(
        listening(place)
            .into_iter()
            .map(|port| format!("port {port}")),
    );
    left.extend(state(place));
    left
}

/// Waits until nothing is left.
#[track_caller]
pub(crate) fn assert_clean(place: &Place, what: &str) {
    let mut left = Vec::new();
    let seen = std::panic::AssertUnwindSafe(|| {
        left = all(place);
        left.is_empty()
    });
    eventually(
        &format!("clean after {what}: {:?}", all(place)),
        CLEAN_WITHIN,
        seen.0,
    );
}
