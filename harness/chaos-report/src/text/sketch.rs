//! A sketch of a number (p95 against its limit, requests a second) over the last minute, in one line of Unicode blocks.
//!
//! Invariant: one column a second, at most [`COLUMNS`] of them; a column reaches the top only if
//! the limit was passed or too much got no answer.

use std::collections::VecDeque;

/// Most columns.
pub(super) const COLUMNS: usize = 60;
/// From low to just within the limit.
const LEVELS: [char; 7] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}',
];
const OVER: char = '\u{2588}';
const NO_ANSWER: char = '\u{d7}';
const NOTHING: char = ' ';

/// One second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Nothing,
    Answered(u64),
    NoAnswer,
}

/// What was seen, a column a second.
#[derive(Debug, Clone, Default)]
pub(super) struct Sketch {
    second: Option<u64>,
    columns: VecDeque<Column>,
}

impl Sketch {
    /// Takes in what is seen in this second of the load; `bad_share` tells failing from nothing asked.
    pub(super) fn see(&mut self, elapsed: u64, p95: Option<u64>, bad_share: f64) {
        let second = elapsed / 1_000_000_000;
        let column = match p95 {
            Some(ns) => Column::Answered(ns),
            None if bad_share > 0.0 => Column::NoAnswer,
            None => Column::Nothing,
        };
        if self.second == Some(second) {
            self.columns.pop_back();
        }
        self.second = Some(second);
        self.columns.push_back(column);
        while self.columns.len() > COLUMNS {
            self.columns.pop_front();
        }
    }

    /// The last `room` columns; without a limit the highest of them is the scale.
    pub(super) fn line(&self, limit: Option<u64>, room: usize) -> String {
        let skip = self.columns.len().saturating_sub(room);
        let shown = || self.columns.iter().skip(skip);
        let highest = shown().filter_map(|column| match column {
            Column::Answered(ns) => Some(*ns),
            Column::Nothing | Column::NoAnswer => None,
        });
        let scale = limit.or_else(|| highest.max()).unwrap_or(1).max(1);
        shown().map(|column| mark(*column, scale)).collect()
    }
}

fn mark(column: Column, scale: u64) -> char {
    match column {
        Column::Nothing => NOTHING,
        Column::NoAnswer => NO_ANSWER,
        Column::Answered(ns) if ns > scale => OVER,
        Column::Answered(ns) => {
            let level = u128::from(ns) * LEVELS.len() as u128 / (u128::from(scale) + 1);
            LEVELS[usize::try_from(level)
                .unwrap_or(usize::MAX)
                .min(LEVELS.len() - 1)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn one_column_a_second_and_only_the_limit_reaches_the_top() {
        let mut sketch = Sketch::default();
        for (second, p95, bad) in [
            (0, None, 0.0),
            (1, Some(10), 0.0),
            (1, Some(20), 0.0),
            (2, Some(200), 0.0),
            (3, Some(201), 0.0),
            (4, None, 0.4),
        ] {
            sketch.see(second * S, p95, bad);
        }
        assert_eq!(
            sketch.line(Some(200), 60),
            " \u{2581}\u{2587}\u{2588}\u{d7}"
        );
        assert_eq!(sketch.line(Some(200), 2), "\u{2588}\u{d7}");
        assert_eq!(sketch.line(None, 60), " \u{2581}\u{2587}\u{2587}\u{d7}");
    }

    #[test]
    fn it_never_holds_more_than_a_minute() {
        let mut sketch = Sketch::default();
        for second in 0..1_000 {
            sketch.see(second * S, Some(second), 0.0);
        }
        assert_eq!(sketch.line(None, 500).chars().count(), COLUMNS);
    }
}
