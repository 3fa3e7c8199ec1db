//! The search for the breakpoint: what is asked before the run, and what the run decides on the way.
//!
//! Invariant: before the run everything is bounded: rates, number of probes, length. What the run
//! decides is a list of segments of constant rate, each begun where the one before it ends, so that the
//! schedule is in closed form again as soon as the list is known.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::load::{Level, Stage};
use crate::units::{self, Rate, Share};

/// Raises the rate until a claim breaks, then narrows down. It follows the last stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    pub name: String,
    /// End of the last stage.
    #[serde(with = "units::duration_text")]
    pub start: Duration,
    /// The first rate that is tried.
    pub from: Rate,
    /// The highest rate that is tried.
    pub to: Rate,
    /// How long a probe is judged.
    #[serde(with = "units::duration_text")]
    pub step: Duration,
    /// What a probe offers before that: not judged.
    #[serde(with = "units::duration_text")]
    pub settle: Duration,
    /// What the rate is multiplied by while every claim holds.
    pub factor: f64,
    /// How far the lowest rate that breaks may be above the highest that holds, as its share.
    pub precision: Share,
    /// Least time between two probes.
    #[serde(with = "units::duration_text")]
    pub rest: Duration,
}

impl Search {
    /// What a probe offers before it is judged.
    pub const SETTLE: Duration = Duration::from_secs(1);
    /// Longest rest: a target that is not itself again by then ends the search.
    pub const REST_MAX: Duration = Duration::from_secs(30);
    /// Most times one rate is tried.
    pub const VOTES: usize = 3;
    /// Probes beyond the shortest way, for a rate that is tried again or a bracket that opens again.
    const SPARE: usize = 8;

    /// Most probes there can be: those of the climb from `from` to `to`, those that halve the last
    /// step (on a logarithmic scale) down to the precision, and some to confirm.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "logarithms of checked, finite numbers above 1, rounded up"
    )]
    pub fn probes_max(&self) -> usize {
        let step = self.factor.ln();
        let climb = (self.to.per_second() / self.from.per_second()).ln() / step;
        let narrow = (step / (1.0 + self.precision.ratio()).ln()).log2();
        let count = |probes: f64| probes.max(0.0).ceil() as usize;
        1 + count(climb) + count(narrow) + Self::SPARE
    }

    /// The search is over by then, however it goes.
    pub fn longest(&self) -> Duration {
        let probes = u32::try_from(self.probes_max()).unwrap_or(u32::MAX);
        (self.settle + self.step + Self::REST_MAX + Duration::from_secs(1)).saturating_mul(probes)
    }

    /// How long it lasts if every probe is tried in full and the target rests no longer than it must.
    pub fn usual(&self) -> Duration {
        let probes = u32::try_from(self.probes_max() - Self::SPARE + 2).unwrap_or(u32::MAX);
        (self.settle + self.step + self.rest).saturating_mul(probes)
    }

    /// Rests offer half of the lowest rate: enough to see that the target answers as before, and little
    /// enough that it can work off what a probe left, also one of the lowest rate.
    pub fn rest_rate(&self) -> Rate {
        Rate::new(self.from.per_second() / 2.0)
    }

    /// Most journeys there can be.
    pub fn journeys_max(&self) -> f64 {
        let probe = self.to.per_second() * (self.settle + self.step).as_secs_f64();
        let rest = self.rest_rate().per_second() * Self::REST_MAX.as_secs_f64();
        (probe + rest) * self.probes_max() as f64
    }
}

/// A stretch of constant rate that a search decided on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// Where it begins and the one before it ends, nanoseconds from the start of the load.
    pub from: u64,
    /// It ends here at the latest, nanoseconds from the start of the load.
    pub until: u64,
    #[schemars(with = "String")]
    pub rate: Rate,
    pub role: Role,
}

/// What a segment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The target drains and answers as before.
    Rest,
    /// The rate of the next probe, not judged yet.
    Settle,
    /// Judged.
    Probe,
    /// The search is over: nothing is sent from here on.
    End,
}

impl Segment {
    /// The same as a stage of a load; nothing for the end.
    pub fn stage(&self, search: &str) -> Option<Stage> {
        let name = match self.role {
            Role::Rest => format!("{search}: rest"),
            Role::Settle => format!("{search}: to {}", self.rate),
            Role::Probe => format!("{search}: {}", self.rate),
            Role::End => return None,
        };
        let start = Duration::from_nanos(self.from);
        Some(Stage {
            name,
            start,
            length: Duration::from_nanos(self.until).saturating_sub(start),
            level: Level::constant_rate(self.rate),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(from: f64, to: f64, factor: f64, precision: f64) -> Search {
        Search {
            name: "find".to_owned(),
            start: Duration::from_secs(10),
            from: Rate::new(from),
            to: Rate::new(to),
            step: Duration::from_secs(8),
            settle: Search::SETTLE,
            factor,
            precision: Share::from_ratio(precision),
            rest: Duration::from_secs(3),
        }
    }

    #[test]
    fn the_number_of_probes_is_known_beforehand() {
        // 20, 40, 80, 160, 320; then the gap of a factor of 2 halves four times to 4.4 %.
        assert_eq!(search(20.0, 320.0, 2.0, 0.05).probes_max(), 1 + 4 + 4 + 8);
        assert_eq!(search(20.0, 20.0, 2.0, 0.5).probes_max(), 1 + 1 + 8);
        assert_eq!(
            search(20.0, 320.0, 2.0, 0.05).usual(),
            Duration::from_secs(12 * 11)
        );
    }

    #[test]
    fn a_segment_is_a_stage_but_for_the_end() {
        let mut segment = Segment {
            from: 2_000_000_000,
            until: 5_000_000_000,
            rate: Rate::new(40.0),
            role: Role::Probe,
        };
        let stage = segment.stage("find").expect("a stage");
        assert_eq!(stage.name, "find: 40/s");
        assert_eq!(stage.end(), Duration::from_secs(5));
        segment.role = Role::End;
        assert_eq!(segment.stage("find"), None);
    }
}
