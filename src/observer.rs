//! What the frontends and the calls to Ironic tell about themselves. Implemented by the metrics; neither side knows
//! the other.

use std::sync::Arc;
use std::time::Duration;

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
}

impl Protocol {
    /// The word for it in metric labels and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redfish => "redfish",
            Self::Agent => "agent",
            Self::Control => "control",
            Self::Images => "images",
            Self::Kube => "kube",
        }
    }
}

/// Counts requests.
pub trait RequestObserver: Send + Sync + 'static {
    /// The counters of one route. `template` is the route's pattern, or `None` for requests that no route took.
    /// Callers keep the answer: this is not for every request.
    fn route(&self, protocol: Protocol, method: &str, template: Option<&str>) -> Arc<dyn RouteObserver>;
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
}

/// Renders metrics.
pub trait Exposition: Send + Sync + 'static {
    /// All metrics in the `OpenMetrics` text format.
    fn render(&self) -> String;
}

/// Takes everything and keeps nothing.
pub struct Unobserved;

impl RequestObserver for Unobserved {
    fn route(&self, _: Protocol, _: &str, _: Option<&str>) -> Arc<dyn RouteObserver> {
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
}
