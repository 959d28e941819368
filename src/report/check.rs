//! What is refused of a report that was read from a file: drawing relies on what is checked here.

use thiserror::Error;

use super::buckets::MOST_BUCKETS;
use super::collect::{MOST_FAULTS, MOST_SLOW};
use super::model::{FORMAT, Report, Spread, Stretch};
use super::windows::MOST_WINDOWS;

/// Largest number of stages and of verdicts in a report that is read.
const MOST_LINES: usize = 10_000;
/// Largest number of bars of a histogram: there are no more different ones.
const MOST_BARS: usize = 1024;

/// Why a report cannot be used.
#[derive(Debug, Error)]
pub enum Unusable {
    /// It is no JSON, or not of the form.
    #[error("no report: {0}")]
    Form(#[from] serde_json::Error),
    /// It comes from another version.
    #[error("the report's format is {0}; this program reads format {FORMAT}")]
    Format(u64),
    /// It is longer than a collector makes it.
    #[error("{what}: {found} of them, at most {most}")]
    TooMany {
        /// Which list.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Lists and numbers do not fit together.
    #[error("{0}")]
    Odd(String),
}

pub(super) fn read(text: &[u8]) -> Result<Report, Unusable> {
    /// What every version has.
    #[derive(serde::Deserialize)]
    struct Any {
        format: u64,
    }
    let Any { format } = serde_json::from_slice(text)?;
    if format != u64::from(FORMAT) {
        return Err(Unusable::Format(format));
    }
    let report: Report = serde_json::from_slice(text)?;
    check(&report)?;
    Ok(report)
}

fn at_most(what: &'static str, found: usize, most: usize) -> Result<(), Unusable> {
    if found > most {
        return Err(Unusable::TooMany { what, found, most });
    }
    Ok(())
}

fn odd(message: impl Into<String>) -> Unusable {
    Unusable::Odd(message.into())
}

fn check(report: &Report) -> Result<(), Unusable> {
    at_most("verdicts", report.verdicts.len(), MOST_LINES)?;
    at_most("stages", report.stages.len(), MOST_LINES)?;
    at_most("faults", report.faults.len(), MOST_FAULTS + 1)?;
    at_most("slowest", report.slowest.len(), MOST_SLOW)?;
    at_most(
        "phases",
        report.phases.len(),
        metalsim_actors::phase::Phase::ALL.len(),
    )?;
    at_most(
        "durations",
        report.durations.len(),
        metalsim_actors::phase::Phase::ALL.len(),
    )?;
    at_most("traffic", report.traffic.len(), super::Traffic::ALL.len())?;
    let buckets = usize::try_from(report.buckets.count).unwrap_or(usize::MAX);
    at_most("buckets", buckets, MOST_BUCKETS)?;
    if buckets == 0 || report.buckets.length_ms == 0 {
        return Err(odd("buckets: there must be one, and it must have a length"));
    }
    let same = |what: &str, found: usize| {
        if found == buckets {
            Ok(())
        } else {
            Err(odd(format!("{what}: {found} values for {buckets} buckets")))
        }
    };
    for nodes in &report.phases {
        same(
            &format!("phases.{}", nodes.phase.as_str()),
            nodes.per_bucket.len(),
        )?;
        if nodes.per_bucket.iter().any(|mean| *mean < 0.0) {
            return Err(odd(format!(
                "phases.{}: less than no nodes",
                nodes.phase.as_str()
            )));
        }
    }
    for count in &report.traffic {
        let what = format!("traffic.{}", count.kind.as_str());
        same(&what, count.requests_per_bucket.len())?;
        same(&what, count.errors_per_bucket.len())?;
    }
    for fault in &report.faults {
        same("faults", fault.per_bucket.len())?;
        at_most("windows of a fault", fault.windows.len(), MOST_WINDOWS)?;
        fault.windows.iter().try_for_each(forwards)?;
    }
    report
        .stages
        .iter()
        .try_for_each(|stage| forwards(&stage.stretch))?;
    if let Some(process) = &report.process {
        same("process", process.resident_bytes.len())?;
        same("process", process.handles.len())?;
        same("process", process.processors.len())?;
        same("process", process.heartbeats_late_ms.len())?;
    }
    for durations in &report.durations {
        spread(&durations.spread)?;
    }
    spread(&report.journeys.spread)
}

fn forwards(stretch: &Stretch) -> Result<(), Unusable> {
    if stretch.from_ms > stretch.until_ms {
        return Err(odd(format!(
            "a stretch from {} ms to {} ms ends before it begins",
            stretch.from_ms, stretch.until_ms
        )));
    }
    Ok(())
}

fn spread(spread: &Spread) -> Result<(), Unusable> {
    at_most("bars of a histogram", spread.histogram.len(), MOST_BARS)?;
    if spread.histogram.iter().any(|bar| bar.from_ms >= bar.below_ms) {
        return Err(odd("a bar of a histogram has no width"));
    }
    Ok(())
}
