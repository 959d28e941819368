//! What an event holds. These types write the stream and read it back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::time::SimInstant;
use metalsim_actors::wire::agent::CommandStatus;
use metalsim_actors::wire::redfish::vocabulary::{BootTarget, PowerState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happened, and its place in the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Place in the stream: from 1, without gaps.
    pub sequence: u64,
    /// Wall time at which it was told.
    #[schemars(with = "String")]
    pub time: DateTime<Utc>,
    /// Simulated time at which it happened, in milliseconds since the start.
    #[serde(rename = "at_ms")]
    pub at: SimInstant,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

/// What happened. `kind` in the stream is the word for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// The run began.
    RunStarted {
        /// Root of all chance.
        seed: u64,
        /// Simulated seconds in a real one.
        speed: f64,
        /// Number of nodes.
        nodes: u64,
        /// Name of the scenario.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<Box<str>>,
    },
    /// The run is over: the last event.
    RunEnded {
        /// Why.
        reason: RunEnd,
    },
    /// A node's phase changed.
    NodePhase {
        /// Node.
        node: Box<str>,
        /// Phase before; left out when the node starts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Phase>,
        /// Phase from then on.
        to: Phase,
        /// The node's epoch from then on: the number of its power and boot changes.
        epoch: u32,
        /// Why.
        cause: Cause,
        /// More of the cause: the kind of reset, the name of the fault.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Box<str>>,
    },
    /// A node's power state changed.
    NodePower {
        /// Node.
        node: Box<str>,
        /// Power state before.
        from: PowerState,
        /// Power state from then on.
        to: PowerState,
    },
    /// A node's labels were changed.
    NodeLabels {
        /// Node.
        node: Box<str>,
        /// All its labels from then on.
        labels: BTreeMap<Box<str>, Box<str>>,
    },
    /// A node tried a boot target.
    Boot {
        /// Node.
        node: Box<str>,
        /// Target.
        target: BootTarget,
        /// What came of it.
        result: BootResult,
    },
    /// A command of a node's agent ended.
    Command {
        /// Node.
        node: Box<str>,
        /// Command, such as `standby.prepare_image`.
        command: Cow<'static, str>,
        /// How it ended.
        status: CommandStatus,
    },
    /// A node's call to Ironic ended. Of heartbeats only those that failed are told, and the first one that succeeds again.
    Call {
        /// Node.
        node: Box<str>,
        /// Kind of call.
        call: Call,
        /// What came of it.
        result: CallResult,
        /// HTTP status, if it is an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A fault struck.
    FaultHit {
        /// Name of the fault.
        fault: Box<str>,
        /// What goes wrong: the word for it.
        what: Cow<'static, str>,
        /// Node that it struck.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<Box<str>>,
        /// Cluster that it struck.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<Box<str>>,
        /// Number of the occasion, or of the window for what lasts or happens by itself, from 1.
        number: u64,
    },
    /// The faults in force were changed.
    FaultChanged {
        /// How.
        change: FaultChange,
        /// Name of the fault; left out when all were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Box<str>>,
    },
    /// A cluster's API server listens.
    ClusterOpened {
        /// Cluster.
        cluster: Box<str>,
        /// Its control-plane endpoint.
        endpoint: Box<str>,
    },
    /// A cluster's API server listens no more.
    ClusterClosed {
        /// Cluster.
        cluster: Box<str>,
        /// Its control-plane endpoint.
        endpoint: Box<str>,
    },
    /// A node of a cluster changed.
    ClusterNode {
        /// Cluster.
        cluster: Box<str>,
        /// Node, by its name in the cluster.
        node: Box<str>,
        /// How.
        change: ClusterNodeChange,
        /// The simulated server; left out if there is none behind the node, and of changes of its readiness.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        machine: Option<Box<str>>,
    },
    /// A bug of the simulator was caught: a step of an actor panicked. It has kept its state.
    ActorPanicked {
        /// Node of the actor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<Box<str>>,
        /// Cluster of the actor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cluster: Option<Box<str>>,
    },
    /// A node's actor was killed over the control API. Its supervisor starts it again with the state that it had.
    ActorKilled {
        /// Node of the actor.
        node: Box<str>,
    },
    /// A phase of the scenario's timeline began or ended.
    ScenarioPhase {
        /// Phase.
        phase: Box<str>,
        /// Which of them.
        change: PhaseEdge,
    },
    /// An expectation of the scenario was judged.
    Expectation {
        /// Its place in the scenario, from 0.
        index: u32,
        /// The expectation in words.
        text: Box<str>,
        /// Whether it held.
        held: bool,
    },
    /// The reader was too slow, or came too late: events between the one before and the one behind are lost to it. Its sequence is
    /// that of the last lost one.
    Lagged {
        /// Number of the lost events.
        missed: u64,
    },
}

/// Why a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// It was told to stop.
    Stopped,
    /// The scenario's time has passed.
    Completed,
}

