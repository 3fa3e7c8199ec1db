//! Load: journeys offered, sent in time, and ended as expected, over time.
//!
//! Invariant: all start at 0 and have one y-axis. What lies between offered and sent is the
//! generator's and is drawn apart from what lies between sent and good, which is the target's.

use super::frame::{Axes, Drawn, Frame, NARROW, Paper, Scene, WIDE, draw, seconds};
use super::ink::Ink;
use super::{ChartError, Figure, Panel, Sign, Table, key, scale};
use crate::timeline::{Bucket, Timeline};
use crate::view::Story;
use crate::words;

const CHART: &str = "load";
const TITLE: &str = "Load: offered and achieved";

pub(super) fn figure(story: &Story<'_>, timeline: &Timeline) -> Result<Figure, ChartError> {
    let scene = Scene::of(story);
    let finding = finding(timeline);
    let draw = |paper, height| drawing(&scene, timeline, &finding, paper, height);
    let panel = Panel {
        title: String::new(),
        note: String::new(),
        wide: draw(WIDE, 150)?,
        narrow: draw(NARROW, 130)?,
    };
    let row = |bucket: &Bucket| {
        vec![
            words::clock_seconds(bucket.start),
            words::count(bucket.offered),
            words::count(bucket.achieved),
            words::count(bucket.good),
        ]
    };
    Ok(Figure {
        id: CHART.to_owned(),
        title: TITLE,
        caption: "Journeys a second, by the instant at which they were due. Where the first two part, the generator did not send what was planned, and latency there is not to be trusted.".to_owned(),
        legend: vec![
            key(Ink::Offered, Sign::Dashed, "offered by the schedule"),
            key(Ink::Achieved, Sign::Solid, "sent in time"),
            key(Ink::Gap, Sign::Hatch, "not sent by us"),
            key(Ink::Lost, Sign::Bar, "sent, not ended as expected"),
        ],
        panels: vec![panel],
        table: Table::new(
            ["from", "offered", "sent in time", "ended as expected"],
            timeline.buckets.iter().map(row).collect(),
        ),
        finding,
    })
}

fn drawing(
    scene: &Scene,
    timeline: &Timeline,
    finding: &str,
    paper: Paper,
    height: i32,
) -> Result<String, ChartError> {
    let top = timeline
        .buckets
        .iter()
        .map(|bucket| a_second(bucket.offered.max(bucket.achieved), bucket))
        .fold(1.0, f64::max);
    let marks = scale::marks(top, paper.value_marks);
    let label = |value: &f64| words::rate(*value);
    let axes = Axes {
        chart: CHART,
        kind: CHART,
        height,
        values: (0.0, marks.last().copied().unwrap_or(1.0)),
        marks,
        label: &label,
        cap_row: false,
        windows: true,
    };
    draw(scene, paper, &axes, (TITLE, finding), |frame| {
        content(timeline, frame)
    })
}

pub(super) fn a_second(count: u64, bucket: &Bucket) -> f64 {
    count as f64 / bucket.seconds().max(1e-9)
}

/// A line that keeps its value over each bucket.
fn steps(timeline: &Timeline, value: fn(&Bucket) -> u64) -> Vec<(f64, f64)> {
    timeline
        .buckets
        .iter()
        .flat_map(|bucket| {
            [bucket.start, bucket.end].map(|at| (seconds(at), a_second(value(bucket), bucket)))
        })
        .collect()
}

fn content(timeline: &Timeline, frame: &mut Frame) -> Drawn {
    gaps(timeline, frame, "sent, not ended as expected", Ink::Lost)?;
    gaps(timeline, frame, "not sent by us", Ink::Gap)?;
    frame.begin_group("series", "sent in time");
    frame.line(steps(timeline, |bucket| bucket.achieved), Ink::Achieved)?;
    frame.end_group();
    frame.begin_group("series", "offered");
    frame.line(steps(timeline, |bucket| bucket.offered), Ink::Offered)?;
    frame.end_group();
    Ok(())
}

/// The areas of one of the two gaps.
fn gaps(timeline: &Timeline, frame: &mut Frame, name: &str, ink: Ink) -> Drawn {
    let ends = |bucket: &Bucket| {
        if ink == Ink::Gap {
            (bucket.achieved, bucket.offered)
        } else {
            (bucket.good, bucket.achieved)
        }
    };
    frame.begin_group("gap", name);
    for bucket in &timeline.buckets {
        let (low, high) = ends(bucket);
        if low < high {
            let (low, high) = (a_second(low, bucket), a_second(high, bucket));
            frame.area(
                [(seconds(bucket.start), high), (seconds(bucket.end), low)],
                ink,
            )?;
        }
    }
    frame.end_group();
    Ok(())
}

fn finding(timeline: &Timeline) -> String {
    let sum = |of: fn(&Bucket) -> u64| timeline.buckets.iter().map(of).sum::<u64>();
    let (offered, achieved) = (sum(|bucket| bucket.offered), sum(|bucket| bucket.achieved));
    let good = sum(|bucket| bucket.good);
    let sent = format!(
        "{} of {} planned journeys were sent in time ({})",
        words::count(achieved),
        words::count(offered),
        words::percent_of(achieved, offered)
    );
    match achieved.saturating_sub(good) {
        0 => format!("{sent}; every one of them ended as expected."),
        lost => format!(
            "{sent}; {} of them did not end as expected, which is the target's doing.",
            words::count(lost)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finding_tells_our_gap_from_the_targets() {
        let check = |[offered, achieved, good]: [u64; 3], expected: &str| {
            let bucket = Bucket {
                offered,
                achieved,
                good,
                ..Bucket::EMPTY
            };
            let timeline = Timeline {
                buckets: vec![bucket],
                width: 1,
                length: 1,
            };
            assert_eq!(finding(&timeline), expected);
        };
        check(
            [10, 10, 10],
            "10 of 10 planned journeys were sent in time (100 %); every one of them ended as expected.",
        );
        check(
            [10, 8, 5],
            "8 of 10 planned journeys were sent in time (80 %); 3 of them did not end as expected, which is the target's doing.",
        );
    }
}
