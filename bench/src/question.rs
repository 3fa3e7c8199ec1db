//! What is asked: each question in a file of the same shape, from a sitting to a [`Section`].
//!
//! Invariant: a question names its own entrants and goals; how they are run is the same for all.

mod closed;
mod connections;
mod http2;
mod instructions;
mod journeys;
mod open;
mod proxy;
mod rates;
mod soak;

use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use crate::noise::Noise;
use crate::section::Section;
use crate::server::Missing;
use crate::sitting::Sitting;
use crate::{interrupt, output};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Question {
    /// As fast as possible over 64 connections, against the peers
    Closed,
    /// How true the latency is at a rate, against the peers
    Open,
    /// What journeys of three steps cost
    Journeys,
    /// HTTP/2 over TLS, against the peers
    Http2,
    /// Memory at ten thousand connections
    Connections,
    /// The proxy, against the peers
    Proxy,
    /// User-space instructions for each request
    Instructions,
    /// Memory over a long run in simulated time
    Soak,
    /// All of these
    All,
}

impl Question {
    /// What is meant, each once, in the order of the tables.
    pub(crate) fn expand(asked: &[Self]) -> Vec<Self> {
        let every: Vec<_> = Self::value_variants()
            .iter()
            .copied()
            .filter(|question| *question != Self::All)
            .collect();
        if asked.is_empty() || asked.contains(&Self::All) {
            return every;
        }
        every
            .into_iter()
            .filter(|question| asked.contains(question))
            .collect()
    }

    /// Measures. What is not installed or does not work leaves its mark in the answer; only Ctrl-C is an error.
    pub(crate) fn answer(self, sitting: &Sitting) -> Result<Section> {
        let name = self
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned());
        output::progress(&format!("{name}: begun"));
        let began = Instant::now();
        sitting.noise.replace(Noise::default());
        let answered = match self {
            Self::Closed => closed::answer(sitting),
            Self::Open => open::answer(sitting),
            Self::Journeys => journeys::answer(sitting),
            Self::Http2 => http2::answer(sitting),
            Self::Connections => connections::answer(sitting),
            Self::Proxy => proxy::answer(sitting),
            Self::Instructions => instructions::answer(sitting),
            Self::Soak => soak::answer(sitting),
            Self::All => unreachable!("expanded before"),
        };
        let mut section = match answered {
            Ok(section) => section,
            Err(error) if interrupt::is_interrupt(&error) => return Err(error),
            Err(error) => {
                output::progress(&format!("  {error:#}"));
                not_answered(&name, &error)
            }
        };
        output::progress(&format!("{name}: done in {} s", began.elapsed().as_secs()));
        let noise = sitting.noise.borrow();
        sitting.all_noise.borrow_mut().add(&noise);
        if noise.runs > 0 {
            section.notes.push(noise.footnote());
        }
        Ok(section)
    }
}

/// A peer that is not installed is nobody's fault; anything else is.
fn not_answered(name: &str, error: &anyhow::Error) -> Section {
    let is_broken = !error.is::<Missing>();
    let why = if is_broken {
        "Failed"
    } else {
        "Not available here"
    };
    Section {
        is_broken,
        ..Section::new(name, format!("{why}: {error:#}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_asked_is_everything_and_nothing_is_asked_twice() {
        assert_eq!(Question::expand(&[]), Question::expand(&[Question::All]));
        assert_eq!(Question::expand(&[]).len(), 8);
        let asked = [Question::Proxy, Question::Open, Question::Open];
        assert_eq!(Question::expand(&asked), [Question::Open, Question::Proxy]);
    }
}
