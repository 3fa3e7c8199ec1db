//! Text with slots: `/carts/{cart}/items`.
//!
//! Invariant: a [`Template`] that exists is well formed: every `{` has its `}` and a name between.
//! `{{` and `}}` stand for the braces themselves.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Parsed text with slots; written and shown as the text it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A stretch of plain text or a named slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Slot(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("`{{` without a closing `}}` (write `{{{{` for a brace)")]
    Unclosed,
    #[error("`}}` without an opening `{{` (write `}}}}` for a brace)")]
    Unopened,
    #[error("`{{{name}}}` is not a slot name: letters, digits, `_`, `-` and `.` only")]
    BadName { name: String },
}

impl Template {
    /// Parses a text; `{{` and `}}` are literal braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
            } else if brace == "{" {
                let end = rest.find('}').ok_or(TemplateError::Unclosed)?;
                let name = slot_name(&rest[..end])?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Slot(name));
                rest = &rest[end + 1..];
            } else {
                return Err(TemplateError::Unopened);
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Names of the slots, in order of appearance.
    pub fn slots(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Slot(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Fills every slot with what `value` gives for its name; `Err` is the first name it does not know.
    pub fn fill(&self, mut value: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
        let mut filled = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Slot(name) => filled.push_str(&value(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(filled)
    }
}

fn slot_name(name: &str) -> Result<String, TemplateError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(fits) {
        return Err(TemplateError::BadName {
            name: name.to_owned(),
        });
    }
    Ok(name.to_owned())
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, parts: &[Part]) {
        assert_eq!(Template::parse(text).expect("a template").parts(), parts);
    }

    fn slot(name: &str) -> Part {
        Part::Slot(name.to_owned())
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn slots_and_text_alternate() {
        check(
            "/carts/{cart}/items",
            &[text("/carts/"), slot("cart"), text("/items")],
        );
        check("{a}{b.c}", &[slot("a"), slot("b.c")]);
        check("", &[]);
    }

    #[test]
    fn doubled_braces_are_literal() {
        check(
            "{{\"id\": \"{id}\"}}",
            &[text("{\"id\": \""), slot("id"), text("\"}")],
        );
    }

    #[test]
    fn lone_braces_are_refused() {
        assert_eq!(Template::parse("{a"), Err(TemplateError::Unclosed));
        assert_eq!(Template::parse("a}"), Err(TemplateError::Unopened));
        assert_eq!(
            Template::parse("{a b}"),
            Err(TemplateError::BadName {
                name: "a b".to_owned()
            })
        );
    }

    #[test]
    fn filling_names_the_unknown_slot() {
        let template = Template::parse("{a}-{b}").expect("a template");
        assert_eq!(
            template.fill(|name| (name == "a").then(|| "1".to_owned())),
            Err("b".to_owned())
        );
        assert_eq!(
            template.fill(|name| Some(name.to_uppercase())),
            Ok("A-B".to_owned())
        );
    }
}
