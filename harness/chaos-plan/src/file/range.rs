//! A range of texts that differ in the number at their end: `p-0001..p-0200`.
//!
//! Invariant: a range that was parsed has at least one and at most [`MAX_ROWS`] texts.

use super::format::Format;
use crate::diagnostic::quote;

/// Most rows of one data list that is not written out.
pub(crate) const MAX_ROWS: usize = 10_000;

/// Numbered texts, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextRange {
    before: String,
    digits: usize,
    first: u64,
    last: u64,
}

impl TextRange {
    /// All of them, in order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        (self.first..=self.last).map(|number| self.text(number))
    }

    fn text(&self, number: u64) -> String {
        format!("{}{number:0width$}", self.before, width = self.digits)
    }
}

impl Format for TextRange {
    const NAME: &'static str = "text-range";
    const EXAMPLES: &'static [&'static str] = &["p-0001..p-0200"];

    fn parse(text: &str) -> Result<Self, String> {
        let shape = || {
            format!(
                "{} is not a range: first and last, alike but for the number at their end, as `p-0001..p-0200`",
                quote(text)
            )
        };
        let (from, to) = text.split_once("..").ok_or_else(shape)?;
        let (before, first, digits) = numbered(from).ok_or_else(shape)?;
        let (same, last, _) = numbered(to).ok_or_else(shape)?;
        let range = Self {
            before: before.to_owned(),
            digits,
            first,
            last,
        };
        if same != before || range.text(last) != to {
            return Err(shape());
        }
        if last < first {
            return Err(format!("{} ends before it begins", quote(text)));
        }
        if last - first >= MAX_ROWS as u64 {
            return Err(format!("{} has more than {MAX_ROWS} texts", quote(text)));
        }
        Ok(range)
    }
}

// A text, the number at its end, and how many digits that is written with.
fn numbered(text: &str) -> Option<(&str, u64, usize)> {
    let before = text.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let number = &text[before.len()..];
    Some((before, number.parse().ok()?, number.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Result<(usize, &str, &str), &str>) {
        match (TextRange::parse(text), wanted) {
            (Ok(range), Ok((count, first, last))) => {
                let texts: Vec<String> = range.texts().collect();
                assert_eq!(texts.len(), count, "{text}");
                assert_eq!([&texts[0], &texts[count - 1]], [first, last]);
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (read, _) => panic!("{text}: {read:?}"),
        }
    }

    #[test]
    fn a_range_counts_as_it_is_written() {
        check("p-0001..p-0200", Ok((200, "p-0001", "p-0200")));
        check("p-9998..p-10001", Ok((4, "p-9998", "p-10001")));
        check("7..12", Ok((6, "7", "12")));
        check("1..10000", Ok((10_000, "1", "10000")));
    }

    #[test]
    fn what_is_no_range_is_told_why() {
        check("p-1", Err("is not a range"));
        check("p-..p-9", Err("is not a range"));
        check("p-1..q-9", Err("is not a range"));
        check("p-01..p-9", Err("is not a range"));
        check("p-9..p-1", Err("ends before it begins"));
        check("1..10001", Err("more than 10000"));
        check("1..99999999999999999999999", Err("is not a range"));
    }
}
