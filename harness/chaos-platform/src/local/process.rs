//! Processes known by more than their number, and what `/proc` tells about them. Linux only.
//!
//! Invariant: "gone" is said only when `/proc` says so. A read that failed for another reason is an
//! error, never an absence.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Most bytes read of one file under `/proc`; the kernel's own limit on an environment is lower.
const MAX_READ: u64 = 8 << 20;

/// A process: the number alone may be used again, so its start time and the boot go with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// Clock ticks since boot at which it started (`/proc/PID/stat`, field 22).
    pub start: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}

impl ProcessId {
    /// The process that has this number now; an error of kind `NotFound` if there is none.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = stat(pid)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            pid,
            start: stat.start,
            boot: boot()?.to_owned(),
        })
    }

    /// Whether it still runs or is stopped; a zombie has ended.
    pub fn is_alive(&self) -> io::Result<bool> {
        Ok(self.stat()?.is_some_and(Stat::is_alive))
    }

    /// Whether it is stopped altogether: every thread of it.
    pub fn is_stopped(&self) -> io::Result<bool> {
        if self.stat()?.is_none() {
            return Ok(false);
        }
        let threads = match fs::read_dir(folder(self.pid).join("task")) {
            Ok(threads) => threads,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut any = false;
        for thread in threads {
            let thread = match thread {
                Ok(thread) => thread.path(),
                Err(error) if is_gone(&error) => return Ok(false),
                Err(error) => return Err(error),
            };
            let stat = read(thread.join("stat"))?;
            let Some(stat) = stat.and_then(|text| Stat::parse(&text)) else {
                continue;
            };
            if stat.is_alive() && stat.state != b'T' {
                return Ok(false);
            }
            any |= stat.state == b'T';
        }
        Ok(any)
    }

    /// Whether the machine has not been started again since.
    pub(crate) fn is_of_this_boot(&self) -> io::Result<bool> {
        Ok(boot()? == self.boot)
    }

    /// What `/proc` tells of it; `None` once it is gone, also if another has its number.
    pub(crate) fn stat(&self) -> io::Result<Option<Stat>> {
        if !self.is_of_this_boot()? {
            return Ok(None);
        }
        Ok(stat(self.pid)?.filter(|stat| stat.start == self.start))
    }

    /// The value of a variable in the environment it was started with; `None` also if it is gone.
    pub(crate) fn variable(&self, name: &str) -> io::Result<Option<String>> {
        let environment = read(folder(self.pid).join("environ"))?.unwrap_or_default();
        if self.stat()?.is_none() {
            return Ok(None);
        }
        let value = environment.split(|&byte| byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        });
        Ok(value)
    }
}

/// The fields of `/proc/PID/stat` that are needed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    state: u8,
    /// Its process group.
    pub(crate) group: u32,
    pub(crate) session: u32,
    threads: u64,
    start: u64,
    /// CPU time of all its threads and of the children it has waited for, clock ticks.
    pub(super) cpu: u64,
    /// Resident memory, pages.
    pub(super) resident: u64,
}

impl Stat {
    /// Whether it has not ended. A first thread may end before the others: the process lives on then.
    pub(crate) fn is_alive(self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x') || self.threads > 1
    }

