//! What nodes and clusters tell, as events. The one place that knows both forms.

use std::sync::{Arc, OnceLock};

use dashmap::DashSet;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::Identity;
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::node::effect::{self, CallError, CallKind, FaultHit, PhaseChange, Record};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::ports::{Recorder, ShellEvent, Whom};
use metalsim_actors::time::SimInstant;

use super::event::{BootResult, Call, CallResult, Cause, ClusterNodeChange, Happening};
use super::log::EventLog;
use crate::observer::{ClusterObserver, NodeStep};

/// Hands on what is recorded, and publishes what of it is an event.
pub struct EventRecorder {
    next: Arc<dyn Recorder>,
    log: Arc<EventLog>,
    /// Who the nodes are, by id.
    nodes: OnceLock<Box<[Arc<Identity>]>>,
    /// Nodes whose last heartbeat failed.
    failing: DashSet<NodeId>,
}

impl EventRecorder {
    /// Records in `next` too.
    #[must_use]
    pub fn new(next: Arc<dyn Recorder>, log: Arc<EventLog>) -> Self {
        Self {
            next,
            log,
            nodes: OnceLock::new(),
            failing: DashSet::new(),
        }
    }

    /// Says who the nodes are; once, before they start. Whoever is not among them is shown by id.
    pub fn know(&self, nodes: impl IntoIterator<Item = Arc<Identity>>) {
        let mut nodes: Box<[Arc<Identity>]> = nodes.into_iter().collect();
        nodes.sort_unstable_by_key(|node| node.id);
        if self.nodes.set(nodes).is_err() {
            tracing::warn!("the nodes of the events are known already");
        }
    }

    fn known(&self, id: NodeId) -> Option<Box<str>> {
        let nodes = self.nodes.get()?;
        let found = nodes.binary_search_by_key(&id, |node| node.id).ok()?;
        Some(nodes.get(found)?.name.clone())
    }

    fn name(&self, id: NodeId) -> Box<str> {
        self.known(id).unwrap_or_else(|| id.to_string().into())
    }

    /// Node and cluster.
    fn whom(&self, whom: Whom<'_>) -> (Option<Box<str>>, Option<Box<str>>) {
        match whom {
            Whom::Node(id) => (Some(self.name(id)), None),
            Whom::Cluster(name) => (None, Some(name.into())),
        }
    }

    fn call(&self, id: NodeId, at: SimInstant, kind: CallKind, result: Result<(), CallError>) {
        if kind == CallKind::Heartbeat {
            // Those that succeed again and again are too many.
            let told = match result {
                Ok(()) => self.failing.remove(&id).is_some(),
                Err(_) => {
                    self.failing.insert(id);
                    true
                }
            };
            if !told {
                return;
            }
        }
        let happening = Happening::Call {
            node: self.name(id),
            call: call(kind),
            result: call_result(result),
            status: match result {
                Err(CallError::Status(status)) => Some(status),
                Ok(()) | Err(CallError::Connection | CallError::Body) => None,
            },
        };
        self.log.publish_at(at, happening);
    }
}

impl Recorder for EventRecorder {
    fn record(&self, node: NodeId, at: SimInstant, record: Record) {
        match &record {
            Record::Phase(change) => self.phase(node, change),
            Record::Fault(hit) => self.fault(Whom::Node(node), hit),
            Record::Call(kind, result) => self.call(node, at, *kind, *result),
            Record::Command(command, status) => {
                let happening = Happening::Command {
                    node: self.name(node),
                    command: command.full().into(),
                    status: *status,
                };
                self.log.publish_at(at, happening);
            }
            Record::Boot(target, result) => {
                let happening = Happening::Boot {
                    node: self.name(node),
                    target: *target,
                    result: boot_result(*result),
                };
                self.log.publish_at(at, happening);
            }
        }
        if !matches!(record, Record::Phase(_) | Record::Fault(_)) {
            self.next.record(node, at, record);
        }
    }

