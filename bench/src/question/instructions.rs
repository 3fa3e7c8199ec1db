//! How many user-space instructions a request costs: what no neighbour on the machine can blur.
//!
//! Invariant: start and end of a program do not count: the figure is what a longer run adds, by the requests it adds.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::contest;
use crate::interrupt::is_interrupt;
use crate::output;
use crate::process::{Finished, Launch};
use crate::section::{Section, over};
use crate::server::{Server, null};
use crate::sitting::Sitting;
use crate::table::{Table, cell, thousands};
use crate::tool::{Ask, Tool, chaos_load, wrk};
use crate::words;

const CONNECTIONS: u32 = 64;
const TOOLS: [&Tool; 2] = [&chaos_load::TOOL, &wrk::TOOL];
/// Lengths of the two runs, in seconds.
const SHORT: u32 = 2;
const LONG: u32 = 6;
/// A program starts slowly under valgrind.
const GRACE: Duration = Duration::from_mins(2);

/// What counts.
#[derive(Debug)]
enum Counter {
    /// The processor itself.
    Perf(PathBuf),
    /// A simulated one, some fifty times slower.
    Valgrind { valgrind: PathBuf, bench: PathBuf },
}

pub(super) fn answer(sitting: &Sitting) -> Result<Section> {
    let counter = Counter::find(sitting)?;
    let server = null::start(sitting)?;
    let mut section = Section::new(
        "User-space instructions",
        format!(
            "For each request of a closed loop over {CONNECTIONS} connections, counted by {}.",
            counter.description()
        ),
    );
    let mut table = Table::new(&["", "instructions a request", "x wrk"]);
    let mut costs = Vec::new();
    for tool in TOOLS {
        match counter.cost(sitting, &server, tool) {
            Ok(cost) => costs.push((tool, Some(cost))),
            Err(error) if is_interrupt(&error) => return Err(error),
            // The counter may be what fails, so this breaks nothing.
            Err(error) => {
                section.notes.push(format!("{}: {error:#}", tool.name));
                costs.push((tool, None));
            }
        }
    }
    let of = |name: &str| costs.iter().find(|(tool, _)| tool.name == name)?.1;
    for (tool, cost) in &costs {
        let ratio = over(*cost, of(wrk::TOOL.name));
        table.row([
            tool.name.to_owned(),
            cell(*cost, thousands),
            cell(ratio, |ratio| format!("{ratio:.2}")),
        ]);
    }
    section.tables.push(table);
    Ok(section)
}

impl Counter {
    fn find(sitting: &Sitting) -> Result<Self> {
        if let Some(perf) = sitting.toolbox.find("perf") {
            let launch = Launch {
                program: perf.clone(),
                arguments: words!["stat", "-x,", "-e", "instructions:u", "true"],
                core: None,
            };
            let finished = launch.start(sitting)?.finish(GRACE)?;
            if perf_count(&finished.stderr).is_some() {
                return Ok(Self::Perf(perf));
            }
        }
        match sitting.toolbox.find("valgrind") {
            Some(valgrind) => Ok(Self::Valgrind {
                valgrind,
                bench: sitting.toolbox.find("bench").context("no `bench`")?,
            }),
            None => bail!(
                "this machine has no instruction counters (perf), and no valgrind: apt-get install valgrind"
            ),
        }
    }

    fn description(&self) -> &'static str {
        match self {
            Self::Perf(_) => "the processor (`perf stat -e instructions:u`)",
            Self::Valgrind { .. } => {
                "valgrind (callgrind), since this machine shows no counters of its processor; a program that runs \
                 fifty times slower finds fewer answers at each wake-up, which costs some more for each"
            }
        }
    }

    /// Instructions for each request.
    fn cost(&self, sitting: &Sitting, server: &Server<'_>, tool: &'static Tool) -> Result<f64> {
        let [short, long] = [SHORT, LONG].map(|seconds| self.count(sitting, server, tool, seconds));
        let (short, long) = (short?, long?);
        ensure!(
            long.1 > short.1 && long.0 > short.0,
            "the longer run did no more than the shorter one"
        );
        let cost = (long.0 - short.0) as f64 / (long.1 - short.1) as f64;
        output::progress(&format!(
            "  {}: {cost:.0} instructions a request",
            tool.name
        ));
        Ok(cost)
    }

    /// Instructions and requests of one run.
    fn count(
        &self,
        sitting: &Sitting,
        server: &Server<'_>,
        tool: &'static Tool,
        seconds: u32,
    ) -> Result<(u64, u64)> {
        let Some(program) = sitting.toolbox.find(tool.program) else {
            bail!("not installed: {}", tool.install);
        };
        contest::note_version(sitting, tool.program, (tool.version)(sitting, &program))?;
        let ask = Ask::closed(server.url(), CONNECTIONS, seconds);
        let mut launch = contest::launch(sitting, tool, &ask)?;
        self.wrap(&mut launch);
        let finished = launch.start(sitting)?.finish(GRACE)?;
        let reading = contest::read(tool, &ask, &finished)?;
        let requests = reading
            .requests
            .context("it does not say how many requests it sent")?;
        let instructions = self.counted(&finished).context("nothing was counted")?;
        Ok((instructions, requests))
    }

    fn wrap(&self, launch: &mut Launch) {
        let mut arguments = match self {
            Self::Perf(_) => words!["stat", "-x,", "-e", "instructions:u"],
            Self::Valgrind { valgrind, .. } => words![
                "masked",
                valgrind.display(),
                "--tool=callgrind",
                "--callgrind-out-file=/dev/null"
            ],
        };
        arguments.push(OsString::from(&launch.program));
        arguments.append(&mut launch.arguments);
        launch.arguments = arguments;
        launch.program = match self {
            Self::Perf(perf) => perf.clone(),
            Self::Valgrind { bench, .. } => bench.clone(),
        };
    }

    fn counted(&self, finished: &Finished) -> Option<u64> {
        match self {
            Self::Perf(_) => perf_count(&finished.stderr),
            Self::Valgrind { .. } => valgrind_count(&finished.stderr),
        }
    }
}

/// `22103,,instructions:u,1004,100.00,,`, or `<not supported>` in the first field.
fn perf_count(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains(",instructions"))?;
    line.split(',').next()?.parse().ok()
}

/// `==4121== Collected : 123456789`.
fn valgrind_count(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(':')
        .next()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_no_count_is_none() {
        assert_eq!(
            perf_count("x\n22103,,instructions:u,1004,100.00,,\n"),
            Some(22_103)
        );
        assert_eq!(
            perf_count("<not supported>,,instructions:u,0,100.00,,\n"),
            None
        );
        assert_eq!(
            valgrind_count("==1== Events    : Ir\n==1== Collected : 5021\n"),
            Some(5021)
        );
        assert_eq!(valgrind_count("==1== nothing"), None);
    }

    #[test]
    fn a_counter_stands_before_the_command() {
        let mut launch = Launch {
            program: "/usr/bin/wrk".into(),
            arguments: words!["-t1"],
            core: Some(0),
        };
        Counter::Perf("/usr/bin/perf".into()).wrap(&mut launch);
        assert_eq!(
            launch.shown(),
            "perf stat -x, -e instructions:u /usr/bin/wrk -t1"
        );
    }
}
