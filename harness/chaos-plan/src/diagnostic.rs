//! What is wrong with the texts a user gave: every problem at once, with place and fix.
//!
//! Invariant: text of the user never reaches a terminal raw. It is shortened when a message is
//! made and its control characters are replaced when it is rendered.

pub mod codes;
mod render;
mod source;
mod suggest;

use std::error::Error;
use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

pub use codes::Code;
use source::Page;
pub use source::{Place, SourceFile, Span};
pub(crate) use suggest::{closest, list, quote};

/// Problems kept and shown; further ones are only counted.
pub const MAX_KEPT: usize = 200;

/// Longest message, label or help in characters.
const MAX_MESSAGE: usize = 400;

/// Whether a problem forbids the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

/// One problem and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub message: String,
    /// Where it is; `None` for an option of the command line.
    pub span: Option<Span>,
    /// What the caret says.
    pub label: Option<String>,
    /// Another place that has to do with it, and why.
    pub related: Option<(Span, String)>,
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn severity(&self) -> Severity {
        self.code.severity
    }

    #[must_use]
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(shortened(label.into()));
        self
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }

    /// "did you mean" where a name is close, else the names there are.
    #[must_use]
    pub(crate) fn choices<'a>(
        self,
        word: &str,
        names: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match closest(word, known.iter().copied()) {
            Some(name) => self.help(format!("did you mean {}?", quote(name))),
            None => self.help(format!("{names}: {}", list(known))),
        }
    }

    #[must_use]
    pub(crate) fn related(mut self, span: Span, why: impl Into<String>) -> Self {
        self.related = Some((span, shortened(why.into())));
        self
    }
}

impl Code {
    /// A problem of this kind at a place.
    pub(crate) fn at(self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            span: Some(span),
            ..self.nowhere(message)
        }
    }

    /// A problem of this kind that stands in no text.
    pub(crate) fn nowhere(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code: self,
            message: shortened(message.into()),
            span: None,
            label: None,
            related: None,
            help: None,
        }
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

/// Problems and the texts they stand in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    pub files: Vec<SourceFile>,
    pub problems: Vec<Diagnostic>,
    /// Problems beyond [`MAX_KEPT`].
    pub left_out: usize,
}

impl Diagnostics {
    pub fn has_errors(&self) -> bool {
        self.left_out > 0
            || self
                .problems
                .iter()
                .any(|problem| problem.severity() == Severity::Error)
    }

    /// File, line and column of a span.
    pub fn place(&self, span: Span) -> Option<Place<'_>> {
        self.files.get(span.file).map(|file| file.place(span))
    }

    /// Text for a terminal: each problem in at most eight lines, then their number.
    pub fn render(&self, color: bool) -> String {
        render::render(self, color)
    }

    pub(crate) fn add_file(&mut self, file: SourceFile) -> usize {
        self.files.push(file);
        self.files.len() - 1
    }

    pub(crate) fn add(&mut self, problem: Diagnostic) {
        if self.is_full() {
            self.left_out += usize::from(problem.severity() == Severity::Error);
        } else {
            self.problems.push(problem);
        }
    }

    /// Counts a problem that nobody will see, without the cost of putting it in words.
    pub(crate) fn add_unseen(&mut self) {
        self.left_out += 1;
    }

    /// Nothing more is worth looking for.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= MAX_KEPT
    }

    /// In the order in which a reader meets them; what stands nowhere comes first.
    pub(crate) fn sort(&mut self) {
        self.problems
            .sort_by_key(|problem| problem.span.map(|span| (span.file, span.start)));
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Error for Diagnostics {}

/// For `--json`: `{"problems": [...], "left_out": 0}`, each problem with the place it stands at.
impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Related<'a> {
            place: Option<Place<'a>>,
            message: &'a str,
        }
        #[derive(Serialize)]
        struct Problem<'a> {
            code: &'a str,
            severity: Severity,
            message: &'a str,
            place: Option<Place<'a>>,
            label: Option<&'a str>,
            related: Option<Related<'a>>,
            help: Option<&'a str>,
        }
        let pages: Vec<Page<'_>> = self.files.iter().map(Page::new).collect();
        let place = |span: Span| pages.get(span.file).map(|page| page.place(span));
        let problems = self.problems.iter().map(|problem| Problem {
            code: problem.code.id,
            severity: problem.severity(),
            message: &problem.message,
            place: problem.span.and_then(place),
            label: problem.label.as_deref(),
            related: problem.related.as_ref().map(|(span, why)| Related {
                place: place(*span),
                message: why,
            }),
            help: problem.help.as_deref(),
        });
        let problems: Vec<Problem<'_>> = problems.collect();
        let mut all = serializer.serialize_struct("Diagnostics", 2)?;
        all.serialize_field("problems", &problems)?;
        all.serialize_field("left_out", &self.left_out)?;
        all.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_serialize_with_their_places() {
        let mut all = Diagnostics::default();
        let text = "a: 1\nb: 2\n".to_owned();
        let file = all.add_file(SourceFile {
            name: "a.yaml".to_owned(),
            folder: String::new(),
            text,
        });
        let (first, second) = (
            Span {
                file,
                start: 0,
                end: 1,
            },
            Span {
                file,
                start: 5,
                end: 6,
            },
        );
        all.add(
            codes::DUPLICATE_KEY
                .at(second, "twice")
                .related(first, "here")
                .help("keep one"),
        );
        all.add(codes::BAD_OPTION.nowhere("out of range"));
        all.sort();
        let json = serde_json::to_value(&all).expect("JSON");
        assert_eq!(json["problems"][0]["place"], serde_json::Value::Null);
        assert_eq!(
            json["problems"][1]["place"],
            serde_json::json!({ "file": "a.yaml", "line": 2, "column": 1 })
        );
        assert_eq!(json["problems"][1]["related"]["place"]["line"], 1);
        assert_eq!(json["problems"][1]["severity"], "error");
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut all = Diagnostics::default();
        (0..MAX_KEPT + 5).for_each(|_| all.add(codes::BAD_OPTION.nowhere("x")));
        assert_eq!((all.problems.len(), all.left_out), (MAX_KEPT, 5));
        assert!(
            all.render(false)
                .ends_with("200 problems on the command line, 5 more not shown\n")
        );
    }
}
