//! How often a subject met each fault: the only state that faults have, empty for a subject that none selects.

use super::set::FaultKey;

/// How often a node or cluster met each fault that selects it. Kept by the subject's owner.
///
/// Eight bytes while no fault counts for the subject; then one entry a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occasions(Option<Box<Counts>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Snapshot that the entries were last compared with.
    version: u64,
    /// Occasions so far, by fault; few, so a list is searched fastest.
    counts: Vec<(FaultKey, u64)>,
}

impl Occasions {
    /// Counts an occasion and returns its number, from 1. `known` tells whether a fault is still in the snapshot of
    /// this version; what is not is forgotten.
    pub(super) fn next(&mut self, key: FaultKey, version: u64, known: impl Fn(FaultKey) -> bool) -> u64 {
        let counts = self.0.get_or_insert_with(Box::default);
        if counts.version != version {
            counts.version = version;
            counts.counts.retain(|(key, _)| known(*key));
        }
        if let Some((_, count)) = counts.counts.iter_mut().find(|(counted, _)| *counted == key) {
            *count = count.saturating_add(1);
            return *count;
        }
        counts.counts.push((key, 1));
        1
    }

    /// Number of faults that were counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |counts| counts.counts.len())
    }

    /// Whether nothing was counted yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
