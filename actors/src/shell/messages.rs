//! Messages between the shells.

use actix::Message;
use tokio::sync::oneshot;

use super::handle::Permit;
use crate::node::{Event, Node, Refused, Reply};
use crate::time::SimInstant;

/// Why a node gave no reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// The node refused.
    Refused(Refused),
    /// A bug was caught; the node is as it was.
    Fault,
}

/// An event for a node. The answer goes to `reply`, at once or, with `wait`, when the agent's command has ended; it is
/// dropped if that cannot happen any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Apply {
    pub(super) event: Event,
    /// Hold the answer back until the command that the event begins, or names, has ended.
    pub(super) wait: bool,
    pub(super) reply: oneshot::Sender<Result<Reply, Failure>>,
    /// Returns when the event is dealt with, whether or not anybody still waits for the answer. A request that waits
    /// for the end of a command holds none: those are bounded by number.
    pub(super) permit: Permit,
}

/// The faults in force are others. At most one of these waits in a mailbox.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct FaultsChanged;

/// Ends the actor. The sender is dropped when it is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Kill {
    pub(super) gone: oneshot::Sender<()>,
    pub(super) permit: Permit,
}

/// Looks at a node. The closure carries its own way of answering.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Look(pub(super) Reader);

/// What looks at a node.
pub(super) type Reader = Box<dyn FnOnce(&Node, SimInstant) + Send>;
