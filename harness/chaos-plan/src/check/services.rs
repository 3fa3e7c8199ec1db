//! One service of a target description, resolved for the plan's platform.
//!
//! Invariant: every slot of a template has a value when an instance starts.

use std::collections::BTreeMap;

use super::{cluster, names};
use crate::diagnostic::{Diagnostic, Diagnostics, Span, codes, quote};
use crate::file::format::Text;
use crate::file::located::{Located, Map, Optional};
use crate::file::target as form;
use crate::file::value::Plain;
use crate::plan::{Limits, PlatformName, Ready, Restart, RestartPolicy, Service, StopSignal};
use crate::template::Template;

/// Settings by name, as they stand in a file.
type Env = Located<Map<Text<Template>>>;

/// Slots that have a value in every service, beside `calls.NAME`.
static SLOTS: [&str; 6] = ["port", "address", "instance", "data", "chaos", "here"];

/// Least memory limit of an instance, in bytes.
const LEAST_MEMORY: u64 = 1 << 20;

/// What has a value in a template.
#[derive(Clone, Copy)]
struct Filled<'a> {
    slots: &'static [&'static str],
    calls: &'a [String],
}

impl<'a> Filled<'a> {
    /// What a process of this machine is told, and the addresses of these services.
    fn beside(calls: &'a [String]) -> Self {
        Self {
            slots: &SLOTS,
            calls,
        }
    }
}

/// Checks the services of one description.
pub(super) struct Checker<'a> {
    pub(super) known: &'a [&'a str],
    pub(super) platform: PlatformName,
    pub(super) problems: &'a mut Diagnostics,
}

