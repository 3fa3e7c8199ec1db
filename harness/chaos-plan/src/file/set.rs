//! `--set key=value` changes the tree before anything is checked.
//!
//! Invariant: what was set is a text of its own with places in it, so every later problem with a
//! value that was set points at the `--set`, not at the file.

use super::node::{Node, Value};
use super::yaml::{self, Origin};
use crate::diagnostic::{Diagnostics, SourceFile, Span, codes, quote};

/// Sets the value at a path of keys joined by dots. An item of a list is named by its `name` or
/// by its position from 0. Mappings on the way that are missing are made.
pub(super) fn apply(tree: &mut Node, key: &str, value: &str, problems: &mut Diagnostics) {
    let text = format!("{key}={value}");
    let file = problems.add_file(SourceFile {
        name: "--set".to_owned(),
        folder: String::new(),
        text,
    });
    let Some(value) = yaml::parse(
        value,
        Origin {
            file,
            offset: key.len() + 1,
        },
        problems,
    ) else {
        return;
    };
    if key.split('.').any(str::is_empty) {
        let span = Span {
            file,
            start: 0,
            end: key.len(),
        };
        problems.add(
            codes::BAD_SET
                .at(span, format!("{} is not a path", quote(key)))
                .help("write keys joined by dots: `--set target.replicas.api=2`"),
        );
        return;
    }
    put(
        tree,
        &Path {
            file,
            text: key,
            at: 0,
        },
        value,
        problems,
    );
}

/// What is left of a path, from byte `at`.
#[derive(Clone, Copy)]
struct Path<'a> {
    file: usize,
    text: &'a str,
    at: usize,
}

impl<'a> Path<'a> {
    fn rest(self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The first `length` bytes of what is left.
    fn span(self, length: usize) -> Span {
        Span {
            file: self.file,
            start: self.at,
            end: self.at + length,
        }
    }

    /// What is left after a segment of `length` bytes and its dot.
    fn after(self, length: usize) -> Self {
        Self {
            at: self.at + length + 1,
            ..self
        }
    }

    fn segment(self) -> &'a str {
        self.rest().split('.').next().unwrap_or_default()
    }
}

fn put(node: &mut Node, path: &Path<'_>, value: Node, problems: &mut Diagnostics) {
    if path.rest().is_empty() {
        *node = value;
        return;
    }
    match &mut node.value {
        Value::Map(entries) => in_map(entries, path, value, problems),
        Value::List(items) => in_list(items, path, value, problems),
        Value::Scalar { text, .. } if text.is_empty() => {
            let mut entries = Vec::new();
            in_map(&mut entries, path, value, problems);
            node.value = Value::Map(entries);
        }
        Value::Scalar { .. } | Value::Bad => {
            let problem = codes::BAD_SET.at(
                path.span(path.rest().len()),
                format!(
                    "nothing can be set below {}",
                    quote(path.text[..path.at].trim_end_matches('.'))
                ),
            );
            problems.add(
                problem
                    .label("no such place")
                    .related(node.span, "there is a plain value here")
                    .help("set that value itself, or give the keys on the way as they stand in the file"),
            );
        }
    }
}

fn in_map(
    entries: &mut Vec<(Node, Node)>,
    path: &Path<'_>,
    value: Node,
    problems: &mut Diagnostics,
) {
    let rest = path.rest();
    // A key may hold dots itself (`p99.9`): the longest that is there wins.
    let fits = |key: &str| {
        rest.strip_prefix(key)
            .is_some_and(|after| after.is_empty() || after.starts_with('.'))
    };
    let longest = entries
        .iter_mut()
        .filter(|(key, _)| key.text().is_some_and(fits))
        .max_by_key(|(key, _)| key.text().map(str::len));
    if let Some((key, below)) = longest {
        let length = key.text().map_or(0, str::len);
        return put(below, &path.after(length), value, problems);
    }
    let segment = path.segment();
    let span = path.span(segment.len());
    let mut below = Node::scalar(span, String::new(), true);
    put(&mut below, &path.after(segment.len()), value, problems);
    entries.push((Node::scalar(span, segment.to_owned(), true), below));
}

fn in_list(items: &mut [Node], path: &Path<'_>, value: Node, problems: &mut Diagnostics) {
    let segment = path.segment();
    let name = |item: &Node| item.get("name").and_then(Node::text).map(str::to_owned);
    let position = segment
        .parse::<usize>()
        .ok()
        .filter(|index| *index < items.len());
    let position = items
        .iter()
        .position(|item| name(item).as_deref() == Some(segment))
        .or(position);
    let Some(index) = position else {
        let names: Vec<String> = items.iter().filter_map(name).collect();
        let problem = codes::BAD_SET.at(
            path.span(segment.len()),
            format!("no item {} in this list", quote(segment)),
        );
        problems.add(problem.label("no such place").choices(
            segment,
            "items",
            names.iter().map(String::as_str),
        ));
        return;
    };
    put(
        &mut items[index],
        &path.after(segment.len()),
        value,
        problems,
    );
}
