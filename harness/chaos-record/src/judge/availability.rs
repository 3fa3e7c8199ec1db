//! The claim on availability: in how many one-second windows the shop was open.
//!
//! Invariant: a window in which something was planned and nothing is known is a bad window. Users of a
//! closed model without a cycle have no plan: a window in which they do nothing but wait is bad, too.

use chaos_plan::plan::Scope;
use chaos_plan::units::Share;

use super::claims::{Ground, unexplained};
use super::population::{self, Population};
use super::requests::{blame, sent_by_target, unbelievable};
use crate::binomial;
use crate::facts::{Facts, cells_of_seconds};
use crate::outcome::Counts;
use crate::verdict::{Finding, Status};
use crate::words;

/// Parts of a whole that shares are compared in, exactly: a share is a whole number of these.
const PARTS: u64 = 100_000_000_000;

/// Good and bad windows of one population.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    windows: u64,
    bad: u64,
    /// Bad ones that would be bad for what the target itself sent.
    by_target: u64,
    requests: u64,
    /// Of the bad ones: those without data because all users of a closed model waited.
    waited: u64,
    /// Windows of the plan that the run did not reach.
    unseen: u64,
}

/// Whether `part` of `whole` is at least `share`, without rounding.
fn at_least(part: u64, whole: u64, share: Share) -> bool {
    // `floor_of` is exact to a billionth of a percent, so nothing is lost below `PARTS`.
    u128::from(part) * u128::from(PARTS) >= u128::from(share.floor_of(whole.saturating_mul(PARTS)))
}

/// A finding for each group of the scope.
pub(super) fn findings(
    ground: &Ground<'_>,
    min: Share,
    good: Share,
    scope: &Scope,
) -> Vec<Finding> {
    let stages = &scope.stages;
    population::of_part(ground.facts, scope.part)
        .into_iter()
        .map(|population| {
            let tally = tally(ground.facts, &population, good, stages);
            let listed_only = population
                .is_beside()
                .then(|| sparse(&tally, good))
                .flatten();
            let (status, why) = match listed_only {
                Some(_) if is_certain(ground, &tally, (min, good), stages) => {
                    let of = words::counted(tally.own(), "second");
                    let bad = tally.bad - tally.waited;
                    (Status::NotHeld, unexplained(bad, &of, 1.0 - min.ratio()))
                }
                Some(why) => (Status::NotJudged, why),
                None => decide(ground, &tally, min, stages),
            };
            let measured = format!(
                "{} ({} of {} bad)",
                words::share(tally.windows - tally.bad, tally.windows),
                words::count(tally.bad),
                words::counted(tally.windows, "second")
            );
            Finding {
                of: population.of,
                status,
                n: tally.windows,
                bad: tally.bad,
                allowed: allowed(tally.windows + tally.unseen, min),
                measured,
                why,
            }
        })
        .collect()
}

/// Most bad windows of `windows` that leave a share of at least `min` good.
fn allowed(windows: u64, min: Share) -> u64 {
    let needed = windows - windows.min(min.floor_of(windows));
    // `floor_of` rounds the good ones down; one more may be needed.
    if at_least(windows - needed, windows, min) {
        needed
    } else {
        needed.saturating_sub(1)
    }
}

fn decide(ground: &Ground<'_>, tally: &Tally, min: Share, stages: &[usize]) -> (Status, String) {
    let whole = ground.facts.whole(stages);
    let unseen = if whole { 0 } else { tally.unseen };
    let windows = tally.windows + unseen;
    if tally.windows == 0 {
        return (Status::Unknown, "no second of it was seen".to_owned());
    }
    if !at_least(windows - tally.bad, windows, min) {
        let by_target = !at_least(windows - tally.by_target, windows, min);
        let why = format!(
            "{} were bad, {} may be",
            words::counted(tally.bad, "second"),
            words::count(allowed(windows, min))
        );
        return blame(ground, stages, by_target, why);
    }
    if !whole {
        return (
            Status::Unknown,
            "the run ended before all of it was seen".to_owned(),
        );
    }
    match ground.health.short(stages) {
        Some(sick) => (Status::Unknown, unbelievable(&sick)),
        None => (Status::Held, String::new()),
    }
}

