//! The faults in force, for everybody who asks, and the one way to change them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;

use super::cluster::ClusterRef;
use super::cluster_faults::concerns_clusters;
use crate::fault::{Change, FaultSet, Fleet, NodeIndex, NotChanged, SiteKind};
use crate::seed::Seed;

/// The faults in force. Whoever is about to do something takes the snapshot and asks it; a change puts another one in
/// its place.
pub struct FaultBoard {
    current: ArcSwap<FaultSet>,
    changing: Mutex<()>,
    clusters: Mutex<Clusters>,
}

/// The clusters that are told when the faults in force are others.
#[derive(Default)]
struct Clusters {
    all: Vec<Weak<ClusterRef>>,
    /// At this number those that are gone are taken out.
    tidy_at: usize,
}

/// Fewest clusters among which those that are gone are looked for.
const TIDY_FROM: usize = 64;

/// A board without faults.
impl Default for FaultBoard {
    fn default() -> Self {
        Self::new(FaultSet::none(Seed::root(0)))
    }
}

impl FaultBoard {
    /// A board with this snapshot.
    #[must_use]
    pub fn new(set: FaultSet) -> Self {
        Self {
            current: ArcSwap::from_pointee(set),
            changing: Mutex::new(()),
            clusters: Mutex::default(),
        }
    }

    /// The snapshot in force.
    #[must_use]
    pub fn current(&self) -> Arc<FaultSet> {
        self.current.load_full()
    }

    /// Version of the snapshot in force.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.current.load().version()
    }

    /// The snapshot in force, if any of its faults could ever strike the node.
    #[must_use]
    pub fn against(&self, node: NodeIndex) -> Option<Arc<FaultSet>> {
        let current = self.current.load();
        current.touches_node(node).then(|| Arc::clone(&current))
    }

    /// The snapshot in force, if any of its faults could strike the node at sites of this kind.
    #[must_use]
    pub fn against_at(&self, kind: SiteKind, node: NodeIndex) -> Option<Arc<FaultSet>> {
        let current = self.current.load();
        current.touches(kind, node).then(|| Arc::clone(&current))
    }

    /// The snapshot in force, if any of its faults could strike at sites of this kind.
    #[must_use]
    pub fn at_site(&self, kind: SiteKind) -> Option<Arc<FaultSet>> {
        let current = self.current.load();
        current.touches_site(kind).then(|| Arc::clone(&current))
    }

    /// A cluster is to be told of changes from now on.
    pub(super) fn watch(&self, cluster: &Arc<ClusterRef>) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        if clusters.all.len() >= clusters.tidy_at.max(TIDY_FROM) {
            clusters.all.retain(|known| known.strong_count() > 0);
            clusters.tidy_at = clusters.all.len().saturating_mul(2);
        }
        clusters.all.push(Arc::downgrade(cluster));
    }

    fn tell_clusters(&self) {
        let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        for cluster in clusters.all.iter().filter_map(Weak::upgrade) {
            cluster.tell_of_faults();
        }
    }

    /// Changes the faults, and tells the clusters if it may concern them. Answers with the snapshot before and the one in force from now on: those whom either
    /// touches have to be told.
    ///
    /// # Errors
    /// Why the change was not made; nothing has changed.
    pub fn change(
        &self,
        change: Change,
        fleet: &dyn Fleet,
    ) -> Result<(Arc<FaultSet>, Arc<FaultSet>), NotChanged> {
        // Changes are made one after the other, so that none is lost; readers never wait.
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        let after = Arc::new(before.changed(change, fleet)?);
        self.current.store(Arc::clone(&after));
        if concerns_clusters(&before) || concerns_clusters(&after) {
            self.tell_clusters();
        }
        Ok((before, after))
    }
}
