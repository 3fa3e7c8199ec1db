//! Numbers as people read them: `412 ms`, `61,400`, `0.12 %`.
//!
//! Invariant: rounding is for reading only; nothing is ever judged by a text.

/// A duration of `ns` nanoseconds with at most one decimal below a second: `640 us`, `41.2 ms`, `9.2 s`, `2 min 5 s`.
pub fn duration(ns: u64) -> String {
    let ms = ns as f64 / 1e6;
    match ns {
        0 => "0 s".to_owned(),
        1..1_000_000 => format!("{} us", (ns / 1_000).max(1)),
        1_000_000..999_950_000 => format!("{} ms", trimmed(ms, 1)),
        999_950_000..9_995_000_000 => format!("{} s", trimmed(ms / 1e3, 2)),
        9_995_000_000..99_950_000_000 => format!("{} s", trimmed(ms / 1e3, 1)),
        _ => minutes((ns + 500_000_000) / 1_000_000_000),
    }
}

fn minutes(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// A whole number with a comma between thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 request`, `3 requests`.
pub fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(n))
}

/// `part` of `whole` as a percentage with three digits that matter; `no share` of nothing.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "no share".to_owned();
    }
    let percent = part as f64 / whole as f64 * 100.0;
    // Just below 100 the part that is missing is what matters.
    let decimals = match percent {
        p if p <= 0.0 => 0,
        p if (99.0..100.0).contains(&p) => 3,
        p if p >= 100.0 => 0,
        p if p >= 10.0 => 1,
        p if p >= 1.0 => 2,
        p if p >= 0.1 => 3,
        p if p >= 0.01 => 4,
        _ => 5,
    };
    format!("{} %", trimmed(percent, decimals))
}

/// A ratio as a percentage with one decimal at most: `82 %`, `0.4 %`.
pub fn percent(ratio: f64) -> String {
    format!("{} %", trimmed(ratio * 100.0, 1))
}

/// A number with two decimals at most.
pub fn decimal(value: f64) -> String {
    trimmed(value, 2)
}

/// Bytes in the unit that fits: `512 B`, `1.5 KiB`, `128 MiB`.
pub fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1_023.95 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{} {}", trimmed(value, 1), units[unit])
}

/// Items as a sentence lists them: `a`, `a and b`, `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// `value` with up to `decimals` decimals, zeros at the end left out.
fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let check = |ns, expected: &str| assert_eq!(duration(ns), expected, "{ns}");
        check(0, "0 s");
        check(1, "1 us");
        check(640_000, "640 us");
        check(41_230_000, "41.2 ms");
        check(412_000_000, "412 ms");
        check(999_999_999, "1 s");
        check(1_250_000_000, "1.25 s");
        check(9_200_000_000, "9.2 s");
        check(9_999_000_000, "10 s");
        check(75_040_000_000, "75 s");
        check(125_000_000_000, "2 min 5 s");
        check(120_000_000_000, "2 min");
    }

    #[test]
    fn counts_and_shares_read_well() {
        for (n, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (61_400, "61,400"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(n), expected);
        }
        let check = |part, whole, expected: &str| {
            assert_eq!(share(part, whole), expected, "{part} of {whole}");
        };
        check(0, 0, "no share");
        check(0, 5, "0 %");
        check(1, 1_000, "0.1 %");
        check(171, 1_000, "17.1 %");
        check(9_997, 10_000, "99.97 %");
        check(5, 5, "100 %");
        check(1, 1_000_000, "0.0001 %");
    }

    #[test]
    fn sizes_read_well() {
        for (n, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (134_217_728, "128 MiB"),
            (1_048_575, "1 MiB"),
            (3 << 40, "3 TiB"),
        ] {
            assert_eq!(bytes(n), expected);
        }
        assert_eq!(
            (percent(0.825), percent(1.0)),
            ("82.5 %".to_owned(), "100 %".to_owned())
        );
        assert_eq!(
            (decimal(0.5), decimal(3.0)),
            ("0.5".to_owned(), "3".to_owned())
        );
    }

    #[test]
    fn lists_read_as_in_a_sentence() {
        let items = |n: usize| {
            ["a", "b", "c"][..n]
                .iter()
                .map(|item| (*item).to_owned())
                .collect::<Vec<_>>()
        };
        for (n, expected) in [(0, ""), (1, "a"), (2, "a and b"), (3, "a, b and c")] {
            assert_eq!(list(&items(n)), expected);
        }
    }
}
