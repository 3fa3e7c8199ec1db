//! `--expect`: one comparison, which becomes one claim of the plan.
//!
//! Invariant: the form of the whole is checked here; whether its value makes sense is the plan's to say.

use std::fmt;
use std::str::FromStr;

use chaos_plan::plan::Quantile;
use chaos_plan::units::{Rate, Share, duration_to_text, parse_duration};

/// What may stand on the left side.
const KNOWN: &str = "`p50`, `p90`, `p95`, `p99` or `p99.9` (`p95<=200ms`), `errors` (`errors<=0.1%`), `rate` (`rate>=1000/s`), `availability` (`availability>=99.9%`)";

/// One `--expect`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expectation {
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Latency(Quantile, std::time::Duration),
    Errors(Share),
    Rate(Rate),
    Availability(Share),
}

impl Expectation {
    /// Reads `p95<=200ms`; spaces do not matter.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (left, at_most, right) = split(text)?;
        let error = |error: &dyn fmt::Display| error.to_string();
        let what = match left {
            "errors" => What::Errors(Share::parse(right).map_err(|it| error(&it))?),
            "availability" => What::Availability(Share::parse(right).map_err(|it| error(&it))?),
            "rate" => What::Rate(Rate::parse(right).map_err(|it| error(&it))?),
            _ => {
                let quantile = Quantile::ALL.into_iter().find(|one| one.name() == left);
                let Some(quantile) = quantile else {
                    return Err(format!("`{left}` is not known: write {KNOWN}"));
                };
                What::Latency(quantile, parse_duration(right).map_err(|it| error(&it))?)
            }
        };
        let is_limit = matches!(what, What::Latency(..) | What::Errors(_));
        if at_most != is_limit {
            let (sign, least) = if is_limit {
                ("<=", "most")
            } else {
                (">=", "least")
            };
            return Err(format!(
                "`{left}` is expected to be at {least} something: write `{left}{sign}{right}`"
            ));
        }
        Ok(Self { what })
    }

    /// The claim as it stands in a scenario, judged on this stage and on requests.
    pub(super) fn claim(&self, stage: &str, endpoint: &str) -> String {
        let scope = format!("during: [{stage}], endpoint: {endpoint}");
        match self.what {
            What::Latency(quantile, limit) => format!(
                "latency: {{ {}: {}, {scope} }}",
                quantile.name(),
                duration_to_text(limit)
            ),
            What::Errors(most) => format!("errors: {{ max: {most}, {scope} }}"),
            What::Availability(least) => format!("availability: {{ min: {least}, {scope} }}"),
            What::Rate(least) => format!("goodput: {{ at_least: {least}, during: [{stage}] }}"),
        }
    }
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

/// As results call it: `p95<=200ms`.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Latency(quantile, limit) => {
                write!(f, "{}<={}", quantile.name(), duration_to_text(limit))
            }
            What::Errors(most) => write!(f, "errors<={most}"),
            What::Rate(least) => write!(f, "rate>={least}"),
            What::Availability(least) => write!(f, "availability>={least}"),
        }
    }
}

/// Both sides, and whether it says "at most".
fn split(text: &str) -> Result<(&str, bool, &str), String> {
    let sides = [("<=", true), (">=", false)]
        .into_iter()
        .find_map(|(sign, at_most)| {
            let (left, right) = text.split_once(sign)?;
            Some((left.trim(), at_most, right.trim()))
        });
    sides.ok_or_else(|| format!("it compares nothing with `<=` or `>=`: write {KNOWN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_becomes_a_claim() {
        for (text, name, claim) in [
            (
                "p95<=200ms",
                "p95<=200ms",
                "latency: { p95: 200ms, during: [load], endpoint: a/b }",
            ),
            (
                " p99.9 <= 1.5s ",
                "p99.9<=1s500ms",
                "latency: { p99.9: 1s500ms, during: [load], endpoint: a/b }",
            ),
            (
                "errors<=0.1%",
                "errors<=0.1%",
                "errors: { max: 0.1%, during: [load], endpoint: a/b }",
            ),
            (
                "rate>=1000/s",
                "rate>=1000/s",
                "goodput: { at_least: 1000/s, during: [load] }",
            ),
            (
                "rate >= 30/min",
                "rate>=0.5/s",
                "goodput: { at_least: 0.5/s, during: [load] }",
            ),
            (
                "availability>=99.9%",
                "availability>=99.9%",
                "availability: { min: 99.9%, during: [load], endpoint: a/b }",
            ),
        ] {
            let expectation = Expectation::parse(text).expect(text);
            assert_eq!(expectation.to_string(), name);
            assert_eq!(expectation.claim("load", "a/b"), claim);
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write() {
        for (text, says) in [
            ("", "write `p50`"),
            ("p95", "compares nothing"),
            ("p95<200ms", "compares nothing"),
            ("p96<=200ms", "`p96` is not known"),
            ("p95>=200ms", "write `p95<=200ms`"),
            ("p95<=200", "`200` is not a duration"),
            ("errors>=1%", "write `errors<=1%`"),
            ("errors<=1", "`1` is not a share"),
            ("rate<=5/s", "write `rate>=5/s`"),
            ("rate>=5", "`5` is not a rate"),
            ("availability<=99%", "write `availability>=99%`"),
        ] {
            let error = Expectation::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
