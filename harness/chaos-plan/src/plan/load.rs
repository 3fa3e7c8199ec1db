//! The load: stages, journeys, and what each request is.
//!
//! Invariant: stages follow each other without a gap, and all of them count the same thing: rates
//! in an open model, users in a closed one.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::search::Search;
use crate::template::Template;
use crate::units::{self, Rate};

/// The load: one group of shoppers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The name the scenario gives the group.
    pub name: String,
    #[serde(default)]
    pub model: Model,
    pub arrivals: Arrivals,
    /// Limit of one request, counted from when it was written.
    #[serde(with = "units::duration_text")]
    pub timeout: Duration,
    /// Limit of one request, counted from its intended instant; then it is shed.
    #[serde(with = "units::duration_text")]
    pub patience: Duration,
    /// Connections of all workers together, opened before the first arrival; `None`: as many as are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Most HTTP/2 requests at once on one connection; `None`: [`Load::STREAMS`]. The peer's limit holds besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<u32>,
    /// Whether each request bears a W3C trace context: a trace for each journey. Left out where it is so.
    #[serde(default = "yes", skip_serializing_if = "is_so")]
    pub traceparent: bool,
    pub journeys: Vec<Journey>,
    pub stages: Vec<Stage>,
    /// The last stage ends when so many journeys have begun in it, and is at most as long as it says.
    /// Only of users without a cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journeys_max: Option<u64>,
    /// What follows the stages: rates that the run itself decides on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_so(it: &bool) -> bool {
    *it
}

impl Load {
    /// Most connections that may be asked for: fewer than the ports of one source address.
    pub const MOST_CONNECTIONS: u32 = 25_000;
    /// Most HTTP/2 requests at once on one connection if nothing is said.
    pub const STREAMS: u32 = 100;
    /// Most that may be asked for.
    pub const MOST_STREAMS: u32 = 1_000;

    /// End of the last stage.
    pub fn length(&self) -> Duration {
        self.stages.last().map_or(Duration::ZERO, Stage::end)
    }

    /// Index of the stage that holds the instant `at`; an instant on a boundary belongs to the later stage.
    pub fn stage_at(&self, at: Duration) -> Option<usize> {
        self.stages
            .iter()
            .position(|stage| stage.start <= at && at < stage.end())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    Even,
    Poisson,
}

/// What makes a journey begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Journeys arrive at the rate of their stage, whatever the answers.
    #[default]
    Open,
    /// A number of users, each with one journey after the other. With `cycle` a user's journeys are
    /// due every cycle and measured from then; without it the next begins when the last has ended,
    /// no instant is intended, and what is measured is service time.
    Closed {
        #[serde(with = "units::optional_duration_text")]
        cycle: Option<Duration>,
    },
}

impl Model {
    /// Whether journeys are due at instants known beforehand, so that response times can be told.
    pub fn is_paced(self) -> bool {
        !matches!(self, Self::Closed { cycle: None })
    }
}

/// A named stretch of load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    #[serde(with = "units::duration_text")]
    pub start: Duration,
    #[serde(with = "units::duration_text")]
    pub length: Duration,
    pub level: Level,
}

/// How much load: it goes from `from` to `to` in a straight line over the stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Journeys that begin.
    Rate { from: Rate, to: Rate },
    /// Users that are there, at most [`Level::MOST_USERS`].
    Users { from: u32, to: u32 },
}

impl Level {
    /// Most users of a closed model.
    pub const MOST_USERS: u32 = 10_000;

    /// The same rate all along.
    pub fn constant_rate(rate: Rate) -> Self {
        Self::Rate {
            from: rate,
            to: rate,
        }
    }
}

impl Stage {
    pub fn end(&self) -> Duration {
        self.start + self.length
    }

    pub fn is_constant(&self) -> bool {
        match self.level {
            Level::Rate { from, to } => (from.per_second() - to.per_second()).abs() < f64::EPSILON,
            Level::Users { from, to } => from == to,
        }
    }

    /// Rates at its begin and end; `None` in a closed model.
    pub fn rates(&self) -> Option<(Rate, Rate)> {
        match self.level {
            Level::Rate { from, to } => Some((from, to)),
            Level::Users { .. } => None,
        }
    }

    /// Users at its begin and end; `None` in an open model.
    pub fn users(&self) -> Option<(u32, u32)> {
        match self.level {
            Level::Users { from, to } => Some((from, to)),
            Level::Rate { .. } => None,
        }
    }
}

/// What one shopper does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    pub name: String,
    /// Share among all journeys, relative to the sum of the weights.
    pub weight: f64,
    /// Lists, inline or from a CSV file; one row of each is drawn for each journey.
    pub data: BTreeMap<String, Vec<Row>>,
    /// The lists whose rows are not all drawn alike: the exponent of Zipf's law, above 0 and at most 4.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub popularity: BTreeMap<String, f64>,
    pub steps: Vec<Step>,
}

/// One row of a data list: a plain value, or named fields (`{shopper.email}`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    Value(String),
    Fields(BTreeMap<String, String>),
}

/// One request of a journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub method: Method,
    pub path: Template,
    pub headers: Vec<(String, Template)>,
    pub body: Option<Template>,
    /// Statuses that count as an answer as expected.
    pub statuses: Vec<StatusRange>,
    pub checks: Vec<Check>,
    pub extract: BTreeMap<String, Extract>,
    /// Planned pause after this step.
    #[serde(with = "units::duration_text")]
    pub think: Duration,
    #[serde(default)]
    pub acknowledges: Option<Acknowledges>,
}

/// The step is an operation whose answer promises something: it is written to the operation log
/// before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acknowledges {
    /// The key the shopper's side made for it, as the request carries it.
    pub key: Template,
    /// Where the answer names the order.
    pub order: Extract,
    /// Where the answer says what it costs, in the smallest unit of money.
    pub amount: Option<Extract>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
}

/// Statuses from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    pub from: u16,
    pub to: u16,
}

/// Where a value is found in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// A JSON pointer (RFC 6901) into the body.
    Json(String),
    /// A response header, by lower-case name.
    Header(String),
}

/// What an answer must fulfil beside its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub of: Extract,
    pub must: Must,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    Exist,
    Equal(String),
    Contain(String),
}
