//! Plans for tests, without YAML.
//!
//! Invariant: what is built here is a plan like any other: it passes through its serialised form.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::{
    Acknowledges, Arrivals, Claim, Expect, Extract, Fault, HowMany, Inject, Journey, KillSignal,
    LatencyLimit, Level, Load, Method, Model, Part, PlatformName, Quantile, Resolved, Row, Running,
    Safety, Scale, Scope, Search, Source, Stage, StatusRange, Step, Target, Targets, When,
};
use chaos_plan::template::Template;
use chaos_plan::units::{Rate, Share};

/// Builds a plan; begins with no stage, no journey and no claim.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct PlanBuilder {
    content: Resolved,
}

impl Default for PlanBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl PlanBuilder {
    pub fn new() -> Self {
        let load = Load {
            name: "shoppers".to_owned(),
            model: Model::Open,
            arrivals: Arrivals::Even,
            timeout: Duration::from_secs(2),
            patience: Duration::from_secs(5),
            connections: None,
            streams: None,
            traceparent: false,
            journeys: Vec::new(),
            stages: Vec::new(),
            journeys_max: None,
            search: None,
        };
        let content = Resolved {
            name: "test".to_owned(),
            question: "Does the test hold?".to_owned(),
            platform: PlatformName::Local,
            seed: 1,
            scale: Scale {
                time: 1.0,
                rate: 1.0,
            },
            target: Target::Url(Running::new("http://127.0.0.1")),
            load,
            faults: Vec::new(),
            claims: Vec::new(),
            safety: Safety {
                abort_if: None,
                max_share: Share::from_ratio(0.5),
                allow_outage: Vec::new(),
            },
            source: Source {
                path: "test.yaml".to_owned(),
                text: String::new(),
                overrides: Vec::new(),
            },
        };
        Self { content }
    }

    pub fn seed(mut self, seed: u64) -> Self {
        self.content.seed = seed;
        self
    }

    pub fn arrivals(mut self, arrivals: Arrivals) -> Self {
        self.content.load.arrivals = arrivals;
        self
    }

    pub fn timeout_ms(mut self, ms: u64) -> Self {
        self.content.load.timeout = Duration::from_millis(ms);
        self
    }

    pub fn patience_ms(mut self, ms: u64) -> Self {
        self.content.load.patience = Duration::from_millis(ms);
        self
    }

    /// Connections of all workers together, opened beforehand.
    pub fn connections(mut self, connections: u32) -> Self {
        self.content.load.connections = Some(connections);
        self
    }

    /// Each request bears a trace context.
    pub fn traceparent(mut self) -> Self {
        self.content.load.traceparent = true;
        self
    }

    /// HTTP/2 requests at once on one connection.
    pub fn streams(mut self, streams: u32) -> Self {
        self.content.load.streams = Some(streams);
        self
    }

    /// A stage at a constant rate of journeys.
    pub fn stage(self, name: &str, seconds: f64, per_second: f64) -> Self {
        self.ramp(name, seconds, (per_second, per_second))
    }

    /// A stage whose rate changes in a straight line.
    pub fn ramp(mut self, name: &str, seconds: f64, (from, to): (f64, f64)) -> Self {
        let (start, length) = (self.content.load.length(), Duration::from_secs_f64(seconds));
        self.content.load.stages.push(Stage {
            name: name.to_owned(),
            start,
            length,
            level: Level::Rate {
                from: Rate::new(from),
                to: Rate::new(to),
            },
        });
        self
    }

    /// A search after the stages, with probes of `step` seconds and a rest of one second.
    pub fn search(mut self, (from, to): (f64, f64), step: f64, precision: f64) -> Self {
        self.content.load.search = Some(Search {
            name: "find".to_owned(),
            start: self.content.load.length(),
            from: Rate::new(from),
            to: Rate::new(to),
            step: Duration::from_secs_f64(step),
            settle: Search::SETTLE,
            factor: 2.0,
            precision: Share::from_ratio(precision),
            rest: Duration::from_secs(1),
        });
        self
    }

    /// A stage with a constant number of users; makes the model a closed one.
    pub fn users(self, name: &str, seconds: f64, users: u32) -> Self {
        self.users_ramp(name, seconds, (users, users))
    }

