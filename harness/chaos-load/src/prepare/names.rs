//! The names that may stand in a journey's slots, and the numbers of their values.
//!
//! Invariant: a name that has a number has a value by the time a slot with it is filled, unless an
//! answer lacks what was to be extracted from it.

use std::collections::BTreeMap;

use chaos_plan::plan::{Journey, Row, Step};

/// Stands for a random UUID, a new one for each use.
const UUID: &str = "uuid";

/// Numbers of the values of one journey, given out while its steps are prepared in order.
#[derive(Debug)]
pub(super) struct Names<'a> {
    journey: &'a Journey,
    numbers: BTreeMap<String, usize>,
    /// What the steps so far extract.
    extracted: Vec<&'a str>,
    uuids: Vec<usize>,
}

impl<'a> Names<'a> {
    pub(super) fn new(journey: &'a Journey) -> Self {
        Self {
            journey,
            numbers: BTreeMap::new(),
            extracted: Vec::new(),
            uuids: Vec::new(),
        }
    }

    pub(super) fn journey(&self) -> &'a Journey {
        self.journey
    }

    /// How many numbers were given out: they are all below this.
    pub(super) fn count(&self) -> usize {
        self.numbers.len() + self.uuids.len()
    }

    /// The numbers that are a UUID, in the order of use.
    pub(super) fn into_uuids(self) -> Vec<usize> {
        self.uuids
    }

    /// The number of a name.
    pub(super) fn number(&mut self, name: &str) -> usize {
        let next = self.count();
        *self.numbers.entry(name.to_owned()).or_insert(next)
    }

    /// The number of a slot, if something provides its value by the time it is used.
    pub(super) fn resolve(&mut self, slot: &str) -> Option<usize> {
        if slot == UUID {
            let number = self.count();
            self.uuids.push(number);
            return Some(number);
        }
        let is_provided = self.extracted.contains(&slot) || is_data(self.journey, slot);
        is_provided.then(|| self.number(slot))
    }

    /// From the next step on, what `step` extracts may be used.
    pub(super) fn has_extracted(&mut self, step: &'a Step) {
        self.extracted
            .extend(step.extract.keys().map(String::as_str));
    }

    /// For each data list that a slot uses, its rows: the values they set.
    pub(super) fn lists(&self) -> Vec<Vec<Vec<(usize, String)>>> {
        self.journey
            .data
            .iter()
            .filter_map(|(list, rows)| self.used_rows(list, rows))
            .collect()
    }

    fn used_rows(&self, list: &str, rows: &[Row]) -> Option<Vec<Vec<(usize, String)>>> {
        let set = |name: &str, value: &str| Some((*self.numbers.get(name)?, value.to_owned()));
        let values = |row: &Row| match row {
            Row::Value(value) => set(list, value).into_iter().collect(),
            Row::Fields(fields) => {
                let field =
                    |(field, value): (&String, &String)| set(&format!("{list}.{field}"), value);
                fields.iter().filter_map(field).collect::<Vec<_>>()
            }
        };
        let rows: Vec<_> = rows.iter().map(values).collect();
        rows.iter().any(|row| !row.is_empty()).then_some(rows)
    }
}

/// Whether every row of a data list has what the slot asks for.
fn is_data(journey: &Journey, slot: &str) -> bool {
    let in_every_row = |list: &str, fits: &dyn Fn(&Row) -> bool| {
        journey
            .data
            .get(list)
            .is_some_and(|rows| !rows.is_empty() && rows.iter().all(fits))
    };
    let has_field =
        |row: &Row, name: &str| matches!(row, Row::Fields(fields) if fields.contains_key(name));
    in_every_row(slot, &|row| matches!(row, Row::Value(_)))
        || slot
            .split_once('.')
            .is_some_and(|(list, field)| in_every_row(list, &|row| has_field(row, field)))
}
