//! `summary.md`: the run on one page for a job summary or a note on a merge request.
//!
//! Invariant: at most [`SUMMARY_MAX`] bytes whatever the run holds, and foreign text stands only
//! inside a line or a code block that we opened, escaped for both Markdown and HTML.

mod escape;
mod spark;

use chaos_record::verdict::{ClaimVerdict, Recovery, Status};

use self::escape::{code_block, inline};
use crate::timeline::Timeline;
use crate::view::{ClaimRow, FaultCard, Mark, Story, Tone, View};
use crate::words;

/// Most bytes of a summary; a job summary may hold 1 MiB, a note that people read far less.
pub const SUMMARY_MAX: usize = 64_000;
/// Most bytes of one table, so that those after it always have room.
const TABLE_MAX: usize = 12_000;
/// Most reasons and notices.
const REASONS_MAX: usize = 4;

/// The whole of `summary.md`.
pub fn summary_md(story: &Story<'_>) -> String {
    let timeline = Timeline::new(story);
    let view = View::new(story, &timeline);
    let mut parts = vec![heading(&view), facts(&view)];
    parts.extend(claims(story, &view));
    parts.extend(integrity(story));
    parts.extend(recovery(story, &view));
    parts.push(spark::p95(story, &timeline));
    parts.push(reproduce(&view));
    parts.join("\n\n") + "\n"
}

/// A mark as a sign and a word: never a sign or a colour alone.
fn marked(mark: &Mark) -> String {
    let sign = match mark.tone {
        Tone::Good => "\u{2714}",
        Tone::Bad => "\u{2716}",
        Tone::Unknown => "?",
        Tone::Plain => "\u{25a0}",
    };
    format!("{sign} {}", mark.word)
}

fn heading(view: &View) -> String {
    let mut lines = vec![
        // Some readers take braces at the end of a heading for attributes: the last word is ours.
        format!(
            "## {}: {} (exit {})",
            marked(&view.outcome),
            inline(&view.name),
            view.exit.code
        ),
        String::new(),
        format!("**Verdict:** {}", inline(&view.sentence)),
    ];
    for notice in view.notices.iter().take(REASONS_MAX) {
        lines.extend([String::new(), format!("**Note:** {}", inline(notice))]);
    }
    lines.join("\n")
}

fn facts(view: &View) -> String {
    let mut lines = vec![format!("- Question: {}", inline(&view.question))];
    lines.extend(
        view.reasons
            .iter()
            .take(REASONS_MAX)
            .map(|why| format!("- Why: {}", inline(why))),
    );
    lines.push(format!(
        "- Exit code {} ({}): {}",
        view.exit.code,
        inline(&view.exit.name),
        view.exit.meaning
    ));
    lines.join("\n")
}

/// A table of bounded size; the line under it says how many rows are left out.
fn table(title: &str, head: &[&str], rows: &[Vec<String>]) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let mut text = format!(
        "### {title}\n\n| {} |\n|{}",
        head.join(" | "),
        "---|".repeat(head.len())
    );
    let mut shown = 0;
    for row in rows {
        let line = format!("\n| {} |", row.join(" | "));
        if text.len() + line.len() > TABLE_MAX {
            break;
        }
        text.push_str(&line);
        shown += 1;
    }
    if shown < rows.len() {
        text.extend([
            "\n\n",
            &(rows.len() - shown).to_string(),
            " more in report.html",
        ]);
    }
    Some(text)
}

fn claims(story: &Story<'_>, view: &View) -> Option<String> {
    let rows: Vec<Vec<String>> = story
        .verdict
        .claims
        .iter()
        .zip(&view.claims)
        .map(|(claim, row)| claim_row(claim, row))
        .collect();
    table("Claims", &["", "Claim", "Target", "Measured", "Why"], &rows)
}

