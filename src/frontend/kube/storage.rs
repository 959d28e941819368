//! What a server answers while its etcd has no quorum, refuses to write, or is slow.
//!
//! A real server waits seven seconds for an etcd without quorum before it gives up; this one says it at once. Who asks is known from
//! certificates and from what the server remembers, so 401 and 403 are as ever, and so is what needs no storage: discovery, reviews, health.

use metalsim_actors::kube::etcd::Alarm;
use metalsim_actors::kube::status::Status;

use super::call::{Place, Server};
use super::request::Action;

/// Refuses reads and writes of objects without a quorum.
///
/// # Errors
/// 500 in the words of etcd (etcd: `api/v3rpc/rpctypes/error.go`, `ErrTimeout`).
pub(super) fn usable(server: &Server) -> Result<(), Status> {
    if server.cluster.read(|cluster| cluster.has_storage()) {
        Ok(())
    } else {
        Err(Status::behind("etcdserver: request timed out"))
    }
}

/// Refuses watches without a quorum: the cache that they read from lists anew until it can. Open ones end.
///
/// # Errors
/// 429 (kubernetes: `apiserver/pkg/storage/cacher`, `ready.go`).
pub(super) fn watchable(server: &Server) -> Result<(), Status> {
    usable(server).map_err(|_| Status::too_many_requests("storage is (re)initializing").retry_after(1))
}

/// Waits for a slow etcd before a write, and refuses it while etcd refuses: with the alarm `CORRUPT` everything, with `NOSPACE` all but the removal
/// of an object (etcd: `server/etcdserver/apply.go`, `applierV3Capped`, `applierV3Corrupt`). Dry runs write nothing.
///
/// # Errors
/// 500 in the words of etcd.
pub(super) async fn writable(
    server: &Server,
    place: &Place,
    action: Action,
    dry: bool,
) -> Result<(), Status> {
    if matches!(action, Action::Get | Action::List | Action::Watch) || dry || is_no_write(place) {
        return Ok(());
    }
    let late = server.behind.etcd_delay();
    if !late.is_zero() {
        tokio::time::sleep(late).await;
    }
    let Some(alarm) = server.cluster.read(|cluster| cluster.alarm()) else {
        return Ok(());
    };
    let removes = matches!(action, Action::Delete | Action::DeleteCollection) && goes_at_once(server, place);
    if alarm == Alarm::NoSpace && removes {
        return Ok(());
    }
    Err(Status::behind(alarm.refusal()))
}

/// What is asked with a write's method and changes no object.
fn is_no_write(place: &Place) -> bool {
    matches!(
        &*place.subresource,
        "token" | "exec" | "attach" | "portforward" | "proxy" | "log"
    )
}

/// Whether a deletion takes the object away: others are marked first, which is a write.
fn goes_at_once(server: &Server, place: &Place) -> bool {
    if place.resource.is("", "pods") || place.resource.is("", "namespaces") {
        return false;
    }
    server.cluster.read(|cluster| {
        let found = cluster
            .store
            .find(&place.resource, place.namespace.as_deref(), &place.name);
        found.is_none_or(|object| object.head.finalizers.is_empty())
    })
}
