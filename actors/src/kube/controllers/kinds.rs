//! The kinds that the controllers work on, found once for all.

use std::sync::{Arc, LazyLock};

use crate::kube::resource::{BUILT_IN, Resource};
use crate::kube::store::{Change, Store};

/// Kinds that are always there.
pub(crate) struct Kinds {
    pub(crate) certificate_requests: Arc<Resource>,
    pub(crate) cluster_roles: Arc<Resource>,
    pub(crate) config_maps: Arc<Resource>,
    pub(crate) controller_revisions: Arc<Resource>,
    pub(crate) cron_jobs: Arc<Resource>,
    pub(crate) custom_resource_definitions: Arc<Resource>,
    pub(crate) daemon_sets: Arc<Resource>,
    pub(crate) deployments: Arc<Resource>,
    pub(crate) disruption_budgets: Arc<Resource>,
    pub(crate) endpoint_slices: Arc<Resource>,
    pub(crate) endpoints: Arc<Resource>,
    pub(crate) events: Arc<Resource>,
    pub(crate) jobs: Arc<Resource>,
    pub(crate) leases: Arc<Resource>,
    pub(crate) namespaces: Arc<Resource>,
    pub(crate) nodes: Arc<Resource>,
    pub(crate) pods: Arc<Resource>,
    pub(crate) priority_classes: Arc<Resource>,
    pub(crate) replica_sets: Arc<Resource>,
    pub(crate) replication_controllers: Arc<Resource>,
    pub(crate) resource_quotas: Arc<Resource>,
    pub(crate) secrets: Arc<Resource>,
    pub(crate) service_accounts: Arc<Resource>,
    pub(crate) services: Arc<Resource>,
    pub(crate) stateful_sets: Arc<Resource>,
    pub(crate) storage_classes: Arc<Resource>,
    pub(crate) volume_claims: Arc<Resource>,
    pub(crate) volumes: Arc<Resource>,
}

/// The kinds of every cluster.
pub(crate) static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let find = |group: &str, plural: &str| {
        let found = BUILT_IN.iter().find(|resource| resource.is(group, plural));
        Arc::clone(found.expect("a row of the table of built-in resources"))
    };
    Kinds {
        certificate_requests: find("certificates.k8s.io", "certificatesigningrequests"),
        cluster_roles: find("rbac.authorization.k8s.io", "clusterroles"),
        config_maps: find("", "configmaps"),
        controller_revisions: find("apps", "controllerrevisions"),
        cron_jobs: find("batch", "cronjobs"),
        custom_resource_definitions: find("apiextensions.k8s.io", "customresourcedefinitions"),
        daemon_sets: find("apps", "daemonsets"),
        deployments: find("apps", "deployments"),
        disruption_budgets: find("policy", "poddisruptionbudgets"),
        endpoint_slices: find("discovery.k8s.io", "endpointslices"),
        endpoints: find("", "endpoints"),
        events: find("", "events"),
        jobs: find("batch", "jobs"),
        leases: find("coordination.k8s.io", "leases"),
        namespaces: find("", "namespaces"),
        nodes: find("", "nodes"),
        pods: find("", "pods"),
        priority_classes: find("scheduling.k8s.io", "priorityclasses"),
        replica_sets: find("apps", "replicasets"),
        replication_controllers: find("", "replicationcontrollers"),
        resource_quotas: find("", "resourcequotas"),
        secrets: find("", "secrets"),
        service_accounts: find("", "serviceaccounts"),
        services: find("", "services"),
        stateful_sets: find("apps", "statefulsets"),
        storage_classes: find("storage.k8s.io", "storageclasses"),
        volume_claims: find("", "persistentvolumeclaims"),
        volumes: find("", "persistentvolumes"),
    }
});

/// Whether the change is about an object of that kind.
pub(crate) fn about(change: &Change, resource: &Resource) -> bool {
    change.resource == resource.home
}

/// Whether the namespace is there and not going away.
pub(crate) fn is_active(store: &Store, namespace: &str) -> bool {
    store
        .find(&KINDS.namespaces, None, namespace)
        .is_some_and(|namespace| !namespace.is_terminating())
}
