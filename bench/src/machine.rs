//! Which machine this is, and which of its cores do what.
//!
//! Invariant: server and generator never share a core; a machine that has only one is refused.

use anyhow::{Result, bail};
use rustix::system::uname;
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::proc_files;

/// The two cores that a sitting uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cores {
    pub generator: usize,
    pub server: usize,
}

impl Cores {
    /// The first two that this process may use.
    pub(crate) fn of_this_process() -> Result<Self> {
        let allowed = sched_getaffinity(None).map_err(std::io::Error::from)?;
        Self::choose(&usable(&allowed))
    }

    fn choose(usable: &[usize]) -> Result<Self> {
        match usable {
            [generator, server, ..] => Ok(Self {
                generator: *generator,
                server: *server,
            }),
            few => bail!(
                "server and generator need a core each, and this process may use {}: \
                 run it on a machine with two cores, or with a wider cpuset",
                few.len()
            ),
        }
    }
}

fn usable(allowed: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU)
        .filter(|core| allowed.is_set(*core))
        .collect()
}

/// The class of machine in one line: processor, cores, kernel.
pub(crate) fn class() -> String {
    let model = proc_files::cpu_model().unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let system = uname();
    let virtual_machine = if is_virtual() {
        ", virtual machine"
    } else {
        ""
    };
    format!(
        "{model}, {cores} cores{virtual_machine}, {} {} {}",
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
    )
}

fn is_virtual() -> bool {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    flags
        .lines()
        .any(|line| line.starts_with("flags") && line.contains(" hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_usable_cores_are_taken_whatever_their_numbers() {
        let cores = Cores::choose(&[3, 6, 7]).unwrap();
        let expected = Cores {
            generator: 3,
            server: 6,
        };
        assert_eq!(cores, expected);
    }

    #[test]
    fn one_core_is_refused_with_a_way_out() {
        let error = Cores::choose(&[0]).unwrap_err().to_string();
        assert!(error.contains("may use 1: run it on"), "{error}");
    }
}
