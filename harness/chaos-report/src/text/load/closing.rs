//! What a load by itself says at its end.
//!
//! Invariant: every number is of the measured stage alone; without colour there is not a single escape
//! character, and colour never tells what words do not.

use chaos_plan::plan::Level;
use chaos_record::measured::{Bucket, Spread};
use chaos_record::outcome::{Counts, Failures};
use chaos_record::verdict::{ClaimVerdict, Status};

use super::asked;
use crate::clean::clean;
use crate::load::{LoadStory, level, meaning, per_second};
use crate::text::paint::Paint;
use crate::view::{Mark, Tone};
use crate::words;

/// Characters before what a line says.
const LABEL: usize = 12;
/// Characters of a column of the table of percentiles.
const COLUMN: usize = 18;
/// Longest bar of the histogram.
const BAR: usize = 40;
/// Most reasons that are told beside those of the claims.
const WHY_MAX: usize = 3;
/// From here on the workers may have been what limits a closed model.
const BUSY: f64 = 0.9;

/// The last lines of a load, below those of [`super::load_opening`]; `quiet` leaves only what was expected and the exit code.
pub fn load_closing(story: &LoadStory<'_>, color: bool, quiet: bool) -> String {
    let paint = Paint::new(color);
    let mut lines = Vec::new();
    if !quiet {
        lines.extend(numbers(story, paint));
    }
    lines.extend(
        story
            .claims()
            .iter()
            .map(|claim| expectation(story, claim, paint)),
    );
    lines.extend(why(story, quiet).iter().map(|why| line(paint, "why", why)));
    let code = story.exit.code;
    lines.push(line(paint, "exit", &format!("{code}: {}", meaning(code))));
    lines.join("\n") + "\n"
}

fn line(paint: Paint, label: &str, text: &str) -> String {
    format!("  {}{text}", paint.dim(&format!("{label:<LABEL$}")))
}

fn numbers(story: &LoadStory<'_>, paint: Paint) -> Vec<String> {
    let measured = story.measured;
    let put = |label: &str, text: &str| line(paint, label, text);
    let mut lines = Vec::new();
    if story.is_interrupted() {
        let seen = words::duration(measured.length);
        lines.push(put(
            "stopped",
            &format!("after {seen} of: {}", asked(story.plan())),
        ));
    }
    lines.push(put("requests", &requests(story)));
    let bad = measured.counts.bad();
    if bad > 0 {
        let text = format!(
            "{} ({}): {}",
            words::count(bad),
            words::percent_of(bad, measured.counts.judged()),
            measured.counts.kinds_in_words()
        );
        lines.push(put("failed", &paint.tone(Tone::Unknown, &text)));
    }
    lines.extend(latency(story, paint));
    lines.extend(histogram(&measured.buckets, measured.counts.bad(), paint));
    if let Some((opened, most)) = measured.connections_opened.zip(measured.connections_max) {
        let text = format!(
            "{} opened, at most {} at once{}",
            words::count(opened),
            words::count(most),
            unopened(measured.connections_failed)
        );
        lines.push(put("connections", &text));
    }
    lines.push(put("generator", &generator(story)));
    lines
}

/// Why connections could not be opened, and how often.
fn unopened(failures: Failures) -> String {
    let failed = Counts::of_failures(failures);
    match failed.failed_total() {
        0 => String::new(),
        n => format!(
            "; {} to open one failed: {}",
            words::counted(n, "attempt"),
            failed.kinds_in_words()
        ),
    }
}

fn requests(story: &LoadStory<'_>) -> String {
    let measured = story.measured;
    let counts = &measured.counts;
    let good = per_second(measured.good_per_second);
    let cut_off = match counts.cancelled {
        0 => String::new(),
        n => format!("; {} cut off by the stop", words::count(n)),
    };
    match level(story.plan()) {
        Some(Level::Rate { .. }) => format!(
            "{} of {} due were sent in time; {good} answered as expected{cut_off}",
            words::count(measured.achieved),
            words::count(measured.offered),
        ),
        Some(Level::Users { .. }) | None => format!(
            "{}; {good} answered as expected{cut_off}",
            words::count(counts.judged())
        ),
    }
}

