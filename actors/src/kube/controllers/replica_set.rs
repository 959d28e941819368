//! ReplicaSets and ReplicationControllers: so many pods of a template (kubernetes: `pkg/controller/replicaset/replica_set.go`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kinds::KINDS;
use super::pods::{self, Candidate, Pod, PodName};
use super::workload::{
    self, Claim, Condition, Reporter, bounded, condition, count, is_zero, now_text, read_key, selector_of,
    tree, write_status,
};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::resource::Resource;
use crate::kube::status::Status;
use crate::kube::store::{Change, Store, node_of};

/// Pods that one look makes or deletes at most.
const BURST: usize = 500;

/// The controller of ReplicaSets.
#[derive(Debug)]
pub struct ReplicaSets;

/// The controller of ReplicationControllers.
#[derive(Debug)]
pub struct ReplicationControllers;

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        workload::observe(store, change, &KINDS.replica_sets, &[&KINDS.pods], look_at);
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        sync(store, key, context, &KINDS.replica_sets, self.name())
    }
}

impl Controller for ReplicationControllers {
    fn name(&self) -> &'static str {
        "replication-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        workload::observe(
            store,
            change,
            &KINDS.replication_controllers,
            &[&KINDS.pods],
            look_at,
        );
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        sync(store, key, context, &KINDS.replication_controllers, self.name())
    }
}

/// What the controller reads of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Pods that are wanted.
    pub replicas: i64,
    /// Seconds that a pod must be ready to be available.
    pub min_ready_seconds: i64,
}

/// `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaStatus {
    /// Pods.
    pub replicas: i64,
    /// Pods that have all labels of the template.
    #[serde(skip_serializing_if = "is_zero")]
    pub fully_labeled_replicas: i64,
    /// Ready pods.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i64,
    /// Pods that have been ready for long enough.
    #[serde(skip_serializing_if = "is_zero")]
    pub available_replicas: i64,
    /// Generation that the status is about.
    #[serde(skip_serializing_if = "is_zero")]
    pub observed_generation: i64,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

fn sync(
    store: &mut Store,
    key: &Key,
    context: &Context<'_>,
    resource: &Arc<Resource>,
    component: &str,
) -> Result<Option<Duration>, Status> {
    let (name, adopt) = read_key(key);
    let Some(set) = store.find(resource, key.namespace(), name).cloned() else {
        return Ok(None);
    };
    let (Some(spec), Some(selector)) = (set.read::<Spec>("spec"), selector_of(resource, &set)) else {
        return Ok(None);
    };
    let claim = Claim {
        owner_kind: resource,
        owner: &set,
        kind: &KINDS.pods,
        selector: &selector,
        adopt,
    };
    let mut active: Vec<Pod> = claim
        .settle(store, context, |_| true)?
        .iter()
        .map(Pod::of)
        .filter(Pod::is_active)
        .collect();
    let wanted = usize::try_from(bounded(spec.replicas)).unwrap_or(0);
    let present = active.len();
    let mut failed = Ok(());
    if !set.is_terminating() {
        let reporter = Reporter {
            component,
            resource,
            object: &set,
        };
        if present < wanted {
            failed = create(
                &reporter,
                store,
                context,
                wanted.saturating_sub(present),
                &mut active,
            );
        } else if present > wanted {
            let surplus = present.saturating_sub(wanted);
            let (keep, go) = choose(store, context, &set, active, surplus);
            active = keep;
            failed = pods::delete_all(&reporter, store, context, &go);
        }
    }
    let status = status_of(&set, &spec, &active, wanted.cmp(&present), &failed, context);
    let waiting = status.ready_replicas > status.available_replicas;
    write_status(store, context, resource, &set, tree(&status))?;
    failed?;
    let soonest = waiting.then(|| {
        active
            .iter()
            .filter_map(|pod| pod.available_in(spec.min_ready_seconds, context.now))
            .filter(|wait| !wait.is_zero())
            .min()
    });
    Ok(soonest.flatten())
}

