//! The run while it goes on: a redrawn block on a terminal, a line now and then elsewhere.
//!
//! Invariant: a block has the same number of lines for the same number of active faults, so that it
//! can be drawn over; no line is longer than asked for.

use super::paint::Paint;
use super::sketch::Sketch;
use crate::clean::clean;
use crate::view::Tone;
use crate::words;

/// Most active faults that are shown.
const FAULTS_MAX: usize = 3;
/// Characters before what a line says.
pub(super) const LABEL_WIDTH: usize = 9;
/// Lines of a block up to p95.
const AFTER_P95: usize = 4;
/// Longest stage bar, characters.
const BAR_MAX: usize = 48;

/// How the run stands at this moment. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Glance {
    pub scenario: String,
    pub stage: String,
    /// From 0.
    pub stage_index: usize,
    pub stages: usize,
    /// Since the start of the load.
    pub elapsed: u64,
    /// Planned length of the load.
    pub total: u64,
    /// Journeys a second, planned and sent.
    pub offered: f64,
    pub achieved: f64,
    /// Over the last few seconds; `None` if nothing was asked or too much got no answer.
    pub p95_ns: Option<u64>,
    pub limit_ns: Option<u64>,
    /// Share of bad requests over the last few seconds, 0 to 1.
    pub bad_share: f64,
    /// Name of each fault that is on, and how long it will be; `None` for one that ends by itself.
    pub active_faults: Vec<(String, Option<u64>)>,
}

/// One line for logs, without colour: every 10 s where there is no terminal.
pub fn status_line(glance: &Glance) -> String {
    let faults = if glance.active_faults.is_empty() {
        String::new()
    } else {
        format!("; faults {}", faults(glance).join(", "))
    };
    format!(
        "T+{} of {}  {} ({}/{})  offered {}, achieved {}  p95 {}  bad {}{faults}",
        words::clock_seconds(glance.elapsed),
        words::clock_seconds(glance.total),
        clean(&glance.stage),
        glance.stage_index + 1,
        glance.stages,
        words::rate(glance.offered),
        words::rate(glance.achieved),
        p95(glance),
        words::percent(glance.bad_share),
    )
}

/// The live block of one run: it remembers p95 of the last minute for its sketch.
#[derive(Debug, Clone, Default)]
pub struct Live {
    sketch: Sketch,
}

impl Live {
    /// The lines of the block at this moment, as [`block`] with the sketch below p95.
    pub fn block(&mut self, glance: &Glance, color: bool, width: usize) -> Vec<String> {
        let share = glance.bad_share;
        self.sketch.see(glance.elapsed, glance.p95_ns, share);
        let mut lines = block(glance, color, width);
        let room = width.saturating_sub(LABEL_WIDTH);
        let sketch = self.sketch.line(glance.limit_ns, room);
        let label = Paint::new(color).dim(&format!("{:<LABEL_WIDTH$}", ""));
        lines.insert(AFTER_P95, format!("{label}{sketch}").trim_end().to_owned());
        lines
    }
}

/// The lines of the live block, each at most `width` characters wide.
pub fn block(glance: &Glance, color: bool, width: usize) -> Vec<String> {
    let paint = Paint::new(color);
    let fit = |text: String| fit(&text, width);
    let row =
        |label: &str, text: String, tone: Option<Tone>| row((paint, width), label, &text, tone);
    let title = format!(
        "{}, stage {} ({} of {})",
        clean(&glance.scenario),
        clean(&glance.stage),
        glance.stage_index + 1,
        glance.stages
    );
    let mut lines = vec![
        paint.bold(&fit(title)),
        fit(bar((glance.elapsed, glance.total), width)),
        row(
            "load",
            format!(
                "{} offered, {} achieved",
                words::rate(glance.offered),
                words::rate(glance.achieved)
            ),
            None,
        ),
        row("p95", p95(glance), Some(p95_tone(glance))),
        row(
            "bad",
            words::percent(glance.bad_share),
            (glance.bad_share > 0.0).then_some(Tone::Unknown),
        ),
    ];
    let faults = faults(glance);
    if faults.is_empty() {
        lines.push(row("faults", "none active".to_owned(), None));
    }
    lines.extend(
        faults
            .into_iter()
            .map(|fault| row("fault", fault, Some(Tone::Unknown))),
    );
    lines.push(paint.dim(&fit("Ctrl-C = stop and undo".to_owned())));
    lines
}

