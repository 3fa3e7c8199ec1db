//! Values of the user's own: any scalar as text, any JSON, a row of a data list.
//!
//! Invariant: a scalar is kept as it was written: `007` stays `007`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::located::{Located, Map};

/// The name under which [`Row`] asks a reader for scalars as written.
pub(super) const AS_WRITTEN: &str = "$as-written";

/// A scalar as text; numbers and truth values need no quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plain(pub(crate) String);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Plain {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Plain".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Any JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Any(pub(crate) serde_json::Value);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Any {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({})
    }
}

/// A row of a data list: a plain value, or named fields.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    Value(String),
    Fields(Map<Plain>),
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(AS_WRITTEN, RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value or a mapping")
    }

    fn visit_str<E>(self, text: &str) -> Result<Row, E> {
        Ok(Row::Value(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Row, A::Error> {
        Map::deserialize(MapAccessDeserializer::new(entries)).map(Row::Fields)
    }
}

impl JsonSchema for Row {
    fn schema_name() -> Cow<'static, str> {
        "Row".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<Located<Plain>>();
        schemars::json_schema!({
            "description": "A plain value, or named fields.",
            "type": ["string", "number", "boolean", "object"],
            "additionalProperties": fields,
            "minProperties": 1
        })
    }
}
