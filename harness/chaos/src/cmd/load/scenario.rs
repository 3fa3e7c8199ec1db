//! Flags to a scenario in memory.
//!
//! Invariant: every line of the text knows the flag it comes from, so nobody sees a scenario they did
//! not write; and what a flag says is quoted, so that it stays a value whatever it holds.

use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::check::{Library, Options, Outcome, Sources, examine};
use chaos_plan::diagnostic::{Severity, SourceFile};
use chaos_plan::plan::Level;
use chaos_plan::units::duration_to_text;
use chaos_record::exit;

use super::blame::{OURS, Text, bad, problem_told};
use crate::cli::load::{Http, LoadArgs, Method, Spread};
use crate::output::Failure;

/// The stage that is measured, the one before it, and the one step of the one journey.
const STAGE: &str = "load";
const WARMUP: &str = "warmup";
const STEP: &str = "request";
/// The longest load that a plan may have.
const LONGEST: Duration = Duration::from_hours(24);
/// The claim of a load of which nothing is expected: it says which stage counts and is shown to no one.
const NO_CLAIM: &str = "goodput: { at_least: 0.000001/s, during: [load] }";

/// A plan and what there is to tell before it is played.
pub(super) struct Checked {
    pub(super) plan: Plan,
    pub(super) notes: Vec<String>,
}

/// The plan that the flags ask for, or all that is wrong with them. `body` is what `--body` stands for.
pub(super) fn checked(args: &LoadArgs, body: Option<&str>) -> Result<Checked, Failure> {
    let address = Address::split(&args.url)?;
    check_number(args)?;
    if args.rate.is_none() && users(args) > Level::MOST_USERS {
        let message = format!(
            "{} requests at once on each of {} connections are {}; at most {} are possible",
            args.streams.unwrap_or(1),
            args.connections,
            users(args),
            Level::MOST_USERS
        );
        return Err(bad(
            "--streams",
            &message,
            "give fewer --streams or --connections",
        ));
    }
    let written = Written {
        scenario: scenario(args, address),
        journey: journey(args, address, body)?,
    };
    let sources = Sources {
        scenario: written.scenario.file("scenario"),
        library: &written,
    };
    let options = Options {
        seed: Some(args.seed),
        ..Options::default()
    };
    let Outcome { plan, diagnostics } = examine(&sources, &options);
    let told = |severity: Severity| -> Vec<String> {
        let problems = diagnostics.problems.iter();
        let these = problems.filter(|problem| problem.severity() == severity);
        let texts = [&written.scenario, &written.journey];
        these
            .map(|problem| problem_told(texts, problem, &diagnostics))
            .collect()
    };
    match plan {
        Some(plan) => Ok(Checked {
            plan: limited(plan, args),
            notes: rounded(args)
                .into_iter()
                .chain(told(Severity::Warning))
                .collect(),
        }),
        None => Err(Failure::new(
            exit::BAD_INPUT,
            told(Severity::Error).join("\n"),
        )),
    }
}

/// `--warmup` in whole seconds, rounded up: times are kept by the second, and a second belongs to one stage.
fn warmup(args: &LoadArgs) -> Option<Duration> {
    let given = args.warmup?;
    let part = u64::from(given.subsec_nanos() > 0);
    Some(Duration::from_secs(given.as_secs().saturating_add(part)))
}

fn rounded(args: &LoadArgs) -> Option<String> {
    let (given, taken) = (args.warmup?, warmup(args)?);
    let (from, to) = (duration_to_text(given), duration_to_text(taken));
    (given != taken).then(|| {
        format!("note: --warmup: {from} is rounded up to {to}: times are kept by the second")
    })
}

/// `--requests` promises a number, which arrivals by chance would only come near to.
fn check_number(args: &LoadArgs) -> Result<(), Failure> {
    if args.requests.is_none() || args.arrivals == Spread::Even {
        return Ok(());
    }
    Err(bad(
        "--requests",
        "arrivals by chance are so many on average, not exactly",
        "use `--arrivals even`, or give --duration in place of --requests",
    ))
}

/// In the closed model a number of requests is not a length: it is counted while they are sent.
fn limited(mut plan: Plan, args: &LoadArgs) -> Plan {
    if let Some(requests) = args.requests {
        plan.end_after(requests);
    }
    plan
}

