//! The chart of a search: what each rate that was tried did to the p95, and where the limit lies.
//!
//! Invariant: a probe stands at its own rate with its own p95; one without a p95 stands in the row
//! above the plot, never at a height of its own. The line joins them by rate, not by time.

use chaos_plan::units::Rate;
use chaos_record::verdict::{Capacity, ProbeFinding, ProbeOutcome};

use super::frame::{Axes, Drawn, Frame, NARROW, Paper, Scene, Shape, WIDE, draw};
use super::ink::Ink;
use super::latency::ms;
use super::scale::LatencyScale;
use super::{ChartError, Figure, Panel, Sign, Table, key};
use crate::view::{Story, tightest_limit};
use crate::words;

const CHART: &str = "capacity-p95";
const TITLE: &str = "p95 at each rate that was tried";

/// The figure, if the run had a search that tried anything.
pub fn searched(story: &Story<'_>) -> Result<Option<Figure>, ChartError> {
    let capacity = story.verdict.capacity.as_ref();
    let tried = capacity.filter(|capacity| !capacity.probes.is_empty());
    tried
        .map(|capacity| figure(capacity, tightest_limit(story)))
        .transpose()
}

fn figure(capacity: &Capacity, limit: Option<u64>) -> Result<Figure, ChartError> {
    let mut probes: Vec<&ProbeFinding> = capacity.probes.iter().collect();
    probes.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let chart = Chart {
        holds: capacity.holds,
        limit,
        probes,
    };
    let finding = chart.finding();
    Ok(Figure {
        id: CHART.to_owned(),
        title: TITLE,
        caption: "From left to right by rate, whatever the order they were tried in.".to_owned(),
        legend: chart.legend(),
        panels: vec![Panel {
            title: String::new(),
            note: String::new(),
            wide: chart.draw(WIDE, &finding)?,
            narrow: chart.draw(NARROW, &finding)?,
        }],
        finding,
        // The probes stand in the table of the section.
        table: Table::default(),
    })
}

struct Chart<'a> {
    /// By rate.
    probes: Vec<&'a ProbeFinding>,
    limit: Option<u64>,
    holds: Option<f64>,
}

impl Chart<'_> {
    fn finding(&self) -> String {
        let answered = self.probes.iter().filter_map(|probe| probe.p95);
        let (least, most) = (answered.clone().min(), answered.max());
        let range = match (least, most) {
            (Some(least), Some(most)) => format!(
                "The p95 lay between {} and {}",
                words::duration(least),
                words::duration(most)
            ),
            _ => "No rate that was tried had a p95".to_owned(),
        };
        match self.holds {
            Some(rate) => format!(
                "{range}; the highest rate that holds is {}.",
                Rate::new(rate)
            ),
            None => format!("{range}; no rate that was tried holds."),
        }
    }

    fn any(&self, outcome: ProbeOutcome) -> bool {
        self.probes.iter().any(|probe| probe.outcome == outcome)
    }

    fn legend(&self) -> Vec<super::Key> {
        let mut legend = vec![key(Ink::P95, Sign::Solid, "p95")];
        for outcome in [
            ProbeOutcome::Held,
            ProbeOutcome::Broke,
            ProbeOutcome::Unclear,
        ] {
            let (_, ink, sign) = look(outcome);
            if self.any(outcome) {
                legend.push(key(ink, sign, outcome.word()));
            }
        }
        if self.probes.iter().any(|probe| probe.p95.is_none()) {
            legend.push(key(Ink::P95, Sign::Cap, "too many failed"));
        }
        legend
    }

    fn scale(&self, paper: Paper) -> LatencyScale {
        let answered = self.probes.iter().filter_map(|probe| probe.p95);
        let limit = self.limit.map(|limit| ms(limit) * 1.04);
        let values: Vec<f64> = answered.map(ms).chain(limit).collect();
        LatencyScale::of(&values, paper.value_marks)
    }

    fn draw(&self, paper: Paper, finding: &str) -> Result<String, ChartError> {
        let scale = self.scale(paper);
        let label = |place: &f64| scale.label(*place);
        let axes = Axes {
            chart: CHART,
            kind: "capacity",
            height: 150,
            values: scale.range(),
            marks: scale.places(),
            label: &label,
            cap_row: self.probes.iter().any(|probe| probe.p95.is_none()),
            windows: false,
        };
        let top = self.probes.last().map_or(1.0, |probe| probe.rate * 1.05);
        let scene = Scene::of_rates(top);
        draw(&scene, paper, &axes, (TITLE, finding), |frame| {
            self.content(frame, &scale, top)
        })
    }

    fn content(&self, frame: &mut Frame, scale: &LatencyScale, top: f64) -> Drawn {
        frame.cap_row()?;
        frame.begin_group("series", "p95");
        let place = |probe: &ProbeFinding| Some((probe.rate, scale.place(ms(probe.p95?))));
        let points = self.probes.iter().filter_map(|probe| place(probe));
        frame.line(points.collect(), Ink::P95)?;
        frame.end_group();
        for probe in &self.probes {
            frame.begin_group("probe", &title(probe));
            if let Some(point) = place(probe) {
                let (shape, ink, _) = look(probe.outcome);
                frame.sign_at(point, shape, ink)?;
            } else {
                let half = top / 120.0;
                frame.cap((probe.rate - half, probe.rate + half), 1, Ink::P95)?;
            }
            frame.end_group();
        }
        if let Some(rate) = self.holds {
            frame.here(rate, &format!("{} holds", Rate::new(rate)))?;
        }
        match self.limit {
            None => Ok(()),
            Some(limit) => frame.limit(
                scale.place(ms(limit)),
                &format!("limit {}", words::duration(limit)),
            ),
        }
    }
}

