//! Nodes whose kubelet is silent: conditions, taints, pods that are not ready any more (kubernetes:
//! `pkg/controller/nodelifecycle/node_lifecycle_controller.go`).
//!
//! A key is a node: its health and its `NoSchedule` taints. One more stands for all nodes together: their `NoExecute` taints
//! come one by one, and depend on how many nodes of a zone are lost.

mod zones;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::conditions::{self, Condition};
use super::events::{self, EventType, Happening, ObjectReference};
use super::kinds::{KINDS, about};
use super::taints::{self, Effect};
use crate::kube::controller::{Context, Controller, Key, Kubelet, later, until};
use crate::kube::node::LEASES;
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store};

/// Who writes in the name of all controllers.
const MANAGER: &str = "kube-controller-manager";
/// Source of the events.
const COMPONENT: &str = "node-controller";
/// A Node that is not older than this is greeted.
const NEW_SECONDS: i64 = 60;

/// Conditions that turn `Unknown` when the kubelet is silent, in the order in which they are made.
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// `NoSchedule` taints that follow from conditions: type, status, key.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", taints::NOT_READY),
    ("Ready", "Unknown", taints::UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "True",
        "node.kubernetes.io/network-unavailable",
    ),
];
/// The one that follows from `spec.unschedulable`.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The controller.
#[derive(Debug)]
pub struct NodeLifecycle;

/// What is read of a condition.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct Reported {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_heartbeat_time: Option<String>,
    last_transition_time: Option<String>,
}

fn reported(node: &Object) -> Vec<Reported> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct NodeStatus {
        conditions: Vec<Reported>,
    }
    node.read::<NodeStatus>("status").unwrap_or_default().conditions
}

/// The condition `Ready` of a node.
fn ready_of(node: &Object) -> Option<Reported> {
    reported(node)
        .into_iter()
        .find(|condition| condition.kind == "Ready")
}

/// Stands for all nodes; comes after every name, so that many nodes that change at once are looked at first.
const ALL_NODES: &str = "~";

/// The key of all nodes.
fn everything() -> Key {
    Key::new(None, ALL_NODES)
}

impl Controller for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-lifecycle-controller"
    }

    fn observe(&self, _store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let node = &change.object;
        if about(change, &KINDS.leases) {
            if node.namespace() == Some(LEASES) {
                look_at(Key::new(None, node.name()));
            }
            return;
        }
        if !about(change, &KINDS.nodes) {
            return;
        }
        let moved = match &change.changed {
            Changed::Added | Changed::Deleted(_) => true,
            Changed::Modified(before) => {
                let differs = |section| before.section_text(section) != node.section_text(section);
                let status = |node: &Object| ready_of(node).map(|ready| ready.status);
                (differs("status") && status(before) != status(node))
                    || (differs("spec") && zones::tainted(before) != zones::tainted(node))
            }
        };
        if !matches!(change.changed, Changed::Deleted(_)) {
            look_at(Key::of(node));
        }
        if moved {
            look_at(everything());
        }
    }

    fn kubelet_changed(&self, _store: &Store, node: &str, look_at: &mut dyn FnMut(Key)) {
        look_at(Key::new(None, node));
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        if &*key.name == ALL_NODES {
            return zones::taint(store, context);
        }
        let Some(node) = store.find(&KINDS.nodes, None, &key.name).cloned() else {
            return Ok(None);
        };
        if context.now.timestamp().saturating_sub(node.created.0) < NEW_SECONDS {
            let message = format!("Node {0} event: Registered Node {0} in Controller", key.name);
            let what = happening("RegisteredNode", &message);
            events::record_once(store, context, &reference(&node), &what, node.created);
        }
        let wait = watch_over(store, &node, context)?;
        if let Some(node) = store.find(&KINDS.nodes, None, &key.name).cloned() {
            keep_pods_away(store, &node, context)?;
        }
        Ok(wait)
    }
}

const fn happening<'a>(reason: &'a str, message: &'a str) -> Happening<'a> {
    Happening {
        kind: EventType::Normal,
        reason,
        message,
        component: COMPONENT,
        host: "",
    }
}

/// The Node as this controller's events name it.
pub(super) fn reference(node: &Object) -> ObjectReference {
    ObjectReference {
        kind: "Node".to_owned(),
        api_version: "v1".to_owned(),
        name: node.name().to_owned(),
        uid: node.uid_text(),
        ..ObjectReference::default()
    }
}

/// When the kubelet was heard last.
fn last_heard(store: &Store, node: &Object, ready: Option<&Reported>) -> Second {
    let beat = ready.and_then(|ready| Second::parse(ready.last_heartbeat_time.as_deref()?));
    let lease = store.find(&KINDS.leases, Some(LEASES), node.name());
    let renewed = lease
        .and_then(|lease| lease.at(&["spec", "renewTime"]))
        .and_then(|time| Second::parse(time.as_str()?));
    beat.max(renewed).unwrap_or(node.created)
}

