//! Lanes: bars, signs and words at heights of their own, for charts whose y-axis counts nothing.
//!
//! Invariant: heights are units below the top of the plot; instants are seconds of the load and
//! never leave the plot.

use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, VPos};

use super::{Drawn, Frame};
use crate::chart::ink::Ink;
use crate::chart::svg::{TENTHS, text_width};

/// A sign that stands for something that happened at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chart) enum Shape {
    Down,
    Up,
    Dot,
    Square,
}

impl Frame {
    fn y(&self, below: i32) -> i32 {
        self.plot_edges().0 + below * TENTHS
    }

    /// A filled bar between two instants and two heights; at least one unit wide.
    pub(in crate::chart) fn bar(
        &self,
        (from, until): (f64, f64),
        (top, bottom): (i32, i32),
        ink: Ink,
    ) -> Drawn {
        let left = self.x(from);
        let right = self.x(until).max(left + TENTHS);
        self.sheet.draw(&Rectangle::new(
            [(left, self.y(top)), (right, self.y(bottom))],
            ink.fill(),
        ))
    }

    /// A bar that stands on `floor` and is `tenths` of a unit high.
    pub(in crate::chart) fn column(
        &self,
        (from, until): (f64, f64),
        floor: i32,
        tenths: i32,
        ink: Ink,
    ) -> Drawn {
        let foot = self.y(floor);
        let (left, right) = (self.x(from), self.x(until));
        let right = (right - 3).max(left + 5);
        self.sheet.draw(&Rectangle::new(
            [(left, foot - tenths), (right, foot)],
            ink.fill(),
        ))
    }

    /// A line across the plot.
    pub(in crate::chart) fn rule(&self, below: i32, ink: Ink) -> Drawn {
        let time = self.plot.x_range();
        let y = self.y(below);
        self.sheet.draw(&PathElement::new(
            vec![(self.x(time.start), y), (self.x(time.end), y)],
            ink.line(),
        ))
    }

    /// A line at an instant between two heights.
    pub(in crate::chart) fn tick(&self, at: f64, (top, bottom): (i32, i32), ink: Ink) -> Drawn {
        let x = self.x(at);
        self.sheet.draw(&PathElement::new(
            vec![(x, self.y(top)), (x, self.y(bottom))],
            ink.line(),
        ))
    }

    /// A sign with its middle at an instant and a height.
    pub(in crate::chart) fn sign(&self, at: f64, middle: i32, shape: Shape, ink: Ink) -> Drawn {
        self.shape((self.x(at), self.y(middle)), shape, ink)
    }

    /// A sign with its middle at a place across and a value.
    pub(in crate::chart) fn sign_at(&self, point: (f64, f64), shape: Shape, ink: Ink) -> Drawn {
        self.shape(self.plot.backend_coord(&point), shape, ink)
    }

    fn shape(&self, (x, y): (i32, i32), shape: Shape, ink: Ink) -> Drawn {
        let r = 9 * TENTHS / 2;
        match shape {
            Shape::Dot => self.sheet.draw(&Circle::new((x, y), r * 4 / 5, ink.fill())),
            Shape::Square => self.sheet.draw(&Rectangle::new(
                [(x - r, y - r), (x + r, y + r)],
                ink.fill(),
            )),
            Shape::Down => self.sheet.draw(&Polygon::new(
                vec![(x - r, y - r), (x + r, y - r), (x, y + r)],
                ink.fill(),
            )),
            Shape::Up => self.sheet.draw(&Polygon::new(
                vec![(x - r, y + r), (x + r, y + r), (x, y - r)],
                ink.fill(),
            )),
        }
    }

    /// A line from top to bottom at a place across, with words beside its upper end.
    pub(in crate::chart) fn here(&self, at: f64, text: &str) -> Drawn {
        let (x, (ceiling, floor)) = (self.x(at), self.plot_edges());
        self.svg.begin_group("here", Some(text));
        self.sheet.draw(&PathElement::new(
            vec![(x, ceiling), (x, floor)],
            Ink::Flag.line(),
        ))?;
        self.words_at(at, 9, text, Ink::Title)?;
        self.svg.end_group();
        Ok(())
    }

    /// A numbered disc.
    pub(in crate::chart) fn disc(&self, at: f64, middle: i32, text: &str, ink: Ink) -> Drawn {
        let (x, y) = (self.x(at), self.y(middle));
        self.sheet
            .draw(&Circle::new((x, y), 8 * TENTHS, ink.fill()))?;
        let style = self.sized_text(Ink::FlagText, HPos::Center, VPos::Center, 0.86);
        self.sheet.draw_text(text, &style, (x, y))
    }

    /// Words beside an instant: to its right, or to its left where there is no room.
    pub(in crate::chart) fn words_at(&self, at: f64, middle: i32, text: &str, ink: Ink) -> Drawn {
        let x = self.x(at);
        let width = text_width(text, self.paper.font * 0.92 * f64::from(TENTHS)).cast_signed();
        let end = self.x(self.plot.x_range().end) + (self.paper.right - 4) * TENTHS;
        let (side, x) = if x + 8 * TENTHS + width <= end {
            (HPos::Left, x + 8 * TENTHS)
        } else {
            (HPos::Right, x - 8 * TENTHS)
        };
        let style = self.sized_text(ink, side, VPos::Center, 0.92);
        self.sheet.draw_text(text, &style, (x, self.y(middle)))
    }

    /// Words at the left end of the plot.
    pub(in crate::chart) fn words_left(&self, middle: i32, text: &str, ink: Ink) -> Drawn {
        let x = self.x(self.plot.x_range().start);
        let style = self.sized_text(ink, HPos::Left, VPos::Center, 0.92);
        self.sheet.draw_text(text, &style, (x, self.y(middle)))
    }

    /// The name of a lane in the margin.
    pub(in crate::chart) fn lane_name(&self, middle: i32, text: &str) -> Drawn {
        let x = self.x(self.plot.x_range().start) - 8 * TENTHS;
        let style = self.sized_text(Ink::Label, HPos::Right, VPos::Center, 0.92);
        self.sheet.draw_text(text, &style, (x, self.y(middle)))
    }
}
