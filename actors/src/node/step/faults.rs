//! Where a node meets its faults: occasions on which something goes wrong, and states that begin and end by themselves.

use crate::fault::words::Role;
use crate::fault::{FaultSet, NodeFacts, Site, SiteKind, Struck};
use crate::node::Node;
use crate::node::affliction::{Afflictions, FOLLOWED};
use crate::node::effect::{Cause, Effect, Effects, FaultHit, Record};
use crate::time::SimInstant;

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
        let faults = out.faults_at(site.kind(), self.identity.index)?;
        let mut met = std::mem::take(&mut self.met);
        let struck = faults.at(site, self.facts(), now, &mut met).map(Struck::from);
        self.met = met;
        let struck = struck?;
        self.record_fault(&struck, now, out);
        Some(struck)
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
