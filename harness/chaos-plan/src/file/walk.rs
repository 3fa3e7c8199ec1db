//! One walk over a tree checks it against a JSON Schema and collects everything that is wrong.
//!
//! Invariant: afterwards the tree fits the schema but for nodes marked bad, and each of those has
//! been reported. Unknown keys are gone; a mistyped key is taken for the one that was meant, so
//! that what stands under it is checked as well.

use serde_json::Value as Json;

use super::json::Schema;
use super::node::{Node, Scalar, Value, resolve};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, closest, codes, list, quote};

pub(super) fn walk(tree: &mut Node, schema: &Json, problems: &mut Diagnostics) {
    Walk { problems }.visit(tree, Schema::root(schema), "the file");
}

struct Walk<'a> {
    problems: &'a mut Diagnostics,
}

impl Walk<'_> {
    /// `what` names the node in messages.
    fn visit(&mut self, node: &mut Node, schema: Schema<'_>, what: &str) {
        if self.problems.is_full() {
            node.value = Value::Bad;
            return;
        }
        let span = node.span;
        let problem = match &mut node.value {
            Value::Bad => return,
            Value::Scalar { text, plain } => scalar(text, *plain, schema, what, span),
            Value::List(items) if schema.takes("array") => {
                return self.items(items, schema, what, span);
            }
            Value::Map(entries) => match schema.tags() {
                Some(tags) => self.tagged(entries, &tags, what, span),
                None if schema.takes("object") => return self.object(entries, schema, what, span),
                None => Some(unexpected_mapping(schema, what, span)),
            },
            Value::List(_) => Some(wrong_type(schema, what, "a list", span)),
        };
        if let Some(problem) = problem {
            self.problems.add(problem);
            node.value = Value::Bad;
        }
    }

    fn items(&mut self, items: &mut Vec<Node>, schema: Schema<'_>, what: &str, span: Span) {
        let (least, most) = schema.count("minItems", "maxItems");
        self.count(items.len(), least, most, what, span);
        // What is too much is not worth checking, and later checks may compare all with all.
        items.truncate(most);
        if let Some(schema) = schema.items() {
            let what = format!("an item of {what}");
            for item in items {
                self.visit(item, schema, &what);
            }
        }
    }

    fn object(
        &mut self,
        entries: &mut Vec<(Node, Node)>,
        schema: Schema<'_>,
        what: &str,
        span: Span,
    ) {
        let (least, most) = schema.count("minProperties", "maxProperties");
        self.count(entries.len(), least, most, what, span);
        entries.truncate(most);
        self.keys(entries, schema);
        for (key, value) in entries.iter_mut() {
            let name = key.text().unwrap_or_default();
            if let Some(schema) = schema.property(name).or_else(|| schema.free_keys()) {
                self.visit(value, schema, &quote(name));
            }
        }
        for keys in schema.one_of() {
            self.one_of(entries, &keys, schema, what, span);
        }
        for key in schema.required() {
            if entries.iter().all(|(name, _)| name.text() != Some(key)) {
                let example = example_of(schema, key);
                let problem = codes::MISSING_KEY.at(span, format!("missing key `{key}` in {what}"));
                self.problems.add(
                    problem
                        .label(format!("`{key}` is needed here"))
                        .help(format!("add `{key}: {example}`")),
                );
                entries.push((Node::scalar(span, key.to_owned(), true), Node::bad(span)));
            }
        }
    }

    /// Reports unknown keys, renames mistyped ones and drops the others.
    fn keys(&mut self, entries: &mut Vec<(Node, Node)>, schema: Schema<'_>) {
        if schema.free_keys().is_some() || schema.properties().next().is_none() {
            return;
        }
        let is_given = |known: &&str| entries.iter().any(|(key, _)| key.text() == Some(*known));
        // A key that is there already was hardly meant a second time.
        let mut free: Vec<&str> = schema
            .properties()
            .filter(|known| !is_given(known))
            .collect();
        entries.retain_mut(|(key, _)| {
            let name = key.text().unwrap_or_default();
            if schema.property(name).is_some() {
                return true;
            }
            if self.problems.is_full() {
                self.problems.add_unseen();
                return false;
            }
            let problem = codes::UNKNOWN_KEY.at(key.span, format!("unknown key {}", quote(name)));
            let problem = problem.label("not a key here");
            let Some(meant) = closest(name, free.iter().copied()) else {
                self.problems
                    .add(problem.choices(name, "known keys", schema.properties()));
                return false;
            };
            self.problems
                .add(problem.help(format!("did you mean {}?", quote(meant))));
            free.retain(|known| *known != meant);
            *key = Node::scalar(key.span, meant.to_owned(), true);
            true
        });
    }

    /// Of `keys` exactly one must be there; the first one given is kept.
    fn one_of(
        &mut self,
        entries: &mut Vec<(Node, Node)>,
        keys: &[&str],
        schema: Schema<'_>,
        what: &str,
        span: Span,
    ) {
        let is_one = |node: &Node| node.text().is_some_and(|name| keys.contains(&name));
        let given: Vec<(&str, Span)> = entries
            .iter()
            .filter(|(key, _)| is_one(key))
            .filter_map(|(key, _)| Some((key.text()?, key.span)))
            .collect();
        let message = format!("{what} needs exactly one of {}", list(keys.iter().copied()));
        let problem = match given.as_slice() {
            [_] => return,
            [] => {
                let first = keys.first().copied().unwrap_or_default();
                let problem = codes::ONE_OF.at(span, message).label("none is given");
                problem.help(format!("add `{first}: {}`", example_of(schema, first)))
            }
            [(first, place), (second, other), ..] => codes::ONE_OF
                .at(*other, message)
                .label("one too many")
                .related(*place, "the first one is here")
                .help(format!("leave `{first}` or `{second}` out")),
        };
        self.problems.add(problem);
        let mut seen = false;
        entries.retain(|(key, _)| !is_one(key) || !std::mem::replace(&mut seen, true));
    }

    /// `{ tag: value }` with one of the known tags.
    fn tagged(
        &mut self,
        entries: &mut [(Node, Node)],
        tags: &[(&str, Schema<'_>)],
        what: &str,
        span: Span,
    ) -> Option<Diagnostic> {
        let known = || tags.iter().map(|(tag, _)| *tag);
        let [(key, value)] = entries else {
            let (label, help) = match tags.first().filter(|_| entries.is_empty()) {
                Some((first, schema)) => {
                    let example = schema.example().unwrap_or_else(|| "...".to_owned());
                    ("none is given", format!("add `{first}: {example}`"))
                }
                None => (
                    "more than one is given",
                    "keep one of them; write the others as items of their own".to_owned(),
                ),
            };
            let message = format!("{what} needs exactly one of {}", list(known()));
            return Some(codes::ONE_OF.at(span, message).label(label).help(help));
        };
        let name = key.text().unwrap_or_default();
        if !known().any(|tag| tag == name) {
            let problem = codes::UNKNOWN_KEY
                .at(key.span, format!("unknown key {}", quote(name)))
                .label("not a key here");
            self.problems
                .add(problem.choices(name, "known keys", known()));
            let Some(meant) = closest(name, known()) else {
                value.value = Value::Bad;
                return None;
            };
            *key = Node::scalar(key.span, meant.to_owned(), true);
        }
        let name = key.text().unwrap_or_default().to_owned();
        if let Some((_, schema)) = tags.iter().find(|(tag, _)| *tag == name) {
            self.visit(value, *schema, &quote(&name));
        }
        None
    }

    fn count(&mut self, found: usize, least: usize, most: usize, what: &str, span: Span) {
        if found < least {
            let problem = codes::EMPTY.at(span, format!("{what} must not be empty"));
            self.problems.add(problem.help("add at least one entry"));
        } else if found > most {
            let problem = codes::OUT_OF_RANGE.at(
                span,
                format!("{what} has {found} entries; at most {most} are allowed"),
            );
            self.problems
                .add(problem.help("leave some out, or split the file"));
        }
    }
}

/// A value of a key, as a user would write it.
fn example_of(schema: Schema<'_>, key: &str) -> String {
    schema
        .property(key)
        .and_then(Schema::example)
        .unwrap_or_else(|| "...".to_owned())
}

/// What is wrong with a scalar.
fn scalar(
    text: &str,
    plain: bool,
    schema: Schema<'_>,
    what: &str,
    span: Span,
) -> Option<Diagnostic> {
    let value = resolve(text, plain);
    if value == Scalar::Null && !schema.takes("null") {
        return Some(with_example(
            schema,
            codes::WRONG_TYPE
                .at(
                    span,
                    format!("{what} is empty: it must be {}", schema.expected()),
                )
                .label("nothing is given"),
        ));
    }
    if let Some(words) = schema.words() {
        let problem = || {
            codes::BAD_CHOICE
                .at(span, format!("{what} cannot be {}", quote(text)))
                .label("not one of the choices")
        };
        return if words.contains(&text) {
            None
        } else {
            Some(problem().choices(text, "choices", words.iter().copied()))
        };
    }
    if schema.takes("string") || schema.takes("integer") {
        match schema.check_format(text) {
            Some(Ok(())) => return None,
            Some(Err(why)) => return Some(bad_format(&why, schema, span)),
            None => {}
        }
    }
    let (fits, found) = match value {
        Scalar::Null => (true, "nothing"),
        Scalar::Bool(_) => (schema.takes("boolean"), "a truth value"),
        Scalar::Integer(_) => (
            schema.takes("integer") || schema.takes("number"),
            "a number",
        ),
        Scalar::Float(_) => (schema.takes("number"), "a number"),
        Scalar::Text(_) => (schema.takes("string"), "text"),
    };
    if !fits {
        let problem = wrong_type(schema, what, found, span);
        return Some(if schema.takes("string") {
            problem.help(format!("put it in quotes: \"{text}\""))
        } else if schema.takes("array") && !schema.takes("object") {
            problem.help(format!("write a list: `[{text}]`"))
        } else {
            problem
        });
    }
    let number = match value {
        Scalar::Integer(number) => number as f64,
        Scalar::Float(number) => number,
        Scalar::Null | Scalar::Bool(_) | Scalar::Text(_) => return None,
    };
    if schema.takes("string") {
        None
    } else {
        out_of_range(number, schema, what, span)
    }
}

fn out_of_range(number: f64, schema: Schema<'_>, what: &str, span: Span) -> Option<Diagnostic> {
    let (least, most) = schema.range();
    let allowed = match (least, most) {
        (Some(least), _) if number < least => format!("at least {least}"),
        (_, Some(most)) if number > most => format!("at most {most}"),
        _ => return None,
    };
    Some(
        codes::OUT_OF_RANGE
            .at(span, format!("{what} must be {allowed}"))
            .label("out of range")
            .help(format!("give a number that is {allowed}")),
    )
}

/// The form's own words say what is wrong and, after the last colon, how to write it.
fn bad_format(why: &str, schema: Schema<'_>, span: Span) -> Diagnostic {
    match why.rsplit_once(": ") {
        Some((message, help)) => codes::BAD_FORMAT.at(span, message).help(help),
        None => with_example(schema, codes::BAD_FORMAT.at(span, why)),
    }
}

fn wrong_type(schema: Schema<'_>, what: &str, found: &str, span: Span) -> Diagnostic {
    let problem = codes::WRONG_TYPE.at(
        span,
        format!("{what} must be {}, not {found}", schema.expected()),
    );
    with_example(schema, problem.label(format!("this is {found}")))
}

fn unexpected_mapping(schema: Schema<'_>, what: &str, span: Span) -> Diagnostic {
    let problem = wrong_type(schema, what, "a mapping", span);
    if schema.takes_slots() {
        problem.help("put text that begins with a slot in quotes: \"{port}\"")
    } else {
        problem
    }
}

fn with_example(schema: Schema<'_>, problem: Diagnostic) -> Diagnostic {
    let help = match schema.example() {
        Some(example) => format!("for example `{example}`"),
        None if schema.is_root() => {
            "begin with `version: 1`; `chaos init` writes a first scenario".to_owned()
        }
        None => format!("give {}", schema.expected()),
    };
    problem.help(help)
}
