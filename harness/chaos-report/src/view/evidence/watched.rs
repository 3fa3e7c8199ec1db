//! What the generator saw of itself and of its machine.
//!
//! Invariant: these lines are for information, the complaints say what of it counts; what was not
//! observed says so.

use chaos_record::health::Used;
use chaos_record::verdict::{GeneratorHealth, Headroom};

use super::{Evidence, line};
use crate::words;

const NOT_SEEN: &str = "not observed";

pub(super) fn lines(health: &GeneratorHealth) -> Vec<Evidence> {
    let mut lines = vec![
        line(
            None,
            "Lag p99.9 beside hiccup p99.9",
            lag_beside_hiccup(health),
            "a hiccup is how late a thread wakes that only sleeps: the machine's share",
        ),
        line(None, "Hiccups p50, p99, max", hiccups(health), ""),
        line(
            None,
            "Stalls of the loop over 10 ms, over 25 ms, longest",
            stalls(health),
            "in a closed model at most 1 % of the time",
        ),
        line(
            None,
            "CPU of the busiest worker, worst second",
            share(health.cpu_peak),
            "of one core; above 80 % it warns",
        ),
        line(
            None,
            "Ready to run without a core",
            share(health.waiting),
            "of the worker that waited most",
        ),
        line(
            None,
            "Pressure on the cores (PSI)",
            share(health.pressure),
            "of the time some task of the machine had none",
        ),
        line(
            None,
            "Held up by a CPU quota",
            throttled(health.throttled),
            "",
        ),
        line(
            None,
            "Descriptors, most",
            used(health.descriptors),
            "each one beyond fails a request",
        ),
        line(
            None,
            "TCP sockets of the machine, most",
            used(health.ports),
            "ports for one destination",
        ),
        line(
            None,
            "CPU of this watching",
            share(health.meter_cpu),
            "of one core",
        ),
    ];
    lines.push(headroom(health.headroom.as_ref()));
    lines
}

fn lag_beside_hiccup(health: &GeneratorHealth) -> String {
    let hiccup = health.hiccups.as_ref().map(|hiccups| hiccups.p999);
    format!(
        "{} beside {}",
        words::duration_or(health.lag_p999, NOT_SEEN),
        words::duration_or(hiccup, NOT_SEEN)
    )
}

fn hiccups(health: &GeneratorHealth) -> String {
    health.hiccups.as_ref().map_or_else(
        || NOT_SEEN.to_owned(),
        |hiccups| {
            [hiccups.p50, hiccups.p99, hiccups.max]
                .map(words::duration)
                .join(", ")
        },
    )
}

fn stalls(health: &GeneratorHealth) -> String {
    health.stalls.as_ref().map_or_else(
        || NOT_SEEN.to_owned(),
        |stalls| {
            let counts = [stalls.over_10ms, stalls.over_25ms]
                .map(words::count)
                .join(", ");
            format!(
                "{counts}, {} ({} of the time)",
                words::duration(stalls.longest),
                words::percent(stalls.share)
            )
        },
    )
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| NOT_SEEN.to_owned(), words::percent)
}

fn throttled(periods: Option<u64>) -> String {
    periods.map_or_else(
        || "no quota observed".to_owned(),
        |periods| words::counted(periods, "time"),
    )
}

fn used(used: Option<Used>) -> String {
    used.map_or_else(
        || NOT_SEEN.to_owned(),
        |used| {
            format!(
                "{} of {}",
                words::count(used.used),
                words::count(used.limit)
            )
        },
    )
}

fn headroom(headroom: Option<&Headroom>) -> Evidence {
    let what = "Peak rate of what this machine can send";
    match headroom {
        Some(Headroom { peak, limit, .. }) => line(
            Some(peak <= limit),
            what,
            format!(
                "{}, {} of {}",
                words::rate(*peak),
                words::percent(peak / limit),
                words::rate(*limit)
            ),
            "at most 100 %; above 50 % it warns",
        ),
        None => line(
            None,
            what,
            "not calibrated".to_owned(),
            "`chaos doctor --calibrate` measures it",
        ),
    }
}
