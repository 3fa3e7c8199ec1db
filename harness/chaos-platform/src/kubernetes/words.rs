//! What the API server and the way to it say, in words fit for one line.
//!
//! Invariant: no header and no body of a request stands in them, so no credential and no Secret does.

use std::error::Error;

/// Longest text that is passed on, in characters.
const LONGEST: usize = 400;

/// An error and what lies under it, each part once.
pub(super) fn of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => {
            let message = if status.message.is_empty() {
                &status.reason
            } else {
                &status.message
            };
            shortened(&format!("{message} ({})", status.code))
        }
        other => shortened(&chain(other)),
    }
}

/// The causes of an error, the innermost last; what one of them says already is not said again.
fn chain(error: &dyn Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = error.source();
    if next.is_none() {
        return error.to_string();
    }
    while let Some(cause) = next {
        let text = cause.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    parts.join(": ")
}

/// One line without control characters, not longer than can be read.
pub(super) fn shortened(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let line = line.trim();
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_line_of_bounded_length() {
        assert_eq!(shortened(" a\nb\u{1b}[2J "), "a b [2J");
        let long = shortened(&"\u{e4}".repeat(LONGEST + 1));
        assert_eq!(long.chars().count(), LONGEST + 3);
    }
}