impl Checker<'_> {
    /// Resolves one service. The scenario's environment goes before the added one of a set of parts,
    /// and that before the description's.
    pub(super) fn service(
        &mut self,
        name: &Located<String>,
        service: &form::Service,
        replicas: Option<u32>,
        (asked_env, addition): (Option<&Env>, Option<&form::Addition>),
    ) -> Option<Service> {
        let mut calls = self.calls(&service.calls);
        let env = self.env(service.env.given(), &calls.clone().unwrap_or_default());
        let mut added_env = Some(BTreeMap::new());
        if let Some(addition) = addition {
            (calls, added_env) = self.add(addition, calls);
        }
        let known_calls = calls.clone().unwrap_or_default();
        let asked_env = self.asked_env(asked_env, &known_calls);
        let ready = self.ready(&service.ready);
        let restart = self.restart(&service.restart);
        let stop = service.stop.or_text(form::STOP);
        let stop_signal = service.stop_signal.or(StopSignal::default());
        let labels = plain(&service.labels);
        let limits = self.limits(&service.limits);
        let local = self.local(name, service, &known_calls);
        let pods = cluster::pods(name, &service.kubernetes, self.platform, self.problems);
        let (command, env, pods) = if self.platform == PlatformName::Kubernetes {
            // Its pods have an environment of their own; only what the scenario wants goes before it.
            (Vec::new(), asked_env?, Some(pods?))
        } else {
            let (command, local_env) = local?;
            let mut env = env?;
            env.extend(local_env);
            env.extend(added_env?);
            env.extend(asked_env?);
            (command, env, None)
        };
        Some(Service {
            name: name.get()?.clone(),
            replicas: replicas?,
            calls: calls?,
            ready: ready?,
            restart: restart?,
            stop: stop?,
            stop_signal: stop_signal?,
            command,
            env,
            labels: labels?,
            limits: limits?,
            pods,
        })
    }

    /// What the scenario wants of the environment: in a cluster nothing fills in a slot.
    fn asked_env(
        &mut self,
        env: Option<&Env>,
        calls: &[String],
    ) -> Option<BTreeMap<String, String>> {
        if self.platform == PlatformName::Kubernetes {
            let nothing = Filled {
                slots: &[],
                calls: &[],
            };
            return self.settings(env, nothing);
        }
        self.env(env, calls)
    }

    /// What a set of parts adds to a service with these calls: all its calls then, and the environment.
    pub(super) fn add(
        &mut self,
        addition: &form::Addition,
        calls: Option<Vec<String>>,
    ) -> (Option<Vec<String>>, Option<BTreeMap<String, String>>) {
        let more = self.calls(&addition.calls);
        let all = calls.zip(more).map(|(mut calls, more)| {
            for callee in more {
                if !calls.contains(&callee) {
                    calls.push(callee);
                }
            }
            calls
        });
        let env = self.env(addition.env.given(), &all.clone().unwrap_or_default());
        (all, env)
    }

    fn limits(&mut self, limits: &Optional<form::Limits>) -> Option<Limits> {
        let Some(limits) = limits.given() else {
            return Some(Limits::default());
        };
        let limits = limits.get()?;
        let memory = match limits.memory.given() {
            None => None,
            Some(memory) => Some(memory.get()?.0.0),
        };
        if let Some(memory) = limits
            .memory
            .given()
            .filter(|_| memory.is_some_and(|bytes| bytes < LEAST_MEMORY))
        {
            let problem = codes::OUT_OF_RANGE.at(memory.span, "`memory` must be at least 1MiB");
            self.problems.add(problem.help("for example `128MiB`"));
        }
        let cpu = match limits.cpu.given() {
            None => None,
            Some(cpu) => Some(*cpu.get()?),
        };
        Some(Limits { cpu, memory })
    }

    fn calls(&mut self, calls: &Optional<Vec<Located<String>>>) -> Option<Vec<String>> {
        let Some(calls) = calls.given() else {
            return Some(Vec::new());
        };
        let calls = calls.get()?;
        names::distinct(calls.iter(), "calls", self.problems);
        let known = self.known;
        calls
            .iter()
            .map(|name| {
                names::position(
                    name,
                    (codes::UNKNOWN_SERVICE, "service"),
                    known.iter().copied(),
                    self.problems,
                );
                name.get().cloned()
            })
            .collect()
    }

    fn ready(&mut self, ready: &Located<form::Ready>) -> Option<Ready> {
        let ready = ready.get()?;
        if let Some(connect) = ready
            .connect
            .given()
            .filter(|given| given.get() == Some(&false))
        {
            let problem = codes::ONE_OF.at(connect.span, "`connect` can only be `true`");
            self.problems
                .add(problem.help("write `connect: true`, or `path:` in its place"));
        }
        let path = match ready.path.given() {
            None => None,
            Some(path) => Some(path.get()?.0.0.clone()),
        };
        let within =
            names::positive_or(&ready.within, form::READY_WITHIN, "`within`", self.problems);
        let every = names::positive_or(&ready.every, form::READY_EVERY, "`every`", self.problems);
        let timeout = names::positive_or(
            &ready.timeout,
            form::READY_TIMEOUT,
            "`timeout`",
            self.problems,
        );
        let failures = ready.failures.or(form::READY_FAILURES);
        Some(Ready {
            path,
            within: within?,
            every: every?,
            timeout: timeout?,
            failures: failures?,
        })
    }

    fn restart(&mut self, restart: &Optional<form::Restart>) -> Option<Restart> {
        let default = form::Restart {
            policy: Optional::default(),
            delay: Optional::default(),
            backoff: Optional::default(),
            backoff_max: Optional::default(),
        };
        let restart = match restart.given() {
            None => &default,
            Some(restart) => restart.get()?,
        };
        let policy = restart.policy.or(RestartPolicy::Always);
        let backoff =
            names::positive_or(&restart.backoff, form::BACKOFF, "`backoff`", self.problems);
        let backoff_max = names::positive_or(
            &restart.backoff_max,
            form::BACKOFF_MAX,
            "`backoff_max`",
            self.problems,
        );
        if backoff
            .zip(backoff_max)
            .is_some_and(|(first, longest)| longest < first)
            && let Some(place) = restart
                .backoff_max
                .given()
                .map(|max| max.span)
                .or_else(|| restart.backoff.given().map(|first| first.span))
        {
            let problem =
                codes::BACKOFF.at(place, "the longest back-off is shorter than the first");
            self.problems
                .add(problem.help("set `backoff_max` to at least `backoff`"));
        }
        Some(Restart {
            policy: policy?,
            delay: restart.delay.or_text(form::RESTART_DELAY)?,
            backoff: backoff?,
            backoff_max: backoff_max?,
        })
    }

    /// Command and environment as a process of this machine.
    fn local(
        &mut self,
        name: &Located<String>,
        service: &form::Service,
        calls: &[String],
    ) -> Option<(Vec<String>, BTreeMap<String, String>)> {
        let Some(local) = service.local.given() else {
            if self.platform == PlatformName::Local {
                let problem = codes::NO_PLATFORM_PART.at(
                    name.span,
                    format!("service {} has no `local:` part", quote(name.get()?)),
                );
                self.problems.add(
                    problem.label("cannot run on platform `local`").help(
                        "add `local: { command: [\"{here}/server\", \"--port\", \"{port}\"] }`",
                    ),
                );
            }
            return None;
        };
        let local = local.get()?;
        let env = self.env(local.env.given(), calls);
        let words = local.command.get()?;
        if let Some(first) = words.first().filter(|first| {
            first
                .get()
                .is_some_and(|word| word.0.to_string().is_empty())
        }) {
            let problem = codes::EMPTY.at(first.span, "the command's program must not be empty");
            self.problems
                .add(problem.help("write the program first: `[\"{here}/server\"]`"));
        }
        let command: Option<Vec<String>> = words
            .iter()
            .map(|word| self.template(word, Filled::beside(calls)))
            .collect();
        Some((command?, env?))
    }

    fn env(&mut self, env: Option<&Env>, calls: &[String]) -> Option<BTreeMap<String, String>> {
        self.settings(env, Filled::beside(calls))
    }

    fn settings(
        &mut self,
        env: Option<&Env>,
        filled: Filled<'_>,
    ) -> Option<BTreeMap<String, String>> {
        let Some(env) = env else {
            return Some(BTreeMap::new());
        };
        let pairs: Vec<Option<(String, String)>> = env
            .get()?
            .iter()
            .map(|(key, value)| {
                let key_text = key.get()?;
                if key_text.is_empty() || key_text.contains(['=', '\0']) {
                    self.problems.add(
                        codes::BAD_NAME
                            .at(
                                key.span,
                                format!(
                                    "{} cannot be the name of an environment variable",
                                    quote(key_text)
                                ),
                            )
                            .help("write a name that is not empty and holds no `=`"),
                    );
                }
                Some((key_text.clone(), self.template(value, filled)?))
            })
            .collect();
        pairs.into_iter().collect()
    }

    fn template(&mut self, text: &Located<Text<Template>>, filled: Filled<'_>) -> Option<String> {
        let template = &text.get()?.0;
        for slot in template.slots() {
            let is_known = match slot.strip_prefix("calls.") {
                Some(service) => filled.calls.iter().any(|call| call == service),
                None => filled.slots.contains(&slot),
            };
            if is_known {
                continue;
            }
            if self.problems.is_full() {
                self.problems.add_unseen();
            } else {
                self.problems.add(unknown_slot(slot, text.span, filled));
            }
        }
        let words = template.to_string();
        if words.contains('\0') {
            let problem =
                codes::BAD_FORMAT.at(text.span, "no program can be given a NUL character");
            self.problems
                .add(problem.help("leave the NUL character out"));
        }
        Some(words)
    }
}

