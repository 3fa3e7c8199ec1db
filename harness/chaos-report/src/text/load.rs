//! A load by itself on the terminal: its first line, the redrawn block, a line now and then elsewhere.
//!
//! Invariant: the block has the same number of lines all along, so that it can be drawn over; no line
//! is longer than asked for.

mod closing;

use chaos_plan::Plan;
use chaos_plan::plan::{Arrivals, Level};
use chaos_record::live::Pulse;

pub use self::closing::load_closing;
use super::live::{LABEL_WIDTH, bar, fit, row};
use super::paint::Paint;
use super::sketch::Sketch;
use crate::clean::{clean, redact};
use crate::load::{level, level_words, per_second, request, warmup};
use crate::view::Tone;
use crate::words;

/// What begins: the request, how much of it and for how long.
pub fn load_opening(plan: &Plan, workers: usize) -> String {
    let workers = words::counted(workers as u64, "worker");
    format!("{}\n{}; {workers}", title(plan), asked(plan))
}

/// `GET http://127.0.0.1:8080/`
fn title(plan: &Plan) -> String {
    let (method, url) = request(plan);
    format!("{method} {}", redact(&clean(&url)))
}

/// `closed model: 64 connections for 10 s, after 2 s of warm-up`
fn asked(plan: &Plan) -> String {
    let nanos = |length: std::time::Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    let model = match level(plan) {
        Some(Level::Users { .. }) | None => "closed model: ",
        Some(Level::Rate { .. }) if plan.load.arrivals == Arrivals::Even => "open model, even: ",
        Some(Level::Rate { .. }) => "open model, poisson: ",
    };
    let length = plan
        .load
        .stages
        .last()
        .map_or(0, |stage| nanos(stage.length));
    let warmup = warmup(plan).map_or_else(String::new, |stage| {
        let length = words::duration(nanos(stage.length));
        format!(", after {length} of warm-up that is not counted")
    });
    format!(
        "{model}{} {}{warmup}",
        level_words(plan),
        match plan.load.journeys_max {
            Some(most) => format!("until {} are answered", words::counted(most, "request")),
            None => format!("for {}", words::duration(length)),
        }
    )
}

/// How far it is, of so much time or of so many requests.
fn progress(plan: &Plan, pulse: &Pulse) -> String {
    let now = words::clock_seconds(pulse.now);
    match plan.load.journeys_max {
        Some(most) => format!(
            "{now} of as long as {} take",
            words::counted(most, "request")
        ),
        None => format!("{now} of {}", words::clock_seconds(pulse.length)),
    }
}

/// The live block of one load: it remembers the last minute for its sketches.
#[derive(Debug, Clone, Default)]
pub struct LoadLive {
    rates: Sketch,
    latencies: Sketch,
}

impl LoadLive {
    /// The lines of the block at this moment, each at most `width` characters wide.
    pub fn block(&mut self, plan: &Plan, pulse: &Pulse, color: bool, width: usize) -> Vec<String> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "for a sketch only"
        )]
        let rate = (pulse.recent.judged() > 0).then_some(pulse.rate.round() as u64);
        self.rates.see(pulse.now, rate, 0.0);
        self.latencies.see(pulse.now, pulse.p95, bad_share(pulse));
        let paint = Paint::new(color);
        let row = |label: &str, text: &str, tone| row((paint, width), label, text, tone);
        let room = width.saturating_sub(LABEL_WIDTH);
        let failed = failed(pulse);
        vec![
            paint.bold(&fit(&title(plan), width)),
            fit(
                &format!(
                    "{}{}",
                    match plan.load.journeys_max {
                        Some(_) => progress(plan, pulse),
                        None => bar((pulse.now, pulse.length), width),
                    },
                    stage(plan, pulse)
                ),
                width,
            ),
            row("requests", &requests(pulse), Some(Tone::Plain)),
            row("", &self.rates.line(None, room), None)
                .trim_end()
                .to_owned(),
            row("latency", &latency(pulse), Some(tone(pulse))),
            row("", &self.latencies.line(pulse.limit, room), None)
                .trim_end()
                .to_owned(),
            row(
                "failed",
                &failed,
                (pulse.total.bad() > 0).then_some(Tone::Unknown),
            ),
            paint.dim(&fit("Ctrl-C = stop and show what was seen", width)),
        ]
    }
}

/// One line for logs, without colour: every 10 s where there is no terminal.
pub fn load_status_line(plan: &Plan, pulse: &Pulse) -> String {
    format!(
        "T+{}{}  {}  {}  failed {}",
        progress(plan, pulse),
        stage(plan, pulse),
        requests(pulse),
        latency(pulse),
        failed(pulse),
    )
}

/// Only what differs from what is expected of a bar: warm-up.
fn stage(plan: &Plan, pulse: &Pulse) -> &'static str {
    if warmup(plan).is_some() && pulse.stage == 0 {
        "  warm-up"
    } else {
        ""
    }
}

