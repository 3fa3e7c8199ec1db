//! The commands, one file each.

mod cluster;
mod deploy;
mod doctor;
mod explain;
mod game_day;
mod init;
mod internal;
mod list;
pub(crate) mod load;
mod plan;
mod recover;
mod report;
mod run;
mod schema;
#[cfg(feature = "store")]
mod store;
mod validate;

use chaos_plan::Plan;
use chaos_plan::check::{Options, Outcome, Sources, examine};
use chaos_plan::plan::PlatformName;
use chaos_record::exit;
use clap::CommandFactory;

use crate::cli::{Cli, Command, Internal, Platform, ScenarioArgs};
use crate::library;
use crate::output::{Failure, Output};

/// Runs the command; the number is the exit code.
pub(crate) fn dispatch(cli: Cli, output: &Output) -> Result<u8, Failure> {
    match cli.command {
        Command::Run(args) => run::run(&args, output),
        Command::Load(args) => load::load(&args, output),
        Command::Plan(args) => plan::plan(&args, output),
        Command::Validate(args) => Ok(validate::validate(&args, output)),
        Command::List(args) => Ok(list::list(&args, output)),
        Command::Report(args) => report::report(&args, output),
        Command::Recover(args) => recover::recover(&args, output),
        Command::Deploy(args) => deploy::deploy(&args, output),
        Command::Teardown(args) => deploy::teardown(&args, output),
        Command::Rbac(args) => cluster::rbac(args, output),
        Command::Note(args) => game_day::note(&args, output),
        Command::Halt(args) => game_day::halt(&args, output),
        Command::Go(args) => game_day::go(&args, output),
        Command::Explain(args) => explain::explain(&args, output),
        Command::Init(args) => init::init(&args, output),
        Command::Doctor(args) => doctor::doctor(&args, output),
        Command::Schema(args) => Ok(schema::schema(&args, output)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chaos", &mut script);
            output.give(&String::from_utf8_lossy(&script));
            Ok(exit::HELD.code)
        }
        Command::Guardian { folder } => internal::guardian(&folder),
        Command::Proxy { listen, to } => internal::proxy(listen, &to),
        Command::Exec { parent, command } => internal::exec(parent, command),
        Command::Janitor { run } => internal::janitor(&run),
        Command::Internal(Internal::NullServer { listen }) => internal::null_server(listen, output),
        #[cfg(feature = "store")]
        Command::Store { role, words } => store::store(&role, words),
    }
}

/// One thread does all of a command but the load, whose workers have threads of their own.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::environment(format!("start a runtime: {error}")))
}

/// The plan of a scenario, or its problems as a failure; warnings are shown either way.
fn plan_of(args: &ScenarioArgs, output: &Output) -> Result<Plan, Failure> {
    let Outcome { plan, diagnostics } = examined(args)?;
    let Some(plan) = plan else {
        return Err(Failure::new(
            exit::BAD_INPUT,
            diagnostics.render(output.color),
        ));
    };
    if !diagnostics.problems.is_empty() {
        output.tell(diagnostics.render(output.color).trim_end());
    }
    Ok(plan)
}

/// Checks a scenario and all it refers to.
fn examined(args: &ScenarioArgs) -> Result<Outcome, Failure> {
    let (scenario, library) = library::scenario(&args.scenario)?;
    let options = Options {
        platform: args.platform.map(|platform| match platform {
            Platform::Local => PlatformName::Local,
            Platform::Compose => PlatformName::Compose,
            Platform::Kubernetes => PlatformName::Kubernetes,
        }),
        seed: args.seed,
        time_scale: args.time_scale,
        rate_scale: args.rate_scale,
        overrides: args.overrides.clone(),
    };
    Ok(examine(
        &Sources {
            scenario,
            library: &library,
        },
        &options,
    ))
}
