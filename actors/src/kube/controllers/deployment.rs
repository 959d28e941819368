//! Deployments: ReplicaSets that take turns (kubernetes: `pkg/controller/deployment`).

mod progress;
mod rollout;
mod scaling;
mod sets;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::events::EventType;
use super::kinds::KINDS;
use super::workload::{
    self, Claim, Condition, Reporter, bounded, is_zero, now_text, read_key, scaled, selector_of,
};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Store};

use rollout::Rollout;

/// The controller's name in events.
const COMPONENT: &str = "deployment-controller";
/// Number of the rollout, on Deployments and ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Earlier numbers of a ReplicaSet that was rolled back to.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Replicas that the Deployment wanted when it last scaled the ReplicaSet.
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The most replicas that the Deployment allowed then.
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Label that tells the ReplicaSets of a Deployment apart.
const HASH_LABEL: &str = "pod-template-hash";
/// A deadline or limit that is none.
const UNLIMITED: i64 = i32::MAX as i64;

/// The controller of Deployments.
#[derive(Debug)]
pub struct Deployments;

/// What the controller reads of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: i64,
    min_ready_seconds: i64,
    revision_history_limit: Option<i64>,
    progress_deadline_seconds: Option<i64>,
    paused: bool,
    strategy: Strategy,
    selector: Value,
    template: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Strategy {
    #[serde(rename = "type")]
    kind: String,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingUpdate {
    max_unavailable: Value,
    max_surge: Value,
}

impl Spec {
    fn is_rolling(&self) -> bool {
        self.strategy.kind != "Recreate"
    }

    /// `maxSurge` and `maxUnavailable` as numbers; they cannot both be zero.
    fn fences(&self) -> (i64, i64) {
        let rolling = self.strategy.rolling_update.clone().unwrap_or_default();
        let surge = scaled(&rolling.max_surge, self.replicas, true).unwrap_or(0);
        let unavailable = scaled(&rolling.max_unavailable, self.replicas, false).unwrap_or(0);
        if surge == 0 && unavailable == 0 {
            (0, 1)
        } else {
            (surge, unavailable)
        }
    }

    /// Pods that there may be beyond the wanted ones.
    fn max_surge(&self) -> i64 {
        if self.is_rolling() { self.fences().0 } else { 0 }
    }

    /// Pods that may be missing.
    fn max_unavailable(&self) -> i64 {
        if !self.is_rolling() || self.replicas == 0 {
            return 0;
        }
        self.fences().1.min(self.replicas)
    }

    /// Seconds after which a rollout without progress has failed.
    fn deadline(&self) -> Option<i64> {
        self.progress_deadline_seconds
            .filter(|seconds| *seconds != UNLIMITED)
    }
}

/// `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentStatus {
    #[serde(skip_serializing_if = "is_zero")]
    observed_generation: i64,
    #[serde(skip_serializing_if = "is_zero")]
    replicas: i64,
    #[serde(skip_serializing_if = "is_zero")]
    updated_replicas: i64,
    #[serde(skip_serializing_if = "is_zero")]
    ready_replicas: i64,
    #[serde(skip_serializing_if = "is_zero")]
    available_replicas: i64,
    #[serde(skip_serializing_if = "is_zero")]
    unavailable_replicas: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collision_count: Option<i64>,
}

impl DeploymentStatus {
    /// Writes a condition; what says the same already stays (kubernetes: `pkg/controller/deployment/util`, `SetDeploymentCondition`).
    fn set(
        &mut self,
        kind: &str,
        status: &str,
        reason: &str,
        message: impl Into<String>,
        context: &Context<'_>,
    ) {
        let now = now_text(context);
        let mut new = Condition::new(kind, status, reason, message, &now);
        new.last_update_time = Some(now);
        if let Some(old) = workload::condition(&self.conditions, kind) {
            if old.status == status && old.reason == reason {
                return;
            }
            if old.status == status {
                new.last_transition_time.clone_from(&old.last_transition_time);
            }
        }
        self.remove(kind);
        self.conditions.push(new);
    }

    fn remove(&mut self, kind: &str) {
        self.conditions.retain(|condition| condition.kind != kind);
    }

    fn progressing(&self) -> Option<&Condition> {
        workload::condition(&self.conditions, "Progressing")
    }
}

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        workload::observe(store, change, &KINDS.deployments, &[&KINDS.replica_sets], look_at);
        // `Recreate` waits for the last pod to be gone.
        if change.resource == KINDS.pods.home
            && matches!(change.changed, Changed::Deleted(_))
            && let Some(deployment) = deployment_of_pod(store, &change.object)
        {
            look_at(deployment);
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let (name, adopt) = read_key(key);
        let resource = &KINDS.deployments;
        let Some(object) = store.find(resource, key.namespace(), name).cloned() else {
            return Ok(None);
        };
        let (Some(mut spec), Some(selector)) = (object.read::<Spec>("spec"), selector_of(resource, &object))
        else {
            return Ok(None);
        };
        spec.replicas = bounded(spec.replicas);
        if selector.is_empty() {
            let reporter = Reporter {
                component: COMPONENT,
                resource,
                object: &object,
            };
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            reporter.event(store, context, EventType::Warning, "SelectingAll", message);
            return Ok(None);
        }
        let claim = Claim {
            owner_kind: resource,
            owner: &object,
            kind: &KINDS.replica_sets,
            selector: &selector,
            adopt,
        };
        let sets = claim.settle(store, context, |_| true)?;
        Rollout::new(store, context, object, spec, &sets).run()
    }
}

/// The Deployment behind the ReplicaSet that manages a pod.
fn deployment_of_pod(store: &Store, pod: &Object) -> Option<Key> {
    let owner = pod.controller().filter(|owner| owner.kind == "ReplicaSet")?;
    let set = store.find(&KINDS.replica_sets, pod.namespace(), &owner.name)?;
    let deployment = set.controller().filter(|owner| owner.kind == "Deployment")?;
    Some(Key::new(pod.namespace(), &deployment.name))
}

#[cfg(test)]
mod tests;