fn claim_row(claim: &ClaimVerdict, row: &ClaimRow) -> Vec<String> {
    let parts: Vec<&str> = row
        .findings
        .iter()
        .zip(&claim.findings)
        .filter(|(_, finding)| finding.status == Status::NotHeld)
        .map(|(row, _)| &*row.of)
        .take(4)
        .collect();
    let by = if parts.is_empty() {
        String::new()
    } else {
        format!(" [{}]", parts.join("; "))
    };
    vec![
        marked(&row.mark),
        inline(&row.name),
        inline(&row.target),
        inline(&row.measured),
        inline(&format!("{}{by}", row.why)),
    ]
}

fn integrity(story: &Story<'_>) -> Option<String> {
    let integrity = story.verdict.integrity.as_ref()?;
    let rows: Vec<Vec<String>> = integrity
        .rules
        .iter()
        .map(|rule| {
            vec![
                marked(&Mark::of_status(rule.status)),
                inline(rule.rule.words()),
                words::count(rule.checked),
                words::count(rule.violations),
                inline(&crate::clean::clean(
                    rule.examples.first().map_or("", |it| it),
                )),
            ]
        })
        .collect();
    let table = table(
        "Integrity",
        &["", "Rule", "Checked", "Broken", "First"],
        &rows,
    )?;
    let operations = format!(
        "{} acknowledged, {} refused, {} unknown ({} of them stored, {} not)",
        words::count(integrity.ok),
        words::count(integrity.failed),
        words::count(integrity.unknown),
        words::count(integrity.unknown_stored),
        words::count(integrity.unknown_absent)
    );
    Some(format!("{table}\n\nOperations: {operations}"))
}

fn recovery(story: &Story<'_>, view: &View) -> Option<String> {
    let rows: Vec<Vec<String>> = story
        .verdict
        .faults
        .iter()
        .zip(&view.faults)
        .map(|(fault, card)| {
            let felt = match fault.symptom_after {
                Some(ns) => format!("after {}", words::duration(ns)),
                None => "not observed".to_owned(),
            };
            let noticed = match &fault.detected_after {
                Some((ns, _)) => format!("after {}", words::duration(*ns)),
                None => "not observed".to_owned(),
            };
            fault_row(
                card,
                [
                    felt,
                    noticed,
                    back(&fault.recovery),
                    bad(fault.effective, fault.excess_bad),
                ],
            )
        })
        .collect();
    table(
        "Recovery",
        &[
            "",
            "Fault",
            "What",
            "Felt",
            "Noticed",
            "Back to normal",
            "Bad beyond the usual",
        ],
        &rows,
    )
}

fn fault_row(card: &FaultCard, numbers: [String; 4]) -> Vec<String> {
    let mut row = vec![
        marked(&card.mark),
        inline(&format!("{} {}", card.letter, card.name)),
        inline(&card.act),
    ];
    row.extend(numbers);
    row
}

fn bad(effective: Option<u64>, excess: u64) -> String {
    effective.map_or_else(|| "not observed".to_owned(), |_| words::count(excess))
}

fn back(recovery: &Recovery) -> String {
    match recovery {
        Recovery::Absorbed => "never left it".to_owned(),
        Recovery::Recovered { after, relapses: 0 } => format!("after {}", words::duration(*after)),
        Recovery::Recovered { after, relapses } => format!(
            "after {}, {}",
            words::duration(*after),
            words::counted(*relapses, "relapse")
        ),
        Recovery::NotRecovered { longer_than } => {
            format!("not within {} (run ended)", words::duration(*longer_than))
        }
        Recovery::Unknown { .. } => "not known".to_owned(),
    }
}

fn reproduce(view: &View) -> String {
    let mut lines = vec![view.reproduce.command.clone()];
    lines.extend(
        view.reproduce
            .facts
            .iter()
            .take(20)
            .map(|fact| format!("# {}: {}", fact.label, fact.value)),
    );
    lines.push(format!("# Run: {}, {}", view.run, view.started));
    format!(
        "<details>\n<summary>Reproduce</summary>\n\n{}\n\n</details>",
        code_block(&lines)
    )
}