fn create(
    reporter: &Reporter<'_>,
    store: &mut Store,
    context: &Context<'_>,
    missing: usize,
    active: &mut Vec<Pod>,
) -> Result<(), Status> {
    let template = pods::template_of(reporter.object);
    let prefix = pods::prefix(reporter.object.name());
    for _ in 0..missing.min(BURST) {
        let body = pods::owned(
            &template,
            PodName::Prefix(&prefix),
            reporter.resource,
            reporter.object,
        );
        match reporter.create_pod(store, context, body) {
            Ok(pod) => active.push(Pod::of(&pod)),
            // Nothing to do any more.
            Err(status) if workload::namespace_ends(&status) => return Ok(()),
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

/// Which pods stay and which go.
fn choose(
    store: &Store,
    context: &Context<'_>,
    set: &Object,
    active: Vec<Pod>,
    surplus: usize,
) -> (Vec<Pod>, Vec<Pod>) {
    // Pods of all ReplicaSets of one Deployment are related.
    let mut per_node: BTreeMap<String, usize> = BTreeMap::new();
    let siblings = match set.controller() {
        Some(owner) => uuid::Uuid::parse_str(&owner.uid)
            .map(|owner| {
                store
                    .dependents_of(owner)
                    .filter(|(id, _)| *id == KINDS.replica_sets.home)
                    .map(|(_, sibling)| Arc::clone(sibling))
                    .collect()
            })
            .unwrap_or_default(),
        None => Vec::new(),
    };
    let mut add = |pod: &Arc<Object>| {
        let count = per_node.entry(node_of(pod)).or_default();
        *count = count.saturating_add(1);
    };
    if siblings.is_empty() {
        active.iter().for_each(|pod| add(&pod.object));
    }
    for sibling in siblings {
        let pods = workload::managed(store, &sibling, &KINDS.pods);
        pods.iter()
            .filter(|pod| Pod::of(pod).is_active())
            .for_each(&mut add);
    }
    let mut candidates: Vec<Candidate> = active
        .into_iter()
        .map(|pod| {
            let rank = per_node.get(&node_of(&pod.object)).copied().unwrap_or(0);
            Candidate::new(pod, rank)
        })
        .collect();
    candidates.sort_by(|one, two| one.compare(two, context.now));
    let mut going: Vec<Pod> = candidates.into_iter().map(Candidate::into_pod).collect();
    let staying = going.split_off(surplus.min(BURST).min(going.len()));
    (staying, going)
}

fn status_of(
    set: &Object,
    spec: &Spec,
    active: &[Pod],
    direction: std::cmp::Ordering,
    outcome: &Result<(), Status>,
    context: &Context<'_>,
) -> ReplicaStatus {
    let before: ReplicaStatus = set.read("status").unwrap_or_default();
    let template = pods::template_of(set);
    let labels = template
        .get("metadata")
        .and_then(|metadata| metadata.get("labels"))
        .and_then(serde_json::Value::as_object);
    let fully_labeled = |pod: &&Pod| {
        labels
            .into_iter()
            .flatten()
            .all(|(key, value)| pod.object.label(key) == value.as_str())
    };
    let mut conditions = before.conditions;
    let kind = "ReplicaFailure";
    match outcome {
        Err(status) if condition(&conditions, kind).is_none() => {
            let reason = if direction.is_gt() {
                "FailedCreate"
            } else {
                "FailedDelete"
            };
            let now = now_text(context);
            conditions.push(Condition::new(kind, "True", reason, status.message.clone(), &now));
        }
        Err(_) => {}
        Ok(()) => conditions.retain(|condition| condition.kind != kind),
    }
    let available = |pod: &&Pod| pod.is_available(spec.min_ready_seconds, context.now);
    ReplicaStatus {
        replicas: count(active.len()),
        fully_labeled_replicas: count(active.iter().filter(fully_labeled).count()),
        ready_replicas: count(active.iter().filter(|pod| pod.is_ready()).count()),
        available_replicas: count(active.iter().filter(available).count()),
        observed_generation: before.observed_generation.max(set.generation),
        conditions,
    }
}

#[cfg(test)]
mod tests;
