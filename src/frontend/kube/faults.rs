//! Faults of API servers, as those see them who talk to one: no connection, late answers, errors.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use metalsim_actors::fault::words::{KubeVerb, Unreachable};
use metalsim_actors::fault::{Site, SiteKind, Struck, What};
use metalsim_actors::kube::resource::Resource;
use metalsim_actors::kube::status::Status;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::Peer;
use super::request::Action;
use crate::cluster::api_server::ApiServer;
use crate::frontend::connection::Connection;

/// Longest time for which a client is left without an answer. Clients give up long before.
const LONGEST_HANG: Duration = Duration::from_secs(600);

/// Somebody connects, or goes on to use a connection: how that fails, if it does.
pub(super) fn unreachable(server: &ApiServer) -> Option<Unreachable> {
    match server.cluster.strike(Site::Plain(SiteKind::ApiConnection)) {
        Some(Struck {
            what: What::ApiUnreachable { how },
            ..
        }) => Some(how),
        _ => None,
    }
}

/// Lets a connection be without an answer until the client gives up.
pub(super) async fn hold(mut stream: impl AsyncRead + Unpin) {
    let mut room = [0; 4096];
    let ended = async { while matches!(stream.read(&mut room).await, Ok(1..)) {} };
    // Whichever comes first.
    let _ended = tokio::time::timeout(LONGEST_HANG, ended).await;
}

/// The time after which no client waits any more.
pub(super) async fn wait() {
    tokio::time::sleep(LONGEST_HANG).await;
}

/// Whether a request still reaches the server. If not, this ends when the connection does. The first request of a connection does: it was
/// decided when that was made.
pub(super) async fn reaches(peer: &Peer, request: &HttpRequest) -> bool {
    if peer.fresh.replace(false) {
        return true;
    }
    let Some(how) = unreachable(&peer.server) else {
        return true;
    };
    if matches!(how, Unreachable::Drop | Unreachable::Hang) {
        wait().await;
    }
    if let Some(connection) = Connection::of(request) {
        connection.drop_unanswered();
    }
    false
}

/// A request that may be served: whether it is, and late.
///
/// # Errors
/// What it gets instead.
pub(super) async fn strike(
    server: &Arc<ApiServer>,
    verb: KubeVerb,
    resource: Option<&Resource>,
) -> Result<(), Status> {
    if !server.cluster.may_strike(SiteKind::ApiRequest) {
        return Ok(());
    }
    let name = resource.map(ToString::to_string).unwrap_or_default();
    let site = Site::ApiRequest {
        verb,
        resource: &name,
    };
    let mut instead = None;
    let mut late = Duration::ZERO;
    for struck in server.cluster.strike_all(site) {
        match &struck.what {
            What::ApiSlow { delay, .. } => {
                late += server.cluster.real_time(delay.draw(struck.seed.child("delay")));
            }
            What::ApiStatus { status, .. } if instead.is_none() => {
                instead = Some(Status::of_code(status.get()));
            }
            What::ApiTooManyRequests { retry_after, .. } if instead.is_none() => {
                let seconds = u32::try_from(retry_after.0.as_secs()).unwrap_or(u32::MAX);
                let status = Status::too_many_requests("Too many requests, please try again later.");
                instead = Some(status.retry_after(seconds));
            }
            _ => {}
        }
    }
    if !late.is_zero() {
        tokio::time::sleep(late).await;
    }
    instead.map_or(Ok(()), Err)
}

/// The word for what a request does.
pub(super) const fn verb(action: Action) -> KubeVerb {
    match action {
        Action::Get => KubeVerb::Get,
        Action::List => KubeVerb::List,
        Action::Watch => KubeVerb::Watch,
        Action::Create => KubeVerb::Create,
        Action::Update => KubeVerb::Update,
        Action::Patch => KubeVerb::Patch,
        Action::Delete => KubeVerb::Delete,
        Action::DeleteCollection => KubeVerb::DeleteCollection,
    }
}
