//! DaemonSets: one pod on each node that fits (kubernetes: `pkg/controller/daemon`).

mod status;
mod update;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::events::EventType;
use super::kinds::{KINDS, about};
use super::placement::{NodeSpec, Placement, Toleration, untolerated};
use super::pods::{self, Phase, Pod, PodName};
use super::revisions::{self, HASH_LABEL, Revisions};
use super::workload::{self, Claim, Reporter, read_key, selector_of, template_map};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Store, node_of};

/// The controller's name in events.
const COMPONENT: &str = "daemonset-controller";
/// Pods that one look makes or deletes at most.
const BURST: usize = 250;
/// Label of pods: how often the template changed.
const GENERATION_LABEL: &str = "pod-template-generation";

/// The controller of DaemonSets.
#[derive(Debug)]
pub struct DaemonSets;

/// What the controller reads of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    min_ready_seconds: i64,
    revision_history_limit: Option<i64>,
    update_strategy: Strategy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Strategy {
    #[serde(rename = "type")]
    kind: String,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingUpdate {
    max_unavailable: Value,
    max_surge: Value,
}

/// A node, and whether a pod is to be on it.
#[derive(Debug)]
struct Place {
    node: Arc<Object>,
    /// One is to be made.
    run: bool,
    /// One that is there may stay.
    stay: bool,
}

/// Pods by the node that they are on, or made for.
type ByNode = BTreeMap<String, Vec<Pod>>;

/// A DaemonSet during one look.
struct Daemon<'a> {
    set: &'a Arc<Object>,
    spec: &'a Spec,
    template: Value,
    /// Hash of the present template.
    hash: String,
    /// Number of the present template.
    number: i64,
    places: Vec<Place>,
    pods: ByNode,
}

impl Controller for DaemonSets {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if about(change, &KINDS.nodes) {
            let object = &change.object;
            let matters = match &change.changed {
                Changed::Added | Changed::Deleted(_) => true,
                Changed::Modified(before) => {
                    before.head.labels != object.head.labels
                        || before.section_text("spec") != object.section_text("spec")
                }
            };
            if matters {
                store
                    .all(&KINDS.daemon_sets, None)
                    .for_each(|set| look_at(Key::of(set)));
            }
            return;
        }
        let kinds = [&*KINDS.pods, &*KINDS.controller_revisions];
        workload::observe(store, change, &KINDS.daemon_sets, &kinds, look_at);
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let (name, adopt) = read_key(key);
        let resource = &KINDS.daemon_sets;
        let Some(set) = store.find(resource, key.namespace(), name).cloned() else {
            return Ok(None);
        };
        let (Some(spec), Some(selector)) = (set.read::<Spec>("spec"), selector_of(resource, &set)) else {
            return Ok(None);
        };
        let reporter = Reporter {
            component: COMPONENT,
            resource,
            object: &set,
        };
        if selector.is_empty() {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            reporter.event(store, context, EventType::Warning, "SelectingAll", message);
            return Ok(None);
        }
        if set.is_terminating() {
            return Ok(None);
        }
        let template = pods::template_of(&set);
        let collisions = status::collisions(&set);
        let revisions = Revisions {
            owner_kind: resource,
            owner: &set,
            selector: &selector,
            hash_label: HASH_LABEL,
            adopt,
        };
        let history = match revisions.settle(store, context, &template, collisions) {
            Ok(history) => history,
            Err(Some(status)) => return Err(status),
            Err(None) => {
                status::collided(store, context, &set)?;
                return Ok(Some(Duration::ZERO));
            }
        };
        let claim = Claim {
            owner_kind: resource,
            owner: &set,
            kind: &KINDS.pods,
            selector: &selector,
            adopt,
        };
        let found = claim.settle(store, context, |_| true)?;
        let mut daemon = Daemon {
            set: &set,
            spec: &spec,
            hash: history.update.object.label(HASH_LABEL).unwrap_or("").to_owned(),
            number: history.update.number,
            places: places(store, &template),
            pods: by_node(&found),
            template,
        };
        let mut done = daemon.manage(&reporter, store, context);
        if done.is_ok() && spec.update_strategy.kind != "OnDelete" {
            done = daemon.roll(&reporter, store, context);
        }
        let used = revisions::used(&found);
        let cleaned = revisions::truncate(store, context, &history.old, spec.revision_history_limit, |one| {
            one.object
                .label(HASH_LABEL)
                .is_some_and(|hash| used.contains(hash))
        });
        let wait = daemon.write_status(store, context)?;
        done.and(cleaned)?;
        Ok(wait)
    }
}

