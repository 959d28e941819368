//! Judges expectations at the end of a run.

use std::time::Duration;

use metalsim_actors::fault::NodeIndex;
use metalsim_actors::time::SimInstant;
use metalsim_actors::timing::Span;

use super::samples::Page;
use super::watch::{Check, Counts, Sample};
use super::{Expectation, MetricRef, Protocol, Verdict};
use crate::settings::NodeSpec;

/// Fewest points for a line through the process' memory.
const FEWEST_SAMPLES: usize = 5;

/// What is known at the end of a run.
pub(super) struct Ending<'a> {
    /// When it ended.
    pub(super) now: SimInstant,
    /// The metrics in Prometheus' text format.
    pub(super) page: &'a str,
    pub(super) counts: &'a Counts,
    pub(super) nodes: &'a [NodeSpec],
}

/// What came of an expectation.
pub(super) fn judge(expectation: &Expectation, check: &Check, ending: &Ending<'_>) -> Verdict {
    let (held, details, at) = decide(expectation, check, ending);
    Verdict {
        expectation: expectation.to_string().into(),
        held,
        details: details.into(),
        at,
    }
}

type Decision = (bool, String, Option<SimInstant>);

fn decide(expectation: &Expectation, check: &Check, ending: &Ending<'_>) -> Decision {
    match (expectation, check) {
        (
            Expectation::NodesInPhase { stays, .. },
            Check::InPhase {
                needed,
                inside,
                most,
                reached,
                lost,
                ..
            },
        ) => match (reached, lost) {
            (None, _) => (false, format!("{most} of {needed} nodes at most"), None),
            (Some(_), Some(lost)) if *stays => (
                false,
                format!("fewer than {needed} nodes at {}", moment(*lost)),
                Some(*lost),
            ),
            (Some(_), _) if *stays && inside < needed => {
                (false, format!("{inside} of {needed} nodes at the end"), None)
            }
            (Some(reached), _) => (
                true,
                format!("{needed} nodes at {}", moment(*reached)),
                Some(*reached),
            ),
        },
        (Expectation::NodesNeverInPhase { .. }, Check::Never { offender, .. }) => match offender {
            Some((index, phase, at)) => {
                let name = name(ending.nodes, *index);
                let details = format!("{name} was in {} at {}", phase.as_str(), moment(*at));
                (false, details, Some(*at))
            }
            None => (true, "none was".to_owned(), None),
        },
        (
            Expectation::NodesActive { .. },
            Check::Active {
                needed,
                active,
                reached,
                ..
            },
        ) => match reached {
            Some(at) => (true, format!("{needed} nodes at {}", moment(*at)), Some(*at)),
            None => (
                false,
                format!("{} of {needed} nodes became active", active.count()),
                None,
            ),
        },
        (
            Expectation::HeartbeatLateness { quantile, .. },
            Check::Lateness {
                all,
                punctual,
                latest,
            },
        ) => {
            if *all == 0 {
                return (false, "no heartbeat was sent".to_owned(), None);
            }
            let share = ratio(*punctual, *all);
            let details = format!(
                "{:.3}% of {all} heartbeats, the latest by {}",
                share * 100.0,
                Span(*latest)
            );
            (share >= quantile.value(), details, None)
        }
        _ => at_the_end(expectation, ending),
    }
}

fn at_the_end(expectation: &Expectation, ending: &Ending<'_>) -> Decision {
    let counts = ending.counts;
    let (held, details) = match expectation {
        Expectation::NoPanics => {
            let details = format!(
                "{} panics, {} of them by faults",
                counts.panics, counts.wanted_panics
            );
            (counts.panics <= counts.wanted_panics, details)
        }
        Expectation::FaultHits {
            fault,
            at_least,
            at_most,
        } => {
            let hits = counts.hits.get(fault).copied().unwrap_or_default();
            (
                within(&hits, at_least.as_ref(), at_most.as_ref()),
                format!("{hits} hits"),
            )
        }
        Expectation::MemorySlope { per_hour, after } => memory(&counts.memory, per_hour.0, after.0),
        Expectation::ClusterReadyNodes {
            clusters,
            at_least,
            by,
        } => {
            let deadline = by.map_or(ending.now, |by| SimInstant::START + by.0);
            let counted = counts
                .ready
                .iter()
                .filter(|(name, _)| clusters.is_empty() || clusters.iter().any(|glob| glob.matches(name)));
            let (mut all, mut late) = (0_usize, Vec::new());
            for (name, (ready, at)) in counted {
                all += 1;
                if ready < at_least || *at > deadline {
                    late.push(format!("{name}: {ready} ready nodes at {}", moment(*at)));
                }
            }
            match (all, late.is_empty()) {
                (0, _) => (false, "there is no such cluster".to_owned()),
                (all, true) => (true, format!("{all} clusters")),
                (_, false) => (false, late.join("; ")),
            }
        }
        Expectation::ClusterLostNodes {
            clusters,
            at_least,
            at_most,
            left,
        } => {
            let counted = counts
                .lost
                .iter()
                .filter(|(name, _)| clusters.is_empty() || clusters.iter().any(|glob| glob.matches(name)));
            let (most, at_end) = counted.fold((0_u64, 0_u64), |(most, at_end), (_, lost)| {
                (most.max(lost.most), at_end.max(lost.now.len() as u64))
            });
            (
                within(&most, at_least.as_ref(), at_most.as_ref()) && left.is_none_or(|left| at_end <= left),
                format!("{most} at once, {at_end} at the end"),
            )
        }
        Expectation::Errors {
            protocol,
            at_most,
            ratio_at_most,
        } => {
            let (errors, all) = errors(&Page::read(ending.page), *protocol);
            let share = if all > 0.0 { errors / all } else { 0.0 };
            #[expect(clippy::cast_precision_loss, reason = "a number of requests below 2^53")]
            let few = at_most.is_none_or(|most| errors <= most as f64);
            let rare = ratio_at_most.is_none_or(|most| share <= most.value());
            (
                few && rare,
                format!("{errors} of {all} requests, {:.3}%", share * 100.0),
            )
        }
        Expectation::Metric {
            name,
            labels,
            quantile,
            at_least,
            at_most,
        } => value_within(
            match quantile {
                Some(quantile) => Page::read(ending.page).quantile(name.as_str(), labels, quantile.value()),
                None => Page::read(ending.page).sum(name.as_str(), labels),
            },
            *at_least,
            *at_most,
        ),
        Expectation::MetricRatio {
            of,
            to,
            at_least,
            at_most,
        } => value_within(quotient(&Page::read(ending.page), of, to), *at_least, *at_most),
        Expectation::NodesInPhase { .. }
        | Expectation::NodesNeverInPhase { .. }
        | Expectation::NodesActive { .. }
        | Expectation::HeartbeatLateness { .. } => (false, "it was not looked at".to_owned()),
    };
    (held, details, None)
}

