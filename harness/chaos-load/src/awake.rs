//! Keeps the cores of this machine from sleeping. Linux only: this file holds `/dev/cpu_dma_latency`.
//!
//! A core that sleeps takes tens of microseconds to wake, in a virtual machine up to milliseconds, since
//! its host has lent it to others. Who measures microseconds measures that. The kernel takes a wish for
//! the longest time that waking may take, which holds as long as the file is open: it
//! goes with the process, however that ends. cyclictest does the same.
//! Source: <https://docs.kernel.org/power/pm_qos_interface.html>.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};

const WISHES: &str = "/dev/cpu_dma_latency";
/// Names the driver that puts cores to sleep, or says `none`.
const DRIVER: &str = "/sys/devices/system/cpu/cpuidle/current_driver";
/// Longest time that waking may take, in microseconds: no time at all, so cores wait awake.
const NO_TIME: i32 = 0;

/// All cores stay awake until this is dropped.
#[derive(Debug)]
pub struct KeptAwake {
    _wish: File,
}

/// Why cores cannot be kept awake.
#[derive(Debug, thiserror::Error)]
pub enum AwakeError {
    /// The kernel would take the wish and change nothing.
    #[error("this machine's kernel has no driver to ask: `{DRIVER}` says `none`")]
    NoDriver,
    /// The file is not there, or not ours to write.
    #[error("write `{WISHES}`: {0}")]
    Refused(#[from] io::Error),
}

/// Keeps every core awake, those that other programs use too. It costs the power of a busy machine.
///
/// # Errors
/// There is no driver that would heed the wish, or it is not ours to make.
pub fn keep_awake() -> Result<KeptAwake, AwakeError> {
    let driver = fs::read_to_string(DRIVER).unwrap_or_default();
    if driver.trim() == "none" {
        return Err(AwakeError::NoDriver);
    }
    let mut wish = OpenOptions::new().write(true).open(WISHES)?;
    wish.write_all(&NO_TIME.to_ne_bytes())?;
    Ok(KeptAwake { _wish: wish })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// The shortest of all wishes, as the kernel tells it.
    fn longest_wake_us() -> i32 {
        let mut wish = [0; 4];
        let mut file = File::open(WISHES).expect("whoever writes it can read it");
        file.read_exact(&mut wish).expect("four bytes");
        i32::from_ne_bytes(wish)
    }

    #[test]
    fn the_kernel_has_the_wish_as_long_as_it_is_held() {
        let kept = match keep_awake() {
            Ok(kept) => kept,
            Err(why) => {
                eprintln!("skipped: cores cannot be kept awake here: {why}; run as root on Linux");
                return;
            }
        };
        assert_eq!(longest_wake_us(), 0);
        drop(kept);
        assert!(longest_wake_us() > 0);
    }
}
