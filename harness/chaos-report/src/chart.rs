//! The charts of a report: figures with two drawings, a finding in words and a table.
//!
//! Drawn with plotters through a backend of our own ([`svg`]) that writes classes, groups and titles.
//! Invariant: colours come from classes; what is drawn also stands in words (`finding`) and in
//! numbers (`table`), and a second sign beside colour tells lines apart. There is one y-axis.

mod frame;
mod ink;
mod latency;
mod load;
mod scale;
mod svg;

use serde::Serialize;
use thiserror::Error;

use crate::timeline::Timeline;
use crate::view::Story;

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
    pub id: &'static str,
    pub title: &'static str,
    /// What the chart shows, in a sentence.
    pub finding: String,
    /// How to read it.
    pub caption: String,
    pub legend: Vec<Key>,
    /// SVG for a screen and for paper.
    pub wide: String,
    /// SVG for a telephone.
    pub narrow: String,
    pub table: Table,
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
}

/// The numbers behind a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Table {
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

/// All charts of a run; none if no load was offered.
pub fn figures(story: &Story<'_>, timeline: &Timeline) -> Result<Vec<Figure>, ChartError> {
    if timeline.buckets.is_empty() {
        return Ok(Vec::new());
    }
    let mut figures = vec![latency::figure(story, timeline)?];
    if timeline.buckets.iter().any(|bucket| bucket.bad > 0) {
        figures.push(load::bad(story, timeline)?);
    }
    figures.push(load::offered(story, timeline)?);
    Ok(figures)
}
