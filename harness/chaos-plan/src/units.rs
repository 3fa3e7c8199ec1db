//! Quantities with their units: durations (`1m30s`), rates (`200/s`), shares (`0.1%`).
//!
//! Invariant: parsing accepts only text with a unit, and printing gives text that parses back to
//! the same value.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no quantity. The text completes "failed to read ...".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnitError {
    #[error(
        "`{text}` is not a duration: write a number with a unit, such as `200ms`, `10s` or `1m30s`"
    )]
    Duration { text: String },
    #[error("`{text}` is not a rate: write a number for a time, such as `200/s` or `30/min`")]
    Rate { text: String },
    #[error("`{text}` is not a share: write a percentage from 0% to 100%, such as `0.1%`")]
    Share { text: String },
    #[error("`{text}` is not a size: write a number of bytes with a unit, such as `128MiB`")]
    Bytes { text: String },
}

/// Parses `10s`, `200ms`, `1m30s`, `1.5h`; units ns, us, ms, s, m, h, d.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let bad = || UnitError::Duration {
        text: text.to_owned(),
    };
    let mut rest = text.trim();
    let mut total_ns = 0_f64;
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = rest[digits..].trim_start();
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit_ns = match &rest[..letters] {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3_600e9,
            "d" => 86_400e9,
            _ => return Err(bad()),
        };
        total_ns += number * unit_ns;
        rest = rest[letters..].trim_start();
    }
    // 2^53 ns is 104 days: beyond it a float no longer counts single nanoseconds.
    if total_ns > 9e15 {
        return Err(bad());
    }
    Ok(Duration::from_nanos(whole(total_ns)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked against 9e15 and never negative"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// Prints a duration so that it parses back to the same value: `1m30s`, `200ms`, `0s`.
pub fn duration_to_text(duration: Duration) -> String {
    let mut ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if ns == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size) in [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ] {
        if ns >= size {
            text.push_str(&(ns / size).to_string());
            text.push_str(unit);
            ns %= size;
        }
    }
    text
}

/// Sizes of memory by their units, the largest first within each kind.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Parses `128MiB`, `1.5 GiB`, `500kB`; rounded to whole bytes, at most 2^53.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let bad = || UnitError::Bytes {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    let (number, size) = SIZES
        .iter()
        .find_map(|(unit, size)| Some((trimmed.strip_suffix(unit)?, *size)))
        .ok_or_else(bad)?;
    let bytes = plain_number(number.trim()).ok_or_else(bad)? * size as f64;
    if bytes > 9e15 {
        return Err(bad());
    }
    Ok(whole(bytes))
}

/// Prints a size in the largest binary unit in which it is whole, so that it parses back: `128MiB`.
pub fn bytes_to_text(bytes: u64) -> String {
    let (unit, size) = SIZES
        .iter()
        .take(3)
        .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / size)
}

/// Events a second. Never negative, never infinite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(f64);

impl Rate {
    /// `per_second` must be finite and not negative; anything else becomes zero.
    pub fn new(per_second: f64) -> Self {
        Self(if per_second.is_finite() {
            per_second.max(0.0)
        } else {
            0.0
        })
    }

    pub fn per_second(self) -> f64 {
        self.0
    }

    /// Parses `200/s`, `30/min`, `1000/h`.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Rate {
            text: text.to_owned(),
        };
        let (number, unit) = text.split_once('/').ok_or_else(bad)?;
        let seconds = match unit.trim() {
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            _ => return Err(bad()),
        };
        let number = plain_number(number.trim()).ok_or_else(bad)?;
        Ok(Self(number / seconds))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A part of a whole, from 0 to 1; written as a percentage.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share {
    /// Kept as written so that `0.1%` is judged as exactly one in a thousand.
    percent: f64,
}

/// Bad requests that a claim must allow at least: of fewer, one more or less decides by chance.
pub const ALLOWED_MIN: u64 = 10;
/// Billionths of a percent in all.
const ALL_BILLIONTHS: u128 = 100_000_000_000;

