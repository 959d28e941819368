//! The controllers of a cluster, one file (or folder) each, and what they share.

pub(crate) mod conditions;
pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod events;
pub(crate) mod kinds;
pub mod job;
pub mod kubelet;
pub mod kubelet_node;
pub mod node_ipam;
pub(crate) mod placement;
pub mod pods;
pub mod replica_set;
pub(crate) mod revisions;
pub mod scheduler;
pub mod stateful_set;
#[cfg(test)]
pub(crate) mod testing;
pub mod workload;

use super::controller::Controller;

/// All controllers, in the order in which they are shown a change.
pub static ALL: &[&dyn Controller] = &[
    &events::Expiry,
    &deployment::Deployments,
    &replica_set::ReplicaSets,
    &replica_set::ReplicationControllers,
    &daemon_set::DaemonSets,
    &stateful_set::StatefulSets,
    &cron_job::CronJobs,
    &job::Jobs,
    &scheduler::Scheduler,
    &kubelet::Pods,
    &kubelet_node::KubeletNode,
    &node_ipam::NodeIpam,
];
