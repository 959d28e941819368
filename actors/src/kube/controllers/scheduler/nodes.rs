//! The nodes and what runs on them, read once for all pods of a pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::super::kinds::KINDS;
use super::super::placement::{Affinity, NodeSpec};
use super::between::Term;
use super::pod::{Amounts, HostPort, Room};
use crate::kube::object::Object;
use crate::kube::quantity::Quantity;
use crate::kube::store::Store;

/// A node and what is taken of it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) object: Arc<Object>,
    pub(super) spec: NodeSpec,
    pub(super) allocatable: Amounts,
    pub(super) used: Amounts,
    pub(super) ports: BTreeSet<HostPort>,
    pub(super) pods: usize,
    /// Pods of each owner.
    pub(super) owners: BTreeMap<String, usize>,
}

impl Node {
    /// What is left of a resource.
    pub(super) fn free(&self, resource: &str) -> i128 {
        let of = |amounts: &Amounts| amounts.get(resource).copied().unwrap_or(0);
        of(&self.allocatable).saturating_sub(of(&self.used))
    }

    fn take(&mut self, pod: &Object, room: Room) {
        for (name, amount) in room.requests {
            let place = self.used.entry(name).or_default();
            *place = place.saturating_add(amount);
        }
        self.ports.extend(room.ports);
        self.pods = self.pods.saturating_add(1);
        if let Some(owner) = pod.controller() {
            let count = self.owners.entry(owner.uid.clone()).or_default();
            *count = count.saturating_add(1);
        }
    }
}

/// A pod that is on a node.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) object: Arc<Object>,
    /// Place of its node.
    pub(super) node: usize,
    /// What it does not want near it.
    pub(super) rejects: Vec<Term>,
}

/// All nodes and their pods.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) nodes: Vec<Node>,
    pub(super) placed: Vec<Placed>,
}

impl Snapshot {
    pub(super) fn of(store: &Store) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Status {
            allocatable: BTreeMap<String, Value>,
        }
        let mut snapshot = Self {
            nodes: Vec::new(),
            placed: Vec::new(),
        };
        for object in store
            .all(&KINDS.nodes, None)
            .filter(|node| !node.is_terminating())
        {
            let status: Status = object.read("status").unwrap_or_default();
            let allocatable = status
                .allocatable
                .into_iter()
                .filter_map(|(name, value)| Some((name, Quantity::from_value(&value)?.as_milli())))
                .collect();
            let index = snapshot.nodes.len();
            snapshot.nodes.push(Node {
                object: Arc::clone(object),
                spec: NodeSpec::of(object),
                allocatable,
                used: Amounts::new(),
                ports: BTreeSet::new(),
                pods: 0,
                owners: BTreeMap::new(),
            });
            for pod in store.pods_on(object.name()).filter(|pod| !is_over(pod)) {
                snapshot.place(store, pod, index, Room::of(pod));
            }
        }
        snapshot
    }

    /// Takes account of a pod on the node of that place.
    pub(super) fn place(&mut self, store: &Store, pod: &Arc<Object>, node: usize, room: Room) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.take(pod, room);
        }
        self.placed.push(Placed {
            object: Arc::clone(pod),
            node,
            rejects: rejects(store, pod),
        });
    }

    /// A label of the node that a pod is on.
    pub(super) fn label_at(&self, placed: &Placed, key: &str) -> Option<&str> {
        self.nodes.get(placed.node)?.object.label(key)
    }
}

/// Whether a pod has run to its end. Quotes within texts are escaped, so this finds the field.
pub(super) fn is_over(pod: &Object) -> bool {
    pod.section_text("status").is_some_and(|status| {
        ["\"phase\":\"Succeeded\"", "\"phase\":\"Failed\""]
            .iter()
            .any(|phase| status.contains(phase))
    })
}

fn rejects(store: &Store, pod: &Object) -> Vec<Term> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Spec {
        affinity: Affinity,
    }
    let likely = pod
        .section_text("spec")
        .is_some_and(|spec| spec.contains("\"podAntiAffinity\""));
    if !likely {
        return Vec::new();
    }
    let spec: Spec = pod.read("spec").unwrap_or_default();
    let terms = spec.affinity.pod_anti_affinity.unwrap_or_default().required;
    let namespace = pod.namespace().unwrap_or_default();
    terms
        .iter()
        .map(|term| Term::of(store, term, namespace))
        .collect()
}
