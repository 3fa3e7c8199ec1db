//! Whether standard output took what was asked for.
//!
//! Invariant: a reader that went away (`| head`) is no refusal; a full disk is, and is said at the end.

use std::io::{self, Write};
use std::sync::OnceLock;

static REFUSED: OnceLock<String> = OnceLock::new();

/// A writer whose first refusal is remembered.
pub(super) struct Noting<W>(pub(super) W);

impl<W: Write> Write for Noting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).inspect_err(note)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().inspect_err(note)
    }
}

fn note(error: &io::Error) {
    let is_refusal = !matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted
    );
    if is_refusal {
        REFUSED.get_or_init(|| error.to_string());
    }
}

/// Why something that was asked for was not written.
pub(crate) fn why() -> Option<&'static str> {
    REFUSED.get().map(String::as_str)
}
