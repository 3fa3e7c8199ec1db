//! Axes: where values lie, and at which of them an axis has marks.
//!
//! Invariant: marks are round numbers (1, 2 or 5 times a power of ten; times of a clock), ascending,
//! and lie within the axis.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::words;

/// An axis with marks of our choice; plotters would choose them by the power of ten alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) until: f64,
    pub(super) marks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a place on a drawing fits an i32"
    )]
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.until - self.from);
        limit.0 + (f64::from(limit.1 - limit.0) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.marks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.until
    }
}

/// Marks of a clock, in seconds.
const CLOCK: [f64; 15] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0,
    7_200.0,
];

/// Marks for a time axis between two instants in seconds, at most `most` and one of them.
pub(super) fn clock_marks((from, until): (f64, f64), most: usize) -> Vec<f64> {
    let length = until - from;
    let step = CLOCK
        .into_iter()
        .find(|step| length / step <= most as f64)
        .unwrap_or_else(|| (length / most as f64 / 3_600.0).ceil() * 3_600.0);
    let first = (from / step).ceil() * step;
    (0..=most)
        .map(|i| first + i as f64 * step)
        .filter(|mark| *mark <= until)
        .collect()
}

/// Marks from 0 to at least `top`, about `most` of them; the last is the top of the axis.
pub(super) fn marks(top: f64, most: usize) -> Vec<f64> {
    let rough = (top / most as f64).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power);
    let mut marks = vec![0.0];
    while marks.last().is_some_and(|last| *last < top) && marks.len() <= most + 1 {
        marks.push(marks.len() as f64 * step);
    }
    marks
}

/// How durations lie on the y-axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LatencyScale {
    logarithmic: bool,
    /// Values of the marks in milliseconds.
    marks: Vec<f64>,
}

impl LatencyScale {
    /// Logarithmic if the highest of the positive `values` (milliseconds) is over 30 times the typical one.
    pub(super) fn of(values: &[f64], most: usize) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let top = sorted.last().copied().unwrap_or(1.0).max(0.001);
        let typical = sorted
            .get(sorted.len() / 2)
            .copied()
            .unwrap_or(top)
            .max(0.001);
        if top / typical > 30.0 {
            let low = sorted.first().copied().unwrap_or(1.0).max(0.001);
            Self {
                logarithmic: true,
                marks: decades(low, top, most),
            }
        } else {
            Self {
                logarithmic: false,
                marks: marks(top, most),
            }
        }
    }

    pub(super) fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// Where a value in milliseconds lies on the axis.
    pub(super) fn place(&self, ms: f64) -> f64 {
        if self.logarithmic {
            ms.max(self.marks[0]).log10()
        } else {
            ms
        }
    }

    pub(super) fn range(&self) -> (f64, f64) {
        let last = self.marks.last().copied().unwrap_or(1.0);
        (self.place(self.marks[0]), self.place(last))
    }

    pub(super) fn places(&self) -> Vec<f64> {
        self.marks.iter().map(|mark| self.place(*mark)).collect()
    }

    /// The label of the mark at `place`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mark is positive and far below a century"
    )]
    pub(super) fn label(&self, place: f64) -> String {
        let ms = if self.logarithmic {
            10_f64.powf(place)
        } else {
            place
        };
        if ms >= 999.5 {
            format!("{} s", round(ms / 1_000.0))
        } else if ms > 0.0 && ms < 0.995 {
            words::duration((ms * 1e6).round() as u64)
        } else {
            format!("{} ms", round(ms))
        }
    }
}

/// Without needless digits: 0.5, 2, 250.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// 1, 2 and 5 of each decade from below `low` to above `top`; only the decades if that is more than `most`.
fn decades(low: f64, top: f64, most: usize) -> Vec<f64> {
    let (first, last) = (low.log10().floor(), top.log10().ceil());
    let powers = || {
        (0..)
            .map(|i| first + f64::from(i))
            .take_while(|power| *power <= last)
            .map(|power| 10_f64.powf(power))
    };
    let mut fine: Vec<f64> = powers()
        .flat_map(|power| [power, 2.0 * power, 5.0 * power])
        .collect();
    let start = fine
        .iter()
        .rposition(|mark| *mark <= low * 1.000_001)
        .unwrap_or(0);
    fine.drain(..start);
    let end = fine
        .iter()
        .position(|mark| *mark >= top * 0.999_999)
        .map_or(fine.len(), |end| end + 1);
    fine.truncate(end);
    if fine.len() <= most {
        fine
    } else {
        powers().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_cover_the_top() {
        assert_eq!(marks(412.0, 5), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        assert_eq!(marks(0.9, 4), [0.0, 0.5, 1.0]);
        assert_eq!(marks(200.0, 4), [0.0, 50.0, 100.0, 150.0, 200.0]);
        assert_eq!(
            clock_marks((0.0, 100.0), 10),
            (0..=10).map(|i| f64::from(i) * 10.0).collect::<Vec<_>>()
        );
        assert_eq!(clock_marks((0.0, 0.5), 10), [0.0]);
        assert_eq!(clock_marks((31.0, 60.0), 4), [40.0, 50.0, 60.0]);
        assert_eq!(
            clock_marks((0.0, 90_000.0), 5),
            [0.0, 18_000.0, 36_000.0, 54_000.0, 72_000.0, 90_000.0]
        );
    }

    #[test]
    fn a_wide_spread_is_drawn_logarithmically() {
        assert!(!LatencyScale::of(&[10.0, 20.0, 250.0], 5).is_logarithmic());
        let scale = LatencyScale::of(&[4.0, 5.0, 6.0, 2_100.0], 12);
        assert!(scale.is_logarithmic());
        let labels: Vec<String> = scale
            .places()
            .into_iter()
            .map(|place| scale.label(place))
            .collect();
        assert_eq!(
            labels,
            [
                "2 ms", "5 ms", "10 ms", "20 ms", "50 ms", "100 ms", "200 ms", "500 ms", "1 s",
                "2 s", "5 s"
            ]
        );
    }

    #[test]
    fn an_axis_without_values_still_is_one() {
        let scale = LatencyScale::of(&[], 5);
        assert!(scale.range().0 < scale.range().1);
    }
}
