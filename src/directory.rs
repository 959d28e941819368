//! The map of the fleet: which nodes there are, by id, by name and in the order of the settings.
//!
//! Nodes are fixed once the fleet has started, so nothing of that is locked: every thread reads it at once. What
//! changes of a node (power, phase) is published in its [`NodeRef`]; labels that were changed are here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use metalsim_actors::ids::NodeId;
use metalsim_actors::node::Labels;
use metalsim_actors::shell::NodeRef;

/// Every node of the process.
pub struct Directory {
    nodes: Vec<Arc<NodeRef>>,
    /// Position in `nodes`: a quarter of the memory of a second map of handles.
    by_id: HashMap<NodeId, u32>,
    /// Positions in `nodes`, sorted by name: a map would have to keep the names a second time.
    by_name: Vec<u32>,
    /// Labels that are others than those of the settings, by position.
    relabelled: RwLock<BTreeMap<u32, Arc<Labels>>>,
}

impl Directory {
    /// Takes the nodes in the order of the settings. Ids and names are unique there; of two nodes with one id the
    /// later is found.
    #[must_use]
    pub fn new(nodes: Vec<Arc<NodeRef>>) -> Self {
        let positions = || (0_u32..).zip(&nodes);
        let by_id = positions()
            .map(|(position, node)| (node.identity().id, position))
            .collect();
        let mut by_name: Vec<u32> = positions().map(|(position, _)| position).collect();
        by_name.sort_unstable_by(|a, b| name_at(&nodes, *a).cmp(name_at(&nodes, *b)));
        Self {
            nodes,
            by_id,
            by_name,
            relabelled: RwLock::default(),
        }
    }

    /// The node with this id.
    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<Arc<NodeRef>> {
        self.position(id)
            .map(|position| Arc::clone(&self.nodes[position]))
    }

    /// The node with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<NodeRef>> {
        let found = self
            .by_name
            .binary_search_by(|position| name_at(&self.nodes, *position).cmp(name))
            .ok()?;
        self.nodes.get(self.by_name[found] as usize).cloned()
    }

    /// Where the node stands in [`Self::nodes`].
    #[must_use]
    pub fn position(&self, id: &NodeId) -> Option<usize> {
        self.by_id.get(id).map(|position| *position as usize)
    }

    /// The nodes in the order of the settings.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<NodeRef>] {
        &self.nodes
    }

    /// The labels of a node.
    #[must_use]
    pub fn labels(&self, node: &NodeRef) -> Arc<Labels> {
        let identity = node.identity();
        let relabelled = self.relabelled.read().unwrap_or_else(PoisonError::into_inner);
        let changed = relabelled.get(&identity.index.0);
        Arc::clone(changed.unwrap_or(&identity.labels))
    }

    /// Gives a node other labels.
    pub fn relabel(&self, node: &NodeRef, labels: Arc<Labels>) {
        let identity = node.identity();
        let mut relabelled = self.relabelled.write().unwrap_or_else(PoisonError::into_inner);
        if labels == identity.labels {
            relabelled.remove(&identity.index.0);
        } else {
            relabelled.insert(identity.index.0, labels);
        }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

fn name_at(nodes: &[Arc<NodeRef>], position: u32) -> &str {
    nodes
        .get(position as usize)
        .map_or("", |node| &node.identity().name)
}
