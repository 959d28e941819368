//! The command line: one file a subcommand.

mod cluster_serve;
mod config_check;
mod fault;
mod metrics;
mod node;
mod remote;
mod report;
mod run;
mod scenario;
mod userdata;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::settings::{ENVIRONMENT_PREFIX, Invalid, Settings, Sources};

/// Exit code for settings and other input that cannot be used; clap uses the same for wrong arguments.
const INVALID_SETTINGS: u8 = 2;

/// Simulates bare-metal servers: their BMCs (Redfish) and the Ironic agents that run on them.
#[derive(Debug, Parser)]
#[command(name = "metalsim", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the simulation in the foreground until SIGTERM or SIGINT
    Run(SettingsArgs),
    /// Simulated Kubernetes clusters
    #[command(subcommand)]
    Cluster(cluster_serve::ClusterCommand),
    /// Lists and changes the faults of a metalsim that runs
    #[command(subcommand)]
    Fault(fault::FaultCommand),
    /// Lists and changes the servers of a metalsim that runs
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Checks the settings or shows them
    #[command(subcommand)]
    Config(config_check::ConfigCommand),
    /// Checks and explains scenarios: fleets with a timeline of faults and with expectations
    #[command(subcommand)]
    Scenario(scenario::ScenarioCommand),
    /// Renders a run's report again, from its JSON form
    Report(report::ReportArgs),
    /// Lists the metrics that are exposed
    Metrics(metrics::MetricsArgs),
    /// Makes a machine's user data as Cluster API's kubeadm bootstrap provider does
    #[command(name = "userdata")]
    UserData(Box<userdata::UserDataArgs>),
}

/// Where the settings come from.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Settings file in YAML, TOML or JSON by its ending; later files win
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "METALSIM_CONFIG",
        value_delimiter = ','
    )]
    config: Vec<PathBuf>,
    /// One setting, such as redfish.listen=127.0.0.1:8000; wins over files and environment
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Number of nodes of the fleet's first entry
    #[arg(long, value_name = "NODES")]
    count: Option<u64>,
    /// Simulated seconds in a real one
    #[arg(long)]
    speed: Option<String>,
    /// Root of all chance
    #[arg(long)]
    seed: Option<u64>,
    /// Log filter: a level, or target=level pairs
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
}

impl SettingsArgs {
    /// The layers, with the settings found among `variables`.
    #[must_use]
    pub fn sources(&self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Sources {
        let environment = variables
            .into_iter()
            // What is no Unicode cannot be a setting.
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        let own = [
            ("fleet[0].count", self.count.map(|count| count.to_string())),
            ("speed", self.speed.clone()),
            ("seed", self.seed.map(|seed| seed.to_string())),
            ("log.level", self.log_level.clone()),
        ];
        let mut flags = self.set.clone();
        flags.extend(
            own.into_iter()
                .filter_map(|(key, value)| Some((key.to_owned(), value?))),
        );
        Sources {
            files: self.config.clone(),
            scenario: None,
            environment,
            flags,
        }
    }

    fn load(&self) -> Result<Settings, Invalid> {
        Settings::load(&self.sources(std::env::vars_os()))
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    if key.is_empty() {
        return Err("the key is empty".into());
    }
    Ok((key.to_owned(), value.to_owned()))
}

impl Cli {
    /// Does what was asked for; errors are printed.
    #[must_use]
    pub fn execute(self) -> ExitCode {
        let result = match self.command {
            Command::Run(settings) => run::run(&settings),
            Command::Cluster(command) => cluster_serve::run(&command),
            Command::Fault(command) => fault::run(&command),
            Command::Node(command) => node::run(&command),
            Command::Config(command) => config_check::run(&command),
            Command::Scenario(command) => scenario::run(&command),
            Command::Report(args) => report::run(&args),
            Command::Metrics(args) => metrics::run(&args),
            Command::UserData(args) => userdata::run(&args),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&format!("error: {error:#}"));
                ExitCode::from(
                    if error.is::<Invalid>()
                        || error.is::<userdata::Unusable>()
                        || error.is::<scenario::Unusable>()
                        || error.is::<report::NoReport>()
                    {
                        INVALID_SETTINGS
                    } else {
                        1
                    },
                )
            }
        }
    }
}

/// Prints to stderr. The process may have none, which is no reason to fail.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_come_after_sets() {
        let args = SettingsArgs {
            set: vec![("seed".into(), "1".into())],
            seed: Some(2),
            count: Some(5),
            ..SettingsArgs::default()
        };
        let settings = Settings::load(&args.sources([])).unwrap();
        assert_eq!((settings.seed, settings.nodes.len()), (2, 5));
    }
}