fn unknown_slot(slot: &str, span: Span, Filled { slots, calls }: Filled<'_>) -> Diagnostic {
    if slots.is_empty() {
        let message = format!("slot `{{{slot}}}` has no value on platform `kubernetes`");
        let problem = codes::UNKNOWN_SLOT.at(span, message);
        return problem.help("write the value itself: nothing is filled in for a pod");
    }
    if let Some(service) = slot.strip_prefix("calls.") {
        let problem = codes::NOT_CALLED.at(
            span,
            format!("{} is not in this service's `calls`", quote(service)),
        );
        return problem.choices(service, "its calls", calls.iter().map(String::as_str));
    }
    let addresses: Vec<String> = calls.iter().map(|call| format!("calls.{call}")).collect();
    let known = slots
        .iter()
        .copied()
        .chain(addresses.iter().map(String::as_str));
    codes::UNKNOWN_SLOT
        .at(span, format!("slot `{{{slot}}}` has no value here"))
        .choices(slot, "slots", known)
}

fn plain(labels: &Optional<Map<Plain>>) -> Option<BTreeMap<String, String>> {
    let Some(labels) = labels.given() else {
        return Some(BTreeMap::new());
    };
    labels
        .get()?
        .iter()
        .map(|(key, value)| Some((key.get()?.clone(), value.get()?.0.clone())))
        .collect()
}
