//! The only place that prints: progress on standard error, results on standard output.
//!
//! Invariant: a closed pipe never ends a sitting.

use std::io::{self, Write};

/// What is being done now.
pub(crate) fn progress(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// What was asked for.
pub(crate) fn result(text: &str) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}