/// `http://host:port` and `/path?query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address<'a> {
    base: &'a str,
    /// Without a slash if it is only a query.
    path: &'a str,
}

impl<'a> Address<'a> {
    fn split(url: &'a str) -> Result<Self, Failure> {
        let Some(scheme) = url.find("://") else {
            return Err(bad(
                "URL",
                &format!("`{url}` does not say how to speak to it"),
                &format!("write `http://{url}` or `https://{url}`"),
            ));
        };
        // What stands behind `#` is the browser's own and never sent.
        let sent = url.split('#').next().unwrap_or_default();
        let host = scheme + 3;
        let end = sent[host..]
            .find(['/', '?'])
            .map_or(sent.len(), |at| host + at);
        let (base, path) = sent.split_at(end);
        Ok(Self { base, path })
    }

    fn path(self) -> String {
        if self.path.starts_with('/') {
            self.path.to_owned()
        } else {
            format!("/{}", self.path)
        }
    }
}

/// Both texts; hands the journey to the check.
#[derive(Debug)]
struct Written {
    scenario: Text,
    journey: Text,
}

impl Library for Written {
    fn target(&self, _: &str) -> Option<SourceFile> {
        None
    }

    fn journey(&self, name: &str) -> Option<SourceFile> {
        (name == STEP).then(|| self.journey.file(STEP))
    }

    fn targets(&self) -> Vec<String> {
        Vec::new()
    }

    fn journeys(&self) -> Vec<String> {
        vec![STEP.to_owned()]
    }
}

/// A text as a value of YAML: JSON's strings are some of its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text without slots: its braces are braces.
fn literal(text: &str) -> String {
    quoted(&text.replace('{', "{{").replace('}', "}}"))
}

fn scenario(args: &LoadArgs, address: Address<'_>) -> Text {
    let mut text = Text::default();
    text.line(OURS, "# How does it answer?");
    text.line(OURS, "version: 1");
    text.line(OURS, "name: load");
    text.line(OURS, "target:");
    text.line("URL", &format!("  url: {}", quoted(address.base)));
    match args.http {
        Http::Auto if !args.http2 => {}
        Http::One => text.line("--http", "  http: 1"),
        Http::Auto | Http::Two => text.line("--http", "  http: 2"),
    }
    if args.insecure {
        text.line("--insecure", "  insecure: true");
    }
    text.line(OURS, "load:");
    text.line(OURS, "  clients:");
    text.line(OURS, &format!("    journeys: {{ {STEP}: 1 }}"));
    clients(args, &mut text);
    text.line(OURS, "hypothesis:");
    if args.expect.is_empty() {
        text.line(OURS, &format!("  - expect: {{ {NO_CLAIM} }}"));
    }
    for expectation in &args.expect {
        let name = quoted(&expectation.to_string());
        let claim = expectation.claim(STAGE, &format!("{STEP}/{STEP}"));
        text.line(
            "--expect",
            &format!("  - {{ name: {name}, expect: {{ {claim} }} }}"),
        );
    }
    text
}

/// Arrivals, limits, connections and stages.
fn clients(args: &LoadArgs, text: &mut Text) {
    if args.rate.is_some() {
        let arrivals = match args.arrivals {
            Spread::Even => "even",
            Spread::Poisson => "poisson",
        };
        text.line("--arrivals", &format!("    arrivals: {arrivals}"));
    }
    let patience = args.patience.unwrap_or(args.timeout.saturating_mul(2));
    let time = |time: Duration| duration_to_text(time);
    text.line("--timeout", &format!("    timeout: {}", time(args.timeout)));
    text.line("--patience", &format!("    patience: {}", time(patience)));
    text.line(
        "--connections",
        &format!("    connections: {}", args.connections),
    );
    if let Some(streams) = args.streams {
        text.line("--streams", &format!("    streams: {streams}"));
    }
    text.line(
        "--traceparent",
        &format!("    traceparent: {}", args.traceparent),
    );
    text.line(OURS, "    stages:");
    let (flag, level) = match args.rate {
        Some(rate) => ("--rate", format!("rate: {rate}")),
        None => ("--connections", format!("users: {}", users(args))),
    };
    let mut stage = |of: &'static str, name: &str, length: Duration| {
        text.line(OURS, &format!("      - name: {name}"));
        text.line(of, &format!("        for: {}", time(length)));
        text.line(flag, &format!("        {level}"));
    };
    if let Some(warmup) = warmup(args) {
        stage("--warmup", WARMUP, warmup);
    }
    stage("--duration", STAGE, length(args));
}

