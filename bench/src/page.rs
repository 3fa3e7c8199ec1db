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
}

pub(crate) fn markdown(heading: &Heading, sitting: &Sitting, sections: &[Section]) -> String {
    let mut parts = vec![introduction(heading, sitting)];
    parts.extend(sections.iter().map(Section::markdown));
    parts.join("\n\n")
}

fn introduction(heading: &Heading, sitting: &Sitting) -> String {
    let extent = sitting.extent;
    let cores = sitting.cores;
    let noise = sitting.all_noise.borrow().remark();
    let versions = match sitting.versions() {
        none if none.is_empty() => none,
        known => format!("\n\nVersions: {known}."),
    };
    format!(
        "Measured on {} by `{}` on {}: {} of {} s (some of {} s), everybody once a round and in turns, server pinned to core {}, \
         generator to core {}. Figures drift from sitting to sitting: compare those of one.{noise}{versions}",
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
    use crate::noise::Noise;

    fn heading() -> Heading {
        Heading {
            day: Date::constant(2026, 11, 21),
            command: "bench closed".to_owned(),
        }
    }

    #[test]
    fn date_command_and_versions_stand_beside_the_figures() {
        let sitting = Sitting::for_tests();
        sitting.note_version("wrk", "4.1.0".to_owned());
        let page = markdown(&heading(), &sitting, &[Section::new("Speed", "One core.")]);
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
    fn runs_that_were_disturbed_are_told_and_not_what_was_before() {
        let sitting = Sitting::for_tests();
        sitting.all_noise.replace(Noise {
            runs: 40,
            disturbed: 3,
            ..Noise::default()
        });
        let page = markdown(&heading(), &sitting, &[]);
        assert!(page.contains("**The machine was not quiet"), "{page}");
        assert!(page.contains("3 of 40 runs"), "{page}");
    }
}
