//! Where a cluster meets its faults: occasions on which something goes wrong, and states that begin and end by themselves.
//!
//! Who serves a handshake asks for the state at that instant ([`ClusterRef::state`]), which nobody can tell from one that is kept. What is left for
//! the actor are the edges: there it records that a fault has begun, and says how etcd's leader changes from then on. The changes
//! themselves are computed when somebody looks.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::cluster::ClusterRef;
use crate::fault::{ClusterFacts, FaultSet, Site, SiteKind, Struck, What};
use crate::kube::etcd::Flaps;
use crate::kube::resource::ResourceId;
use crate::node::effect::FaultHit;
use crate::ports::{ShellEvent, Whom};
use crate::time::SimInstant;

/// The sites of states whose faults a cluster follows.
pub(super) const FOLLOWED: [SiteKind; 2] = [SiteKind::ApiHandshake, SiteKind::EtcdLeader];
/// Edges that are looked at one by one by an actor that comes late; of older ones only what is left counts.
const MOST_EDGES: usize = 256;
/// Resources of which it is remembered up to which version they cannot be watched.
const MOST_GONE: usize = 256;

/// What a cluster's actor knows of the states that faults put the cluster in.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// The faults behind them.
    behind: Vec<Struck>,
    /// When to look again.
    pub(super) edge: Option<SimInstant>,
}

/// Up to which versions resources cannot be watched any more, whatever the history holds.
#[derive(Debug, Default)]
pub(super) struct Gone(BTreeMap<ResourceId, u64>);

/// Whether a cluster has to be told when this snapshot comes or goes.
pub(super) fn concerns_clusters(faults: &FaultSet) -> bool {
    FOLLOWED.into_iter().any(|kind| faults.touches_site(kind))
}

impl Followed {
    /// The faults in force are others, or the cluster has just begun, or got its etcd.
    pub(super) fn changed(&mut self, cluster: &ClusterRef) {
        self.look(cluster, cluster.services.clock.now());
    }

    /// Faults begin or end.
    pub(super) fn on_edge(&mut self, cluster: &ClusterRef) {
        let now = cluster.services.clock.now();
        for _ in 0..MOST_EDGES {
            match self.edge {
                // What was due happens at its time, however late it is served.
                Some(edge) if edge <= now => self.look(cluster, edge),
                _ => return,
            }
        }
        self.look(cluster, now);
    }

    fn look(&mut self, cluster: &ClusterRef, at: SimInstant) {
        let faults = cluster.services.faults.current();
        let facts = ClusterFacts { name: cluster.name() };
        let mut behind = Vec::new();
        let mut flaps = None;
        for kind in FOLLOWED.into_iter().filter(|kind| faults.touches_site(*kind)) {
            for hit in faults.state(kind, facts, at) {
                if let What::EtcdLeaderFlaps { every } = hit.what
                    && flaps.is_none()
                {
                    let calendar = |instant| cluster.services.clock.calendar(instant);
                    flaps = Some(Flaps {
                        since: calendar(hit.window.from),
                        every: every.0,
                        until: hit.window.until.map(calendar),
                    });
                }
                let struck = Struck::from(hit);
                if !self.behind.contains(&struck) {
                    cluster.record_fault(at, &struck);
                }
                behind.push(struck);
            }
        }
        self.edge = FOLLOWED
            .into_iter()
            .filter_map(|kind| faults.next_edge(kind, facts, at))
            .min();
        self.behind = behind;
        cluster.set_flaps(flaps, at);
    }
}

impl ClusterRef {
    /// Something is about to be done for the cluster: the first fault that makes it go wrong, if one does. It is recorded.
    #[must_use]
    pub fn strike(&self, site: Site<'_>) -> Option<Struck> {
        let faults = self.services.faults.at_site(site.kind())?;
        let now = self.services.clock.now();
        let facts = ClusterFacts { name: self.name() };
        let struck = {
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            faults.at(site, facts, now, &mut met).map(Struck::from)
        }?;
        self.record_fault(now, &struck);
        Some(struck)
    }

