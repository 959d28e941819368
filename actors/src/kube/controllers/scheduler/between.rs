//! What pods want of each other: affinity, anti-affinity, spreading (kubernetes: `pkg/scheduler/framework/plugins/{interpodaffinity,podtopologyspread}`).

use std::collections::{BTreeMap, BTreeSet};

use super::super::kinds::KINDS;
use super::super::placement::PodTerm;
use super::nodes::{Node, Snapshot};
use super::pod::{Pending, Spread};
use crate::kube::object::Object;
use crate::kube::selector::LabelSelector;
use crate::kube::store::Store;

/// A term, with its selectors read.
#[derive(Debug)]
pub(super) struct Term {
    selector: Option<LabelSelector>,
    /// `None` = all.
    namespaces: Option<BTreeSet<String>>,
    topology: String,
}

impl Term {
    /// Reads a term of a pod in `namespace`.
    pub(super) fn of(store: &Store, term: &PodTerm, namespace: &str) -> Self {
        let mut namespaces: BTreeSet<String> = term.namespaces.iter().cloned().collect();
        let selector = term
            .namespace_selector
            .as_ref()
            .and_then(LabelSelector::from_spec);
        let all = selector.as_ref().is_some_and(LabelSelector::is_empty);
        if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
            namespaces.extend(
                store
                    .all(&KINDS.namespaces, None)
                    .filter(|namespace| selector.matches_object(namespace))
                    .map(|namespace| namespace.name().to_owned()),
            );
        } else if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.insert(namespace.to_owned());
        }
        Self {
            selector: term.label_selector.as_ref().and_then(LabelSelector::from_spec),
            namespaces: (!all).then_some(namespaces),
            topology: term.topology_key.clone(),
        }
    }

    fn matches(&self, pod: &Object) -> bool {
        let here = self
            .namespaces
            .as_ref()
            .is_none_or(|namespaces| namespaces.contains(pod.namespace().unwrap_or_default()));
        here && self
            .selector
            .as_ref()
            .is_some_and(|selector| selector.matches_object(pod))
    }
}

/// A topology key and a value.
type Domain = (String, String);

/// A constraint that must hold, and how many pods each of its domains has.
#[derive(Debug)]
struct Count {
    constraint: Spread,
    own: i64,
    domains: BTreeMap<String, i64>,
}

impl Count {
    fn of(snapshot: &Snapshot, pod: &Pending, constraint: &Spread, keys: &[&str]) -> Self {
        let selector = constraint
            .label_selector
            .as_ref()
            .and_then(LabelSelector::from_spec);
        let counted = |other: &Object| {
            other.namespace() == pod.object.namespace()
                && selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches_object(other))
        };
        let eligible = |node: &Node| {
            keys.iter().all(|key| node.object.label(key).is_some()) && pod.placement.selects(&node.object)
        };
        let mut domains = BTreeMap::new();
        for node in snapshot.nodes.iter().filter(|node| eligible(node)) {
            if let Some(value) = node.object.label(&constraint.topology_key) {
                domains.entry(value.to_owned()).or_insert(0);
            }
        }
        for placed in &snapshot.placed {
            let value = snapshot.label_at(placed, &constraint.topology_key);
            if let Some(count) = value.and_then(|value| domains.get_mut(value))
                && snapshot.nodes.get(placed.node).is_some_and(eligible)
                && !placed.object.is_terminating()
                && counted(&placed.object)
            {
                *count += 1;
            }
        }
        Self {
            own: i64::from(counted(&pod.object)),
            constraint: constraint.clone(),
            domains,
        }
    }

    fn at(&self, node: &Node) -> Option<i64> {
        self.domains
            .get(node.object.label(&self.constraint.topology_key)?)
            .copied()
    }

    fn is_kept(&self, node: &Node) -> bool {
        let enough = self
            .constraint
            .min_domains
            .is_none_or(|least| i64::try_from(self.domains.len()).is_ok_and(|count| count >= least));
        let least = if enough {
            self.domains.values().copied().min().unwrap_or(0)
        } else {
            0
        };
        let here = self.at(node).unwrap_or(0);
        here.saturating_add(self.own).saturating_sub(least) <= self.constraint.max_skew
    }
}

/// What the pods that are there mean for one pod.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// Topology key of each term that must be met, and where it is.
    wanted: Vec<(String, BTreeSet<String>)>,
    /// No pod is what is wanted, but this pod itself is.
    first: bool,
    /// Where there are pods that this one does not want near.
    unwanted: BTreeSet<Domain>,
    /// Where there are pods that do not want this one near.
    unwelcome: BTreeSet<Domain>,
    /// What domains are worth.
    worth: BTreeMap<Domain, i64>,
    hard: Vec<Count>,
    soft: Vec<Count>,
}