/// Requests under way at once in the closed model.
fn users(args: &LoadArgs) -> u32 {
    args.connections.saturating_mul(args.streams.unwrap_or(1))
}

/// `--duration`, or as long as `--requests` take at `--rate`, or may take without it.
fn length(args: &LoadArgs) -> Duration {
    match (args.requests, args.rate) {
        (Some(requests), Some(rate)) => {
            let taken = Duration::try_from_secs_f64(requests as f64 / rate.per_second());
            taken.unwrap_or(args.duration)
        }
        (Some(_), None) => LONGEST.saturating_sub(warmup(args).unwrap_or_default()),
        (None, _) => args.duration,
    }
}

fn journey(args: &LoadArgs, address: Address<'_>, body: Option<&str>) -> Result<Text, Failure> {
    let mut text = Text::default();
    text.line(OURS, "version: 1");
    text.line(OURS, &format!("name: {STEP}"));
    text.line(OURS, "steps:");
    text.line(OURS, &format!("  - name: {STEP}"));
    let usual = if body.is_some() {
        Method::Post
    } else {
        Method::Get
    };
    let method = match args.method.unwrap_or(usual) {
        Method::Get => "get",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
        Method::Head => "head",
    };
    text.line(
        "URL",
        &format!("    {method}: {}", literal(&address.path())),
    );
    if !args.headers.is_empty() {
        text.line(OURS, "    headers:");
    }
    for header in &args.headers {
        let Some((name, value)) = header.split_once(':') else {
            let message = format!("`{header}` has no colon");
            return Err(bad("--header", &message, "write `-H 'name: value'`"));
        };
        let (name, value) = (quoted(name.trim()), literal(value.trim()));
        text.line("--header", &format!("      {name}: {value}"));
    }
    if let Some(body) = body {
        text.line("--body", &format!("    body: {}", literal(body)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(flags: &[&str]) -> LoadArgs {
        let all = ["chaos", "load"].iter().chain(flags);
        match Cli::try_parse_from(all).expect("flags").command {
            Command::Load(args) => *args,
            _ => unreachable!("it is `load`"),
        }
    }

    fn plan(flags: &[&str]) -> Plan {
        let args = args(flags);
        let body = args.body.clone();
        match checked(&args, body.as_deref()) {
            Ok(checked) => {
                assert_eq!(checked.notes, Vec::<String>::new(), "{flags:?}");
                checked.plan
            }
            Err(failure) => panic!("{flags:?}: {}", failure.text),
        }
    }

    fn told(flags: &[&str]) -> String {
        let args = args(flags);
        let body = args.body.clone();
        match checked(&args, body.as_deref()) {
            Ok(checked) => checked.notes.join("\n"),
            Err(failure) => failure.text,
        }
    }

    #[test]
    fn flags_become_the_plan_they_ask_for() {
        let closed = plan(&["http://127.0.0.1:1"]);
        assert_eq!(closed.load.stages[0].users(), Some((64, 64)));
        assert_eq!(closed.load.connections, Some(64));
        assert_eq!(closed.load.length(), Duration::from_secs(10));
        assert_eq!(closed.load.journeys_max, None);
        let counted = plan(&["http://127.0.0.1:1", "-n", "500", "--warmup", "1m"]);
        assert_eq!(counted.load.journeys_max, Some(500));
        assert_eq!(counted.load.length(), LONGEST);
        let open = plan(&[
            "http://127.0.0.1:1/a?b=%7B1}",
            "--rate",
            "500/s",
            "-n",
            "1000",
            "--warmup",
            "1s",
            "-c",
            "8",
            "-X",
            "put",
            "-H",
            "X-One:  1{2} ",
            "--body",
            "{\"a\": \"\u{1}\"}",
            "--expect",
            "p95<=200ms",
        ]);
        assert_eq!(open.load.length(), Duration::from_secs(3));
        assert_eq!(open.load.journeys_max, None);
        assert_eq!(open.claims[0].name, "p95<=200ms");
        let step = &open.load.journeys[0].steps[0];
        let plain = |text: &chaos_plan::template::Template| text.fill(|_| None).expect("no slots");
        assert_eq!(plain(&step.path), "/a?b=%7B1}");
        assert_eq!(step.headers[0].0, "x-one");
        assert_eq!(plain(&step.headers[0].1), "1{2}");
        assert_eq!(
            plain(step.body.as_ref().expect("a body")),
            "{\"a\": \"\u{1}\"}"
        );
        let two = plan(&[
            "https://127.0.0.1",
            "--http2",
            "-m",
            "8",
            "-c",
            "16",
            "--insecure",
        ]);
        assert_eq!(two.load.stages[0].users(), Some((128, 128)));
        assert_eq!(
            (two.load.connections, two.load.streams),
            (Some(16), Some(8))
        );
    }

    #[test]
    fn an_address_is_split_where_its_path_begins() {
        for (url, base, path) in [
            ("http://a:1", "http://a:1", "/"),
            ("http://a:1/", "http://a:1", "/"),
            ("http://a/b/c?d#e", "http://a", "/b/c?d"),
            ("http://a?d=/e", "http://a", "/?d=/e"),
            ("https://[::1]:8/x", "https://[::1]:8", "/x"),
        ] {
            let address = Address::split(url).expect(url);
            assert_eq!((address.base, address.path().as_str()), (base, path));
        }
    }

    #[test]
    fn every_problem_names_its_flag_and_the_fix_and_no_scenario() {
        let url = "http://127.0.0.1:1";
        for (flags, says) in [
            (
                vec!["127.0.0.1:1"],
                vec!["error: URL: ", "write `http://127.0.0.1:1`"],
            ),
            (
                vec!["ftp://a"],
                vec![
                    "error: URL: `ftp://a` is not an address",
                    "write `http://HOST",
                ],
            ),
            (vec!["http://a/b c"], vec!["error: URL: ", "%20"]),
            (
                vec![url, "-H", "no colon"],
                vec![
                    "error: --header: `no colon` has no colon",
                    "-H 'name: value'",
                ],
            ),
            (vec![url, "-H", "a b: 1"], vec!["error: --header: `a b`"]),
            (
                vec![url, "-H", "a: 1\n2"],
                vec!["error: --header: ", "control characters"],
            ),
            (
                vec![url, "-H", "a: 1", "-H", "a: 2"],
                vec!["error: --header: ", "each header once"],
            ),
            (
                vec![url, "--insecure"],
                vec!["error: --insecure: ", "leave --insecure out"],
            ),
            (vec![url, "-m", "8"], vec!["error: --streams: ", "--http2"]),
            (
                vec![url, "--http2", "-m", "1000", "-c", "1000"],
                vec!["error: --streams: ", "1000000"],
            ),
            (vec![url, "-d", "48h"], vec!["24 h", "--duration"]),
            (
                vec![url, "--rate", "5/s", "--expect", "errors<=0.1%"],
                vec!["error: --expect: ", "50 are expected", "--rate"],
            ),
            (
                vec![url, "--expect", "errors<=0%"],
                vec!["error: --expect: ", "0.1%"],
            ),
            (
                vec![url, "--expect", "rate>=1/s", "--expect", "rate>=1/s"],
                vec!["error: --expect: ", "each once"],
            ),
            (
                vec![url, "--expect", "p95<=1m"],
                vec!["warning: --expect: ", "--timeout"],
            ),
            (
                vec![url, "--patience", "1s"],
                vec!["warning: --patience: ", "--timeout"],
            ),
        ] {
            let text = told(&flags);
            for part in says {
                assert!(text.contains(part), "{flags:?}: no `{part}` in: {text}");
            }
            for word in ["scenario", "stages", "journey", "yaml", "`users`"] {
                assert!(!text.contains(word), "{flags:?}: `{word}` in: {text}");
            }
        }
    }

    #[test]
    fn a_number_is_not_promised_of_arrivals_by_chance() {
        let flags = ["http://127.0.0.1:1", "--rate", "5/s", "-n", "50"];
        let text = told(&[&flags[..], &["--arrivals", "poisson"]].concat());
        for part in ["error: --requests: ", "--arrivals even", "--duration"] {
            assert!(text.contains(part), "no `{part}` in: {text}");
        }
    }

    #[test]
    fn all_problems_come_at_once() {
        let text = told(&["http://a/b c", "-H", "a b: 1", "--insecure"]);
        assert_eq!(text.matches("error: ").count(), 3, "{text}");
    }
}