/// A column for each clock that means something here.
fn latency(story: &LoadStory<'_>, paint: Paint) -> Vec<String> {
    let measured = story.measured;
    let is_open = matches!(level(story.plan()), Some(Level::Rate { .. }));
    let has_failed = measured.counts.bad() > 0;
    let all = if is_open { "response" } else { "service time" };
    let mut columns: Vec<(&str, &Spread)> = vec![(all, &measured.all)];
    if has_failed {
        columns.push(("successful only", &measured.successful));
    }
    if is_open {
        columns.push(("service time", &measured.service));
    }
    let cells: Vec<String> = columns
        .iter()
        .map(|(name, _)| format!("{name:<COLUMN$}"))
        .collect();
    let head = cells.concat();
    let mut lines = vec![line(paint, "latency", head.trim_end())];
    for (row, (name, _)) in Spread::default().rows().into_iter().enumerate() {
        let cells = columns.iter().enumerate().map(|(column, (_, spread))| {
            let absent = if column == 0 && has_failed {
                "no answer"
            } else {
                "-"
            };
            let text = words::duration_or(spread.rows()[row].1, absent);
            format!("{text:<COLUMN$}")
        });
        let cells = cells.collect::<Vec<_>>().concat();
        lines.push(line(paint, &format!("  {name}"), cells.trim_end()));
    }
    let note = if is_open {
        "response: from the instant a request was due; service time: from when it was sent"
    } else {
        "a connection that waits asks nothing, so a stall is seen once; --rate shows what users feel"
    };
    lines.push(line(paint, "", &paint.dim(note)));
    lines
}

/// Bars of `#`: readable without colour, and by everyone.
fn histogram(buckets: &[Bucket], bad: u64, paint: Paint) -> Vec<String> {
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    let most = most.max(bad);
    if most == 0 {
        return Vec::new();
    }
    let total: u64 = buckets.iter().map(|bucket| bucket.count).sum::<u64>() + bad;
    let row = |label: &str, count: u64| {
        let length = usize::try_from(u128::from(count) * BAR as u128 / u128::from(most));
        // What happened at all is to be seen.
        let length = length.unwrap_or(BAR).max(usize::from(count > 0));
        let share = words::percent_of(count, total);
        let text = format!("{share:>9}  {}", "#".repeat(length));
        line(paint, label, text.trim_end())
    };
    let mut lines = vec![line(paint, "up to", "share")];
    let edge = |bucket: &Bucket| format!("  {}", words::duration(bucket.up_to));
    lines.extend(
        buckets
            .iter()
            .map(|bucket| row(&edge(bucket), bucket.count)),
    );
    if bad > 0 {
        lines.push(row("  no answer", bad));
    }
    lines
}

/// Whether it can be believed, and by what.
fn generator(story: &LoadStory<'_>) -> String {
    let health = &story.verdict.generator;
    let busy = if health.workers == 0 {
        0.0
    } else {
        health.cpu / health.workers as f64
    };
    let word = if health.healthy {
        "kept up".to_owned()
    } else {
        format!("TOO SLOW: {}", story.said(&health.complaints.join("; ")))
    };
    let mut text = format!(
        "{word}; lag p99 {}, CPU {} of {}",
        words::duration_or(health.lag_p99, "-"),
        words::percent(busy),
        words::counted(health.workers as u64, "worker"),
    );
    let is_closed = matches!(level(story.plan()), Some(Level::Users { .. }));
    if is_closed && busy > BUSY {
        text += "; it may be what limits the rate: more --threads on free cores would tell";
    }
    text
}

fn expectation(story: &LoadStory<'_>, claim: &ClaimVerdict, paint: Paint) -> String {
    let Mark { tone, word } = Mark::of_status(claim.status);
    let why = if claim.status == Status::Held {
        String::new()
    } else {
        format!("; {}", story.said(&claim.why))
    };
    let word = format!("{word:<width$}", width = LABEL - 2);
    format!(
        "  {}  {}: {}{why}",
        paint.tone(tone, &word),
        clean(&claim.name),
        clean(&claim.measured)
    )
}

/// What decided, where neither an expectation nor the generator has told it.
fn why(story: &LoadStory<'_>, quiet: bool) -> Vec<String> {
    let mut told: Vec<String> = story
        .claims()
        .iter()
        .map(|claim| format!("{}: ", claim.name))
        .collect();
    if !quiet {
        let complaints = story.verdict.generator.complaints.iter();
        told.extend(complaints.map(|complaint| story.said(complaint)));
    }
    let reasons = story.because().into_iter().map(|because| because.why);
    let untold = reasons.filter(|why| !told.iter().any(|told| why.contains(told)));
    words::at_most(WHY_MAX, untold.collect())
}
