//! StatefulSets: pods with names and claims of their own (kubernetes: `pkg/controller/statefulset`).

mod claims;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kinds::KINDS;
use super::pods::{self, Phase, Pod, PodName};
use super::revisions::{self, HASH_LABEL, History, Revisions};
use super::workload::{
    self, Claim, Condition, Reporter, bounded, count, is_zero, read_key, selector_of, template_map, tree,
    write_status,
};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::selector::LabelSelector;
use crate::kube::status::Status;
use crate::kube::store::{Change, Store};

use steps::Steps;

/// The controller's name in events.
const COMPONENT: &str = "statefulset-controller";
/// Label of pods: their own name.
const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// Label of pods: their number.
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";
/// Label of revisions.
const REVISION_LABEL: &str = "controller.kubernetes.io/hash";
/// Names that are tried for a revision in one look.
const ATTEMPTS: i64 = 8;

/// The controller of StatefulSets.
#[derive(Debug)]
pub struct StatefulSets;

/// What the controller reads of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: i64,
    min_ready_seconds: i64,
    revision_history_limit: Option<i64>,
    service_name: String,
    pod_management_policy: String,
    update_strategy: Strategy,
    volume_claim_templates: Vec<Value>,
    persistent_volume_claim_retention_policy: Retention,
    ordinals: Ordinals,
    selector: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Strategy {
    #[serde(rename = "type")]
    kind: String,
    rolling_update: RollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RollingUpdate {
    partition: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Retention {
    when_deleted: String,
    when_scaled: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ordinals {
    start: i64,
}

impl Spec {
    /// Whether the number is one of those that are to be.
    fn has(&self, ordinal: i64) -> bool {
        let start = self.ordinals.start;
        (start..start.saturating_add(self.replicas)).contains(&ordinal)
    }

    fn is_parallel(&self) -> bool {
        self.pod_management_policy == "Parallel"
    }

    fn is_rolling(&self) -> bool {
        self.update_strategy.kind != "OnDelete"
    }
}

/// `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SetStatus {
    #[serde(skip_serializing_if = "is_zero")]
    observed_generation: i64,
    replicas: i64,
    #[serde(skip_serializing_if = "is_zero")]
    ready_replicas: i64,
    #[serde(skip_serializing_if = "is_zero")]
    current_replicas: i64,
    #[serde(skip_serializing_if = "is_zero")]
    updated_replicas: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    current_revision: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    update_revision: String,
    collision_count: i64,
    available_replicas: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Condition>,
}

/// The number at the end of a pod's name, if the rest is the set's name.
fn ordinal(set: &str, pod: &str) -> Option<i64> {
    let number = pod.strip_prefix(set)?.strip_prefix('-')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<i32>().ok().filter(|_| digits).map(i64::from)
}

/// Whether a pod runs and is ready.
fn is_ready(pod: &Pod) -> bool {
    pod.phase == Phase::Running && pod.is_ready()
}

impl Controller for StatefulSets {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let kinds = [&*KINDS.pods, &*KINDS.controller_revisions];
        workload::observe(store, change, &KINDS.stateful_sets, &kinds, look_at);
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let (name, adopt) = read_key(key);
        let resource = &KINDS.stateful_sets;
        let Some(set) = store.find(resource, key.namespace(), name).cloned() else {
            return Ok(None);
        };
        let (Some(mut spec), Some(selector)) = (set.read::<Spec>("spec"), selector_of(resource, &set)) else {
            return Ok(None);
        };
        spec.replicas = bounded(spec.replicas);
        spec.ordinals.start = bounded(spec.ordinals.start);
        let before: SetStatus = set.read("status").unwrap_or_default();
        let (history, collisions) =
            history(store, context, &set, &selector, (adopt, before.collision_count))?;
        let claim = Claim {
            owner_kind: resource,
            owner: &set,
            kind: &KINDS.pods,
            selector: &selector,
            adopt,
        };
        let found = claim.settle(store, context, |pod| ordinal(set.name(), pod.name()).is_some())?;
        let current = history
            .old
            .iter()
            .find(|one| one.name() == before.current_revision)
            .unwrap_or(&history.update)
            .clone();
        let mut steps = Steps {
            reporter: Reporter {
                component: COMPONENT,
                resource,
                object: &set,
            },
            spec: &spec,
            current: &current,
            update: &history.update,
            pods: found.iter().map(Pod::of).collect(),
            stale: false,
        };
        let done = if set.is_terminating() {
            Ok(())
        } else {
            steps.take(store, context)
        };
        let stale = steps.stale;
        let pods: Vec<Arc<Object>> = workload::managed(store, &set, &KINDS.pods);
        let status = SetStatus {
            collision_count: collisions,
            conditions: before.conditions,
            ..status_of(
                &set,
                &spec,
                (&current.object, &history.update.object),
                &pods,
                context,
            )
        };
        let used = revisions::used(&pods);
        write_status(store, context, resource, &set, tree(&status))?;
        revisions::truncate(store, context, &history.old, spec.revision_history_limit, |one| {
            used.contains(one.name()) || one.name() == current.name()
        })?;
        done?;
        let soonest = pods
            .iter()
            .filter_map(|pod| Pod::of(pod).available_in(spec.min_ready_seconds, context.now))
            .filter(|wait| !wait.is_zero());
        let again = stale.then_some(Duration::from_secs(1));
        Ok(soonest.chain(again).min())
    }
}

/// The revisions, and how many collisions of names there were.
fn history(
    store: &mut Store,
    context: &Context<'_>,
    set: &Arc<Object>,
    selector: &LabelSelector,
    (adopt, collisions): (bool, i64),
) -> Result<(History, i64), Status> {
    let template = pods::template_of(set);
    let revisions = Revisions {
        owner_kind: &KINDS.stateful_sets,
        owner: set,
        selector,
        hash_label: REVISION_LABEL,
        adopt,
    };
    for attempt in 0..ATTEMPTS {
        let collisions = collisions.saturating_add(attempt);
        match revisions.settle(store, context, &template, collisions) {
            Ok(history) => return Ok((history, collisions)),
            Err(Some(status)) => return Err(status),
            Err(None) => {}
        }
    }
    Err(Status::internal("every name for a revision is taken"))
}

fn status_of(
    set: &Object,
    spec: &Spec,
    (current, update): (&Object, &Object),
    pods: &[Arc<Object>],
    context: &Context<'_>,
) -> SetStatus {
    let pods: Vec<Pod> = pods.iter().map(Pod::of).collect();
    let sum = |test: &dyn Fn(&Pod) -> bool| count(pods.iter().filter(|pod| test(pod)).count());
    let of = |revision: &Object| {
        sum(&|pod| !pod.object.is_terminating() && pod.object.label(HASH_LABEL) == Some(revision.name()))
    };
    let mut status = SetStatus {
        observed_generation: set.generation,
        replicas: count(pods.len()),
        ready_replicas: sum(&is_ready),
        available_replicas: sum(&|pod| {
            is_ready(pod) && pod.is_available(spec.min_ready_seconds, context.now)
        }),
        current_replicas: of(current),
        updated_replicas: of(update),
        current_revision: current.name().to_owned(),
        update_revision: update.name().to_owned(),
        ..SetStatus::default()
    };
    let complete = status.updated_replicas == status.replicas
        && status.ready_replicas == status.replicas
        && status.replicas == spec.replicas;
    if spec.is_rolling() && complete {
        status.current_replicas = status.updated_replicas;
        status.current_revision.clone_from(&status.update_revision);
    }
    status
}

/// The body of the pod of that number (kubernetes: `pkg/controller/statefulset/stateful_set_utils.go`, `newStatefulSetPod`).
fn pod_body(reporter: &Reporter<'_>, spec: &Spec, revision: &revisions::Revision, number: i64) -> Value {
    let set = reporter.object;
    let name = format!("{}-{number}", set.name());
    let mut template = revision.template();
    let labels = template_map(&mut template, "labels");
    for (key, value) in [
        (NAME_LABEL, name.as_str()),
        (INDEX_LABEL, &number.to_string()),
        (HASH_LABEL, revision.name()),
    ] {
        labels.insert(key.to_owned(), value.into());
    }
    let pod = &mut template["spec"];
    pod["hostname"] = name.as_str().into();
    if !spec.service_name.is_empty() {
        pod["subdomain"] = spec.service_name.as_str().into();
    }
    let claims: Vec<(String, String)> = claims::names(spec, &name);
    if !claims.is_empty() {
        let mut volumes: Vec<Value> = claims
            .iter()
            .map(|(volume, claim)| json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}}))
            .collect();
        let others = pod.get("volumes").and_then(Value::as_array).into_iter().flatten();
        volumes.extend(
            others
                .filter(|volume| !claims.iter().any(|(name, _)| volume["name"] == name.as_str()))
                .cloned(),
        );
        pod["volumes"] = volumes.into();
    }
    pods::owned(&template, PodName::Exact(&name), reporter.resource, set)
}

#[cfg(test)]
mod tests;
