//! Expectations as sentences, for reports.

use std::collections::BTreeMap;
use std::fmt;

use metalsim_actors::fault::{Glob, Selector};
use metalsim_actors::timing::Span;

use super::expect::{Expectation, MetricName};

fn series(f: &mut fmt::Formatter<'_>, name: &MetricName, labels: &BTreeMap<Box<str>, Glob>) -> fmt::Result {
    f.write_str(name.as_str())?;
    if labels.is_empty() {
        return Ok(());
    }
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, glob)| format!("{name}={glob}"))
        .collect();
    write!(f, "{{{}}}", labels.join(","))
}

fn within<T: fmt::Display>(f: &mut fmt::Formatter<'_>, least: Option<T>, most: Option<T>) -> fmt::Result {
    match (least, most) {
        (Some(least), Some(most)) => write!(f, "from {least} to {most}"),
        (Some(least), None) => write!(f, "at least {least}"),
        (None, Some(most)) => write!(f, "at most {most}"),
        (None, None) => f.write_str("unbounded"),
    }
}

fn names_of(clusters: &[Glob]) -> String {
    let names: Vec<&str> = clusters.iter().map(Glob::as_str).collect();
    if names.is_empty() {
        "each cluster".to_owned()
    } else {
        names.join(", ")
    }
}

fn until(f: &mut fmt::Formatter<'_>, by: Option<Span>) -> fmt::Result {
    match by {
        Some(by) => write!(f, " by {by}"),
        None => f.write_str(" by the end"),
    }
}

/// A sentence for reports.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |which: &Selector| {
            if *which == Selector::default() {
                ""
            } else {
                " selected"
            }
        };
        match self {
            Self::NodesInPhase {
                phases,
                which,
                at_least,
                by,
                stays,
            } => {
                let phases: Vec<&str> = phases.iter().map(|phase| phase.as_str()).collect();
                write!(f, "{at_least}{} nodes in {}", some(which), phases.join(" or "))?;
                until(f, *by)?;
                f.write_str(if *stays { " and from then on" } else { "" })
            }
            Self::NodesNeverInPhase { phases, which, from } => {
                let phases: Vec<&str> = phases.iter().map(|phase| phase.as_str()).collect();
                write!(
                    f,
                    "none of the{} nodes ever in {}",
                    some(which),
                    phases.join(" or ")
                )?;
                from.map_or(Ok(()), |from| write!(f, " after {from}"))
            }
            Self::NodesActive { which, at_least, by } => {
                write!(f, "{at_least}{} nodes active", some(which))?;
                until(f, *by)
            }
            Self::HeartbeatLateness { quantile, below } => {
                write!(
                    f,
                    "{}% of heartbeats less than {below} late",
                    quantile.value() * 100.0
                )
            }
            Self::Errors {
                protocol,
                at_most,
                ratio_at_most,
            } => {
                write!(f, "errors of {}: at most ", protocol.as_str())?;
                let share = ratio_at_most.map(|share| format!("{}% of requests", share.value() * 100.0));
                let bounds: Vec<String> = at_most
                    .map(|most| most.to_string())
                    .into_iter()
                    .chain(share)
                    .collect();
                f.write_str(&bounds.join(" and "))
            }
            Self::Metric {
                name,
                labels,
                quantile,
                at_least,
                at_most,
            } => {
                if let Some(quantile) = quantile {
                    write!(f, "{}% quantile of ", quantile.value() * 100.0)?;
                }
                series(f, name, labels)?;
                f.write_str(" ")?;
                within(f, *at_least, *at_most)
            }
            Self::MetricRatio {
                of,
                to,
                at_least,
                at_most,
            } => {
                series(f, &of.name, &of.labels)?;
                f.write_str(" / ")?;
                series(f, &to.name, &to.labels)?;
                f.write_str(" ")?;
                within(f, *at_least, *at_most)
            }
            Self::NoPanics => f.write_str("no panics but injected ones"),
            Self::MemorySlope { per_hour, after } => {
                write!(f, "memory grows by at most {per_hour} an hour after {after}")
            }
            Self::ClusterReadyNodes {
                clusters,
                at_least,
                by,
            } => {
                write!(f, "{}: at least {at_least} ready nodes", names_of(clusters))?;
                until(f, *by)
            }
            Self::ClusterLostNodes {
                clusters,
                at_least,
                at_most,
                left,
            } => {
                write!(f, "{}: lost nodes at once: ", names_of(clusters))?;
                if at_least.is_some() || at_most.is_some() || left.is_none() {
                    within(f, *at_least, *at_most)?;
                } else {
                    f.write_str("any number")?;
                }
                left.map_or(Ok(()), |left| write!(f, ", at most {left} at the end"))
            }
            Self::FaultHits {
                fault,
                at_least,
                at_most,
            } => {
                write!(f, "hits of fault {fault}: ")?;
                within(f, *at_least, *at_most)
            }
        }
    }
}
