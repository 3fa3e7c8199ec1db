//! The small chart on the card of a fault: p95 around it, second by second.
//!
//! Invariant: it shows 30 s before the effect and 60 s after it, and longer until recovery; never
//! more than the load.

use chaos_record::SECOND_NS;

use super::frame::{Axes, Drawn, Frame, SMALL, Scene, draw, seconds};
use super::ink::Ink;
use super::latency::{lines, ms};
use super::scale::LatencyScale;
use super::{ChartError, Figure, Panel, Sign, Table, key};
use crate::timeline::{Bucket, Response, Timeline};
use crate::view::{FaultSpan, Story, spans, tightest_limit};
use crate::words;

const BEFORE: u64 = 30 * SECOND_NS;
const AFTER: u64 = 60 * SECOND_NS;
/// Longest stretch that is drawn, and most faults that have a chart: a report stays small.
const LENGTH_MAX: u64 = 300 * SECOND_NS;
const FAULTS_MAX: usize = 8;

/// The charts of the faults that took effect, with the letter of each.
pub fn minis(story: &Story<'_>) -> Result<Vec<(String, Figure)>, ChartError> {
    if story.verdict.load_length == 0 {
        return Ok(Vec::new());
    }
    spans(story)
        .into_iter()
        .filter(|span| span.from < story.verdict.load_length)
        .take(FAULTS_MAX)
        .map(|span| Ok((span.letter.clone(), figure(story, &span)?)))
        .collect()
}

fn figure(story: &Story<'_>, span: &FaultSpan) -> Result<Figure, ChartError> {
    let from = span.from.saturating_sub(BEFORE);
    let until = (span.from + AFTER)
        .max(span.until.saturating_add(BEFORE / 3))
        .min(story.verdict.load_length)
        .min(from + LENGTH_MAX);
    let timeline = Timeline::of_span(story, from, until);
    let id = format!("fault-{}", span.letter.to_ascii_lowercase());
    let finding = finding(&timeline, span);
    let chart = Mini {
        scene: Scene::span(story, from, until),
        limit: tightest_limit(story),
        timeline: &timeline,
    };
    let drawing = chart.draw(&id, &finding)?;
    let mut legend = vec![key(Ink::P95, Sign::Solid, "p95")];
    if chart.any_unanswered() {
        legend.push(key(Ink::P95, Sign::Cap, "too many failed"));
    }
    let row = |bucket: &Bucket| {
        vec![
            words::clock_seconds(bucket.start),
            words::count(bucket.requests),
            words::count(bucket.bad),
            text(bucket.p95),
        ]
    };
    Ok(Figure {
        id,
        title: "p95 around the fault",
        finding,
        caption: String::new(),
        legend,
        panels: vec![Panel {
            title: String::new(),
            note: String::new(),
            wide: drawing,
            narrow: String::new(),
        }],
        table: Table::new(
            ["from", "requests", "bad", "p95"],
            timeline.buckets.iter().map(row).collect(),
        ),
    })
}

fn text(response: Response) -> String {
    match response {
        Response::Nothing => "-".to_owned(),
        Response::Answered(ns) => words::duration(ns),
        Response::Unanswered => "no answer".to_owned(),
    }
}

fn finding(timeline: &Timeline, span: &FaultSpan) -> String {
    let after = timeline.buckets.iter().filter(|b| b.end > span.from);
    let bad: u64 = after.map(|bucket| bucket.bad).sum();
    let worst = timeline
        .worst()
        .map_or_else(|| "nothing was asked".to_owned(), |b| text(b.p95));
    format!(
        "The highest p95 of one second was {worst}; {} from its effect to the end of what is shown.",
        words::counted(bad, "bad request")
    )
}

struct Mini<'a> {
    scene: Scene,
    limit: Option<u64>,
    timeline: &'a Timeline,
}

impl Mini<'_> {
    fn any_unanswered(&self) -> bool {
        self.timeline
            .buckets
            .iter()
            .any(|bucket| bucket.p95 == Response::Unanswered)
    }

    fn draw(&self, id: &str, finding: &str) -> Result<String, ChartError> {
        let answered = self.timeline.buckets.iter().filter_map(|b| match b.p95 {
            Response::Answered(ns) => Some(ms(ns)),
            Response::Nothing | Response::Unanswered => None,
        });
        let mut values: Vec<f64> = answered.collect();
        values.extend(self.limit.map(|limit| ms(limit) * 1.04));
        let scale = LatencyScale::of(&values, 4);
        let label = |place: &f64| scale.label(*place);
        let axes = Axes {
            chart: id,
            kind: "fault",
            height: 110,
            values: scale.range(),
            marks: scale.places(),
            label: &label,
            cap_row: self.any_unanswered(),
            windows: true,
        };
        let texts = ("p95 around the fault", finding);
        draw(&self.scene, SMALL, &axes, texts, |frame| {
            self.content(frame, &scale)
        })
    }

    fn content(&self, frame: &mut Frame, scale: &LatencyScale) -> Drawn {
        frame.cap_row()?;
        frame.begin_group("series", "p95");
        for line in lines(&self.timeline.buckets, |bucket| bucket.p95) {
            let points = line.iter().map(|(at, ns)| (*at, scale.place(ms(*ns))));
            frame.line(points.collect(), Ink::P95)?;
        }
        for bucket in &self.timeline.buckets {
            if bucket.p95 == Response::Unanswered {
                frame.cap((seconds(bucket.start), seconds(bucket.end)), 1, Ink::P95)?;
            }
        }
        frame.end_group();
        match self.limit {
            None => Ok(()),
            Some(limit) => frame.limit(
                scale.place(ms(limit)),
                &format!("limit {}", words::duration(limit)),
            ),
        }
    }
}
