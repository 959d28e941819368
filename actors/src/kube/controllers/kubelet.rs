//! The kubelets: bound pods start, run, end (kubernetes: `pkg/kubelet/kubelet.go`, `pkg/kubelet/status/generate.go`,
//! `pkg/kubelet/kuberuntime/kuberuntime_manager.go`).
//!
//! What a pod does next follows from its status, the time, and since when the kubelet runs. Annotations of a pod choose
//! what its containers do:
//!
//! - `metalsim.io/run-duration`: they end by themselves after so many seconds (`5`, `2.5s`, `3m`, `1h`). Without it, containers of pods with
//!   `restartPolicy: Always` run for ever, others as long as [`crate::kube::controller::Behaviour::pod_run`] says.
//! - `metalsim.io/exit-code`: with this code, 0 if there is none.

mod containers;
mod needs;
mod types;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::conditions::{self, Condition};
use super::events::{self, EventType, Happening, ObjectReference};
use super::kinds::{KINDS, about};
use super::node_ipam;
use crate::kube::controller::{Context, Controller, Key, Kubelet, later, until};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, DeleteOptions, Part, Store, Target};

use containers::{Life, Note};
use types::{PodSpec, PodStatus};

/// Marks the API's image of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Grace of a pod that does not say.
const GRACE_SECONDS: i64 = 30;

/// The kubelets, as far as pods go.
#[derive(Debug)]
pub struct Pods;

/// The time that a second stands for.
pub(super) fn time_of(second: Second) -> DateTime<Utc> {
    DateTime::from_timestamp(second.0, 0).unwrap_or_default()
}

impl Controller for Pods {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if let Changed::Deleted(_) = change.changed {
            return;
        }
        if about(change, &KINDS.pods) {
            let bound = object
                .section_text("spec")
                .is_some_and(|spec| spec.contains("\"nodeName\":"));
            if bound {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.config_maps)
            || about(change, &KINDS.secrets)
            || about(change, &KINDS.volume_claims)
        {
            let name = format!("\"{}\"", object.name());
            for pod in store.all(&KINDS.pods, object.namespace()) {
                let has = |section, text: &str| {
                    pod.section_text(section)
                        .is_some_and(|section| section.contains(text))
                };
                let waits = has("status", "\"ContainerCreating\"")
                    || has("status", "\"PodInitializing\"")
                    || has("status", "\"CreateContainerConfigError\"");
                if waits && has("spec", &name) {
                    look_at(Key::of(pod));
                }
            }
        } else if about(change, &KINDS.nodes)
            && let Changed::Modified(before) = &change.changed
            && node_ipam::pod_network(before) != node_ipam::pod_network(object)
        {
            store.pods_on(object.name()).for_each(|pod| look_at(Key::of(pod)));
        }
    }

    fn kubelet_changed(&self, store: &Store, node: &str, look_at: &mut dyn FnMut(Key)) {
        store.pods_on(node).for_each(|pod| look_at(Key::of(pod)));
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(pod) = store.find(&KINDS.pods, key.namespace(), &key.name).cloned() else {
            return Ok(None);
        };
        let Some(spec) = pod.read::<PodSpec>("spec") else {
            return Ok(None);
        };
        let Some(Kubelet::Running { since }) = context.kubelets.get(&*spec.node_name).copied() else {
            return Ok(None);
        };
        let Some(node) = store.find(&KINDS.nodes, None, &spec.node_name).cloned() else {
            return Ok(None);
        };
        let status = pod.read::<PodStatus>("status").unwrap_or_default();
        if pod.is_terminating() {
            return terminate(store, &pod, &spec, status, context);
        }
        if status.is_over() {
            return Ok(None);
        }
        run(store, &pod, &spec, status, (&node, since), context)
    }
}

/// Takes the pod one step on.
fn run(
    store: &mut Store,
    pod: &Arc<Object>,
    spec: &PodSpec,
    mut status: PodStatus,
    (node, since): (&Object, DateTime<Utc>),
    context: &Context<'_>,
) -> Result<Option<Duration>, Status> {
    let now = context.now;
    let life = Life::of(pod, spec, since, context);
    let start = status
        .start_time
        .as_deref()
        .and_then(Second::parse)
        .unwrap_or_else(|| Second::of(now));
    let mut wait = None;
    let mut notes = Vec::new();
    let fresh = status.start_time.is_none();
    containers::prepare(spec, &mut status);
    containers::boot(&life, &mut status);
    let due = later(time_of(start).max(since), life.start_takes);
    let mount_fault = needs::volume_fault(store, pod, spec);
    let started = containers::any_started(&status);
    let idle = containers::running(&status).is_empty();
    let mut sandbox = false;
    if let Some((volume, why)) = mount_fault.filter(|_| !started) {
        notes.push(Note {
            field_path: String::new(),
            kind: EventType::Warning,
            reason: "FailedMount",
            message: format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}"),
            once: true,
        });
    } else if (due > now && idle) || (fresh && life.start_takes > Duration::ZERO) {
        wait = Some(until(now, due));
    } else {
        if status.pod_ip.is_empty() {
            status.pod_ip = address(store, pod, spec, node).unwrap_or_default();
        }
        if status.pod_ip.is_empty() {
            notes.push(Note {
                field_path: String::new(),
                kind: EventType::Warning,
                reason: "FailedCreatePodSandBox",
                message: "Failed to create pod sandbox: plugin type=\"bridge\" failed (add): no IP addresses available in range set".to_owned(),
                once: true,
            });
        } else {
            sandbox = true;
            wait = containers::advance(store, &life, spec, &mut status, &mut notes);
        }
    }
    let phase = containers::phase(spec, &status);
    let mut draft = pod.draft();
    let body = conditions::object(&mut draft.body, "status");
    let before = body.clone();
    let host = host_ip(node);
    if spec.host_network && status.pod_ip.is_empty() {
        status.pod_ip.clone_from(&host);
    }
    write_status(body, spec, &status, phase, sandbox, (start, now));
    put_text(body, "hostIP", &host);
    if !host.is_empty() {
        body.insert("hostIPs".to_owned(), json!([{"ip": host}]));
    }
    if pod.generation > 0 {
        body.insert("observedGeneration".to_owned(), pod.generation.into());
    }
    if *body != before {
        store.replace(&KINDS.pods, Part::Status, draft, context.by("kubelet"))?;
    }
    tell(store, context, pod, &spec.node_name, start, &notes);
    Ok(wait)
}

