//! A load by itself: what was asked for, what was measured, and `chaos load --json`.
//!
//! Invariant: like a run's result it holds no path of the machine, and fields are only added;
//! anything else raises [`VERSION`]. The headers and the body that were sent are not in it: they may be secret.

#[cfg(test)]
pub(crate) mod sample;

use chaos_plan::Plan;
use chaos_plan::plan::{Arrivals, HttpVersion, Level, Stage, Step, Target};
use chaos_record::line::Header;
use chaos_record::measured::Measured;
use chaos_record::verdict::{
    Because, ClaimVerdict, Conservation, Exit, GeneratorHealth, Status, Verdict,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::clean::{clean, clean_composed, redact};
use crate::result::written_schema;
use crate::words;

/// Version of the format.
pub const VERSION: u32 = 1;

/// A finished load by itself. The last stage is what was measured; one before it was warm-up.
#[derive(Debug, Clone, Copy)]
pub struct LoadStory<'a> {
    pub header: &'a Header,
    pub verdict: &'a Verdict,
    /// Of the last stage.
    pub measured: &'a Measured,
    /// Whether the claims are the user's. Else there is one of our own, which is shown to no one.
    pub expects: bool,
    pub exit: &'a Exit,
}

impl LoadStory<'_> {
    pub(crate) fn plan(&self) -> &Plan {
        &self.header.plan
    }

    /// The user's claims.
    pub(crate) fn claims(&self) -> &[ClaimVerdict] {
        if self.expects {
            &self.verdict.claims
        } else {
            &[]
        }
    }

    /// A text of the verdict in the words of this command: it has one request and one measured stage,
    /// whose names nobody gave.
    pub(crate) fn said(&self, text: &str) -> String {
        let load = &self.plan().load;
        let request = load.journeys.first().and_then(|journey| {
            let step = journey.steps.first()?;
            Some(format!("endpoint {}/{}: ", journey.name, step.name))
        });
        let stage = load.stages.last().map(|stage| format!("{}: ", stage.name));
        let names = request.into_iter().chain(stage);
        let said = names
            .chain(["over the stages: ".to_owned()])
            .fold(text.to_owned(), |text, name| without(&text, &name));
        clean_composed(&said.replace("planned journeys", "requests due"))
    }

    /// What decided, in the order of its weight, in the words of this command.
    pub(crate) fn because(&self) -> Vec<Because> {
        let because = self.exit.because.iter();
        let said = because.map(|because| Because {
            code: because.code,
            why: self.said(&because.why),
        });
        said.collect()
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        let codes = [
            chaos_record::exit::INTERRUPTED.code,
            chaos_record::exit::TERMINATED.code,
        ];
        let because = &self.verdict.exit.because;
        because.iter().any(|because| codes.contains(&because.code))
    }
}

/// A text without a name before what it says of it.
fn without(text: &str, name: &str) -> String {
    let text = text.strip_prefix(name).unwrap_or(text);
    let inner = [": ", "; "].into_iter();
    inner.fold(text.to_owned(), |text, before| {
        text.replace(&format!("{before}{name}"), before)
    })
}

/// What is sent: `GET` and `http://127.0.0.1:8080/items?page=1`.
pub(crate) fn request(plan: &Plan) -> (String, String) {
    let base = match &plan.target {
        Target::Url(running) => running.url.trim_end_matches('/'),
        Target::Deploy(description) => description.name.as_str(),
    };
    let step: Option<&Step> = plan.load.journeys.first().and_then(|one| one.steps.first());
    let Some(step) = step else {
        return (String::new(), base.to_owned());
    };
    let method = serde_json::to_value(step.method).expect("a word is plain data");
    // A slot, which such a load has none of, stands for itself.
    let path = step.path.fill(|slot| Some(format!("{{{slot}}}")));
    (
        method.as_str().unwrap_or_default().to_owned(),
        format!("{base}{}", path.unwrap_or_default()),
    )
}

/// How much load the measured stage asks for.
pub(crate) fn level(plan: &Plan) -> Option<Level> {
    plan.load.stages.last().map(|stage| stage.level)
}

/// The stage before the measured one, if there is one.
pub(crate) fn warmup(plan: &Plan) -> Option<&Stage> {
    match plan.load.stages.as_slice() {
        [first, _, ..] => Some(first),
        _ => None,
    }
}

/// The verdict on one `chaos load`. Times and durations are nanoseconds; what was not observed is null, never 0.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "chaos load --json")]
struct LoadResult<'a> {
    /// Version of this format; fields may be added without a new one.
    version: u32,
    /// Version of chaos that ran.
    chaos: &'a str,
    /// Wall-clock instant of time zero, RFC 3339.
    started: &'a str,
    /// Unit of every time and duration.
    unit: &'static str,
    method: String,
    url: String,
    model: LoadModel,
    /// What `measured.all` and `measured.successful` are times of.
    times: Times,
    /// Requests a second that were asked for; null in the closed model.
    rate: Option<f64>,
    /// How arrivals were spread; null in the closed model.
    arrivals: Option<Arrivals>,
    /// Requests under way at once, at most, in the closed model; null in the open one.
    at_once: Option<u32>,
    /// Version of HTTP that was asked for: `auto`, `1` or `2`.
    http: &'static str,
    /// Connections that were asked for.
    connections: Option<u32>,
    /// Requests at once on one connection of HTTP/2; null if not asked for.
    streams: Option<u32>,
    /// Threads.
    workers: usize,
    /// Length of the warm-up, which is measured by nothing here; null without one.
    warmup: Option<u64>,
    /// Planned length of what is measured.
    length: u64,
    /// Everything drawn by chance was drawn from this.
    seed: u64,
    /// Whether it was stopped before its end.
    interrupted: bool,
    measured: &'a Measured,
    generator: &'a GeneratorHealth,
    conservation: &'a Conservation,
    /// What was expected with `--expect`, in that order; empty if nothing was.
    expectations: Vec<Expectation<'a>>,
    exit: LoadExit<'a>,
}

