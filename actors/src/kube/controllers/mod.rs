//! The controllers of a cluster, one file (or folder) each, and what they share.

pub(crate) mod conditions;
pub mod events;
pub(crate) mod kinds;
pub mod kubelet;
pub mod kubelet_node;
pub mod node_ipam;
pub mod node_lifecycle;
pub mod pod_gc;
pub mod pod_log;
pub mod pods;
pub mod replica_set;
pub mod taint_eviction;
pub mod taints;
#[cfg(test)]
pub(crate) mod testing;
pub mod workload;

use super::controller::Controller;

/// All controllers, in the order in which they are shown a change.
pub static ALL: &[&dyn Controller] = &[
    &events::Expiry,
    &replica_set::ReplicaSets,
    &replica_set::ReplicationControllers,
    &kubelet::Pods,
    &kubelet_node::KubeletNode,
    &node_ipam::NodeIpam,
    &node_lifecycle::NodeLifecycle,
    &taint_eviction::TaintEviction,
    &pod_gc::PodGc,
];
