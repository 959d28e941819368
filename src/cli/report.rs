//! `metalsim report`

use std::fmt;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::report::{Report, schema, write};

/// Largest report that is read: some hundred times what a run leaves.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// Report in JSON
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Writes one HTML page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Prints the JSON Schema of reports
    #[arg(long, conflicts_with_all = ["file", "html", "junit"])]
    schema: bool,
}

/// A file that is no report.
#[derive(Debug)]
pub(super) struct NoReport(String);

impl fmt::Display for NoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoReport {}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let Some(file) = &args.file else {
        writeln!(out, "{}", serde_json::to_string_pretty(&schema())?)?;
        return Ok(());
    };
    let report = read(file).map_err(|reason| NoReport(format!("{}: {reason}", file.display())))?;
    let mut put = |target: &Path, text: &str| -> anyhow::Result<()> {
        write(target, text).with_context(|| format!("{} cannot be written", target.display()))?;
        writeln!(out, "{}: written", target.display())?;
        Ok(())
    };
    if let Some(target) = &args.html {
        put(target, &report.to_html())?;
    }
    if let Some(target) = &args.junit {
        put(target, &report.to_junit())?;
    }
    if args.html.is_none() && args.junit.is_none() {
        write!(out, "{}", report.summary())?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Report, String> {
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > MOST_BYTES {
        return Err(format!("longer than {MOST_BYTES} bytes"));
    }
    Report::from_json(&text).map_err(|error| error.to_string())
}
