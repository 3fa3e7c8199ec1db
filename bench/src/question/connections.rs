//! What ten thousand open connections cost.
//!
//! Invariant: memory is the kernel's own high-water mark of the process, not what a tool says of itself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::contest::{self, median};
use crate::interrupt::is_interrupt;
use crate::output;
use crate::proc_files;
use crate::section::{Goal, Section};
use crate::server::{Server, null};
use crate::sitting::Sitting;
use crate::table::{Table, cell, milliseconds, thousands};
use crate::tool::{Ask, Reading, Tool, chaos_load, oha};

const CONNECTIONS: u32 = 10_000;
const RATE: u32 = 2_000;
const TOOLS: [&Tool; 2] = [&chaos_load::TOOL, &oha::TOOL];
/// Long enough that every connection is used, whatever the sitting's length.
const SECONDS_MIN: u32 = 8;
/// The figures hardly vary, and each run takes long.
const ROUNDS_MAX: usize = 1;
/// The kernel counts everybody's sockets, and a few of others may close meanwhile.
const OTHERS: u64 = 20;
/// How exactly it is known when the last connection was there.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const GRACE: Duration = Duration::from_mins(1);

/// What one run showed from outside.
#[derive(Debug)]
struct Seen {
    reading: Reading,
    megabytes: f64,
    /// `None`: not all were there at any time.
    established_s: Option<f64>,
    most: u64,
}

pub(super) fn answer(sitting: &Sitting) -> Result<Section> {
    let server = null::start(sitting)?;
    let mut section = Section::new(
        "Ten thousand connections",
        format!(
            "{} connections kept open at {} requests/s in all. Memory is the high-water mark of the resident set; \
             connections are counted by the kernel, every {} ms.",
            thousands(CONNECTIONS.into()),
            thousands(RATE.into()),
            LOOK_EVERY.as_millis()
        ),
    );
    let mut table = Table::new(&[
        "",
        "resident, MB",
        "KiB a connection",
        "all open after, s",
        "most open",
        "response p99, ms",
        "achieved/offered",
    ]);
    for tool in TOOLS {
        match rounds(sitting, &server, tool) {
            Ok(seen) => {
                table.row(row(tool, &seen));
                if tool.name == chaos_load::TOOL.name {
                    section.goals = goals(&seen);
                }
            }
            Err(error) if is_interrupt(&error) => return Err(error),
            Err(error) => {
                table.row([tool.name.to_owned()]);
                section.is_broken |= tool.name == chaos_load::TOOL.name;
                section.notes.push(format!("{}: {error:#}", tool.name));
            }
        }
    }
    section.tables.push(table);
    Ok(section)
}

fn rounds(sitting: &Sitting, server: &Server<'_>, tool: &'static Tool) -> Result<Vec<Seen>> {
    let rounds = sitting.extent.rounds.min(ROUNDS_MAX);
    (0..rounds).map(|_| once(sitting, server, tool)).collect()
}

fn once(sitting: &Sitting, server: &Server<'_>, tool: &'static Tool) -> Result<Seen> {
    let Some(program) = sitting.toolbox.find(tool.program) else {
        bail!("not installed: {}", tool.install);
    };
    contest::note_version(sitting, tool.program, (tool.version)(sitting, &program))?;
    server.answers()?;
    let seconds = sitting.extent.seconds.max(SECONDS_MIN);
    let ask = Ask::closed(server.url(), CONNECTIONS, seconds).at(RATE);
    let before = proc_files::tcp_sockets().context("the kernel does not count sockets here")?;
    let running = contest::launch(sitting, tool, &ask)?.start(sitting)?;
    let began = Instant::now();
    let (mut peak, mut most, mut established) = (0, 0, None);
    while !running.exited_within(LOOK_EVERY)? {
        peak = proc_files::memory_peak(running.pid()).unwrap_or(peak);
        // Both ends of a connection are here.
        let open = proc_files::tcp_sockets()
            .unwrap_or(before)
            .saturating_sub(before)
            / 2;
        most = most.max(open);
        if established.is_none() && open + OTHERS >= u64::from(CONNECTIONS) {
            established = Some(began.elapsed().as_secs_f64());
        }
    }
    let finished = running.finish(GRACE)?;
    let megabytes = peak as f64 / 1e6;
    output::progress(&format!(
        "  {}: {megabytes:.0} MB, {most} connections",
        tool.name
    ));
    Ok(Seen {
        reading: contest::read(tool, &ask, &finished)?,
        megabytes,
        established_s: established,
        most,
    })
}

fn of(seen: &[Seen], what: impl Fn(&Seen) -> Option<f64>) -> Option<f64> {
    let values: Option<Vec<f64>> = seen.iter().map(what).collect();
    median(&values?)
}

fn row(tool: &Tool, seen: &[Seen]) -> [String; 7] {
    let megabytes = of(seen, |one| Some(one.megabytes));
    let p99 = |one: &Seen| Some(one.reading.p99?.as_secs_f64() * 1e3);
    [
        tool.name.to_owned(),
        cell(megabytes, |value| format!("{value:.0}")),
        cell(megabytes, |value| {
            format!("{:.1}", value * 1e6 / 1024.0 / f64::from(CONNECTIONS))
        }),
        cell(of(seen, |one| one.established_s), |value| {
            format!("{value:.2}")
        }),
        cell(of(seen, |one| Some(one.most as f64)), thousands),
        milliseconds(of(seen, p99)),
        cell(of(seen, |one| one.reading.achieved), |share| {
            format!("{share:.4}")
        }),
    ]
}

/// Memory counts only if all connections were there: fewer are cheaper.
fn goals(seen: &[Seen]) -> Vec<Goal> {
    let megabytes = of(seen, |one| one.established_s.map(|_| one.megabytes));
    let established = of(seen, |one| one.established_s);
    vec![
        Goal::at_most("resident memory in MB", 150.0, megabytes),
        Goal::at_most("seconds until all are open", 5.0, established),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(established_s: Option<f64>) -> Seen {
        Seen {
            reading: Reading::default(),
            megabytes: 90.0,
            established_s,
            most: 10_000,
        }
    }

    #[test]
    fn memory_without_all_connections_meets_no_goal() {
        let goal = |seen: &[Seen]| {
            Section {
                goals: goals(seen),
                ..Section::default()
            }
            .markdown()
        };
        assert!(goal(&[seen(Some(2.0)), seen(Some(1.0))]).contains("met: resident memory in MB"));
        assert!(
            goal(&[seen(Some(2.0)), seen(None)]).contains("not measured: resident memory in MB")
        );
    }
}
