//! What nodes and clusters tell, as events. The one place that knows both forms.

use std::sync::{Arc, OnceLock};

use dashmap::DashSet;
use metalsim_actors::ids::NodeId;
use metalsim_actors::node::bmc::PowerState;
use metalsim_actors::node::effect::{self, CallError, CallKind, Record};
use metalsim_actors::node::phase::Phase;
use metalsim_actors::node::Identity;
use metalsim_actors::ports::{Recorder, ShellEvent};

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

    fn call(&self, id: NodeId, kind: CallKind, result: Result<(), CallError>) {
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
        self.log.publish(Happening::Call {
            node: self.name(id),
            call: call(kind),
            result: call_result(result),
            status: match result {
                Err(CallError::Status(status)) => Some(status),
                Ok(()) | Err(CallError::Connection | CallError::Body) => None,
            },
        });
    }
}

impl Recorder for EventRecorder {
    fn record(&self, node: NodeId, record: Record) {
        match record {
            Record::Call(kind, result) => self.call(node, kind, result),
            Record::Command(command, status) => self.log.publish(Happening::Command {
                node: self.name(node),
                command: command.full().into(),
                status,
            }),
            Record::Boot(target, result) => self.log.publish(Happening::Boot {
                node: self.name(node),
                target,
                result: boot_result(result),
            }),
        }
        self.next.record(node, record);
    }

    fn phase(&self, node: NodeId, from: Option<Phase>, to: Phase) {
        self.next.phase(node, from, to);
        self.log.publish(Happening::NodePhase {
            node: self.name(node),
            from,
            to,
            epoch: 0,
            cause: if from.is_none() { Cause::Start } else { Cause::Time },
            by: None,
        });
    }

    fn power(&self, node: NodeId, from: Option<PowerState>, to: PowerState) {
        self.next.power(node, from, to);
        // At the start the phase tells it all.
        if from.is_some() {
            self.log.publish(Happening::NodePower {
                node: self.name(node),
                from,
                to,
            });
        }
    }

    fn shell(&self, event: ShellEvent) {
        self.next.shell(event);
        if event == ShellEvent::StepPanicked {
            self.log.publish(Happening::ActorPanicked {
                node: None,
                cluster: None,
            });
        }
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