    /// As [`Self::strike`], but every fault that strikes, where several add up.
    #[must_use]
    pub fn strike_all(&self, site: Site<'_>) -> Vec<Struck> {
        let Some(faults) = self.services.faults.at_site(site.kind()) else {
            return Vec::new();
        };
        let now = self.services.clock.now();
        let facts = ClusterFacts { name: self.name() };
        let struck: Vec<Struck> = {
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            let hits = faults.all_at(site, facts, now, &mut met);
            hits.into_iter().map(Struck::from).collect()
        };
        for struck in &struck {
            self.record_fault(now, struck);
        }
        struck
    }

    /// Whether any fault in force could strike at sites of this kind.
    #[must_use]
    pub fn may_strike(&self, kind: SiteKind) -> bool {
        self.services.faults.at_site(kind).is_some()
    }

    /// What is wrong with the cluster now, at a site of a state. Its actor records when that begins.
    #[must_use]
    pub fn state(&self, kind: SiteKind) -> Vec<Struck> {
        let Some(faults) = self.services.faults.at_site(kind) else {
            return Vec::new();
        };
        let facts = ClusterFacts { name: self.name() };
        let hits = faults.state(kind, facts, self.services.clock.now());
        hits.into_iter().map(Struck::from).collect()
    }

    fn record_fault(&self, at: SimInstant, struck: &Struck) {
        let recorder = &self.services.recorder;
        recorder.fault(Whom::Cluster(self.name()), &FaultHit::new(at, struck));
    }

    /// Says how etcd's leader changes from `at` on.
    fn set_flaps(&self, flaps: Option<Flaps>, at: SimInstant) {
        // Most clusters have never had any.
        if flaps.is_none() && !self.read(|cluster| cluster.etcd().is_some_and(|etcd| etcd.has_flaps())) {
            return;
        }
        let at = self.services.clock.calendar(at);
        let changes = {
            let mut cluster = self.cluster.write().unwrap_or_else(PoisonError::into_inner);
            cluster.etcd_mut().map_or(0, |etcd| etcd.set_flaps(flaps, at))
        };
        self.tell_leaders(changes);
    }

    /// Counts changes of etcd's leader that nobody asked for.
    pub(super) fn tell_leaders(&self, changes: u64) {
        if changes > 0 {
            self.services.recorder.shell(ShellEvent::LeadersChanged(changes));
        }
    }

    /// A resource cannot be watched any more from any version that is there, as if the history had been compacted: not by
    /// those who come, while those who watch already are not disturbed. Whoever lists anew goes on from a newer version.
    ///
    /// # Errors
    /// As of [`Self::write`].
    pub async fn expire(self: &Arc<Self>, resource: ResourceId) -> Result<(), super::ClusterError> {
        let this = Arc::clone(self);
        self.write(move |cluster, _| {
            let version = cluster.store.version();
            // A real store moves on all the time, with every lease.
            cluster.store.advance();
            let mut gone = this.gone.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = cluster.store.oldest_version();
            gone.0.retain(|_, version| *version >= oldest);
            while gone.0.len() >= MOST_GONE && !gone.0.contains_key(&resource) {
                gone.0.pop_first();
            }
            gone.0.insert(resource, version);
        })
        .await
    }

    /// The newest version from which a resource cannot be watched any more, though the history may hold it.
    #[must_use]
    pub fn expired(&self, resource: ResourceId) -> Option<u64> {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.0.get(&resource).copied()
    }

