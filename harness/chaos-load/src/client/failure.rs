//! Which kind of failure an error is.
//!
//! Invariant: our own lack of ports or descriptors is never counted as the target's failure.

use std::io;

use chaos_record::outcome::FailKind;
use rustix::io::Errno;

/// A connect that failed.
pub(super) fn of_connect(error: &io::Error) -> FailKind {
    let exhausted =
        [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL].map(|errno| Some(errno.raw_os_error()));
    if exhausted.contains(&error.raw_os_error()) {
        return FailKind::Exhausted;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => FailKind::ConnectRefused,
        io::ErrorKind::TimedOut => FailKind::ConnectTimeout,
        _ => FailKind::ConnectOther,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: &io::Error, expected: FailKind) {
        assert_eq!(of_connect(error), expected, "{error}");
    }

    #[test]
    fn a_connect_fails_by_its_cause() {
        check(&Errno::CONNREFUSED.into(), FailKind::ConnectRefused);
        check(&Errno::TIMEDOUT.into(), FailKind::ConnectTimeout);
        check(&Errno::HOSTUNREACH.into(), FailKind::ConnectOther);
        for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            check(&errno.into(), FailKind::Exhausted);
        }
    }
}
