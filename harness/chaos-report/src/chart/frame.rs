//! The frame all charts share: axes, and over time the row of stages, fault windows with their flags.
//!
//! Invariant: the same instant lies at the same place in every chart over time of one paper.

mod lanes;
mod scenery;

use std::convert::Infallible;

use chaos_record::SECOND_NS;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoTextStyle, TextStyle};

pub(super) use self::lanes::Shape;
use super::ChartError;
use super::ink::Ink;
use super::scale::{Axis, clock_marks, marks};
use super::svg::{Svg, TENTHS};
use crate::clean::clean_to;
use crate::view::{FaultSpan, Story, spans};

/// What drawing on the frame gives.
pub(super) type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<Infallible>>;
type Plot = ChartContext<'static, Svg, Cartesian2d<Axis, Axis>>;

/// Most characters of a name in a drawing.
const NAME_MAX: usize = 60;
/// Height of the rows above the plot, units.
const ROW: i32 = 17;
const ROW_GAP: i32 = 4;
/// Between names at the ends of lines, tenths.
const NAME_GAP: i32 = 13 * TENTHS;

/// How large a drawing is and how much fits on it, units.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paper {
    pub(super) name: &'static str,
    width: i32,
    font: f64,
    left: i32,
    right: i32,
    time_marks: usize,
    pub(super) value_marks: usize,
}

/// For a screen and for A4.
pub(super) const WIDE: Paper = Paper {
    name: "wide",
    width: 880,
    font: 12.5,
    left: 70,
    right: 42,
    time_marks: 11,
    value_marks: 5,
};
/// For a telephone.
pub(super) const NARROW: Paper = Paper {
    name: "narrow",
    width: 360,
    font: 11.5,
    left: 50,
    right: 30,
    time_marks: 5,
    value_marks: 4,
};

/// For a third of the width, and for a telephone.
pub(super) const THIRD: Paper = Paper {
    name: "third",
    width: 330,
    font: 11.0,
    left: 46,
    right: 18,
    time_marks: 4,
    value_marks: 3,
};
/// For one column of a card.
pub(super) const SMALL: Paper = Paper {
    name: "small",
    width: 420,
    font: 11.5,
    left: 52,
    right: 26,
    time_marks: 5,
    value_marks: 4,
};

/// What a chart wants of its frame.
pub(super) struct Axes<'a> {
    /// Unique in the report.
    pub(super) chart: &'a str,
    /// Kind of chart, for errors.
    pub(super) kind: &'static str,
    /// Height of the plot itself, units.
    pub(super) height: i32,
    pub(super) values: (f64, f64),
    pub(super) marks: Vec<f64>,
    pub(super) label: &'a dyn Fn(&f64) -> String,
    /// Whether there is a row for requests without answer.
    pub(super) cap_row: bool,
    /// Whether the faults are drawn behind the data.
    pub(super) windows: bool,
}

/// What the axis across counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Across {
    /// Seconds of the load.
    Time,
    /// Journeys a second.
    Rate,
}

/// Stages and faults of a run, with their names made clean.
pub(super) struct Scene {
    across: Across,
    from: f64,
    until: f64,
    stages: Vec<(String, f64, f64)>,
    faults: Vec<FaultSpan>,
}

