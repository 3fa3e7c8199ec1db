//! Those a claim is judged on: all requests, those of a journey or an endpoint, or journeys as wholes.
//!
//! Invariant: counts, response times and what was planned are always taken of the same ones.

use std::ops::Range;

use chaos_plan::plan::Part;
use hdrhistogram::Histogram;

use super::claims::Tally;
use crate::facts::{Facts, cells_of_seconds};
use crate::histogram::new_histogram;
use crate::outcome::Counts;

/// One group that a claim is judged on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Population {
    /// As findings name it: `all requests`, `journey buy`, `endpoint buy/pay`.
    pub(super) of: String,
    who: Who,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Requests.
    Part(Part),
    /// Journeys as wholes, by index.
    Whole(usize),
}

/// The groups of a part: all requests and then each journey; the requests of one journey and then
/// the journey as a whole; or one endpoint.
pub(super) fn of_part(facts: &Facts<'_>, part: Part) -> Vec<Population> {
    let journeys = &facts.plan.load.journeys;
    let name = |journey: usize| {
        journeys
            .get(journey)
            .map_or("?", |journey| journey.name.as_str())
    };
    let whole = |journey: usize| Population {
        of: format!("journey {}", name(journey)),
        who: Who::Whole(journey),
    };
    let requests = |of: String| Population {
        of,
        who: Who::Part(part),
    };
    match part {
        Part::All => std::iter::once(requests("all requests".to_owned()))
            .chain((0..journeys.len()).map(whole))
            .collect(),
        Part::Journey(journey) => vec![
            requests(format!("requests of {}", name(journey))),
            whole(journey),
        ],
        Part::Endpoint { journey, step } => {
            let step = journeys
                .get(journey)
                .and_then(|journey| journey.steps.get(step))
                .map_or("?", |step| step.name.as_str());
            vec![requests(format!("endpoint {}/{step}", name(journey)))]
        }
    }
}

impl Population {
    /// A journey as a whole beside the requests: it is listed only if it has too few.
    pub(super) fn is_beside(&self) -> bool {
        matches!(self.who, Who::Whole(_))
    }

    pub(super) fn counts(&self, facts: &Facts<'_>, cells: &Range<u64>) -> Counts {
        match self.who {
            Who::Part(part) => facts.picked(part, cells).counts,
            Who::Whole(journey) => facts.journey(journey, cells).counts,
        }
    }

    /// Counts over whole stages.
    pub(super) fn over(&self, facts: &Facts<'_>, stages: &[usize]) -> Counts {
        let mut counts = Counts::default();
        for stage in stages {
            counts.merge(&self.counts(facts, &facts.stage_cells(*stage)));
        }
        counts
    }

    /// Response times and bad ones over the whole seconds of the stages.
    pub(super) fn responses(&self, facts: &Facts<'_>, stages: &[usize]) -> (Histogram<u64>, u64) {
        let mut answers = new_histogram();
        let mut bad = 0;
        for seconds in stages.iter().map(|stage| facts.stage_seconds(*stage)) {
            let part = match self.who {
                Who::Part(part) => facts.responses_of(part, &seconds),
                Who::Whole(journey) => {
                    let series = facts.record.series.of_journey(journey);
                    facts.responses(Some(series), &seconds)
                }
            };
            answers.add(part).expect("all histograms share one layout");
            bad += self.counts(facts, &cells_of_seconds(&seconds)).bad();
        }
        (answers, bad)
    }

    /// Planned ones in these cells by the whole schedule, also beyond where the run ended.
    pub(super) fn planned(&self, facts: &Facts<'_>, cells: &Range<u64>) -> u64 {
        let whole = &facts.record.planned;
        let Range { start, end } = *cells;
        match self.who {
            Who::Part(Part::All) => whole.requests(start, end),
            Who::Part(Part::Journey(journey)) => {
                let steps = facts.plan.load.journeys.get(journey);
                let steps = steps.map_or(0, |journey| journey.steps.len() as u64);
                whole.of_journey(journey, start, end) * steps
            }
            Who::Part(Part::Endpoint { journey, .. }) | Who::Whole(journey) => {
                whole.of_journey(journey, start, end)
            }
        }
    }

    /// How many of them this many journeys are expected to make, by the weights of the mix.
    pub(super) fn expected(&self, facts: &Facts<'_>, journeys: f64) -> f64 {
        let all = &facts.plan.load.journeys;
        let total: f64 = all.iter().map(|journey| journey.weight).sum();
        let share = |journey: usize| {
            let weight = all.get(journey).map_or(0.0, |journey| journey.weight);
            if total > 0.0 { weight / total } else { 0.0 }
        };
        let steps = |journey: usize| all.get(journey).map_or(0.0, |it| it.steps.len() as f64);
        let each = match self.who {
            Who::Part(Part::All) => (0..all.len()).map(|it| share(it) * steps(it)).sum(),
            Who::Part(Part::Journey(journey)) => share(journey) * steps(journey),
            Who::Part(Part::Endpoint { journey, .. }) | Who::Whole(journey) => share(journey),
        };
        journeys * each
    }

    /// What a claim weighs: `bad` of the judged ones of `counts`.
    pub(super) fn tally(
        &self,
        facts: &Facts<'_>,
        stages: &[usize],
        counts: &Counts,
        bad: u64,
    ) -> Tally {
        let planned = stages
            .iter()
            .map(|stage| self.planned(facts, &facts.planned_cells(*stage)))
            .sum();
        Tally {
            n: counts.judged(),
            bad,
            // How many a closed model without a cycle would still have sent, nobody knows.
            planned: facts.is_paced().then_some(planned),
            whole: facts.whole(stages),
            alone: self.is_beside(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Run;

    #[test]
    fn the_groups_of_a_part_add_up() {
        let record = Run::kill().record();
        let facts = Facts::of(&record);
        let names = |part| -> Vec<String> {
            of_part(&facts, part)
                .into_iter()
                .map(|population| population.of)
                .collect()
        };
        assert_eq!(
            names(Part::All),
            ["all requests", "journey browse", "journey buy"]
        );
        assert_eq!(names(Part::Journey(1)), ["requests of buy", "journey buy"]);
        let look = Part::Endpoint {
            journey: 0,
            step: 1,
        };
        assert_eq!(names(look), ["endpoint browse/look"]);
        let all = 0..u64::MAX;
        let requests = |part| of_part(&facts, part).remove(0).counts(&facts, &all);
        let mut sum = requests(Part::Journey(0));
        sum.merge(&requests(Part::Journey(1)));
        assert_eq!(sum, requests(Part::All));
        assert_eq!(
            requests(Part::Journey(0)).total(),
            2 * requests(look).total()
        );
        for part in [Part::All, Part::Journey(0), look] {
            for population in of_part(&facts, part) {
                let found = population.counts(&facts, &all).total();
                assert_eq!(population.planned(&facts, &all), found, "{}", population.of);
            }
        }
    }
}
