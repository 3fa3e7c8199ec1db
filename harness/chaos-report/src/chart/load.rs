//! Load: journeys offered against journeys sent in time, and bad requests, over time.
//!
//! Invariant: both start at 0 and have one y-axis; a gap between offered and achieved is the
//! generator's and is drawn as an area.

use super::frame::{Axes, Drawn, Frame, NARROW, Paper, Scene, WIDE, draw, seconds};
use super::ink::Ink;
use super::{ChartError, Figure, Key, Sign, Table, scale};
use crate::timeline::{Bucket, Timeline};
use crate::view::Story;
use crate::words;

/// One of the two charts.
struct Chart<'a> {
    id: &'static str,
    title: &'static str,
    finding: String,
    timeline: &'a Timeline,
    scene: Scene,
    top: f64,
    content: fn(&Timeline, &mut Frame) -> Drawn,
}

impl Chart<'_> {
    fn draw(&self, paper: Paper, height: i32) -> Result<String, ChartError> {
        let marks = scale::marks(self.top, paper.value_marks);
        let top = marks.last().copied().unwrap_or(1.0);
        let label = |value: &f64| words::rate(*value);
        let axes = Axes {
            chart: self.id,
            height,
            values: (0.0, top),
            marks,
            label: &label,
            cap_row: false,
        };
        draw(
            &self.scene,
            paper,
            &axes,
            (self.title, &self.finding),
            |frame| (self.content)(self.timeline, frame),
        )
    }

    fn figure(
        self,
        caption: &str,
        legend: Vec<Key>,
        table: Table,
        heights: [i32; 2],
    ) -> Result<Figure, ChartError> {
        let (wide, narrow) = (self.draw(WIDE, heights[0])?, self.draw(NARROW, heights[1])?);
        Ok(Figure {
            id: self.id,
            title: self.title,
            finding: self.finding,
            caption: caption.to_owned(),
            legend,
            wide,
            narrow,
            table,
        })
    }
}

fn a_second(count: u64, bucket: &Bucket) -> f64 {
    count as f64 / bucket.seconds().max(1e-9)
}

fn key(ink: Ink, sign: Sign, label: &str) -> Key {
    Key {
        class: ink.class(),
        sign,
        label: label.to_owned(),
    }
}

/// Journeys offered against journeys sent in time.
pub(super) fn offered(story: &Story<'_>, timeline: &Timeline) -> Result<Figure, ChartError> {
    let top = timeline
        .buckets
        .iter()
        .map(|bucket| a_second(bucket.offered.max(bucket.achieved), bucket))
        .fold(1.0, f64::max);
    let finding = offered_finding(timeline);
    let chart = Chart {
        id: "load",
        title: "Load: offered and achieved",
        finding,
        timeline,
        scene: Scene::of(story),
        top,
        content: offered_content,
    };
    let row = |bucket: &Bucket| {
        vec![
            words::clock_seconds(bucket.start),
            words::count(bucket.offered),
            words::count(bucket.achieved),
        ]
    };
    let table = Table {
        head: vec!["from", "offered", "achieved"],
        rows: timeline.buckets.iter().map(row).collect(),
    };
    let legend = vec![
        key(Ink::Offered, Sign::Dashed, "offered by the schedule"),
        key(Ink::Achieved, Sign::Solid, "achieved: sent in time"),
        key(Ink::Gap, Sign::Bar, "not sent by the generator"),
    ];
    chart.figure("Journeys a second. Where the two lines part, the generator did not send what was planned, and latency there is not to be trusted.", legend, table, [150, 130])
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

fn offered_content(timeline: &Timeline, frame: &mut Frame) -> Drawn {
    frame.begin_group("gap", "not sent by the generator");
    for bucket in timeline
        .buckets
        .iter()
        .filter(|bucket| bucket.achieved < bucket.offered)
    {
        let (low, high) = (
            a_second(bucket.achieved, bucket),
            a_second(bucket.offered, bucket),
        );
        frame.area(
            [(seconds(bucket.start), high), (seconds(bucket.end), low)],
            Ink::Gap,
        )?;
    }
    frame.end_group();
    frame.begin_group("series", "achieved");
    frame.line(steps(timeline, |bucket| bucket.achieved), Ink::Achieved)?;
    frame.end_group();
    frame.begin_group("series", "offered");
    frame.line(steps(timeline, |bucket| bucket.offered), Ink::Offered)?;
    frame.end_group();
    Ok(())
}

fn offered_finding(timeline: &Timeline) -> String {
    let sum = |of: fn(&Bucket) -> u64| timeline.buckets.iter().map(of).sum::<u64>();
    let (offered, achieved) = (sum(|bucket| bucket.offered), sum(|bucket| bucket.achieved));
    format!(
        "{} of {} planned journeys were sent in time ({}).",
        words::count(achieved),
        words::count(offered),
        words::percent_of(achieved, offered)
    )
}

/// Bad requests a second.
pub(super) fn bad(story: &Story<'_>, timeline: &Timeline) -> Result<Figure, ChartError> {
    let top = timeline
        .buckets
        .iter()
        .map(|bucket| a_second(bucket.bad, bucket))
        .fold(1.0, f64::max);
    let finding = bad_finding(timeline);
    let chart = Chart {
        id: "bad",
        title: "Bad requests over time",
        finding,
        timeline,
        scene: Scene::of(story),
        top,
        content: bad_content,
    };
    let row = |bucket: &Bucket| {
        vec![
            words::clock_seconds(bucket.start),
            words::count(bucket.requests),
            words::count(bucket.bad),
            words::percent_of(bucket.bad, bucket.requests),
        ]
    };
    let table = Table {
        head: vec!["from", "requests", "bad", "share"],
        rows: timeline.buckets.iter().map(row).collect(),
    };
    let legend = vec![key(
        Ink::Bad,
        Sign::Bar,
        "bad: failed, never sent, or given up",
    )];
    chart.figure(
        "Bad requests a second, by the instant at which they were due.",
        legend,
        table,
        [90, 90],
    )
}

fn bad_content(timeline: &Timeline, frame: &mut Frame) -> Drawn {
    frame.begin_group("series", "bad requests");
    for bucket in timeline.buckets.iter().filter(|bucket| bucket.bad > 0) {
        let margin = bucket.seconds() * 0.08;
        frame.area(
            [
                (seconds(bucket.start) + margin, a_second(bucket.bad, bucket)),
                (seconds(bucket.end) - margin, 0.0),
            ],
            Ink::Bad,
        )?;
    }
    frame.end_group();
    Ok(())
}

fn bad_finding(timeline: &Timeline) -> String {
    let bad: u64 = timeline.buckets.iter().map(|bucket| bucket.bad).sum();
    let requests: u64 = timeline.buckets.iter().map(|bucket| bucket.requests).sum();
    let most = timeline
        .buckets
        .iter()
        .rev()
        .max_by_key(|bucket| bucket.bad);
    match most.filter(|bucket| bucket.bad > 0) {
        None => format!("None of {} requests was bad.", words::count(requests)),
        Some(most) => format!(
            "{} of {} requests were bad, most of them at {} ({}).",
            words::count(bad),
            words::count(requests),
            words::clock_seconds(most.start),
            words::count(most.bad)
        ),
    }
}