fn requests(pulse: &Pulse) -> String {
    let due = pulse.offered.map_or_else(String::new, |offered| {
        format!(", {} due", per_second(offered))
    });
    format!("{}{due}", per_second(pulse.rate))
}

fn latency(pulse: &Pulse) -> String {
    if pulse.recent.judged() == 0 {
        return "no answer yet".to_owned();
    }
    let limit = pulse.limit.map_or_else(String::new, |limit| {
        format!(" (limit {})", words::duration(limit))
    });
    let at = |value| words::duration_or(value, "no answer");
    format!(
        "p50 {}  p95 {}{limit}  p99 {}",
        at(pulse.p50),
        at(pulse.p95),
        at(pulse.p99)
    )
}

fn tone(pulse: &Pulse) -> Tone {
    match (pulse.p95, pulse.limit) {
        (Some(p95), Some(limit)) if p95 > limit => Tone::Bad,
        (Some(_), Some(_)) => Tone::Good,
        (None, _) | (_, None) => Tone::Plain,
    }
}

fn bad_share(pulse: &Pulse) -> f64 {
    let judged = pulse.recent.judged();
    if judged == 0 {
        0.0
    } else {
        pulse.recent.bad() as f64 / judged as f64
    }
}

/// Over the last second by kind, and since the beginning.
fn failed(pulse: &Pulse) -> String {
    let all = words::count(pulse.total.bad());
    if pulse.recent.bad() == 0 {
        return if pulse.total.bad() == 0 {
            "0".to_owned()
        } else {
            format!("none now, {all} so far")
        };
    }
    format!(
        "{} now ({}), {all} so far",
        words::percent(bad_share(pulse)),
        pulse.recent.kinds_in_words()
    )
}

#[cfg(test)]
mod tests {
    use chaos_record::outcome::{Counts, FailKind, Outcome};

    use super::*;
    use crate::load::sample;

    fn pulse() -> Pulse {
        let mut recent = Counts {
            ok: 4_990,
            ..Counts::default()
        };
        for _ in 0..10 {
            recent.add(Outcome::Failed(FailKind::Reset));
        }
        let mut total = recent.clone();
        total.merge(&recent);
        Pulse {
            now: 4_000_000_000,
            length: 12_000_000_000,
            stage: 1,
            rate: 5_000.4,
            offered: Some(5_000.0),
            p50: Some(612_000),
            p95: Some(1_200_000),
            p99: None,
            limit: Some(200_000_000),
            recent,
            total,
        }
    }

    #[test]
    fn a_block_shows_all_within_its_width() {
        let plan = sample::open();
        let lines = LoadLive::default().block(&plan, &pulse(), false, 72);
        assert_eq!(
            lines,
            [
                "POST http://127.0.0.1:8080/items?page=1",
                "[===============>--------------------------------]  00:04 / 00:12",
                "requests 5,000/s, 5,000/s due",
                "         \u{2587}",
                "latency  p50 612 us  p95 1.2 ms (limit 200 ms)  p99 no answer",
                "         \u{2581}",
                "failed   0.20 % now (connection broke 10), 20 so far",
                "Ctrl-C = stop and show what was seen",
            ]
        );
        for width in 0..80 {
            let lines = LoadLive::default().block(&plan, &pulse(), false, width);
            assert_eq!(lines.len(), 8, "{width}");
            assert!(
                lines
                    .iter()
                    .all(|line| line.chars().count() <= width.max(LABEL_WIDTH)),
                "{width}: {lines:?}"
            );
        }
    }

    #[test]
    fn a_status_line_says_the_same_in_one() {
        let at = Pulse {
            stage: 0,
            ..pulse()
        };
        assert_eq!(
            load_status_line(&sample::open(), &at),
            "T+00:04 of 00:12  warm-up  5,000/s, 5,000/s due  p50 612 us  p95 1.2 ms (limit 200 ms)  p99 no answer  failed 0.20 % now (connection broke 10), 20 so far"
        );
    }

    #[test]
    fn the_opening_says_what_is_asked_for() {
        assert_eq!(
            load_opening(&sample::open(), 2),
            "POST http://127.0.0.1:8080/items?page=1\nopen model, even: 5,000/s over 64 connections for 10 s, after 2 s of warm-up that is not counted; 2 workers"
        );
        assert_eq!(
            load_opening(&sample::closed(), 1),
            "GET http://127.0.0.1:8080/\nclosed model: 64 connections for 10 s; 1 worker"
        );
        let mut counted = sample::closed();
        counted.end_after(2_000);
        assert_eq!(
            load_opening(&counted, 1),
            "GET http://127.0.0.1:8080/\nclosed model: 64 connections until 2,000 requests are answered; 1 worker"
        );
        let line = load_status_line(&counted, &pulse());
        assert!(
            line.starts_with("T+00:04 of as long as 2,000 requests take  5,000/s"),
            "{line}"
        );
    }
}
