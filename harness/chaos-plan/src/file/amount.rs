//! Forms of sizes and of growth: `128MiB`, `10MiB/h`, `5/h`, `10ms/h`.
//!
//! Invariant: growth is always for an hour, so that limits of different claims can be compared.

use std::time::Duration;

use super::format::Format;
use crate::diagnostic::quote;
use crate::units;

/// A size of memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl Format for Bytes {
    const NAME: &'static str = "bytes";
    const EXAMPLES: &'static [&'static str] = &["128MiB", "1GiB"];

    fn parse(text: &str) -> Result<Self, String> {
        units::parse_bytes(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// Bytes an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BytesAnHour(pub(crate) u64);

impl Format for BytesAnHour {
    const NAME: &'static str = "bytes-an-hour";
    const EXAMPLES: &'static [&'static str] = &["10MiB/h"];

    fn parse(text: &str) -> Result<Self, String> {
        an_hour(text, Self::EXAMPLES, |size| units::parse_bytes(size).ok()).map(Self)
    }
}

/// Things an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CountAnHour(pub(crate) f64);

impl Format for CountAnHour {
    const NAME: &'static str = "count-an-hour";
    const EXAMPLES: &'static [&'static str] = &["5/h"];

    fn parse(text: &str) -> Result<Self, String> {
        an_hour(text, Self::EXAMPLES, |count| {
            units::plain_number(count.trim())
        })
        .map(Self)
    }
}

/// Time an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeAnHour(pub(crate) Duration);

impl Format for TimeAnHour {
    const NAME: &'static str = "time-an-hour";
    const EXAMPLES: &'static [&'static str] = &["10ms/h"];

    fn parse(text: &str) -> Result<Self, String> {
        an_hour(text, Self::EXAMPLES, |time| {
            units::parse_duration(time).ok()
        })
        .map(Self)
    }
}

/// `AMOUNT/h`, or what it should look like.
fn an_hour<T>(
    text: &str,
    examples: &[&str],
    amount: impl Fn(&str) -> Option<T>,
) -> Result<T, String> {
    let example = examples.first().copied().unwrap_or_default();
    text.trim()
        .strip_suffix("/h")
        .and_then(amount)
        .ok_or_else(|| {
            format!(
                "{} is not a growth: write it for an hour, such as `{example}`",
                quote(text)
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_for_an_hour() {
        assert_eq!(BytesAnHour::parse("10MiB/h"), Ok(BytesAnHour(10 << 20)));
        assert_eq!(CountAnHour::parse("2.5/h"), Ok(CountAnHour(2.5)));
        assert_eq!(
            TimeAnHour::parse("10ms/h"),
            Ok(TimeAnHour(Duration::from_millis(10)))
        );
        for text in ["10MiB", "10MiB/s", "/h", "10/h", "-1MiB/h"] {
            assert!(BytesAnHour::parse(text).is_err(), "{text}");
        }
        assert!(CountAnHour::parse("-5/h").is_err());
        assert!(TimeAnHour::parse("10/h").is_err());
    }
}
