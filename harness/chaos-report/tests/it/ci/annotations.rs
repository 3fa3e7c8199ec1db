//! Annotations: on the right line, few, and nobody else's.

use chaos_report::ci::{annotations, inert_line};

use super::endings;
use super::strings::texts;
use crate::story::{benign, run};

const PATH: &str = "scenarios/spike-with-podkill.yaml";

/// Reads a workflow command as the runner does: properties, then the message.
fn parse(line: &str) -> (String, Vec<(String, String)>, String) {
    let rest = line.strip_prefix("::").expect("a command");
    let (head, message) = rest.split_once("::").expect("a message");
    let (name, properties) = head.split_once(' ').expect("properties");
    let properties = properties.split(',').map(|property| {
        let (key, value) = property.split_once('=').expect("key=value");
        (key.to_owned(), value.to_owned())
    });
    (name.to_owned(), properties.collect(), message.to_owned())
}

#[test]
fn a_claim_not_held_is_an_error_on_its_line() {
    let lines = annotations(&benign().story(), PATH);
    insta::assert_snapshot!("annotations", lines.join("\n"));
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with(&format!("::error file={PATH},line=34,title="))),
        "{lines:?}"
    );
}

#[test]
fn every_ending_but_a_good_one_has_an_annotation() {
    for (ending, run) in endings("") {
        let lines = annotations(&run.story(), PATH);
        assert_eq!(
            lines.is_empty(),
            run.verdict.exit.code == 0,
            "{ending}: {lines:?}"
        );
    }
}

#[test]
fn there_are_never_more_than_a_job_shows() {
    let mut run = benign();
    let claims = run.verdict.claims.clone();
    run.verdict.claims = claims.iter().cycle().take(100).cloned().collect();
    assert_eq!(annotations(&run.story(), PATH).len(), 5);
}

#[test]
fn hostile_texts_give_no_command_of_their_own() {
    let benign: Vec<Vec<String>> = endings("")
        .iter()
        .map(|(_, run)| annotations(&run.story(), PATH))
        .collect();
    for text in texts() {
        for ((ending, run), expected) in endings(text).iter().zip(&benign) {
            let path = format!("{PATH}{text}");
            let lines = annotations(&run.story(), &path);
            assert_eq!(lines.len(), expected.len(), "{text:?} {ending}");
            for (line, benign) in lines.iter().zip(expected) {
                assert!(!line.chars().any(char::is_control), "{text:?}: {line:?}");
                let (name, properties, _) = parse(line);
                let (benign_name, benign_properties, _) = parse(benign);
                let keys = |properties: &[(String, String)]| {
                    properties.iter().map(|it| it.0.clone()).collect::<Vec<_>>()
                };
                assert_eq!(name, benign_name, "{text:?}");
                assert_eq!(
                    keys(&properties),
                    keys(&benign_properties),
                    "{text:?}: {line}"
                );
            }
        }
    }
}

#[test]
fn a_line_of_foreign_text_is_never_obeyed() {
    for text in texts() {
        for line in [
            text.to_owned(),
            format!("\u{1b}[1m{text}"),
            format!("  {text}"),
            format!("a\n{text}"),
        ] {
            let inert = inert_line(&line);
            assert_eq!(inert.lines().count().max(1), 1, "{line:?}");
            let first = inert.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
            assert!(
                !first.starts_with("::") && !inert.contains("##"),
                "{line:?}: {inert:?}"
            );
        }
    }
    assert_eq!(
        run("").verdict,
        benign().verdict,
        "the benign run has no suffix"
    );
}