impl Scene {
    /// Rates from 0 to `until`; without anything that happened at an instant.
    pub(super) fn of_rates(until: f64) -> Self {
        Self {
            across: Across::Rate,
            from: 0.0,
            until,
            stages: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub(super) fn of(story: &Story<'_>) -> Self {
        Self::span(story, 0, story.verdict.load_length)
    }

    /// The part from `from` to `until`, nanoseconds of the load.
    pub(super) fn span(story: &Story<'_>, from: u64, until: u64) -> Self {
        let (mut faults, until) = (spans(story), until.max(from));
        faults.sort_by_key(|fault| fault.from);
        let (from_s, until_s) = (seconds(from), seconds(until));
        let stages = story.verdict.stages.iter().map(|stage| {
            let (start, end) = (seconds(stage.start), seconds(stage.end));
            (
                short(&stage.name),
                start.clamp(from_s, until_s),
                end.clamp(from_s, until_s),
            )
        });
        Self {
            across: Across::Time,
            from: from_s,
            until: until_s,
            stages: stages.filter(|(_, start, end)| start < end).collect(),
            faults: faults
                .into_iter()
                .filter(|fault| fault.from <= until && fault.until >= from)
                .map(|fault| FaultSpan {
                    name: short(&fault.name),
                    ..fault
                })
                .collect(),
        }
    }

    /// Marks of the axis across, about `most` of them.
    fn marks(&self, most: usize) -> Vec<f64> {
        match self.across {
            Across::Time => clock_marks((self.from, self.until), most),
            Across::Rate => {
                let mut marks = marks(self.until, most);
                marks.retain(|mark| *mark <= self.until);
                marks
            }
        }
    }

    /// Whether any fault took effect.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }
}

/// A name that is drawn or pointed at, once in every drawing.
pub(super) fn short(name: &str) -> String {
    clean_to(NAME_MAX, name)
}

pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND_NS as f64
}

/// A frame to draw into.
pub(super) struct Frame {
    svg: Svg,
    sheet: DrawingArea<Svg, Shift>,
    plot: Plot,
    paper: Paper,
    /// Top of the row for requests without answer, tenths.
    cap_top: Option<i32>,
}

/// Draws one chart: frame, then `content`; `title` and `finding` are its accessible texts.
pub(super) fn draw(
    scene: &Scene,
    paper: Paper,
    axes: &Axes<'_>,
    (title, finding): (&str, &str),
    content: impl FnOnce(&mut Frame) -> Drawn,
) -> Result<String, ChartError> {
    let failed = |error: DrawingAreaErrorKind<Infallible>| ChartError::Draw {
        chart: axes.kind,
        what: error.to_string(),
    };
    let mut frame = Frame::new(scene, paper, axes).map_err(failed)?;
    frame.scenery(scene, axes).map_err(failed)?;
    content(&mut frame).map_err(failed)?;
    frame.flags(scene).map_err(failed)?;
    Ok(frame.svg.finish(paper.name, title, finding))
}

impl Frame {
    fn new(scene: &Scene, paper: Paper, axes: &Axes<'_>) -> Drawn<Self> {
        let row_of_stages = i32::from(scene.across == Across::Time);
        let rows = row_of_stages + i32::from(scene.has_faults()) + i32::from(axes.cap_row);
        let top = rows * (ROW + ROW_GAP) + 3;
        let bottom = 26;
        let height = top + axes.height + bottom;
        let svg = Svg::new(
            format!("{}-{}", axes.chart, paper.name),
            paper.width.unsigned_abs(),
            height.unsigned_abs(),
        );
        let sheet = svg.clone().into_drawing_area();
        let mut builder = ChartBuilder::on(&sheet);
        builder
            .margin_top(top * TENTHS)
            .margin_right(paper.right * TENTHS);
        builder
            .x_label_area_size(bottom * TENTHS)
            .y_label_area_size(paper.left * TENTHS);
        let time = Axis {
            from: scene.from,
            until: scene.until.max(scene.from + 0.1),
            marks: scene.marks(paper.time_marks),
        };
        let values = Axis {
            from: axes.values.0,
            until: axes.values.1,
            marks: axes.marks.clone(),
        };
        let plot = builder.build_cartesian_2d(time, values)?;
        let cap_top = axes.cap_row.then_some((top - ROW - ROW_GAP + 1) * TENTHS);
        Ok(Self {
            svg,
            sheet,
            plot,
            paper,
            cap_top,
        })
    }

    /// A line through values over time.
    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, ink: Ink) -> Drawn {
        self.plot
            .draw_series(std::iter::once(PathElement::new(points, ink.line())))?;
        Ok(())
    }

    /// An area between two corners, time and value each.
    pub(super) fn area(&mut self, corners: [(f64, f64); 2], ink: Ink) -> Drawn {
        self.plot
            .draw_series(std::iter::once(Rectangle::new(corners, ink.fill())))?;
        Ok(())
    }