    fn phase(&self, node: NodeId, change: &PhaseChange) {
        self.next.phase(node, change);
        let name = self.name(node);
        let (cause, by) = cause(&change.cause);
        let happening = Happening::NodePhase {
            node: name.clone(),
            from: change.from,
            to: change.to,
            epoch: change.epoch.number(),
            cause,
            by,
        };
        self.log.publish_at(change.at, happening);
        let (from, to) = (change.from.and_then(power), power(change.to));
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            self.log
                .publish_at(change.at, Happening::NodePower { node: name, from, to });
        }
    }

    fn fault(&self, whom: Whom<'_>, hit: &FaultHit) {
        self.next.fault(whom, hit);
        let (node, cluster) = self.whom(whom);
        let happening = Happening::FaultHit {
            fault: hit.fault.as_str().into(),
            what: hit.what.into(),
            node,
            cluster,
            number: hit.number,
        };
        self.log.publish_at(hit.at, happening);
    }

    fn power(&self, node: NodeId, from: Option<PowerState>, to: PowerState) {
        // For the events it follows from the phase, which tells the instant.
        self.next.power(node, from, to);
    }

    fn shell(&self, event: ShellEvent) {
        self.next.shell(event);
    }

    fn node_ready(&self, cluster: &str, node: &str, ready: bool) {
        self.next.node_ready(cluster, node, ready);
        let change = if ready {
            ClusterNodeChange::Ready
        } else {
            ClusterNodeChange::NotReady
        };
        self.log.publish(Happening::ClusterNode {
            cluster: cluster.into(),
            node: node.into(),
            change,
            machine: None,
        });
    }

    fn panicked(&self, whom: Whom<'_>) {
        self.next.panicked(whom);
        let (node, cluster) = self.whom(whom);
        self.log.publish(Happening::ActorPanicked { node, cluster });
    }
}

impl ClusterObserver for EventRecorder {
    fn opened(&self, cluster: &str, endpoint: &str) {
        self.log.publish(Happening::ClusterOpened {
            cluster: cluster.into(),
            endpoint: endpoint.into(),
        });
    }

    fn closed(&self, cluster: &str, endpoint: &str) {
        self.log.publish(Happening::ClusterClosed {
            cluster: cluster.into(),
            endpoint: endpoint.into(),
        });
    }

    fn node(&self, cluster: &str, node: &str, machine: NodeId, step: NodeStep) {
        self.log.publish(Happening::ClusterNode {
            cluster: cluster.into(),
            node: node.into(),
            change: match step {
                NodeStep::Joined => ClusterNodeChange::Joined,
                NodeStep::Started => ClusterNodeChange::Started,
                NodeStep::Stopped => ClusterNodeChange::Stopped,
                NodeStep::Left => ClusterNodeChange::Left,
            },
            machine: self.known(machine),
        });
    }
}

/// The power state that goes with a phase; none: of a parked node it is not known.
fn power(phase: Phase) -> Option<PowerState> {
    match phase {
        Phase::Off => Some(PowerState::Off),
        Phase::PoweringOn => Some(PowerState::PoweringOn),
        Phase::PoweringOff => Some(PowerState::PoweringOff),
        Phase::Parked => None,
        Phase::Post
        | Phase::Booting
        | Phase::NoBootDevice
        | Phase::Inspecting
        | Phase::LookingUp
        | Phase::AgentReady
        | Phase::AgentBusy
        | Phase::AgentSilent
        | Phase::CloudInit
        | Phase::Bootstrapping
        | Phase::OsRunning
        | Phase::LiveSystem => Some(PowerState::On),
    }
}

/// A cause and more of it.
fn cause(cause: &effect::Cause) -> (Cause, Option<Box<str>>) {
    match cause {
        effect::Cause::Start => (Cause::Start, None),
        effect::Cause::Time => (Cause::Time, None),
        effect::Cause::Reset(reset) => (Cause::Reset, Some(format!("{reset:?}").into())),
        effect::Cause::Bmc => (Cause::Bmc, None),
        effect::Cause::Agent => (Cause::Agent, None),
        effect::Cause::Answer => (Cause::Answer, None),
        effect::Cause::Fault(name) => (Cause::Fault, Some(name.as_str().into())),
        effect::Cause::Panic => (Cause::Panic, None),
    }
}

fn call(kind: CallKind) -> Call {
    match kind {
        CallKind::Inspect => Call::Inspect,
        CallKind::Discover => Call::Discover,
        CallKind::Lookup => Call::Lookup,
        CallKind::Heartbeat => Call::Heartbeat,
    }
}

fn call_result(result: Result<(), CallError>) -> CallResult {
    match result {
        Ok(()) => CallResult::Ok,
        Err(CallError::Status(404)) => CallResult::NotFound,
        Err(CallError::Status(409)) => CallResult::Conflict,
        Err(CallError::Status(400..500)) => CallResult::ClientError,
        Err(CallError::Status(500..)) => CallResult::ServerError,
        Err(CallError::Status(_)) => CallResult::Redirect,
        Err(CallError::Connection) => CallResult::NoConnection,
        Err(CallError::Body) => CallResult::BadAnswer,
    }
}

fn boot_result(result: effect::BootResult) -> BootResult {
    match result {
        effect::BootResult::Agent => BootResult::Agent,
        effect::BootResult::Disk => BootResult::Disk,
        effect::BootResult::Live => BootResult::Live,
        effect::BootResult::Failed => BootResult::Failed,
    }
}
