//! The error budget: bad ones added up over time against what each claim allows.
//!
//! Invariant: what counts as bad and how much of it is allowed is the claim's own; one panel a claim.

use super::frame::{Axes, Frame, Scene, THIRD, draw, seconds};
use super::ink::Ink;
use super::{ChartError, Figure, Panel, Sign, Table, key, scale};
use crate::timeline::Timeline;
use crate::view::{Budget, Story, budgets};
use crate::words;

const CHART: &str = "budget";
const TITLE: &str = "Error budget";
const PANELS: [&str; 3] = ["budget-a", "budget-b", "budget-c"];

/// The figure, if a claim has a budget.
pub(super) fn figure(story: &Story<'_>, timeline: &Timeline) -> Result<Option<Figure>, ChartError> {
    let budgets = budgets(story);
    if budgets.is_empty() {
        return Ok(None);
    }
    let scene = Scene::of(story);
    let mut curves = Vec::new();
    let mut panels = Vec::new();
    for (id, budget) in PANELS.into_iter().zip(&budgets) {
        let curve = Curve {
            id,
            budget,
            scene: &scene,
            spent: budget.spent_by(story, timeline),
        };
        panels.push(Panel {
            title: budget.title.clone(),
            note: budget.finding(),
            wide: curve.draw(timeline)?,
            narrow: String::new(),
        });
        curves.push(curve);
    }
    Ok(Some(Figure {
        id: CHART.to_owned(),
        title: TITLE,
        finding: finding(&budgets),
        caption: "Added up over the stages the claim is judged on. The share of 30 days takes this run's traffic as that of every day.".to_owned(),
        legend: vec![
            key(Ink::Spent, Sign::Solid, "spent so far"),
            key(Ink::Limit, Sign::Dashed, "allowed in this run"),
        ],
        panels,
        table: table(timeline, &curves),
    }))
}

fn finding(budgets: &[Budget]) -> String {
    let over: Vec<String> = budgets
        .iter()
        .filter(|budget| budget.bad > budget.allowed)
        .map(|budget| format!("\u{201c}{}\u{201d}", budget.claim))
        .collect();
    match over.as_slice() {
        [] => "No claim spent more than it allows.".to_owned(),
        _ => format!("More was spent than is allowed by {}.", words::list(&over)),
    }
}

struct Curve<'a> {
    id: &'static str,
    budget: &'a Budget,
    scene: &'a Scene,
    /// Spent at the end of each bucket.
    spent: Vec<u64>,
}

impl Curve<'_> {
    fn draw(&self, timeline: &Timeline) -> Result<String, ChartError> {
        let total = self.spent.last().copied().unwrap_or(0);
        let top = (total.max(self.budget.allowed) as f64 * 1.08).max(1.0);
        let marks = scale::marks(top, 3);
        let label = |value: &f64| whole(*value);
        let axes = Axes {
            chart: self.id,
            kind: CHART,
            height: 90,
            values: (0.0, marks.last().copied().unwrap_or(1.0)),
            marks,
            label: &label,
            cap_row: false,
            windows: true,
        };
        let texts = (self.budget.title.as_str(), self.budget.finding());
        draw(self.scene, THIRD, &axes, (texts.0, &texts.1), |frame| {
            self.content(frame, timeline)
        })
    }

    fn content(&self, frame: &mut Frame, timeline: &Timeline) -> super::frame::Drawn {
        let mut points = vec![(0.0, 0.0)];
        let ends = timeline.buckets.iter().map(|bucket| seconds(bucket.end));
        points.extend(ends.zip(self.spent.iter().map(|spent| *spent as f64)));
        frame.begin_group("series", "spent so far");
        frame.line(points, Ink::Spent)?;
        frame.end_group();
        frame.limit(
            self.budget.allowed as f64,
            &format!("allowed: {}", words::count(self.budget.allowed)),
        )
    }
}

/// `1,500`; marks between whole numbers have no label.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mark is positive and far below 2^53"
)]
fn whole(value: f64) -> String {
    if value.fract().abs() < 1e-9 {
        words::count(value as u64)
    } else {
        String::new()
    }
}

fn table(timeline: &Timeline, curves: &[Curve<'_>]) -> Table {
    let head = curves.iter().map(|curve| curve.budget.title.clone());
    let rows = timeline.buckets.iter().enumerate().map(|(i, bucket)| {
        let spent = curves
            .iter()
            .map(|curve| words::count(curve.spent.get(i).copied().unwrap_or(0)));
        std::iter::once(words::clock_seconds(bucket.end))
            .chain(spent)
            .collect()
    });
    Table {
        head: std::iter::once("until".to_owned()).chain(head).collect(),
        rows: rows.collect(),
    }
}
