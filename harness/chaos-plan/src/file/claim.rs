//! The claims of a scenario's hypothesis.
//!
//! Doc comments here are the descriptions in the published schema.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::amount::{BytesAnHour, CountAnHour, TimeAnHour};
use super::format::{Format, Text};
use super::located::{Located, Optional};
use crate::diagnostic::quote;
use crate::plan::Rule;
use crate::units::{Rate, Share};

/// Defaults, as a user would write them.
pub(crate) const GOOD: &str = "95%";
pub(crate) const STEADY_FOR: &str = "3s";

/// One claim of the hypothesis.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    /// How reports call it. Default: the claim in words.
    #[serde(default)]
    pub(crate) name: Optional<String>,
    /// What is claimed.
    pub(crate) expect: Located<Expect>,
}

/// The kinds of claim.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Expect {
    /// Response times from the intended instant, failures counted as infinitely slow.
    Latency(Latency),
    /// Share of requests that were not answered as expected.
    Errors(Errors),
    /// Share of one-second windows in which enough was answered as expected.
    Availability(Availability),
    /// Time until the target behaves as before a fault.
    Recovery(Recovery),
    /// No acknowledged operation is lost, doubled or invented: `all`, or a list of rules.
    Integrity(Rules),
    /// What instances use of their CPU and memory.
    Resources(Resources),
    /// Journeys that are completed.
    Goodput(Goodput),
    /// Growth over a long load: of what instances use, and of response times.
    Drift(Drift),
    /// The autoscaler of a service makes more of it, and they are ready in time.
    ScaleOut(ScaleOut),
    /// The highest rate that still holds, as the search stage of the load finds it.
    Capacity(Capacity),
}

/// At least one limit: `{ p95: 200ms }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latency {
    /// Half of the requests take at most this.
    #[serde(default)]
    pub(crate) p50: Optional<Text<Duration>>,
    /// 90 % of the requests take at most this.
    #[serde(default)]
    pub(crate) p90: Optional<Text<Duration>>,
    /// 95 % of the requests take at most this; needs 200 requests.
    #[serde(default)]
    pub(crate) p95: Optional<Text<Duration>>,
    /// 99 % of the requests take at most this; needs 1,000 requests.
    #[serde(default)]
    pub(crate) p99: Optional<Text<Duration>>,
    /// 99.9 % of the requests take at most this; needs 10,000 requests.
    #[serde(default, rename = "p99.9")]
    pub(crate) p999: Optional<Text<Duration>>,
    /// Judge these stages only.
    #[serde(default)]
    pub(crate) during: Optional<Vec<Located<String>>>,
    /// Judge every stage but these.
    #[serde(default)]
    pub(crate) except: Optional<Vec<Located<String>>>,
    /// Judge the requests of this journey only.
    #[serde(default)]
    pub(crate) journey: Optional<String>,
    /// Judge the requests of one step only: `JOURNEY/STEP`, or `STEP` if only one journey has it.
    #[serde(default)]
    #[schemars(extend("examples" = ["checkout/pay"]))]
    pub(crate) endpoint: Optional<String>,
}

/// `{ service: api, within: 45s }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScaleOut {
    /// The service; its workload must be known and have an autoscaler.
    #[schemars(extend("examples" = ["api"]))]
    pub(crate) service: Located<String>,
    /// Longest time from the start of the first stage that is judged until the new ones are ready. Not scaled.
    pub(crate) within: Located<Text<Duration>>,
    /// So many of it are ready then. Default: one more than at the start of that stage.
    #[serde(default)]
    #[schemars(extend("minimum" = 1))]
    pub(crate) to: Optional<u32>,
    /// Judge these stages only.
    #[serde(default)]
    pub(crate) during: Optional<Vec<Located<String>>>,
    /// Judge every stage but these.
    #[serde(default)]
    pub(crate) except: Optional<Vec<Located<String>>>,
}

/// `{ min: 200/s }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Capacity {
    /// The claims on latency and errors hold at a rate of journeys that is at least this, up to the `to` of the search. Not scaled.
    pub(crate) min: Located<Text<Rate>>,
}

/// `{ max: 0.1% }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Errors {
    /// At most this share of the requests is bad, more than 0%; 0.1% needs 10,000 requests.
    pub(crate) max: Located<Text<Share>>,
    /// Judge these stages only.
    #[serde(default)]
    pub(crate) during: Optional<Vec<Located<String>>>,
    /// Judge every stage but these.
    #[serde(default)]
    pub(crate) except: Optional<Vec<Located<String>>>,
    /// Judge the requests of this journey only.
    #[serde(default)]
    pub(crate) journey: Optional<String>,
    /// Judge the requests of one step only: `JOURNEY/STEP`, or `STEP` if only one journey has it.
    #[serde(default)]
    #[schemars(extend("examples" = ["checkout/pay"]))]
    pub(crate) endpoint: Optional<String>,
}

