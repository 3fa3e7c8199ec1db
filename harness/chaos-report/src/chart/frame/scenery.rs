//! What stands around the data: stages, fault windows and their flags, grid and axes.
//!
//! Invariant: fault windows lie behind the data and flags in front of it, so neither hides the other.

use chaos_plan::units::Rate;
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Across, Axes, Drawn, Frame, ROW, ROW_GAP, Scene, seconds};
use crate::chart::ink::Ink;
use crate::chart::svg::{TENTHS, text_width};
use crate::view::FaultSpan;
use crate::words;

impl Frame {
    /// Everything behind the data: stages, fault windows, grid and axes.
    pub(super) fn scenery(&mut self, scene: &Scene, axes: &Axes<'_>) -> Drawn {
        self.stages(scene)?;
        if axes.windows {
            self.windows(scene)?;
        }
        let label = self.text(Ink::Label, HPos::Left, VPos::Center);
        self.svg.begin_group("axes", None);
        self.plot
            .configure_mesh()
            .disable_x_mesh()
            .axis_style(Ink::Axis.line())
            .bold_line_style(Ink::Grid.line())
            .light_line_style(Ink::Grid.mix(0.0))
            .label_style(label)
            .set_all_tick_mark_size(4 * TENTHS)
            .x_label_formatter(&|at| scene.label(*at))
            .y_label_formatter(axes.label)
            .draw()?;
        self.svg.end_group();
        Ok(())
    }

    fn stages(&self, scene: &Scene) -> Drawn {
        self.svg.begin_group("stages", None);
        let (top, bottom) = (2 * TENTHS, (2 + ROW) * TENTHS);
        let (_, floor) = self.plot_edges();
        for (name, start, end) in &scene.stages {
            let (left, right) = (self.x(*start), self.x(*end));
            self.svg.begin_group(
                "stage",
                Some(&format!(
                    "stage {name}, {} to {}",
                    clock_label(*start),
                    clock_label(*end)
                )),
            );
            self.sheet.draw(&Rectangle::new(
                [(left, top), (right - TENTHS, bottom)],
                Ink::Stage.fill(),
            ))?;
            if text_width(name, self.paper.font * 0.92 * f64::from(TENTHS))
                < (right - left).unsigned_abs()
            {
                let style = self.sized_text(Ink::StageText, HPos::Center, VPos::Center, 0.92);
                self.sheet.draw_text(
                    name,
                    &style,
                    (i32::midpoint(left, right), i32::midpoint(top, bottom)),
                )?;
            }
            self.svg.end_group();
            if *start > scene.from {
                self.sheet.draw(&PathElement::new(
                    vec![(left, bottom), (left, floor)],
                    Ink::Boundary.line(),
                ))?;
            }
        }
        self.svg.end_group();
        Ok(())
    }

    /// Hatched: the fault itself close, what shoppers felt after it wide.
    fn windows(&self, scene: &Scene) -> Drawn {
        let (ceiling, floor) = self.plot_edges();
        for fault in &scene.faults {
            let [from, undone, until] =
                [fault.from, fault.undone, fault.until].map(|ns| self.x(seconds(ns)));
            self.svg
                .begin_group("fault-window", Some(&fault_title(fault)));
            if undone > from {
                self.sheet.draw(&Rectangle::new(
                    [(from, ceiling), (undone, floor)],
                    Ink::Fault.fill(),
                ))?;
            }
            if until > undone {
                self.sheet.draw(&Rectangle::new(
                    [(undone, ceiling), (until, floor)],
                    Ink::FaultTail.fill(),
                ))?;
                self.sheet.draw(&PathElement::new(
                    vec![(until, ceiling), (until, floor)],
                    Ink::FaultEnd.line(),
                ))?;
            }
            self.svg.end_group();
        }
        Ok(())
    }

    /// A flag with the letter of each fault above its start, in front of the data.
    pub(super) fn flags(&self, scene: &Scene) -> Drawn {
        let (_, floor) = self.plot_edges();
        let middle = (2 + ROW + ROW_GAP) * TENTHS + ROW * TENTHS / 2;
        let radius = 8 * TENTHS;
        let mut free = i32::MIN;
        for fault in &scene.faults {
            if seconds(fault.from) < scene.from {
                continue;
            }
            let pole = self.x(seconds(fault.from));
            let flag = pole.max(free);
            free = flag + 2 * radius + TENTHS;
            self.svg.begin_group("flag", Some(&fault_title(fault)));
            self.sheet.draw(&PathElement::new(
                vec![
                    (flag, middle + radius),
                    (pole, middle + radius + ROW_GAP * TENTHS),
                    (pole, floor),
                ],
                Ink::Flag.line(),
            ))?;
            self.sheet
                .draw(&Circle::new((flag, middle), radius, Ink::Flag.fill()))?;
            self.sheet.draw_text(
                &fault.letter,
                &self.sized_text(Ink::FlagText, HPos::Center, VPos::Center, 0.9),
                (flag, middle),
            )?;
            self.svg.end_group();
        }
        Ok(())
    }
}

impl Scene {
    /// A place on the axis across, in words.
    fn label(&self, at: f64) -> String {
        match self.across {
            Across::Time => clock_label(at),
            Across::Rate => Rate::new(at).to_string(),
        }
    }
}

/// `0:40` for 40 seconds; `1:00:00` for an hour.
fn clock_label(at: f64) -> String {
    let text = words::clock_seconds(
        std::time::Duration::from_secs_f64(at.max(0.0))
            .as_nanos()
            .try_into()
            .unwrap_or(u64::MAX),
    );
    text.strip_prefix('0')
        .map_or_else(|| text.clone(), str::to_owned)
}

fn fault_title(fault: &FaultSpan) -> String {
    let felt = if fault.until > fault.from {
        format!(" to {}", words::clock(fault.until))
    } else {
        String::new()
    };
    format!(
        "fault {} {}, {}{felt}",
        fault.letter,
        fault.name,
        words::clock(fault.from)
    )
}
