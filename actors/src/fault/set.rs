//! The faults in force: an immutable snapshot, its queries, and how the next one is made.

use std::sync::Arc;

use super::memory::Occasions;
use super::nature::{Mode, Subject};
use super::selector::{Fleet, NodeIndex, NodeSet};
use super::site::{Site, SiteKind, SiteMask};
use super::what::What;
use super::when::Window;
use super::words::Role;
use super::{Complaint, Fault, FaultName};
use crate::phase::Phase;
use crate::seed::Seed;
use crate::time::SimInstant;

/// Most faults at a time.
pub const MOST_FAULTS: usize = 1024;

/// Number of a fault for counting: never used again, so that a fault that takes another's name starts to count anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultKey(u64);

/// What a query needs to know of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NodeFacts<'a> {
    /// Place in the fleet's list.
    pub index: NodeIndex,
    /// Name, from which draws follow.
    pub name: &'a str,
    /// Phase of its life.
    pub phase: Phase,
    /// Name of its cluster, while it has one.
    pub cluster: Option<&'a str>,
    /// Its part in the cluster.
    pub role: Option<Role>,
}

/// What a query needs to know of a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusterFacts<'a> {
    /// Name, from which draws follow.
    pub name: &'a str,
}

/// Whom a query is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Who<'a> {
    /// A node.
    Node(NodeFacts<'a>),
    /// A cluster.
    Cluster(ClusterFacts<'a>),
}

impl<'a> From<NodeFacts<'a>> for Who<'a> {
    fn from(facts: NodeFacts<'a>) -> Self {
        Self::Node(facts)
    }
}

impl<'a> From<ClusterFacts<'a>> for Who<'a> {
    fn from(facts: ClusterFacts<'a>) -> Self {
        Self::Cluster(facts)
    }
}

impl Who<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Node(facts) => facts.name,
            Self::Cluster(facts) => facts.name,
        }
    }
}

/// A fault that befalls the subject of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit<'a> {
    /// Its name, for the record.
    pub fault: &'a FaultName,
    /// What goes wrong.
    pub what: &'a What,
    /// Number of the occasion, or of the window for states and events, from 1.
    pub number: u64,
    /// The window.
    pub window: Window,
    /// Seed for the draws that `what` leaves to the caller, such as a delay: of its own for each hit.
    pub seed: Seed,
    /// Seed for the draws that must come out the same for all whom the fault befalls.
    pub common_seed: Seed,
}

/// A fault with what follows from it and the fleet.
#[derive(Debug)]
struct Rule {
    key: FaultKey,
    fault: Fault,
    seed: Seed,
    /// Picked nodes, for faults of nodes.
    nodes: NodeSet,
}

/// The faults in force. Immutable; share it as an [`Arc`].
#[derive(Debug)]
pub struct FaultSet {
    version: u64,
    seed: Seed,
    next_key: u64,
    rules: Vec<Arc<Rule>>,
    /// Kinds of site at which any fault can strike.
    sites: SiteMask,
    /// Nodes that any fault picks.
    nodes: NodeSet,
    /// Places in `rules`, by kind of site, in order.
    by_site: Box<[Vec<u16>]>,
}

/// A change of the faults.
#[derive(Clone, Debug)]
pub enum Change {
    /// One more.
    Add(Fault),
    /// Another one in the place of the one with the same name, counted anew.
    Replace(Fault),
    /// One less.
    Remove(FaultName),
    /// All others.
    Set(Vec<Fault>),
    /// None: the fleet's labels have changed.
    Fleet,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// The name is taken.
    #[error("there is a fault {0} already")]
    NameTaken(FaultName),
    /// There is no fault with the name.
    #[error("there is no fault {0}")]
    Unknown(FaultName),
    /// The fault contradicts itself.
    #[error("the fault {0} cannot be: {1}")]
    Invalid(FaultName, Complaint),
    /// There are too many.
    #[error("more than {MOST_FAULTS} faults are not possible")]
    TooMany,
}

