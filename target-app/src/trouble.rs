//! Logs what goes on being wrong: when it begins, when its reason changes, now and then, and its end.
//!
//! Invariant: the same reason is logged at most once in [`REPEAT_EVERY`].

use std::time::{Duration, Instant};

/// How often a reason that stays is logged again.
const REPEAT_EVERY: Duration = Duration::from_secs(10);

/// What is wrong with one part, if anything is.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    last: Option<(String, Instant)>,
}

impl Trouble {
    /// Takes down a reason; true if it is to be logged now.
    pub(crate) fn is_news(&mut self, reason: &str) -> bool {
        self.is_news_at(reason, Instant::now())
    }

    /// Takes down that all is well; true if it was not.
    pub(crate) fn is_over(&mut self) -> bool {
        self.last.take().is_some()
    }

    fn is_news_at(&mut self, reason: &str, now: Instant) -> bool {
        let known = self.last.as_ref().is_some_and(|(last, told)| {
            last == reason && now.saturating_duration_since(*told) < REPEAT_EVERY
        });
        if !known {
            self.last = Some((reason.to_owned(), now));
        }
        !known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_when_it_changes_and_now_and_then() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        assert!(trouble.is_news_at("refused", now));
        assert!(!trouble.is_news_at("refused", now + Duration::from_secs(9)));
        assert!(trouble.is_news_at("refused", now + Duration::from_secs(10)));
        assert!(trouble.is_news_at("wrong password", now + Duration::from_secs(11)));
        assert!(trouble.is_over());
        assert!(!trouble.is_over());
        assert!(trouble.is_news_at("wrong password", now + Duration::from_secs(11)));
    }
}