    /// A stage whose number of users changes in a straight line; makes the model a closed one.
    pub fn users_ramp(mut self, name: &str, seconds: f64, (from, to): (u32, u32)) -> Self {
        let (start, length) = (self.content.load.length(), Duration::from_secs_f64(seconds));
        if self.content.load.model == Model::Open {
            self.content.load.model = Model::Closed { cycle: None };
        }
        self.content.load.stages.push(Stage {
            name: name.to_owned(),
            start,
            length,
            level: Level::Users { from, to },
        });
        self
    }

    /// Users are due every so many milliseconds.
    pub fn cycle_ms(mut self, ms: u64) -> Self {
        self.content.load.model = Model::Closed {
            cycle: Some(Duration::from_millis(ms)),
        };
        self
    }

    /// Any claim, under its kind as name.
    pub fn claim(mut self, expect: Expect) -> Self {
        self.content.claims.push(Claim {
            name: expect.kind().to_owned(),
            expect,
            line: 1,
        });
        self
    }

    /// What the load is sent to.
    pub fn target(mut self, target: Target) -> Self {
        self.content.target = target;
        self
    }

    pub fn journey(self, name: &str, weight: f64, steps: Vec<Step>) -> Self {
        self.journey_with_data(name, weight, BTreeMap::new(), steps)
    }

    pub fn journey_with_data(
        mut self,
        name: &str,
        weight: f64,
        data: BTreeMap<String, Vec<Row>>,
        steps: Vec<Step>,
    ) -> Self {
        self.content.load.journeys.push(Journey {
            name: name.to_owned(),
            weight,
            data,
            popularity: BTreeMap::new(),
            steps,
        });
        self
    }

    /// A claim that the p95 over all stages so far is at most this.
    pub fn limit_ms(mut self, ms: u64) -> Self {
        let limits = vec![LatencyLimit {
            quantile: Quantile::P95,
            at_most: Duration::from_millis(ms),
        }];
        let stages = (0..self.content.load.stages.len()).collect();
        self.content.claims.push(Claim {
            name: format!("p95 {ms} ms"),
            expect: Expect::Latency {
                limits,
                scope: Scope {
                    stages,
                    part: Part::All,
                },
            },
            line: 1,
        });
        self
    }

    /// A kill of one instance of a service at this time of the load.
    pub fn kill(mut self, name: &str, service: &str, at_ms: u64) -> Self {
        let targets = Targets {
            service: service.to_owned(),
            how_many: HowMany::Count(1),
        };
        let inject = Inject::Kill {
            targets,
            signal: KillSignal::Kill,
        };
        let when = When::At(Duration::from_millis(at_ms));
        self.content.faults.push(Fault {
            name: name.to_owned(),
            when,
            lasts: None,
            inject,
            line: 1,
        });
        self
    }

    pub fn build(self) -> Plan {
        let text = serde_json::to_string(&self.content).expect("a plan is plain data");
        serde_json::from_str(&text).expect("a plan reads what it wrote")
    }
}

/// A step that expects a status below 400 from `GET path`, without think time.
pub fn get(name: &str, path: &str) -> Step {
    Step {
        name: name.to_owned(),
        method: Method::Get,
        path: template(path),
        headers: Vec::new(),
        body: None,
        statuses: vec![StatusRange { from: 200, to: 399 }],
        checks: Vec::new(),
        extract: BTreeMap::new(),
        think: Duration::ZERO,
        acknowledges: None,
    }
}

/// The same with a pause after it.
pub fn get_then_think(name: &str, path: &str, think_ms: u64) -> Step {
    Step {
        think: Duration::from_millis(think_ms),
        ..get(name, path)
    }
}

/// The same as an operation under this key, whose answer names the order at `/order_id`.
pub fn acknowledging(step: Step, key: &str) -> Step {
    let acknowledges = Acknowledges {
        key: template(key),
        order: Extract::Json("/order_id".to_owned()),
        amount: None,
    };
    Step {
        acknowledges: Some(acknowledges),
        ..step
    }
}

/// A template from its text.
pub fn template(text: &str) -> Template {
    Template::parse(text).expect("a well-formed template")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_each_other() {
        let plan = PlanBuilder::new()
            .stage("a", 1.5, 10.0)
            .ramp("b", 2.0, (10.0, 20.0))
            .journey("j", 1.0, vec![get("g", "/")])
            .build();
        assert_eq!(plan.load.length(), Duration::from_millis(3_500));
        assert_eq!(plan.load.stage_at(Duration::from_millis(1_500)), Some(1));
    }
}
