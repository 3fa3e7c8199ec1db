//! Tables as Markdown.
//!
//! Invariant: every row has as many cells as there are columns, and no cell can break its row.

/// A table to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// What is shown where there is no figure.
pub(crate) const NOTHING: &str = "–";

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self {
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// The first cell names the row; missing ones are shown as [`NOTHING`].
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().collect();
        row.resize(self.columns.len(), NOTHING.to_owned());
        self.rows.push(row);
    }

    /// Names to the left, figures to the right.
    pub(crate) fn markdown(&self) -> String {
        let mut lines = vec![line(&self.columns)];
        let rules = (0..self.columns.len()).map(|at| if at == 0 { "---" } else { "---:" });
        lines.push(format!("|{}|", rules.collect::<Vec<_>>().join("|")));
        lines.extend(self.rows.iter().map(|row| line(row)));
        lines.join("\n")
    }
}

fn line(cells: &[String]) -> String {
    let safe: Vec<_> = cells
        .iter()
        .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
        .collect();
    format!("| {} |", safe.join(" | "))
}

/// With commas between the thousands.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 && digit.is_ascii_digit() && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `value` as text, or [`NOTHING`].
pub(crate) fn cell(value: Option<f64>, text: impl FnOnce(f64) -> String) -> String {
    value.map_or_else(|| NOTHING.to_owned(), text)
}

/// A ratio with two digits.
pub(crate) fn ratio(value: Option<f64>, to: Option<f64>) -> String {
    let of = value.zip(to).filter(|(_, to)| *to > 0.0);
    cell(of.map(|(value, to)| value / to), |ratio| {
        format!("{ratio:.2}")
    })
}

/// Milliseconds with as many digits as they are good for.
pub(crate) fn milliseconds(value: Option<f64>) -> String {
    cell(value, |ms| {
        if ms < 10.0 {
            format!("{ms:.3}")
        } else {
            format!("{ms:.1}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_filled_up_and_cannot_be_broken() {
        let mut table = Table::new(&["tool", "requests/s"]);
        table.row(["a|b\nc".to_owned()]);
        table.row(["d".to_owned(), "1".to_owned()]);
        assert_eq!(
            table.markdown(),
            "| tool | requests/s |\n|---|---:|\n| a\\|b c | – |\n| d | 1 |"
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        let check = |value: f64, expected: &str| assert_eq!(thousands(value), expected);
        check(0.4, "0");
        check(999.0, "999");
        check(1000.0, "1,000");
        check(123_456.0, "123,456");
        check(-123_456.0, "-123,456");
    }

    #[test]
    fn what_is_unknown_is_not_a_number() {
        assert_eq!(ratio(Some(1.0), None), NOTHING);
        assert_eq!(ratio(Some(1.0), Some(0.0)), NOTHING);
        assert_eq!(ratio(Some(3.0), Some(2.0)), "1.50");
        assert_eq!(milliseconds(Some(0.1234)), "0.123");
    }
}
