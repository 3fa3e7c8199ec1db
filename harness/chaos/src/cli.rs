//! The command line. Every command opens its help with an example.

pub(crate) mod cluster;
pub(crate) mod load;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes, the first that applies:
    6  clean-up not verified      8  integrity violated      70  a bug in chaos
    5  environment                4  aborted by a limit      130, 143  stopped by you
    1  a claim did not hold       3  inconclusive            7  slower than the baseline
    0  every claim held           2  bad input, nothing was touched";

/// Does the shop keep its promises while things break?
///
/// Deploys a store, drives staged load at it, injects faults while the load runs, and judges what
/// shoppers felt.
#[derive(Debug, Parser)]
#[command(name = "chaos", version, after_help = EXIT_CODES, before_help = "Example: chaos run spike-with-podkill", max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Say less: only the verdict.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Colours; `auto` uses them on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario: deploy, load, faults, undo, verdict, report.
    #[command(before_help = "Example: chaos run spike-with-podkill --set target.replicas.api=4", after_help = EXIT_CODES)]
    Run(RunArgs),
    /// Send one request again and again, and say how it was answered. Deploys and breaks nothing.
    #[command(before_help = "Example: chaos load http://127.0.0.1:8080/ --rate 500/s --expect 'p95<=200ms'", after_help = load::EXAMPLES)]
    Load(Box<load::LoadArgs>),
    /// Show what a run would do: timeline, targets, acts and their undo. Touches nothing.
    #[command(before_help = "Example: chaos plan spike-with-podkill")]
    Plan(PlanArgs),
    /// Check scenario files and name every problem. Touches nothing.
    #[command(before_help = "Example: chaos validate scenarios/*.yaml")]
    Validate(ValidateArgs),
    /// List scenarios, faults or runs.
    #[command(before_help = "Example: chaos list scenarios")]
    List(ListArgs),
    /// Make every output of a run again from its record.
    #[command(
        before_help = "Example: chaos report reports/runs/20261121-101500-spike-with-podkill-3f9a1c"
    )]
    Report(ReportArgs),
    /// Finish what a killed run left: undo its faults, end its processes, remove its folders.
    #[command(before_help = "Example: chaos recover")]
    Recover(RecoverArgs),
    /// Deploy a scenario's target and keep it up, without load, until Ctrl-C or `chaos teardown`.
    #[command(before_help = "Example: chaos deploy spike-with-podkill --detach")]
    Deploy(DeployArgs),
    /// End what `chaos deploy --detach` left running; returns when nothing of it is left.
    #[command(before_help = "Example: chaos teardown")]
    Teardown(TeardownArgs),
    /// Print the least Role that a run on Kubernetes needs. Asks no cluster.
    #[command(
        before_help = "Example: chaos rbac spike-with-podkill --namespace shop | kubectl apply -f -"
    )]
    Rbac(cluster::RbacArgs),
    /// Stamp the timeline of a live run with something seen, surprising, decided or to be done.
    #[command(before_help = "Example: chaos note latest \"carts are slow\" --kind surprise")]
    Note(NoteArgs),
    /// Stop a live run from a second terminal: load off, faults undone, verdict, report.
    #[command(before_help = "Example: chaos halt")]
    Halt(HaltArgs),
    /// Let the fault begin that waits for its key (`when: key`).
    #[command(before_help = "Example: chaos go latest")]
    Go(GoArgs),
    /// Tell what a code means: an exit code or a diagnostic's; without one, list them.
    #[command(before_help = "Example: chaos explain inconclusive")]
    Explain(ExplainArgs),
    /// Make a scenario, a target and a journey to begin with. Overwrites nothing.
    #[command(before_help = "Example: chaos init my-shop")]
    Init(InitArgs),
    /// Look whether this machine has what a run needs, and say what to do where it has not.
    #[command(before_help = "Example: chaos doctor")]
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the files.
    #[command(before_help = "Example: chaos schema scenario > scenario.schema.json")]
    Schema(SchemaArgs),
    /// Print a completion script for your shell.
    #[command(
        before_help = "Example: chaos completions bash > ~/.local/share/bash-completion/completions/chaos"
    )]
    Completions { shell: clap_complete::Shell },
    /// Undo faults if the harness dies (started by `run`).
    #[command(hide = true)]
    Guardian { folder: PathBuf },
    /// Carry traffic between services (started by `run`).
    #[command(hide = true)]
    Proxy {
        /// Instead: carry what arrives here to `--to`, until ended; to measure the proxy alone.
        #[arg(long, requires = "to")]
        listen: Option<SocketAddr>,
        #[arg(long, requires = "listen")]
        to: Vec<SocketAddr>,
    },
    /// Take a run's faults back from inside the cluster if its harness dies (started by `run`, in a pod).
    #[command(hide = true)]
    Janitor { run: String },
    /// Start a program that ends with its parent (started by `run`).
    #[command(hide = true)]
    Exec {
        #[arg(long)]
        parent: u32,
        #[arg(last = true, required = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// What `chaos` is beside a harness, for measuring it.
    #[command(hide = true, subcommand)]
    Internal(Internal),
    /// Be one role of the bundled store, or `part NAME`: a server it uses (started by `run`); `seed` makes
    /// products for it.
    #[cfg(feature = "store")]
    #[command(hide = true)]
    Store {
        role: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Internal {
    /// Answer every request with the same 13 bytes of JSON, until killed. The first line says where.
    NullServer {
        /// Where to listen; port 0 lets the system choose.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
}

impl Command {
    /// Whether a run starts this by itself.
    pub(crate) fn is_internal(&self) -> bool {
        #[cfg(feature = "store")]
        if let Self::Store { .. } = self {
            return true;
        }
        matches!(
            self,
            Self::Guardian { .. } | Self::Janitor { .. } | Self::Proxy { .. } | Self::Exec { .. }
        )
    }
}

/// Where scenario text comes from and what is changed in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScenarioArgs {
    /// A bundled scenario's name, or the path of a YAML file.
    pub scenario: String,
    /// Where the target runs; otherwise what the scenario says, otherwise `local`.
    #[arg(long, value_enum)]
    pub platform: Option<Platform>,
    /// Everything drawn by chance comes from this number.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Change one value of the scenario, such as `target.replicas.api=4`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub overrides: Vec<(String, String)>,
    /// Stretch or shrink stage lengths and offsets; the verdict then says "scaled".
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    pub time_scale: f64,
    /// Multiply every rate; the verdict then says "scaled".
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    pub rate_scale: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    Local,
    Compose,
    Kubernetes,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    #[command(flatten)]
    pub cluster: cluster::ClusterArgs,
    /// Folder under which the run's own folder is made.
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    pub out: PathBuf,
    /// Print every event as one JSON value a line on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Print the resolved plan as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ValidateArgs {
    /// Scenario files, or names of bundled scenarios.
    #[arg(required = true)]
    pub scenarios: Vec<String>,
    /// Print the problems as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    #[arg(value_enum, default_value_t = Listed::Scenarios)]
    pub what: Listed,
    /// Folder that holds the runs.
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    pub out: PathBuf,
    /// Print JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    Scenarios,
    Faults,
    Runs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// The run's folder, or its `record.jsonl`.
    pub run: PathBuf,
    /// Folder to write to; otherwise the run's own.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print `result.json` on standard output and write nothing.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RecoverArgs {
    /// Only this run; otherwise every unfinished one.
    pub run: Option<String>,
    /// Take back what runs of any machine left in a namespace of this Kubernetes context.
    #[arg(long, value_name = "NAME", requires = "namespace")]
    pub context: Option<String>,
    /// The namespace.
    #[arg(long, value_name = "NAME", requires = "context")]
    pub namespace: Option<String>,
    /// The kubeconfig; otherwise what `kubectl` reads.
    #[arg(long, value_name = "FILE", requires = "context")]
    pub kubeconfig: Option<PathBuf>,
    /// Print what was done as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    #[command(flatten)]
    pub cluster: cluster::ClusterArgs,
    /// Folder under which its own folder, with the logs, is made.
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    pub out: PathBuf,
    /// Return once it is up, and leave it running in the background.
    #[arg(long)]
    pub detach: bool,
    /// The name that was chosen for it (given by `--detach`).
    #[arg(long, hide = true)]
    pub run_name: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TeardownArgs {
    /// The deployment: its name, a part of it, or `latest`; not needed if only one is alive.
    pub run: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct NoteArgs {
    /// The run: its name, a part of it, or `latest`.
    pub run: String,
    /// What is to be remembered, 1 to 2,000 characters.
    pub text: String,
    #[arg(long, value_enum, default_value_t = Kind::Observation)]
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Something seen.
    Observation,
    /// Something nobody expected.
    Surprise,
    /// Something decided during the run.
    Decision,
    /// Something to be done afterwards.
    Action,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct HaltArgs {
    /// The run: its name, a part of it, or `latest`; not needed if only one is alive.
    pub run: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct GoArgs {
    /// The run: its name, a part of it, or `latest`; not needed if only one is alive.
    pub run: Option<String>,
    /// The fault; not needed if only one waits.
    #[arg(long)]
    pub fault: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArgs {
    /// `3`, `inconclusive` or `E201`.
    pub code: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct InitArgs {
    /// Name of the scenario.
    pub name: String,
    /// Folder to write to.
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// Folder under which runs would be written.
    #[arg(long, value_name = "DIR", default_value = "reports/runs")]
    pub out: PathBuf,
    /// Measure what this machine's load generator can do (some 15 s) and keep it: runs are compared with it.
    #[arg(long)]
    pub calibrate: bool,
    /// Look at this cluster too: a context of the kubeconfig.
    #[arg(
        long,
        value_name = "NAME",
        env = "CHAOS_KUBE_CONTEXT",
        help_heading = "Kubernetes"
    )]
    pub context: Option<String>,
    /// And whether a run could begin in this namespace.
    #[arg(
        long,
        value_name = "NAME",
        requires = "context",
        help_heading = "Kubernetes"
    )]
    pub namespace: Option<String>,
    /// The kubeconfig; otherwise what `kubectl` reads.
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes")]
    pub kubeconfig: Option<PathBuf>,
    /// Print JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SchemaArgs {
    #[arg(value_enum, default_value_t = SchemaOf::Scenario)]
    pub of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    Scenario,
    Target,
    Journey,
    /// `result.json`.
    Result,
    /// One line of `run --json`.
    Event,
    /// What `load --json` prints.
    Load,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write key=value, such as target.replicas.api=4".to_owned()),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && (0.001..=1_000.0).contains(&factor) => Ok(factor),
        _ => Err("write a number from 0.001 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_opens_with_an_example() {
        for command in Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let example = command
                .get_before_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                example.starts_with("Example: chaos "),
                "{}",
                command.get_name()
            );
        }
    }
}
