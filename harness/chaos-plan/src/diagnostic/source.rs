//! Texts and places in them.
//!
//! Invariant: places are byte ranges; lines and columns are counted only when someone looks.

use serde::Serialize;

/// A text and where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as shown to the user.
    pub name: String,
    /// The folder it stands in, for `{here}`; empty for a bundled text.
    pub folder: String,
    pub text: String,
}

/// Bytes `start..end` of the file with index `file`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub file: usize,
    pub start: usize,
    pub end: usize,
}

/// A span as a reader counts: line and column from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place<'a> {
    pub file: &'a str,
    pub line: usize,
    pub column: usize,
}

/// The first line of a span, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShownLine<'a> {
    pub(super) text: &'a str,
    pub(super) number: usize,
    /// Column of the span's start in the whole line, in characters from 1.
    pub(super) column: usize,
    /// Bytes of `text` that the span covers; at least one character unless the line is empty.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The line begins before `text` does.
    pub(super) is_cut: bool,
}

impl ShownLine<'_> {
    /// The same line cut to at most `most` bytes before and after the start of the span.
    pub(super) fn window(self, most: usize) -> Self {
        let from = floor_boundary(self.text, self.start.saturating_sub(most));
        let to = floor_boundary(self.text, (self.start + most).min(self.text.len()));
        let end = self.end.min(to).max(self.start);
        Self {
            text: &self.text[from..to],
            number: self.number,
            column: self.column,
            start: self.start - from,
            end: end - from,
            is_cut: from > 0,
        }
    }
}

impl SourceFile {
    /// Reads the whole text up to the span.
    pub fn place(&self, span: Span) -> Place<'_> {
        Page::new(self).place(span)
    }
}

/// A text and where each of its lines begins.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) file: &'a SourceFile,
    starts: Vec<usize>,
}

impl<'a> Page<'a> {
    pub(super) fn new(file: &'a SourceFile) -> Self {
        let later = file.text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file,
            starts: std::iter::once(0).chain(later).collect(),
        }
    }

    pub(super) fn place(&self, span: Span) -> Place<'a> {
        let line = self.line(span);
        Place {
            file: &self.file.name,
            line: line.number,
            column: line.column,
        }
    }

    pub(super) fn line(&self, span: Span) -> ShownLine<'a> {
        let whole = self.file.text.as_str();
        let at = floor_boundary(whole, span.start.min(whole.len()));
        // The first line begins at 0, so at least one line begins at or before any place.
        let number = self.starts.partition_point(|start| *start <= at);
        let from = self.starts[number - 1];
        let to = self.starts.get(number).map_or(whole.len(), |next| next - 1);
        let text = whole[from..to].trim_end_matches('\r');
        let start = (at - from).min(text.len());
        let least = text[start..].chars().next().map_or(0, char::len_utf8);
        let end = floor_boundary(text, span.end.saturating_sub(from).min(text.len()));
        let column = text[..start].chars().count() + 1;
        ShownLine {
            text,
            number,
            column,
            start,
            end: end.max(start + least),
            is_cut: false,
        }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, start: usize, end: usize, expected: (usize, usize, &str)) {
        let file = SourceFile {
            name: "a.yaml".to_owned(),
            folder: String::new(),
            text: text.to_owned(),
        };
        let span = Span {
            file: 0,
            start,
            end,
        };
        let (place, line) = (file.place(span), Page::new(&file).line(span));
        assert_eq!(
            (place.line, place.column, &line.text[line.start..line.end]),
            expected,
            "{text:?} {start}..{end}"
        );
    }

    #[test]
    fn places_count_lines_and_characters() {
        check("a: 1\nb: 2\n", 5, 6, (2, 1, "b"));
        check("\u{e9}: x", 4, 5, (1, 4, "x"));
        check("a: 1\r\nb", 3, 9, (1, 4, "1"));
    }

    #[test]
    fn a_span_outside_the_text_is_clipped() {
        check("", 0, 0, (1, 1, ""));
        check("ab", 2, 9, (1, 3, ""));
        check("a\u{e9}", 2, 2, (1, 2, "\u{e9}"));
    }
}
