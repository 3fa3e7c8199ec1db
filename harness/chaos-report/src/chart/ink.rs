//! What can be drawn: each ink is a class of the style sheet, with a light colour for readers that drop it.
//!
//! plotters hands colours to a backend, not classes, so each ink has a colour of its own and the
//! backend looks the ink up by it. Invariant: no two inks share a colour.

use plotters::style::{Color, ShapeStyle};
use plotters_backend::BackendColor;

/// An ink; the palette is that of `reports/templates/report.css`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Label,
    Title,
    Axis,
    Grid,
    P50,
    P95,
    P99,
    Limit,
    Offered,
    Achieved,
    Good,
    Gap,
    Lost,
    KindConnect,
    KindTime,
    KindAnswer,
    KindUnsent,
    Spent,
    Load,
    Lane,
    Down,
    Up,
    Ready,
    Note,
    Stop,
    Fault,
    FaultTail,
    FaultEnd,
    Flag,
    FlagText,
    Stage,
    StageText,
    Boundary,
    CapRow,
}

impl Ink {
    const ALL: [Self; 34] = [
        Self::Label,
        Self::Title,
        Self::Axis,
        Self::Grid,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::Limit,
        Self::Offered,
        Self::Achieved,
        Self::Good,
        Self::Gap,
        Self::Lost,
        Self::KindConnect,
        Self::KindTime,
        Self::KindAnswer,
        Self::KindUnsent,
        Self::Spent,
        Self::Load,
        Self::Lane,
        Self::Down,
        Self::Up,
        Self::Ready,
        Self::Note,
        Self::Stop,
        Self::Fault,
        Self::FaultTail,
        Self::FaultEnd,
        Self::Flag,
        Self::FlagText,
        Self::Stage,
        Self::StageText,
        Self::Boundary,
        Self::CapRow,
    ];

    /// Class in the style sheet and the light colour.
    fn look(self) -> (&'static str, (u8, u8, u8)) {
        match self {
            Self::Label => ("i-label", (0x4a, 0x52, 0x5c)),
            Self::Title => ("i-title", (0x1c, 0x21, 0x28)),
            Self::Axis => ("i-axis", (0x8a, 0x93, 0x9e)),
            Self::Grid => ("i-grid", (0xe3, 0xe6, 0xea)),
            Self::P50 => ("i-p50", (0x00, 0x7a, 0x5a)),
            Self::P95 => ("i-p95", (0xb3, 0x47, 0x00)),
            Self::P99 => ("i-p99", (0x6a, 0x3d, 0x9a)),
            Self::Limit => ("i-limit", (0x1a, 0x1a, 0x1a)),
            Self::Offered => ("i-offered", (0x1b, 0x1a, 0x1a)),
            Self::Achieved => ("i-achieved", (0x01, 0x7a, 0x5a)),
            Self::Good => ("i-good", (0x02, 0x7a, 0x5a)),
            Self::Gap => ("i-gap", (0xb4, 0x47, 0x00)),
            Self::Lost => ("i-lost", (0x6b, 0x3d, 0x9a)),
            Self::KindConnect => ("i-k-connect", (0xb5, 0x47, 0x00)),
            Self::KindTime => ("i-k-time", (0x6c, 0x3d, 0x9a)),
            Self::KindAnswer => ("i-k-answer", (0x00, 0x63, 0x9c)),
            Self::KindUnsent => ("i-k-unsent", (0x5a, 0x62, 0x6d)),
            Self::Spent => ("i-spent", (0xb6, 0x47, 0x00)),
            Self::Load => ("i-load", (0x8a, 0x94, 0x9e)),
            Self::Lane => ("i-lane", (0xe4, 0xe6, 0xea)),
            Self::Down => ("i-down", (0xa8, 0x23, 0x1a)),
            Self::Up => ("i-up", (0x7d, 0x52, 0x00)),
            Self::Ready => ("i-ready", (0x00, 0x69, 0x4d)),
            Self::Note => ("i-note", (0x6d, 0x3d, 0x9a)),
            Self::Stop => ("i-stop", (0x1c, 0x1a, 0x1a)),
            Self::Fault => ("i-fault", (0x3d, 0x5a, 0x80)),
            Self::FaultTail => ("i-tail", (0x3e, 0x5a, 0x80)),
            Self::FaultEnd => ("i-fault-end", (0x40, 0x5a, 0x80)),
            Self::Flag => ("i-flag", (0x3f, 0x5a, 0x80)),
            Self::FlagText => ("i-flag-text", (0xff, 0xff, 0xff)),
            Self::Stage => ("i-stage", (0xec, 0xee, 0xf2)),
            Self::StageText => ("i-stage-text", (0x4b, 0x52, 0x5c)),
            Self::Boundary => ("i-boundary", (0xc6, 0xcc, 0xd4)),
            Self::CapRow => ("i-cap", (0xf6, 0xf1, 0xec)),
        }
    }

    pub(super) fn class(self) -> &'static str {
        self.look().0
    }

    /// The light colour as `#rrggbb`.
    pub(super) fn light(self) -> String {
        let (red, green, blue) = self.look().1;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Stroke width in units, and the pattern of dashes.
    pub(super) fn stroke(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::P50 => ("1.8", Some("6 3")),
            Self::P95 | Self::Spent => ("2.4", None),
            Self::P99 => ("2", Some("1.5 3.5")),
            Self::Limit => ("1.3", Some("9 5")),
            Self::Offered => ("1.5", Some("5 3")),
            // Wide enough to show on both sides of the line of what was offered.
            Self::Achieved => ("4", None),
            Self::Good => ("1.6", None),
            Self::Fault | Self::Flag => ("1.5", None),
            Self::Boundary | Self::FaultEnd => ("1", Some("2 3")),
            _ => ("1", None),
        }
    }

    /// The hatch an area is filled with, if it is not filled solid: spacing in units.
    pub(super) fn hatch(self) -> Option<u32> {
        match self {
            Self::Gap => Some(4),
            Self::Fault => Some(5),
            Self::FaultTail => Some(9),
            _ => None,
        }
    }

    /// The ink that has this colour.
    pub(super) fn of(color: BackendColor) -> Option<Self> {
        Self::ALL.into_iter().find(|ink| ink.look().1 == color.rgb)
    }

    pub(super) fn line(self) -> ShapeStyle {
        ShapeStyle {
            color: self.to_rgba(),
            filled: false,
            stroke_width: 1,
        }
    }

    pub(super) fn fill(self) -> ShapeStyle {
        ShapeStyle {
            color: self.to_rgba(),
            filled: true,
            stroke_width: 0,
        }
    }
}

impl Color for Ink {
    fn to_backend_color(&self) -> BackendColor {
        BackendColor {
            alpha: 1.0,
            rgb: self.look().1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ink_is_found_by_its_colour() {
        for ink in Ink::ALL {
            assert_eq!(Ink::of(ink.to_backend_color()), Some(ink));
        }
    }
}
