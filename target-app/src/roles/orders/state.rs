//! The states of an order.
//!
//! ```text
//! pending --> reserved --> confirmed     stock is set aside, money is taken
//!    |            `------> refused       no money: stock is given back
//!    |-------------------> refused       no stock
//!    `-------------------> cancelled     given up before money was asked for: stock is given back
//! ```
//!
//! Invariant: money is asked for in `reserved` only, and an order leaves `reserved` only by what
//! payments said; so no order is given up whose charge might have gone through.

use std::fmt;
use std::str::FromStr;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Reserved,
    Confirmed,
    Refused,
    Cancelled,
}

const ALL: [State; 5] = [
    State::Pending,
    State::Reserved,
    State::Confirmed,
    State::Refused,
    State::Cancelled,
];

impl State {
    /// The word stored and shown.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Reserved => "reserved",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the order may go from here to there.
    pub(super) fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (
                Self::Pending,
                Self::Reserved | Self::Refused | Self::Cancelled
            ) | (Self::Reserved, Self::Confirmed | Self::Refused)
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        ALL.into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| format!("no order state is `{name}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_is_ever_entered_twice() {
        fn walk(state: State, seen: &[State]) {
            assert!(!seen.contains(&state), "{state} after {seen:?}");
            let seen = [seen, &[state]].concat();
            for next in ALL.into_iter().filter(|next| state.may_become(*next)) {
                walk(next, &seen);
            }
        }
        walk(State::Pending, &[]);
    }

    #[test]
    fn nothing_is_cancelled_once_money_may_have_been_asked_for() {
        let before: Vec<State> = ALL
            .into_iter()
            .filter(|state| state.may_become(State::Cancelled))
            .collect();
        assert_eq!(before, [State::Pending]);
    }

    #[test]
    fn names_are_read_back() {
        for state in ALL {
            assert_eq!(state.name().parse::<State>(), Ok(state));
        }
        assert!("done".parse::<State>().is_err());
    }
}
