//! `summary.md`: bounded, and the same document whatever the texts in it say.

use chaos_report::ci::{SUMMARY_MAX, summary_md};
use pulldown_cmark::{Event, Options, Parser};

use super::endings;
use super::strings::texts;
use crate::story::{benign, run};

/// What a renderer makes of it but for texts.
fn shape(markdown: &str) -> Vec<String> {
    let mut shape: Vec<String> = Vec::new();
    for event in Parser::new_ext(markdown, Options::all()) {
        let seen = match event {
            Event::Text(_) | Event::SoftBreak => "text".to_owned(),
            Event::Code(_) => "code".to_owned(),
            other => format!("{other:?}"),
        };
        // How many pieces one text comes in is the parser's own affair.
        if seen != "text" || shape.last().is_none_or(|last| last != "text") {
            shape.push(seen);
        }
    }
    // Nor where it stands between what is counted: a cell whose text was taken out whole has none.
    shape.retain(|seen| seen != "text");
    shape
}

#[test]
fn hostile_texts_change_nothing_but_text() {
    let expected = shape(&summary_md(&benign().story()));
    for text in texts() {
        let markdown = summary_md(&run(text).story());
        let found = shape(&markdown);
        let differs = found
            .iter()
            .zip(&expected)
            .find(|(found, expected)| found != expected);
        assert!(
            differs.is_none() && found.len() == expected.len(),
            "{text:?}: {differs:?}\n{markdown}"
        );
        let acts =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!markdown.contains(acts), "{text:?}");
        let command = markdown
            .lines()
            .find(|line| line.trim_start().starts_with("::") || line.starts_with('/'));
        assert_eq!(command, None, "{text:?}: no line is a command");
    }
}

#[test]
fn nobody_is_called_and_nothing_is_linked() {
    for text in [
        " @octocat",
        " #1",
        " https://example.org",
        " www.example.org",
        " !2",
        " GH-1 <a@b.cd>",
    ] {
        let markdown = summary_md(&run(text).story());
        let outside = markdown.split("<details>").next().expect("a beginning");
        for live in ["@o", "#1", "://", "www.", "!2", "@b"] {
            assert!(!outside.contains(live), "{text:?}: {live}\n{outside}");
        }
    }
}

#[test]
fn a_summary_is_bounded_whatever_the_run_holds() {
    for worst in ["x", "@x", "<", "\u{1f4a5}", "|&a"] {
        let mut run = run(&worst.repeat(1_000));
        let claims = run.verdict.claims.clone();
        run.verdict.claims = claims.iter().cycle().take(100).cloned().collect();
        let faults = run.verdict.faults.clone();
        run.verdict.faults = faults.iter().cycle().take(12).cloned().collect();
        let because = run.verdict.exit.because.clone();
        run.verdict.exit.because = because.iter().cycle().take(300).cloned().collect();
        let markdown = summary_md(&run.story());
        assert!(markdown.len() <= SUMMARY_MAX, "{worst}: {}", markdown.len());
        assert!(markdown.contains("more in report.html"), "{worst}");
    }
}

#[test]
fn every_ending_has_its_summary() {
    for (ending, run) in endings("") {
        let markdown = summary_md(&run.story());
        assert!(markdown.starts_with("## "), "{ending}");
        assert!(
            markdown.contains(&format!("Exit code {} ", run.verdict.exit.code)),
            "{ending}\n{markdown}"
        );
    }
}

#[test]
fn the_whole_page_is_stable() {
    insta::assert_snapshot!("summary", summary_md(&benign().story()));
}