/// `{ min: 99.9% }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Availability {
    /// At least this share of the one-second windows is good.
    pub(crate) min: Located<Text<Share>>,
    /// A window is good if at least this share of its requests was answered as expected. Default: 95%.
    #[serde(default)]
    #[schemars(extend("default" = GOOD))]
    pub(crate) good: Optional<Text<Share>>,
    /// Judge these stages only.
    #[serde(default)]
    pub(crate) during: Optional<Vec<Located<String>>>,
    /// Judge every stage but these.
    #[serde(default)]
    pub(crate) except: Optional<Vec<Located<String>>>,
    /// Judge the requests of this journey only.
    #[serde(default)]
    pub(crate) journey: Optional<String>,
    /// Judge the requests of one step only: `JOURNEY/STEP`, or `STEP` if only one journey has it.
    #[serde(default)]
    #[schemars(extend("examples" = ["checkout/pay"]))]
    pub(crate) endpoint: Optional<String>,
}

/// `{ within: 10s }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recovery {
    /// Longest time from the fault (for faults that end: from its undo) until all is as before. Not scaled.
    pub(crate) within: Located<Text<Duration>>,
    /// All must stay as before for this long to count. Default: 3s. Not scaled.
    #[serde(default)]
    #[schemars(extend("default" = STEADY_FOR))]
    pub(crate) steady_for: Optional<Text<Duration>>,
}

/// Rules of integrity: `all`, or a list of them.
#[derive(Debug)]
pub(crate) enum Rules {
    All,
    These(Vec<Located<Rule>>),
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RulesVisitor)
    }
}

struct RulesVisitor;

impl<'de> Visitor<'de> for RulesVisitor {
    type Value = Rules;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`all` or a list of rules")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Rules, E> {
        AllRules::parse(text)
            .map(|AllRules| Rules::All)
            .map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Rules, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(Rules::These)
    }
}

impl JsonSchema for Rules {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rules".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rule = generator.subschema_for::<Rule>();
        schemars::json_schema!({
            "type": ["string", "array"],
            "format": AllRules::NAME,
            "pattern": "^all$",
            "items": rule,
            "minItems": 1,
            "maxItems": Rule::ALL.len(),
            "examples": AllRules::EXAMPLES
        })
    }
}

/// The word for every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AllRules;

impl Format for AllRules {
    const NAME: &'static str = "rules";
    const EXAMPLES: &'static [&'static str] = &["all"];

    fn parse(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self);
        }
        let why = format!("{} is not `all`", quote(text));
        Err(match Rule::ALL.iter().find(|rule| rule.name() == text) {
            Some(rule) => format!("{why}: write a list, `[{}]`", rule.name()),
            None => format!("{why}: write `all`, or a list such as `[stock_conserved]`"),
        })
    }
}

/// At least one limit: `{ memory: 80% }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resources {
    /// Mean CPU of each instance is at most this share of its limit, or of the machine.
    #[serde(default)]
    pub(crate) cpu: Optional<Text<Share>>,
    /// Highest memory of each instance is at most this share of its limit, or of the machine.
    #[serde(default)]
    pub(crate) memory: Optional<Text<Share>>,
    /// Services whose instances are judged. Default: all.
    #[serde(default)]
    #[schemars(extend("minItems" = 1, "examples" = [["api"]]))]
    pub(crate) services: Optional<Vec<Located<String>>>,
    /// Judge these stages only.
    #[serde(default)]
    pub(crate) during: Optional<Vec<Located<String>>>,
    /// Judge every stage but these.
    #[serde(default)]
    pub(crate) except: Optional<Vec<Located<String>>>,
}

/// At least one limit: `{ min: 90% }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Goodput {
    /// While a fault is felt, at least this share of the reference before it is completed.
    #[serde(default)]
    pub(crate) min: Optional<Text<Share>>,
    /// At least so many journeys are completed over the stages.
    #[serde(default)]
    pub(crate) at_least: Optional<Text<Rate>>,
    /// Count this journey only.
    #[serde(default)]
    pub(crate) journey: Optional<String>,
    /// Judge these stages only.
    #[serde(default)]
    pub(crate) during: Optional<Vec<Located<String>>>,
    /// Judge every stage but these.
    #[serde(default)]
    pub(crate) except: Optional<Vec<Located<String>>>,
}

/// At least one limit: `{ memory: 10MiB/h }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drift {
    /// Memory of each instance grows by at most this.
    #[serde(default)]
    pub(crate) memory: Optional<Text<BytesAnHour>>,
    /// Open descriptors of each instance grow by at most this.
    #[serde(default)]
    pub(crate) descriptors: Optional<Text<CountAnHour>>,
    /// Open connections of each instance grow by at most this.
    #[serde(default)]
    pub(crate) connections: Optional<Text<CountAnHour>>,
    /// The p95 of all requests grows by at most this.
    #[serde(default)]
    pub(crate) p95: Optional<Text<TimeAnHour>>,
    /// Judge these stages only.
    #[serde(default)]
    pub(crate) during: Optional<Vec<Located<String>>>,
    /// Judge every stage but these.
    #[serde(default)]
    pub(crate) except: Optional<Vec<Located<String>>>,
}
