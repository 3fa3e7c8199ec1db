//! Turns what a shopper types into a search expression.
//!
//! Invariant: no character of the shopper's has a meaning in the expression.

use std::fmt::Write as _;

/// Words looked for; more are left out.
const WORDS_MAX: usize = 5;

/// An FTS5 expression for products with words that begin with all of those typed; nothing if none was.
pub(super) fn expression(text: &str) -> Option<String> {
    let words = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut expression = String::with_capacity(text.len() + 16);
    for word in words.take(WORDS_MAX) {
        write!(expression, "\"{word}\"* ").expect("a String takes all that is written to it");
    }
    (!expression.is_empty()).then_some(expression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Option<&str>) {
        assert_eq!(expression(text).as_deref().map(str::trim), wanted, "{text}");
    }

    #[test]
    fn words_are_quoted_and_nothing_else_is_left() {
        check("lamp", Some("\"lamp\"*"));
        check("oak  desk-lamp", Some("\"oak\"* \"desk\"* \"lamp\"*"));
        check("\" OR name:*", Some("\"OR\"* \"name\"*"));
        check("NEAR(a b)", Some("\"NEAR\"* \"a\"* \"b\"*"));
        check("caf\u{e9}", Some("\"caf\u{e9}\"*"));
        check("'; --", None);
        check("a b c d e f g", Some("\"a\"* \"b\"* \"c\"* \"d\"* \"e\"*"));
    }
}
