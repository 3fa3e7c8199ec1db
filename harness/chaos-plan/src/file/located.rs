//! Values that know where they stand in a text.
//!
//! Invariant: reading never fails half-way. What could not be read is an empty [`Located`] with
//! its place, reported already by the walk, and everything around it is still there to be checked.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::diagnostic::Span;

/// The name under which [`Located`] asks a reader for span and value.
pub(super) const LOCATED: &str = "$located";

/// A value and its place; empty if it was bad.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) span: Span,
    value: Option<T>,
}

impl<T> Located<T> {
    /// The value, unless it was bad.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    pub(crate) fn into_value(self) -> Option<T> {
        self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(LOCATED, SpanAndValue(PhantomData))
    }
}

struct SpanAndValue<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SpanAndValue<T> {
    type Value = Located<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its place")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Located<T>, A::Error> {
        let [file, start, end]: [usize; 3] = parts
            .next_element()?
            .ok_or_else(|| A::Error::custom("no place"))?;
        let value = parts.next_element_seed(IfGood(PhantomData))?.flatten();
        Ok(Located {
            span: Span { file, start, end },
            value,
        })
    }
}

struct IfGood<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for IfGood<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        Ok(T::deserialize(deserializer).ok())
    }
}

/// The value of a key that may be left out.
#[derive(Debug, Clone)]
pub(crate) struct Optional<T>(Option<Located<T>>);

impl<T> Optional<T> {
    /// What was given, good or bad.
    pub(crate) fn given(&self) -> Option<&Located<T>> {
        self.0.as_ref()
    }

    /// The value, if it was given and good.
    pub(crate) fn get(&self) -> Option<&T> {
        self.given()?.get()
    }

    /// `default` if it was left out; `None` if it was bad.
    pub(crate) fn or(&self, default: T) -> Option<T>
    where
        T: Clone,
    {
        match &self.0 {
            None => Some(default),
            Some(located) => located.get().cloned(),
        }
    }
}

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Optional<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Located::deserialize(deserializer).map(|located| Self(Some(located)))
    }
}

/// A mapping with names of the user's own, in the order written.
#[derive(Debug, Clone)]
pub(crate) struct Map<T>(Vec<(Located<String>, Located<T>)>);

impl<T> Map<T> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Located<String>, &Located<T>)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = Map<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Map<T>, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Map(map))
    }
}

/// In the schema a wrapper is what it wraps.
macro_rules! same_schema {
    ($wrapper:ident) => {
        impl<T: JsonSchema> JsonSchema for $wrapper<T> {
            fn inline_schema() -> bool {
                T::inline_schema()
            }

            fn schema_name() -> Cow<'static, str> {
                T::schema_name()
            }

            fn schema_id() -> Cow<'static, str> {
                T::schema_id()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                T::json_schema(generator)
            }
        }
    };
}

same_schema!(Located);
same_schema!(Optional);

impl<T: JsonSchema> JsonSchema for Map<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}
