//! What must hold: the closed list of expectations.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use metalsim_actors::fault::{Chance, FaultName, Glob, Selector};
use metalsim_actors::phase::Phase;
use metalsim_actors::timing::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize, Serializer};

use crate::settings::Size;

/// What must hold, or the run has failed. All times are simulated and count from the start; without `by`, the end
/// of the run counts.
#[derive(Clone, Debug, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Expectation {
    /// At some time up to `by`, enough of the nodes are in one of the phases at once.
    NodesInPhase {
        /// Phases that count.
        phases: Vec<Phase>,
        /// Nodes that count; left out: all.
        #[serde(default)]
        which: Selector,
        /// How many of them.
        #[serde(default)]
        at_least: Amount,
        /// Up to when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Span>,
        /// It stays so from `by` to the end.
        #[serde(default)]
        stays: bool,
    },
    /// None of the nodes is ever in one of the phases.
    NodesNeverInPhase {
        /// Phases that must not be.
        phases: Vec<Phase>,
        /// Nodes that count; left out: all.
        #[serde(default)]
        which: Selector,
        /// From when on; left out: from the start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Span>,
    },
    /// Up to `by`, enough of the nodes have reached what Ironic calls `active`: an operating system runs that an agent
    /// has written to the disk.
    NodesActive {
        /// Nodes that count; left out: all.
        #[serde(default)]
        which: Selector,
        /// How many of them.
        #[serde(default)]
        at_least: Amount,
        /// Up to when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Span>,
    },
    /// Heartbeats leave in time.
    HeartbeatLateness {
        /// Share of the heartbeats that are less late than `below`.
        #[serde(default = "nearly_all")]
        quantile: Chance,
        /// Lateness in simulated time.
        below: Span,
    },
    /// A protocol has few errors: answers with a status from 500 on, calls without an answer.
    Errors {
        /// Which.
        protocol: Protocol,
        /// Number of errors.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<u64>,
        /// Share of all requests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ratio_at_most: Option<Chance>,
    },
    /// A metric lies within bounds at the end.
    Metric {
        /// Its name, without the suffix of a histogram's series.
        name: MetricName,
        /// Labels with patterns of their values; series that fit are added up.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<Box<str>, Glob>,
        /// Of a histogram, the value below which this share of the observations lies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quantile: Option<Chance>,
        /// Lower bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<f64>,
        /// Upper bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<f64>,
    },
    /// The ratio of two metrics lies within bounds at the end.
    MetricRatio {
        /// Dividend.
        of: MetricRef,
        /// Divisor; zero: the ratio is zero.
        to: MetricRef,
        /// Lower bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<f64>,
        /// Upper bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<f64>,
    },
    /// No actor panicked but for faults that make it.
    NoPanics,
    /// The process' memory does not grow: the slope of a line through its resident size.
    MemorySlope {
        /// Bytes a real hour, such as `1MiB`.
        per_hour: Size,
        /// What comes before this is left out.
        #[serde(default)]
        after: Span,
    },
    /// Up to `by`, every cluster that counts has enough nodes that are ready at once, and there is such a cluster.
    ClusterReadyNodes {
        /// Patterns of cluster names; left out: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clusters: Vec<Glob>,
        /// How many nodes.
        at_least: u64,
        /// Up to when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Span>,
    },
    /// Nodes of a cluster that were ready and are no more, whatever the cluster is told of them: the most at once in any cluster that counts lies
    /// within bounds, and few enough are left at the end.
    ClusterLostNodes {
        /// Patterns of cluster names; left out: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clusters: Vec<Glob>,
        /// Lower bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<u64>,
        /// Upper bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<u64>,
        /// The most in any cluster at the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<u64>,
    },
    /// A fault struck often enough: what never strikes proves nothing.
    FaultHits {
        /// Its name.
        fault: FaultName,
        /// Lower bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<u64>,
        /// Upper bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<u64>,
    },
}

fn nearly_all() -> Chance {
    Chance::new(0.99).unwrap_or(Chance::ONE)
}

/// A metric, or those of its series that have the labels.
#[derive(Clone, Debug, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricRef {
    /// Its name.
    pub name: MetricName,
    /// Labels with patterns of their values; series that fit are added up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Box<str>, Glob>,
}

/// Name of a metric as Prometheus has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricName(Box<str>);

impl MetricName {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MetricName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
        let starts = text.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if starts && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(format!("{text:?} is no name of a metric"))
        }
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MetricName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MetricName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for MetricName {
    fn schema_name() -> Cow<'static, str> {
        "MetricName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"})
    }
}

/// A protocol whose errors are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Requests to BMCs.
    Redfish,
    /// Requests to agents.
    Agent,
    /// Calls to Ironic.
    Ironic,
    /// Reading of boot media.
    BootMedia,
    /// Requests to API servers of clusters.
    Kubernetes,
    /// Requests to etcd members.
    Etcd,
}

impl Protocol {
    /// The word for it in files and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redfish => "redfish",
            Self::Agent => "agent",
            Self::Ironic => "ironic",
            Self::BootMedia => "boot_media",
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd",
        }
    }
}

/// A number of nodes: all, a share, or a count. Written `all`, `95%` or `30`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Amount {
    /// Every node.
    #[default]
    All,
    /// A share, rounded up.
    Share(Chance),
    /// So many.
    Count(u64),
}

