//! What becomes of the effects of an actor that dies: they failed, as far as the node can know.

use std::sync::Arc;

use crate::node::effect::{BootFailure, CallError, Effect, FetchFailure, IronicCall, Outcome};
use crate::node::os::membership::BootstrapFailure;

/// Why an effect has no outcome.
const WHY: &str = "the simulator lost track of it";

/// Stands for an effect that has not come back.
#[derive(Debug)]
pub(super) enum Lost {
    /// It has failed like this.
    Failed(Outcome),
    /// It cannot fail, so it is done again.
    Again(Arc<str>),
}

impl Lost {
    /// Of an effect that is about to be started; none: nothing comes back from it.
    pub(super) fn of(effect: &Effect) -> Option<Self> {
        let why = || WHY.into();
        Some(Self::Failed(match effect {
            Effect::Record(_) => return None,
            Effect::ReadConfigDrive(drive) => return Some(Self::Again(Arc::clone(drive))),
            Effect::ResolveBoot(_) => Outcome::Boot(Err(BootFailure(why()))),
            Effect::FetchConfigDrive { command, url, .. } => Outcome::ConfigDriveFetched {
                command: *command,
                url: Arc::clone(url),
                result: Err(FetchFailure(why())),
            },
            Effect::Bootstrap { .. } => Outcome::Bootstrapped(Err(BootstrapFailure {
                why: why(),
                again: true,
            })),
            Effect::Ironic(request) => match request.call {
                IronicCall::Inspect { .. } => Outcome::Inspected(Err(CallError::Connection)),
                IronicCall::Discover { .. } => Outcome::Discovered(Err(CallError::Connection)),
                IronicCall::Lookup { .. } => Outcome::LookedUp(Err(CallError::Connection)),
                IronicCall::Heartbeat { .. } => Outcome::Beat(Err(CallError::Connection)),
            },
        }))
    }
}
