//! Which rate to try next, from what was tried so far: up in large steps until a rate breaks, then
//! halving the gap (on a logarithmic scale), then both sides of it once more.
//!
//! Every rate has one vote for each probe of it; a tie counts as broken. One probe that was lucky or
//! unlucky is found out when the two sides of the gap are tried again: a third probe decides.
//! Invariant: pure, and it always ends: no rate has more than three votes but unclear ones, and no
//! search more than [`Search::probes_max`] probes. A rate that is said to hold held in most of its probes.

use chaos_plan::plan::Search;
use chaos_plan::units::Rate;

use super::SearchEnd;
use crate::verdict::ProbeOutcome;

/// What a probe showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// Journeys a second.
    pub rate: f64,
    pub outcome: ProbeOutcome,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    Probe(Rate),
    Over(SearchEnd),
}

/// The votes of one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Votes {
    rate: f64,
    held: usize,
    broke: usize,
}

impl Votes {
    fn holds(&self) -> bool {
        self.held > self.broke
    }

    /// Whether one more probe could not turn it.
    fn is_sure(&self) -> bool {
        self.held.abs_diff(self.broke) >= 2 || self.held + self.broke >= Search::VOTES
    }
}

/// The highest rate that holds below any that breaks, and the lowest that breaks.
pub fn bracket(tried: &[Tried]) -> (Option<f64>, Option<f64>) {
    let (low, high) = edges(&votes(tried));
    (low.map(|votes| votes.rate), high.map(|votes| votes.rate))
}

/// What to try next.
pub fn next(search: &Search, tried: &[Tried]) -> Next {
    let of = |votes: Votes| Next::Probe(Rate::new(votes.rate));
    if let Some(last) = tried.last()
        && last.outcome == ProbeOutcome::Unclear
    {
        let before = tried.iter().rev().nth(1);
        let again = before.is_some_and(|it| it.outcome == ProbeOutcome::Unclear);
        return if again {
            Next::Over(SearchEnd::Generator)
        } else {
            Next::Probe(Rate::new(last.rate))
        };
    }
    if tried.len() >= search.probes_max() {
        return Next::Over(SearchEnd::Spent);
    }
    match edges(&votes(tried)) {
        (None, None) => Next::Probe(search.from),
        (None, Some(high)) if !high.is_sure() => of(high),
        (None, Some(_)) => Next::Over(SearchEnd::Bottom),
        (Some(low), None) if low.rate < search.to.per_second() => {
            Next::Probe(Rate::new(up(search, low.rate)))
        }
        (Some(low), None) if !low.is_sure() => of(low),
        (Some(_), None) => Next::Over(SearchEnd::Top),
        (Some(low), Some(high)) => match between(search, low.rate, high.rate) {
            Some(middle) => Next::Probe(Rate::new(middle)),
            None if !low.is_sure() => of(low),
            None if !high.is_sure() => of(high),
            None => Next::Over(SearchEnd::Found),
        },
    }
}

/// Votes by rate, ascending; unclear probes have none.
fn votes(tried: &[Tried]) -> Vec<Votes> {
    let mut all: Vec<Votes> = Vec::new();
    for one in tried
        .iter()
        .filter(|it| it.outcome != ProbeOutcome::Unclear)
    {
        let at = all.partition_point(|votes| votes.rate < one.rate);
        let is_new = all
            .get(at)
            .is_none_or(|votes| votes.rate.total_cmp(&one.rate).is_ne());
        if is_new {
            let rate = one.rate;
            all.insert(
                at,
                Votes {
                    rate,
                    held: 0,
                    broke: 0,
                },
            );
        }
        match one.outcome {
            ProbeOutcome::Held => all[at].held += 1,
            _ => all[at].broke += 1,
        }
    }
    all
}

fn edges(votes: &[Votes]) -> (Option<Votes>, Option<Votes>) {
    let first_broken = votes.iter().position(|votes| !votes.holds());
    let below = &votes[..first_broken.unwrap_or(votes.len())];
    (below.last().copied(), first_broken.map(|at| votes[at]))
}

fn up(search: &Search, low: f64) -> f64 {
    let most = search.to.per_second();
    let rate = rounded(search, low * search.factor);
    if rate > low { rate.min(most) } else { most }
}

/// A rate between two, if they are not near enough yet.
fn between(search: &Search, low: f64, high: f64) -> Option<f64> {
    if high <= low * (1.0 + search.precision.ratio()) {
        return None;
    }
    let middle = rounded(search, (low * high).sqrt());
    (low < middle && middle < high).then_some(middle)
}

