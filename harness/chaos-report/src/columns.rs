//! Plain text in columns.
//!
//! Invariant: columns are as wide as their widest cell and two spaces apart; no line ends in a space.

/// Lines of `rows` with cells padded into columns, each line after `indent` spaces.
pub fn columns(indent: usize, rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0))
        .map(width)
        .collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{:indent$}{}", "", cells.join("  "))
            .trim_end()
            .to_owned()
    };
    rows.iter().map(line).collect()
}

/// A row from borrowed cells.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up_and_no_line_ends_in_a_space() {
        let lines = columns(
            2,
            &[row(["a", "bb", ""]), row(["ccc", "d", "e"]), row(["f"])],
        );
        assert_eq!(lines, ["  a    bb", "  ccc  d   e", "  f"]);
    }
}
