//! Everything drawn by chance in a run comes from the plan's seed through here.
//!
//! Invariant: a stream depends on the seed and its label alone, so one consumer drawing more
//! often never changes what another one gets.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The stream of random numbers for `label` under `seed`.
pub fn stream(seed: u64, label: &str) -> ChaCha8Rng {
    // FNV-1a (Fowler, Noll, Vo) spreads the label; ChaCha's own seeding does the rest.
    let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ChaCha8Rng::seed_from_u64(seed ^ hash)
}
