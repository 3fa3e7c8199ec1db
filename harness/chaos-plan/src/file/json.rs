//! Looking into a JSON Schema.
//!
//! Invariant: it knows the part of JSON Schema 2020-12 that our types make, no more: `$ref` into
//! `$defs`, `oneOf` for choices, tagged values and "exactly one of these keys".

use serde_json::Value as Json;

use super::format::{self, Format};
use crate::template::Template;

/// A schema inside its document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema<'a> {
    root: &'a Json,
    here: &'a Json,
}

impl<'a> Schema<'a> {
    pub(super) fn root(root: &'a Json) -> Self {
        Self { root, here: root }
    }

    /// Whether it describes the whole document.
    pub(super) fn is_root(self) -> bool {
        std::ptr::eq(self.root, self.here)
    }

    /// The schema `here` inside the same document; references are followed.
    fn inside(self, here: &'a Json) -> Self {
        let reference = here["$ref"]
            .as_str()
            .and_then(|reference| reference.strip_prefix('#'));
        Self {
            root: self.root,
            here: reference
                .and_then(|pointer| self.root.pointer(pointer))
                .unwrap_or(here),
        }
    }

    /// Whether a JSON type may stand here; a schema without types takes them all.
    pub(super) fn takes(self, kind: &str) -> bool {
        match &self.here["type"] {
            Json::String(one) => one == kind,
            Json::Array(several) => several.iter().any(|one| one == kind),
            _ => self.here["oneOf"].is_null() && self.here["properties"].is_null(),
        }
    }

    /// Words that may stand here, if it is a choice of words.
    pub(super) fn words(self) -> Option<Vec<&'a str>> {
        if let Some(words) = self.here["enum"].as_array() {
            return words.iter().map(Json::as_str).collect();
        }
        self.here["oneOf"]
            .as_array()?
            .iter()
            .map(|branch| branch["const"].as_str())
            .collect()
    }

    /// The keys of which exactly one must stand here with its value, if it is a tagged value.
    pub(super) fn tags(self) -> Option<Vec<(&'a str, Self)>> {
        let branches = self.here["oneOf"].as_array()?;
        let pairs = branches.iter().map(|branch| {
            let mut properties = branch["properties"].as_object()?.iter();
            let (key, value) = properties.next().filter(|_| properties.next().is_none())?;
            Some((key.as_str(), self.inside(value)))
        });
        pairs.collect()
    }

    /// Groups of keys of each of which exactly one must stand here.
    pub(super) fn one_of(self) -> Vec<Vec<&'a str>> {
        let all = self.here["allOf"].as_array().into_iter().flatten();
        all.chain([self.here])
            .filter_map(|schema| {
                let branches = schema["oneOf"].as_array()?;
                branches
                    .iter()
                    // A list may stand in the place of the mapping; it has no keys.
                    .filter(|branch| branch["type"] != "array")
                    .map(|branch| {
                        branch["required"][0]
                            .as_str()
                            .filter(|_| branch["properties"].is_null())
                    })
                    .collect()
            })
            .collect()
    }

    pub(super) fn property(self, key: &str) -> Option<Self> {
        self.here["properties"]
            .get(key)
            .map(|schema| self.inside(schema))
    }

    pub(super) fn properties(self) -> impl Iterator<Item = &'a str> {
        self.here["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
    }

    /// The schema of values under keys of the user's own.
    pub(super) fn free_keys(self) -> Option<Self> {
        let schema = &self.here["additionalProperties"];
        if schema.is_object() {
            Some(self.inside(schema))
        } else {
            None
        }
    }

    pub(super) fn required(self) -> impl Iterator<Item = &'a str> {
        self.here["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
    }

    pub(super) fn items(self) -> Option<Self> {
        self.here.get("items").map(|schema| self.inside(schema))
    }

    /// Checks a text against the form asked for here; `None` if any text will do.
    pub(super) fn check_format(self, text: &str) -> Option<Result<(), String>> {
        let validate = format::validator(self.here["format"].as_str()?)?;
        Some(validate(text))
    }

    /// Whether it is text with slots.
    pub(super) fn takes_slots(self) -> bool {
        self.here["format"].as_str() == Some(<Template as Format>::NAME)
    }

    /// The smallest and largest number allowed.
    pub(super) fn range(self) -> (Option<f64>, Option<f64>) {
        let width = match self.here["format"].as_str() {
            Some("uint16") => Some(f64::from(u16::MAX)),
            Some("uint32") => Some(f64::from(u32::MAX)),
            Some("uint64") => Some(u64::MAX as f64),
            _ => None,
        };
        (
            self.here["minimum"].as_f64(),
            self.here["maximum"].as_f64().or(width),
        )
    }

    /// The fewest and most items or keys allowed.
    pub(super) fn count(self, least: &str, most: &str) -> (usize, usize) {
        let limit = |name: &str| {
            self.here[name]
                .as_u64()
                .and_then(|limit| usize::try_from(limit).ok())
        };
        (limit(least).unwrap_or(0), limit(most).unwrap_or(usize::MAX))
    }

    /// A well-formed value, as a user would write it.
    pub(super) fn example(self) -> Option<String> {
        if let Some(example) = self.here["examples"].get(0) {
            return Some(plain(example));
        }
        if let Some((tag, schema)) = self.tags().as_deref().and_then(|tags| tags.first()) {
            let value = schema.example().unwrap_or_else(|| "...".to_owned());
            return Some(format!("{{ {tag}: {value} }}"));
        }
        if self.here["type"].as_str() == Some("boolean") {
            return Some("true".to_owned());
        }
        self.words()
            .and_then(|words| words.first().map(|word| (*word).to_owned()))
    }

    /// What may stand here, in words.
    pub(super) fn expected(self) -> &'static str {
        if self.words().is_some() {
            return "a word";
        }
        if self.tags().is_some() || self.takes("object") {
            return if self.takes("array") {
                "a list or a mapping"
            } else if self.takes("string") {
                "a plain value or a mapping"
            } else {
                "a mapping"
            };
        }
        match self.here["format"].as_str() {
            Some("duration") => "a duration",
            Some("rate") => "a rate",
            Some("share") => "a share",
            Some("instant") => "an instant",
            Some("path" | "path-template") => "a path",
            Some("status") => "a status",
            Some("bytes") => "a size",
            Some("bytes-an-hour" | "count-an-hour" | "time-an-hour") => "a growth",
            Some("rules") => "`all` or a list of rules",
            _ if self.takes("array") => "a list",
            _ if self.takes("string") && self.takes("number") => "a plain value",
            _ if self.takes("string") => "text",
            _ if self.takes("boolean") => "`true` or `false`",
            _ if self.takes("integer") => "a whole number",
            _ => "a number",
        }
    }
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => format!(
            "[{}]",
            items.iter().map(plain).collect::<Vec<_>>().join(", ")
        ),
        Json::Object(entries) if entries.is_empty() => "{ ... }".to_owned(),
        Json::Object(entries) => format!(
            "{{ {} }}",
            entries
                .iter()
                .map(|(key, value)| format!("{key}: {}", plain(value)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        _ => value.to_string(),
    }
}
