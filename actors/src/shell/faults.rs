//! Faults of what a node asks for outside: calls to Ironic and boot media that are late, lost or refused on their way.

use std::sync::Arc;
use std::time::Duration;

use super::handle::NodeRef;
use crate::fault::words::{IronicCall as Word, MediaDamage, Unreachable};
use crate::fault::{Site, SiteKind, What};
use crate::node::effect::{
    BootFailure, BootImage, BootRequest, CallError, CallKind, IronicCall, IronicRequest, Outcome,
};
use crate::ports::LocalFuture;
use crate::time::SimInstant;

/// Simulated time after which a call that nobody answers is given up (ironic-python-agent: `ironic_api_client.py`,
/// `REQUEST_TIMEOUT`, 30 s). A call that really is made has a real time-out: that of the settings.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Simulated time after which firmware gives up a server that does not answer.
const MEDIUM_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes a call to Ironic that left the node at `at`, unless a fault keeps it from getting there.
pub(super) fn call(node: &Arc<NodeRef>, at: SimInstant, request: Box<IronicRequest>) -> LocalFuture<Outcome> {
    let kind = kind(&request.call);
    let mut delay = Duration::ZERO;
    let mut failed = None;
    for struck in node.strike_all_at(at, Site::IronicCall { call: word(kind) }) {
        match &struck.what {
            What::IronicSlow { delay: late, .. } => {
                delay += node.real_time(late.draw(struck.seed.child("delay")));
            }
            What::IronicStatus { status, .. } if failed.is_none() => {
                failed = Some(CallError::Status(status.get()));
            }
            What::IronicUnreachable { how, .. } if failed.is_none() => {
                failed = Some(CallError::Connection);
                if matches!(how, Unreachable::Drop | Unreachable::Hang) {
                    delay += node.real_time(TIMEOUT);
                }
            }
            _ => {}
        }
    }
    if failed.is_none() && kind == CallKind::Heartbeat {
        match node
            .strike_at(at, Site::Plain(SiteKind::AgentHeartbeat))
            .map(|struck| struck.what)
        {
            Some(What::AgentLosesHeartbeats {}) => return Box::pin(async { Outcome::Beat(Ok(())) }),
            Some(What::AgentWrongToken {}) => return wrong_token(node, request, delay),
            _ => {}
        }
    }
    if delay.is_zero() && failed.is_none() {
        return node.services().ironic.call(node.identity().id, *request);
    }
    let node = Arc::clone(node);
    Box::pin(async move {
        match failed {
            Some(error) => {
                actix::clock::sleep(delay).await;
                outcome(kind, error)
            }
            // Its answer arrives late; Ironic got the call at once.
            None => {
                let outcome = node.services().ironic.call(node.identity().id, *request).await;
                actix::clock::sleep(delay).await;
                outcome
            }
        }
    })
}

fn wrong_token(
    node: &Arc<NodeRef>,
    mut request: Box<IronicRequest>,
    delay: Duration,
) -> LocalFuture<Outcome> {
    if let IronicCall::Heartbeat { body, .. } = &mut request.call {
        body.agent_token = Some("not-the-token-that-was-given".into());
    }
    let node = Arc::clone(node);
    Box::pin(async move {
        let outcome = node.services().ironic.call(node.identity().id, *request).await;
        actix::clock::sleep(delay).await;
        outcome
    })
}

/// Reads a boot medium that the firmware asked for at `at`, unless a fault keeps it from it.
pub(super) fn resolve(
    node: &Arc<NodeRef>,
    at: SimInstant,
    request: Box<BootRequest>,
) -> LocalFuture<Result<BootImage, BootFailure>> {
    let mut delay = Duration::ZERO;
    let mut failed: Option<&str> = None;
    for struck in node.strike_all_at(at, Site::Plain(SiteKind::BootMedia)) {
        match &struck.what {
            What::BootMediaSlow { delay: late } => {
                delay += node.real_time(late.draw(struck.seed.child("delay")));
            }
            What::BootMediaUnreachable { how } if failed.is_none() => {
                failed = Some("the server cannot be reached");
                if matches!(how, Unreachable::Drop | Unreachable::Hang) {
                    delay += node.real_time(MEDIUM_TIMEOUT);
                }
            }
            What::BootMediaCorrupt { how } if failed.is_none() => {
                failed = Some(match how {
                    MediaDamage::Truncated => "the medium ends too early",
                    MediaDamage::Noise => "the medium holds no file system",
                });
            }
            _ => {}
        }
    }
    if delay.is_zero() && failed.is_none() {
        return node.services().boot_media.resolve(node.identity().id, *request);
    }
    let node = Arc::clone(node);
    Box::pin(async move {
        actix::clock::sleep(delay).await;
        match failed {
            Some(why) => Err(BootFailure(why.into())),
            None => {
                node.services()
                    .boot_media
                    .resolve(node.identity().id, *request)
                    .await
            }
        }
    })
}

fn kind(call: &IronicCall) -> CallKind {
    match call {
        IronicCall::Inspect { .. } => CallKind::Inspect,
        IronicCall::Discover { .. } => CallKind::Discover,
        IronicCall::Lookup { .. } => CallKind::Lookup,
        IronicCall::Heartbeat { .. } => CallKind::Heartbeat,
    }
}

fn word(kind: CallKind) -> Word {
    match kind {
        CallKind::Inspect => Word::Inspect,
        CallKind::Discover => Word::Discover,
        CallKind::Lookup => Word::Lookup,
        CallKind::Heartbeat => Word::Heartbeat,
    }
}

fn outcome(kind: CallKind, error: CallError) -> Outcome {
    match kind {
        CallKind::Inspect => Outcome::Inspected(Err(error)),
        CallKind::Discover => Outcome::Discovered(Err(error)),
        CallKind::Lookup => Outcome::LookedUp(Err(error)),
        CallKind::Heartbeat => Outcome::Beat(Err(error)),
    }
}
