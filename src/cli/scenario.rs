//! `metalsim scenario check` and `metalsim scenario explain`

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::say;
use crate::scenario::{Scenario, explain, schema};
use crate::settings::{Invalid, Problem, Sources};

#[derive(Debug, Subcommand)]
pub(super) enum ScenarioCommand {
    /// Checks scenarios; exit code 2 and all problems with their places if one cannot be used
    Check(CheckArgs),
    /// Prints a scenario's timeline, and which nodes each fault picks
    Explain(ExplainArgs),
    /// Prints the JSON Schema of scenario files, for editors
    Schema,
}

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Scenario in YAML, TOML or JSON by its ending
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// Scenario in YAML, TOML or JSON by its ending
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Scenarios that cannot be used: every problem, the place first, so that editors find it.
#[derive(Debug)]
pub(super) struct Unusable(Vec<Problem>);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} problem{plural}", self.0.len())?;
        for Problem { key, reason, origin } in &self.0 {
            f.write_str("\n")?;
            for part in [origin.as_deref().unwrap_or_default(), key] {
                if !part.is_empty() {
                    write!(f, "{part}: ")?;
                }
            }
            f.write_str(reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for Unusable {}

pub(super) fn run(command: &ScenarioCommand) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match command {
        ScenarioCommand::Check(args) => {
            let mut problems = Vec::new();
            for file in &args.files {
                match Scenario::load(file, &Sources::default()) {
                    Ok(scenario) => {
                        warn(&scenario);
                        writeln!(
                            out,
                            "{}: valid: {} nodes, {} faults, {} expectations",
                            file.display(),
                            scenario.settings.nodes.len(),
                            scenario.faults.len(),
                            scenario.expectations.len()
                        )?;
                    }
                    Err(Invalid(more)) => problems.extend(more),
                }
            }
            if !problems.is_empty() {
                return Err(Unusable(problems).into());
            }
        }
        ScenarioCommand::Explain(args) => {
            let scenario = Scenario::load(&args.file, &Sources::default())
                .map_err(|Invalid(problems)| Unusable(problems))?;
            warn(&scenario);
            write!(out, "{}", explain(&scenario))?;
        }
        ScenarioCommand::Schema => writeln!(out, "{}", serde_json::to_string_pretty(&schema())?)?,
    }
    Ok(())
}

fn warn(scenario: &Scenario) {
    for warning in &scenario.settings.warnings {
        say(&format!("{}: warning: {warning}", scenario.file.display()));
    }
}