fn put_text(map: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        map.insert(key.to_owned(), text.into());
    }
}

/// The node's InternalIP.
fn host_ip(node: &Object) -> String {
    let addresses = node.at(&["status", "addresses"]).unwrap_or_default();
    addresses
        .as_array()
        .into_iter()
        .flatten()
        .find(|address| address["type"] == "InternalIP")
        .and_then(|address| address.get("address").and_then(Value::as_str))
        .unwrap_or("")
        .to_owned()
}

/// An address for the pod out of its node's network, that no other pod of the node has. Pods that are over give theirs back when all are taken.
fn address(store: &Store, pod: &Object, spec: &PodSpec, node: &Object) -> Option<String> {
    if spec.host_network {
        return Some(host_ip(node)).filter(|address| !address.is_empty());
    }
    let (network, prefix) = node_ipam::pod_network(node)?;
    let size = 1_u64.checked_shl(32_u32.saturating_sub(u32::from(prefix)))?;
    let (mut taken, mut over) = (BTreeSet::new(), BTreeSet::new());
    for other in store.pods_on(node.name()).filter(|other| other.uid != pod.uid) {
        let Some(status) = other.read::<PodStatus>("status") else {
            continue;
        };
        if let Ok(address) = status.pod_ip.parse::<Ipv4Addr>() {
            if status.is_over() { &mut over } else { &mut taken }.insert(u32::from(address));
        }
    }
    // Not the network, not the bridge on its first address, not the broadcast address.
    let count = size.checked_sub(3).filter(|count| *count > 0)?;
    let start = (pod.uid.as_u128() % u128::from(count)) as u64;
    let candidates = || {
        (0..count).filter_map(move |step| {
            let host = 2 + (start + step) % count;
            u32::from(network).checked_add(u32::try_from(host).ok()?)
        })
    };
    candidates()
        .find(|address| !taken.contains(address) && !over.contains(address))
        .or_else(|| candidates().find(|address| !taken.contains(address)))
        .map(|address| Ipv4Addr::from(address).to_string())
}

/// Puts what the kubelet knows into the pod's status; what others wrote there stays.
fn write_status(
    body: &mut Map<String, Value>,
    spec: &PodSpec,
    status: &PodStatus,
    phase: &str,
    sandbox: bool,
    (start, now): (Second, DateTime<Utc>),
) {
    let time = Second::of(now).text();
    body.insert("phase".to_owned(), phase.into());
    body.insert("startTime".to_owned(), start.text().into());
    if !status.pod_ip.is_empty() {
        body.insert("podIP".to_owned(), status.pod_ip.as_str().into());
        body.insert("podIPs".to_owned(), json!([{"ip": status.pod_ip}]));
    }
    for (key, list) in [
        ("containerStatuses", &status.container_statuses),
        ("initContainerStatuses", &status.init_container_statuses),
    ] {
        if !list.is_empty() {
            body.insert(
                key.to_owned(),
                serde_json::to_value(list).unwrap_or_else(|_| json!([])),
            );
        }
    }
    let list = conditions::of(body);
    let over = matches!(phase, "Succeeded" | "Failed");
    let mut set = |kind, on: bool, reason, message: &str| {
        let status = if on { "True" } else { "False" };
        let wanted = Condition {
            kind,
            status,
            reason,
            message,
        };
        conditions::set(list, wanted, &time);
    };
    set("PodReadyToStartContainers", sandbox && !over, "", "");
    let completed = if phase == "Succeeded" { "PodCompleted" } else { "" };
    let uninitialized = containers::uninitialized(spec, status);
    if uninitialized.is_empty() {
        set("Initialized", true, completed, "");
    } else {
        let message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
        set("Initialized", false, "ContainersNotInitialized", &message);
    }
    let unready = containers::unready(spec, status);
    let why_not = match phase {
        "Succeeded" => Some(("PodCompleted", String::new())),
        "Failed" => Some(("PodFailed", String::new())),
        _ if unready.is_empty() => None,
        _ => Some((
            "ContainersNotReady",
            format!("containers with unready status: [{}]", unready.join(" ")),
        )),
    };
    match &why_not {
        Some((reason, message)) => set("ContainersReady", false, reason, message),
        None => set("ContainersReady", true, "", ""),
    }
    let gates = gates(spec, &status.conditions);
    match why_not {
        Some((reason, message)) => set("Ready", false, reason, &message),
        None if !gates.is_empty() => set("Ready", false, "ReadinessGatesNotReady", &gates.join("; ")),
        None => set("Ready", true, "", ""),
    }
    if conditions::get(list, "PodScheduled").is_none() {
        let scheduled = Condition {
            kind: "PodScheduled",
            status: "True",
            reason: "",
            message: "",
        };
        conditions::set(list, scheduled, &time);
    }
}