impl FaultSet {
    /// No faults, for a run with this seed. Version 0.
    #[must_use]
    pub fn none(seed: Seed) -> Self {
        Self {
            version: 0,
            seed,
            next_key: 0,
            rules: Vec::new(),
            sites: SiteMask::default(),
            nodes: NodeSet::default(),
            by_site: SiteKind::ALL.iter().map(|_| Vec::new()).collect(),
        }
    }

    /// The next snapshot: its version is one higher. `fleet` is asked which nodes the faults pick.
    ///
    /// # Errors
    /// Why the change was not made; this snapshot stays in force.
    pub fn changed(&self, change: Change, fleet: &dyn Fleet) -> Result<Self, NotChanged> {
        let mut next_key = self.next_key;
        let mut rules = self.rules.clone();
        let mut rule = |fault: Fault| {
            if let Some(complaint) = fault.complaints().into_iter().next() {
                return Err(NotChanged::Invalid(fault.name, complaint));
            }
            let seed = self.seed.child("fault").child(fault.name.as_str());
            let nodes = pick(&fault, fleet, seed);
            let key = FaultKey(next_key);
            next_key = next_key.saturating_add(1);
            Ok(Arc::new(Rule {
                key,
                fault,
                seed,
                nodes,
            }))
        };
        match change {
            Change::Add(fault) => {
                if self.get(fault.name.as_str()).is_some() {
                    return Err(NotChanged::NameTaken(fault.name));
                }
                rules.push(rule(fault)?);
            }
            Change::Replace(fault) => {
                let Some(old) = rules.iter_mut().find(|old| old.fault.name == fault.name) else {
                    return Err(NotChanged::Unknown(fault.name));
                };
                *old = rule(fault)?;
            }
            Change::Remove(name) => {
                let before = rules.len();
                rules.retain(|old| old.fault.name != name);
                if rules.len() == before {
                    return Err(NotChanged::Unknown(name));
                }
            }
            Change::Set(faults) => {
                rules = Vec::with_capacity(faults.len().min(MOST_FAULTS));
                for fault in faults {
                    if rules.iter().any(|known| known.fault.name == fault.name) {
                        return Err(NotChanged::NameTaken(fault.name));
                    }
                    if rules.len() == MOST_FAULTS {
                        return Err(NotChanged::TooMany);
                    }
                    rules.push(rule(fault)?);
                }
            }
            Change::Fleet => {
                for old in &mut rules {
                    let fault = old.fault.clone();
                    let nodes = pick(&fault, fleet, old.seed);
                    *old = Arc::new(Rule {
                        key: old.key,
                        seed: old.seed,
                        fault,
                        nodes,
                    });
                }
            }
        }
        if rules.len() > MOST_FAULTS {
            return Err(NotChanged::TooMany);
        }
        let mut sites = SiteMask::default();
        let mut nodes = NodeSet::with_room(fleet.len());
        let mut by_site: Box<[Vec<u16>]> = SiteKind::ALL.iter().map(|_| Vec::new()).collect();
        for (place, rule) in (0_u16..).zip(&rules) {
            let kind = rule.fault.what.site();
            sites.insert(kind);
            nodes.extend(&rule.nodes);
            if let Some(places) = by_site.get_mut(kind as usize) {
                places.push(place);
            }
        }
        Ok(Self {
            version: self.version.saturating_add(1),
            seed: self.seed,
            next_key,
            rules,
            sites,
            nodes,
            by_site,
        })
    }

