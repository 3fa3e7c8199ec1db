//! `junit.xml`: claims, faults, trust, clean-up and integrity rules as cases that a CI system lists.
//!
//! There is no official format; this keeps to what the schema of Jenkins' xUnit plugin accepts.
//! Invariant: a case fails only if the exit code is not 0, and if it is not 0 some case fails. A
//! case's name does not depend on what was measured, so that a CI system can follow it over runs.

mod cases;

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite, XmlString};

use self::cases::cases;
use crate::clean::clean;
use crate::timeline::Timeline;
use crate::view::{Story, View};

/// Most bytes of the text of one case.
const BODY_MAX: usize = 2_000;
/// Most bytes of one attribute.
const ATTRIBUTE_MAX: usize = 500;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Passed,
    /// What was claimed is not so.
    Failed,
    /// It cannot be told, or something else went wrong.
    Error,
    Skipped,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    /// `hypothesis`, `fault`, `trust`, `cleanup`, `integrity` or `run`.
    group: &'static str,
    name: String,
    ending: Ending,
    /// What kind of failure or error: `slo`, `integrity`, or the name of an exit code.
    kind: String,
    message: String,
    body: String,
}

/// The whole of `junit.xml`.
pub fn junit_xml(story: &Story<'_>) -> String {
    // Cases are judged on the whole run: they need no second of it.
    let no_seconds = Timeline {
        buckets: Vec::new(),
        width: 1,
        length: story.verdict.load_length,
    };
    let view = View::new(story, &no_seconds);
    let name = format!("chaos.{}", view.name);
    let mut suite = TestSuite::new(legal(&name, ATTRIBUTE_MAX));
    suite.timestamp = story.header.started.parse().ok();
    suite.set_time(Duration::from_nanos(story.verdict.load_length));
    suite.add_properties(
        properties(&view, story)
            .map(|(key, value)| (XmlString::new(key), legal(&value, ATTRIBUTE_MAX))),
    );
    suite.add_test_cases(
        cases(story, &view)
            .into_iter()
            .map(|case| test_case(&name, &case)),
    );
    let mut report = Report::new(legal(&name, ATTRIBUTE_MAX));
    report.set_time(Duration::from_nanos(story.verdict.load_length));
    report.add_test_suite(suite);
    let skipped = format!(" skipped=\"{}\"", report.skipped);
    let text = report.to_string().expect("writing to memory does not fail");
    // The schema of Jenkins knows `skipped` of a suite, not of all suites. Attribute values hold no
    // bare quotation mark, so the first match is the root's own attribute.
    text.replacen(&skipped, "", 1)
}

fn properties(view: &View, story: &Story<'_>) -> impl Iterator<Item = (&'static str, String)> {
    [
        ("outcome", view.outcome.word.clone()),
        ("exit", view.exit.code.to_string()),
        ("run", view.run.clone()),
        ("seed", story.plan().seed.to_string()),
        ("chaos", view.chaos.clone()),
        ("question", view.question.clone()),
        ("command", view.reproduce.command.clone()),
    ]
    .into_iter()
}

fn test_case(suite: &str, case: &Case) -> TestCase {
    let status = match case.ending {
        Ending::Passed => TestCaseStatus::success(),
        Ending::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Ending::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        Ending::Skipped => TestCaseStatus::skipped(),
    };
    let mut test_case = TestCase::new(legal(&case.name, ATTRIBUTE_MAX), status);
    test_case.set_classname(legal(&format!("{suite}.{}", case.group), ATTRIBUTE_MAX));
    let body = legal(&case.body, BODY_MAX);
    if case.ending == Ending::Passed {
        test_case.system_out = Some(body).filter(|body| !body.as_str().is_empty());
    } else {
        test_case
            .status
            .set_type(legal(&case.kind, ATTRIBUTE_MAX))
            .set_message(legal(&case.message, ATTRIBUTE_MAX))
            .set_description(body);
    }
    test_case
}

/// Drops what XML 1.0 does not allow (section 2.2, `Char`) and cuts off after so many bytes.
fn legal(text: &str, most: usize) -> XmlString {
    let legal: String = text
        .lines()
        .map(clean_line)
        .collect::<Vec<_>>()
        .join("\n")
        .chars()
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect();
    if legal.len() <= most {
        return XmlString::new(legal);
    }
    let end = (0..=most - 3)
        .rev()
        .find(|end| legal.is_char_boundary(*end))
        .unwrap_or(0);
    XmlString::new(format!("{}...", &legal[..end]))
}

/// One line of a body without what acts on a reader; bodies are composed of lines of several texts.
fn clean_line(line: &str) -> String {
    let pieces: Vec<char> = line.chars().collect();
    pieces
        .chunks(crate::clean::CAP)
        .map(|piece| clean(&piece.iter().collect::<String>()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_xml_allows_is_left_and_it_is_cut() {
        let check =
            |text: &str, most, expected: &str| assert_eq!(legal(text, most).as_str(), expected);
        check("a\0\u{1}\u{b}\u{fffe}\u{ffff}b", 99, "a b");
        check("one\ntwo", 99, "one\ntwo");
        check("12345678", 6, "123...");
        check("1\u{e9}\u{e9}\u{e9}\u{e9}", 7, "1\u{e9}...");
        assert_eq!(legal(&"x".repeat(9_000), BODY_MAX).as_str().len(), BODY_MAX);
    }
}
