//! `result.json`: the verdict for machines.
//!
//! Invariant: it holds neither a path nor a clock of the machine that writes it, so a record gives
//! the same bytes anywhere. Fields are only added; anything else raises [`VERSION`]. The published
//! schema is made from the very types that are written.

use chaos_record::verdict::{
    Because, Capacity, ClaimVerdict, Cleanup, Conservation, FaultFinding, GeneratorHealth,
    IntegrityVerdict, NoteLine, RunOutcome, Scaling, SeriesSummary, StageSummary, UsageSummary,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use crate::view::{Story, exit};

/// Version of the format.
pub const VERSION: u32 = 1;

/// The verdict on one run of `chaos`. Times and durations are nanoseconds; what was not observed is null, never 0.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "result.json of chaos")]
struct ResultFile<'a> {
    /// Version of this format; fields may be added without a new one.
    version: u32,
    /// Id of the run, the name of its folder.
    run: &'a str,
    /// Name of the scenario.
    name: &'a str,
    /// The question the scenario answers.
    question: &'a str,
    /// Wall-clock instant of time zero of the run, RFC 3339.
    started: &'a str,
    /// Version of chaos that ran.
    chaos: &'a str,
    /// Unit of every time and duration.
    unit: &'static str,
    outcome: RunOutcome,
    exit: ExitPart<'a>,
    /// What was done, what shoppers felt and whether it held, in one sentence.
    sentence: &'a str,
    /// Whether stages or rates were scaled, so that this is not the scenario as written.
    scaled: bool,
    /// Set if the record has no end: how far it goes, since the start of the run.
    incomplete_after: Option<u64>,
    /// Since the start of the run.
    load_started: Option<u64>,
    /// How long load was offered.
    load_length: u64,
    /// In the order of the scenario.
    claims: &'a [ClaimVerdict],
    /// In the order of the scenario.
    faults: &'a [FaultFinding],
    conservation: &'a Conservation,
    generator: &'a GeneratorHealth,
    stages: &'a [StageSummary],
    /// Each journey as a whole, then each of its steps.
    series: &'a [SeriesSummary],
    cleanup: &'a Cleanup,
    /// Set if the scenario has an integrity claim.
    integrity: Option<&'a IntegrityVerdict>,
    /// What each instance used over the judged stages; empty if nothing was sampled.
    usage: &'a [UsageSummary],
    /// What people said while it ran, in order of time.
    notes: &'a [NoteLine],
    /// Set if the load has a search: the highest rate that holds, and every probe.
    capacity: Option<&'a Capacity>,
    /// What became of each service with an autoscaler that was seen, by name.
    scaling: &'a [Scaling],
    /// Everything drawn by chance was drawn from this.
    seed: u64,
    scale: ScalePart,
}

/// The exit code and everything that called for one.
#[derive(Debug, Serialize, JsonSchema)]
struct ExitPart<'a> {
    code: u8,
    /// Stable name of the code.
    name: &'a str,
    meaning: String,
    /// All reasons, the one that decided first.
    because: &'a [Because],
}

/// Factors on the scenario as written; 1 is as written.
#[derive(Debug, Serialize, JsonSchema)]
struct ScalePart {
    time: f64,
    rate: f64,
}

/// The JSON Schema (2020-12) of `result.json`.
pub fn result_schema() -> Value {
    written_schema::<ResultFile<'_>>()
}

/// The schema of what we write (not of what we would read): a field that is always there is required.
pub(crate) fn written_schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
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
        integrity: verdict.integrity.as_ref(),
        usage: &verdict.usage,
        notes: &verdict.notes,
        capacity: verdict.capacity.as_ref(),
        scaling: &verdict.scaling,
        seed: header.plan.seed,
        scale: ScalePart {
            time: header.plan.scale.time,
            rate: header.plan.scale.rate,
        },
    };
    let mut text =
        serde_json::to_string_pretty(&file).expect("plain data with text keys is always JSON");
    text.push('\n');
    text
}
