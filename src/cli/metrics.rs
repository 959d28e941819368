//! `metalsim metrics`

use std::io::Write as _;

use clap::{Args, ValueEnum};

use crate::telemetry::definitions;

#[derive(Args, Clone, Debug)]
pub(super) struct MetricsArgs {
    /// As what
    #[arg(long, value_enum, default_value_t = Form::Names)]
    form: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// One name a line, with what it means
    Names,
    /// The page docs/metrics.md
    Markdown,
}

pub(super) fn run(args: &MetricsArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match args.form {
        Form::Names => {
            let width = definitions::ALL
                .iter()
                .map(|definition| definition.shown().len())
                .max()
                .unwrap_or_default();
            for definition in definitions::ALL {
                let name = definition.shown();
                writeln!(out, "{name:width$}  {}", definition.help)?;
            }
        }
        Form::Markdown => write!(out, "{}", definitions::document())?,
    }
    Ok(())
}
