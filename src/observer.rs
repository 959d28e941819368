//! What the frontends, the calls to Ironic, the clusters and the events tell about themselves. Implemented by the metrics
//! and the events; neither side knows the other.

use std::sync::Arc;
use std::time::Duration;

use metalsim_actors::ids::NodeId;
use metalsim_actors::node::effect::CallKind;

/// The protocols that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Management controllers.
    Redfish,
    /// Agents in the ramdisks.
    Agent,
    /// Health, metrics, nodes.
    Control,
    /// Simulated images.
    Images,
    /// API servers of clusters.
    Kube,
    /// etcd members of clusters.
    Etcd,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Redfish,
        Self::Agent,
        Self::Control,
        Self::Images,
        Self::Kube,
        Self::Etcd,
    ];

    /// The word for it in metric labels and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redfish => "redfish",
            Self::Agent => "agent",
            Self::Control => "control",
            Self::Images => "images",
            Self::Kube => "kube",
            Self::Etcd => "etcd",
        }
    }
}

/// Counts requests.
pub trait RequestObserver: Send + Sync + 'static {
    /// The counters of one route. `template` is the route's pattern, or `None` for requests that no route took.
    /// Callers with many requests keep the answer.
    fn route(&self, protocol: Protocol, method: &str, template: Option<&str>) -> Arc<dyn RouteObserver>;

    /// The counters of what is asked of API servers: `verb` in the words of RBAC, and the resource's group, or `None` for
    /// requests that name no resource. Callers with many requests keep the answer.
    fn api(&self, verb: &str, group: Option<&str>) -> Arc<dyn RouteObserver>;

    /// A TLS handshake of an API server was completed, or failed: mostly because the client did not accept the certificate.
    fn handshake(&self, _completed: bool) {}
}

/// Counts requests of one route.
pub trait RouteObserver: Send + Sync + 'static {
    /// A request was answered after `elapsed` of real time. Status 0: its connection was dropped without an answer.
    fn answered(&self, status: u16, elapsed: Duration);
}

/// Counts calls to Ironic.
pub trait CallObserver: Send + Sync + 'static {
    /// A call waits for its turn (`true`), or no longer does.
    fn queued(&self, waits: bool);

    /// A call is on its way (`true`), or has ended.
    fn in_flight(&self, flies: bool);

    /// A call is sent now, `lateness` of simulated time after the node wanted it.
    fn sent(&self, kind: CallKind, lateness: Duration);

    /// A call ended `elapsed` of real time after it was sent, whatever came of it.
    fn ended(&self, kind: CallKind, elapsed: Duration);
}

/// Counts events and what their readers lose.
pub trait EventObserver: Send + Sync + 'static {
    /// One more event.
    fn published(&self);

    /// A subscriber came (`true`), or went.
    fn subscribed(&self, came: bool);

    /// Subscribers were too slow for so many events.
    fn missed(&self, events: u64);

    /// So many events are not in the file.
    fn unwritten(&self, events: u64);
}

/// Is told what becomes of clusters. It must not block.
pub trait ClusterObserver: Send + Sync + 'static {
    /// The API server of a cluster listens.
    fn opened(&self, cluster: &str, endpoint: &str);

    /// It listens no more.
    fn closed(&self, cluster: &str, endpoint: &str);

    /// A node of a cluster, which has this machine.
    fn node(&self, cluster: &str, node: &str, machine: NodeId, step: NodeStep);
}

/// A step in the life of a cluster's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeStep {
    /// It was made; its kubelet does not run yet.
    Joined,
    /// Its kubelet runs.
    Started,
    /// Its kubelet runs no more.
    Stopped,
    /// Its machine has left for good.
    Left,
}

/// What there is of clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterTotals {
    /// Clusters whose API is served, and others.
    pub open: [u64; 2],
    /// Machines of control planes that run, and others.
    pub control_planes: [u64; 2],
    /// Other machines that run, and others.
    pub workers: [u64; 2],
    /// Nodes that are ready, and others.
    pub nodes: [u64; 2],
    /// Clusters whose etcd has its quorum, and others.
    pub quorum: [u64; 2],
    /// Clusters whose API server shows its own certificate, and others: faults have these show a bad one.
    pub certificates: [u64; 2],
    /// Watches that are open.
    pub watches: u64,
    /// Logs that are followed.
    pub logs: u64,
    /// Writes that wait for the clusters' actors.
    pub writes: u64,
}

/// Adds up what there is of clusters, whenever it is asked. It must not block.
pub trait ClusterCensus: Send + Sync + 'static {
    /// The sums over all clusters.
    fn totals(&self) -> ClusterTotals;
}

/// Renders metrics.
pub trait Exposition: Send + Sync + 'static {
    /// All metrics in the `OpenMetrics` text format.
    fn render(&self) -> String;

    /// The same in Prometheus' older text format, for those who do not ask for the other.
    fn render_plain(&self) -> String;
}

/// Takes everything and keeps nothing.
pub struct Unobserved;

impl RequestObserver for Unobserved {
    fn route(&self, _: Protocol, _: &str, _: Option<&str>) -> Arc<dyn RouteObserver> {
        Arc::new(Self)
    }

    fn api(&self, _: &str, _: Option<&str>) -> Arc<dyn RouteObserver> {
        Arc::new(Self)
    }
}

impl RouteObserver for Unobserved {
    fn answered(&self, _: u16, _: Duration) {}
}

impl CallObserver for Unobserved {
    fn queued(&self, _: bool) {}

    fn in_flight(&self, _: bool) {}

    fn sent(&self, _: CallKind, _: Duration) {}

    fn ended(&self, _: CallKind, _: Duration) {}
}

impl EventObserver for Unobserved {
    fn published(&self) {}

    fn subscribed(&self, _: bool) {}

    fn missed(&self, _: u64) {}

    fn unwritten(&self, _: u64) {}
}

impl ClusterObserver for Unobserved {
    fn opened(&self, _: &str, _: &str) {}

    fn closed(&self, _: &str, _: &str) {}

    fn node(&self, _: &str, _: &str, _: NodeId, _: NodeStep) {}
}
