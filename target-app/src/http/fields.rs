//! Reads the fields of what shoppers send and says clearly what is wrong with them.
//!
//! Invariant: a value that passes a reader is within its stated bounds; a field nobody reads is an error.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::ApiError;

/// The fields of a JSON object in a request body.
#[derive(Debug)]
pub(crate) struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Reads a body that must be one JSON object.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let value = serde_json::from_slice(body).map_err(|error| {
            ApiError::invalid("body", format!("the body is not JSON: {error}"))
                .help("send one JSON object")
        })?;
        Self::of(String::new(), value)
    }

    fn of(path: String, value: Value) -> Result<Self, ApiError> {
        if let Value::Object(map) = value {
            return Ok(Self { path, map });
        }
        let field = if path.is_empty() {
            "body".to_owned()
        } else {
            path
        };
        let error = format!("`{field}` must be a JSON object");
        Err(ApiError::invalid(field, error))
    }

    /// A text of so many characters.
    pub(crate) fn text(
        &mut self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Result<String, ApiError> {
        self.optional_text(name, length)?
            .ok_or_else(|| self.missing(name))
    }

    /// A text of so many characters, or nothing.
    pub(crate) fn optional_text(
        &mut self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<String>, ApiError> {
        let rule = || {
            format!(
                "must be a text of {} to {} characters",
                length.start(),
                length.end()
            )
        };
        match self.map.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if length.contains(&text.chars().count()) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, &rule())),
        }
    }

    /// A whole number within bounds.
    pub(crate) fn integer(
        &mut self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<i64, ApiError> {
        let value = self.map.remove(name).ok_or_else(|| self.missing(name))?;
        value
            .as_i64()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.wrong(
                    name,
                    &format!(
                        "must be a whole number from {} to {}",
                        range.start(),
                        range.end()
                    ),
                )
            })
    }

    /// A list of so many objects, or nothing.
    pub(crate) fn optional_list(
        &mut self,
        name: &str,
        length: RangeInclusive<usize>,
    ) -> Result<Option<Vec<Self>>, ApiError> {
        let list = match self.map.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(list)) if length.contains(&list.len()) => list,
            Some(_) => {
                let rule = format!(
                    "must be a list of {} to {} objects",
                    length.start(),
                    length.end()
                );
                return Err(self.wrong(name, &rule));
            }
        };
        let place = self.place(name);
        let objects = list
            .into_iter()
            .enumerate()
            .map(|(at, value)| Self::of(format!("{place}[{at}]"), value));
        objects.collect::<Result<_, _>>().map(Some)
    }

    /// Ends the reading; a field that nobody read is an error.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => {
                let place = self.place(name);
                Err(ApiError::invalid(
                    place.clone(),
                    format!("`{place}` is not known here"),
                ))
            }
        }
    }

    /// An error about one field of this object.
    pub(crate) fn wrong(&self, name: &str, rule: &str) -> ApiError {
        let place = self.place(name);
        let error = format!("`{place}` {rule}");
        ApiError::invalid(place, error)
    }

    fn missing(&self, name: &str) -> ApiError {
        self.wrong(name, "is missing")
            .help(format!("add `{name}` to the JSON object"))
    }

    fn place(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

/// The parameters after the question mark of a path.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// A whole number within bounds, or its default.
    pub(crate) fn integer(
        &self,
        name: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let (first, last) = (range.start(), range.end());
                ApiError::invalid(
                    name,
                    format!("`{name}` must be a whole number from {first} to {last}"),
                )
            })
    }

    /// A text of so many characters.
    pub(crate) fn text(
        &self,
        name: &'static str,
        length: RangeInclusive<usize>,
    ) -> Result<&str, ApiError> {
        let text = self.get(name).unwrap_or_default();
        if length.contains(&text.chars().count()) {
            return Ok(text);
        }
        let rule = format!(
            "`{name}` must have {} to {} characters",
            length.start(),
            length.end()
        );
        Err(ApiError::invalid(name, rule).help(format!("add `?{name}=...` to the path")))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::fmt::Debug>(
        body: &str,
        read: impl Fn(&mut Fields) -> Result<T, ApiError>,
        wanted: &str,
    ) {
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        let text = match read(&mut fields).and_then(|_| fields.finish()) {
            Ok(()) => "fine".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        assert!(text.contains(wanted), "{body}: {text} lacks {wanted}");
    }

    #[test]
    fn numbers_are_whole_and_bounded() {
        let read = |fields: &mut Fields| fields.integer("quantity", 1..=100);
        check(r#"{"quantity": 1}"#, read, "fine");
        check(r#"{"quantity": 100}"#, read, "fine");
        for body in [
            r#"{"quantity": 0}"#,
            r#"{"quantity": 101}"#,
            r#"{"quantity": 1.5}"#,
            r#"{"quantity": "1"}"#,
        ] {
            check(
                body,
                read,
                "`quantity` must be a whole number from 1 to 100",
            );
        }
        check("{}", read, "`quantity` is missing");
        check(
            r#"{"quantity": 1, "colour": "red"}"#,
            read,
            "`colour` is not known here",
        );
    }

    #[test]
    fn texts_are_counted_in_characters() {
        let read = |fields: &mut Fields| fields.text("name", 1..=3);
        check("{\"name\": \"\u{e9}\u{e9}\u{e9}\"}", read, "fine");
        check(r#"{"name": "abcd"}"#, read, "a text of 1 to 3 characters");
        check(r#"{"name": 7}"#, read, "a text of 1 to 3 characters");
        check(r#"{"name": null}"#, read, "`name` is missing");
    }

    #[test]
    fn a_mistake_in_a_list_is_told_with_its_place() {
        let read = |fields: &mut Fields| {
            for mut item in fields.optional_list("items", 1..=2)?.unwrap_or_default() {
                item.integer("quantity", 1..=9)?;
                item.finish()?;
            }
            Ok(())
        };
        check(r#"{"items": [{"quantity": 1}]}"#, read, "fine");
        check(
            r#"{"items": [{"quantity": 1}, {"quantity": 0}]}"#,
            read,
            "`items[1].quantity` must be",
        );
        check(
            r#"{"items": [7]}"#,
            read,
            "`items[0]` must be a JSON object",
        );
        check(
            r#"{"items": []}"#,
            read,
            "`items` must be a list of 1 to 2 objects",
        );
    }

    #[test]
    fn what_is_not_an_object_is_refused() {
        for body in ["", "[]", "7", "{", "\u{0}"] {
            assert!(Fields::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn parameters_are_bounded() {
        let parameters = Parameters::new(vec![
            ("page".into(), "0".into()),
            ("q".into(), "lamp".into()),
        ]);
        assert!(parameters.integer("page", 1, 1..=9).is_err());
        assert_eq!(parameters.integer("size", 20, 1..=100).unwrap(), 20);
        assert_eq!(parameters.text("q", 1..=64).unwrap(), "lamp");
        assert!(parameters.text("name", 1..=64).is_err());
    }
}
