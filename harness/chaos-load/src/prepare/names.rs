//! The names that may stand in a journey's slots, and the numbers of their values.
//!
//! Invariant: a name that has a number has a value by the time a slot with it is filled, unless an
//! answer lacks what was to be extracted from it.

use std::collections::BTreeMap;

use chaos_plan::chance::Zipf;
use chaos_plan::plan::{Journey, Row, Step};

/// Stands for a random UUID, a new one for each use.
const UUID: &str = "uuid";
/// Before a name: a random UUID that is the same wherever the journey uses that name.
const NAMED_UUID: &str = "uuid.";

/// Numbers of the values of one journey, given out while its steps are prepared in order.
#[derive(Debug)]
pub(super) struct Names<'a> {
    journey: &'a Journey,
    numbers: BTreeMap<String, usize>,
    /// What the steps so far extract.
    extracted: Vec<&'a str>,
    uuids: Vec<usize>,
    /// Numbers given out.
    count: usize,
}

impl<'a> Names<'a> {
    pub(super) fn new(journey: &'a Journey) -> Self {
        Self {
            journey,
            numbers: BTreeMap::new(),
            extracted: Vec::new(),
            uuids: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn journey(&self) -> &'a Journey {
        self.journey
    }

    /// How many numbers were given out: they are all below this.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The numbers that are a UUID, in the order of use.
    pub(super) fn into_uuids(self) -> Vec<usize> {
        self.uuids
    }

    /// A number for a value that no slot can name.
    pub(super) fn nameless(&mut self) -> usize {
        self.count += 1;
        self.count - 1
    }

    /// The number of a name.
    pub(super) fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.nameless();
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The number of a slot, if something provides its value by the time it is used.
    pub(super) fn resolve(&mut self, slot: &str) -> Option<usize> {
        if slot == UUID {
            let number = self.nameless();
            self.uuids.push(number);
            return Some(number);
        }
        if self.extracted.contains(&slot) || is_data(self.journey, slot) {
            return Some(self.number(slot));
        }
        let name = slot.strip_prefix(NAMED_UUID)?;
        (!name.is_empty()).then(|| self.named_uuid(slot))
    }

    fn named_uuid(&mut self, slot: &str) -> usize {
        let is_new = !self.numbers.contains_key(slot);
        let number = self.number(slot);
        if is_new {
            self.uuids.push(number);
        }
        number
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

    /// For each of [`Self::lists`] the law it is drawn by.
    pub(super) fn laws(&self) -> Vec<Option<Zipf>> {
        let used = self
            .journey
            .data
            .iter()
            .filter(|(list, rows)| self.used_rows(list, rows).is_some());
        let exponents = &self.journey.popularity;
        used.map(|(list, rows)| {
            exponents
                .get(list)
                .map(|exponent| Zipf::new(rows.len(), *exponent))
        })
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