/// Taints that every daemon's pod tolerates (kubernetes: `pkg/controller/daemon/util/daemonset_util.go`, `AddOrUpdateDaemonPodTolerations`).
const TOLERATED: [(&str, &str); 7] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ("node.kubernetes.io/network-unavailable", "NoSchedule"),
];

/// Those that this template's pods tolerate: the last one is for pods in the host's network.
fn tolerated(template: &Value) -> &'static [(&'static str, &'static str)] {
    let host = template.pointer("/spec/hostNetwork") == Some(&Value::Bool(true));
    TOLERATED.get(..if host { 7 } else { 6 }).unwrap_or(&TOLERATED)
}

/// All nodes, and whether they are for pods of the template (kubernetes: `pkg/controller/daemon/daemon_controller.go`, `NodeShouldRunDaemonPod`).
fn places(store: &Store, template: &Value) -> Vec<Place> {
    let spec = template.get("spec").cloned().unwrap_or_default();
    let only = spec
        .get("nodeName")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    let mut placement: Placement = serde_json::from_value(spec).unwrap_or_default();
    placement
        .tolerations
        .extend(tolerated(template).iter().map(|(key, effect)| Toleration {
            key: (*key).to_owned(),
            operator: "Exists".to_owned(),
            value: String::new(),
            effect: (*effect).to_owned(),
        }));
    store
        .all(&KINDS.nodes, None)
        .map(|node| {
            let named = only.is_empty() || only == node.name();
            let fits = named && placement.selects(node);
            let taints = NodeSpec::of(node).taints;
            let lets = |effects: &[&str]| untolerated(&taints, &placement.tolerations, effects).is_none();
            Place {
                node: Arc::clone(node),
                run: fits && lets(&["NoSchedule", "NoExecute"]),
                stay: fits && lets(&["NoExecute"]),
            }
        })
        .collect()
}

/// The node that a pod is on, or that its affinity names.
fn target(pod: &Object) -> String {
    let node = node_of(pod);
    if !node.is_empty() {
        return node;
    }
    let placement: Placement = pod.read("spec").unwrap_or_default();
    let named = placement.named_nodes().unwrap_or_default();
    match named.as_slice() {
        [name] => (*name).to_owned(),
        _ => String::new(),
    }
}

fn by_node(pods: &[Arc<Object>]) -> ByNode {
    let mut found = ByNode::new();
    for object in pods {
        let pod = Pod::of(object);
        if pod.phase.is_terminal() && object.is_terminating() {
            continue;
        }
        found.entry(target(object)).or_default().push(pod);
    }
    for pods in found.values_mut() {
        pods.sort_by_key(|pod| (pod.object.created, pod.object.uid));
    }
    found
}