impl Share {
    /// From a ratio; clamped to 0..=1.
    pub fn from_ratio(ratio: f64) -> Self {
        Self {
            percent: ratio.clamp(0.0, 1.0) * 100.0,
        }
    }

    pub fn ratio(self) -> f64 {
        self.percent / 100.0
    }

    /// Largest whole number that is at most this share of `whole`; exact to a billionth of a percent.
    pub fn floor_of(self, whole: u64) -> u64 {
        let part = u128::from(whole) * self.billionths() / ALL_BILLIONTHS;
        u64::try_from(part).unwrap_or(whole)
    }

    /// Billionths of a percent.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "percent is within 0..=100"
    )]
    fn billionths(self) -> u128 {
        (self.percent * 1e9).round() as u128
    }

    /// Fewest requests of which this share comes to [`ALLOWED_MIN`]; no number of them is enough for a share of nothing.
    pub fn needed(self) -> Option<u64> {
        let billionths = self.billionths();
        let needed = (billionths > 0)
            .then(|| (u128::from(ALLOWED_MIN) * ALL_BILLIONTHS).div_ceil(billionths));
        needed.map(|needed| u64::try_from(needed).unwrap_or(u64::MAX))
    }

    /// Parses `0.1%`, `50 %`.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Share {
            text: text.to_owned(),
        };
        let percent = text
            .trim()
            .strip_suffix('%')
            .and_then(|number| plain_number(number.trim()))
            .ok_or_else(bad)?;
        if percent > 100.0 {
            return Err(bad());
        }
        Ok(Self { percent })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
pub(crate) fn plain_number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    } else {
        None
    }
}

macro_rules! text_conversions {
    ($unit:ty) => {
        impl TryFrom<String> for $unit {
            type Error = UnitError;

            fn try_from(text: String) -> Result<Self, UnitError> {
                Self::parse(&text)
            }
        }

        impl From<$unit> for String {
            fn from(value: $unit) -> Self {
                value.to_string()
            }
        }
    };
}

text_conversions!(Rate);
text_conversions!(Share);

/// `#[serde(with = ...)]` for durations as text with a unit.
pub mod duration_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::duration_to_text(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        super::parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The same for durations that may be absent.
pub mod optional_duration_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&super::duration_to_text(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse_duration(&text).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_and_print_back() {
        for (text, ms) in [
            ("200ms", 200),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("2 min", 120_000),
        ] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(duration, Duration::from_millis(ms), "{text}");
            assert_eq!(
                parse_duration(&duration_to_text(duration)),
                Ok(duration),
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_without_unit_is_no_duration() {
        for text in ["200", "", "-1s", "1e3s", "s", "1x", "inf", "1..2s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_parse_and_print_back() {
        let check = |text: &str, bytes| {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
            assert_eq!(parse_bytes(&bytes_to_text(bytes)), Ok(bytes), "{text}");
        };
        check("128MiB", 128 << 20);
        check("1.5 GiB", 3 << 29);
        check("500kB", 500_000);
        check("0B", 0);
        for text in ["", "128", "MiB", "-1MiB", "1e3MiB", "128mib", "9999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_and_shares_parse_and_print_back() {
        assert_eq!(Rate::parse("30/min"), Ok(Rate(0.5)));
        assert_eq!(
            Rate::parse("200/s").map(|rate| rate.to_string()),
            Ok("200/s".to_owned())
        );
        assert_eq!(
            Share::parse("0.1%").map(|share| share.to_string()),
            Ok("0.1%".to_owned())
        );
        for text in ["200", "-1/s", "inf/s", "NaN/s", "1/x"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
        for text in ["0.1", "101%", "-1%", "NaN%"] {
            assert!(Share::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_of_a_whole_is_exact() {
        let check = |text: &str, whole, expected| {
            assert_eq!(
                Share::parse(text).expect(text).floor_of(whole),
                expected,
                "{text} of {whole}"
            );
        };
        check("0.1%", 10_000, 10);
        check("0.1%", 9_999, 9);
        check("5%", 200, 10);
        check("99.9%", 1_000, 999);
        check("100%", u64::MAX, u64::MAX);
    }
}
