//! Turns what a shopper types into a search expression.
//!
//! Invariant: no character of the shopper's has a meaning in the expression.

use std::fmt::Write as _;

use crate::database::Dialect;

/// Words looked for; more are left out.
const WORDS_MAX: usize = 5;

/// An expression of FTS5, or of `to_tsquery`, for products with words that begin with all of those typed;
/// nothing if none was.
pub(super) fn expression(dialect: Dialect, text: &str) -> Option<String> {
    let (between, quote, any_end) = match dialect {
        Dialect::Sqlite => (" ", '"', "*"),
        Dialect::Postgres => (" & ", '\'', ":*"),
    };
    let words = text
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut expression = String::with_capacity(text.len() + 16);
    for word in words.take(WORDS_MAX) {
        let between = if expression.is_empty() { "" } else { between };
        write!(expression, "{between}{quote}{word}{quote}{any_end}")
            .expect("a String takes all that is written to it");
    }
    (!expression.is_empty()).then_some(expression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Option<&str>) {
        let found = expression(Dialect::Sqlite, text);
        assert_eq!(found.as_deref(), wanted, "{text}");
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
        let found = expression(Dialect::Postgres, "o'ak | !lamp:*");
        assert_eq!(found.as_deref(), Some("'o':* & 'ak':* & 'lamp':*"));
    }
}
