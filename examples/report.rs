//! Writes the reports of two made-up runs, of thirty and of ten thousand servers, as the tests use them:
//!
//! `cargo run --example report -- tests/reports` writes JSON; with `--pages`, pages and JUnit XML too.

#[path = "../tests/it/report/run.rs"]
mod run;

use std::path::Path;

use metalsim::report::write;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(folder) = arguments.iter().find(|argument| !argument.starts_with("--")) else {
        anyhow::bail!("usage: report FOLDER [--pages]");
    };
    let pages = arguments.iter().any(|argument| argument == "--pages");
    for (name, plan) in [("thirty", run::thirty()), ("ten-thousand", run::ten_thousand())] {
        let report = run::report(plan);
        let file = |ending: &str| Path::new(folder).join(format!("{name}.{ending}"));
        write(&file("json"), &report.to_json())?;
        if pages {
            write(&file("html"), &report.to_html())?;
            write(&file("xml"), &report.to_junit())?;
        }
    }
    Ok(())
}
