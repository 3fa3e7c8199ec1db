//! Checks that every kind of file needs: versions, names, times, references.
//!
//! Invariant: a bad name is still a name, so that references to it are not reported as well.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnostic::{Code, Diagnostics, Span, codes, quote};
use crate::file::format::Text;
use crate::file::located::{Located, Optional};

/// What was given is bad and has been reported; distinct from what was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unknown;

/// Longest name in bytes.
const MAX_NAME: usize = 63;

pub(super) fn version(version: &Located<u64>, problems: &mut Diagnostics) {
    if let Some(number) = version.get().filter(|number| **number != 1) {
        problems.add(
            codes::VERSION
                .at(
                    version.span,
                    format!("version {number} of this format is not known"),
                )
                .help("write `version: 1`"),
        );
    }
}

/// The name, reported if it is not fit for paths and references.
pub(super) fn name<'a>(
    name: &'a Located<String>,
    what: &str,
    problems: &mut Diagnostics,
) -> Option<&'a str> {
    let text = name.get()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if text.len() > MAX_NAME
        || !text.starts_with(|c: char| c.is_ascii_alphabetic())
        || !text.chars().all(fits)
    {
        let problem = codes::BAD_NAME.at(
            name.span,
            format!("{} cannot be the name of {what}", quote(text)),
        );
        problems.add(problem.help("use letters, digits, `-` and `_`, a letter first, at most 63"));
    }
    Some(text)
}

/// Reports names that stand twice.
pub(super) fn distinct<'a>(
    names: impl Iterator<Item = &'a Located<String>>,
    what: &str,
    problems: &mut Diagnostics,
) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for name in names {
        let Some(text) = name.get() else { continue };
        if let Some(first) = seen.get(text.as_str()) {
            let problem = codes::DUPLICATE_NAME
                .at(name.span, format!("two {what} are named {}", quote(text)));
            problems.add(
                problem
                    .label("the second one")
                    .related(*first, "the first one is here")
                    .help("give each a name of its own"),
            );
        } else {
            seen.insert(text, name.span);
        }
    }
}

/// The position of a name among those known, reported if there is none.
pub(super) fn position<'a>(
    name: &Located<String>,
    (code, what): (Code, &str),
    known: impl Iterator<Item = &'a str> + Clone,
    problems: &mut Diagnostics,
) -> Option<usize> {
    let text = name.get()?;
    if problems.is_full() {
        problems.add_unseen();
        return None;
    }
    let position = known.clone().position(|known| known == text);
    if position.is_none() {
        let problem = code.at(name.span, format!("no {what} is named {}", quote(text)));
        problems.add(
            problem
                .label("not known")
                .choices(text, "known names", known),
        );
    }
    position
}

/// A time that must be longer than zero; reported if it is not, `None` if unknown.
pub(super) fn positive(
    time: &Located<Text<Duration>>,
    what: &str,
    problems: &mut Diagnostics,
) -> Option<Duration> {
    let length = time.get()?.0;
    if length.is_zero() {
        problems.add(
            codes::ZERO_TIME
                .at(time.span, format!("{what} must be longer than zero"))
                .help("give a time such as `10s`"),
        );
        return None;
    }
    Some(length)
}

/// The same for a time that may be left out.
pub(super) fn positive_or(
    time: &Optional<Text<Duration>>,
    default: &str,
    what: &str,
    problems: &mut Diagnostics,
) -> Option<Duration> {
    match time.given() {
        Some(time) => positive(time, what, problems),
        None => time.or_text(default),
    }
}
