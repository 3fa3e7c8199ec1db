//! Rows of a data list from a CSV file (RFC 4180) beside the journey.
//!
//! Invariant: a table that passes here has at least one row and at most [`MAX_ROWS`], all with the
//! fields its first line names.

use std::collections::{BTreeMap, BTreeSet};

use ::csv::{Error, ErrorKind, ReaderBuilder, StringRecord};

use crate::check::{Library, SourceFile};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, codes, quote};
use crate::file::MAX_BYTES;
use crate::file::located::Located;
use crate::file::range::MAX_ROWS;
use crate::plan::Row;

/// Fields by name, and rows that have each of them.
pub(super) struct Table {
    pub(super) fields: BTreeSet<String>,
    pub(super) rows: Vec<Row>,
}

/// Reads the file that stands beside the journey; what is wrong with it is reported.
pub(super) fn read(
    csv: &Located<String>,
    (journey, library): (&SourceFile, &dyn Library),
    problems: &mut Diagnostics,
) -> Option<Table> {
    let path = csv.get()?;
    if journey.folder.is_empty() {
        let problem = codes::CSV.at(csv.span, "a bundled journey has no files beside it");
        problems
            .add(problem.help("write the rows into the journey, or make it a file of your own"));
        return None;
    }
    let Some(table) = library.data(journey, path) else {
        let problem = codes::CSV
            .at(csv.span, format!("no readable CSV file {}", quote(path)))
            .label("not found, larger than 1 MiB, or not UTF-8 text");
        problems.add(problem.help("give its path from the folder of this journey's file"));
        return None;
    };
    if table.text.len() > MAX_BYTES {
        let problem = codes::CSV.at(csv.span, format!("{} is larger than 1 MiB", quote(path)));
        problems.add(problem.help("keep the rows that are needed, at most 10,000"));
        return None;
    }
    let index = problems.add_file(table.clone());
    let read = rows(&table.text, index);
    read.map_err(|problem| problems.add(*problem)).ok()
}

/// Fields and rows of a text, or the first thing that is wrong with it.
fn rows(text: &str, file: usize) -> Result<Table, Box<Diagnostic>> {
    let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| unreadable(&error, text, file))?
        .clone();
    let fields = fields(&header, first_line(text, file))?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(&error, text, file))?;
        if rows.len() == MAX_ROWS {
            let span = place(
                record.position().map_or(0, ::csv::Position::byte),
                text,
                file,
            );
            let problem = codes::CSV.at(span, "more than 10,000 rows");
            return Err(Box::new(problem.help("keep the rows that are needed")));
        }
        let pairs = header.iter().zip(&record);
        let row: BTreeMap<String, String> = pairs
            .map(|(field, value)| (field.to_owned(), value.to_owned()))
            .collect();
        rows.push(Row::Fields(row));
    }
    if rows.is_empty() {
        let problem = codes::CSV.at(
            first_line(text, file),
            "no row below the names of the fields",
        );
        return Err(Box::new(problem.help("add at least one row")));
    }
    Ok(Table { fields, rows })
}

fn fields(header: &StringRecord, span: Span) -> Result<BTreeSet<String>, Box<Diagnostic>> {
    let mut fields = BTreeSet::new();
    for name in header {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let why = if name.is_empty() || !name.chars().all(fits) {
            format!("{} cannot be the name of a field", quote(name))
        } else if fields.insert(name.to_owned()) {
            continue;
        } else {
            format!("two fields are named {}", quote(name))
        };
        return Err(Box::new(codes::CSV.at(span, why).help(
            "name each field in the first line, once: letters, digits, `-` and `_`",
        )));
    }
    Ok(fields)
}

fn unreadable(error: &Error, text: &str, file: usize) -> Box<Diagnostic> {
    let at = error.position().map_or(0, ::csv::Position::byte);
    let why = match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("this row has {len} fields, the first line names {expected_len}"),
        _ => "this is not CSV".to_owned(),
    };
    let problem = codes::CSV.at(place(at, text, file), why);
    Box::new(problem.help("give every row each field; put text with a comma or a quote in quotes"))
}

/// The line that begins at a byte, or soon after it.
fn place(byte: u64, text: &str, file: usize) -> Span {
    let mut start = usize::try_from(byte).unwrap_or(0).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    // A reader may count the end of the line before to the row.
    start += text[start..].len() - text[start..].trim_start_matches(['\r', '\n']).len();
    let length = text[start..]
        .find(['\r', '\n'])
        .unwrap_or(text.len() - start);
    Span {
        file,
        start,
        end: start + length,
    }
}

fn first_line(text: &str, file: usize) -> Span {
    place(0, text, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<usize, &str>) {
        match (rows(text, 0), expected) {
            (Ok(table), Ok(count)) => assert_eq!(table.rows.len(), count, "{text}"),
            (Err(problem), Err(why)) => {
                assert!(problem.message.contains(why), "{text}: {}", problem.message);
                assert!(problem.help.is_some());
            }
            (Ok(_), Err(why)) => panic!("{text} is read, not refused: {why}"),
            (Err(problem), Ok(_)) => panic!("{text}: {}", problem.message),
        }
    }

    #[test]
    fn rows_are_read_or_the_first_bad_one_is_named() {
        check("email,password\na@b,one\n\"c, d\",\"tw\"\"o\"\n", Ok(2));
        check("email\r\na\r\n", Ok(1));
        check("email,password\na\n", Err("has 1 fields"));
        check("email\n", Err("no row"));
        check("", Err("no row"));
        check("e mail\nx\n", Err("cannot be the name"));
        check("a,a\n1,2\n", Err("two fields"));
        check(&format!("a\n{}", "x\n".repeat(MAX_ROWS)), Ok(MAX_ROWS));
        check(
            &format!("a\n{}", "x\n".repeat(MAX_ROWS + 1)),
            Err("more than 10,000"),
        );
    }

    #[test]
    fn a_bad_row_is_shown_where_it_stands() {
        let text = "a,b\n1,2\n3\n4,5\n";
        let problem = rows(text, 0).err().expect("refused");
        let span = problem.span.expect("a place");
        assert_eq!(&text[span.start..span.end], "3");
    }
}
