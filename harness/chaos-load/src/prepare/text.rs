//! A template whose slots are numbers of values, with the escaping its place asks for.
//!
//! Invariant: pure; filling it can fail only because a value is not there.

use chaos_plan::template::{Part, Template};

use super::escape;

/// Where a text stands, which decides how values are escaped in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a path or query: percent-encoded. A slot at the very start holds a path of its own and keeps its delimiters.
    Path,
    /// In a JSON body: escaped as inside a JSON string.
    Json,
    /// As it is.
    Raw,
}

/// Plain text and the numbers of the values between.
#[derive(Debug)]
pub(crate) struct Text {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Plain(String),
    Value {
        number: usize,
        escape: fn(&str, &mut String),
    },
}

impl Text {
    /// `Err` is the first slot that `resolve` does not know.
    pub(crate) fn new(
        template: &Template,
        place: Place,
        mut resolve: impl FnMut(&str) -> Option<usize>,
    ) -> Result<Self, String> {
        let mut pieces = Vec::with_capacity(template.parts().len());
        for part in template.parts() {
            pieces.push(match part {
                Part::Text(text) => Piece::Plain(text.clone()),
                Part::Slot(name) => Piece::Value {
                    number: resolve(name).ok_or_else(|| name.clone())?,
                    escape: match place {
                        Place::Path if pieces.is_empty() => escape::reference,
                        Place::Path => escape::component,
                        Place::Json => escape::json,
                        Place::Raw => escape::raw,
                    },
                },
            });
        }
        Ok(Self { pieces })
    }

    /// The same with `prefix` before it.
    pub(crate) fn after(mut self, prefix: &str) -> Self {
        if !prefix.is_empty() {
            self.pieces.insert(0, Piece::Plain(prefix.to_owned()));
        }
        self
    }

    /// The whole text if it has no slots.
    pub(crate) fn fixed(&self) -> Option<String> {
        let plain = |piece: &Piece| match piece {
            Piece::Plain(text) => Some(text.clone()),
            Piece::Value { .. } => None,
        };
        self.pieces.iter().map(plain).collect()
    }

    /// The text with its values put in; `None` if one of them is not there.
    pub(crate) fn fill(&self, values: &[Option<String>]) -> Option<String> {
        let mut filled = String::with_capacity(64);
        for piece in &self.pieces {
            match piece {
                Piece::Plain(text) => filled.push_str(text),
                Piece::Value { number, escape } => {
                    escape(values.get(*number)?.as_deref()?, &mut filled);
                }
            }
        }
        Some(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, place: Place, value: &str, expected: &str) {
        let template = Template::parse(template).expect("a template");
        let text = Text::new(&template, place, |_| Some(0)).expect("every slot is known");
        assert_eq!(
            text.fill(&[Some(value.to_owned())]).as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        check(
            "/a/{v}?q={v}",
            Place::Path,
            "x/y z&\u{fc}",
            "/a/x%2Fy%20z%26%C3%BC?q=x%2Fy%20z%26%C3%BC",
        );
        check(
            "{{\"v\": \"{v}\"}}",
            Place::Json,
            "a\"b\\c\n",
            "{\"v\": \"a\\\"b\\\\c\\n\"}",
        );
        check("v={v}", Place::Raw, "a\"b c", "v=a\"b c");
    }

    #[test]
    fn a_path_that_is_a_slot_keeps_its_slashes() {
        check("{v}", Place::Path, "/things/7?x=a b", "/things/7?x=a%20b");
    }

    #[test]
    fn a_missing_value_or_slot_is_told() {
        let template = Template::parse("{a}{b}").expect("a template");
        assert_eq!(
            Text::new(&template, Place::Raw, |name| (name == "a").then_some(0))
                .expect_err("b is unknown"),
            "b"
        );
        let text = Text::new(&template, Place::Raw, |name| Some(usize::from(name == "b")))
            .expect("both are known");
        assert_eq!(text.fill(&[Some("1".to_owned()), None]), None);
    }

    #[test]
    fn a_prefix_stands_before_everything() {
        let text = Text::new(
            &Template::parse("/a").expect("a template"),
            Place::Path,
            |_| None,
        )
        .expect("no slots");
        assert_eq!(text.after("/base").fixed().as_deref(), Some("/base/a"));
    }
}
