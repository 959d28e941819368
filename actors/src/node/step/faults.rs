//! Where a node meets its faults: occasions on which something goes wrong, and states that begin and end by themselves.

use crate::fault::words::Role;
use crate::fault::{FaultSet, NodeFacts, Occasions, Site, SiteKind, Struck};
use crate::node::Node;
use crate::node::affliction::{Afflictions, FOLLOWED};
use crate::node::effect::{Cause, Effect, Effects, FaultHit, Record};
use crate::time::SimInstant;

/// Asks for the faults of a node that itself is only looked at.
pub(in crate::node) struct Meeting<'a> {
    faults: Option<&'a FaultSet>,
    facts: NodeFacts<'a>,
    now: SimInstant,
    met: Occasions,
    struck: Vec<Struck>,
}

impl<'a> Meeting<'a> {
    /// Something is about to be done: the first fault that makes it go wrong, if one does.
    pub(in crate::node) fn first(&mut self, site: Site<'_>) -> Option<Struck> {
        let faults = self.faults_at(site.kind())?;
        let struck = faults
            .at(site, self.facts, self.now, &mut self.met)
            .map(Struck::from);
        self.struck.extend(struck.clone());
        struck
    }

    /// As [`Self::first`], but every fault that strikes, in order: where several add up.
    pub(in crate::node) fn all(&mut self, site: Site<'_>) -> Vec<Struck> {
        let Some(faults) = self.faults_at(site.kind()) else {
            return Vec::new();
        };
        let hits = faults.all_at(site, self.facts, self.now, &mut self.met);
        let struck: Vec<Struck> = hits.into_iter().map(Struck::from).collect();
        self.struck.extend_from_slice(&struck);
        struck
    }

    fn faults_at(&self, kind: SiteKind) -> Option<&'a FaultSet> {
        self.faults
            .filter(|faults| faults.touches(kind, self.facts.index))
    }
}

impl Node {
    /// What faults need to know of it.
    #[must_use]
    pub fn facts(&self) -> NodeFacts<'_> {
        let membership = self.disk.membership();
        NodeFacts {
            index: self.identity.index,
            name: &self.identity.name,
            phase: self.phase(),
            cluster: membership.map(|membership| &*membership.name),
            role: membership.map(|membership| {
                if membership.control_plane {
                    Role::ControlPlane
                } else {
                    Role::Worker
                }
            }),
        }
    }

    /// What is wrong with it at present.
    #[must_use]
    pub fn afflictions(&self) -> Option<&Afflictions> {
        self.afflictions.as_deref()
    }

    /// Something is about to be done: the first fault that makes it go wrong, if one does. It is recorded, and is the
    /// cause of what follows in this step.
    ///
    /// What a refused event met is forgotten with it. A fault that has the event fail must let the step succeed, and
    /// say in its reply that it failed.
    pub(super) fn strike(&mut self, site: Site<'_>, now: SimInstant, out: &mut Effects) -> Option<Struck> {
        self.meet(now, out, |_, meeting| meeting.first(site))
    }

    /// As [`Self::strike`], but every fault that strikes, in order: where several add up.
    pub(super) fn strike_all(&mut self, site: Site<'_>, now: SimInstant, out: &mut Effects) -> Vec<Struck> {
        self.meet(now, out, |_, meeting| meeting.all(site))
    }

    /// Does something that only looks at the node and may meet faults, which are recorded.
    pub(in crate::node) fn meet<T>(
        &mut self,
        now: SimInstant,
        out: &mut Effects,
        work: impl FnOnce(&Self, &mut Meeting<'_>) -> T,
    ) -> T {
        let faults = out.faults().cloned();
        let met = std::mem::take(&mut self.met);
        let node = &*self;
        let mut meeting = Meeting {
            faults: faults.as_deref(),
            facts: node.facts(),
            now,
            met,
            struck: Vec::new(),
        };
        let done = work(node, &mut meeting);
        let Meeting { met, struck, .. } = meeting;
        self.met = met;
        for struck in &struck {
            self.record_fault(struck, now, out);
        }
        done
    }

    fn record_fault(&self, struck: &Struck, now: SimInstant, out: &mut Effects) {
        out.cause = Cause::Fault(struck.fault.clone());
        let record = Record::Fault(FaultHit::new(now, struck));
        out.push(self.epoch, Effect::Record(record));
    }

    /// The faults in force are others, or the node has just begun.
    pub(super) fn on_faults_changed(&mut self, now: SimInstant, out: &mut Effects) {
        self.on_fault_edge(now, out);
    }

    /// A fault begins or ends.
    pub(super) fn on_fault_edge(&mut self, now: SimInstant, out: &mut Effects) {
        let Some(faults) = out.faults().cloned() else {
            self.fault_edge = None;
            self.afflict(None, now, out);
            return;
        };
        if faults.touches(SiteKind::PowerEvent, self.identity.index) {
            let events: Vec<Struck> = faults
                .events(SiteKind::PowerEvent, self.facts(), self.faults_seen, now)
                .into_iter()
                .map(Struck::from)
                .collect();
            for event in events {
                self.record_fault(&event, event.window.from, out);
                self.on_power_event(now, &event, out);
            }
        }
        self.faults_seen = self.faults_seen.max(now);
        self.look_at_states(&faults, now, out);
        self.fault_edge = self.next_fault_edge(&faults);
    }

    /// The states that faults put the node in depend on its phase and cluster, which may have changed.
    pub(super) fn review_afflictions(&mut self, now: SimInstant, out: &mut Effects) {
        if let Some(faults) = out.faults().cloned() {
            self.look_at_states(&faults, now, out);
        }
    }

    fn look_at_states(&mut self, faults: &FaultSet, now: SimInstant, out: &mut Effects) {
        let mut afflictions = Afflictions::default();
        let mut begun = Vec::new();
        for kind in FOLLOWED {
            if !faults.touches(kind, self.identity.index) {
                continue;
            }
            for hit in faults.state(kind, self.facts(), now) {
                afflictions.add(&hit, now);
                let known = self.afflictions.as_ref().is_some_and(|old| {
                    old.behind
                        .iter()
                        .any(|(fault, number)| fault == hit.fault && *number == hit.number)
                });
                if !known {
                    begun.push(Struck::from(hit));
                }
            }
        }
        for struck in &begun {
            self.record_fault(struck, now, out);
        }
        let afflictions = (!afflictions.behind.is_empty()).then(|| Box::new(afflictions));
        self.afflict(afflictions, now, out);
    }

    fn next_fault_edge(&self, faults: &FaultSet) -> Option<SimInstant> {
        let flap = self
            .afflictions
            .as_ref()
            .and_then(|afflictions| afflictions.kubelet_turns);
        FOLLOWED
            .into_iter()
            .filter(|kind| faults.touches(*kind, self.identity.index))
            .filter_map(|kind| faults.next_edge(kind, self.facts(), self.faults_seen))
            .chain(flap)
            .min()
    }

    /// Replaces what is wrong with the node, and does what follows from the difference.
    fn afflict(&mut self, afflictions: Option<Box<Afflictions>>, now: SimInstant, out: &mut Effects) {
        if self.afflictions == afflictions {
            return;
        }
        let before = std::mem::replace(&mut self.afflictions, afflictions);
        self.on_afflictions(before.as_deref(), now, out);
    }
}
