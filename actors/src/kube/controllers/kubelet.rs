//! The kubelets: bound pods start, run, end (kubernetes: `pkg/kubelet/kubelet.go`, `pkg/kubelet/status/generate.go`,
//! `pkg/kubelet/kuberuntime/kuberuntime_manager.go`).
//!
//! What a pod does next follows from its status, the time, and since when the kubelet runs. Annotations of a pod choose
//! what its containers do:
//!
//! - `metalsim.io/run-duration`: they end by themselves after so many seconds (`5`, `2.5s`, `3m`, `1h`). Without it, containers of pods with
//!   `restartPolicy: Always` run for ever, others as long as [`crate::kube::controller::Behaviour::pod_run`] says.
//! - `metalsim.io/exit-code`: with this code, 0 if there is none.

mod address;
mod containers;
mod images;
mod life;
mod needs;
mod status;
mod step;
mod types;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::conditions;
use super::events::{self, EventType, Happening, ObjectReference};
use super::kinds::{KINDS, about};
use super::kubelet_node;
use super::node_ipam;
use crate::kube::controller::{Context, Controller, Key, Kubelet, later, until};
use crate::kube::object::{Object, Second};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, DeleteOptions, Part, Store, Target, node_of};

use life::{Life, Note};
use status::Report;
use types::{PodSpec, PodStatus};

/// Marks the API's image of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Reason and message of a pod that ran for too long (kubernetes: `pkg/kubelet/active_deadline.go`).
const DEADLINE: (&str, &str) = (
    "DeadlineExceeded",
    "Pod was active on the node longer than the specified deadline",
);
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
            if about(change, &KINDS.pods) && object.annotation(MIRROR).is_some() {
                look_at(Key::of(object));
            }
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
            mirror_again(store, key, context)?;
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
    let mut due = later(time_of(start).max(since), life.start_takes);
    if !spec.host_network {
        // A network for the pod comes with the readiness of the node.
        due = due.max(kubelet_node::ready_at(&spec.node_name, since, context));
    }
    let deadline = spec
        .active_deadline_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(|seconds| later(time_of(start), Duration::from_secs(seconds)));
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
            status.pod_ip = address::free(store, pod, spec, node).unwrap_or_default();
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
    let mut failure = None;
    if let Some(end) = deadline {
        if end <= now {
            notes.extend(killing(&status, false));
            containers::stop(spec, &mut status, now);
            notes.push(Note {
                field_path: String::new(),
                kind: EventType::Normal,
                reason: DEADLINE.0,
                message: DEADLINE.1.to_owned(),
                once: false,
            });
            failure = Some(DEADLINE);
            wait = None;
        } else {
            let left = until(now, end);
            wait = Some(wait.map_or(left, |wait| wait.min(left)));
        }
    }
    let phase = if failure.is_some() {
        "Failed"
    } else {
        containers::phase(spec, &status)
    };
    let mut draft = pod.draft();
    let body = conditions::object(&mut draft.body, "status");
    let before = body.clone();
    let host = address::host_ip(node);
    if spec.host_network && status.pod_ip.is_empty() {
        status.pod_ip.clone_from(&host);
    }
    let report = Report {
        phase,
        failure,
        sandbox,
        start,
        now,
        generation: pod.generation,
    };
    status::write(body, spec, &status, report);
    if !host.is_empty() {
        body.insert("hostIP".to_owned(), host.as_str().into());
        body.insert("hostIPs".to_owned(), json!([{"ip": host}]));
    }
    if *body != before {
        store.replace(&KINDS.pods, Part::Status, draft, context.by("kubelet"))?;
    }
    tell(store, context, pod, &spec.node_name, start, &notes);
    Ok(wait)
}

/// What is told of the containers that are to stop.
fn killing(status: &PodStatus, once: bool) -> Vec<Note> {
    containers::running(status)
        .into_iter()
        .map(|(field_path, name)| Note {
            field_path,
            kind: EventType::Normal,
            reason: "Killing",
            message: format!("Stopping container {name}"),
            once,
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
        let notes = killing(&status, true);
        tell(store, context, pod, &spec.node_name, asked, &notes);
        if due > now {
            return Ok(Some(until(now, due)));
        }
    }
    let mut held = !pod.head.finalizers.is_empty();
    if !running.is_empty() {
        containers::stop(spec, &mut status, now);
        let mut draft = pod.draft();
        let body = conditions::object(&mut draft.body, "status");
        let start = status.start_time.as_deref().and_then(Second::parse);
        let phase = containers::phase(spec, &status);
        let report = Report {
            phase,
            failure: None,
            sandbox: false,
            start: start.unwrap_or(asked),
            now,
            generation: pod.generation,
        };
        status::write(body, spec, &status, report);
        let written = store.replace(&KINDS.pods, Part::Status, draft, context.by("kubelet"))?;
        held = !written.object.head.finalizers.is_empty();
    }
    if grace == 0 && held {
        return Ok(None);
    }
    let options = DeleteOptions {
        uid: Some(pod.uid_text()),
        ..DeleteOptions::now()
    };
    let target = Target::stored(&KINDS.pods, pod.namespace());
    store.delete(target, pod.name(), &options, now)?;
    Ok(None)
}

/// A static pod cannot be deleted: the kubelet shows it again, while its node is the one that it was on.
fn mirror_again(store: &mut Store, key: &Key, context: &Context<'_>) -> Result<(), Status> {
    let last = store.changes_after(store.oldest_version()).rev().find(|change| {
        about(change, &KINDS.pods)
            && matches!(change.changed, Changed::Deleted(_))
            && change.object.name() == &*key.name
            && change.object.namespace() == key.namespace()
    });
    let Some(pod) = last.map(|change| Arc::clone(&change.object)) else {
        return Ok(());
    };
    let node = node_of(&pod);
    let runs = matches!(context.kubelets.get(&*node), Some(Kubelet::Running { .. }));
    let present = store.find(&KINDS.nodes, None, &node);
    let same = present.is_some_and(|node| {
        let uid = node.uid_text();
        let mut owners = pod.head.owners.iter().filter(|owner| owner.kind == "Node");
        owners.all(|owner| owner.uid == uid)
    });
    if pod.annotation(MIRROR).is_none() || !runs || !same {
        return Ok(());
    }
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
