//! The form of a report. All times are simulated and in milliseconds since the start, unless they are called wall time.

use chrono::{DateTime, Utc};
use metalsim_actors::phase::Phase;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the form.
pub const FORMAT: u32 = 1;

/// Everything about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Report of metalsim")]
pub struct Report {
    /// Version of this form: 1.
    pub format: u32,
    /// Which run.
    pub run: Header,
    /// Whether every expectation held.
    pub held: bool,
    /// What was expected, in the scenario's order.
    pub verdicts: Vec<Verdict>,
    /// Named stretches of the scenario's timeline.
    pub stages: Vec<Stage>,
    /// How the lists called `per_bucket` divide the run's time.
    pub buckets: Buckets,
    /// Nodes by phase; phases that none was ever in are left out.
    pub phases: Vec<PhaseNodes>,
    /// How long completed stays in each phase took; phases that none has left are left out.
    pub durations: Vec<PhaseDurations>,
    /// Nodes on their way to an operating system from disk.
    pub journeys: Journeys,
    /// The nodes with the longest journeys, the longest first.
    pub slowest: Vec<SlowNode>,
    /// Requests and calls; kinds without any are left out.
    pub traffic: Vec<TrafficCount>,
    /// The faults: those of the scenario, then those that came up on the way.
    pub faults: Vec<FaultCount>,
    /// Caught panics of the simulator's own actors.
    pub panics: u64,
    /// The simulator's process; left out if it was never looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// Events that the collector was told it has missed, or that name a node it does not know: if this is not zero, the numbers are too
    /// low.
    pub missed: u64,
}

/// Which run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// Name of the scenario.
    pub scenario: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Version of metalsim.
    pub version: String,
    /// Root of all chance.
    pub seed: u64,
    /// Simulated seconds in a real one.
    pub speed: f64,
    /// Number of nodes.
    pub nodes: u64,
    /// Wall time of the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub started: Option<DateTime<Utc>>,
    /// Simulated time that has passed.
    pub simulated_ms: u64,
    /// Wall time that has passed.
    pub wall_ms: u64,
}

/// An expectation and whether it held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The expectation in words.
    pub expectation: String,
    /// Whether it held.
    pub held: bool,
    /// What was found: numbers, and what was missing.
    #[serde(default)]
    pub details: String,
    /// When it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

/// A named stretch of the timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// When.
    #[serde(flatten)]
    pub stretch: Stretch,
}

/// From when until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    /// Beginning.
    pub from_ms: u64,
    /// End.
    pub until_ms: u64,
}

/// How the run's time is divided: bucket `i` begins at `i * length_ms`; the last one ends with the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Buckets {
    /// Length of a bucket.
    pub length_ms: u64,
    /// Number of buckets.
    pub count: u64,
}

/// Nodes in a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseNodes {
    /// Phase.
    pub phase: Phase,
    /// Nodes in it at the end.
    pub at_end: u64,
    /// Mean number of nodes in it over each bucket's time.
    pub per_bucket: Vec<f64>,
}

/// How long stays in a phase took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseDurations {
    /// Phase.
    pub phase: Phase,
    /// The stays that have ended.
    #[serde(flatten)]
    pub spread: Spread,
}

/// A distribution of durations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// Number of durations.
    pub count: u64,
    /// The shortest one.
    pub min_ms: u64,
    /// The longest one.
    pub max_ms: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Below which 5% lie; like all quantiles from the histogram, so wrong by up to 6%.
    pub p5_ms: f64,
    /// Below which a quarter lies.
    pub p25_ms: f64,
    /// Below which half lies.
    pub p50_ms: f64,
    /// Below which three quarters lie.
    pub p75_ms: f64,
    /// Below which 95% lie.
    pub p95_ms: f64,
    /// Below which 99% lie.
    pub p99_ms: f64,
    /// The histogram's bars that are not empty, in order.
    pub histogram: Vec<Bar>,
}

/// A bar of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bar {
    /// From this duration on.
    pub from_ms: u64,
    /// Up to but without this duration.
    pub below_ms: u64,
    /// Durations in between.
    pub count: u64,
}

/// A node's journey begins with its first phase other than `off` and ends when an operating system runs from its disk for the
/// first time. The time that it spends switched off in between does not count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Journeys {
    /// Nodes that have begun.
    pub begun: u64,
    /// Nodes that have arrived.
    pub arrived: u64,
    /// The journeys of those that have arrived.
    pub spread: Spread,
}

/// A node with a long journey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowNode {
    /// Its name.
    pub node: String,
    /// Length of its journey, up to the end of the run if it has not arrived.
    pub journey_ms: u64,
    /// Whether it has arrived.
    pub arrived: bool,
    /// The phase of its longest stay on the journey.
    pub longest_phase: Phase,
    /// Length of that stay.
    pub longest_ms: u64,
    /// Its phase at the end of the run.
    pub phase: Phase,
}

/// A kind of requests or calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Traffic {
    /// Heartbeats of agents.
    Heartbeat,
    /// Requests to BMCs.
    Redfish,
    /// Requests to agents.
    Agent,
    /// Calls to Ironic other than heartbeats.
    Ironic,
    /// Reading of boot media.
    BootMedia,
    /// Requests to API servers of clusters.
    Kubernetes,
    /// Requests to etcd members.
    Etcd,
}

impl Traffic {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Heartbeat,
        Self::Redfish,
        Self::Agent,
        Self::Ironic,
        Self::BootMedia,
        Self::Kubernetes,
        Self::Etcd,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Redfish => "redfish",
            Self::Agent => "agent",
            Self::Ironic => "ironic",
            Self::BootMedia => "boot_media",
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd",
        }
    }
}

/// Requests and errors of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficCount {
    /// Kind.
    pub kind: Traffic,
    /// All of them, those with errors included.
    pub requests: u64,
    /// Those that ended with an error.
    pub errors: u64,
    /// Requests in each bucket.
    pub requests_per_bucket: Vec<u64>,
    /// Errors in each bucket.
    pub errors_per_bucket: Vec<u64>,
}

/// A fault, and how often it struck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultCount {
    /// Name.
    pub name: String,
    /// What goes wrong: the word for it.
    pub what: String,
    /// When it is there: in order, without overlaps; close ones are joined if there are many.
    pub windows: Vec<Stretch>,
    /// How often it struck.
    pub hits: u64,
    /// Hits in each bucket.
    pub per_bucket: Vec<u64>,
}

/// The simulator's process: the highest values in each bucket, null where nobody looked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Resident memory in bytes.
    pub resident_bytes: Vec<Option<u64>>,
    /// Open files and sockets.
    pub handles: Vec<Option<u64>>,
    /// Use of processors since the look before: 1 is one processor.
    pub processors: Vec<Option<f64>>,
    /// How late heartbeats left at worst, in simulated milliseconds.
    pub heartbeats_late_ms: Vec<Option<u64>>,
}
