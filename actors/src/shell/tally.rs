//! What is counted of a cluster as it changes, so that nobody has to look at its state for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::kube::node::is_ready;
use crate::kube::object::Object;

/// Counts of a cluster, for metrics. What is read together may be of two moments.
#[derive(Debug, Default)]
pub struct Tally {
    nodes: AtomicU32,
    ready: AtomicU32,
    lost_storage: AtomicBool,
}

/// Nodes of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// All of them.
    pub all: u32,
    /// Those whose condition Ready is true.
    pub ready: u32,
}

impl NodeCounts {
    pub(super) fn of<'a>(nodes: impl Iterator<Item = &'a Arc<Object>>) -> Self {
        let mut counts = Self::default();
        for node in nodes {
            counts.change(None, Some(is_ready(node)));
        }
        counts
    }

    /// A node changes: whether it was ready before, and is afterwards; none: it was not there.
    pub(super) fn change(&mut self, was: Option<bool>, is: Option<bool>) {
        let number = |there| u32::from(there);
        self.all = (self.all + number(is.is_some())).saturating_sub(number(was.is_some()));
        self.ready = (self.ready + number(is == Some(true))).saturating_sub(number(was == Some(true)));
    }
}

impl Tally {
    /// Its nodes.
    #[must_use]
    pub fn nodes(&self) -> NodeCounts {
        NodeCounts {
            all: self.nodes.load(Relaxed),
            ready: self.ready.load(Relaxed),
        }
    }

    /// Whether its etcd has lost its quorum.
    #[must_use]
    pub fn lost_storage(&self) -> bool {
        self.lost_storage.load(Relaxed)
    }

    pub(super) fn set_nodes(&self, counts: NodeCounts) {
        self.nodes.store(counts.all, Relaxed);
        self.ready.store(counts.ready, Relaxed);
    }

    pub(super) fn set_storage(&self, there: bool) {
        self.lost_storage.store(!there, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_change_and_go() {
        let mut counts = NodeCounts::default();
        counts.change(None, Some(false));
        counts.change(None, Some(true));
        assert_eq!(counts, NodeCounts { all: 2, ready: 1 });
        counts.change(Some(false), Some(true));
        assert_eq!(counts, NodeCounts { all: 2, ready: 2 });
        counts.change(Some(true), None);
        counts.change(Some(true), Some(false));
        assert_eq!(counts, NodeCounts { all: 1, ready: 0 });
    }
}
