//! From texts to a proven [`Plan`], or every problem at once.
//!
//! Invariant: this is the only door to [`Plan`]. Checks never stop at a first problem: what is
//! unknown because it was bad is left out of the checks that need it, and everything else is
//! still checked.

mod audit;
mod claims;
mod cluster;
mod faults;
mod inject;
mod journeys;
mod load;
mod moments;
mod names;
mod parts;
mod radius;
mod scope;
mod services;
mod steps;
mod target;

use std::fmt;

use crate::diagnostic::{Diagnostics, codes};
use crate::file::scenario::{self, Scenario};
use crate::file::{self};
use crate::plan::{AbortIf, Plan, PlatformName, Resolved, Safety, Scale, Source};
use crate::units::Share;
use target::Reach;

pub use crate::diagnostic::SourceFile;
pub use crate::file::MAX_BYTES;

/// Hands over texts by name: from files beside the scenario, or from those that are bundled.
///
/// Of a file larger than [`MAX_BYTES`] it is enough to hand over the first `MAX_BYTES + 1` bytes.
pub trait Library {
    /// The target description of this name or path.
    fn target(&self, name: &str) -> Option<SourceFile>;
    /// The journey of this name.
    fn journey(&self, name: &str) -> Option<SourceFile>;
    /// The CSV file at a path from the folder of a journey's file; never called for a bundled one.
    fn data(&self, _journey: &SourceFile, _path: &str) -> Option<SourceFile> {
        None
    }
    /// Names of the targets there are, for suggestions.
    fn targets(&self) -> Vec<String>;
    /// Names of the journeys there are, for suggestions.
    fn journeys(&self) -> Vec<String>;
}

/// What is checked.
pub struct Sources<'a> {
    pub scenario: SourceFile,
    pub library: &'a dyn Library,
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("scenario", &self.scenario.name)
            .finish_non_exhaustive()
    }
}

/// What the command line says beside the scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub platform: Option<PlatformName>,
    pub seed: Option<u64>,
    /// Factor of stage lengths and offsets, above 0 to 1000.
    pub time_scale: f64,
    /// Factor of rates, above 0 to 1000.
    pub rate_scale: f64,
    /// `--set key=value`, in order.
    pub overrides: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            platform: None,
            seed: None,
            time_scale: 1.0,
            rate_scale: 1.0,
            overrides: Vec::new(),
        }
    }
}

impl Options {
    fn is_time_scaled(&self) -> bool {
        (self.time_scale - 1.0).abs() > f64::EPSILON
    }
}

/// A plan if there is one, and what there is to say about it.
#[derive(Debug)]
pub struct Outcome {
    pub plan: Option<Plan>,
    /// Only warnings if there is a plan.
    pub diagnostics: Diagnostics,
}

/// Checks a scenario and all it refers to. Warnings of a good scenario are dropped: see [`examine`].
pub fn check(sources: &Sources<'_>, options: &Options) -> Result<Plan, Diagnostics> {
    let Outcome { plan, diagnostics } = examine(sources, options);
    plan.ok_or(diagnostics)
}

/// Like [`check`], but keeps the warnings of a good scenario.
pub fn examine(sources: &Sources<'_>, options: &Options) -> Outcome {
    let mut problems = Diagnostics::default();
    let content = resolve(sources, options, &mut problems);
    if content.is_none() && !problems.has_errors() {
        problems.add(
            codes::INTERNAL
                .nowhere("the scenario could not be read although every check passed")
                .help("please report this with the file"),
        );
    }
    problems.sort();
    let plan = content.filter(|_| !problems.has_errors()).map(Plan::proven);
    Outcome {
        plan,
        diagnostics: problems,
    }
}

/// Problems of a target description by itself.
pub fn check_target(file: &SourceFile, platform: PlatformName) -> Diagnostics {
    let mut problems = Diagnostics::default();
    target::describe(file, platform, None, &mut problems);
    problems.sort();
    problems
}

/// Problems of a journey by itself; the library hands over its CSV files.
pub fn check_journey(file: &SourceFile, library: &dyn Library) -> Diagnostics {
    let mut problems = Diagnostics::default();
    journeys::read(file, library, &mut problems);
    problems.sort();
    problems
}

