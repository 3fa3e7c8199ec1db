//! Latency over time: p50, p95 and p99 of all requests, the limit, and what got no answer.
//!
//! Invariant: a request that failed is infinitely slow here, so failing fast never looks like being
//! fast. Where a quantile is infinite its line has a gap and the row above the plot a stroke.

use super::frame::{Axes, Drawn, Frame, NARROW, Paper, Scene, WIDE, draw, seconds};
use super::ink::Ink;
use super::scale::LatencyScale;
use super::{ChartError, Figure, Key, Sign, Table};
use crate::timeline::{Bucket, Response, Timeline};
use crate::view::Story;
use crate::words;

const TITLE: &str = "Latency over time";
const CHART: &str = "latency";

/// A line of the chart.
#[derive(Debug, Clone, Copy)]
struct Quantile {
    name: &'static str,
    ink: Ink,
    sign: Sign,
    of: fn(&Bucket) -> Response,
}

/// From the slowest to the fastest, which is the order of their lanes.
const QUANTILES: [Quantile; 3] = [
    Quantile {
        name: "p99",
        ink: Ink::P99,
        sign: Sign::Dotted,
        of: |bucket| bucket.p99,
    },
    Quantile {
        name: "p95",
        ink: Ink::P95,
        sign: Sign::Solid,
        of: |bucket| bucket.p95,
    },
    Quantile {
        name: "p50",
        ink: Ink::P50,
        sign: Sign::Dashed,
        of: |bucket| bucket.p50,
    },
];

pub(super) fn figure(story: &Story<'_>, timeline: &Timeline) -> Result<Figure, ChartError> {
    let limit = crate::view::tightest_limit(story);
    let chart = Latency {
        timeline,
        limit,
        scene: Scene::of(story),
        finding: finding(timeline, limit),
    };
    Ok(Figure {
        id: CHART,
        title: TITLE,
        caption: chart.caption(WIDE),
        legend: chart.legend(),
        wide: chart.draw(WIDE, 250)?,
        narrow: chart.draw(NARROW, 190)?,
        table: table(timeline),
        finding: chart.finding,
    })
}

struct Latency<'a> {
    timeline: &'a Timeline,
    limit: Option<u64>,
    scene: Scene,
    finding: String,
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

impl Latency<'_> {
    fn scale(&self, paper: Paper) -> LatencyScale {
        let answered = self
            .timeline
            .buckets
            .iter()
            .flat_map(|bucket| QUANTILES.map(|quantile| (quantile.of)(bucket)));
        let mut values: Vec<f64> = answered
            .filter_map(|response| {
                if let Response::Answered(ns) = response {
                    Some(ms(ns))
                } else {
                    None
                }
            })
            .collect();
        values.extend(self.limit.map(|limit| ms(limit) * 1.04));
        LatencyScale::of(&values, if paper.name == WIDE.name { 12 } else { 8 })
    }

    fn any_unanswered(&self) -> bool {
        self.timeline
            .buckets
            .iter()
            .any(|bucket| bucket.p99 == Response::Unanswered)
    }

    fn draw(&self, paper: Paper, height: i32) -> Result<String, ChartError> {
        let scale = self.scale(paper);
        let label = |place: &f64| scale.label(*place);
        let axes = Axes {
            chart: CHART,
            height,
            values: scale.range(),
            marks: scale.places(),
            label: &label,
            cap_row: self.any_unanswered(),
        };
        draw(&self.scene, paper, &axes, (TITLE, &self.finding), |frame| {
            self.content(frame, &scale)
        })
    }

    fn content(&self, frame: &mut Frame, scale: &LatencyScale) -> Drawn {
        frame.cap_row()?;
        let mut names = Vec::new();
        for (lane, quantile) in (0..).zip(QUANTILES) {
            frame.begin_group("series", quantile.name);
            for line in lines(&self.timeline.buckets, quantile.of) {
                frame.line(
                    line.iter()
                        .map(|(at, ns)| (*at, scale.place(ms(*ns))))
                        .collect(),
                    quantile.ink,
                )?;
            }
            for bucket in self
                .timeline
                .buckets
                .iter()
                .filter(|bucket| (quantile.of)(bucket) == Response::Unanswered)
            {
                frame.cap(
                    (seconds(bucket.start), seconds(bucket.end)),
                    lane,
                    quantile.ink,
                )?;
            }
            frame.end_group();
            if let Some(Response::Answered(ns)) = self.timeline.buckets.last().map(quantile.of) {
                names.push((scale.place(ms(ns)), quantile.name, quantile.ink));
            }
        }
        if let Some(limit) = self.limit {
            frame.limit(
                scale.place(ms(limit)),
                &format!("limit {}", words::duration(limit)),
            )?;
        }
        frame.end_names(names)
    }

    fn legend(&self) -> Vec<Key> {
        let key = |ink: Ink, sign, label: &str| Key {
            class: ink.class(),
            sign,
            label: label.to_owned(),
        };
        let mut legend: Vec<Key> = QUANTILES
            .iter()
            .rev()
            .map(|quantile| key(quantile.ink, quantile.sign, quantile.name))
            .collect();
        legend.extend(self.limit.map(|limit| {
            key(
                Ink::Limit,
                Sign::Dashed,
                &format!("limit {}", words::duration(limit)),
            )
        }));
        if self.scene.has_faults() {
            legend.push(key(Ink::Fault, Sign::Hatch, "fault on"));
            legend.push(key(Ink::FaultTail, Sign::Hatch, "until back to normal"));
        }
        if self.any_unanswered() {
            legend.push(key(Ink::P95, Sign::Cap, "no answer: too many failed"));
        }
        legend
    }

    fn caption(&self, paper: Paper) -> String {
        let scale = if self.scale(paper).is_logarithmic() {
            " The scale is logarithmic."
        } else {
            ""
        };
        let step = if self.timeline.width == 1 {
            "second".to_owned()
        } else {
            format!("{} seconds", self.timeline.width)
        };
        format!(
            "All requests of each {step} by the instant at which they were due, so waiting counts. A failed request counts as infinitely slow.{scale}"
        )
    }
}