/// Declares a node lost when its kubelet has been silent for too long. Says when to look again.
fn watch_over(
    store: &mut Store,
    node: &Arc<Object>,
    context: &Context<'_>,
) -> Result<Option<Duration>, Status> {
    if let Some(Kubelet::Running { .. }) = context.kubelets.get(node.name()) {
        return Ok(None);
    }
    let found = reported(node);
    let is_unknown = |kind: &&str| {
        found
            .iter()
            .any(|condition| condition.kind == **kind && condition.status == "Unknown")
    };
    if REPORTED.iter().all(is_unknown) {
        return Ok(None);
    }
    let ready = found.iter().find(|condition| condition.kind == "Ready");
    let heard = DateTime::from_timestamp(last_heard(store, node, ready).0, 0).unwrap_or(context.now);
    let due = later(heard, context.behaviour.node_monitor_grace);
    if due > context.now {
        return Ok(Some(until(context.now, due)));
    }
    let was_ready = ready.is_some_and(|ready| ready.status == "True");
    let mut draft = node.draft();
    let list = conditions::of(conditions::object(&mut draft.body, "status"));
    let time = Second::of(context.now).text();
    for kind in REPORTED {
        let known = conditions::get(list, kind).is_some();
        let (reason, message) = if known {
            ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        } else {
            ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
        };
        if is_unknown(&kind) {
            continue;
        }
        let lost = Condition {
            kind,
            status: "Unknown",
            reason,
            message,
        };
        conditions::set(list, lost, &time);
        if !known && let Some(Value::Object(condition)) = list.last_mut() {
            condition.insert("lastHeartbeatTime".to_owned(), node.created.text().into());
        }
    }
    store.replace(&KINDS.nodes, Part::Status, draft, context.by(MANAGER))?;
    if was_ready {
        let message = format!("Node {} status is now: NodeNotReady", node.name());
        let what = happening("NodeNotReady", &message);
        events::record(store, context, &reference(node), &what);
        let pods: Vec<_> = store.pods_on(node.name()).cloned().collect();
        for pod in pods {
            mark_not_ready(store, &pod, context)?;
        }
    }
    Ok(None)
}

/// A pod on a lost node is not ready (kubernetes: `pkg/controller/util/node/controller_utils.go`, `MarkPodsNotReady`).
fn mark_not_ready(store: &mut Store, pod: &Arc<Object>, context: &Context<'_>) -> Result<(), Status> {
    let mut draft = pod.draft();
    let list = conditions::of(conditions::object(&mut draft.body, "status"));
    let Some(Value::Object(ready)) = list.iter_mut().find(|condition| condition["type"] == "Ready") else {
        return Ok(());
    };
    if ready.get("status").is_some_and(|status| status == "False") {
        return Ok(());
    }
    ready.insert("status".to_owned(), "False".into());
    let time = Second::of(context.now).text();
    ready.insert("lastTransitionTime".to_owned(), time.into());
    store.replace(&KINDS.pods, Part::Status, draft, context.by(MANAGER))?;
    let what = Happening {
        kind: EventType::Warning,
        ..happening("NodeNotReady", "Node is not ready")
    };
    events::record(store, context, &ObjectReference::of(&KINDS.pods, pod), &what);
    Ok(())
}

/// The `NoSchedule` taints that the node's conditions ask for.
fn keep_pods_away(store: &mut Store, node: &Object, context: &Context<'_>) -> Result<(), Status> {
    let found = reported(node);
    let mut wanted: BTreeSet<&str> = BY_CONDITION
        .iter()
        .filter(|(kind, status, _)| {
            found
                .iter()
                .any(|condition| condition.kind == *kind && condition.status == *status)
        })
        .map(|(.., key)| *key)
        .collect();
    if node
        .section_text("spec")
        .is_some_and(|spec| spec.contains("\"unschedulable\":true"))
    {
        wanted.insert(UNSCHEDULABLE);
    }
    let ours = |key: &str| key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(.., own)| *own == key);
    change_taints(store, node, context, Effect::NoSchedule, ours, &wanted)
}

/// Brings the node's taints of one effect, as far as they are `ours`, to what is wanted. New ones tell since when.
fn change_taints(
    store: &mut Store,
    node: &Object,
    context: &Context<'_>,
    effect: Effect,
    ours: impl Fn(&str) -> bool,
    wanted: &BTreeSet<&str>,
) -> Result<(), Status> {
    let existing = taints::of_node(node);
    let own = existing
        .iter()
        .filter(|taint| taint.effect == effect && ours(&taint.key));
    let present: BTreeSet<&str> = own.map(|taint| taint.key.as_str()).collect();
    if present == *wanted {
        return Ok(());
    }
    let name = format!("{effect:?}");
    let mut draft = node.draft();
    let spec = conditions::object(&mut draft.body, "spec");
    let mut list = match spec.remove("taints") {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    list.retain(|taint| {
        let key = conditions::text(taint, "key");
        conditions::text(taint, "effect") != name || !ours(key) || wanted.contains(key)
    });
    let time = Second::of(context.now).text();
    for key in wanted.difference(&present) {
        list.push(json!({"key": key, "effect": name, "timeAdded": time}));
    }
    if !list.is_empty() {
        spec.insert("taints".to_owned(), list.into());
    }
    store.replace(&KINDS.nodes, Part::Main, draft, context.by(MANAGER))?;
    Ok(())
}

#[cfg(test)]
mod tests;