/// Why a node's phase changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The simulation began.
    Start,
    /// Its time had come.
    Time,
    /// A reset over Redfish or the control API.
    Reset,
    /// Another Redfish request.
    Bmc,
    /// A request to the agent.
    Agent,
    /// The answer to something that the node asked for.
    Answer,
    /// A fault.
    Fault,
    /// A bug of the simulator was caught.
    Panic,
}

/// What came of a boot target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootResult {
    /// The agent boots.
    Agent,
    /// The operating system on the disk boots.
    Disk,
    /// Some other system boots.
    Live,
    /// Nothing: the boot order goes on.
    Failed,
}

/// A call to Ironic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Inspection call-back.
    Inspect,
    /// API root.
    Discover,
    /// Look-up.
    Lookup,
    /// Heartbeat.
    Heartbeat,
}

/// What came of a call: the words of the metric `metalsim_ironic_calls_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// It succeeded.
    Ok,
    /// A status below 400 that is no success.
    Redirect,
    /// Status 404.
    NotFound,
    /// Status 409.
    Conflict,
    /// Another status from 400 to 499.
    ClientError,
    /// A status from 500.
    ServerError,
    /// No connection, none in time, or it broke.
    NoConnection,
    /// An answer that is not what it should be.
    BadAnswer,
}

/// How the faults in force were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultChange {
    /// One more.
    Added,
    /// Another one of the same name.
    Replaced,
    /// One less.
    Removed,
    /// All others.
    Reset,
}

/// How a node of a cluster changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClusterNodeChange {
    /// It was made by kubeadm or by a call. Its kubelet does not run yet.
    Joined,
    /// Its kubelet runs.
    Started,
    /// Its condition Ready is true.
    Ready,
    /// Its condition Ready is no longer true.
    NotReady,
    /// Its kubelet runs no more.
    Stopped,
    /// Its machine has left for good. The Node object may stay.
    Left,
}

/// Beginning or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseEdge {
    /// It began.
    Began,
    /// It ended.
    Ended,
}

impl Happening {
    /// The words for all kinds.
    pub const KINDS: [&str; 18] = [
        "run_started",
        "run_ended",
        "node_phase",
        "node_power",
        "node_labels",
        "boot",
        "command",
        "call",
        "fault_hit",
        "fault_changed",
        "cluster_opened",
        "cluster_closed",
        "cluster_node",
        "actor_panicked",
        "actor_killed",
        "scenario_phase",
        "expectation",
        "lagged",
    ];

    /// The word for its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::RunEnded { .. } => "run_ended",
            Self::NodePhase { .. } => "node_phase",
            Self::NodePower { .. } => "node_power",
            Self::NodeLabels { .. } => "node_labels",
            Self::Boot { .. } => "boot",
            Self::Command { .. } => "command",
            Self::Call { .. } => "call",
            Self::FaultHit { .. } => "fault_hit",
            Self::FaultChanged { .. } => "fault_changed",
            Self::ClusterOpened { .. } => "cluster_opened",
            Self::ClusterClosed { .. } => "cluster_closed",
            Self::ClusterNode { .. } => "cluster_node",
            Self::ActorPanicked { .. } => "actor_panicked",
            Self::ActorKilled { .. } => "actor_killed",
            Self::ScenarioPhase { .. } => "scenario_phase",
            Self::Expectation { .. } => "expectation",
            Self::Lagged { .. } => "lagged",
        }
    }

    /// Whether it is about the node of this name: a simulated server, or a node by its name in its cluster.
    #[must_use]
    pub fn is_about_node(&self, name: &str) -> bool {
        match self {
            Self::NodePhase { node, .. }
            | Self::NodePower { node, .. }
            | Self::NodeLabels { node, .. }
            | Self::Boot { node, .. }
            | Self::Command { node, .. }
            | Self::Call { node, .. }
            | Self::ActorKilled { node } => **node == *name,
            Self::FaultHit { node, .. } | Self::ActorPanicked { node, .. } => node.as_deref() == Some(name),
            Self::ClusterNode { node, machine, .. } => **node == *name || machine.as_deref() == Some(name),
            Self::RunStarted { .. }
            | Self::RunEnded { .. }
            | Self::FaultChanged { .. }
            | Self::ClusterOpened { .. }
            | Self::ClusterClosed { .. }
            | Self::ScenarioPhase { .. }
            | Self::Expectation { .. }
            | Self::Lagged { .. } => false,
        }
    }

    /// The cluster that it is about.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::ClusterOpened { cluster, .. }
            | Self::ClusterClosed { cluster, .. }
            | Self::ClusterNode { cluster, .. } => Some(cluster),
            Self::FaultHit { cluster, .. } | Self::ActorPanicked { cluster, .. } => cluster.as_deref(),
            _ => None,
        }
    }
}