/// `250/s: p95 31 ms, held`.
fn title(probe: &ProbeFinding) -> String {
    format!(
        "{}: p95 {}, {}",
        Rate::new(probe.rate),
        words::duration_or(probe.p95, "no answer"),
        probe.outcome.word()
    )
}

fn look(outcome: ProbeOutcome) -> (Shape, Ink, Sign) {
    match outcome {
        ProbeOutcome::Held => (Shape::Dot, Ink::Ready, Sign::Dot),
        ProbeOutcome::Broke => (Shape::Down, Ink::Down, Sign::Down),
        ProbeOutcome::Unclear => (Shape::Square, Ink::Note, Sign::Square),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(rate: f64, p95_ms: Option<u64>, outcome: ProbeOutcome) -> ProbeFinding {
        ProbeFinding {
            rate,
            start: 0,
            end: 10_000_000_000,
            requests: 1_000,
            bad: 0,
            p50: None,
            p95: p95_ms.map(|ms| ms * 1_000_000),
            p99: None,
            outcome,
            claim: None,
            why: String::new(),
            ended_early: false,
        }
    }

    fn found(holds: Option<f64>, probes: Vec<ProbeFinding>) -> Figure {
        let capacity = Capacity {
            search: "find".to_owned(),
            holds,
            breaks: None,
            ended: None,
            sentence: String::new(),
            probes,
        };
        figure(&capacity, Some(200_000_000)).expect("it can be drawn")
    }

    #[test]
    fn probes_stand_by_rate_with_limit_and_what_was_found() {
        let figure = found(
            Some(300.0),
            vec![
                probe(100.0, Some(12), ProbeOutcome::Held),
                probe(200.0, Some(15), ProbeOutcome::Held),
                probe(400.0, Some(900), ProbeOutcome::Broke),
                probe(800.0, None, ProbeOutcome::Broke),
                probe(300.0, Some(80), ProbeOutcome::Held),
                probe(350.0, Some(190), ProbeOutcome::Unclear),
            ],
        );
        assert_eq!(
            figure.finding,
            "The p95 lay between 12 ms and 900 ms; the highest rate that holds is 300/s."
        );
        let legend: Vec<_> = figure.legend.iter().map(|key| key.label.as_str()).collect();
        assert_eq!(
            legend,
            ["p95", "held", "broke", "unclear", "too many failed"]
        );
        insta::assert_snapshot!(figure.panels[0].wide);
    }

    #[test]
    fn one_probe_without_an_answer_is_drawn_too() {
        let figure = found(None, vec![probe(100.0, None, ProbeOutcome::Broke)]);
        assert_eq!(
            figure.finding,
            "No rate that was tried had a p95; no rate that was tried holds."
        );
        assert!(figure.panels[0].narrow.contains("100/s: p95 no answer"));
    }
}
