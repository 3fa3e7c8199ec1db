//! The flags of `chaos load`.
//!
//! Invariant: what has a unit is refused here without one; ranges and names are checked by the plan.

use std::path::PathBuf;
use std::time::Duration;

use chaos_plan::units::{Rate, duration_to_text, parse_duration};
use clap::{Args, ValueEnum};

use crate::cmd::load::expect::Expectation;

pub(super) const EXAMPLES: &str = "\
Examples:
    chaos load http://127.0.0.1:8080/                            closed: 64 connections for 10 s
    chaos load URL -c 100 -d 30s                                 as wrk, hey or oha would
    chaos load URL -c 100 -n 100000                              until so many requests were sent
    chaos load URL --rate 5000/s --warmup 2s                     open: 5,000 a second, whatever the answers
    chaos load URL --rate 500/s --expect 'p95<=200ms' --expect 'errors<=0.1%'
    chaos load URL -X POST -H 'content-type: application/json' --body @order.json
    chaos load https://127.0.0.1:8443/ --http2 -c 16 -m 8 --insecure
    chaos load URL --json --latency-log run.hlog > result.json

Exit codes:
    0  answers came, and everything expected held    1  an expectation did not hold
    3  inconclusive: the generator was too slow, or too few requests
    2  bad input, nothing was sent    5  nothing there, or no answer at all    130, 143  stopped by you
docs/load.md tells what the numbers mean.";

/// One request, again and again.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// `http://HOST:PORT/PATH?QUERY` or `https://...`.
    pub url: String,
    /// Connections, opened beforehand; 1 to 10,000.
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// How long it is measured.
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub duration: Duration,
    /// End after this many requests instead of --duration; in the closed model within 24 h.
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub requests: Option<u64>,
    /// Open model: so many requests are due, such as `5000/s`, whatever the answers. Without it the
    /// model is closed: each connection sends its next request when it has its answer.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate: Option<Rate>,
    /// With --rate: how arrivals are spread.
    #[arg(long, value_enum, default_value_t = Spread::Even, requires = "rate")]
    pub arrivals: Spread,
    /// Threads, 1 to 64; otherwise one for each core.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: Option<u8>,
    /// GET, or POST with --body.
    #[arg(short = 'X', long, value_enum, ignore_case = true)]
    pub method: Option<Method>,
    /// A header of every request. May be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The body of every request, at most 64 KiB of text, or `@FILE`.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub body: Option<String>,
    /// Version of HTTP; `auto` is what both sides prefer over https, and 1 over http.
    #[arg(long, value_enum, default_value_t = Http::Auto)]
    pub http: Http,
    /// Short for `--http 2`.
    #[arg(long, conflicts_with = "http")]
    pub http2: bool,
    /// With HTTP/2: requests at once on one connection, 1 to 1,000. In the closed model otherwise 1.
    #[arg(short = 'm', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub streams: Option<u32>,
    /// Send the header `traceparent` (W3C trace context) with each request, each a trace of its own.
    #[arg(long)]
    pub traceparent: bool,
    /// Do not check the certificate of an https address.
    #[arg(long)]
    pub insecure: bool,
    /// Longest time for one request, from when it was written.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub timeout: Duration,
    /// Longest time for one request, from when it was due; otherwise twice the timeout.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub patience: Option<Duration>,
    /// The same load before it, which is not counted; rounded up to whole seconds.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub warmup: Option<Duration>,
    /// What must be so: `p50|p90|p95|p99|p99.9<=TIME`, `errors<=SHARE%`, `rate>=N/s`,
    /// `availability>=SHARE%`. May be repeated.
    #[arg(short, long, value_name = "CLAIM", value_parser = Expectation::parse)]
    pub expect: Vec<Expectation>,
    /// Keep all cores of this machine from sleeping meanwhile, for what is to be told to some
    /// microseconds. Needs root; ends with the load, also when that is killed.
    #[arg(long)]
    pub keep_awake: bool,
    /// Write the times of each second as an HDR interval log.
    #[arg(long, value_name = "FILE")]
    pub latency_log: Option<PathBuf>,
    /// Print the result as one JSON document on standard output.
    #[arg(long)]
    pub json: bool,
    /// Everything drawn by chance comes from this number.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spread {
    /// One after the other at equal distances.
    Even,
    /// By chance, as independent people come.
    Poisson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Http {
    Auto,
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
}

fn time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| match text.parse::<f64>() {
        Ok(_) => format!("it has no unit: write `{text}s`"),
        Err(_) => error.to_string(),
    })?;
    if time.is_zero() {
        return Err(format!(
            "it must be longer than zero, such as `{}`",
            duration_to_text(Duration::from_secs(10))
        ));
    }
    Ok(time)
}

fn rate(text: &str) -> Result<Rate, String> {
    let rate = Rate::parse(text).map_err(|error| match text.parse::<f64>() {
        Ok(_) => format!("it has no unit: write `{text}/s`"),
        Err(_) => error.to_string(),
    })?;
    if rate.per_second() > 0.0 {
        Ok(rate)
    } else {
        Err("it must be more than nothing, such as `500/s`".to_owned())
    }
}