/// What makes a request begin.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LoadModel {
    /// Requests are due at a rate, whatever the answers.
    Open,
    /// Each connection sends its next request when it has its answer.
    Closed,
}

/// From where times are counted.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Times {
    /// From the instant a request was due.
    Response,
    /// From the instant its user was free to send it, before any wait for a connection.
    Service,
}

/// One `--expect`.
#[derive(Debug, Serialize, JsonSchema)]
struct Expectation<'a> {
    /// As it was written: `p95<=200ms`.
    expect: &'a str,
    status: Status,
    /// What was measured, in words.
    measured: &'a str,
    /// Why it is not held or unknown; empty if held.
    why: String,
}

/// The exit code and everything that called for one.
#[derive(Debug, Serialize, JsonSchema)]
struct LoadExit<'a> {
    code: u8,
    /// Stable name of the code.
    name: &'a str,
    meaning: &'static str,
    /// All reasons, the one that decided first.
    because: Vec<Because>,
}

/// The JSON Schema (2020-12) of `chaos load --json`.
pub fn load_schema() -> Value {
    written_schema::<LoadResult<'_>>()
}

/// The one document of `chaos load --json`, pretty, with a line end at its end.
pub fn load_json(story: &LoadStory<'_>) -> String {
    let (plan, verdict) = (story.plan(), story.verdict);
    let (method, url) = request(plan);
    let nanos = |length: std::time::Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    let (model, times, rate, at_once) = match level(plan) {
        Some(Level::Users { to, .. }) => (LoadModel::Closed, Times::Service, None, Some(to)),
        Some(Level::Rate { to, .. }) => (
            LoadModel::Open,
            Times::Response,
            Some(to.per_second()),
            None,
        ),
        None => (LoadModel::Open, Times::Response, None, None),
    };
    let expectations = story.claims().iter().map(|claim| Expectation {
        expect: &claim.name,
        status: claim.status,
        measured: &claim.measured,
        why: story.said(&claim.why),
    });
    let result = LoadResult {
        version: VERSION,
        chaos: &story.header.chaos,
        started: &story.header.started,
        unit: "ns",
        method,
        url: redact(&clean(&url)),
        model,
        times,
        rate,
        arrivals: rate.map(|_| plan.load.arrivals),
        at_once,
        http: http(plan),
        connections: plan.load.connections,
        streams: plan.load.streams,
        workers: verdict.generator.workers,
        warmup: warmup(plan).map(|stage| nanos(stage.length)),
        length: plan
            .load
            .stages
            .last()
            .map_or(0, |stage| nanos(stage.length)),
        seed: plan.seed,
        interrupted: story.is_interrupted(),
        measured: story.measured,
        generator: &verdict.generator,
        conservation: &verdict.conservation,
        expectations: expectations.collect(),
        exit: LoadExit {
            code: story.exit.code,
            name: &story.exit.name,
            meaning: meaning(story.exit.code),
            because: story.because(),
        },
    };
    let text = serde_json::to_string_pretty(&result);
    text.expect("plain data with text keys is always JSON") + "\n"
}

/// What an exit code means after a load.
pub(crate) fn meaning(code: u8) -> &'static str {
    match code {
        0 => "answers came, and everything expected held",
        1 => "an expectation did not hold",
        3 => "inconclusive: what was measured does not decide",
        5 => "something around it failed: no answer, port, privilege or disk",
        130 => "stopped by you (Ctrl-C)",
        143 => "stopped by you (SIGTERM)",
        code => chaos_record::exit::by_code(code).map_or("", |code| code.meaning),
    }
}

/// The version of HTTP that was asked for.
fn http(plan: &Plan) -> &'static str {
    match &plan.target {
        Target::Url(running) => match running.http {
            HttpVersion::Auto => "auto",
            HttpVersion::Http1 => "1",
            HttpVersion::Http2 => "2",
        },
        Target::Deploy(_) => "1",
    }
}

/// `64 connections`, or `5,000/s over 64 connections`: how much is asked for.
pub(crate) fn level_words(plan: &Plan) -> String {
    let load = &plan.load;
    let connections = load
        .connections
        .map(|n| words::counted(u64::from(n), "connection"));
    let streams = load.streams.map_or_else(String::new, |n| {
        format!(" x {}", words::counted(u64::from(n), "stream"))
    });
    let version = match http(plan) {
        "2" => ", HTTP/2",
        _ => "",
    };
    let words = match (level(plan), connections) {
        (Some(Level::Users { .. }), Some(connections)) => connections,
        (Some(Level::Users { to, .. }), None) => words::counted(u64::from(to), "user"),
        (Some(Level::Rate { to, .. }), Some(connections)) => {
            format!("{} over {connections}", per_second(to.per_second()))
        }
        (Some(Level::Rate { to, .. }), None) => per_second(to.per_second()),
        (None, _) => String::new(),
    };
    words + &streams + version
}

/// Events a second, with commas between thousands.
pub(crate) fn per_second(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are positive and far below 2^53"
    )]
    let whole = rate.round() as u64;
    if whole >= 1_000 {
        format!("{}/s", words::count(whole))
    } else {
        words::rate(rate)
    }
}
