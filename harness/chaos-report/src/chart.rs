//! The charts of a report: figures with panels, a finding in words and a table.
//!
//! Drawn with plotters through a backend of our own (`svg`) that writes classes, groups and titles.
//! Invariant: colours come from classes; what is drawn also stands in words (`finding`) and in
//! numbers (`table`), and a second sign beside colour tells lines apart. There is one y-axis.

mod budget;
mod capacity;
mod errors;
mod frame;
mod ink;
mod latency;
mod load;
mod mini;
mod replicas;
mod scale;
mod strip;
mod svg;

use serde::Serialize;
use thiserror::Error;

use crate::timeline::Timeline;
use crate::view::Story;

pub use self::capacity::searched;
pub use self::mini::minis;

/// Why a chart could not be drawn. The text completes "failed to ...".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChartError {
    #[error("draw the chart `{chart}`: {what}")]
    Draw { chart: &'static str, what: String },
}

/// One chart with all its forms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Unique in the report.
    pub id: String,
    pub title: &'static str,
    /// What the chart shows, in a sentence.
    pub finding: String,
    /// How to read it.
    pub caption: String,
    pub legend: Vec<Key>,
    pub panels: Vec<Panel>,
    /// Empty if the table stands elsewhere.
    pub table: Table,
}

/// One drawing of a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Panel {
    /// Empty if it is the only one.
    pub title: String,
    /// What this panel shows, in a sentence; empty if the figure says it.
    pub note: String,
    /// SVG for a screen and for paper.
    pub wide: String,
    /// SVG for a telephone; empty if the wide one serves both.
    pub narrow: String,
}

/// One entry of a legend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Class that gives the colour.
    pub class: &'static str,
    pub sign: Sign,
    pub label: String,
}

/// How a key looks beside its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    Solid,
    Dashed,
    Dotted,
    Bar,
    Hatch,
    Cap,
    Down,
    Up,
    Dot,
    Square,
}

/// The numbers behind a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    fn new<const N: usize>(head: [&str; N], rows: Vec<Vec<String>>) -> Self {
        Self {
            head: head.map(str::to_owned).to_vec(),
            rows,
        }
    }
}

fn key(ink: ink::Ink, sign: Sign, label: &str) -> Key {
    Key {
        class: ink.class(),
        sign,
        label: label.to_owned(),
    }
}

/// All charts of a run; none if no load was offered.
pub fn figures(story: &Story<'_>, timeline: &Timeline) -> Result<Vec<Figure>, ChartError> {
    if timeline.buckets.is_empty() {
        return Ok(Vec::new());
    }
    let mut figures = vec![
        strip::figure(story, timeline)?,
        latency::figure(story, timeline)?,
    ];
    figures.extend(replicas::figure(story)?);
    figures.push(load::figure(story, timeline)?);
    if timeline.buckets.iter().any(|bucket| bucket.bad > 0) {
        figures.push(errors::figure(story, timeline)?);
    }
    figures.extend(budget::figure(story, timeline)?);
    Ok(figures)
}
