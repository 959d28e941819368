//! `metalsim scenario check`, `explain`, `run` and `schema`

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use metalsim_actors::timing::Span;

use super::{SettingsArgs, say};
use crate::app::scenario::{Outcome, Progress};
use crate::report::{self, Report};
use crate::scenario::{Scenario, explain, schema};
use crate::settings::{Invalid, Problem, Sources};
use crate::{app, telemetry};

#[derive(Debug, Subcommand)]
pub(super) enum ScenarioCommand {
    /// Checks scenarios; exit code 2 and all problems with their places if one cannot be used
    Check(CheckArgs),
    /// Prints a scenario's timeline, and which nodes each fault picks
    Explain(ExplainArgs),
    /// Runs a scenario; exit code 0: every expectation held, 1: one did not, 2: the scenario cannot be used
    Run(RunArgs),
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

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Scenario in YAML, TOML or JSON by its ending
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Settings files that the scenario's settings are laid over
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Overrides a setting, such as ironic.api_url=http://127.0.0.1:6385; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::key_value)]
    set: Vec<(String, String)>,
    /// No progress bar; one is shown only on a terminal anyway
    #[arg(long)]
    quiet: bool,
}

/// An expectation did not hold.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} expectations did not hold")]
pub(super) struct NotHeld {
    failed: usize,
    all: usize,
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
        ScenarioCommand::Run(args) => rehearse(args)?,
        ScenarioCommand::Schema => writeln!(out, "{}", serde_json::to_string_pretty(&schema())?)?,
    }
    Ok(())
}

/// Runs a scenario, shows how far it is, and prints what came of its expectations.
fn rehearse(args: &RunArgs) -> anyhow::Result<()> {
    let settings = SettingsArgs {
        config: args.config.clone(),
        set: args.set.clone(),
        ..SettingsArgs::default()
    };
    let scenario = Scenario::load(&args.file, &settings.sources(std::env::vars_os()))
        .map_err(|Invalid(problems)| Unusable(problems))?;
    telemetry::logs::init(&scenario.settings.log)?;
    warn(&scenario);
    let bar = if args.quiet {
        ProgressBar::hidden()
    } else {
        // Hidden by itself where standard error is no terminal.
        ProgressBar::new(0)
    };
    bar.set_style(ProgressStyle::with_template(
        "{prefix} [{bar:32}] {percent:>3}%  {msg}",
    )?);
    bar.set_prefix(scenario.name.to_string());
    let files = scenario.report.clone();
    let outcome = app::scenario::run(scenario, &mut |progress| show(&bar, progress))?;
    bar.finish_and_clear();
    print(&outcome)?;
    if let Some(report) = &outcome.report {
        write_report(report, &files)?;
    }
    let failed = outcome.verdicts.iter().filter(|verdict| !verdict.held).count();
    if failed > 0 {
        let all = outcome.verdicts.len();
        return Err(NotHeld { failed, all }.into());
    }
    Ok(())
}

fn write_report(report: &Report, files: &crate::scenario::Report) -> anyhow::Result<()> {
    let write = |file: &Option<PathBuf>, render: fn(&Report) -> String| -> anyhow::Result<()> {
        if let Some(file) = file {
            report::write(file, &render(report)).with_context(|| file.display().to_string())?;
            say(&format!("report: {}", file.display()));
        }
        Ok(())
    };
    write(&files.json, Report::to_json)?;
    write(&files.junit, Report::to_junit)?;
    write(&files.html, Report::to_html)
}

fn show(bar: &ProgressBar, progress: &Progress<'_>) {
    bar.set_length(progress.end.as_millis());
    bar.set_position(progress.now.as_millis());
    let nodes: Vec<String> = progress
        .nodes
        .iter()
        .map(|(phase, count)| format!("{count} {phase}"))
        .collect();
    let now = Span(std::time::Duration::from_secs(progress.now.as_millis() / 1000));
    bar.set_message(format!(
        "{now}  {}  {}",
        progress.phases.join("+"),
        nodes.join(", ")
    ));
}

fn print(outcome: &Outcome) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    for verdict in &outcome.verdicts {
        let word = if verdict.held { "held  " } else { "FAILED" };
        writeln!(out, "{word}  {}: {}", verdict.expectation, verdict.details)?;
    }
    let ended = Span(std::time::Duration::from_millis(outcome.ended.as_millis()));
    let took = Span(std::time::Duration::from_secs(outcome.took.as_secs()));
    let early = if outcome.stopped {
        ", stopped before the end"
    } else {
        ""
    };
    writeln!(out, "ran for {ended} in {took}{early}")
}

fn warn(scenario: &Scenario) {
    for warning in &scenario.settings.warnings {
        say(&format!("{}: warning: {warning}", scenario.file.display()));
    }
}
