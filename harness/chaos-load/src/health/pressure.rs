//! Whether tasks of the machine wanted a core and had none: `/proc/pressure/cpu`, "some", total.
//!
//! Invariant: without the file (kernel before 4.20, or `psi=0`) it is `None`.

use std::fs;

const PATH: &str = "/proc/pressure/cpu";

/// The last reading.
#[derive(Debug)]
pub(super) struct Pressure {
    last_us: Option<u64>,
}

impl Pressure {
    pub(super) fn open() -> Self {
        Self { last_us: read() }
    }

    /// Nanoseconds since the last call in which some task had no core.
    pub(super) fn since_last(&mut self) -> Option<u64> {
        let now_us = read()?;
        let last_us = self.last_us.replace(now_us)?;
        Some(now_us.saturating_sub(last_us) * 1_000)
    }
}

fn read() -> Option<u64> {
    parse(&fs::read_to_string(PATH).ok()?)
}

fn parse(text: &str) -> Option<u64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split_whitespace()
        .find_map(|field| field.strip_prefix("total="))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_the_kernel_writes() {
        let text = "some avg10=5.98 avg60=19.44 avg300=54.55 total=6849727335\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(parse(text), Some(6_849_727_335));
        assert_eq!(parse("full avg10=0.00 total=3\n"), None);
    }
}