/// To three digits, or four where three are coarser than half the precision: a rate people can say.
fn rounded(search: &Search, rate: f64) -> f64 {
    let digits = if search.precision.ratio() < 0.03 {
        3
    } else {
        2
    };
    // Through text, so that the number is the one that reads that way.
    format!("{rate:.digits$e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaos_plan::units::Share;
    use proptest::prelude::*;

    use super::*;

    fn search(from: f64, to: f64, factor: f64, precision: f64) -> Search {
        Search {
            name: "find".to_owned(),
            start: Duration::ZERO,
            from: Rate::new(from),
            to: Rate::new(to),
            step: Duration::from_secs(8),
            settle: Search::SETTLE,
            factor,
            precision: Share::from_ratio(precision),
            rest: Duration::from_secs(3),
        }
    }

    /// Plays a search against a law that says how each probe goes, by its number and rate.
    fn play(
        search: &Search,
        mut law: impl FnMut(usize, f64) -> ProbeOutcome,
    ) -> (Vec<Tried>, SearchEnd) {
        let mut tried = Vec::new();
        loop {
            match next(search, &tried) {
                Next::Over(end) => return (tried, end),
                Next::Probe(rate) => {
                    let rate = rate.per_second();
                    let outcome = law(tried.len(), rate);
                    tried.push(Tried { rate, outcome });
                }
            }
        }
    }

    fn serves(capacity: f64) -> impl FnMut(usize, f64) -> ProbeOutcome {
        move |_, rate| {
            if rate <= capacity {
                ProbeOutcome::Held
            } else {
                ProbeOutcome::Broke
            }
        }
    }

    #[test]
    fn it_climbs_narrows_down_and_tries_both_sides_again() {
        let (tried, end) = play(&search(20.0, 2_000.0, 2.0, 0.05), serves(500.0));
        let rates: Vec<f64> = tried.iter().map(|tried| tried.rate).collect();
        let expected = [
            20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 453.0, 538.0, 494.0, 516.0, 494.0, 516.0,
        ];
        assert_eq!((rates, end), (expected.to_vec(), SearchEnd::Found));
        assert_eq!(bracket(&tried), (Some(494.0), Some(516.0)));
    }

    #[test]
    fn it_says_when_there_is_no_limit_within_its_rates() {
        let (tried, end) = play(&search(20.0, 50.0, 2.0, 0.05), serves(1e6));
        assert_eq!((bracket(&tried), end), ((Some(50.0), None), SearchEnd::Top));
        assert_eq!(tried.len(), 4, "20, 40, 50 and 50 again");
        let (tried, end) = play(&search(20.0, 50.0, 2.0, 0.05), serves(1.0));
        let found = (bracket(&tried), end, tried.len());
        assert_eq!(found, ((None, Some(20.0)), SearchEnd::Bottom, 2));
    }

    #[test]
    fn one_hiccup_is_no_limit() {
        // At 40/s something else broke a claim once.
        let mut capacity = serves(500.0);
        let (tried, end) = play(&search(20.0, 2_000.0, 2.0, 0.05), |number, rate| {
            if number == 1 {
                ProbeOutcome::Broke
            } else {
                capacity(number, rate)
            }
        });
        let (low, high) = bracket(&tried);
        assert_eq!(end, SearchEnd::Found);
        assert!(
            low.is_some_and(|low| low > 470.0) && high.is_some_and(|high| high < 530.0),
            "{low:?} {high:?}"
        );
    }

    #[test]
    fn a_generator_that_is_the_limit_twice_ends_it() {
        let law = |_, rate| {
            if rate < 100.0 {
                ProbeOutcome::Held
            } else {
                ProbeOutcome::Unclear
            }
        };
        let (tried, end) = play(&search(20.0, 2_000.0, 2.0, 0.05), law);
        assert_eq!(
            (bracket(&tried), end),
            ((Some(80.0), None), SearchEnd::Generator)
        );
        assert_eq!(tried.len(), 5, "20, 40, 80, 160 and 160 again");
    }

    proptest! {
        /// In simulated time: any capacity, any noise, any mishap of the generator.
        #[test]
        fn it_always_ends_and_reports_only_what_was_measured(
            from in 1.0..100.0_f64,
            span in 1.0..200.0_f64,
            factor in 1.05..10.0_f64,
            precision in 0.01..0.5_f64,
            noise in prop::collection::vec(0_u8..100, 0..120),
            capacity in 0.5..30_000.0_f64,
        ) {
            let search = search(from, from * span, factor, precision);
            let mut law = serves(capacity);
            let (tried, end) = play(&search, |number, rate| match noise.get(number) {
                Some(0..10) => ProbeOutcome::Broke,
                Some(10..20) => ProbeOutcome::Held,
                Some(20..24) => ProbeOutcome::Unclear,
                _ => law(number, rate),
            });
            prop_assert!(tried.len() <= search.probes_max() + 1);
            let (low, high) = bracket(&tried);
            let count = |rate: f64, outcome| {
                let is = |tried: &&Tried| tried.rate.total_cmp(&rate).is_eq() && tried.outcome == outcome;
                tried.iter().filter(is).count()
            };
            if let Some(low) = low {
                prop_assert!(low >= search.from.per_second() && low <= search.to.per_second());
                prop_assert!(count(low, ProbeOutcome::Held) > count(low, ProbeOutcome::Broke));
            }
            if let (Some(low), Some(high)) = (low, high) {
                prop_assert!(low < high);
            }
            if matches!(end, SearchEnd::Found | SearchEnd::Top) {
                prop_assert!(low.is_some_and(|low| count(low, ProbeOutcome::Held) >= 2));
            }
        }

        /// Without noise the capacity lies between the two rates, as near as was asked.
        #[test]
        fn without_noise_it_is_as_near_as_was_asked(
            from in 1.0..100.0_f64,
            span in 1.5..200.0_f64,
            factor in 1.05..10.0_f64,
            precision in 0.01..0.5_f64,
            at in 0.0..1.0_f64,
        ) {
            let search = search(from, from * span, factor, precision);
            let capacity = from * span.powf(at);
            let (tried, end) = play(&search, serves(capacity));
            let (low, high) = bracket(&tried);
            let low = low.expect("the lowest rate holds");
            prop_assert!(low <= capacity);
            if let Some(high) = high {
                prop_assert_eq!(end, SearchEnd::Found);
                // Rounding to digits may stop it one digit early.
                prop_assert!(capacity < high && high <= low * (1.0 + precision + 0.011), "{low} {high}");
            } else {
                prop_assert_eq!(end, SearchEnd::Top);
                prop_assert!(low.total_cmp(&search.to.per_second()).is_eq());
            }
        }
    }
}
