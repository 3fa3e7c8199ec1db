//! Latency over time: p50, p95 and p99 of all outcomes and of successes alone, and the limit.
//!
//! Invariant: a request that failed is infinitely slow here, so failing fast never looks like being
//! fast. Where a quantile is infinite its line has a gap and the row above the plot a stroke.
//! Both panels have one scale, so what the first adds to the second is what failing hides.

use super::frame::{Axes, Drawn, Frame, NARROW, Paper, Scene, WIDE, draw, seconds};
use super::ink::Ink;
use super::scale::LatencyScale;
use super::{ChartError, Figure, Key, Panel, Sign, Table, key};
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
    all: fn(&Bucket) -> Response,
    ok: fn(&Bucket) -> Response,
}

impl Quantile {
    fn of(self, outcomes: Outcomes) -> fn(&Bucket) -> Response {
        match outcomes {
            Outcomes::All => self.all,
            Outcomes::Successes => self.ok,
        }
    }
}

/// Which requests a panel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcomes {
    All,
    Successes,
}

/// From the slowest to the fastest, which is the order of their lanes.
const QUANTILES: [Quantile; 3] = [
    Quantile {
        name: "p99",
        ink: Ink::P99,
        sign: Sign::Dotted,
        all: |bucket| bucket.p99,
        ok: |bucket| bucket.ok_p99,
    },
    Quantile {
        name: "p95",
        ink: Ink::P95,
        sign: Sign::Solid,
        all: |bucket| bucket.p95,
        ok: |bucket| bucket.ok_p95,
    },
    Quantile {
        name: "p50",
        ink: Ink::P50,
        sign: Sign::Dashed,
        all: |bucket| bucket.p50,
        ok: |bucket| bucket.ok_p50,
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
        id: CHART.to_owned(),
        title: TITLE,
        caption: chart.caption(WIDE),
        legend: chart.legend(),
        panels: chart.panels()?,
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

pub(super) fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

impl Latency<'_> {
    fn scale(&self, paper: Paper) -> LatencyScale {
        let answered = self
            .timeline
            .buckets
            .iter()
            .flat_map(|bucket| {
                QUANTILES.map(|quantile| [(quantile.all)(bucket), (quantile.ok)(bucket)])
            })
            .flatten();
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

    /// Both panels; one is enough where nothing failed.
    fn panels(&self) -> Result<Vec<Panel>, ChartError> {
        let all = Panel {
            title: "All outcomes: a failed request is infinitely slow".to_owned(),
            note: String::new(),
            wide: self.draw(WIDE, 220, Outcomes::All)?,
            narrow: self.draw(NARROW, 180, Outcomes::All)?,
        };
        if self.timeline.buckets.iter().all(|bucket| bucket.bad == 0) {
            return Ok(vec![Panel {
                title: String::new(),
                ..all
            }]);
        }
        let successes = Panel {
            title: "Successes only: what those felt who got an answer".to_owned(),
            note: String::new(),
            wide: self.draw(WIDE, 150, Outcomes::Successes)?,
            narrow: self.draw(NARROW, 140, Outcomes::Successes)?,
        };
        Ok(vec![all, successes])
    }

    fn draw(&self, paper: Paper, height: i32, outcomes: Outcomes) -> Result<String, ChartError> {
        let scale = self.scale(paper);
        let label = |place: &f64| scale.label(*place);
        let (chart, title) = match outcomes {
            Outcomes::All => (CHART, TITLE),
            Outcomes::Successes => ("latency-ok", "Latency over time, successes only"),
        };
        let axes = Axes {
            chart,
            kind: CHART,
            height,
            values: scale.range(),
            marks: thinned(scale.places(), usize::try_from(height / 24).unwrap_or(1)),
            label: &label,
            cap_row: outcomes == Outcomes::All && self.any_unanswered(),
            windows: true,
        };
        draw(&self.scene, paper, &axes, (title, &self.finding), |frame| {
            self.content(frame, &scale, outcomes)
        })
    }

    fn content(&self, frame: &mut Frame, scale: &LatencyScale, outcomes: Outcomes) -> Drawn {
        frame.cap_row()?;
        let mut names = Vec::new();
        for (lane, quantile) in (0..).zip(QUANTILES) {
            let of = quantile.of(outcomes);
            frame.begin_group("series", quantile.name);
            for line in lines(&self.timeline.buckets, of) {
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
                .filter(|bucket| of(bucket) == Response::Unanswered)
            {
                frame.cap(
                    (seconds(bucket.start), seconds(bucket.end)),
                    lane,
                    quantile.ink,
                )?;
            }
            frame.end_group();
            if let Some(Response::Answered(ns)) = self.timeline.buckets.last().map(of) {
                names.push((scale.place(ms(ns)), quantile.name.to_owned(), quantile.ink));
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
            "Requests of each {step} by the instant at which they were due, so waiting counts.{scale}"
        )
    }
}

/// At most `most` marks, as far apart as they were apart from each other.
fn thinned(marks: Vec<f64>, most: usize) -> Vec<f64> {
    let step = marks.len().div_ceil(most.max(2)).max(1);
    marks.into_iter().step_by(step).collect()
}

/// The stretches in which a quantile is answered: seconds and nanoseconds. A single point becomes a short stroke.
pub(super) fn lines(buckets: &[Bucket], of: fn(&Bucket) -> Response) -> Vec<Vec<(f64, u64)>> {
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
            text(bucket.ok_p50),
            text(bucket.ok_p95),
            text(bucket.ok_p99),
        ]
    };
    Table::new(
        [
            "from",
            "requests",
            "p50",
            "p95",
            "p99",
            "p50 of ok",
            "p95 of ok",
            "p99 of ok",
        ],
        timeline.buckets.iter().map(row).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(second: u64, p95: Response) -> Bucket {
        let (start, end) = (second * 1_000_000_000, (second + 1) * 1_000_000_000);
        Bucket {
            start,
            end,
            requests: 1,
            p95,
            ..Bucket::EMPTY
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
