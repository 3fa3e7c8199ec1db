//! YAML text to a located tree: the only place that knows the YAML crate.
//!
//! Invariant: time and memory are bounded by [`MAX_NODES`] and [`MAX_DEPTH`] whatever the text:
//! aliases are copied, and every copy counts. Duplicate keys, merge keys, tags, keys that are no
//! plain text and second documents are problems, not surprises.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle};

use super::node::{Node, Value};
use crate::diagnostic::{Diagnostics, Span, codes, quote};

/// Deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 64;
/// Most values in one text, copies made by aliases included.
const MAX_NODES: usize = 100_000;

/// Where the text stands: `offset` is added to every byte position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) file: usize,
    pub(super) offset: usize,
}

/// The tree of a text; `None` if it is no YAML at all. Every problem is reported.
pub(super) fn parse(text: &str, origin: Origin, problems: &mut Diagnostics) -> Option<Node> {
    let mut options =
        granit_parser::options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    options.set_emit_comments(false);
    let mut builder = Builder {
        origin,
        problems,
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
        documents: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                let span = origin.span(span.byte_range().unwrap_or(0..0));
                builder.event(event, span)?;
            }
            Err(error) => {
                builder.syntax(&error, text);
                return None;
            }
        }
    }
    // An empty text holds no document: a null at its start stands for it.
    Some(
        builder
            .root
            .unwrap_or_else(|| Node::scalar(origin.span(0..0), String::new(), true)),
    )
}

impl Origin {
    fn span(self, bytes: std::ops::Range<usize>) -> Span {
        Span {
            file: self.file,
            start: bytes.start + self.offset,
            end: bytes.end + self.offset,
        }
    }
}

struct Builder<'a> {
    origin: Origin,
    problems: &'a mut Diagnostics,
    /// Collections that have begun and not ended, outermost first.
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    documents: usize,
}

struct Open {
    span: Span,
    block: bool,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<(Node, Node)>,
        seen: BTreeSet<String>,
        key: Key,
    },
}

enum Key {
    /// The next node is a key.
    Wanted,
    /// The next node is the value of this key.
    Given(Node),
    /// The next node is the value of a key that was refused.
    Refused,
}

impl Builder<'_> {
    /// Takes one event; `None` stops for good.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        if let Some(tag) = event.tag() {
            let message = format!("tags such as {} are not supported", quote(&tag.original()));
            self.problems.add(
                codes::UNSUPPORTED_YAML
                    .at(span, message)
                    .help("leave the tag out; put text in quotes"),
            );
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let problem = codes::UNSUPPORTED_YAML.at(span, "a second document begins here");
                    self.problems.add(
                        problem.help("one file holds one document; remove `---` and what follows"),
                    );
                    return None;
                }
                Some(())
            }
            Event::Scalar(text, style, anchor, _) => {
                let node = Node::scalar(span, text.into_owned(), style == ScalarStyle::Plain);
                self.count(1, span)?;
                self.finish(node, anchor)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.begin(span, style, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(style, anchor, _) => self.begin(
                span,
                style,
                anchor,
                Content::Map {
                    entries: Vec::new(),
                    seen: BTreeSet::new(),
                    key: Key::Wanted,
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(id) => self.alias(id, span),
            _ => Some(()),
        }
    }

    fn begin(
        &mut self,
        span: Span,
        style: StructureStyle,
        anchor: usize,
        content: Content,
    ) -> Option<()> {
        self.count(1, span)?;
        self.depth(1, span)?;
        self.open.push(Open {
            span,
            block: style == StructureStyle::Block,
            anchor,
            content,
        });
        Some(())
    }

    fn end(&mut self, span: Span) -> Option<()> {
        let open = self.open.pop()?;
        let (first, value) = match open.content {
            Content::List(items) => (items.first().map(|item| item.span), Value::List(items)),
            Content::Map { entries, .. } => (
                entries.first().map(|(key, _)| key.span),
                Value::Map(entries),
            ),
        };
        let whole = Span {
            end: span.end.max(open.span.start),
            ..open.span
        };
        let span = if open.block {
            first.unwrap_or(open.span)
        } else {
            whole
        };
        self.finish(
            Node {
                span,
                value,
                block: open.block,
            },
            open.anchor,
        )
    }

    fn alias(&mut self, id: usize, span: Span) -> Option<()> {
        let Some(target) = self.anchors.get(&id) else {
            self.problems.add(
                codes::UNSUPPORTED_YAML
                    .at(span, "an alias inside the value it stands for")
                    .help("write the value out in place of the alias"),
            );
            return None;
        };
        let (count, depth) = target.size();
        let node = target.clone();
        self.count(count, span)?;
        self.depth(depth, span)?;
        self.place(node);
        Some(())
    }

    /// Puts a complete node where it belongs and remembers it if it has an anchor.
    fn finish(&mut self, node: Node, anchor: usize) -> Option<()> {
        if anchor > 0 {
            self.count(node.size().0, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node);
        Some(())
    }

    fn place(&mut self, mut node: Node) {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, seen, key }) => {
                match std::mem::replace(key, Key::Wanted) {
                    Key::Wanted => *key = accept(node, entries, seen, self.problems),
                    Key::Refused => {}
                    Key::Given(name) => {
                        if node.block {
                            node.span = name.span;
                        }
                        entries.push((name, node));
                    }
                }
            }
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Option<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let problem = codes::TOO_LARGE.at(
                span,
                format!("more than {MAX_NODES} values, counting what aliases repeat"),
            );
            let problem = problem.label("the limit is passed here");
            self.problems
                .add(problem.help("leave out what is not needed, or use fewer aliases"));
            return None;
        }
        Some(())
    }

    fn depth(&mut self, more: usize, span: Span) -> Option<()> {
        if self.open.len() + more > MAX_DEPTH {
            self.problems.add(
                codes::TOO_LARGE
                    .at(span, format!("nested deeper than {MAX_DEPTH} levels"))
                    .help("nest less: no file of chaos needs ten levels"),
            );
            return None;
        }
        Some(())
    }

    fn syntax(&mut self, error: &ScanError, text: &str) {
        let at = error.marker().byte_offset().unwrap_or(text.len());
        let span = self.origin.span(at..at + 1);
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            self.problems.add(
                codes::TOO_LARGE
                    .at(span, format!("nested deeper than {MAX_DEPTH} levels"))
                    .help("nest less: no file of chaos needs ten levels"),
            );
            return;
        }
        let problem = codes::SYNTAX
            .at(span, format!("not YAML: {}", error.info()))
            .label("reading stopped here");
        self.problems.add(problem.help("check indentation, quotes and brackets on this line and the one before; indent with spaces"));
    }
}

