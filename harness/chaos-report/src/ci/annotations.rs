//! Annotations of GitHub Actions: a message on the line of the scenario that holds the claim.
//!
//! The format is that of workflow commands: `::error file=F,line=N,title=T::message`.
//! Invariant: an annotation is one line, and foreign text can neither end its message or a property
//! early nor make a command of a line that is not one.

use chaos_record::exit;
use chaos_record::verdict::{ClaimVerdict, Status};

use crate::clean::{clean, clean_composed};
use crate::view::{Story, exit as exit_view};

/// A job shows ten annotations of a kind for each step and drops the rest without a word.
const MOST: usize = 5;

/// `::error` for claims that did not hold and `::warning` for those that are not known, at most five of each.
///
/// A run that ended otherwise (aborted, not clean ...) has an error of its own, first. The path is
/// the one within the repository; `bundled:NAME` and an empty path give annotations without a place.
pub fn annotations(story: &Story<'_>, scenario_path: &str) -> Vec<String> {
    let verdict = story.verdict;
    let place = |line: usize| place(scenario_path, line);
    let of = |status: Status| verdict.claims.iter().filter(move |it| it.status == status);
    let ended = [exit::NOT_HELD, exit::INCONCLUSIVE, exit::HELD]
        .iter()
        .all(|code| code.code != verdict.exit.code)
        .then(|| ended(story, &place(1)));
    let errors = of(Status::NotHeld).map(|claim| command("error", &place(claim.line), claim));
    let warnings = of(Status::Unknown).map(|claim| command("warning", &place(claim.line), claim));
    let mut all: Vec<String> = ended.into_iter().chain(errors).take(MOST).collect();
    all.extend(warnings.take(MOST));
    all
}

/// The run ended in another way than by its claims.
fn ended(story: &Story<'_>, place: &str) -> String {
    let exit = exit_view(story.verdict);
    let why = story
        .verdict
        .exit
        .because
        .first()
        .map_or(&*exit.meaning, |because| &*because.why);
    format!(
        "::error {place}title={}::{}",
        property(&format!("{} (exit {})", exit.name, exit.code)),
        message(&format!("{}: {}", exit.meaning, clean_composed(why)))
    )
}

fn command(kind: &str, place: &str, claim: &ClaimVerdict) -> String {
    let word = if claim.status == Status::NotHeld {
        "not held"
    } else {
        "unknown"
    };
    format!(
        "::{kind} {place}title={}::{}",
        property(&format!("{word}: {}", clean(&claim.name))),
        message(&format!(
            "{}; measured {}, claimed {}",
            clean_composed(&claim.why),
            clean_composed(&claim.measured),
            clean_composed(&claim.target)
        ))
    )
}

/// `file=F,line=N,`, or nothing for a scenario that is no file of the repository.
fn place(path: &str, line: usize) -> String {
    if path.is_empty() || path.starts_with("bundled:") {
        String::new()
    } else {
        format!("file={},line={},", property(&clean(path)), line.max(1))
    }
}

/// Escapes the value of a property (actions/toolkit, `escapeProperty`).
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// Escapes a message (actions/toolkit, `escapeData`).
fn message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The line as a CI system's log shows it and never obeys it.
///
/// Meant for every line a program prints where `GITHUB_ACTIONS` is set. Runners obey lines that
/// begin with `::` after white space, and `##[...]` and its kin anywhere. Colours stay.
pub fn inert_line(line: &str) -> String {
    let one = line.replace(
        [
            '\r', '\n', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
        ],
        " ",
    );
    let mut inert = String::with_capacity(one.len() + 2);
    if is_command(&one) {
        inert.push_str("> ");
    }
    let mut last = ' ';
    for c in one.chars() {
        if (last, c) == ('#', '#') {
            inert.push(' ');
        }
        inert.push(c);
        last = c;
    }
    inert
}

/// Whether `::` comes first, after whatever a reader may skip: white space, control characters, colours.
fn is_command(line: &str) -> bool {
    let mut rest = line;
    loop {
        rest = rest
            .trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
        let colour = rest.strip_prefix('[').and_then(|after| {
            after
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .strip_prefix('m')
        });
        match colour {
            Some(after) => rest = after,
            None => return rest.starts_with("::"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_never_a_command() {
        let check = |line: &str, expected: &str| assert_eq!(inert_line(line), expected, "{line:?}");
        check("fault kill-api: requested", "fault kill-api: requested");
        check("::error::x", "> ::error::x");
        check(" \t::add-mask::x", ">  \t::add-mask::x");
        check("\u{a0}::x", "> \u{a0}::x");
        check("\u{1b}[31m::error::x", "> \u{1b}[31m::error::x");
        check("a ::error::x", "a ::error::x");
        check("a\n::error::x", "a ::error::x");
        check("\r::error::x", ">  ::error::x");
        check("a ##[error]x", "a # #[error]x");
        check("###[error]x", "# # #[error]x");
        check("##vso[task.complete]", "# #vso[task.complete]");
        check("\u{1b}[31mred\u{1b}[0m", "\u{1b}[31mred\u{1b}[0m");
    }

    #[test]
    fn properties_and_messages_are_escaped_as_the_toolkit_does() {
        assert_eq!(property("a,b:c%\r\n"), "a%2Cb%3Ac%25%0D%0A");
        assert_eq!(message("a,b:c%\r\n"), "a,b:c%25%0D%0A");
        assert_eq!(place("bundled:smoke", 3), "");
        assert_eq!(place("s/x.yaml", 0), "file=s/x.yaml,line=1,");
    }
}