/// A journey so rare that a single failure makes a window bad says nothing by itself.
fn sparse(tally: &Tally, good: Share) -> Option<String> {
    let mean = tally.requests.checked_div(tally.own()).unwrap_or(0);
    let one_is_enough = mean == 0 || !at_least(mean - 1, mean, good);
    one_is_enough.then(|| {
        format!("not judged alone: {mean} a second, so that one failure makes a second bad")
    })
}

/// Whether a rare journey was lost for sure: in more of its own seconds than chance explains if the
/// shop is shut in the share of them that may be bad, and open in the others with as many failures as
/// make no second of a busy journey bad. The test is that of [`binomial`].
///
/// With `m` requests a second, a second is bad with a probability of at most `1 - min * good^m`: the
/// term is concave in `m`, so the mean stands for seconds with more or fewer (Jensen 1906).
fn is_certain(
    ground: &Ground<'_>,
    tally: &Tally,
    (min, good): (Share, Share),
    stages: &[usize],
) -> bool {
    let own = tally.own();
    let unseen = if ground.facts.whole(stages) {
        0
    } else {
        tally.unseen
    };
    let bad = match ground.health.sick(stages) {
        Some(_) => tally.by_target,
        None => tally.bad - tally.waited,
    };
    let mean = tally.requests as f64 / own.max(1) as f64;
    let share = 1.0 - min.ratio() * good.ratio().powf(mean);
    binomial::is_beyond_chance(bad, own + unseen, share)
}

fn tally(facts: &Facts<'_>, population: &Population, good: Share, stages: &[usize]) -> Tally {
    let seconds_of_cells = |cells: u64| cells * crate::CELL_NS / crate::SECOND_NS;
    let (seen, length) = (
        seconds_of_cells(facts.horizon()),
        facts.length() / crate::SECOND_NS,
    );
    let mut tally = Tally::default();
    for second in (0..length).filter(|second| in_stages(facts, *second, stages)) {
        let cells = cells_of_seconds(&(second..second + 1));
        let planned = population.planned(facts, &cells);
        if second >= seen {
            tally.unseen += u64::from(planned > 0 || facts.has_users(second));
            continue;
        }
        let counts = population.counts(facts, &cells);
        if planned > 0 || counts.judged() > 0 {
            tally.add(&counts, good);
        } else if facts.is_waiting(second) {
            tally.wait();
        }
    }
    tally
}

impl Tally {
    /// Windows in which something of it was planned or known.
    fn own(&self) -> u64 {
        self.windows - self.waited
    }

    fn wait(&mut self) {
        self.windows += 1;
        self.bad += 1;
        self.waited += 1;
    }

    fn add(&mut self, counts: &Counts, good: Share) {
        let n = counts.judged();
        self.windows += 1;
        self.requests += n;
        self.bad += u64::from(n == 0 || !at_least(counts.ok, n, good));
        self.by_target += u64::from(n > 0 && !at_least(n - sent_by_target(counts), n, good));
    }
}

