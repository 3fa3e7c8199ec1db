//! Claims about the target itself: what it holds (integrity) and what it uses (resources, drift).
//!
//! Invariant: the run will have what such a claim is judged by: sources that hold it, operations
//! that are logged, instances that can be measured, time enough for a slope.

use std::time::Duration;

use super::Judge;
use super::felt::known;
use crate::diagnostic::{Span, codes, list, quote};
use crate::file::amount::{BytesAnHour, CountAnHour, TimeAnHour};
use crate::file::claim::{self, Rules};
use crate::file::located::Located;
use crate::plan::{Audit, Expect, PlatformName, Rule};
use crate::units::duration_to_text;

/// Shortest stretch over which a slope means anything.
const LEAST_FOR_DRIFT: Duration = Duration::from_mins(1);

impl Judge<'_> {
    pub(super) fn integrity(&mut self, rules: &Rules, span: Span) -> Option<Expect> {
        self.needs_operation(span);
        let rules = match rules {
            Rules::All => None,
            Rules::These(rules) => Some(self.distinct_rules(rules)?),
        };
        let Some(audit) = self.reach.audit.as_ref()? else {
            let problem = codes::NO_AUDIT.at(span, "the target cannot be asked what it holds");
            self.problems.add(
                problem
                    .label("judged by what it holds")
                    .help("describe `audit:` in the target's description (docs/audit-contract.md)"),
            );
            return None;
        };
        let rules = match rules {
            None => all_that_can_be_checked(audit),
            Some(rules) => {
                for (rule, span) in &rules {
                    self.needs_holdings(*rule, *span, audit);
                }
                rules.into_iter().map(|(rule, _)| rule).collect()
            }
        };
        Some(Expect::Integrity { rules })
    }

    /// The rules in the order of reports, each with its place; one that stands twice is reported.
    fn distinct_rules(&mut self, given: &[Located<Rule>]) -> Option<Vec<(Rule, Span)>> {
        let mut rules: Vec<(Rule, Span)> = Vec::new();
        for rule in given {
            let (value, span) = (*rule.get()?, rule.span);
            if let Some((_, first)) = rules.iter().find(|(known, _)| *known == value) {
                let problem = codes::DUPLICATE_NAME
                    .at(span, format!("{} stands twice", quote(value.name())))
                    .related(*first, "the first one is here");
                self.problems.add(problem.help("name each rule once"));
                continue;
            }
            rules.push((value, span));
        }
        rules.sort_by_key(|(rule, _)| *rule);
        Some(rules)
    }

    fn needs_holdings(&mut self, rule: Rule, span: Span, audit: &Audit) {
        if rule == Rule::NotifiedOnce && audit.notified_within.is_none() {
            let problem = codes::NO_AUDIT.at(
                span,
                format!(
                    "{} cannot be checked: the target does not say within what time",
                    quote(rule.name())
                ),
            );
            self.problems.add(problem.help(
                "add `notified_within: 30s` under `audit:`, if each delivery is one telling",
            ));
        }
        let missing: Vec<&str> = rule
            .needs()
            .iter()
            .filter(|holding| !audit.holds(**holding))
            .map(|holding| holding.name())
            .collect();
        if !missing.is_empty() {
            let missing = list(missing);
            let problem = codes::NO_AUDIT.at(
                span,
                format!(
                    "{} cannot be checked: no source of the target holds {missing}",
                    quote(rule.name())
                ),
            );
            self.problems.add(problem.help(format!(
                "add {missing} to the `holds` of a source under `audit:`, or leave the rule out"
            )));
        }
    }

    fn needs_operation(&mut self, span: Span) {
        let Some(journeys) = &self.load.journeys else {
            return;
        };
        // Steps that are unknown may well be operations.
        let may_acknowledge = journeys.iter().any(|journey| {
            journey
                .steps
                .as_ref()
                .is_none_or(|steps| steps.iter().any(|step| step.acknowledges))
        });
        if !may_acknowledge {
            let problem = codes::NO_OPERATION.at(span, "no step of the load is an operation");
            self.problems.add(problem.label("nothing to compare with").help(
                "add `acknowledges: { key: \"{uuid.purchase}\", order: { json: /order_id } }` to the step that buys",
            ));
        }
    }

    pub(super) fn resources(&mut self, resources: &claim::Resources, span: Span) -> Option<Expect> {
        let stages = self.stages(&resources.during, &resources.except, span);
        let (cpu, memory) = (resources.cpu.given(), resources.memory.given());
        self.needs_limit(
            &[cpu.is_some(), memory.is_some()],
            ("a resources", "memory: 80%"),
            span,
        );
        self.above_zero(cpu, "cpu", "every process uses some");
        self.above_zero(memory, "memory", "every process uses some");
        self.needs_instances(span, "what instances use");
        let services = match resources.services.given() {
            None => self.reach.names(),
            Some(services) => services.get().and_then(|services| {
                services
                    .iter()
                    .map(|name| self.reach.service(name, self.problems).cloned())
                    .collect()
            }),
        };
        Some(Expect::Resources {
            cpu: known(cpu)?,
            memory: known(memory)?,
            services: services?,
            stages: stages?,
        })
    }

    fn needs_instances(&mut self, span: Span, what: &str) {
        let (why, help) = if self.reach.is_url {
            (
                "cannot be seen of a target that runs already",
                "use `app:` so that chaos deploys the target, or leave this out",
            )
        } else if self.platform == PlatformName::Kubernetes {
            (
                "cannot be judged on platform `kubernetes`, which tells means of 10 s and more",
                "run it with `--platform local`, or leave this out",
            )
        } else {
            return;
        };
        let problem = codes::NOT_MEASURED.at(span, format!("{what} {why}"));
        self.problems.add(problem.help(help));
    }

    pub(super) fn drift(&mut self, drift: &claim::Drift, span: Span) -> Option<Expect> {
        let stages = self.stages(&drift.during, &drift.except, span);
        let memory = drift.memory.given();
        let (descriptors, connections) = (drift.descriptors.given(), drift.connections.given());
        let p95 = drift.p95.given();
        let of_instances = [
            memory.is_some(),
            descriptors.is_some(),
            connections.is_some(),
        ];
        let are_given = [of_instances.contains(&true), p95.is_some()];
        self.needs_limit(&are_given, ("a drift", "memory: 10MiB/h"), span);
        if are_given[0] {
            self.needs_instances(span, "growth of memory, descriptors and connections");
        }
        self.long_enough_for_drift(stages.as_deref(), span);
        let count = |count: CountAnHour| count.0;
        Some(Expect::Drift {
            memory: known(memory)?.map(|BytesAnHour(bytes)| bytes),
            descriptors: known(descriptors)?.map(count),
            connections: known(connections)?.map(count),
            p95: known(p95)?.map(|TimeAnHour(time)| time),
            stages: stages?,
        })
    }

    /// A run whose time is scaled is a trial: it is not refused, only its slope means little.
    fn long_enough_for_drift(&mut self, stages: Option<&[usize]>, span: Span) {
        let length = stages.and_then(|stages| self.load.length_of(stages));
        if let Some(length) = length.filter(|length| *length < LEAST_FOR_DRIFT && !self.is_scaled) {
            let message = format!(
                "a slope over {} means nothing; at least {} are needed",
                duration_to_text(length),
                duration_to_text(LEAST_FOR_DRIFT)
            );
            let problem = codes::TOO_SHORT.at(span, message);
            self.problems
                .add(problem.help("lengthen the stages, or judge more of them"));
        }
    }
}

/// The rules for which there is all they are judged by.
fn all_that_can_be_checked(audit: &Audit) -> Vec<Rule> {
    Rule::ALL
        .into_iter()
        .filter(|rule| audit.can_judge(*rule))
        .collect()
}