    /// Number of changes since the start.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether there are no faults.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The faults, in order: of two that befall the same, the first one wins.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.rules.iter().map(|rule| &rule.fault)
    }

    /// The fault with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Fault> {
        self.faults().find(|fault| fault.name.as_str() == name)
    }

    /// The nodes that a fault picks by names, labels, and fraction or count; none of a fault of clusters.
    #[must_use]
    pub fn picked(&self, name: &str) -> Option<&NodeSet> {
        let rule = self.rules.iter().find(|rule| rule.fault.name.as_str() == name)?;
        Some(&rule.nodes)
    }

    /// Whether any fault could ever strike the node at sites of this kind: two bits are looked at. Worth asking before
    /// facts are gathered or counts are locked.
    #[must_use]
    pub fn touches(&self, kind: SiteKind, node: NodeIndex) -> bool {
        self.sites.contains(kind) && self.nodes.contains(node)
    }

    /// Whether a fault could ever strike the node at this very site. Counts nothing.
    #[must_use]
    pub fn concerns(&self, site: Site<'_>, node: NodeIndex) -> bool {
        let kind = site.kind();
        self.touches(kind, node)
            && self
                .by_site
                .get(kind as usize)
                .into_iter()
                .flatten()
                .filter_map(|place| self.rules.get(usize::from(*place)))
                .any(|rule| rule.nodes.contains(node) && rule.fault.what.applies_to(site))
    }

    /// Whether any fault could ever strike the node: one bit is looked at.
    #[must_use]
    pub fn touches_node(&self, node: NodeIndex) -> bool {
        self.nodes.contains(node)
    }

    /// Whether any fault could strike at sites of this kind: one bit is looked at.
    #[must_use]
    pub fn touches_site(&self, kind: SiteKind) -> bool {
        self.sites.contains(kind)
    }

    /// Something is about to be done: the first fault that makes it go wrong. Counts an occasion for each fault up to
    /// that one. For sites of [`Mode::Occasion`]; at others nothing is found.
    #[must_use]
    pub fn at<'s, 'w>(
        &'s self,
        site: Site<'_>,
        who: impl Into<Who<'w>>,
        now: SimInstant,
        met: &mut Occasions,
    ) -> Option<Hit<'s>> {
        let who = who.into();
        self.rules_at(site.kind(), Mode::Occasion, &who)
            .find_map(|rule| self.strikes(rule, site, &who, now, met))
    }

    /// As [`Self::at`], but every fault that strikes, in order: where several add up, such as a delay and an error.
    /// Counts an occasion for each.
    #[must_use]
    pub fn all_at<'s, 'w>(
        &'s self,
        site: Site<'_>,
        who: impl Into<Who<'w>>,
        now: SimInstant,
        met: &mut Occasions,
    ) -> Vec<Hit<'s>> {
        let who = who.into();
        self.rules_at(site.kind(), Mode::Occasion, &who)
            .filter_map(|rule| self.strikes(rule, site, &who, now, met))
            .collect()
    }

    /// Something is the case, or is not: every fault that holds at `now`, in order. For sites of [`Mode::State`]. What is
    /// found stays so up to [`Self::next_edge`], the subject's phase, cluster and role permitting.
    #[must_use]
    pub fn state<'s, 'w>(&'s self, kind: SiteKind, who: impl Into<Who<'w>>, now: SimInstant) -> Vec<Hit<'s>> {
        let who = who.into();
        self.rules_at(kind, Mode::State, &who)
            .filter(|rule| rule.applies(&who))
            .filter_map(|rule| {
                let seed = rule.seed.child(who.name());
                let window = rule.fault.when.window_at(now, seed)?;
                rule.fault
                    .when
                    .happens(window.number, seed)
                    .then(|| rule.hit(window, window.number, seed))
            })
            .collect()
    }

    /// The events that fall into the time after `after` and up to `now`, by time. For sites of [`Mode::Event`].
    ///
    /// Of each fault at most one is found, its last: who was away for long does not catch up.
    #[must_use]
    pub fn events<'s, 'w>(
        &'s self,
        kind: SiteKind,
        who: impl Into<Who<'w>>,
        after: SimInstant,
        now: SimInstant,
    ) -> Vec<Hit<'s>> {
        let who = who.into();
        let mut hits: Vec<Hit<'s>> = self
            .rules_at(kind, Mode::Event, &who)
            .filter(|rule| rule.applies(&who))
            .filter_map(|rule| {
                let seed = rule.seed.child(who.name());
                let window = rule.fault.when.last_begun(now, seed)?;
                let due = window.from > after && rule.fault.when.happens(window.number, seed);
                due.then(|| rule.hit(window, window.number, seed))
            })
            .collect();
        hits.sort_by_key(|hit| hit.window.from);
        hits
    }

    /// When to ask again for states or events of this kind: the next instant after `after` at which one may begin or
    /// end; none: never, as far as this snapshot goes.
    #[must_use]
    pub fn next_edge<'w>(
        &self,
        kind: SiteKind,
        who: impl Into<Who<'w>>,
        after: SimInstant,
    ) -> Option<SimInstant> {
        let who = who.into();
        let mode = kind.mode();
        self.rules_at(kind, mode, &who)
            .filter_map(|rule| {
                let seed = rule.seed.child(who.name());
                rule.fault.when.next_edge(after, seed, mode == Mode::State)
            })
            .min()
    }

    /// The faults at a kind of site that may befall the subject at some time.
    fn rules_at(&self, kind: SiteKind, mode: Mode, who: &Who<'_>) -> impl Iterator<Item = &Rule> {
        let node = match who {
            Who::Node(facts) => Some(facts.index),
            Who::Cluster(_) => None,
        };
        let right = kind.mode() == mode
            && self.sites.contains(kind)
            && match kind.subject() {
                Subject::Node => node.is_some_and(|index| self.nodes.contains(index)),
                Subject::Cluster => node.is_none(),
            };
        let places = self.by_site.get(kind as usize).filter(|_| right);
        places
            .into_iter()
            .flatten()
            .filter_map(|place| self.rules.get(usize::from(*place)))
            .map(Arc::as_ref)
            .filter(move |rule| node.is_none_or(|index| rule.nodes.contains(index)))
    }

    fn strikes<'s>(
        &'s self,
        rule: &'s Rule,
        site: Site<'_>,
        who: &Who<'_>,
        now: SimInstant,
        met: &mut Occasions,
    ) -> Option<Hit<'s>> {
        if !rule.applies(who) || !rule.fault.what.applies_to(site) {
            return None;
        }
        let seed = rule.seed.child(who.name());
        let window = rule.fault.when.window_at(now, seed)?;
        let number = met.next(rule.key, self.version, |key| self.knows(key));
        rule.fault
            .when
            .happens(number, seed)
            .then(|| rule.hit(window, number, seed))
    }

    fn knows(&self, key: FaultKey) -> bool {
        self.rules.iter().any(|rule| rule.key == key)
    }
}

impl Rule {
    /// Whether what changes over a subject's life fits.
    fn applies(&self, who: &Who<'_>) -> bool {
        let Fault { which, when, .. } = &self.fault;
        match who {
            Who::Node(facts) => {
                (when.phases.is_empty() || when.phases.contains(&facts.phase))
                    && which.fits_cluster(facts.cluster, facts.role)
            }
            Who::Cluster(facts) => which.picks_cluster(facts.name, self.seed),
        }
    }

    fn hit(&self, window: Window, number: u64, seed: Seed) -> Hit<'_> {
        Hit {
            fault: &self.fault.name,
            what: &self.fault.what,
            number,
            window,
            seed: seed.child("draw").indexed(number),
            common_seed: self.seed.child("common"),
        }
    }
}

fn pick(fault: &Fault, fleet: &dyn Fleet, seed: Seed) -> NodeSet {
    match fault.what.subject() {
        Subject::Node => fault.which.pick(fleet, seed),
        Subject::Cluster => NodeSet::default(),
    }
}
