//! All answers on a page: what was measured, when, on what, with which programs.
//!
//! Invariant: nothing in it was typed by hand but the words around the figures.

use jiff::civil::Date;

use crate::machine;
use crate::section::Section;
use crate::sitting::Sitting;

/// What is known before the first run and belongs beside the figures.
#[derive(Debug)]
pub(crate) struct Heading {
    pub day: Date,
    /// As it was typed.
    pub command: String,
    /// Before anything of ours ran.
    pub load_average: Option<f64>,
}

/// More waiting than this before the sitting, and somebody else is at work.
const LOAD_MAX: f64 = 0.5;

pub(crate) fn markdown(heading: &Heading, sitting: &Sitting, sections: &[Section]) -> String {
    let mut parts = vec![introduction(heading, sitting)];
    parts.extend(sections.iter().map(Section::markdown));
    parts.join("\n\n")
}

fn introduction(heading: &Heading, sitting: &Sitting) -> String {
    let extent = sitting.extent;
    let cores = sitting.cores;
    let load = heading.load_average.map_or_else(
        || "the load before it is unknown".to_owned(),
        |load| format!("load average before it {load:.2}"),
    );
    let busy = if heading.load_average.is_some_and(|load| load > LOAD_MAX) {
        "\n\n**The machine was not quiet when this began: take these figures again.**"
    } else {
        ""
    };
    let versions = match sitting.versions() {
        none if none.is_empty() => none,
        known => format!("\n\nVersions: {known}."),
    };
    format!(
        "Measured on {} by `{}` on {}: {} of {} s (some of {} s), everybody once a round and in turns, server pinned to core {}, \
         generator to core {}; {load}. Figures drift from sitting to sitting: compare those of one.{busy}{versions}",
        heading.day,
        heading.command,
        machine::class(),
        rounds(extent.rounds),
        extent.seconds,
        extent.short_seconds(),
        cores.server,
        cores.generator,
    )
}

fn rounds(count: usize) -> String {
    match count {
        1 => "one round".to_owned(),
        more => format!("medians of {more} rounds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(load: f64) -> Heading {
        Heading {
            day: Date::constant(2026, 11, 21),
            command: "bench closed".to_owned(),
            load_average: Some(load),
        }
    }

    #[test]
    fn date_command_and_versions_stand_beside_the_figures() {
        let sitting = Sitting::for_tests();
        sitting.note_version("wrk", "4.1.0".to_owned());
        let page = markdown(
            &heading(0.1),
            &sitting,
            &[Section::new("Speed", "One core.")],
        );
        for expected in [
            "on 2026-11-21 by `bench closed`",
            "Versions: wrk 4.1.0.",
            "### Speed",
        ] {
            assert!(page.contains(expected), "{page}");
        }
        assert!(!page.contains("not quiet"), "{page}");
    }

    #[test]
    fn a_busy_beginning_is_told() {
        let page = markdown(&heading(2.0), &Sitting::for_tests(), &[]);
        assert!(page.contains("**The machine was not quiet"), "{page}");
    }
}
