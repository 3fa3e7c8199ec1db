//! Numbers as people read them: those of the verdict's own texts, and clock times, shares, rates, letters.
//!
//! Invariant: the same number always gives the same text, in the verdict and in every output.

pub use chaos_record::words::{count, counted, duration, list};

/// A duration that may not be known.
pub fn duration_or(ns: Option<u64>, absent: &str) -> String {
    ns.map_or_else(|| absent.to_owned(), duration)
}

/// A time on a run's clock to a tenth of a second, cut off: `00:41.3`, `1:02:03.0`.
pub fn clock(ns: u64) -> String {
    format!("{}.{}", clock_seconds(ns), ns / 100_000_000 % 10)
}

/// A time on a run's clock to a second, cut off: `00:41`.
pub fn clock_seconds(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

/// A share from 0 to 1 as a percentage; what is not quite nothing or not quite all never reads `0 %` or `100 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        "0 %".to_owned()
    } else if percent < 0.005 {
        "< 0.01 %".to_owned()
    } else if percent < 0.995 {
        format!("{percent:.2} %")
    } else if percent < 9.95 {
        format!("{percent:.1} %")
    } else if percent < 98.95 {
        format!("{percent:.0} %")
    } else if share < 1.0 {
        // Cut off, not rounded: 99.996 % is not 100 %.
        format!("{:.2} %", (percent * 100.0).floor() / 100.0)
    } else {
        "100 %".to_owned()
    }
}

/// `part` of `whole` as a percentage; `-` without a whole.
pub fn percent_of(part: u64, whole: u64) -> String {
    if whole == 0 {
        "-".to_owned()
    } else {
        chaos_record::words::share(part, whole)
    }
}

/// Events a second: `200/s`, `0.5/s`, `66.7/s`.
pub fn rate(per_second: f64) -> String {
    let text = if per_second >= 100.0 {
        format!("{per_second:.0}")
    } else {
        format!("{per_second:.1}")
    };
    format!("{}/s", text.strip_suffix(".0").unwrap_or(&text))
}

/// Letter of the fault with this number: A to Z, then A1, B1 and so on.
pub fn letter(number: usize) -> String {
    let letter =
        char::from(b'A' + u8::try_from(number % 26).expect("a remainder of 26 fits a byte"));
    if number < 26 {
        letter.to_string()
    } else {
        format!("{letter}{}", number / 26)
    }
}

/// At most `most` of the lines; the last then says how many more there are.
pub fn at_most(most: usize, mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(most);
    lines.truncate(most);
    match lines.pop() {
        Some(last) if more > 0 => lines.push(format!("{last} (and {more} more)")),
        last => lines.extend(last),
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let lines = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(at_most(2, lines(2)), ["0", "1"]);
        assert_eq!(at_most(2, lines(5)), ["0", "1 (and 3 more)"]);
        assert!(at_most(2, Vec::new()).is_empty());
    }

    #[test]
    fn clocks_are_cut_off_not_rounded() {
        assert_eq!(clock(41_390_000_000), "00:41.3");
        assert_eq!(clock(3_723_000_000_000), "1:02:03.0");
    }

    #[test]
    fn a_share_never_rounds_to_nothing_or_all() {
        let check = |share, expected: &str| assert_eq!(percent(share), expected, "{share}");
        check(0.0, "0 %");
        check(0.000_001, "< 0.01 %");
        check(0.0035, "0.35 %");
        check(0.17, "17 %");
        check(0.999, "99.90 %");
        check(0.999_999, "99.99 %");
        check(1.0, "100 %");
    }

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([letter(0), letter(25), letter(26)], ["A", "Z", "A1"]);
    }
}
