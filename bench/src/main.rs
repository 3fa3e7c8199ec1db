//! Measures `chaos` against its peers, interleaved and pinned, and writes down what was seen.
//!
//! Invariant: programs are measured from outside, as anybody could; nothing of ours is linked in.

mod awake;
mod contest;
mod interrupt;
mod machine;
mod masked;
mod noise;
mod output;
mod page;
mod proc_files;
mod process;
mod question;
mod readme;
mod section;
mod server;
mod sitting;
mod table;
mod tool;
mod toolbox;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::machine::Cores;
use crate::page::Heading;
use crate::question::Question;
use crate::sitting::{Extent, Sitting};
use crate::toolbox::{Ours, Toolbox};

/// As a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Measure chaos against its peers.
///
/// Prints a Markdown table for each question. What is not installed is named with the way to get it.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What to ask; without any, all
    #[arg(value_enum)]
    questions: Vec<Question>,
    /// Times that each tool is run; medians are taken
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,
    /// Length of each run
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Samples of the soak; a billion take minutes
    #[arg(long, value_name = "N", default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(10_000_000..=10_000_000_000))]
    soak_samples: u64,
    /// Put the tables into the README as well, between its two markers
    #[arg(long)]
    write_readme: bool,
    /// A folder in which programs are looked for before those of PATH; may be repeated
    #[arg(long, value_name = "DIR")]
    tools: Vec<PathBuf>,
    /// The `chaos` to measure, instead of the one of this repository, built now
    #[arg(long, value_name = "FILE")]
    chaos: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// Parts of a sitting that have a core of their own.
#[derive(Debug, Subcommand)]
enum Part {
    /// Be the upper bound: send and receive, nothing else
    #[command(hide = true)]
    FloorClient {
        address: SocketAddr,
        connections: usize,
        seconds: u64,
    },
    /// Be a program that valgrind can run
    #[command(hide = true)]
    Masked {
        program: OsString,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.part {
        Some(part) => part.run(),
        None => sit(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::progress(&format!("error: {error:#}"));
            let code = if interrupt::is_interrupt(&error) {
                INTERRUPTED
            } else {
                1
            };
            ExitCode::from(code)
        }
    }
}

impl Part {
    fn run(&self) -> Result<()> {
        match self {
            Self::FloorClient {
                address,
                connections,
                seconds,
            } => tool::floor::run(*address, *connections, *seconds),
            Self::Masked { program, arguments } => {
                match masked::become_program(program, arguments)? {}
            }
        }
    }
}

fn sit(arguments: &Arguments) -> Result<()> {
    let heading = Heading {
        day: Timestamp::now().to_zoned(TimeZone::UTC).date(),
        command: command(),
    };
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()?;
    let readme = repository.join("README.md");
    if arguments.write_readme {
        readme::check(&readme)?;
    }
    let cores = Cores::of_this_process()?;
    raise_descriptor_limit()?;
    let bench = std::env::current_exe().context("failed to find this program")?;
    let chaos = match &arguments.chaos {
        Some(path) => path
            .canonicalize()
            .with_context(|| format!("no program `{}`", path.display()))?,
        None => built(&repository, &bench)?,
    };
    let tools: Result<Vec<_>, _> = arguments
        .tools
        .iter()
        .map(|folder| folder.canonicalize())
        .collect();
    let tools = tools.context("a folder of `--tools` is not there")?;
    let extent = Extent {
        rounds: arguments.rounds.into(),
        seconds: arguments.seconds,
        samples: arguments.soak_samples,
    };
    let ours = Ours {
        repository,
        chaos,
        bench,
    };
    let sitting = Sitting::begin(extent, cores, Toolbox::new(&tools, ours))?;
    let mut sections = Vec::new();
    for question in Question::expand(&arguments.questions) {
        sections.push(question.answer(&sitting)?);
    }
    let page = page::markdown(&heading, &sitting, &sections);
    output::result(&page);
    let broken: Vec<_> = sections
        .iter()
        .filter(|section| section.is_broken)
        .collect();
    if let Some(first) = broken.first() {
        bail!(
            "chaos itself could not be measured, first in `{}`: see the notes above",
            first.title
        );
    }
    if arguments.write_readme {
        readme::write(&readme, &page)?;
        output::progress("written into README.md");
    }
    Ok(())
}

/// What was typed, so that somebody else can type it; folders of this machine are left out.
fn command() -> String {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let mut shown = vec!["cargo run --release -p bench --"];
    let mut skip = false;
    for word in &words {
        let is_path = ["--tools", "--chaos"].contains(&word.as_str());
        let has_path = ["--tools=", "--chaos="]
            .iter()
            .any(|start| word.starts_with(start));
        if !skip && !is_path && !has_path {
            shown.push(word);
        }
        skip = is_path;
    }
    shown.join(" ")
}

/// The optimised program of this tree, so that figures are never those of an older one.
fn built(repository: &Path, bench: &Path) -> Result<PathBuf> {
    output::progress("building chaos");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "-p", "chaos"])
        .current_dir(repository)
        .status()
        .context("failed to start cargo; name a program with `--chaos FILE`")?;
    ensure!(status.success(), "chaos could not be built: see above");
    // Beside the profile that this program was built by.
    let folder = bench.parent().and_then(Path::parent);
    let chaos = folder
        .context("this program stands in no folder")?
        .join("release/chaos");
    ensure!(
        chaos.exists(),
        "`{}` is not there; name it with `--chaos FILE`",
        chaos.display()
    );
    Ok(chaos)
}

/// Ten thousand connections need as many descriptors; programs that we start inherit the limit.
fn raise_descriptor_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(std::io::Error::from)?;
    Ok(())
}
