//! How long each hop may take, and how much of it at once.
//!
//! Whoever waits must wait longer than whom it asks: else it gives up on work that is still done, and
//! its caller hears of a time-out where there was a clear answer.
//!
//! Invariant: the calls that one hop makes one after the other fit into the limit of the hop before it,
//! with [`OWN_WORK`] to spare.

use std::time::Duration;

/// What the gateway grants any role, tries and pauses included.
pub(crate) const GATEWAY_CALL: Duration = Duration::from_secs(5);
/// What orders grants catalog, payments and notifications. Short, because it is also the time after
/// which a callee that fell silent is noticed.
pub(crate) const ORDERS_CALL: Duration = Duration::from_millis(1200);
/// What payments grants the bank.
pub(crate) const PAYMENTS_CALL: Duration = Duration::from_millis(900);
/// How long a connection may take to open.
pub(super) const CONNECT: Duration = Duration::from_millis(500);
/// The most calls to one callee under way: half of the connections a role serves, so that one callee
/// that hangs does not take them all.
pub(super) const IN_FLIGHT_MAX: usize = 512;
/// How long a caller waits for a probe of the breaker. The probe goes on without it: it shall not make
/// anybody hang, and still learn whether the callee answers within its own limit.
pub(super) const PROBE_PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::observe::REQUEST_LIMIT;

    /// For a hop's own database and processor, when there is much to do.
    const OWN_WORK: Duration = Duration::from_millis(250);
    /// A check-out whose card is refused: reserve, charge, release.
    const CALLS_OF_A_CHECK_OUT: u32 = 3;

    #[test]
    fn every_hop_fits_into_the_one_before_it() {
        let hops = [
            (PAYMENTS_CALL, ORDERS_CALL),
            (ORDERS_CALL * CALLS_OF_A_CHECK_OUT, GATEWAY_CALL),
            (GATEWAY_CALL, REQUEST_LIMIT),
            (CONNECT, PAYMENTS_CALL),
        ];
        for (inner, outer) in hops {
            assert!(inner + OWN_WORK <= outer, "{inner:?} within {outer:?}");
        }
    }

    #[test]
    fn a_probe_answers_its_caller_within_300_ms() {
        assert!(PROBE_PATIENCE + OWN_WORK / 4 < Duration::from_millis(300));
        assert!(PROBE_PATIENCE < PAYMENTS_CALL);
    }
}
