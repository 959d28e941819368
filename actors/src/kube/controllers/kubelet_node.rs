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
use crate::fault::words::Pressure;
use crate::kube::controller::{Context, Controller, Key, Kubelet, later, until};
use crate::kube::machine::Ailment;
use crate::kube::node::{self, CONDITIONS, LEASES, NOT_READY};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store};

/// A Node that is not older than this when its kubelet starts was registered by that start.
const REGISTRATION: TimeDelta = TimeDelta::seconds(5);

/// What a kubelet says that cannot run pods.
const RUNTIME_DOWN: &str = "container runtime is down";

/// A condition of pressure (kubernetes: `pkg/kubelet/nodestatus/setters.go`, `cloud-provider/controllers/route/route_controller.go`).
#[derive(Clone, Copy)]
struct Strain {
    pressure: Pressure,
    kind: &'static str,
    /// Reason and message while it lasts.
    reason: &'static str,
    message: &'static str,
    /// The events when it begins and ends. Kubelets have none for the network, which is not theirs to judge.
    events: Option<[&'static str; 2]>,
}

/// All of them.
const STRAINS: [Strain; 4] = [
    Strain {
        pressure: Pressure::Memory,
        kind: "MemoryPressure",
        reason: "KubeletHasInsufficientMemory",
        message: "kubelet has insufficient memory available",
        events: Some(["NodeHasInsufficientMemory", "NodeHasSufficientMemory"]),
    },
    Strain {
        pressure: Pressure::Disk,
        kind: "DiskPressure",
        reason: "KubeletHasDiskPressure",
        message: "kubelet has disk pressure",
        events: Some(["NodeHasDiskPressure", "NodeHasNoDiskPressure"]),
    },
    Strain {
        pressure: Pressure::Pid,
        kind: "PIDPressure",
        reason: "KubeletHasInsufficientPID",
        message: "kubelet has insufficient PID available",
        events: Some(["NodeHasInsufficientPID", "NodeHasSufficientPID"]),
    },
    Strain {
        pressure: Pressure::Network,
        kind: NETWORK,
        reason: "NoRouteCreated",
        message: "Node created without a route",
        events: None,
    },
];
/// The condition of the network, which is there once something was wrong with it.
const NETWORK: &str = "NetworkUnavailable";

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
        let started = ready_at <= context.now;
        let ailment = context.ailments.get(&key.name);
        let ready = started && ailment.is_none_or(|ailment| ailment.not_ready.is_none());
        let list = conditions::of(status).clone();
        let was_ready = conditions::is_true(&list, "Ready");
        report(status, (started, rebooted), ailment, context.now);
        let pressed = STRAINS.into_iter().filter_map(|strain| {
            let [begins, ends] = strain.events?;
            let is = conditions::is_true(conditions::of(status), strain.kind);
            (is != conditions::is_true(&list, strain.kind)).then_some(if is { begins } else { ends })
        });
        let pressed: Vec<&str> = pressed.collect();
        if *status != before {
            store.replace(&KINDS.nodes, Part::Status, draft, context.by("kubelet"))?;
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
            let readiness = (ready != was_ready).then_some(if ready { "NodeReady" } else { "NodeNotReady" });
            for reason in pressed.into_iter().chain(readiness) {
                let message = format!("Node {} status is now: {reason}", key.name);
                tell(EventType::Normal, reason, &message);
            }
        }
        Ok((!started).then(|| until(context.now, ready_at)))
    }
}

/// The condition of that type while there is such pressure.
fn pressure(kind: &str, ailment: Option<&Ailment>) -> Option<Condition<'static>> {
    let strain = STRAINS.into_iter().find(|strain| strain.kind == kind)?;
    let Strain {
        kind,
        reason,
        message,
        ..
    } = strain;
    ailment?
        .pressures
        .contains(&strain.pressure)
        .then_some(Condition {
            kind,
            status: "True",
            reason,
            message,
        })
}

/// The network's condition is not one of a kubelet: it comes with the first trouble, and stays where others wrote it.
fn report_network(list: &mut Vec<Value>, ailment: Option<&Ailment>, time: &str) {
    let well = Condition {
        kind: NETWORK,
        status: "False",
        reason: "RouteCreated",
        message: "RouteController created a route",
    };
    let ill = pressure(NETWORK, ailment);
    let ours = conditions::get(list, NETWORK)
        .is_some_and(|condition| conditions::text(condition, "reason") == "NoRouteCreated");
    if ill.is_some() || ours {
        conditions::set(list, ill.unwrap_or(well), time);
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

/// Brings the conditions up to date. Right after a reboot the node is not ready, even if it is fast.
fn report(
    status: &mut Map<String, Value>,
    (started, rebooted): (bool, bool),
    ailment: Option<&Ailment>,
    now: DateTime<Utc>,
) {
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
            conditions::set(list, pressure(kind, ailment).unwrap_or(well), &time);
            continue;
        }
        if !started || rebooted {
            conditions::set(list, NOT_READY, &time);
        }
        let why_not = ailment.and_then(|ailment| ailment.not_ready.as_deref());
        match why_not {
            Some(reason) if started => {
                let ill = Condition {
                    kind,
                    status: "False",
                    reason,
                    message: RUNTIME_DOWN,
                };
                conditions::set(list, ill, &time);
            }
            None if started => conditions::set(list, well, &time),
            _ => {}
        }
    }
    report_network(list, ailment, &time);
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
