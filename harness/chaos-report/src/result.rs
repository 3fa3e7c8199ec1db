//! `result.json`: the verdict for machines.
//!
//! Invariant: it holds neither a path nor a clock of the machine that writes it, so a record gives
//! the same bytes anywhere. Fields are only added; anything else raises [`VERSION`].

use chaos_plan::plan::Scale;
use chaos_record::verdict::{
    Because, ClaimVerdict, Cleanup, Conservation, FaultFinding, GeneratorHealth, RunOutcome,
    SeriesSummary, StageSummary,
};
use serde::Serialize;

use crate::view::{Story, exit};

/// Version of the format.
pub const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct ResultFile<'a> {
    version: u32,
    run: &'a str,
    name: &'a str,
    question: &'a str,
    /// Wall-clock instant of time zero of the run, RFC 3339.
    started: &'a str,
    chaos: &'a str,
    /// Unit of every time and duration.
    unit: &'static str,
    outcome: RunOutcome,
    exit: ExitPart<'a>,
    sentence: &'a str,
    scaled: bool,
    incomplete_after: Option<u64>,
    load_started: Option<u64>,
    load_length: u64,
    claims: &'a [ClaimVerdict],
    faults: &'a [FaultFinding],
    conservation: &'a Conservation,
    generator: &'a GeneratorHealth,
    stages: &'a [StageSummary],
    series: &'a [SeriesSummary],
    cleanup: &'a Cleanup,
    seed: u64,
    scale: Scale,
}

#[derive(Debug, Serialize)]
struct ExitPart<'a> {
    code: u8,
    name: &'a str,
    meaning: String,
    because: &'a [Because],
}

/// The whole of `result.json`, pretty, with a line end at its end.
pub fn result_json(story: &Story<'_>) -> String {
    let (header, verdict) = (story.header, story.verdict);
    let exit = ExitPart {
        code: verdict.exit.code,
        name: &verdict.exit.name,
        meaning: exit(verdict).meaning,
        because: &verdict.exit.because,
    };
    let file = ResultFile {
        version: VERSION,
        run: &header.run,
        name: &header.plan.name,
        question: &header.plan.question,
        started: &header.started,
        chaos: &header.chaos,
        unit: "ns",
        outcome: verdict.outcome,
        exit,
        sentence: &verdict.sentence,
        scaled: verdict.scaled,
        incomplete_after: verdict.incomplete_after,
        load_started: verdict.load_started,
        load_length: verdict.load_length,
        claims: &verdict.claims,
        faults: &verdict.faults,
        conservation: &verdict.conservation,
        generator: &verdict.generator,
        stages: &verdict.stages,
        series: &verdict.series,
        cleanup: &verdict.cleanup,
        seed: header.plan.seed,
        scale: header.plan.scale,
    };
    let mut text =
        serde_json::to_string_pretty(&file).expect("plain data with text keys is always JSON");
    text.push('\n');
    text
}
