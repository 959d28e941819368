//! metalsim binary: arguments, logging, settings, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use metalsim::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().execute()
}
