//! Runs the entrants of a table in turns and keeps what each said.
//!
//! Invariant: every entrant is run once in each round, one at a time, and the one that begins changes from round to
//! round, so that a slow drift of the machine meets all alike.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::interrupt::is_interrupt;
use crate::noise::Look;
use crate::output;
use crate::process::{Finished, Launch};
use crate::server::Server;
use crate::sitting::Sitting;
use crate::tool::{Ask, Reading, Tool};

/// Longer than any tool takes for start, connections and summary, besides its load.
const GRACE: Duration = Duration::from_secs(30);

/// A row of a table to be.
#[derive(Debug)]
pub(crate) struct Entrant<'s> {
    pub label: String,
    pub tool: &'static Tool,
    pub ask: Ask,
    /// What it is sent to first, then what stands behind that; their time is not taken for somebody else's.
    pub servers: Vec<&'s Server<'s>>,
}

/// What became of an entrant.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub label: String,
    /// Whether it is what this bench is for.
    pub is_ours: bool,
    pub readings: Vec<Reading>,
    /// Why there is nothing, or less than there should be.
    pub trouble: Option<String>,
}

impl Outcome {
    /// The median of what the readings have of this; `None` if one of them does not have it.
    pub(crate) fn median(&self, of: impl Fn(&Reading) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> = self.readings.iter().map(of).collect();
        median(&values?)
    }

    pub(crate) fn rate(&self) -> Option<f64> {
        self.median(|reading| Some(reading.requests_per_s))
    }

    /// The median in milliseconds.
    pub(crate) fn milliseconds(&self, of: impl Fn(&Reading) -> Option<Duration>) -> Option<f64> {
        self.median(|reading| of(reading).map(|time| time.as_secs_f64() * 1e3))
    }

    /// Of all rounds together; `None` if there was none.
    pub(crate) fn failures(&self) -> Option<f64> {
        let failures = self.readings.iter().map(|reading| reading.failures);
        (!self.readings.is_empty()).then(|| failures.sum::<u64>() as f64)
    }
}