/// What the pod's readiness gates still want.
fn gates(spec: &PodSpec, found: &[Value]) -> Vec<String> {
    spec.readiness_gates
        .iter()
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match conditions::get(found, kind) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{kind}\" does not exist."
                )),
                Some(condition) => {
                    let status = conditions::text(condition, "status");
                    (status != "True").then(|| {
                        format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {status}")
                    })
                }
            }
        })
        .collect()
}

/// Records what happened to the pod.
fn tell(store: &mut Store, context: &Context<'_>, pod: &Object, node: &str, since: Second, notes: &[Note]) {
    for note in notes {
        let about = ObjectReference::of(&KINDS.pods, pod).part(note.field_path.as_str());
        let what = Happening {
            kind: note.kind,
            reason: note.reason,
            message: &note.message,
            component: "kubelet",
            host: node,
        };
        if note.once {
            events::record_once(store, context, &about, &what, since);
        } else {
            events::record(store, context, &about, &what);
        }
    }
}

/// Ends a pod that is being deleted: its containers stop, then the object goes.
fn terminate(
    store: &mut Store,
    pod: &Arc<Object>,
    spec: &PodSpec,
    mut status: PodStatus,
    context: &Context<'_>,
) -> Result<Option<Duration>, Status> {
    let now = context.now;
    let Some(deletion) = pod.deletion else {
        return Ok(None);
    };
    let grace = deletion.grace.unwrap_or(GRACE_SECONDS).max(0);
    let asked = Second(deletion.at.0.saturating_sub(grace));
    let mirror = pod.annotation(MIRROR).is_some();
    let running = containers::running(&status);
    if !running.is_empty() && grace > 0 && !mirror {
        let seed = context.seed.child("pod-stop").child(&pod.uid_text());
        let stop = context.behaviour.pod_stop.draw(seed);
        let grace = TimeDelta::try_seconds(grace).and_then(|grace| grace.to_std().ok());
        let due = later(time_of(asked), stop.min(grace.unwrap_or(stop)));
        let notes: Vec<Note> = running
            .iter()
            .map(|(path, name)| Note {
                field_path: path.clone(),
                kind: EventType::Normal,
                reason: "Killing",
                message: format!("Stopping container {name}"),
                once: true,
            })
            .collect();
        tell(store, context, pod, &spec.node_name, asked, &notes);
        if due > now {
            return Ok(Some(until(now, due)));
        }
    }
    let mut version = Arc::clone(pod);
    if !running.is_empty() {
        containers::stop(spec, &mut status, now);
        let mut draft = pod.draft();
        let body = conditions::object(&mut draft.body, "status");
        let start = status.start_time.as_deref().and_then(Second::parse);
        let phase = containers::phase(spec, &status);
        write_status(body, spec, &status, phase, false, (start.unwrap_or(asked), now));
        version = store
            .replace(&KINDS.pods, Part::Status, draft, context.by("kubelet"))?
            .object;
    }
    if grace == 0 && !version.head.finalizers.is_empty() {
        return Ok(None);
    }
    let options = DeleteOptions {
        uid: Some(pod.uid_text()),
        ..DeleteOptions::now()
    };
    let target = Target::stored(&KINDS.pods, pod.namespace());
    let gone = store.delete(target, pod.name(), &options, now)?.gone;
    if gone && mirror {
        mirror_again(store, &version, context)?;
    }
    Ok(None)
}

/// A static pod cannot be deleted: the kubelet shows it again.
fn mirror_again(store: &mut Store, pod: &Object, context: &Context<'_>) -> Result<(), Status> {
    let mut draft = pod.draft();
    draft.body.remove("status");
    let mut value = Value::Object(draft.body);
    value["metadata"] = json!({
        "name": draft.meta.name,
        "namespace": draft.meta.namespace,
        "labels": draft.meta.labels,
        "annotations": draft.meta.annotations,
        "ownerReferences": draft.meta.owner_references,
    });
    let target = Target::stored(&KINDS.pods, pod.namespace());
    store.create(target, value, context.by("kubelet"))?;
    Ok(())
}

#[cfg(test)]
mod tests;
