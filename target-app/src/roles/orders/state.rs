//! The states of an order.
//!
//! ```text
//! pending --> reserved --> confirmed --> cancelling --> refunded   sold, then taken back by the shopper
//!    |            |------> refused                                 no money
//!    |            `------> voiding ----> refused                   what became of the money stayed open
//!    |-------------------> refused                                 no stock
//!    `-------------------> cancelled                               given up before money was asked for
//! ```
//!
//! Stock is set aside from `reserved` on and given back on every way that does not end in `confirmed`.
//!
//! Invariant: money is asked for in `reserved` only. An order leaves `reserved` by what payments said, or
//! to `voiding`, which it leaves only when payments has said that no money moved in the end; and it leaves
//! `cancelling` only when the money went back. So no order that is not sold keeps money.

use std::fmt;
use std::str::FromStr;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Reserved,
    Confirmed,
    Cancelling,
    Refunded,
    Voiding,
    Refused,
    Cancelled,
}

const ALL: [State; 8] = [
    State::Pending,
    State::Reserved,
    State::Confirmed,
    State::Cancelling,
    State::Refunded,
    State::Voiding,
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
            Self::Cancelling => "cancelling",
            Self::Refunded => "refunded",
            Self::Voiding => "voiding",
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
            ) | (
                Self::Reserved,
                Self::Confirmed | Self::Refused | Self::Voiding
            ) | (Self::Voiding, Self::Refused)
                | (Self::Confirmed, Self::Cancelling)
                | (Self::Cancelling, Self::Refunded)
        )
    }

    /// Whether nothing is left to do of its own accord; a confirmed order may still be taken back.
    pub(super) fn is_at_rest(self) -> bool {
        matches!(
            self,
            Self::Confirmed | Self::Refunded | Self::Refused | Self::Cancelled
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

    fn before(state: State) -> Vec<State> {
        ALL.into_iter()
            .filter(|from| from.may_become(state))
            .collect()
    }

    #[test]
    fn nothing_is_given_up_unasked_once_money_may_have_moved() {
        assert_eq!(before(State::Cancelled), [State::Pending]);
        assert_eq!(before(State::Refunded), [State::Cancelling]);
        assert_eq!(before(State::Voiding), [State::Reserved]);
    }

    #[test]
    fn an_order_that_rests_does_so_for_good_or_until_the_shopper_takes_it_back() {
        for state in ALL {
            let is_end = !ALL.into_iter().any(|next| state.may_become(next));
            assert_eq!(state.is_at_rest(), is_end || state == State::Confirmed);
        }
    }

    #[test]
    fn names_are_read_back() {
        for state in ALL {
            assert_eq!(state.name().parse::<State>(), Ok(state));
        }
        assert!("done".parse::<State>().is_err());
    }
}
