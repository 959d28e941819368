//! Jobs: pods that run to their end, so many times (kubernetes: `pkg/controller/job`, `pkg/controller/ttlafterfinished`).
//!
//! Each pod carries a finalizer until it is counted. What is left out: pod failure and success policies, and back-off limits per index;
//! a Job that has them is treated as one that has not.

mod indexes;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kinds::{KINDS, about};
use super::workload::{self, Claim, Condition, Reporter, bounded, is_zero, read_key, selector_of};
use crate::kube::controller::{Context, Controller, Key, later, until};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, DeleteOptions, Part, Propagation, Store, Target};

use sync::Sync;

/// The controller's name in events.
const COMPONENT: &str = "job-controller";
/// Keeps a pod until it is counted.
const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// Stands before the name in the key of a look at a pod whose Job is gone. It sorts after all names.
const ORPHAN: char = '~';

/// The controller of Jobs.
#[derive(Debug)]
pub struct Jobs;

/// What the controller reads of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    parallelism: Option<i64>,
    completions: Option<i64>,
    backoff_limit: Option<i64>,
    active_deadline_seconds: Option<i64>,
    ttl_seconds_after_finished: Option<i64>,
    completion_mode: String,
    suspend: bool,
    pod_replacement_policy: String,
    managed_by: Option<String>,
    template: Template,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: TemplateSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TemplateSpec {
    restart_policy: String,
}

impl Spec {
    fn is_indexed(&self) -> bool {
        self.completion_mode == "Indexed"
    }

    /// Pods that run at once.
    fn parallelism(&self) -> i64 {
        bounded(self.parallelism.unwrap_or(1))
    }

    fn backoff_limit(&self) -> i64 {
        bounded(self.backoff_limit.unwrap_or(6))
    }

    /// Whether a pod that is being deleted is not replaced before it is over.
    fn replaces_failed_only(&self) -> bool {
        self.pod_replacement_policy == "Failed"
    }
}

/// `status.uncountedTerminatedPods`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Uncounted {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    succeeded: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<String>,
}

/// `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JobStatus {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_time: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    active: i64,
    #[serde(skip_serializing_if = "is_zero")]
    succeeded: i64,
    #[serde(skip_serializing_if = "is_zero")]
    failed: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    terminating: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    completed_indexes: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncounted_terminated_pods: Option<Uncounted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<i64>,
}

/// The end of a Job: when it was, if it has one.
pub(super) fn finished(job: &Object) -> Option<(bool, Second)> {
    let status: JobStatus = job.read("status").unwrap_or_default();
    status.conditions.iter().find_map(|condition| {
        let complete = match condition.kind.as_str() {
            "Complete" => true,
            "Failed" => false,
            _ => return None,
        };
        let time = Second::parse(condition.last_transition_time.as_deref()?)?;
        (condition.status == "True").then_some((complete, time))
    })
}

fn orphan_key(pod: &Object) -> Key {
    Key::new(pod.namespace(), &format!("{ORPHAN}{}", pod.name()))
}

/// The Job that manages a pod, if it is there.
fn job_of<'s>(store: &'s Store, pod: &Object) -> Option<&'s Arc<Object>> {
    let owner = pod.controller().filter(|owner| owner.kind == "Job")?;
    store
        .find(&KINDS.jobs, pod.namespace(), &owner.name)
        .filter(|job| job.uid_text() == owner.uid)
}

impl Controller for Jobs {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        workload::observe(store, change, &KINDS.jobs, &[&KINDS.pods], look_at);
        if about(change, &KINDS.pods) {
            let there = !matches!(change.changed, Changed::Deleted(_));
            if there && object.has_finalizer(FINALIZER) && job_of(store, object).is_none() {
                look_at(orphan_key(object));
            }
        } else if about(change, &KINDS.jobs) && matches!(change.changed, Changed::Deleted(_)) {
            store
                .dependents_of(object.uid)
                .filter(|(id, pod)| *id == KINDS.pods.home && pod.has_finalizer(FINALIZER))
                .for_each(|(_, pod)| look_at(orphan_key(pod)));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        if let Some(pod) = key.name.strip_prefix(ORPHAN) {
            return let_go(store, key.namespace(), pod, context);
        }
        let (name, adopt) = read_key(key);
        let resource = &KINDS.jobs;
        let Some(job) = store.find(resource, key.namespace(), name).cloned() else {
            return Ok(None);
        };
        let (Some(spec), Some(selector)) = (job.read::<Spec>("spec"), selector_of(resource, &job)) else {
            return Ok(None);
        };
        let foreign = |manager: &String| manager != "kubernetes.io/job-controller";
        if spec.managed_by.as_ref().is_some_and(foreign) {
            return Ok(None);
        }
        if let Some((_, time)) = finished(&job) {
            return expire(store, &job, &spec, time, context);
        }
        let claim = Claim {
            owner_kind: resource,
            owner: &job,
            kind: &KINDS.pods,
            selector: &selector,
            adopt,
        };
        let pods = claim.settle(store, context, |_| true)?;
        let reporter = Reporter {
            component: COMPONENT,
            resource,
            object: &job,
        };
        Sync::new(reporter, &spec, &pods, context).run(store)
    }
}

/// Takes the finalizer off a pod.
fn release(store: &mut Store, pod: &Object, context: &Context<'_>) -> Result<(), Status> {
    let present = store
        .find(&KINDS.pods, pod.namespace(), pod.name())
        .filter(|present| present.uid == pod.uid && present.has_finalizer(FINALIZER));
    let Some(mut draft) = present.map(|present| present.draft()) else {
        return Ok(());
    };
    draft.meta.finalizers.retain(|finalizer| finalizer != FINALIZER);
    store
        .replace(&KINDS.pods, Part::Main, draft, workload::options(context))
        .map(drop)
}

/// Takes the finalizer off a pod whose Job is gone.
fn let_go(
    store: &mut Store,
    namespace: Option<&str>,
    pod: &str,
    context: &Context<'_>,
) -> Result<Option<Duration>, Status> {
    if let Some(pod) = store.find(&KINDS.pods, namespace, pod).cloned()
        && job_of(store, &pod).is_none()
    {
        release(store, &pod, context)?;
    }
    Ok(None)
}

/// Deletes a finished Job when its time is over; counts what is left of its pods before.
fn expire(
    store: &mut Store,
    job: &Arc<Object>,
    spec: &Spec,
    finished: Second,
    context: &Context<'_>,
) -> Result<Option<Duration>, Status> {
    for pod in workload::managed(store, job, &KINDS.pods) {
        if pod.has_finalizer(FINALIZER) {
            release(store, &pod, context)?;
        }
    }
    let Some(ttl) = spec.ttl_seconds_after_finished.filter(|_| !job.is_terminating()) else {
        return Ok(None);
    };
    let time = chrono::DateTime::from_timestamp(finished.0, 0).unwrap_or_default();
    let wait = until(
        context.now,
        later(time, Duration::from_secs(u64::try_from(ttl).unwrap_or(0))),
    );
    if !wait.is_zero() {
        return Ok(Some(wait));
    }
    let options = DeleteOptions {
        propagation: Some(Propagation::Foreground),
        uid: Some(job.uid_text()),
        ..DeleteOptions::default()
    };
    let target = Target::stored(&KINDS.jobs, job.namespace());
    store.delete(target, job.name(), &options, context.now)?;
    Ok(None)
}

#[cfg(test)]
mod tests;
