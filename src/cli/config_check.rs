//! `metalsim config check` and `metalsim config show`

use std::io::Write as _;

use clap::Subcommand;

use super::{SettingsArgs, say};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Checks the settings; exit code 2 and all problems if they cannot be used
    Check(SettingsArgs),
    /// Prints the effective settings as JSON (which is YAML, too), secrets redacted
    Show(SettingsArgs),
}

pub(super) fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    let (ConfigCommand::Check(args) | ConfigCommand::Show(args)) = command;
    let settings = args.load()?;
    for warning in &settings.warnings {
        say(&format!("warning: {warning}"));
    }
    let text = match command {
        ConfigCommand::Check(_) => format!("settings are valid: {} nodes", settings.nodes.len()),
        ConfigCommand::Show(_) => serde_json::to_string_pretty(&settings.effective)?,
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
