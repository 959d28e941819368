//! Which nodes and clusters a fault befalls.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{Chance, Glob};
use super::words::Role;
use crate::seed::Seed;

/// Labels of a node.
type Labels = BTreeMap<Box<str>, Box<str>>;

/// Which nodes or clusters. Everything given must fit; nothing given: all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Patterns of node names, such as `node-1*`; one must fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Glob>,
    /// Labels that a node must have, with patterns of their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Box<str>, Glob>,
    /// Share of the nodes that names and labels select, rounded, but at least one node; drawn from the seed. Of
    /// clusters, each one's chance to be among the selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Chance>,
    /// Number of the nodes that names and labels select, drawn from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Patterns of cluster names: the cluster itself, or the one that the node belongs to at the time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Glob>,
    /// The node's part in its cluster at the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// Place of a node in the fleet's list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(pub u32);

/// The fleet's list, as far as selectors look at it.
pub trait Fleet {
    /// Number of nodes.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name and labels of a node; none beyond the end of the list.
    fn member(&self, index: NodeIndex) -> Option<(&str, &Labels)>;
}

/// A fleet without nodes.
impl Fleet for () {
    fn len(&self) -> usize {
        0
    }

    fn member(&self, _: NodeIndex) -> Option<(&str, &Labels)> {
        None
    }
}

/// A set of nodes: a bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    words: Box<[u64]>,
}

impl NodeSet {
    const BITS: u32 = u64::BITS;

    /// A set for a fleet of so many nodes, none in it.
    #[must_use]
    pub fn with_room(length: usize) -> Self {
        Self {
            words: vec![0; length.div_ceil(Self::BITS as usize)].into(),
        }
    }

    /// Puts a node in; one beyond the room is left out.
    pub fn insert(&mut self, index: NodeIndex) {
        if let Some(word) = self.words.get_mut((index.0 / Self::BITS) as usize) {
            *word |= 1 << (index.0 % Self::BITS);
        }
    }

    pub(super) fn extend(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Whether the node is in it.
    #[must_use]
    pub fn contains(&self, index: NodeIndex) -> bool {
        self.words
            .get((index.0 / Self::BITS) as usize)
            .is_some_and(|word| word & (1 << (index.0 % Self::BITS)) != 0)
    }

    /// Number of nodes in it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The nodes in it, in the fleet's order.
    pub fn iter(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        (0_u32..)
            .zip(&self.words)
            .filter(|(_, word)| **word != 0)
            .flat_map(|(at, word)| {
                let first = at.saturating_mul(Self::BITS);
                (0..Self::BITS)
                    .filter(move |bit| word & (1 << bit) != 0)
                    .map(move |bit| NodeIndex(first.saturating_add(bit)))
            })
    }
}

impl Selector {
    /// Whether names and labels fit.
    #[must_use]
    pub fn fits(&self, name: &str, labels: &Labels) -> bool {
        let named = self.names.is_empty() || self.names.iter().any(|glob| glob.matches(name));
        named
            && self
                .labels
                .iter()
                .all(|(label, glob)| labels.get(label).is_some_and(|value| glob.matches(value)))
    }

    /// Whether cluster and role fit.
    #[must_use]
    pub fn fits_cluster(&self, cluster: Option<&str>, role: Option<Role>) -> bool {
        let clustered = self.clusters.is_empty()
            || cluster.is_some_and(|name| self.clusters.iter().any(|glob| glob.matches(name)));
        clustered && self.role.is_none_or(|wanted| role == Some(wanted))
    }

    /// Whether a fault of clusters with this seed befalls the cluster.
    #[must_use]
    pub fn picks_cluster(&self, name: &str, seed: Seed) -> bool {
        self.fits_cluster(Some(name), self.role)
            && self
                .fraction
                .is_none_or(|fraction| fraction.draw(seed.child("pick").child(name)))
    }

    /// The nodes that it picks for a fault with this seed: by names, labels, and fraction or count. Cluster and role
    /// change over time and are looked at when the fault is asked for.
    #[must_use]
    pub fn pick(&self, fleet: &dyn Fleet, seed: Seed) -> NodeSet {
        let length = u32::try_from(fleet.len()).unwrap_or(u32::MAX);
        let mut set = NodeSet::with_room(length as usize);
        let fitting = (0..length).map(NodeIndex).filter(|index| {
            fleet
                .member(*index)
                .is_some_and(|(name, labels)| self.fits(name, labels))
        });
        if self.fraction.is_none() && self.count.is_none() {
            fitting.for_each(|index| set.insert(index));
            return set;
        }
        // Each node draws a number from its name; those with the lowest are picked. So another node more or less
        // changes the choice by one node at most.
        let seed = seed.child("pick");
        let mut drawn: Vec<(u64, NodeIndex)> = fitting
            .filter_map(|index| Some((seed.child(fleet.member(index)?.0).value(), index)))
            .collect();
        let wanted = self.wanted(drawn.len());
        if wanted < drawn.len() {
            drawn.select_nth_unstable(wanted);
        }
        drawn
            .iter()
            .take(wanted)
            .for_each(|(_, index)| set.insert(*index));
        set
    }

    /// How many of `fitting` nodes are wanted.
    fn wanted(&self, fitting: usize) -> usize {
        if let Some(count) = self.count {
            return fitting.min(count as usize);
        }
        let fraction = self.fraction.map_or(1.0, Chance::value);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number of nodes, not negative and below 2^53"
        )]
        let share = (fitting as f64 * fraction).round() as usize;
        let least = usize::from(fraction > 0.0);
        share.max(least).min(fitting)
    }
}