/// The stretches in which a quantile is answered: seconds and nanoseconds. A single point becomes a short stroke.
fn lines(buckets: &[Bucket], of: fn(&Bucket) -> Response) -> Vec<Vec<(f64, u64)>> {
    let mut lines: Vec<Vec<(f64, u64)>> = Vec::new();
    for stretch in buckets.chunk_by(|left, right| is_answered(of(left)) == is_answered(of(right))) {
        let points = stretch.iter().filter_map(|bucket| match of(bucket) {
            Response::Answered(ns) => Some((
                f64::midpoint(seconds(bucket.start), seconds(bucket.end)),
                ns,
            )),
            Response::Nothing | Response::Unanswered => None,
        });
        let mut points: Vec<(f64, u64)> = points.collect();
        if let ([(_, ns)], [bucket]) = (points.as_slice(), stretch) {
            points = vec![(seconds(bucket.start), *ns), (seconds(bucket.end), *ns)];
        }
        if !points.is_empty() {
            lines.push(points);
        }
    }
    lines
}

fn is_answered(response: Response) -> bool {
    matches!(response, Response::Answered(_))
}

/// What the chart shows, in a sentence or two.
fn finding(timeline: &Timeline, limit: Option<u64>) -> String {
    let Some(worst) = timeline.worst() else {
        return "No request was sent.".to_owned();
    };
    let at = words::clock_seconds(worst.start);
    let peak = match worst.p95 {
        Response::Answered(ns) => format!("p95 was highest at {at} with {}", words::duration(ns)),
        Response::Unanswered | Response::Nothing => {
            format!("At {at} more than 5 % of the requests got no answer as expected")
        }
    };
    let Some(limit) = limit else {
        return format!("{peak}.");
    };
    let over = timeline.buckets.iter().filter(|bucket| match bucket.p95 {
        Response::Answered(ns) => ns > limit,
        Response::Unanswered => true,
        Response::Nothing => false,
    });
    let seconds: f64 = over.map(Bucket::seconds).sum();
    let over = if seconds > 0.0 {
        format!(
            "p95 was over {} in {seconds:.0} of {:.0} s",
            words::duration(limit),
            self::seconds(timeline.length)
        )
    } else {
        format!("p95 never was over {}", words::duration(limit))
    };
    format!("{peak}; {over}.")
}

fn table(timeline: &Timeline) -> Table {
    let text = |response| match response {
        Response::Nothing => "-".to_owned(),
        Response::Answered(ns) => words::duration(ns),
        Response::Unanswered => "no answer".to_owned(),
    };
    let row = |bucket: &Bucket| {
        vec![
            words::clock_seconds(bucket.start),
            words::count(bucket.requests),
            text(bucket.p50),
            text(bucket.p95),
            text(bucket.p99),
        ]
    };
    Table {
        head: vec!["from", "requests", "p50", "p95", "p99"],
        rows: timeline.buckets.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(second: u64, p95: Response) -> Bucket {
        let (start, end) = (second * 1_000_000_000, (second + 1) * 1_000_000_000);
        Bucket {
            start,
            end,
            offered: 1,
            achieved: 1,
            requests: 1,
            bad: 0,
            p50: Response::Nothing,
            p95,
            p99: Response::Nothing,
        }
    }

    #[test]
    fn a_line_breaks_where_there_is_no_answer() {
        let answered = Response::Answered;
        let buckets = [
            answered(1),
            answered(2),
            Response::Unanswered,
            answered(3),
            Response::Nothing,
        ];
        let buckets: Vec<Bucket> = (0..)
            .zip(buckets)
            .map(|(second, p95)| bucket(second, p95))
            .collect();
        assert_eq!(
            lines(&buckets, |bucket| bucket.p95),
            [vec![(0.5, 1), (1.5, 2)], vec![(3.0, 3), (4.0, 3)]]
        );
    }

    #[test]
    fn the_finding_counts_seconds_without_answer_as_over_the_limit() {
        let buckets = vec![
            bucket(0, Response::Answered(1)),
            bucket(1, Response::Unanswered),
            bucket(2, Response::Answered(300_000_000)),
        ];
        let timeline = Timeline {
            buckets,
            width: 1,
            length: 3_000_000_000,
        };
        assert_eq!(
            finding(&timeline, Some(200_000_000)),
            "At 00:01 more than 5 % of the requests got no answer as expected; p95 was over 200 ms in 2 of 3 s."
        );
    }
}
