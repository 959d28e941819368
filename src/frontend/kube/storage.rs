//! What a server answers while its etcd has no quorum.
//!
//! A real server waits seven seconds for etcd before it gives up; this one says it at once. Who asks is known from certificates and from
//! what the server remembers, so 401 and 403 are as ever, and so is what needs no storage: discovery, reviews, health.

use metalsim_actors::kube::status::Status;

use super::call::Server;

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