    /// The name in field 2 may hold anything, also `)` and spaces, so fields are counted from its end.
    fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(&text[end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        // A process that is just being reaped is in group and session -1.
        let id = |text: &str| Some(u32::try_from(text.parse::<i64>().ok()?).unwrap_or(0));
        let count = |number: usize| field(number)?.parse::<u64>().ok();
        Some(Self {
            state: *field(3)?.as_bytes().first()?,
            group: id(field(5)?)?,
            session: id(field(6)?)?,
            threads: count(20)?,
            start: count(22)?,
            cpu: count(14)? + count(15)? + count(16)? + count(17)?,
            resident: count(24)?,
        })
    }
}

/// How many descriptors a process has open, and how many of them are sockets. Counts no further than
/// `most`.
pub(super) fn descriptors(pid: u32, most: u32) -> io::Result<(u32, u32)> {
    let (mut open, mut sockets) = (0, 0);
    let entries = match fs::read_dir(folder(pid).join("fd")) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok((0, 0)),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let link = match entry.and_then(|entry| fs::read_link(entry.path())) {
            Ok(link) => link,
            // Closed meanwhile, or the process has ended.
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        open += 1;
        sockets += u32::from(link.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        if open == most {
            break;
        }
    }
    Ok((open, sockets))
}

/// Every process there is now, own ones and others.
pub(crate) fn all() -> io::Result<Vec<(ProcessId, Stat)>> {
    let boot = boot()?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(stat) = stat(pid)? {
            let process = ProcessId {
                pid,
                start: stat.start,
                boot: boot.to_owned(),
            };
            found.push((process, stat));
        }
    }
    Ok(found)
}

/// The session of this process.
pub(crate) fn own_session() -> io::Result<u32> {
    let own = stat(std::process::id())?.ok_or(io::ErrorKind::NotFound)?;
    Ok(own.session)
}

fn stat(pid: u32) -> io::Result<Option<Stat>> {
    let Some(text) = read(folder(pid).join("stat"))? else {
        return Ok(None);
    };
    let stat = Stat::parse(&text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`/proc/{pid}/stat` is not as expected"),
        )
    })?;
    Ok(Some(stat))
}

fn boot() -> io::Result<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot);
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT.get_or_init(|| boot.trim().to_owned()))
}

fn folder(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// The content of a file of a process; `None` if the process is gone.
fn read(path: PathBuf) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let file = fs::File::open(path).and_then(|file| file.take(MAX_READ).read_to_end(&mut content));
    match file {
        Ok(_) => Ok(Some(content)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opening tells "no such file"; reading on after the process ended tells "no such process".
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_includes_children_waited_for_and_memory_is_in_pages() {
        let text = "9 (a) S 7 8 8 0 -1 4194560 1 0 0 0 1000 200 30 4 20 0 3 0 555 1000 77";
        let stat = Stat::parse(text.as_bytes()).expect("a stat");
        assert_eq!((stat.cpu, stat.resident), (1234, 77));
    }

    fn check(text: &str, expected: Option<(u8, u32, u64, u64, bool)>) {
        let parsed = Stat::parse(text.as_bytes());
        let got = parsed.map(|stat| {
            (
                stat.state,
                stat.group,
                stat.threads,
                stat.start,
                stat.is_alive(),
            )
        });
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn the_name_of_a_program_cannot_shift_the_fields() {
        let rest = "7 8 8 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 3 0 555 1000 100";
        check(&format!("9 (a) S {rest}"), Some((b'S', 8, 3, 555, true)));
        check(
            &format!("9 (a) S) Z 1) T {rest}"),
            Some((b'T', 8, 3, 555, true)),
        );
        check(
            &format!("9 (a) X {}", rest.replacen("7 8 8", "0 -1 -1", 1)),
            Some((b'X', 0, 3, 555, true)),
        );
        check("9 (a) S 7", None);
        check("", None);
    }

    #[test]
    fn a_zombie_has_ended_unless_other_threads_go_on() {
        let rest = |threads: u32| format!("7 8 8 0 -1 0 1 0 0 0 1 2 0 0 20 0 {threads} 0 5 0 0");
        check(
            &format!("9 (a) Z {}", rest(1)),
            Some((b'Z', 8, 1, 5, false)),
        );
        check(&format!("9 (a) Z {}", rest(4)), Some((b'Z', 8, 4, 5, true)));
    }

    #[test]
    fn this_process_is_found_and_another_with_its_number_is_not_it() {
        let own = ProcessId::of(std::process::id()).expect("it runs");
        assert!(own.is_alive().expect("readable"));
        assert!(!own.is_stopped().expect("readable"));
        let all = all().expect("readable");
        assert!(all.iter().any(|(process, _)| *process == own));
        assert!(own.variable("PATH").expect("readable").is_some());
        assert_eq!(own.variable("PAT").expect("readable"), None);
        for other in [
            ProcessId {
                start: own.start + 1,
                ..own.clone()
            },
            ProcessId {
                boot: "another boot".to_owned(),
                ..own.clone()
            },
        ] {
            assert!(!other.is_alive().expect("readable"));
            assert_eq!(other.variable("PATH").expect("readable"), None);
        }
    }

    #[test]
    fn a_number_without_a_process_is_not_found() {
        let error = ProcessId::of(u32::MAX).expect_err("no such process");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
