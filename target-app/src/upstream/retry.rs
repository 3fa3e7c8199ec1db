//! Whether, and after what pause, a failed call is tried again.
//!
//! Invariant: at most [`NOT_SENT_RETRIES_MAX`] + [`BROKEN_RETRIES_MAX`] more tries; a call that may have
//! had an effect is repeated only if it is repeatable.

use std::error::Error;
use std::time::Duration;

/// More tries after failures to connect.
const NOT_SENT_RETRIES_MAX: u32 = 2;
/// More tries after connections that broke under a call.
const BROKEN_RETRIES_MAX: u32 = 1;
/// The shortest pause before another try, in milliseconds: time to hear of other broken connections.
const PAUSE_MS_MIN: u64 = 20;
/// What chance may add to a pause, in milliseconds, so that callers do not come back in step.
const PAUSE_MS_SPREAD: u64 = 30;

/// How one try of a call failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No byte of the call was written: nobody has seen it.
    NotSent(String),
    /// The connection broke afterwards: the callee may have done the work or not.
    Broken(String),
    /// There is an answer, or a call, that makes no sense; another try would not help.
    Unusable(String),
}

impl Failure {
    /// Tells the kinds of a failed request apart.
    pub(super) fn of(error: &hyper_util::client::legacy::Error) -> Self {
        let text = chain(error);
        if error.is_connect() {
            return Self::NotSent(text);
        }
        match error
            .source()
            .and_then(|source| source.downcast_ref::<hyper::Error>())
        {
            Some(source) if source.is_canceled() => Self::NotSent(text),
            Some(source) if source.is_user() || source.is_parse() => Self::Unusable(text),
            _ => Self::Broken(text),
        }
    }

    /// Tells the kinds of a failed read of an answer apart.
    pub(super) fn of_body(error: &(dyn Error + Send + Sync + 'static)) -> Self {
        let text = error.to_string();
        if error.is::<http_body_util::LengthLimitError>() {
            Self::Unusable(text)
        } else {
            Self::Broken(text)
        }
    }

    /// The name of the kind in metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not sent",
            Self::Broken(_) => "broken",
            Self::Unusable(_) => "unusable",
        }
    }
}

// The error of the client says little; its causes tell what happened.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The tries of one call so far.
#[derive(Debug)]
pub(super) struct Tries {
    repeatable: bool,
    not_sent: u32,
    broken: u32,
    made: u32,
}

impl Tries {
    pub(super) fn new(repeatable: bool) -> Self {
        Self {
            repeatable,
            not_sent: 0,
            broken: 0,
            made: 0,
        }
    }

    /// The pause before the next try, or nothing if this failure is the last.
    pub(super) fn after(&mut self, failure: &Failure) -> Option<Duration> {
        self.made += 1;
        let (count, max) = match failure {
            Failure::NotSent(_) => (&mut self.not_sent, NOT_SENT_RETRIES_MAX),
            Failure::Broken(_) if self.repeatable => (&mut self.broken, BROKEN_RETRIES_MAX),
            Failure::Broken(_) | Failure::Unusable(_) => return None,
        };
        *count += 1;
        (*count <= max).then(pause)
    }

    /// How many tries were made.
    pub(super) fn made(&self) -> u32 {
        self.made
    }
}

// Not from the seed of a run: the store is what a run breaks, and its instances must differ.
fn pause() -> Duration {
    let chance: f64 = rand::random();
    Duration::from_millis(PAUSE_MS_MIN) + Duration::from_millis(PAUSE_MS_SPREAD).mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(repeatable: bool, failures: &[Failure], tries: u32) {
        let mut so_far = Tries::new(repeatable);
        let again = failures
            .iter()
            .take_while(|failure| so_far.after(failure).is_some())
            .count();
        assert_eq!(u32::try_from(again).unwrap() + 1, tries, "{failures:?}");
    }

    fn not_sent() -> Failure {
        Failure::NotSent("refused".into())
    }

    fn broken() -> Failure {
        Failure::Broken("reset".into())
    }

    #[test]
    fn a_call_nobody_saw_is_tried_three_times_whatever_it_does() {
        check(true, &[not_sent(), not_sent(), not_sent(), not_sent()], 3);
        check(false, &[not_sent(), not_sent(), not_sent(), not_sent()], 3);
    }

    #[test]
    fn a_broken_call_is_repeated_once_and_only_if_that_does_no_harm() {
        check(true, &[broken(), broken(), broken()], 2);
        check(false, &[broken(), broken()], 1);
    }

    #[test]
    fn both_kinds_together_stay_bounded() {
        check(
            true,
            &[broken(), not_sent(), not_sent(), not_sent(), broken()],
            4,
        );
        check(
            true,
            &[not_sent(), broken(), not_sent(), broken(), not_sent()],
            4,
        );
    }

    #[test]
    fn an_answer_without_sense_is_not_asked_for_again() {
        check(true, &[Failure::Unusable("not JSON".into())], 1);
    }

    #[test]
    fn pauses_are_short_and_differ() {
        let pauses: Vec<_> = (0..4).map(|_| pause()).collect();
        assert!(
            pauses
                .iter()
                .all(|pause| (20..50).contains(&pause.as_millis())),
            "{pauses:?}"
        );
        assert_ne!(pauses[0], pauses[1]);
    }
}
