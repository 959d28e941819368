//! The scheduler: pods without a node get one (kubernetes: `pkg/scheduler`).
//!
//! One look gives nodes to all pods that wait, the most important and oldest first, so that the nodes are read once for all of them.
//! There is no preemption: a pod of high priority waits as others do, only before them.

mod between;
mod choose;
mod nodes;
mod pod;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;

use super::conditions::{self, Condition};
use super::events::{self, EventType, Happening, ObjectReference};
use super::kinds::{KINDS, about};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store, node_of};

use between::Neighbours;
use nodes::Snapshot;
use pod::Pending;

/// Its name in `spec.schedulerName`.
const NAME: &str = "default-scheduler";
/// Pods that found no node are tried again after this time, even if nothing changed (kubernetes: `pkg/scheduler/backend/queue/scheduling_queue.go`).
const RETRY: Duration = Duration::from_secs(300);
/// Node that a claim is to be provided for.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler;

/// The only key: the cluster.
fn all() -> Key {
    Key::new(None, "")
}

impl Controller for Scheduler {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if store.count_pods_on("") == 0 {
            return;
        }
        let object = &change.object;
        let same = |before: &Object, section| before.section_text(section) == object.section_text(section);
        let matters = if about(change, &KINDS.pods) {
            let bound = !node_of(object).is_empty();
            match &change.changed {
                // A pod on a node can be what others want near them.
                Changed::Added => true,
                Changed::Deleted(_) => bound,
                Changed::Modified(before) => {
                    !same(before, "spec")
                        || before.head.labels != object.head.labels
                        || (bound && nodes::is_over(object) && !nodes::is_over(before))
                }
            }
        } else if about(change, &KINDS.nodes) {
            match &change.changed {
                Changed::Added => true,
                Changed::Deleted(_) => false,
                Changed::Modified(before) => {
                    let room = |node: &Object| node.at(&["status", "allocatable"]);
                    !same(before, "spec")
                        || before.head.labels != object.head.labels
                        || (!same(before, "status") && room(before) != room(object))
                }
            }
        } else {
            about(change, &KINDS.volume_claims) || about(change, &KINDS.storage_classes)
        };
        if matters {
            look_at(all());
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        _key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let mut waiting: Vec<Pending> = store.pods_on("").filter_map(Pending::of).collect();
        if waiting.is_empty() {
            return Ok(None);
        }
        waiting.sort_by_key(|pod| {
            (
                -pod.spec.priority,
                pod.object.created,
                pod.object.resource_version,
            )
        });
        let mut snapshot = Snapshot::of(store);
        let mut failed = Ok(());
        let mut left = false;
        for pod in waiting {
            match schedule(store, &mut snapshot, pod, context) {
                Ok(bound) => left |= !bound,
                Err(status) if failed.is_ok() => failed = Err(status),
                Err(_) => {}
            }
        }
        failed?;
        Ok(left.then_some(RETRY))
    }
}

/// Gives one pod a node; says whether there was one.
fn schedule(
    store: &mut Store,
    snapshot: &mut Snapshot,
    pod: Pending,
    context: &Context<'_>,
) -> Result<bool, Status> {
    if !pod.spec.scheduling_gates.is_empty() {
        let message = "Scheduling is blocked due to non-empty scheduling gates";
        mark(store, &pod.object, "SchedulingGated", message, context)?;
        return Ok(true);
    }
    let late = match claims(store, snapshot, &pod) {
        Ok(late) => late,
        Err(message) => return refuse(store, &pod.object, &message, context),
    };
    let neighbours = Neighbours::of(store, snapshot, &pod);
    let index = match choose::choose(snapshot, &pod, &neighbours) {
        Ok(index) => index,
        Err(message) => return refuse(store, &pod.object, &message, context),
    };
    let Some(node) = snapshot.nodes.get(index).map(|node| Arc::clone(&node.object)) else {
        return Ok(false);
    };
    if !late.is_empty() {
        for claim in late {
            let mut draft = claim.draft();
            let annotations = &mut draft.meta.annotations;
            annotations.insert(SELECTED_NODE.to_owned(), node.name().to_owned());
            store.replace(&KINDS.volume_claims, Part::Main, draft, context.by(NAME))?;
        }
        // The pod gets its node when its claims are bound.
        return Ok(false);
    }
    let bound = bind(store, &pod.object, node.name(), context)?;
    snapshot.place(store, &bound, index, pod.room);
    Ok(true)
}