impl Daemon<'_> {
    fn on(&self, node: &str) -> &[Pod] {
        self.pods.get(node).map_or(&[], Vec::as_slice)
    }

    /// Makes the pods that are missing, and deletes those that are too many or over.
    fn manage(
        &mut self,
        reporter: &Reporter<'_>,
        store: &mut Store,
        context: &Context<'_>,
    ) -> Result<(), Status> {
        let (mut missing, mut gone) = (Vec::new(), Vec::new());
        for place in &self.places {
            let name = place.node.name();
            let pods = self.on(name);
            if place.run && pods.is_empty() {
                missing.push(name.to_owned());
            } else if place.stay {
                gone.extend(self.surplus(pods, context));
            } else {
                gone.extend(pods.iter().filter(|pod| !pod.object.is_terminating()).cloned());
            }
        }
        // Pods that were made for nodes that are gone.
        for (node, pods) in &self.pods {
            let unknown = !self.places.iter().any(|place| place.node.name() == node);
            let idle = pods
                .iter()
                .filter(|pod| node_of(&pod.object).is_empty() && !pod.object.is_terminating());
            if unknown {
                gone.extend(idle.cloned());
            }
        }
        for pod in &gone {
            let (kind, reason, what) = match pod.phase {
                Phase::Failed => (EventType::Warning, "FailedDaemonPod", "failed"),
                Phase::Succeeded => (EventType::Normal, "SucceededDaemonPod", "succeeded"),
                _ => continue,
            };
            let end = if what == "failed" { "kill" } else { "delete" };
            let namespace = pod.object.namespace().unwrap_or_default();
            let message = format!(
                "Found {what} daemon pod {namespace}/{} on node {}, will try to {end} it",
                pod.object.name(),
                node_of(&pod.object)
            );
            reporter.event(store, context, kind, reason, &message);
        }
        self.sync(reporter, store, context, &missing, &gone)
    }

    /// Pods of one node that are to go: those that are over, and all but the oldest, or the oldest old and new one.
    fn surplus(&self, pods: &[Pod], context: &Context<'_>) -> Vec<Pod> {
        let here = pods.iter().filter(|pod| !pod.object.is_terminating());
        let (over, running): (Vec<&Pod>, Vec<&Pod>) = here.partition(|pod| pod.phase.is_terminal());
        let mut gone: Vec<Pod> = over.into_iter().cloned().collect();
        if !self.surges() {
            gone.extend(running.into_iter().skip(1).cloned());
            return gone;
        }
        let (new, old): (Vec<&Pod>, Vec<&Pod>) = running.into_iter().partition(|pod| self.is_new(pod));
        gone.extend(new.iter().skip(1).map(|pod| (*pod).clone()));
        gone.extend(old.iter().skip(1).map(|pod| (*pod).clone()));
        if let (Some(new), Some(old)) = (new.first(), old.first())
            && (!old.is_ready() || new.is_available(self.spec.min_ready_seconds, context.now))
        {
            gone.push((*old).clone());
        }
        gone
    }

    fn is_new(&self, pod: &Pod) -> bool {
        pod.object.label(HASH_LABEL) == Some(&*self.hash)
    }

    /// Makes and deletes pods, and keeps account of them.
    fn sync(
        &mut self,
        reporter: &Reporter<'_>,
        store: &mut Store,
        context: &Context<'_>,
        missing: &[String],
        gone: &[Pod],
    ) -> Result<(), Status> {
        let prefix = pods::prefix(self.set.name());
        for node in missing.iter().take(BURST) {
            let body = pods::owned(
                &self.template_for(node),
                PodName::Prefix(&prefix),
                reporter.resource,
                self.set,
            );
            match reporter.create_pod(store, context, body) {
                Ok(pod) => self.pods.entry(node.clone()).or_default().push(Pod::of(&pod)),
                Err(status) if workload::namespace_ends(&status) => return Ok(()),
                Err(status) => return Err(status),
            }
        }
        let gone: Vec<&Pod> = gone.iter().take(BURST).collect();
        pods::delete_all(reporter, store, context, gone.iter().copied())?;
        for pod in gone {
            let present = store
                .find(&KINDS.pods, pod.object.namespace(), pod.object.name())
                .filter(|present| present.uid == pod.object.uid)
                .map(Pod::of);
            if let Some(pods) = self.pods.get_mut(&target(&pod.object)) {
                pods.retain(|other| other.object.uid != pod.object.uid);
                pods.extend(present);
                pods.sort_by_key(|pod| (pod.object.created, pod.object.uid));
            }
        }
        self.pods.retain(|_, pods| !pods.is_empty());
        Ok(())
    }

    /// The template with what makes a pod of it one of this node.
    fn template_for(&self, node: &str) -> Value {
        let mut template = self.template.clone();
        let labels = template_map(&mut template, "labels");
        labels.insert(GENERATION_LABEL.to_owned(), self.number.to_string().into());
        labels.insert(HASH_LABEL.to_owned(), self.hash.as_str().into());
        let tolerated = tolerated(&template);
        let spec = &mut template["spec"];
        if !spec["tolerations"].is_array() {
            spec["tolerations"] = json!([]);
        }
        if let Some(list) = spec["tolerations"].as_array_mut() {
            for (key, effect) in tolerated {
                let toleration = json!({"key": key, "operator": "Exists", "effect": effect});
                if !list.contains(&toleration) {
                    list.push(toleration);
                }
            }
        }
        for step in ["affinity", "nodeAffinity"] {
            let place = if step == "affinity" {
                &mut spec[step]
            } else {
                &mut spec["affinity"][step]
            };
            if !place.is_object() {
                *place = json!({});
            }
        }
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!({
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
            ],
        });
        template
    }
}

#[cfg(test)]
mod tests;
