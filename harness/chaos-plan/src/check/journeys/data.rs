//! Data lists of a journey, inline or from a CSV file.
//!
//! Invariant: every row of a list has the same fields, so a slot that is known has a value in each.

mod csv;

use std::collections::{BTreeMap, BTreeSet};

use crate::check::steps::{self, Slots};
use crate::check::{Library, SourceFile, names};
use crate::diagnostic::{Diagnostics, codes, quote};
use crate::file::journey as form;
use crate::file::located::{Located, Map, Optional};
use crate::file::value::Row as FileRow;
use crate::plan::Row;

/// Lists by name.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) rows: BTreeMap<String, Vec<Row>>,
    /// The exponents of those that Zipf's law draws from.
    pub(super) popularity: BTreeMap<String, f64>,
}

type Fields = BTreeSet<String>;

/// The lists of a journey by name; their fields are slots afterwards.
pub(super) fn resolve(
    data: &Optional<Map<form::DataList>>,
    from: (&SourceFile, &dyn Library),
    slots: &mut Slots,
    problems: &mut Diagnostics,
) -> Option<Lists> {
    let Some(data) = data.given() else {
        return Some(Lists::default());
    };
    let mut lists = Some(Lists::default());
    for (name, list) in data.get()?.iter() {
        let Some(text) = names::name(name, "a data list", problems) else {
            continue;
        };
        if text == steps::UUID {
            let problem = codes::DUPLICATE_NAME.at(name.span, "`uuid` is always there already");
            problems.add(problem.help("give the list another name"));
        }
        let (fields, rows) = match list.get() {
            None => (None, None),
            Some(form::DataList::Rows(rows)) => (fields(rows, text, problems), inline(rows)),
            Some(form::DataList::Drawn(drawn)) => drawn_rows(drawn, text, from, problems),
        };
        slots.lists.insert(text.to_owned(), fields);
        let popularity = list.get().map_or(Some(None), exponent);
        lists = lists
            .zip(rows)
            .zip(popularity)
            .map(|((mut lists, rows), popularity)| {
                lists.rows.insert(text.to_owned(), rows);
                lists
                    .popularity
                    .extend(popularity.map(|exponent| (text.to_owned(), exponent)));
                lists
            });
    }
    lists
}

fn drawn_rows(
    drawn: &form::DrawnList,
    list: &str,
    from: (&SourceFile, &dyn Library),
    problems: &mut Diagnostics,
) -> (Option<Fields>, Option<Vec<Row>>) {
    if let Some(rows) = drawn.rows.get() {
        return (fields(rows, list, problems), inline(rows));
    }
    if let Some(range) = drawn.range.get() {
        let rows = range.0.texts().map(Row::Value);
        return (Some(Fields::new()), Some(rows.collect()));
    }
    let table = drawn
        .csv
        .given()
        .and_then(|csv| csv::read(csv, from, problems));
    table.map_or((None, None), |table| (Some(table.fields), Some(table.rows)))
}

// The exponent of Zipf's law, or that there is none; nothing at all if it was bad.
#[expect(clippy::option_option, reason = "left out and bad are two things")]
fn exponent(list: &form::DataList) -> Option<Option<f64>> {
    match list {
        form::DataList::Rows(_) => Some(None),
        form::DataList::Drawn(drawn) => match drawn.popularity.given() {
            None => Some(None),
            Some(popularity) => popularity.get()?.zipf.get().map(|exponent| Some(*exponent)),
        },
    }
}

fn inline(rows: &[Located<FileRow>]) -> Option<Vec<Row>> {
    rows.iter()
        .map(|row| row.get().and_then(plan_row))
        .collect()
}

/// Names of the fields of every row, empty for plain rows; rows that differ from the first are reported.
fn fields(rows: &[Located<FileRow>], list: &str, problems: &mut Diagnostics) -> Option<Fields> {
    let first = names_of(rows.first()?.get()?)?;
    for row in rows {
        if let Some(names) = row.get().and_then(names_of).filter(|names| *names != first) {
            let what = |names: &BTreeSet<String>| {
                if names.is_empty() {
                    "a plain value".to_owned()
                } else {
                    format!(
                        "fields {}",
                        crate::diagnostic::list(names.iter().map(String::as_str))
                    )
                }
            };
            let problem = codes::MIXED_ROWS.at(
                row.span,
                format!(
                    "rows of {} differ: the first one has {}",
                    quote(list),
                    what(&first)
                ),
            );
            problems.add(
                problem
                    .label(format!("this one has {}", what(&names)))
                    .help("give every row the same fields"),
            );
        }
    }
    Some(first)
}

fn names_of(row: &FileRow) -> Option<BTreeSet<String>> {
    match row {
        FileRow::Value(_) => Some(BTreeSet::new()),
        FileRow::Fields(fields) => fields.iter().map(|(name, _)| name.get().cloned()).collect(),
    }
}

fn plan_row(row: &FileRow) -> Option<Row> {
    match row {
        FileRow::Value(text) => Some(Row::Value(text.clone())),
        FileRow::Fields(fields) => {
            let fields: Option<BTreeMap<String, String>> = fields
                .iter()
                .map(|(name, value)| Some((name.get()?.clone(), value.get()?.0.clone())))
                .collect();
            fields.map(Row::Fields)
        }
    }
}
