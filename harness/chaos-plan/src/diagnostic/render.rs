//! Diagnostics as text for a terminal, in the form rustc made familiar.
//!
//! Invariant: one line of source is shown for each problem, however long the span is, and no
//! control character of the source comes through.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::source::Page;
use super::{Diagnostic, Diagnostics, Severity};

/// Most bytes of a line that are shown on each side of the place.
const MAX_LINE: usize = 200;

pub(super) fn render(all: &Diagnostics, color: bool) -> String {
    let renderer = if color {
        Renderer::styled().hyperlink(false)
    } else {
        Renderer::plain()
    };
    let pages: Vec<Page<'_>> = all.files.iter().map(Page::new).collect();
    let mut text = String::new();
    for problem in &all.problems {
        text.push_str(&one(&pages, problem, &renderer));
        text.push_str("\n\n");
    }
    text.push_str(&summary(all));
    text
}

fn one(pages: &[Page<'_>], problem: &Diagnostic, renderer: &Renderer) -> String {
    let level = match problem.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(
        level
            .primary_title(harmless(&problem.message))
            .id(problem.code.id),
    );
    if let Some(span) = problem.span
        && let Some(page) = pages.get(span.file)
    {
        let line = page.line(span).window(MAX_LINE);
        let caret = AnnotationKind::Primary.span(line.start..line.end);
        let caret = match &problem.label {
            Some(label) => caret.label(harmless(label)),
            None => caret,
        };
        let path = harmless(&page.file.name);
        let snippet = Snippet::source(same_length(line.text)).line_start(line.number);
        let snippet = snippet.annotation(caret);
        if line.is_cut {
            // The renderer would count columns in what is left of the line.
            let origin = Origin::path(path)
                .line(line.number)
                .char_column(line.column);
            group = group.element(origin).element(snippet);
        } else {
            group = group.element(snippet.path(path));
        }
    }
    if let Some((span, why)) = &problem.related {
        let place = pages.get(span.file).map(|page| page.place(*span));
        let place = place.map_or(String::new(), |at| {
            format!(" ({}:{}:{})", at.file, at.line, at.column)
        });
        group = group.element(Level::NOTE.message(harmless(&format!("{why}{place}"))));
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(harmless(help)));
    }
    renderer.render(&[group])
}

/// `2 problems in a.yaml, 1 problem in journeys/b.yaml`; warnings are counted apart.
fn summary(all: &Diagnostics) -> String {
    let mut parts: Vec<(Severity, String, usize)> = Vec::new();
    for problem in &all.problems {
        let file = problem.span.and_then(|span| all.files.get(span.file));
        let place = file.map_or("on the command line".to_owned(), |file| {
            format!("in {}", harmless(&file.name))
        });
        match parts
            .iter_mut()
            .find(|part| part.0 == problem.severity() && part.1 == place)
        {
            Some((_, _, count)) => *count += 1,
            None => parts.push((problem.severity(), place, 1)),
        }
    }
    parts.sort_by_key(|part| part.0);
    let mut parts: Vec<String> = parts
        .into_iter()
        .map(|(severity, place, count)| {
            let word = if severity == Severity::Error {
                "problem"
            } else {
                "warning"
            };
            format!("{} {place}", plural(count, word))
        })
        .collect();
    if all.left_out > 0 {
        parts.push(format!("{} more not shown", all.left_out));
    }
    parts.join(", ") + "\n"
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}

/// Control and direction characters made visible, on one line.
fn harmless(text: &str) -> String {
    let visible = |c: char| {
        if c.is_control() || is_direction(c) {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars()
        .map(|c| if c == '\n' || c == '\t' { ' ' } else { c })
        .map(visible)
        .collect()
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same for a line of source, keeping every byte where it is so that carets still fit.
/// What has one or three bytes is replaced by annotate-snippets itself.
fn same_length(line: &str) -> String {
    line.chars()
        .map(|c| {
            if ('\u{80}'..='\u{9f}').contains(&c) {
                '\u{bf}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{SourceFile, Span, codes};
    use super::*;

    fn problems(text: &str, start: usize, end: usize, message: &str) -> Diagnostics {
        let mut all = Diagnostics::default();
        let file = all.add_file(SourceFile {
            name: "a.yaml".to_owned(),
            folder: String::new(),
            text: text.to_owned(),
        });
        all.add(
            codes::UNKNOWN_KEY
                .at(Span { file, start, end }, message)
                .label("here")
                .help("leave it out"),
        );
        all
    }

    #[test]
    fn a_problem_shows_place_caret_and_help() {
        let text = problems("a: 1\nrat: 2\n", 5, 8, "unknown key `rat`").render(false);
        assert_eq!(
            text,
            "error[E105]: unknown key `rat`\n --> a.yaml:2:1\n  |\n2 | rat: 2\n  | ^^^ here\n  |\n  = help: leave it out\n\n1 problem in a.yaml\n"
        );
    }

    #[test]
    fn control_characters_are_made_visible() {
        let evil = "\u{1b}[31m\u{9b}2J\u{202e}\u{7}";
        let text = problems(&format!("k{evil}: {evil}"), 0, 1, evil).render(false);
        assert!(
            text.chars()
                .all(|c| c == '\n' || !(c.is_control() || is_direction(c))),
            "{text:?}"
        );
    }

    #[test]
    fn a_span_of_many_lines_shows_its_first() {
        let text = problems("a:\n  b:\n    c: 1\n", 3, 15, "x").render(false);
        assert!(text.lines().count() <= 10, "{text}");
    }

    #[test]
    fn colour_adds_only_escape_sequences() {
        let all = problems("a: 1\n", 0, 1, "x");
        assert!(all.render(true).contains('\u{1b}'));
        assert!(!all.render(true).contains("\u{1b}]8"));
    }
}
