//! Pods leave nodes with `NoExecute` taints, as soon as they do not tolerate them any more (kubernetes:
//! `pkg/controller/tainteviction/taint_eviction.go`).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::conditions::{self, Condition};
use super::events::{self, EventType, Happening, ObjectReference};
use super::kinds::{KINDS, about};
use super::taints::{self, Effect, Taint, Toleration};
use crate::kube::controller::{Context, Controller, Key, later, until};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, DeleteOptions, Part, Store, Target, node_of};

/// Name, event source and field manager.
const NAME: &str = "taint-eviction-controller";

/// The controller. Its keys are nodes.
#[derive(Debug)]
pub struct TaintEviction;

fn drives_out(node: &Object) -> bool {
    node.section_text("spec")
        .is_some_and(|spec| spec.contains("\"NoExecute\""))
}

impl Controller for TaintEviction {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        let before = match &change.changed {
            Changed::Added => None,
            Changed::Modified(before) => Some(before),
            Changed::Deleted(_) => return,
        };
        let same = before.is_some_and(|before| before.section_text("spec") == object.section_text("spec"));
        if same {
            return;
        }
        if about(change, &KINDS.nodes) {
            if drives_out(object) {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.pods) {
            let node = node_of(object);
            let node = store.find(&KINDS.nodes, None, &node);
            if let Some(node) = node.filter(|node| drives_out(node)) {
                look_at(Key::of(node));
            }
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(node) = store.find(&KINDS.nodes, None, &key.name) else {
            return Ok(None);
        };
        let mut taints = taints::of_node(node);
        taints.retain(|taint| taint.effect == Effect::NoExecute);
        if taints.is_empty() {
            return Ok(None);
        }
        let unsaid = last_written(node);
        let mut next: Option<DateTime<Utc>> = None;
        let mut leaving = Vec::new();
        for pod in store.pods_on(&key.name).filter(|pod| !pod.is_terminating()) {
            match end_of(pod, &taints, unsaid) {
                Some(end) if end <= context.now => leaving.push(Arc::clone(pod)),
                Some(end) => next = Some(next.map_or(end, |next| next.min(end))),
                None => {}
            }
        }
        for pod in leaving {
            evict(store, &pod, context)?;
        }
        Ok(next.map(|next| until(context.now, next)))
    }
}

/// When the node itself was written last: since then a taint is there that does not say.
fn last_written(node: &Object) -> Second {
    let entries = node.managed.iter().filter(|entry| entry.subresource.is_empty());
    entries
        .filter_map(|entry| entry.time)
        .max()
        .unwrap_or(node.created)
}

/// When the pod has to go; `None` = never.
fn end_of(pod: &Object, taints: &[Taint], unsaid: Second) -> Option<DateTime<Utc>> {
    let tolerations = taints::of_pod(pod);
    let mut end: Option<DateTime<Utc>> = None;
    for taint in taints {
        let mut used = tolerations
            .iter()
            .filter(|toleration| toleration.tolerates(taint))
            .peekable();
        if used.peek().is_none() {
            return Some(DateTime::<Utc>::MIN_UTC);
        }
        let start = taint.since().unwrap_or(unsaid).max(pod.created);
        let start = DateTime::from_timestamp(start.0, 0)?;
        let limits = used.filter_map(|toleration: &Toleration| toleration.toleration_seconds);
        for seconds in limits {
            let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            let due = later(start, wait);
            end = Some(end.map_or(due, |end| end.min(due)));
        }
    }
    end
}

fn evict(store: &mut Store, pod: &Arc<Object>, context: &Context<'_>) -> Result<(), Status> {
    let namespace = pod.namespace().unwrap_or("");
    let about = ObjectReference {
        kind: "Pod".to_owned(),
        namespace: namespace.to_owned(),
        name: pod.name().to_owned(),
        api_version: "v1".to_owned(),
        ..ObjectReference::default()
    };
    let what = Happening {
        kind: EventType::Normal,
        reason: "TaintManagerEviction",
        message: &format!("Marking for deletion Pod {namespace}/{}", pod.name()),
        component: NAME,
        host: "",
    };
    events::record(store, context, &about, &what);
    let why = (
        "DeletionByTaintManager",
        "Taint manager: deleting due to NoExecute taint",
    );
    disrupt(store, pod, context, NAME, why, false)?;
    let options = DeleteOptions {
        uid: Some(pod.uid_text()),
        ..DeleteOptions::default()
    };
    let target = Target::stored(&KINDS.pods, pod.namespace());
    store.delete(target, pod.name(), &options, context.now)?;
    Ok(())
}

/// Writes the condition `DisruptionTarget`, and that the pod failed if `fail` says so and it is not over.
///
/// # Errors
/// A refused write.
pub(super) fn disrupt(
    store: &mut Store,
    pod: &Object,
    context: &Context<'_>,
    manager: &str,
    (reason, message): (&str, &str),
    fail: bool,
) -> Result<(), Status> {
    let mut draft = pod.draft();
    let status = conditions::object(&mut draft.body, "status");
    let time = Second::of(context.now).text();
    let list = conditions::of(status);
    let condition = Condition {
        kind: "DisruptionTarget",
        status: "True",
        reason,
        message,
    };
    conditions::set(list, condition, &time);
    if fail {
        status.insert("phase".to_owned(), "Failed".into());
    }
    store.replace(&KINDS.pods, Part::Status, draft, context.by(manager))?;
    Ok(())
}

#[cfg(test)]
mod tests;