/// Whether a second begins in one of the stages.
fn in_stages(facts: &Facts<'_>, second: u64, stages: &[usize]) -> bool {
    stages.contains(&facts.stage_of_cell(cells_of_seconds(&(second..second + 1)).start))
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::Part;

    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC, forget};
    use crate::judge::judge;
    use crate::verdict::ClaimVerdict;

    fn claim(run: &Run) -> ClaimVerdict {
        judge(&run.record())
            .claims
            .into_iter()
            .find(|claim| claim.kind == "availability")
            .expect("the plan has it")
    }

    #[test]
    fn shares_are_compared_exactly() {
        let share = |text: &str| Share::parse(text).expect("a share");
        for (part, whole, text, expected) in [
            (999, 1_000, "99.9%", true),
            (998, 1_000, "99.9%", false),
            (19, 20, "95%", true),
            (18, 19, "95%", false),
            (0, 0, "95%", true),
        ] {
            assert_eq!(
                at_least(part, whole, share(text)),
                expected,
                "{part} of {whole}"
            );
        }
        for (windows, text, expected) in [
            (1_000, "99.9%", 1),
            (999, "99.9%", 0),
            (28, "95%", 1),
            (20, "95%", 1),
            (19, "95%", 0),
            (10, "0%", 10),
        ] {
            assert_eq!(
                allowed(windows, share(text)),
                expected,
                "{windows} at {text}"
            );
        }
    }

    #[test]
    fn seconds_without_enough_good_answers_are_bad() {
        let down = |from: u64, until: u64| {
            claim(&Run::kill().answer(move |request| {
                let down = (from..until).contains(&request.at) && request.number % 5 == 0;
                if down {
                    Answer::reset()
                } else {
                    Answer::Ok(5 * MS)
                }
            }))
        };
        // 28 seconds at 95 %: one may be bad.
        let one = down(13 * SEC, 14 * SEC);
        assert_eq!(
            (
                one.status,
                one.findings[0].n,
                one.findings[0].bad,
                one.findings[0].allowed
            ),
            (Status::Held, 28, 1, 1)
        );
        let two = down(13 * SEC, 15 * SEC);
        assert_eq!((two.status, two.findings[0].bad), (Status::NotHeld, 2));
        // However slow an answer is, the shop was open.
        assert_eq!(
            claim(&Run::kill().answer(|_| Answer::Ok(900 * MS))).status,
            Status::Held
        );
    }

    #[test]
    fn a_window_without_data_is_bad() {
        let mut record = Run::kill().record();
        forget(&mut record, 130..150);
        let facts = Facts::of(&record);
        let all = population::of_part(&facts, Part::All).remove(0);
        assert_eq!(tally(&facts, &all, Share::from_ratio(0.95), &[1]).bad, 2);
    }

    #[test]
    fn a_rare_journey_is_not_judged_alone() {
        let findings = claim(&Run::kill().rate(50)).findings;
        let status = |of: &str| {
            findings
                .iter()
                .find(|finding| finding.of == of)
                .map(|finding| finding.status)
        };
        assert_eq!(status("journey browse"), Some(Status::Held));
        assert_eq!(status("journey buy"), Some(Status::NotJudged));
    }

    #[test]
    fn a_rare_journey_that_fails_altogether_is_lost() {
        let failing = |every: u64| {
            claim(&Run::kill().rate(50).answer(move |request| {
                if request.journey == 1 && request.number % every == 0 {
                    Answer::reset()
                } else {
                    Answer::Ok(5 * MS)
                }
            }))
        };
        // A purchase is every ninth request; at 45 and more requests in all ten a second may be bad.
        let lost = failing(1);
        assert_eq!(lost.status, Status::NotHeld, "{}", lost.why);
        let why = "journey buy: 28 of 28 seconds were bad, which an allowed share of 5 % does not explain";
        assert!(lost.why.contains(why), "{}", lost.why);
        // One purchase in twenty is what a busy journey may lose in every second.
        let healthy = failing(20);
        assert_eq!(healthy.status, Status::Held, "{}", healthy.why);
    }

    #[test]
    fn seconds_in_which_all_users_wait_are_bad() {
        let users = || Run::calm().users(50, None);
        let check = |run: &Run, status: Status, n: u64, bad: u64| {
            let claim = claim(run);
            let all = &claim.findings[0];
            assert_eq!(
                (claim.status, all.n, all.bad),
                (status, n, bad),
                "{}",
                claim.why
            );
        };
        check(&users(), Status::Held, 28, 0);
        check(&users().stuck(12 * SEC, 16 * SEC), Status::NotHeld, 28, 4);
        check(&users().stuck(12 * SEC, 30 * SEC), Status::NotHeld, 28, 18);
        // Of these one and a half seconds one is whole.
        check(&users().stuck(12_500 * MS, 14 * SEC), Status::Held, 28, 1);
        // Think time explains the first seconds, never all.
        let thinking = |ms, until| {
            users()
                .think(std::time::Duration::from_millis(ms))
                .stuck(12 * SEC, until)
        };
        check(&thinking(499, 13 * SEC), Status::Held, 28, 1);
        check(&thinking(500, 13 * SEC), Status::Held, 27, 0);
        check(&thinking(2_000, 14 * SEC), Status::Held, 26, 0);
        check(&thinking(2_000, 17 * SEC), Status::NotHeld, 26, 3);
        // With a cycle journeys are planned, and counted as such.
        let paced = Run::calm().users(50, Some(std::time::Duration::from_secs(1)));
        check(&paced.stuck(12 * SEC, 16 * SEC), Status::Unknown, 28, 4);
    }

    #[test]
    fn a_load_cut_short_is_unknown_unless_already_lost() {
        assert_eq!(
            claim(&Run::kill().cut_short(20 * SEC)).status,
            Status::Unknown
        );
        let lost = Run::kill().cut_short(20 * SEC).answer(|_| Answer::reset());
        assert_eq!(claim(&lost).status, Status::NotHeld);
    }
}
