//! What else the machine did while something was measured.
//!
//! Invariant: what the kernel does not tell stays `None`; it is never taken for quiet.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::proc_files;

/// A run is disturbed when other programs use more than this share of a core.
const OTHERS_MAX: f64 = 0.05;
/// The same for what the host takes away.
const STOLEN_MAX: f64 = 0.02;

/// A look at the machine's clocks.
#[derive(Debug)]
pub(crate) struct Look {
    at: Instant,
    others: Duration,
    stolen: Duration,
    pressure: Option<Duration>,
}

/// The worst of several runs, each as a share of one core's time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Noise {
    pub runs: usize,
    /// Runs that were disturbed.
    pub disturbed: usize,
    pub others: f64,
    pub stolen: f64,
    /// Highest share of the time in which some task waited for a core, the measured ones among them.
    pub pressure: Option<f64>,
}

impl Look {
    pub(crate) fn now(ours: &[u32]) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            others: proc_files::cpu_time_of_others(ours)?,
            stolen: proc_files::stolen()?,
            pressure: proc_files::cpu_pressure(),
        })
    }

    /// What lies between this look and a `later` one.
    pub(crate) fn until(&self, later: &Self) -> Noise {
        let wall = later.at.duration_since(self.at).as_secs_f64().max(1e-9);
        let share = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() / wall;
        let others = share(self.others, later.others);
        let stolen = share(self.stolen, later.stolen);
        Noise {
            runs: 1,
            disturbed: usize::from(others > OTHERS_MAX || stolen > STOLEN_MAX),
            others,
            stolen,
            pressure: self.pressure.zip(later.pressure).map(|(a, b)| share(a, b)),
        }
    }
}

impl Noise {
    pub(crate) fn add(&mut self, run: &Self) {
        self.runs += run.runs;
        self.disturbed += run.disturbed;
        self.others = self.others.max(run.others);
        self.stolen = self.stolen.max(run.stolen);
        self.pressure = match (self.pressure, run.pressure) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        };
    }

    /// Whether the sitting can be believed, by what its own runs saw: nothing of what was before it counts.
    pub(crate) fn remark(&self) -> String {
        match (self.disturbed, self.runs) {
            (_, 0) => String::new(),
            (0, runs) => format!(" Other programs and the host disturbed none of the {runs} runs."),
            (disturbed, runs) => format!(
                "\n\n**The machine was not quiet: other programs or the host disturbed {disturbed} of {runs} runs. \
                 The notes tell which tables are to be taken again.**"
            ),
        }
    }

    /// The footnote of a table.
    pub(crate) fn footnote(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let pressure = self.pressure.map_or_else(
            || "no pressure figures here".to_owned(),
            |share| format!("CPU pressure up to {}", percent(share)),
        );
        let seen = format!(
            "Other programs used at most {} of a core, the host took at most {}; {pressure}.",
            percent(self.others),
            percent(self.stolen)
        );
        if self.disturbed == 0 {
            return seen;
        }
        format!(
            "**The machine was busy in {} of {} runs: take these figures again on a quiet one.** {seen}",
            self.disturbed, self.runs
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: Instant, others_ms: u64, stolen_ms: u64, pressure_ms: Option<u64>) -> Look {
        Look {
            at,
            others: Duration::from_millis(others_ms),
            stolen: Duration::from_millis(stolen_ms),
            pressure: pressure_ms.map(Duration::from_millis),
        }
    }

    #[test]
    fn the_worst_run_is_told_and_disturbed_ones_are_counted() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1);
        let mut all = Noise::default();
        all.add(&look(start, 100, 0, Some(0)).until(&look(end, 110, 0, Some(10))));
        assert!(!all.footnote().contains("busy"), "{}", all.footnote());
        assert_eq!(
            all.remark(),
            " Other programs and the host disturbed none of the 1 runs."
        );
        all.add(&look(start, 100, 0, Some(0)).until(&look(end, 600, 5, Some(300))));
        let text = all.footnote();
        assert!(text.contains("busy in 1 of 2 runs"), "{text}");
        let remark = all.remark();
        assert!(remark.contains("disturbed 1 of 2 runs"), "{remark}");
        assert!(
            text.contains("50.0 % of a core") && text.contains("30.0 %"),
            "{text}"
        );
    }

    #[test]
    fn absent_pressure_is_not_zero() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1);
        let noise = look(start, 0, 0, None).until(&look(end, 0, 0, None));
        assert!(noise.footnote().contains("no pressure figures here"));
    }

    #[test]
    fn what_the_host_takes_disturbs_too() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1);
        let noise = look(start, 0, 0, None).until(&look(end, 0, 40, None));
        assert_eq!(noise.disturbed, 1);
    }
}