fn quotient(page: &Page<'_>, of: &MetricRef, to: &MetricRef) -> Result<f64, String> {
    let dividend = page.sum(of.name.as_str(), &of.labels)?;
    let divisor = page.sum(to.name.as_str(), &to.labels)?;
    Ok(if divisor == 0.0 { 0.0 } else { dividend / divisor })
}

fn value_within(value: Result<f64, String>, least: Option<f64>, most: Option<f64>) -> (bool, String) {
    match value {
        Ok(value) => (within(&value, least.as_ref(), most.as_ref()), value.to_string()),
        Err(error) => (false, error),
    }
}

fn within<T: PartialOrd>(value: &T, least: Option<&T>, most: Option<&T>) -> bool {
    least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most)
}

/// The slope of a line through the resident memory, by least squares, in bytes a real hour.
fn memory(samples: &[Sample], most: u64, after: Duration) -> (bool, String) {
    let begin = SimInstant::START + after;
    let points: Vec<(f64, f64)> = samples
        .iter()
        .filter(|sample| sample.at >= begin)
        .map(|sample| {
            #[expect(clippy::cast_precision_loss, reason = "a size of memory below 2^53")]
            let bytes = sample.resident as f64;
            (sample.real.as_secs_f64() / 3600.0, bytes)
        })
        .collect();
    if points.len() < FEWEST_SAMPLES {
        return (
            false,
            format!("only {} points to draw a line through", points.len()),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand points")]
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = if variance > 0.0 {
        covariance / variance
    } else {
        0.0
    };
    let mib = |bytes: f64| bytes / (1 << 20) as f64;
    #[expect(clippy::cast_precision_loss, reason = "a size of memory below 2^53")]
    let held = slope <= most as f64;
    (
        held,
        format!("{:+.1} MiB an hour around {:.0} MiB", mib(slope), mib(mean_y)),
    )
}

/// Requests of a protocol, and those of them that were errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// All.
    pub all: u64,
    /// Answers with a status from 500 on, and requests without an answer.
    pub errors: u64,
}

impl Requests {
    /// As the metrics tell them.
    #[must_use]
    pub fn of<const N: usize>(page: &str, protocols: [Protocol; N]) -> [Self; N] {
        let page = Page::read(page);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter, whole and not negative"
        )]
        protocols.map(|protocol| {
            let (errors, all) = errors(&page, protocol);
            Self {
                all: all as u64,
                errors: errors as u64,
            }
        })
    }
}

/// Errors of a protocol, and all its requests.
fn errors(page: &Page<'_>, protocol: Protocol) -> (f64, f64) {
    let (metric, label, bad): (_, _, &[&str]) = match protocol {
        Protocol::Ironic => (
            "metalsim_ironic_calls_total",
            "result",
            &["server_error", "no_connection", "bad_answer"],
        ),
        Protocol::BootMedia => ("metalsim_boots_total", "result", &["failed"]),
        Protocol::Redfish | Protocol::Agent | Protocol::Kubernetes | Protocol::Etcd => {
            ("metalsim_requests_total", "status", &["5xx", "dropped"])
        }
    };
    let of = match protocol {
        Protocol::Kubernetes => Some("kube"),
        Protocol::Redfish | Protocol::Agent | Protocol::Etcd => Some(protocol.as_str()),
        Protocol::Ironic | Protocol::BootMedia => None,
    };
    let (mut errors, mut all) = (0.0, 0.0);
    let ours = page
        .named(metric)
        .filter(|sample| of.is_none() || sample.label("protocol") == of);
    for sample in ours {
        all += sample.value;
        if sample.label(label).is_some_and(|label| bad.contains(&label)) {
            errors += sample.value;
        }
    }
    (errors, all)
}

fn name(nodes: &[NodeSpec], index: NodeIndex) -> &str {
    nodes.get(index.0 as usize).map_or("a node", |node| &*node.name)
}

fn ratio(part: u64, all: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of heartbeats below 2^53")]
    let ratio = part as f64 / all as f64;
    ratio
}

/// A point in time for people.
fn moment(at: SimInstant) -> String {
    Span(at.since(SimInstant::START)).to_string()
}
