//! Counts what is in a cluster.

use metalsim_actors::kube::cluster::Cluster;

/// What is in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Nodes.
    pub nodes: usize,
    /// Those whose condition `Ready` is true.
    pub ready_nodes: usize,
    /// Objects of all kinds.
    pub objects: usize,
}

impl Census {
    /// Of a cluster as it is.
    #[must_use]
    pub fn of(state: &Cluster) -> Self {
        let mut census = Self {
            objects: state.store.len(),
            ..Self::default()
        };
        for node in state.store.all_of("", "nodes", None) {
            census.nodes += 1;
            let conditions = node.at(&["status", "conditions"]);
            let is_ready = conditions
                .as_ref()
                .and_then(|conditions| conditions.as_array())
                .is_some_and(|conditions| {
                    conditions
                        .iter()
                        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
                });
            census.ready_nodes += usize::from(is_ready);
        }
        census
    }
}
