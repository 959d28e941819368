//! The built-in resources that controllers work with: the same, with the same numbers, in all clusters.

use std::sync::{Arc, LazyLock};

use crate::kube::resource::{BUILT_IN, Resource};

/// The resources by name.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are the resources' own")]
pub struct Kinds {
    pub pods: Arc<Resource>,
    pub nodes: Arc<Resource>,
    pub persistent_volume_claims: Arc<Resource>,
    pub replication_controllers: Arc<Resource>,
    pub deployments: Arc<Resource>,
    pub replica_sets: Arc<Resource>,
    pub daemon_sets: Arc<Resource>,
    pub stateful_sets: Arc<Resource>,
    pub controller_revisions: Arc<Resource>,
    pub jobs: Arc<Resource>,
    pub cron_jobs: Arc<Resource>,
}

/// The one instance.
pub static KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds {
    pods: find("", "pods"),
    nodes: find("", "nodes"),
    persistent_volume_claims: find("", "persistentvolumeclaims"),
    replication_controllers: find("", "replicationcontrollers"),
    deployments: find("apps", "deployments"),
    replica_sets: find("apps", "replicasets"),
    daemon_sets: find("apps", "daemonsets"),
    stateful_sets: find("apps", "statefulsets"),
    controller_revisions: find("apps", "controllerrevisions"),
    jobs: find("batch", "jobs"),
    cron_jobs: find("batch", "cronjobs"),
});

fn find(group: &str, plural: &str) -> Arc<Resource> {
    BUILT_IN
        .iter()
        .find(|resource| resource.is(group, plural))
        .cloned()
        .expect("the table of built-in resources has all that controllers need")
}
