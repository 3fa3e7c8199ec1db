//! `chaos doctor --calibrate`: what this machine's load generator can do, measured and kept.
//!
//! Invariant: nothing is kept unless all of it was measured.

use chaos_record::calibration::Calibration;
use chaos_record::exit;
use chaos_record::words;
use chaos_run::calibration::{self, Content};

use crate::output::{Failure, Output};

/// How far the figures reach.
const MEANING: &str = "\
Measured against a server that does nothing, with 13-byte answers, on this machine beside the load: checks,
extraction, large bodies and a real target cost more. A run that asks for more than half of the highest rate
warns, and one that asks for more than all of it is inconclusive.";

pub(super) fn calibrate(json: bool, version: &str, output: &Output) -> Result<u8, Failure> {
    let runtime = super::super::runtime()?;
    output.tell("measuring this machine for some 15 s: leave it alone meanwhile");
    let progress = |what: &str| output.tell(&format!("  {what} ..."));
    let workers = chaos_load::default_workers();
    let measured = runtime
        .block_on(calibration::measure(workers, version, progress))
        .map_err(Failure::environment)?;
    let path = calibration::store(measured.clone()).map_err(Failure::environment)?;
    if json {
        let content = Content::new(measured);
        output.give(&serde_json::to_string_pretty(&content).expect("plain data"));
    } else {
        output.give(&table(&measured));
        output.give(&format!("\n{MEANING}\nkept in {}", path.display()));
    }
    Ok(exit::HELD.code)
}

fn table(measured: &Calibration) -> String {
    let workers = words::counted(measured.workers as u64, "worker");
    let rows = [
        (
            "closed model, 1 worker".to_owned(),
            rate(measured.closed_one),
            "as fast as one core sends",
        ),
        (
            format!("closed model, {workers}"),
            rate(measured.closed_all),
            "the same with every core, the server's share taken off",
        ),
        (
            format!("highest rate, {workers}"),
            rate(measured.open_all),
            "the most that was sent on time (lag p99 at most 10 ms)",
        ),
        (
            "latency floor p50".to_owned(),
            words::duration(measured.floor_p50),
            "what generator, kernel and loopback add to every answer",
        ),
        (
            "latency floor p99".to_owned(),
            words::duration(measured.floor_p99),
            "",
        ),
        (
            "hiccup p99.9".to_owned(),
            words::duration(measured.hiccup_p999),
            "how late a thread wakes that only sleeps: the machine's share",
        ),
    ];
    let lines = rows.map(|(what, value, meaning)| {
        format!("{what:<26} {value:>12}   {meaning}")
            .trim_end()
            .to_owned()
    });
    lines.join("\n")
}

/// One line for `chaos doctor`.
pub(super) fn summary(kept: &Calibration) -> String {
    format!(
        "up to {} on time, floor p50 {}, measured {}",
        rate(kept.open_all),
        words::duration(kept.floor_p50),
        kept.measured
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and far below 2^53"
)]
fn rate(per_second: f64) -> String {
    format!("{}/s", words::count(per_second.round() as u64))
}

#[cfg(test)]
mod tests {
    use chaos_record::calibration::Machine;

    use super::*;

    #[test]
    fn the_table_says_what_each_figure_means() {
        let measured = Calibration {
            machine: Machine::default(),
            measured: "2026-01-01T00:00:00Z".to_owned(),
            chaos: "0".to_owned(),
            workers: 2,
            closed_one: 96_412.4,
            closed_all: 120_000.0,
            open_all: 61_234.0,
            floor_p50: 120_000,
            floor_p99: 310_000,
            hiccup_p999: 2_100_000,
        };
        let table = table(&measured);
        assert!(
            table.lines().count() == 6 && table.lines().all(|line| line.len() <= 110),
            "{table}"
        );
        assert!(
            table.contains("96,412/s") && table.contains("120 us"),
            "{table}"
        );
        assert!(summary(&measured).contains("61,234/s on time"));
    }
}
