//! Pods that nobody ends any more (kubernetes: `pkg/controller/podgc/gc_controller.go`): those of nodes that are gone, those being deleted on nodes
//! that are out of service, and the oldest of too many that are over.
//!
//! A key is a node; its namespace, if there is one, is the uid of a Node that was deleted. The empty key is all pods that are over.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::events::{self, EventType, Happening, ObjectReference};
use super::kinds::{KINDS, about};
use super::taint_eviction::disrupt;
use super::taints;
use crate::kube::controller::{Context, Controller, Key, later, until};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, DeleteOptions, Store, Target, node_of};

/// Name and field manager.
const NAME: &str = "pod-garbage-collector";
/// A node has to be gone for so long (`quarantineTime`).
const QUARANTINE: Duration = Duration::from_secs(40);
/// So many pods that are over may stay (kube-controller-manager: `--terminated-pod-gc-threshold`).
const MOST_OVER: usize = 12_500;

/// The controller.
#[derive(Debug)]
pub struct PodGc;

/// Whether the pod has run to its end, as its text tells.
fn is_over(pod: &Object) -> bool {
    pod.section_text("status").is_some_and(|status| {
        status.contains("\"phase\":\"Succeeded\"") || status.contains("\"phase\":\"Failed\"")
    })
}

/// Whether somebody declared the node out of service, and it is not ready.
fn is_out_of_service(node: &Object) -> bool {
    let declared = node
        .section_text("spec")
        .is_some_and(|spec| spec.contains(taints::OUT_OF_SERVICE));
    let tainted = |node| {
        taints::of_node(node)
            .iter()
            .any(|taint| taint.key == taints::OUT_OF_SERVICE)
    };
    declared
        && tainted(node)
        && node.at(&["status", "conditions"]).is_some_and(|list| {
            let list = list.as_array().map_or(&[][..], Vec::as_slice);
            !super::conditions::is_true(list, "Ready")
        })
}

impl Controller for PodGc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.nodes) {
            if matches!(change.changed, Changed::Deleted(_)) {
                look_at(Key::new(Some(&object.uid_text()), object.name()));
            } else if is_out_of_service(object) {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.pods) {
            let before = match &change.changed {
                Changed::Added => None,
                Changed::Modified(before) => Some(before),
                Changed::Deleted(_) => return,
            };
            if store.len() > MOST_OVER && is_over(object) && !before.is_some_and(|pod| is_over(pod)) {
                look_at(Key::new(None, ""));
            }
            let bound =
                before.is_none_or(|before| before.section_text("spec") != object.section_text("spec"));
            let leaves = object.is_terminating() && !before.is_some_and(|pod| pod.is_terminating());
            if bound || leaves {
                let node = node_of(object);
                let found = store.find(&KINDS.nodes, None, &node);
                let lost = found.is_none_or(|node| leaves && is_out_of_service(node));
                if lost && !node.is_empty() {
                    look_at(Key::new(None, &node));
                }
            }
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        if key.name.is_empty() {
            return drop_oldest(store, context, MOST_OVER);
        }
        match store.find(&KINDS.nodes, None, &key.name) {
            Some(node) if is_out_of_service(node) => {
                let mut pods: Vec<_> = store.pods_on(&key.name).cloned().collect();
                pods.retain(|pod| pod.is_terminating());
                let why = ("DeletionByPodGC", "PodGC: node is out-of-service");
                force_out(store, &pods, context, Some(why))?;
                Ok(None)
            }
            Some(_) => Ok(None),
            None => orphans(store, key, context),
        }
    }
}

/// Forces out the pods of a node that is gone.
fn orphans(store: &mut Store, key: &Key, context: &Context<'_>) -> Result<Option<Duration>, Status> {
    let removed = key
        .namespace()
        .map(|uid| removed_at(store, &key.name, uid, context));
    let mut next: Option<DateTime<Utc>> = None;
    let mut lost = Vec::new();
    for pod in store.pods_on(&key.name) {
        let since = removed.unwrap_or(pod.created).max(pod.created);
        let since = DateTime::from_timestamp(since.0, 0).unwrap_or(context.now);
        let due = later(since, QUARANTINE);
        if due <= context.now {
            lost.push(Arc::clone(pod));
        } else {
            next = Some(next.map_or(due, |next| next.min(due)));
        }
    }
    let why = ("DeletionByPodGC", "PodGC: node no longer exists");
    force_out(store, &lost, context, Some(why))?;
    Ok(next.map(|next| until(context.now, next)))
}

/// When the Node was deleted: the time of the event that tells of it, which is recorded if it is not.
fn removed_at(store: &mut Store, name: &str, uid: &str, context: &Context<'_>) -> Second {
    let about = ObjectReference {
        kind: "Node".to_owned(),
        api_version: "v1".to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        ..ObjectReference::default()
    };
    let what = Happening {
        kind: EventType::Normal,
        reason: "RemovingNode",
        message: &format!("Node {name} event: Removing Node {name} from Controller"),
        component: "node-controller",
        host: "",
    };
    events::first_told(store, &about, &what).unwrap_or_else(|| {
        events::record(store, context, &about, &what);
        Second::of(context.now)
    })
}

fn force_out(
    store: &mut Store,
    pods: &[Arc<Object>],
    context: &Context<'_>,
    why: Option<(&str, &str)>,
) -> Result<(), Status> {
    for pod in pods {
        if let Some(why) = why.filter(|_| !is_over(pod)) {
            disrupt(store, pod, context, NAME, why, true)?;
        }
        let options = DeleteOptions {
            uid: Some(pod.uid_text()),
            ..DeleteOptions::now()
        };
        let target = Target::stored(&KINDS.pods, pod.namespace());
        store.delete(target, pod.name(), &options, context.now)?;
    }
    Ok(())
}

/// Deletes the oldest of the pods that are over, if they are too many.
fn drop_oldest(store: &mut Store, context: &Context<'_>, most: usize) -> Result<Option<Duration>, Status> {
    let over = store.all(&KINDS.pods, None).filter(|pod| is_over(pod));
    let mut over: Vec<Arc<Object>> = over.cloned().collect();
    let surplus = over.len().saturating_sub(most);
    over.sort_by_key(|pod| pod.created);
    over.truncate(surplus);
    over.retain(|pod| !pod.is_terminating());
    force_out(store, &over, context, None)?;
    Ok(None)
}

#[cfg(test)]
mod tests;