/// Lets everybody run, round by round.
pub(crate) fn hold(sitting: &Sitting, entrants: &[Entrant<'_>]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(entrants.len());
    for entrant in entrants {
        outcomes.push(prepared(sitting, entrant)?);
    }
    for round in 0..sitting.extent.rounds {
        for turn in order(round, entrants.len()) {
            let (entrant, outcome) = (&entrants[turn], &mut outcomes[turn]);
            if outcome.trouble.is_some() {
                continue;
            }
            match once(sitting, entrant) {
                Ok(reading) => {
                    progress(sitting, round, entrant, &reading);
                    outcome.readings.push(reading);
                }
                Err(error) if is_interrupt(&error) => return Err(error),
                Err(error) => {
                    output::progress(&format!("  {}: {error:#}", entrant.label));
                    outcome.trouble = Some(sitting.without_folder(&format!("{error:#}")));
                }
            }
        }
    }
    Ok(outcomes)
}

/// Who runs when in a round.
fn order(round: usize, entrants: usize) -> impl Iterator<Item = usize> {
    (0..entrants).map(move |turn| (turn + round) % entrants)
}

fn prepared(sitting: &Sitting, entrant: &Entrant<'_>) -> Result<Outcome> {
    let tool = entrant.tool;
    let mut outcome = Outcome {
        label: entrant.label.clone(),
        is_ours: tool.program == "chaos",
        readings: Vec::new(),
        trouble: None,
    };
    if tool.program == "bench" {
        return Ok(outcome);
    }
    match sitting.toolbox.find(tool.program) {
        None => outcome.trouble = Some(format!("not installed: {}", tool.install)),
        Some(program) => note_version(sitting, tool.program, (tool.version)(sitting, &program))?,
    }
    Ok(outcome)
}

/// Which version will be measured, for the page.
pub(crate) fn note_version(
    sitting: &Sitting,
    name: &'static str,
    version: Result<String>,
) -> Result<()> {
    let version = match version {
        Ok(version) => version,
        Err(error) if is_interrupt(&error) => return Err(error),
        Err(_) => "of unknown version".to_owned(),
    };
    sitting.note_version(name, version);
    Ok(())
}

/// One run of one entrant, on the generator's core.
pub(crate) fn once(sitting: &Sitting, entrant: &Entrant<'_>) -> Result<Reading> {
    let (tool, ask) = (entrant.tool, &entrant.ask);
    for server in &entrant.servers {
        server.answers()?;
    }
    let launch = launch(sitting, tool, ask)?;
    let shown = launch.shown();
    let mut ours: Vec<u32> = entrant.servers.iter().map(|server| server.pid()).collect();
    ours.push(std::process::id());
    let front_cpu = || entrant.servers.first().map(|front| front.cpu()).transpose();
    let front_before = front_cpu()?;
    let before = Look::now(&ours)?;
    let running = launch.start(sitting)?;
    ours.push(running.pid());
    let finished = running.finish(Duration::from_secs(ask.seconds.into()) + GRACE)?;
    let noise = before.until(&Look::now(&ours)?);
    sitting.noise.borrow_mut().add(&noise);
    let mut reading = read(tool, ask, &finished).with_context(|| format!("`{shown}`"))?;
    let used = front_cpu()?
        .zip(front_before)
        .map(|(after, before)| after.saturating_sub(before));
    reading.front_cpu_per_request = used.map(|used| used.div_f64(requests(&reading, ask)));
    Ok(reading)
}

pub(crate) fn launch(sitting: &Sitting, tool: &Tool, ask: &Ask) -> Result<Launch> {
    let program = sitting.toolbox.find(tool.program);
    Ok(Launch {
        program: program.with_context(|| format!("`{}` is gone", tool.program))?,
        arguments: (tool.arguments)(sitting, ask)?,
        core: Some(sitting.cores.generator),
    })
}

/// What a tool that has ended makes known.
pub(crate) fn read(tool: &Tool, ask: &Ask, finished: &Finished) -> Result<Reading> {
    let accepted = |code: i32| code == 0 || tool.also_accepts.contains(&code);
    ensure!(
        finished.code.is_some_and(accepted),
        "it ended with {:?}: {}",
        finished.code,
        finished.last_words()
    );
    let mut reading = (tool.read)(finished, ask)?;
    ensure!(
        reading.requests_per_s > 0.0,
        "it says that nothing was answered"
    );
    reading.cpu_per_request = Some(finished.cpu.div_f64(requests(&reading, ask)));
    Ok(reading)
}

fn requests(reading: &Reading, ask: &Ask) -> f64 {
    let said = reading.requests.map(|count| count as f64);
    said.unwrap_or(reading.requests_per_s * f64::from(ask.seconds))
        .max(1.0)
}

fn progress(sitting: &Sitting, round: usize, entrant: &Entrant<'_>, reading: &Reading) {
    output::progress(&format!(
        "  round {} of {}: {}: {:.0} requests/s",
        round + 1,
        sitting.extent.rounds,
        entrant.label,
        reading.requests_per_s
    ));
}

/// Of an even number the mean of the middle two; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[middle - 1], upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_runs_once_a_round_and_the_first_changes() {
        let rounds: Vec<Vec<usize>> = (0..3).map(|round| order(round, 3).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }

    #[test]
    fn the_median_is_that_of_the_sorted_values() {
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn an_ending_that_was_not_agreed_on_is_an_error() {
        let finished = Finished {
            code: Some(7),
            stderr: "no such flag".to_owned(),
            ..Finished::default()
        };
        let ask = Ask::closed(String::new(), 1, 1);
        let error = read(&crate::tool::wrk::TOOL, &ask, &finished).unwrap_err();
        assert!(error.to_string().contains("no such flag"), "{error}");
    }
}
