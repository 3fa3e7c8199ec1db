//! Tests that need what a machine may lack.
//!
//! Invariant: nothing is skipped in silence, and nothing at all where `CHAOS_TESTS_MAY_SKIP` is `no`.

/// Says what is skipped, and how to get what is missing; panics where nothing may be skipped.
pub(crate) fn skip(what: &str) {
    let none_may = std::env::var("CHAOS_TESTS_MAY_SKIP").is_ok_and(|may| may == "no");
    assert!(!none_may, "nothing may be skipped here: {what}");
    println!("SKIPPED: {what}");
}
