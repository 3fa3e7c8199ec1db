//! What each code of a diagnostic means, at length: for `chaos explain CODE`.
//!
//! Invariant: every code there is has a text, whose first line is its meaning; behind it stand why
//! it is refused, a broken example and the fix.

/// The texts, one section a code: `## E105`.
const TEXTS: &str = include_str!("explain/codes.md");

/// Before the code of each section.
const HEADING: &str = "\n## ";

/// What a code means, an example that is refused and the fix; `None` for a code that does not exist.
pub fn explain(code: &str) -> Option<&'static str> {
    codes()
        .find(|(known, _)| *known == code)
        .map(|(_, text)| text)
}

/// Every code with its text, in the order of their numbers.
pub fn codes() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEXTS
        .split(HEADING)
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .map(|(code, text)| (code.trim(), text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::codes::ALL;

    #[test]
    fn every_code_is_explained_and_nothing_else() {
        let explained: Vec<&str> = codes().map(|(code, _)| code).collect();
        let known: Vec<&str> = ALL.iter().map(|code| code.id).collect();
        assert_eq!(explained, known);
    }

    #[test]
    fn every_text_begins_with_the_meaning_and_has_an_example_and_a_fix() {
        for code in ALL {
            let text = explain(code.id).expect("it is explained");
            assert_eq!(text.lines().next(), Some(code.meaning), "{}", code.id);
            assert!(
                text.contains("\nRefused:\n\n    ") || text.contains("\nSuspicious:\n\n    "),
                "{} has an example",
                code.id
            );
            assert!(text.contains("\nInstead:\n\n    "), "{} has a fix", code.id);
            let is_narrow = |line: &str| line.chars().count() <= 100;
            assert!(text.lines().skip(1).all(is_narrow), "{}", code.id);
            assert!(text.is_ascii(), "{}", code.id);
        }
    }

    #[test]
    fn unknown_codes_are_not_explained() {
        assert_eq!(explain("E999"), None);
        assert_eq!(explain(""), None);
    }
}