impl Amount {
    /// The number that it means of `all` nodes.
    #[must_use]
    pub fn of(self, all: u64) -> u64 {
        match self {
            Self::All => all,
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a number of nodes, not negative and below 2^53"
            )]
            Self::Share(share) => (all as f64 * share.value()).ceil() as u64,
            Self::Count(count) => count,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Share(share) => write!(f, "{}%", share.value() * 100.0),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All | Self::Share(_) => serializer.collect_str(self),
            Self::Count(count) => serializer.serialize_u64(*count),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;
        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("all, a percentage such as 95%, or a whole number")
            }

            fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Amount, E> {
                Ok(Amount::Count(count))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Amount, E> {
                match text {
                    "all" => Ok(Amount::All),
                    share if share.trim_end().ends_with('%') => {
                        share.parse().map(Amount::Share).map_err(E::custom)
                    }
                    other => Err(E::custom(format!(
                        "{other:?} is no amount: write all, a percentage such as 95%, or a whole number"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(AmountVisitor)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "all, a percentage such as 95%, or a whole number.",
            "anyOf": [
                {"const": "all"},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*%\s*$"},
                {"type": "integer", "minimum": 0},
            ],
        })
    }
}

/// What is to be said of bounds that are missing or contradict each other.
fn bounds<T: PartialOrd>(least: Option<T>, most: Option<T>) -> Option<(&'static str, &'static str)> {
    match (least, most) {
        (None, None) => Some(("at_most", "or at_least is required")),
        (Some(least), Some(most)) if least > most => Some(("at_least", "is above at_most")),
        _ => None,
    }
}

impl Expectation {
    /// The word for it in files and reports.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NodesInPhase { .. } => "nodes_in_phase",
            Self::NodesNeverInPhase { .. } => "nodes_never_in_phase",
            Self::NodesActive { .. } => "nodes_active",
            Self::HeartbeatLateness { .. } => "heartbeat_lateness",
            Self::Errors { .. } => "errors",
            Self::Metric { .. } => "metric",
            Self::MetricRatio { .. } => "metric_ratio",
            Self::NoPanics => "no_panics",
            Self::MemorySlope { .. } => "memory_slope",
            Self::ClusterReadyNodes { .. } => "cluster_ready_nodes",
            Self::ClusterLostNodes { .. } => "cluster_lost_nodes",
            Self::FaultHits { .. } => "fault_hits",
        }
    }

    /// What is wrong with its parameters, beyond their types: the parameter and the reason.
    pub(super) fn complaint(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::NodesInPhase { at_least, .. } | Self::NodesActive { at_least, .. }
                if *at_least == Amount::Count(0) =>
            {
                Some(("at_least", "holds always with 0"))
            }
            Self::NodesInPhase { phases, .. } | Self::NodesNeverInPhase { phases, .. }
                if phases.is_empty() =>
            {
                Some(("phases", "must name at least one phase"))
            }
            Self::HeartbeatLateness { below, .. } if below.0.is_zero() => {
                Some(("below", "must be above zero"))
            }
            Self::Errors {
                at_most: None,
                ratio_at_most: None,
                ..
            } => Some(("at_most", "or ratio_at_most is required")),
            Self::Metric {
                at_least, at_most, ..
            }
            | Self::MetricRatio {
                at_least, at_most, ..
            } => bounds(*at_least, *at_most),
            Self::FaultHits {
                at_least, at_most, ..
            }
            | Self::ClusterLostNodes {
                at_least,
                at_most,
                left: None,
                ..
            } => bounds(*at_least, *at_most),
            Self::ClusterLostNodes {
                at_least: Some(least),
                at_most: Some(most),
                ..
            } => bounds(Some(*least), Some(*most)),
            Self::ClusterLostNodes { .. }
            | Self::NodesInPhase { .. }
            | Self::NodesNeverInPhase { .. }
            | Self::NodesActive { .. }
            | Self::HeartbeatLateness { .. }
            | Self::Errors { .. }
            | Self::NoPanics
            | Self::MemorySlope { .. }
            | Self::ClusterReadyNodes { .. } => None,
        }
    }

    /// The nodes that it is about, if it is about nodes.
    #[must_use]
    pub fn nodes(&self) -> Option<&Selector> {
        match self {
            Self::NodesInPhase { which, .. }
            | Self::NodesNeverInPhase { which, .. }
            | Self::NodesActive { which, .. } => Some(which),
            Self::HeartbeatLateness { .. }
            | Self::Errors { .. }
            | Self::Metric { .. }
            | Self::MetricRatio { .. }
            | Self::NoPanics
            | Self::MemorySlope { .. }
            | Self::ClusterReadyNodes { .. }
            | Self::ClusterLostNodes { .. }
            | Self::FaultHits { .. } => None,
        }
    }

    /// A point in time that it names, and the parameter.
    pub(super) fn times(&self) -> Option<(&'static str, Span)> {
        match self {
            Self::NodesInPhase { by, .. }
            | Self::NodesActive { by, .. }
            | Self::ClusterReadyNodes { by, .. } => by.map(|by| ("by", by)),
            Self::NodesNeverInPhase { from, .. } => from.map(|from| ("from", from)),
            Self::MemorySlope { after, .. } => Some(("after", *after)),
            Self::HeartbeatLateness { .. }
            | Self::Errors { .. }
            | Self::Metric { .. }
            | Self::MetricRatio { .. }
            | Self::NoPanics
            | Self::ClusterLostNodes { .. }
            | Self::FaultHits { .. } => None,
        }
    }
}
