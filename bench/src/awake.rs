//! Keeps the cores from sleeping, for everybody who is measured meanwhile.
//!
//! Invariant: the kernel takes the wish back when the file is closed, however this process ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};

/// The longest time in microseconds that waking a core may take. See the kernel's `pm_qos_interface`.
const WISHES: &str = "/dev/cpu_dma_latency";
const DRIVER: &str = "/sys/devices/system/cpu/cpuidle/current_driver";

/// All cores are awake until this is dropped.
#[derive(Debug)]
pub(crate) struct Awake(#[expect(dead_code, reason = "only held")] File);

/// Fails where this is not ours to do, and where the kernel has no driver that would heed it.
pub(crate) fn keep() -> io::Result<Awake> {
    if fs::read_to_string(DRIVER)?.trim() == "none" {
        return Err(io::Error::other("the kernel has no idle driver"));
    }
    let mut file = OpenOptions::new().write(true).open(WISHES)?;
    file.write_all(&0_i32.to_ne_bytes())?;
    Ok(Awake(file))
}
