//! How a load ends of which nobody claimed anything.
//!
//! A plan always has a claim; here it is the harness's own, that answers come, and only says which
//! stages count.
//! Invariant: whatever calls for a code beside that claim still does, and a generator that cannot be
//! believed is never code 0.

use crate::exit;
use crate::measured::Measured;
use crate::verdict::{Because, ClaimVerdict, Exit, Verdict};

/// The exit of a load without claims of the user's, from the verdict on it.
pub fn exit(verdict: &Verdict, measured: &Measured) -> Exit {
    let claims = &verdict.claims;
    let of_claim = |because: &Because| claims.iter().any(|claim| is_about(because, claim));
    let mut reasons: Vec<_> = verdict
        .exit
        .because
        .iter()
        .filter(|because| !of_claim(because))
        .filter_map(|because| Some((exit::by_code(because.code)?, because.why.clone())))
        .collect();
    let complaints = verdict.generator.complaints.iter();
    reasons.extend(complaints.map(|complaint| {
        let why = format!("the load generator was too slow to tell: {complaint}");
        (exit::INCONCLUSIVE, why)
    }));
    if measured.counts.total() == 0 {
        reasons.push((exit::INCONCLUSIVE, "no request was sent".to_owned()));
    }
    exit::decide(reasons)
}

fn is_about(because: &Because, claim: &ClaimVerdict) -> bool {
    let codes = [exit::NOT_HELD.code, exit::INCONCLUSIVE.code];
    codes.contains(&because.code) && because.why.starts_with(&format!("{}: ", claim.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, StopSignal};
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::judge::judge;
    use crate::measured;

    fn check(run: &Run, code: u8) {
        let record = run.record();
        let verdict = judge(&record);
        let exit = exit(&verdict, &measured::over(&record, &[1]));
        assert_eq!(exit.code, code, "{:?}", exit.because);
    }

    #[test]
    fn only_what_is_no_claim_decides() {
        check(&Run::calm(), 0);
        check(&Run::calm().answer(|_| Answer::reset()), 0);
        let late = || Run::calm().answer(|_| Answer::Ok(MS)).late(|_| true);
        check(&late(), 3);
        let stop = || Event::Interrupted {
            signal: StopSignal::Interrupt,
        };
        check(&Run::calm().event(40 * SEC, stop()), 130);
        check(&late().event(40 * SEC, stop()), 130);
        let failed = Event::EnvironmentFailed {
            what: "nothing answers".to_owned(),
        };
        check(&Run::calm().event(40 * SEC, failed), 5);
    }
}
