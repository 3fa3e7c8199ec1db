//! Hostile texts are refused in bounded time and memory.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use chaos_plan::check::{MAX_BYTES, Options};

use crate::folder::{examine_text, good};

/// Texts that would take long or much if nothing held them back.
fn hostile() -> Vec<(&'static str, String)> {
    let mut texts = hostile_yaml();
    texts.extend(hostile_content());
    texts
}

/// As many lines as fit into the largest text.
fn many(line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for next in (0..).map(line) {
        if text.len() + next.len() > MAX_BYTES {
            break;
        }
        text += &next;
    }
    text
}

fn alias_bomb() -> String {
    let mut text = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        writeln!(text, "a{level}: &a{level} [{below}*a{}]", level - 1).expect("text");
    }
    text
}

fn hostile_yaml() -> Vec<(&'static str, String)> {
    vec![
        ("alias bomb", alias_bomb()),
        ("brackets", "[".repeat(MAX_BYTES)),
        ("braces", "{a: ".repeat(MAX_BYTES / 4)),
        ("dashes", "- ".repeat(MAX_BYTES / 2)),
        (
            "indentation",
            many(|level| format!("{}a:\n", " ".repeat(level))),
        ),
        (
            "flow list",
            format!("a: [{}]", "1,".repeat(MAX_BYTES / 2 - 10)),
        ),
        ("too many keys", many(|index| format!("k{index}: 1\n"))),
        ("one key", many(|_| "a: 1\n".to_owned())),
        ("long text", format!("name: {}", "x".repeat(MAX_BYTES - 10))),
        ("long key", format!("? {}\n: 1", "x".repeat(MAX_BYTES - 10))),
        ("anchors", many(|index| format!("k{index}: &k{index} x\n"))),
        ("comments", "#\n".repeat(MAX_BYTES / 2)),
        ("too large", "x".repeat(MAX_BYTES + 1)),
        (
            "control characters",
            "\u{1b}[2J: \u{0}\u{7f}\n".repeat(1_000),
        ),
        ("byte order marks", "\u{feff}".repeat(10_000)),
    ]
}

fn hostile_content() -> Vec<(&'static str, String)> {
    let keys = |index: usize| format!("k{index}: 1\n");
    let before = |key: &str| good().split(key).next().expect("text").to_owned();
    let names = format!("except: [{}]", "warmupp, ".repeat(40_000));
    vec![
        ("unknown keys", (0..45_000).map(keys).collect()),
        (
            "repeated keys",
            (0..45_000).map(|index| keys(index % 22_500)).collect(),
        ),
        (
            "unknown names",
            good().replacen("except: [warmup]", &names, 1),
        ),
        (
            "slots without a value",
            good().replacen(
                "app: shop",
                &format!(
                    "app: shop\n  env: {{ api: {{ X: \"{}\" }} }}",
                    "{adres}".repeat(8_000)
                ),
                1,
            ),
        ),
        (
            "settings without a value",
            good().replacen(
                "app: shop",
                &format!("app: shop\n  env: {{ api: {{ {} }} }}", many_settings()),
                1,
            ),
        ),
        (
            "bad stages",
            before("- { name: warmup") + &"- { name: x, for: 1 }\n      ".repeat(10_000),
        ),
        (
            "faults in a chain",
            before("- name: kill-api") + &fault_chain(5_000),
        ),
    ]
}

fn many_settings() -> String {
    let slots = "{adres}{instanse}{portt}";
    (0..20_000).fold(String::new(), |mut text, index| {
        write!(text, "K{index}: \"{slots}\", ").expect("text");
        text
    })
}

/// Faults that each wait for the one before.
fn fault_chain(length: usize) -> String {
    let fault = |index: usize| {
        format!(
            "- {{ name: f{index}, after: f{}.effective, or_by: spike, inject: {{ kill: {{ service: api }} }} }}\n  ",
            index + 1
        )
    };
    (0..length).map(fault).collect()
}

/// Processor time of this thread, which other processes cannot lengthen by taking the processor
/// away; 0 where the system does not tell.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

#[test]
fn hostile_texts_are_refused_in_a_second() {
    for (name, text) in hostile() {
        let examined = || {
            let began = busy();
            let outcome = examine_text(&text, &Options::default());
            let rendered = outcome.diagnostics.render(true);
            let problems = outcome.diagnostics.problems.len();
            assert!(outcome.plan.is_none() && problems > 0, "{name} is refused");
            assert!(rendered.len() < 300_000, "{name}: {} bytes", rendered.len());
            let took = busy().saturating_sub(began);
            println!("{name}: {took:?}, {problems} problems");
            took
        };
        // The processor may be slowed down by its other half: the best of three counts.
        let is_quick = (0..3).any(|_| examined() < Duration::from_secs(1));
        assert!(is_quick, "{name} takes more than a second");
    }
    assert!(
        !cfg!(target_os = "linux") || busy() > Duration::ZERO,
        "the clock runs"
    );
}

/// Run by the test below in a process of its own, whose memory it measures.
#[test]
#[ignore = "run by hostile_texts_are_refused_in_64_mb"]
fn read_hostile_texts() {
    for (_, text) in hostile() {
        drop(
            examine_text(&text, &Options::default())
                .diagnostics
                .render(false),
        );
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    println!(
        "{}",
        status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .expect("peak memory")
    );
}

#[test]
#[cfg(target_os = "linux")]
fn hostile_texts_are_refused_in_64_mb() {
    let program = std::env::current_exe().expect("this test");
    let arguments = [
        "--exact",
        "limits::read_hostile_texts",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ];
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find(|line| line.contains("VmHWM"))
        .unwrap_or_else(|| panic!("{text}"));
    let kilobytes: u64 = line
        .split_whitespace()
        .rev()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .expect("a number");
    println!("peak memory of all: {kilobytes} kB");
    assert!(kilobytes < 64 * 1024, "peak memory is {kilobytes} kB");
}

#[test]
fn whatever_the_text_nothing_panics() {
    let text = good();
    // Every prefix, and every line left out.
    for at in (0..text.len())
        .filter(|at| text.is_char_boundary(*at))
        .step_by(7)
    {
        drop(
            examine_text(&text[..at], &Options::default())
                .diagnostics
                .render(false),
        );
    }
    let lines: Vec<&str> = text.lines().collect();
    for left_out in 0..lines.len() {
        let rest: Vec<&str> = lines
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != left_out)
            .map(|(_, line)| *line)
            .collect();
        let outcome = examine_text(&rest.join("\n"), &Options::default());
        assert!(outcome.plan.is_some() || outcome.diagnostics.has_errors());
        assert!(
            !outcome
                .diagnostics
                .problems
                .iter()
                .any(|problem| problem.code.id == "E119"),
            "{}",
            outcome.diagnostics
        );
    }
}