fn resolve(
    sources: &Sources<'_>,
    options: &Options,
    problems: &mut Diagnostics,
) -> Option<Resolved> {
    let file = &sources.scenario;
    let options = &usable(options, problems);
    let (index, scenario) = file::read_with::<Scenario>(file, &options.overrides, problems);
    let scenario = scenario?;
    let question = question(&file.text);
    if question.is_none() {
        let start = crate::diagnostic::Span {
            file: index,
            start: 0,
            end: 0,
        };
        problems.add(
            codes::NO_QUESTION
                .at(start, "no question")
                .help("open the file with a comment line: `# Does the shop ... when ...?`"),
        );
    }
    names::version(&scenario.version, problems);
    let name = names::name(&scenario.name, "the scenario", problems);
    let platform = platform(&scenario, options, problems);
    let reach = target::resolve(&scenario.target, sources.library, platform, problems);
    let load = load::resolve(&scenario.load, sources.library, options, problems);
    load::check_streams(&scenario.load, &reach, problems);
    let safety = safety(&scenario, &reach, problems);
    let claims = claims::resolve(&scenario, (&load, &reach, platform), options, problems);
    let faults = faults::resolve(
        &scenario,
        &faults::Setting {
            reach: &reach,
            load: &load,
            safety: safety.as_ref(),
            claims: claims.as_deref(),
            options,
            platform,
        },
        problems,
    );
    Some(Resolved {
        name: name?.to_owned(),
        question: question.unwrap_or_default(),
        platform,
        seed: options.seed.or(scenario.seed.or(scenario::SEED))?,
        scale: Scale {
            time: options.time_scale,
            rate: options.rate_scale,
        },
        target: reach.plan?,
        load: load.plan?,
        faults: faults?,
        claims: claims?,
        safety: safety?,
        source: Source {
            path: file.name.clone(),
            text: file.text.clone(),
            overrides: options
                .overrides
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
        },
    })
}

/// The options with a scale that was refused put back to 1, so that it causes no other problem.
fn usable(options: &Options, problems: &mut Diagnostics) -> Options {
    let mut usable = options.clone();
    for (name, scale) in [
        ("--time-scale", &mut usable.time_scale),
        ("--rate-scale", &mut usable.rate_scale),
    ] {
        if !(*scale > 0.0 && *scale <= 1_000.0) {
            problems.add(
                codes::BAD_OPTION
                    .nowhere(format!("`{name} {scale}` is out of range"))
                    .help("give a factor above 0 and at most 1000; 1 is as written"),
            );
            *scale = 1.0;
        }
    }
    usable
}

/// The question a scenario answers: the first comment line before any content.
pub fn question(text: &str) -> Option<String> {
    let comments = text
        .lines()
        .map(str::trim)
        .take_while(|line| line.is_empty() || line.starts_with('#'));
    let mut words = comments
        .map(|line| line.trim_start_matches('#').trim())
        .filter(|line| !line.is_empty() && !line.starts_with("yaml-language-server"));
    words
        .next()
        .map(|line| line.chars().filter(|c| !c.is_control()).take(300).collect())
}

fn platform(scenario: &Scenario, options: &Options, problems: &mut Diagnostics) -> PlatformName {
    let written = scenario
        .platform
        .or(PlatformName::Local)
        .unwrap_or(PlatformName::Local);
    let platform = options.platform.unwrap_or(written);
    let name = match platform {
        PlatformName::Local | PlatformName::Kubernetes => return platform,
        PlatformName::Compose => "compose",
    };
    let message = format!("platform `{name}` is not built in yet");
    let problem = match (options.platform, scenario.platform.given()) {
        (None, Some(given)) => codes::PLATFORM.at(given.span, message),
        _ => codes::PLATFORM.nowhere(message),
    };
    problems.add(problem.help("use `local` or `kubernetes`"));
    platform
}

fn safety(scenario: &Scenario, reach: &Reach, problems: &mut Diagnostics) -> Option<Safety> {
    let half = || Share::parse(scenario::MAX_SHARE).ok();
    let Some(given) = scenario.safety.given() else {
        return Some(Safety {
            abort_if: None,
            max_share: half()?,
            allow_outage: Vec::new(),
        });
    };
    let given = given.get()?;
    let abort_if = match given.abort_if.given() {
        None => Some(None),
        Some(abort_if) => abort_if.get().and_then(|abort_if| {
            let lasts = names::positive(&abort_if.lasts, "`for`", problems)?;
            Some(Some(AbortIf {
                errors: abort_if.errors.get()?.0,
                lasts,
            }))
        }),
    };
    let allow_outage = match given.allow_outage.given() {
        None => Some(Vec::new()),
        Some(services) => services.get().and_then(|services| {
            services
                .iter()
                .map(|name| reach.service(name, problems).cloned())
                .collect()
        }),
    };
    Some(Safety {
        abort_if: abort_if?,
        max_share: given.max_share.or_text(scenario::MAX_SHARE)?,
        allow_outage: allow_outage?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_the_first_comment_line() {
        let check = |text, expected: Option<&str>| {
            assert_eq!(question(text).as_deref(), expected, "{text}");
        };
        check("# Does it hold?\nversion: 1\n", Some("Does it hold?"));
        check("#\n\n## yes?\na: 1", Some("yes?"));
        check(
            "# yaml-language-server: $schema=x\n# What?\n",
            Some("What?"),
        );
        check("version: 1\n# too late\n", None);
        check("# a\u{1b}[2Jb\n", Some("a[2Jb"));
        check("", None);
    }
}
