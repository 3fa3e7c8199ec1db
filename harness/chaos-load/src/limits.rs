//! Limits of the system that the engine lifts for itself.
//!
//! Invariant: only this process is changed, and only upwards to what it is allowed anyway.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of descriptors this process may open to its hard limit.
///
/// A refusal is no error: connections beyond the limit then fail as `Exhausted`, which counts
/// against the generator and not against the target.
pub(crate) fn raise_descriptor_limit() -> bool {
    let limit = getrlimit(Resource::Nofile);
    limit.current == limit.maximum
        || setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        )
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_reaches_its_maximum() {
        assert!(raise_descriptor_limit());
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
