//! What the shell may call outside. Implemented by the program, and by the test kit.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::NodeId;
use crate::node::affliction::{EtcdAffliction, KubeletAffliction};
use crate::node::bmc::PowerState;
use crate::node::effect::{
    AgentParameters, BootFailure, BootImage, BootRequest, FaultHit, FetchFailure, IronicRequest, Outcome,
    PhaseChange, Record,
};
use crate::node::os::description::SystemDescription;
use crate::node::os::membership::{BootstrapFailure, Machine, Membership};
use crate::time::SimInstant;

/// A future that stays on its thread.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// Calls to Ironic. Implementations bound the calls in flight, time out and never panic.
pub trait Ironic: Send + Sync + 'static {
    /// Makes the call. The outcome is of the kind that belongs to the call.
    fn call(&self, node: NodeId, request: IronicRequest) -> LocalFuture<Outcome>;
}

/// Boot media: finds out what is on a boot target.
pub trait BootMedia: Send + Sync + 'static {
    /// Reads the target.
    fn resolve(&self, node: NodeId, request: BootRequest) -> LocalFuture<Result<BootImage, BootFailure>>;
}

/// Config drives: what an installed system starts from.
pub trait ConfigDrives: Send + Sync + 'static {
    /// Fetches a config drive: base64 text as it is, or bytes in base64.
    fn fetch(
        &self,
        node: NodeId,
        url: Arc<str>,
        parameters: Arc<AgentParameters>,
    ) -> LocalFuture<Result<Arc<str>, FetchFailure>>;

    /// Reads a config drive as it is on a disk. What is wrong with it is part of the description.
    fn read(&self, node: NodeId, config_drive: Arc<str>) -> LocalFuture<Arc<SystemDescription>>;
}

/// Clusters: what nodes form and join.
pub trait Clusters: Send + Sync + 'static {
    /// kubeadm at the first boot of an installed system. It succeeds with what is left on the disk; the kubelet does not
    /// run before [`Self::started`] is called. Dropping the future leaves things as they are, as a power failure does.
    fn bootstrap(
        &self,
        machine: Box<Machine>,
        description: Arc<SystemDescription>,
    ) -> LocalFuture<Result<Arc<Membership>, BootstrapFailure>>;

    /// The kubelet of a machine runs from now on, and with it the control plane of its node, if it has one.
    /// `goes_on`: it had only stood still, and has not booted since [`Self::stopped`].
    fn started(&self, node: NodeId, membership: &Arc<Membership>, goes_on: bool);

    /// Whatever a machine did in clusters has stopped; it may come back.
    fn stopped(&self, node: NodeId);

    /// What is wrong with the kubelet and the etcd member of a machine that runs as a node; none: nothing any more. With
    /// [`Self::stopped`] it is forgotten. Of a machine that starts it is told before [`Self::started`].
    fn afflicted(
        &self,
        node: NodeId,
        membership: &Arc<Membership>,
        kubelet: Option<Arc<KubeletAffliction>>,
        etcd: Option<Arc<EtcdAffliction>>,
    );

    /// The disk of a machine was erased: it does not come back as this member.
    fn erased(&self, node: NodeId, membership: &Arc<Membership>);
}

/// Counts and logs what happens. Called on the nodes' threads, so it must not block.
pub trait Recorder: Send + Sync + 'static {
    /// Something that a node reports, and when it happened.
    fn record(&self, node: NodeId, at: SimInstant, record: Record);

    /// A node's phase changed.
    fn phase(&self, node: NodeId, change: &PhaseChange);

    /// A fault struck.
    fn fault(&self, whom: Whom<'_>, hit: &FaultHit);

    /// A node's power state changed; `from` is `None` when it starts.
    fn power(&self, node: NodeId, from: Option<PowerState>, to: PowerState);

    /// Something went wrong, or almost, in the shell.
    fn shell(&self, event: ShellEvent);

    /// The condition Ready of a cluster's node has become true, or is true no more. Both by name.
    fn node_ready(&self, cluster: &str, node: &str, ready: bool);

    /// A step of an actor, or a look at it, panicked; it kept its last good state.
    fn panicked(&self, whom: Whom<'_>);
}

/// Whom a fault struck, or whose actor panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom<'a> {
    /// A node.
    Node(NodeId),
    /// A cluster, by its name.
    Cluster(&'a str),
}

/// What the shell itself counts and measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShellEvent {
    /// A result from an earlier epoch was dropped.
    StaleOutcome,
    /// A request found no permit.
    PermitRefused,
    /// A step panicked; the node kept its last good state.
    StepPanicked,
    /// A node was parked after repeated panics.
    NodeParked,
    /// An actor had died and was started again.
    ActorRestarted,
    /// The etcd of a cluster lost its quorum.
    QuorumLost,
    /// The leader of a cluster's etcd changed so often by itself.
    LeadersChanged(u64),
    /// A step of a node took this much real time, whatever came of it.
    Stepped(Duration),
    /// A node's timer was served; this much real time had passed since its deadline.
    TimerServed(Duration),
}
