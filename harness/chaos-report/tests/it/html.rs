//! The report as a page: its structure, its policy, its size, and a report for every kind of end.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chaos_record::event::NotInjected;
use chaos_record::verdict::{Recovery, RunOutcome};
use chaos_record::window::Windows;
use chaos_report::html::report_html;
use sha2::{Digest, Sha256};

use crate::story::{Run, benign};

const VOID: [&str; 6] = ["meta", "br", "!doctype", "path", "rect", "circle"];

/// Every tag of a page with the names of its attributes, in order; texts and values left out.
pub(crate) fn tags(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let (tag, after) = tag(rest);
        if tag.starts_with("style") {
            rest = &after[after.find("</style").expect("the style sheet ends")..];
        } else {
            rest = after;
        }
        tags.push(tag);
    }
    tags
}

/// One tag up to its `>`, which does not count within quotes, and what follows it.
fn tag(text: &str) -> (String, &str) {
    let mut quoted = false;
    let end = text.find(|c| {
        quoted ^= c == '"';
        c == '>' && !quoted
    });
    let end = end.expect("a tag ends");
    // Every second piece lies between quotes.
    (
        text[..end].split('"').step_by(2).collect(),
        &text[end + 1..],
    )
}

fn page(run: &Run) -> String {
    report_html(&run.story()).expect("a report")
}

#[test]
fn every_tag_that_opens_closes_in_order() {
    let page = page(&benign());
    let mut open: Vec<String> = Vec::new();
    for tag in tags(&page) {
        let name = tag
            .trim_end_matches('/')
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        if let Some(closing) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closing), "{tag}");
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_has_its_sections_and_asks_for_nothing() {
    let page = page(&benign());
    for id in [
        "claims",
        "charts",
        "latency",
        "load",
        "errors",
        "timeline",
        "budget",
        "fault-a",
        "integrity",
        "usage",
        "debrief",
        "faults",
        "details",
        "evidence",
        "reproduce",
        "definitions",
    ] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    for word in [
        "<script", "http://", "https://", " src=", "@import", "style=\"", "<link", "onload",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.len() < 500_000, "{} bytes", page.len());
    assert!(!page.contains("hunter2"), "a secret of the scenario");
}

#[test]
fn identifiers_are_unique_and_references_lead_somewhere() {
    let page = page(&benign());
    let values = |attribute: &str| -> Vec<String> {
        let start = format!(" {attribute}=\"");
        let pieces = page.split(&start).skip(1);
        pieces
            .map(|piece| piece.split('"').next().unwrap_or_default().to_owned())
            .collect()
    };
    let ids = values("id");
    let mut unique = ids.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), ids.len());
    for reference in values("aria-labelledby")
        .iter()
        .flat_map(|ids| ids.split(' '))
        .chain(values("href").iter().map(|href| &href[1..]))
    {
        assert!(ids.iter().any(|id| id == reference), "{reference}");
    }
    for fill in values("fill")
        .iter()
        .filter_map(|fill| fill.strip_prefix("url(#"))
    {
        assert!(
            ids.iter().any(|id| id == fill.trim_end_matches(')')),
            "{fill}"
        );
    }
}

#[test]
fn the_policy_allows_this_style_sheet_and_nothing_else() {
    let page = page(&benign());
    let style = page
        .split("<style>")
        .nth(1)
        .and_then(|rest| rest.split("</style>").next())
        .expect("a style sheet");
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'"
    );
    assert!(page.replace("&#x2f;", "/").contains(&policy), "{policy}");
}

#[test]
fn the_same_story_gives_the_same_page() {
    assert_eq!(page(&benign()), page(&benign()));
}

#[test]
fn every_claim_fault_stage_and_step_is_there() {
    let page = page(&benign());
    let page = page.replace('\u{a0}', " ");
    for text in [
        "fast enough for shoppers",
        "kill 1 of 3 api instances with SIGKILL",
        "pause 1 of 2 db instances",
        "check out",
        "climb",
        "not held",
        "after 9.18 s, with 1 relapse",
        "never left it",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_run_without_load_still_has_a_report() {
    let mut run = benign();
    run.windows = Cow::Owned(Windows::default());
    run.events.clear();
    run.verdict.outcome = RunOutcome::Aborted;
    run.verdict.load_length = 0;
    run.verdict.load_started = None;
    run.verdict.incomplete_after = Some(1_200_000_000);
    run.verdict.claims.clear();
    run.verdict.stages.clear();
    run.verdict.series.clear();
    for fault in &mut run.verdict.faults {
        (
            fault.effective,
            fault.undone,
            fault.requested,
            fault.reference,
        ) = (None, None, None, None);
        (
            fault.symptom_after,
            fault.detected_after,
            fault.capacity_after,
        ) = (None, None, None);
        fault.recovery = Recovery::Unknown {
            why: "it was not injected".to_owned(),
        };
        fault.not_injected = Some((NotInjected::Stopping, "the run was stopping".to_owned()));
    }
    let page = page(&run);
    assert!(
        page.contains("The record is incomplete")
            && page.contains("not injected")
            && !page.contains("id=\"charts\""),
        "{page}"
    );
    let cards = page
        .split("id=\"faults\"")
        .nth(1)
        .expect("the faults' section");
    let unseen = cards.matches("<dd>not observed</dd>").count();
    // Eight effects of each fault, the times of a kill and of a pause.
    assert_eq!(unseen, 2 * 8 + 2 + 3, "{cards}");
}

#[test]
fn a_run_of_one_second_and_one_of_an_hour_have_charts() {
    for seconds in [1, 3_600] {
        let mut run = benign();
        run.verdict.load_length = seconds * 1_000_000_000;
        let page = page(&run);
        assert!(
            page.contains("id=\"latency\"") && page.len() < 500_000,
            "{seconds} s: {} bytes",
            page.len()
        );
    }
}

/// Writes the page where a browser can be pointed at it.
#[test]
fn the_page_can_be_looked_at() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html");
    std::fs::write(&path, page(&benign())).expect("the folder for tests takes a file");
}