    /// The real time that a delay of a fault takes.
    #[must_use]
    pub fn real_time(&self, simulated: std::time::Duration) -> std::time::Duration {
        simulated.div_f64(self.services.clock.speed().max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::kube::cluster::Cluster;
    use crate::kube::controller::Behaviour;
    use crate::kube::etcd::Etcd;
    use crate::kube::store::{Limits, Settings, Store};
    use crate::seed::Seed;
    use crate::shell::ClusterServices;
    use crate::testkit::{HandClock, Notes, only_faults};

    fn cluster(clock: &Arc<HandClock>, notes: &Arc<Notes>) -> Arc<ClusterRef> {
        let settings = Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        };
        let store = Store::new(settings, Arc::default());
        let mut cluster = Cluster::new(store, Arc::new(Behaviour::default()), "ca".into(), Seed::root(2));
        cluster.set_etcd(Some(Etcd::new(
            Seed::root(3),
            "a",
            "https://a:2380",
            "https://a:2379",
        )));
        let services = ClusterServices {
            clock: clock.clone(),
            recorder: notes.clone(),
            faults: Arc::default(),
        };
        ClusterRef::start("web", cluster, services, &actix::Arbiter::current())
    }

    fn set_faults(cluster: &ClusterRef, faults: serde_json::Value) {
        let board = &cluster.services.faults;
        board.change(only_faults(faults), &()).unwrap();
    }

    fn told(notes: &Notes) -> Vec<(String, u64, u64)> {
        let hits = notes.faults.lock().unwrap();
        hits.iter()
            .map(|hit| (hit.fault.to_string(), hit.number, hit.at.as_millis() / 1000))
            .collect()
    }

    #[actix::test]
    async fn what_begins_is_recorded_at_its_time_however_late_the_timer_is() {
        let (clock, notes) = (Arc::<HandClock>::default(), Arc::<Notes>::default());
        let cluster = cluster(&clock, &notes);
        set_faults(
            &cluster,
            json!([
                {"name": "expired", "when": {"from": "100s", "lasts": "10s", "repeats": "100s", "until": "350s"}, "what": {"api_bad_certificate": {"how": "expired"}}},
                {"name": "flaps", "when": {"from": "150s", "until": "250s"}, "what": {"etcd_leader_flaps": {"every": "30s"}}},
            ]),
        );
        let mut followed = Followed::default();
        followed.changed(&cluster);
        assert_eq!(told(&notes), []);
        assert_eq!(followed.edge, Some(SimInstant::from_millis(100_000)));
        let term = cluster.read(|cluster| cluster.etcd().unwrap().term());
        clock.pass(Duration::from_secs(105));
        followed.on_edge(&cluster);
        assert_eq!(cluster.state(SiteKind::ApiHandshake).len(), 1);
        clock.pass(Duration::from_secs(75));
        // The changes of the leader are there without anybody having made them.
        followed.on_edge(&cluster);
        clock.pass(Duration::from_secs(35));
        let seen = cluster.read(|read| read.etcd_at(cluster.now()).unwrap().term());
        assert_eq!(seen, term + 2, "at 180 s and 210 s");
        clock.pass(Duration::from_secs(1000));
        followed.on_edge(&cluster);
        assert_eq!(followed.edge, None);
        assert_eq!(cluster.read(|cluster| cluster.etcd().unwrap().term()), term + 3);
        let expected = [
            ("expired", 1, 100),
            ("flaps", 1, 150),
            ("expired", 2, 200),
            ("expired", 3, 300),
        ];
        let expected = expected.map(|(name, number, at)| (name.to_owned(), number, at));
        assert_eq!(told(&notes), expected);
        cluster.stop();
    }

    #[actix::test]
    async fn what_has_expired_cannot_be_watched_and_a_new_list_can() {
        let (clock, notes) = (Arc::<HandClock>::default(), Arc::<Notes>::default());
        let cluster = cluster(&clock, &notes);
        let nodes = crate::kube::controllers::kinds::KINDS.nodes.home;
        assert_eq!(cluster.expired(nodes), None);
        let version = cluster.read(|cluster| cluster.store.version());
        cluster.expire(nodes).await.unwrap();
        assert_eq!(cluster.expired(nodes), Some(version));
        assert!(cluster.read(|cluster| cluster.store.version()) > version);
        let others = crate::kube::controllers::kinds::KINDS.pods.home;
        assert_eq!(cluster.expired(others), None);
        cluster.stop();
    }
}