    /// A line across the plot at `value`, named just above its left end.
    pub(super) fn limit(&mut self, value: f64, name: &str) -> Drawn {
        let range = self.plot.x_range();
        self.svg.begin_group("limit", Some(name));
        self.line(vec![(range.start, value), (range.end, value)], Ink::Limit)?;
        let (x, y) = self.plot.backend_coord(&(range.start, value));
        self.sheet.draw_text(
            name,
            &self.text(Ink::Title, HPos::Left, VPos::Bottom),
            (x + 6 * TENTHS, y - TENTHS),
        )?;
        self.svg.end_group();
        Ok(())
    }

    /// The row for what got no answer: its background, and its name at the left end.
    pub(super) fn cap_row(&self) -> Drawn {
        let Some(top) = self.cap_top else {
            return Ok(());
        };
        let range = self.plot.x_range();
        let (left, right) = (self.x(range.start), self.x(range.end));
        self.sheet.draw(&Rectangle::new(
            [(left, top), (right, top + ROW * TENTHS)],
            Ink::CapRow.fill(),
        ))?;
        let style = self.sized_text(Ink::Title, HPos::Left, VPos::Center, 0.9);
        self.sheet.draw_text(
            "no answer",
            &style,
            (left + 6 * TENTHS, top + ROW * TENTHS / 2),
        )
    }

    /// A stroke in the row for what got no answer, on the first, second or third of its lanes.
    pub(super) fn cap(&self, (from, until): (f64, f64), lane: i32, ink: Ink) -> Drawn {
        let Some(top) = self.cap_top else {
            return Ok(());
        };
        let y = top + (2 + lane * 5) * TENTHS;
        self.sheet.draw(&Rectangle::new(
            [(self.x(from), y), (self.x(until), y + 4 * TENTHS)],
            ink.fill(),
        ))
    }

    /// Names at the right ends of lines, moved apart where they would touch: value, name, ink.
    pub(super) fn end_names(&self, mut names: Vec<(f64, String, Ink)>) -> Drawn {
        names.sort_by(|a, b| b.0.total_cmp(&a.0));
        let right = self.x(self.plot.x_range().end) + 5 * TENTHS;
        let floor = self.plot_edges().1 - 3 * TENTHS;
        let mut free = i32::MIN;
        for (below, (value, name, ink)) in (1..=names.len()).rev().zip(names) {
            let (_, y) = self.plot.backend_coord(&(0.0, value));
            // Those below need their room above the floor too.
            let lowest = floor - (i32::try_from(below).unwrap_or(1) - 1) * NAME_GAP;
            let y = y.min(lowest).max(free);
            free = y + NAME_GAP;
            self.sheet.draw_text(
                &name,
                &self.sized_text(ink, HPos::Left, VPos::Center, 0.96),
                (right, y),
            )?;
        }
        Ok(())
    }

    pub(super) fn begin_group(&self, class: &str, title: &str) {
        self.svg.begin_group(class, Some(title));
    }

    pub(super) fn end_group(&self) {
        self.svg.end_group();
    }

    /// Where an instant lies; one outside the drawing lies at its edge.
    fn x(&self, at: f64) -> i32 {
        let (time, range) = (self.plot.x_range(), self.plot.y_range());
        let at = at.clamp(time.start, time.end);
        self.plot.backend_coord(&(at, range.start)).0
    }

    /// Top and bottom of the plot, tenths.
    fn plot_edges(&self) -> (i32, i32) {
        let range = self.plot.y_range();
        (
            self.plot.backend_coord(&(0.0, range.end)).1,
            self.plot.backend_coord(&(0.0, range.start)).1,
        )
    }

    fn text(&self, ink: Ink, h_pos: HPos, v_pos: VPos) -> TextStyle<'static> {
        self.sized_text(ink, h_pos, v_pos, 1.0)
    }

    fn sized_text(&self, ink: Ink, h_pos: HPos, v_pos: VPos, factor: f64) -> TextStyle<'static> {
        let size = self.paper.font * factor * f64::from(TENTHS);
        ("sans-serif", size)
            .with_color(ink)
            .into_text_style(&self.sheet)
            .pos(Pos::new(h_pos, v_pos))
    }
}
