//! The kubelets' care for their own nodes: ready after a while, started anew after a reboot (kubernetes: `pkg/kubelet/kubelet_node_status.go`,
//! `pkg/kubelet/nodestatus/setters.go`).
//!
//! The boot ID follows from the time since which the kubelet runs: where the Node tells another one, the machine was started
//! again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::conditions::{self, Condition};
use super::events::{self, EventType, Happening};
use super::kinds::{KINDS, about};
use crate::kube::controller::{Context, Controller, Key, Kubelet, later, until};
use crate::kube::node::{self, CONDITIONS, LEASES, NOT_READY};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store};

/// A Node that is not older than this when its kubelet starts was registered by that start.
const REGISTRATION: TimeDelta = TimeDelta::seconds(5);

/// The kubelets, as far as their nodes go.
#[derive(Debug)]
pub struct KubeletNode;

/// When a node whose kubelet runs since `since` is ready.
pub(super) fn ready_at(node: &str, since: DateTime<Utc>, context: &Context<'_>) -> DateTime<Utc> {
    let seed = context.seed.child("node-ready").child(node);
    later(since, context.behaviour.node_ready.draw(seed))
}

impl Controller for KubeletNode {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn observe(&self, _store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let deleted = matches!(change.changed, Changed::Deleted(_));
        let node = about(change, &KINDS.nodes) && !deleted;
        let lease = about(change, &KINDS.leases) && deleted && change.object.namespace() == Some(LEASES);
        if node || lease {
            look_at(Key::new(None, change.object.name()));
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
        let Some(Kubelet::Running { since }) = context.kubelets.get(&key.name).copied() else {
            return Ok(None);
        };
        let Some(existing) = store.find(&KINDS.nodes, None, &key.name).cloned() else {
            return Ok(None);
        };
        node::ensure_lease(store, &existing, context.now)?;
        let mut draft = existing.draft();
        let status = conditions::object(&mut draft.body, "status");
        let before = status.clone();
        let rebooted = set_boot(status, &existing, since);
        let ready_at = ready_at(&key.name, since, context);
        let ready = ready_at <= context.now;
        let was_ready = existing
            .at(&["status", "conditions"])
            .is_some_and(|list| conditions::is_true(list.as_array().map_or(&[], Vec::as_slice), "Ready"));
        report(status, (ready, rebooted), context.now);
        if *status != before {
            store.replace(&KINDS.nodes, Part::Status, draft, context.by("kubelet"))?;
            let now_ready = ready;
            let mut tell = |kind, reason, message: &str| {
                let what = Happening {
                    kind,
                    reason,
                    message,
                    component: "kubelet",
                    host: &key.name,
                };
                events::record(store, context, &node::reference(&key.name), &what);
            };
            if rebooted {
                let boot = node::boot_id(&key.name, since).hyphenated().to_string();
                tell(EventType::Normal, "Starting", "Starting kubelet.");
                let message = format!("Node {} has been rebooted, boot id: {boot}", key.name);
                tell(EventType::Warning, "Rebooted", &message);
            }
            if now_ready != was_ready {
                let reason = if now_ready { "NodeReady" } else { "NodeNotReady" };
                let message = format!("Node {} status is now: {reason}", key.name);
                tell(EventType::Normal, reason, &message);
            }
        }
        Ok((!ready).then(|| until(context.now, ready_at)))
    }
}

/// Writes the present boot ID. Says whether the machine was started again since the Node was made.
fn set_boot(status: &mut Map<String, Value>, existing: &Object, since: DateTime<Utc>) -> bool {
    let boot = node::boot_id(existing.name(), since).hyphenated().to_string();
    let info = conditions::object(status, "nodeInfo");
    let known = info.get("bootID").is_some_and(|id| *id == boot);
    if known {
        return false;
    }
    info.insert("bootID".to_owned(), boot.into());
    let registered = since
        .checked_sub_signed(REGISTRATION)
        .map_or(existing.created, Second::of);
    existing.created < registered
}

/// Brings the four conditions up to date. Right after a reboot the node is not ready, even if it is fast.
fn report(status: &mut Map<String, Value>, (ready, rebooted): (bool, bool), now: DateTime<Utc>) {
    let time = Second::of(now).text();
    let list = conditions::of(status);
    let before = list.clone();
    for (kind, reason, message) in CONDITIONS {
        let well = Condition {
            kind,
            status: if kind == "Ready" { "True" } else { "False" },
            reason,
            message,
        };
        if kind != "Ready" {
            conditions::set(list, well, &time);
            continue;
        }
        if !ready || rebooted {
            conditions::set(list, NOT_READY, &time);
        }
        if ready {
            conditions::set(list, well, &time);
        }
    }
    if *list != before {
        for condition in list.iter_mut() {
            let ours = CONDITIONS
                .iter()
                .any(|(kind, ..)| condition.get("type").is_some_and(|found| found == kind));
            if ours && let Value::Object(condition) = condition {
                condition.insert("lastHeartbeatTime".to_owned(), time.as_str().into());
            }
        }
    }
}