impl Neighbours {
    /// Looks at all pods that are on nodes.
    pub(super) fn of(store: &Store, snapshot: &Snapshot, pod: &Pending) -> Self {
        let namespace = pod.object.namespace().unwrap_or_default();
        let affinity = pod.placement.affinity.pod_affinity.clone().unwrap_or_default();
        let anti = pod
            .placement
            .affinity
            .pod_anti_affinity
            .clone()
            .unwrap_or_default();
        let read = |term: &PodTerm| Term::of(store, term, namespace);
        let mut found = Self::default();
        let terms: Vec<Term> = affinity.required.iter().map(read).collect();
        let rejects: Vec<Term> = anti.required.iter().map(read).collect();
        let preferred: Vec<(Term, i64)> = affinity
            .preferred
            .iter()
            .map(|one| (read(&one.pod_affinity_term), one.weight))
            .chain(
                anti.preferred
                    .iter()
                    .map(|one| (read(&one.pod_affinity_term), one.weight.saturating_neg())),
            )
            .collect();
        found.wanted = terms
            .iter()
            .map(|term| (term.topology.clone(), BTreeSet::new()))
            .collect();
        for placed in &snapshot.placed {
            let other = &placed.object;
            let domain = |term: &Term| {
                let value = snapshot.label_at(placed, &term.topology)?;
                Some((term.topology.clone(), value.to_owned()))
            };
            if !terms.is_empty() && terms.iter().all(|term| term.matches(other)) {
                for (key, values) in &mut found.wanted {
                    values.extend(snapshot.label_at(placed, key).map(str::to_owned));
                }
            }
            let near = rejects.iter().filter(|term| term.matches(other));
            found.unwanted.extend(near.filter_map(domain));
            let refusing = placed.rejects.iter().filter(|term| term.matches(&pod.object));
            found.unwelcome.extend(refusing.filter_map(domain));
            for (term, weight) in &preferred {
                if term.matches(other)
                    && let Some(domain) = domain(term)
                {
                    let worth = found.worth.entry(domain).or_default();
                    *worth = worth.saturating_add(*weight);
                }
            }
        }
        found.first = found.wanted.iter().all(|(_, values)| values.is_empty())
            && terms.iter().all(|term| term.matches(&pod.object));
        let constraints = &pod.spec.topology_spread_constraints;
        for (how, counts) in [
            ("DoNotSchedule", &mut found.hard),
            ("ScheduleAnyway", &mut found.soft),
        ] {
            let ours = || constraints.iter().filter(|one| one.when_unsatisfiable == how);
            let keys: Vec<&str> = ours().map(|one| one.topology_key.as_str()).collect();
            counts.extend(ours().map(|one| Count::of(snapshot, pod, one, &keys)));
        }
        found
    }

    /// Why the pod cannot be on the node, and whether fewer pods would help.
    pub(super) fn refusal(&self, node: &Node) -> Option<(&'static str, bool)> {
        let spread = "node(s) didn't match pod topology spread constraints";
        let label = |key: &str| node.object.label(key);
        if self
            .hard
            .iter()
            .any(|count| label(&count.constraint.topology_key).is_none())
        {
            return Some((
                "node(s) didn't match pod topology spread constraints (missing required label)",
                false,
            ));
        }
        if !self.hard.iter().all(|count| count.is_kept(node)) {
            return Some((spread, true));
        }
        let met = self
            .wanted
            .iter()
            .all(|(key, values)| label(key).is_some_and(|value| self.first || values.contains(value)));
        if !met {
            return Some(("node(s) didn't match pod affinity rules", false));
        }
        let within = |domains: &BTreeSet<Domain>| {
            domains
                .iter()
                .any(|(key, value)| label(key) == Some(value.as_str()))
        };
        if within(&self.unwanted) {
            return Some(("node(s) didn't match pod anti-affinity rules", true));
        }
        within(&self.unwelcome).then_some(("node(s) didn't satisfy existing pods anti-affinity rules", true))
    }

    /// What the node is worth to the pod.
    pub(super) fn worth(&self, node: &Node) -> i64 {
        self.worth
            .iter()
            .filter(|((key, value), _)| node.object.label(key) == Some(value.as_str()))
            .fold(0, |sum, (_, worth)| sum.saturating_add(*worth))
    }

    /// Pods in the node's domains that it should be apart from.
    pub(super) fn crowd(&self, node: &Node) -> i64 {
        self.soft
            .iter()
            .filter_map(|count| count.at(node))
            .fold(0, i64::saturating_add)
    }
}