/// Takes a node as a key, or says why not.
fn accept(
    node: Node,
    entries: &[(Node, Node)],
    seen: &mut BTreeSet<String>,
    problems: &mut Diagnostics,
) -> Key {
    let Some(text) = node.text() else {
        problems.add(
            codes::UNSUPPORTED_YAML
                .at(node.span, "a key must be plain text, not a list or mapping")
                .help("write a name before the colon; put a text that begins with `{` or `[` in quotes"),
        );
        return Key::Refused;
    };
    if text == "<<" {
        let problem = codes::UNSUPPORTED_YAML.at(node.span, "merge keys (`<<`) are not supported");
        problems.add(problem.help("write the keys out, or repeat a whole value with an alias"));
        return Key::Refused;
    }
    if !seen.insert(text.to_owned()) {
        if problems.is_full() {
            problems.add_unseen();
            return Key::Refused;
        }
        let mut problem = codes::DUPLICATE_KEY
            .at(node.span, format!("key {} stands twice", quote(text)))
            .help("keep one of them");
        if let Some((first, _)) = entries.iter().find(|(key, _)| key.text() == Some(text)) {
            problem = problem.related(first.span, "the first one is here");
        }
        problems.add(problem);
        return Key::Refused;
    }
    Key::Given(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;

    fn tree(text: &str) -> (Option<Node>, Diagnostics) {
        let mut problems = Diagnostics::default();
        let file = problems.add_file(SourceFile {
            name: "a.yaml".to_owned(),
            folder: String::new(),
            text: text.to_owned(),
        });
        let node = parse(text, Origin { file, offset: 0 }, &mut problems);
        (node, problems)
    }

    fn check(text: &str, codes: &[&str]) {
        let found: Vec<&str> = tree(text)
            .1
            .problems
            .iter()
            .map(|problem| problem.code.id)
            .collect();
        assert_eq!(found, codes, "{text}");
    }

    #[test]
    fn nodes_know_their_places() {
        let text = "a:\n  b: [1, x]\nc: {d: \"e\"}\n";
        let (node, problems) = tree(text);
        assert!(problems.problems.is_empty());
        let node = node.expect("a tree");
        let at = |node: &Node| &text[node.span.start..node.span.end];
        let a = node.get("a").expect("a");
        assert_eq!(at(a), "a");
        assert_eq!(at(a.get("b").expect("b")), "[1, x]");
        assert_eq!(
            at(node.get("c").and_then(|c| c.get("d")).expect("d")),
            "\"e\""
        );
    }

    #[test]
    fn what_is_refused_is_reported() {
        check("a: 1\nb: 2\na: 3\n", &["E103"]);
        check("a: 1\n---\nb: 2\n", &["E102"]);
        check("a: &x {b: 1}\nc: {<<: *x}\n", &["E102"]);
        check("? [a, b]\n: 1\n", &["E102"]);
        check("a: !!str 1\n", &["E102"]);
        check("a: [1, 2\n", &["E101"]);
        check("a: *b\n", &["E101"]);
        check("a: &a [*a]\n", &["E102"]);
        check("", &[]);
    }

    #[test]
    fn aliases_repeat_values() {
        let (node, problems) = tree("a: &x {b: 1}\nc: *x\n");
        assert!(problems.problems.is_empty(), "{problems}");
        assert_eq!(
            node.as_ref()
                .and_then(|node| node.get("c")?.get("b")?.text()),
            Some("1")
        );
    }

    #[test]
    fn nesting_is_limited() {
        check(&format!("{}{}", "[".repeat(64), "]".repeat(64)), &[]);
        check(&format!("{}{}", "[".repeat(65), "]".repeat(65)), &["E100"]);
        check(&"[".repeat(100_000), &["E100"]);
        check(&"- ".repeat(100_000), &["E100"]);
    }
}