/// The first `width` characters.
pub(super) fn fit(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// A label and what it labels, at most `width` characters together.
pub(super) fn row(
    (paint, width): (Paint, usize),
    label: &str,
    text: &str,
    tone: Option<Tone>,
) -> String {
    let label = format!("{label:<LABEL_WIDTH$}");
    let text = fit(text, width.saturating_sub(label.len()));
    format!(
        "{}{}",
        paint.dim(&label),
        tone.map_or_else(|| text.clone(), |tone| paint.tone(tone, &text))
    )
}

/// `[=========>------]  00:41 / 01:40`
pub(super) fn bar((elapsed, total): (u64, u64), width: usize) -> String {
    let times = format!(
        "{} / {}",
        words::clock_seconds(elapsed),
        words::clock_seconds(total)
    );
    let room = width.saturating_sub(times.len() + 4).min(BAR_MAX);
    let done = if total == 0 {
        0
    } else {
        usize::try_from(u128::from(elapsed) * room as u128 / u128::from(total))
            .unwrap_or(room)
            .min(room)
    };
    let head = if done > 0 && done < room { ">" } else { "" };
    format!(
        "[{}{head}{}]  {times}",
        "=".repeat(done - head.len()),
        "-".repeat(room - done)
    )
}

fn p95(glance: &Glance) -> String {
    let p95 = words::duration_or(glance.p95_ns, "no answer");
    glance.limit_ns.map_or_else(
        || p95.clone(),
        |limit| format!("{p95} (limit {})", words::duration(limit)),
    )
}

fn p95_tone(glance: &Glance) -> Tone {
    match (glance.p95_ns, glance.limit_ns) {
        (Some(p95), Some(limit)) if p95 > limit => Tone::Bad,
        (Some(_), Some(_)) => Tone::Good,
        (None, _) | (_, None) => Tone::Plain,
    }
}

fn faults(glance: &Glance) -> Vec<String> {
    let text = |(name, left): &(String, Option<u64>)| match left {
        Some(left) => format!("{}, {} left", clean(name), words::clock_seconds(*left)),
        None => clean(name),
    };
    words::at_most(FAULTS_MAX, glance.active_faults.iter().map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance() -> Glance {
        Glance {
            scenario: "spike\u{1b}[2J".to_owned(),
            stage: "spike".to_owned(),
            stage_index: 3,
            stages: 5,
            elapsed: 41_000_000_000,
            total: 100_000_000_000,
            offered: 200.0,
            achieved: 199.6,
            p95_ns: Some(48_200_000),
            limit_ns: Some(200_000_000),
            bad_share: 0.0,
            active_faults: vec![("pause-db".to_owned(), Some(4_000_000_000))],
        }
    }

    #[test]
    fn a_block_shows_all_within_its_width() {
        let lines = block(&glance(), false, 60);
        assert_eq!(
            lines,
            [
                "spike[2J, stage spike (4 of 5)",
                "[================>--------------------------]  00:41 / 01:40",
                "load     200/s offered, 200/s achieved",
                "p95      48.2 ms (limit 200 ms)",
                "bad      0 %",
                "fault    pause-db, 00:04 left",
                "Ctrl-C = stop and undo",
            ]
        );
        for width in 0..80 {
            assert!(
                block(&glance(), false, width)
                    .iter()
                    .all(|line| line.chars().count() <= width.max(9)),
                "{width}"
            );
        }
    }

    #[test]
    fn the_sketch_stands_below_p95_and_keeps_the_number_of_lines() {
        let mut live = Live::default();
        for second in 0..3 {
            let glance = Glance {
                elapsed: second * 1_000_000_000,
                p95_ns: Some(100_000_000 * second),
                ..glance()
            };
            let lines = live.block(&glance, false, 60);
            assert_eq!(lines.len(), block(&glance, false, 60).len() + 1);
            if second == 2 {
                assert_eq!(lines[4], "         \u{2581}\u{2584}\u{2587}");
            }
        }
    }

    #[test]
    fn only_colour_brings_escapes_and_none_are_foreign() {
        let escapes = |lines: &[String]| {
            lines
                .iter()
                .map(|line| line.matches('\u{1b}').count())
                .sum::<usize>()
        };
        assert_eq!(escapes(&block(&glance(), false, 80)), 0);
        let colored = block(&glance(), true, 80);
        assert!(escapes(&colored) > 0 && !colored.iter().any(|line| line.contains("\u{1b}[2J")));
    }

    #[test]
    fn a_status_line_says_the_same_in_one() {
        assert_eq!(
            status_line(&glance()),
            "T+00:41 of 01:40  spike (4/5)  offered 200/s, achieved 200/s  p95 48.2 ms (limit 200 ms)  bad 0 %; faults pause-db, 00:04 left"
        );
    }

    #[test]
    fn a_bar_never_overflows() {
        for (elapsed, total) in [
            (0, 0),
            (0, 10),
            (5, 10),
            (10, 10),
            (20, 10),
            (u64::MAX, u64::MAX),
        ] {
            assert!(
                bar((elapsed, total), 30).starts_with('['),
                "{elapsed}/{total}"
            );
        }
    }
}
