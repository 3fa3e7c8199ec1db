//! What a question's answer looks like: a table, what was aimed at, and what has to be known to read it.
//!
//! Invariant: a goal that could not be measured is never shown as met.

use crate::contest::Outcome;
use crate::table::Table;

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub title: String,
    /// How it was measured.
    pub how: String,
    pub tables: Vec<Table>,
    pub goals: Vec<Goal>,
    pub notes: Vec<String>,
    /// Whether `chaos` itself could not be measured: then the sitting has failed, whatever the peers did.
    pub is_broken: bool,
}

/// Something that was aimed at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    text: String,
    /// What was seen, and whether that is enough; `None` if nothing was.
    seen: Option<(String, bool)>,
}

impl Goal {
    /// `seen` should be `least` or more.
    pub(crate) fn at_least(what: &str, least: f64, seen: Option<f64>) -> Self {
        Self {
            text: format!("{what} at least {least}"),
            seen: seen.map(|seen| (shown(seen), seen >= least)),
        }
    }

    /// `seen` should be `most` or less.
    pub(crate) fn at_most(what: &str, most: f64, seen: Option<f64>) -> Self {
        Self {
            text: format!("{what} at most {most}"),
            seen: seen.map(|seen| (shown(seen), seen <= most)),
        }
    }

    fn line(&self) -> String {
        match &self.seen {
            None => format!("- not measured: {}", self.text),
            Some((seen, true)) => format!("- met: {} (seen: {seen})", self.text),
            Some((seen, false)) => format!("- **missed**: {} (seen: {seen})", self.text),
        }
    }
}

/// Three digits that count, so that a value just below its goal does not look like one that meets it.
fn shown(value: f64) -> String {
    let text = if value.abs() < 1.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.3}")
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Section {
    pub(crate) fn new(title: &str, how: impl Into<String>) -> Self {
        Self {
            title: title.to_owned(),
            how: how.into(),
            ..Self::default()
        }
    }

    /// Takes over why rows are empty, and what tools had to say.
    pub(crate) fn note_troubles(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let remarks = outcome
                .readings
                .iter()
                .filter_map(|reading| reading.remark.as_ref());
            self.is_broken |= outcome.is_ours && outcome.trouble.is_some();
            let said = outcome.trouble.iter().chain(remarks.take(1));
            self.notes
                .extend(said.map(|text| format!("{}: {text}", outcome.label)));
        }
    }

    pub(crate) fn markdown(&self) -> String {
        let mut parts = vec![format!("### {}", self.title), self.how.clone()];
        parts.extend(self.tables.iter().map(Table::markdown));
        let goals: Vec<_> = self.goals.iter().map(Goal::line).collect();
        let notes: Vec<_> = self.notes.iter().map(|note| format!("- {note}")).collect();
        for (heading, lines) in [("Aimed at:", goals), ("Notes:", notes)] {
            if !lines.is_empty() {
                parts.push(format!("{heading}\n\n{}", lines.join("\n")));
            }
        }
        parts.join("\n\n")
    }
}

/// `a` over `b`, where both are known.
pub(crate) fn over(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    let (a, b) = a.zip(b)?;
    (b > 0.0).then_some(a / b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_says_what_was_seen_and_never_guesses() {
        let line = |goal: Goal| goal.line();
        assert_eq!(
            line(Goal::at_least("chaos over wrk", 0.95, Some(0.9496))),
            "- **missed**: chaos over wrk at least 0.95 (seen: 0.9496)"
        );
        assert_eq!(
            line(Goal::at_most("p99 in ms", 0.4, Some(0.31))),
            "- met: p99 in ms at most 0.4 (seen: 0.31)"
        );
        assert_eq!(
            line(Goal::at_most("p99 in ms", 0.4, None)),
            "- not measured: p99 in ms at most 0.4"
        );
    }

    #[test]
    fn an_answer_has_only_the_parts_that_it_has() {
        let mut section = Section::new("Speed", "One core.");
        assert_eq!(section.markdown(), "### Speed\n\nOne core.");
        section.notes.push("hey: not installed".to_owned());
        assert!(
            section
                .markdown()
                .ends_with("Notes:\n\n- hey: not installed")
        );
    }
}
