//! The located tree of a text.
//!
//! Invariant: a node's span points at something a reader can see: a block collection that is the
//! value of a key has the span of that key, any other block collection that of its first entry.

use crate::diagnostic::Span;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
    /// Written without brackets or braces.
    pub(super) block: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Reported already: nothing may be concluded from it.
    Bad,
    /// `plain` is text without quotes, which may stand for a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// Keys are scalars and distinct.
    Map(Vec<(Node, Node)>),
}

/// What a scalar stands for under the YAML 1.2 core schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(&'a str),
}

impl Node {
    pub(super) fn scalar(span: Span, text: String, plain: bool) -> Self {
        Self {
            span,
            value: Value::Scalar { text, plain },
            block: false,
        }
    }

    pub(super) fn bad(span: Span) -> Self {
        Self {
            span,
            value: Value::Bad,
            block: false,
        }
    }

    /// The text of a scalar, as written.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Bad | Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|(name, _)| name.text() == Some(key))
                .map(|(_, value)| value),
            Value::Bad | Value::Scalar { .. } | Value::List(_) => None,
        }
    }

    /// Number of nodes from here down, and of levels.
    pub(super) fn size(&self) -> (usize, usize) {
        let below = |sizes: (usize, usize), node: &Self| {
            let (count, depth) = node.size();
            (sizes.0 + count, sizes.1.max(depth))
        };
        let (count, depth) = match &self.value {
            Value::Bad | Value::Scalar { .. } => return (1, 0),
            Value::List(items) => items.iter().fold((1, 0), below),
            Value::Map(entries) => entries.iter().fold((1, 0), |sizes, (key, value)| {
                below(below(sizes, key), value)
            }),
        };
        (count, depth + 1)
    }
}

/// Resolves a scalar; text in quotes is always text.
pub(super) fn resolve(text: &str, plain: bool) -> Scalar<'_> {
    if !plain {
        return Scalar::Text(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        _ => number(text).unwrap_or(Scalar::Text(text)),
    }
}

fn number(text: &str) -> Option<Scalar<'_>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.chars().all(|c| c.is_ascii_digit()) {
        return text.parse().ok().map(Scalar::Integer);
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let float = if numeric {
        text.parse::<f64>().ok()
    } else {
        None
    };
    float.filter(|number| number.is_finite()).map(Scalar::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_resolve_as_in_yaml_1_2() {
        let check = |text, expected| assert_eq!(resolve(text, true), expected, "{text}");
        check("", Scalar::Null);
        check("~", Scalar::Null);
        check("true", Scalar::Bool(true));
        check("yes", Scalar::Text("yes"));
        check("-12", Scalar::Integer(-12));
        check("1.5", Scalar::Float(1.5));
        check("1e3", Scalar::Float(1000.0));
        check(".5", Scalar::Float(0.5));
        check("1e999", Scalar::Text("1e999"));
        check("127.0.0.1", Scalar::Text("127.0.0.1"));
        check("20/s", Scalar::Text("20/s"));
        check("-", Scalar::Text("-"));
        check(".", Scalar::Text("."));
    }

    #[test]
    fn quoted_scalars_are_text() {
        assert_eq!(resolve("12", false), Scalar::Text("12"));
        assert_eq!(resolve("", false), Scalar::Text(""));
    }
}