/// Looks at the claims of a pod; gives those that wait for its node.
fn claims(store: &Store, snapshot: &Snapshot, pod: &Pending) -> Result<Vec<Arc<Object>>, String> {
    let all = snapshot.nodes.len();
    let refused = |why: &str| {
        format!(
            "0/{all} nodes are available: {why}. no new claims to deallocate, preemption: 0/{all} nodes are available: {all} Preemption is not helpful for scheduling."
        )
    };
    let mut late = Vec::new();
    for name in pod.claims() {
        let Some(claim) = store.find(&KINDS.volume_claims, pod.object.namespace(), &name) else {
            return Err(refused(&format!("persistentvolumeclaim \"{name}\" not found")));
        };
        if claim.is_terminating() {
            return Err(refused(&format!(
                "persistentvolumeclaim \"{name}\" is being deleted"
            )));
        }
        let spec = claim.section("spec").unwrap_or_default();
        let text = |field: &str| spec.get(field).and_then(Value::as_str).unwrap_or("");
        if !text("volumeName").is_empty() {
            continue;
        }
        let waits = store
            .find(&KINDS.storage_classes, None, text("storageClassName"))
            .and_then(|class| class.section("volumeBindingMode"))
            .is_some_and(|mode| mode == "WaitForFirstConsumer");
        if !waits {
            return Err(refused("pod has unbound immediate PersistentVolumeClaims"));
        }
        late.push(Arc::clone(claim));
    }
    Ok(late)
}

/// Puts a pod on a node (kubernetes: `pkg/registry/core/pod/storage/storage.go`, `assignPod`).
fn bind(store: &mut Store, pod: &Object, node: &str, context: &Context<'_>) -> Result<Arc<Object>, Status> {
    let mut draft = pod.draft();
    conditions::object(&mut draft.body, "spec").insert("nodeName".to_owned(), node.into());
    let scheduled = Condition {
        kind: "PodScheduled",
        status: "True",
        reason: "",
        message: "",
    };
    let list = conditions::of(conditions::object(&mut draft.body, "status"));
    conditions::set(list, scheduled, &Second::of(context.now).text());
    observed(list, pod);
    let bound = store
        .replace(&KINDS.pods, Part::Binding, draft, context.by(NAME))?
        .object;
    let namespace = pod.namespace().unwrap_or_default();
    let message = format!("Successfully assigned {namespace}/{} to {node}", pod.name());
    let what = Happening {
        kind: EventType::Normal,
        reason: "Scheduled",
        message: &message,
        component: NAME,
        host: "",
    };
    events::record(store, context, &ObjectReference::of(&KINDS.pods, pod), &what);
    Ok(bound)
}

/// Tells why a pod has no node. The same is not told again for a while.
fn refuse(
    store: &mut Store,
    pod: &Arc<Object>,
    message: &str,
    context: &Context<'_>,
) -> Result<bool, Status> {
    mark(store, pod, "Unschedulable", message, context)?;
    let what = Happening {
        kind: EventType::Warning,
        reason: "FailedScheduling",
        message,
        component: NAME,
        host: "",
    };
    let quiet = TimeDelta::from_std(RETRY).unwrap_or_default();
    let since = Second::of(context.now.checked_sub_signed(quiet).unwrap_or(context.now));
    let about = ObjectReference::of(&KINDS.pods, pod);
    events::record_once(store, context, &about, &what, Second(since.0.saturating_add(1)));
    Ok(false)
}

/// Writes `PodScheduled: False`.
fn mark(
    store: &mut Store,
    pod: &Object,
    reason: &str,
    message: &str,
    context: &Context<'_>,
) -> Result<(), Status> {
    let mut draft = pod.draft();
    let status = conditions::object(&mut draft.body, "status");
    let before = status.clone();
    let list = conditions::of(status);
    let waiting = Condition {
        kind: "PodScheduled",
        status: "False",
        reason,
        message,
    };
    conditions::set(list, waiting, &Second::of(context.now).text());
    observed(list, pod);
    if *status != before {
        store.replace(&KINDS.pods, Part::Status, draft, context.by(NAME))?;
    }
    Ok(())
}

/// Says which generation of the pod the condition is about.
fn observed(list: &mut [Value], pod: &Object) {
    let found = list
        .iter_mut()
        .find(|condition| condition["type"] == "PodScheduled");
    if let Some(condition) = found
        && pod.generation > 0
    {
        condition["observedGeneration"] = pod.generation.into();
    }
}

#[cfg(test)]
mod tests;
