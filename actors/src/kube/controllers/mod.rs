//! The controllers of a cluster, one file (or folder) each, and what they share.

pub mod bootstrap_tokens;
pub mod certificate_requests;
pub mod cluster_role_aggregation;
pub(crate) mod conditions;
pub mod cron_job;
pub mod custom_resources;
pub mod daemon_set;
pub mod deployment;
pub mod disruption;
pub mod endpoint_mirrors;
pub mod endpoint_slices;
pub mod endpoints;
pub mod events;
pub mod eviction;
pub mod garbage;
pub mod job;
pub(crate) mod kinds;
pub mod kubelet;
pub mod kubelet_node;
pub mod namespaces;
pub mod node_ipam;
pub mod node_lifecycle;
pub mod persistent_volumes;
pub(crate) mod placement;
pub mod pod_gc;
pub mod pod_log;
pub mod pods;
pub mod replica_set;
pub mod resource_quota;
pub(crate) mod revisions;
pub mod root_ca;
pub mod scheduler;
pub mod service_accounts;
mod service_pods;
pub mod stateful_set;
pub mod taint_eviction;
pub mod taints;
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
    &endpoints::EndpointObjects,
    &endpoint_slices::EndpointSlices,
    &endpoint_mirrors::EndpointMirrors,
    &service_accounts::ServiceAccounts,
    &service_accounts::ServiceAccountTokens,
    &root_ca::RootCa,
    &bootstrap_tokens::TokenCleaner,
    &bootstrap_tokens::BootstrapSigner,
    &disruption::Budgets,
    &disruption::StaleDisruptions,
    &garbage::Garbage,
    &namespaces::Namespaces,
    &node_lifecycle::NodeLifecycle,
    &taint_eviction::TaintEviction,
    &pod_gc::PodGc,
    &cluster_role_aggregation::ClusterRoleAggregation,
    &custom_resources::CustomResources,
    &resource_quota::ResourceQuotas,
    &certificate_requests::CertificateApprover,
    &certificate_requests::CertificateCleaner,
    &persistent_volumes::VolumeClaims,
    &persistent_volumes::Volumes,
];
