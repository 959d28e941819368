//! Refusals of the shell in the words of an API server.

use metalsim_actors::kube::status::Status;
use metalsim_actors::shell::ClusterError;

/// What a client is told when a cluster gives no answer.
#[must_use]
pub fn cluster_status(error: ClusterError) -> Status {
    match error {
        ClusterError::Busy => {
            Status::too_many_requests("too many requests, please try again later.").retry_after(1)
        }
        ClusterError::Fault => Status::internal("a fault of the simulator was caught; nothing was changed"),
        ClusterError::Gone => Status::internal("the cluster is gone"),
    }
}
