//! What a controller is: a pure function over the store, called for one key at a time.
//!
//! The controllers of a real cluster are loops with informers and work queues. Here nothing loops: a change in the store is shown to
//! every [`Controller`], which names the keys to look at, and [`super::cluster::Cluster::settle`] calls
//! [`Controller::reconcile`] for each of them. A controller keeps no state of its own, so what it does follows from the store, the time and the
//! [`Context`] alone. What has to wait is looked at again after the time that it asks for: an idle cluster has no work.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::etcd::Etcd;
use super::machine::Ailments;
use super::object::Object;
use super::status::Status;
use super::store::{Change, Store, WriteOptions};
use crate::seed::Seed;
use crate::timing::Latency;

/// Names the thing that a controller looks at: an object of the kind that the controller is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// Its namespace, empty for cluster-scoped objects.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

impl Key {
    /// The key of that name.
    #[must_use]
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        Self {
            namespace: namespace.unwrap_or_default().into(),
            name: name.into(),
        }
    }

    /// The key of an object.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        Self::new(object.namespace(), object.name())
    }

    /// The namespace, if there is one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        Some(&*self.namespace).filter(|namespace| !namespace.is_empty())
    }
}

/// One controller.
pub trait Controller: Send + Sync {
    /// Its name, as the field manager and event source of what it writes (`deployment-controller`).
    fn name(&self) -> &'static str;

    /// Names the keys to look at because of `change`. Called for every change, so it must tell quickly what does not concern it.
    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key));

    /// Names the keys to look at because the kubelet of `node` started, stopped or went away, or its member of etcd was taken out.
    fn kubelet_changed(&self, _store: &Store, _node: &str, _look_at: &mut dyn FnMut(Key)) {}

    /// Looks at one key and writes what is missing. `Ok(Some(wait))` asks to look at it again after `wait`.
    ///
    /// # Errors
    /// A refused write. The key is looked at again, later and later.
    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status>;
}

/// Whether the kubelet of a node runs, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kubelet {
    /// It runs: its node is ready, and what it reports is computed when it is read.
    Running {
        /// Since this time.
        since: DateTime<Utc>,
    },
    /// It is silent.
    Stopped {
        /// When its machine had booted last, if it ever had.
        booted: Option<DateTime<Utc>>,
    },
}

/// The simulated kubelets of a cluster, by node. A Node without one was made by a client.
pub type Kubelets = BTreeMap<Box<str>, Kubelet>;

/// How a cluster behaves. Shared by all clusters that are alike.
#[derive(Clone, PartialEq, Debug)]
pub struct Behaviour {
    /// From the start of a kubelet to its node being ready.
    pub node_ready: Latency,
    /// From the binding of a pod to its containers running and ready, on a node whose kubelet runs.
    pub pod_start: Latency,
    /// From the deletion of a pod to its end; never longer than its grace period.
    pub pod_stop: Latency,
    /// How long the containers of a pod run that is not restarted for ever (a Job's).
    pub pod_run: Latency,
    /// Silence of a kubelet after which its node counts as lost (kubernetes: `pkg/controller/nodelifecycle`, 50 s since 1.32).
    pub node_monitor_grace: Duration,
    /// How long an event is kept (kube-apiserver: `--event-ttl`).
    pub event_ttl: Duration,
    /// Network of the pods and its prefix length; each node gets a /24 of it.
    pub pod_network: (Ipv4Addr, u8),
    /// How its time runs beside that of the programs that use it.
    pub pace: Pace,
}

/// How the time of a cluster runs beside the real one, by which its clients make tokens that end.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    /// When both were the same.
    pub epoch: DateTime<Utc>,
    /// Seconds in the cluster in a real one; above zero.
    pub speed: f64,
}

impl Default for Pace {
    /// Both are the same.
    fn default() -> Self {
        Self {
            epoch: DateTime::UNIX_EPOCH,
            speed: 1.0,
        }
    }
}

impl Pace {
    /// The real time when it is `now` in the cluster.
    #[must_use]
    pub fn real(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        if self.speed == 1.0 {
            return now;
        }
        let passed = until(self.epoch, now).as_secs_f64() / self.speed;
        later(
            self.epoch,
            Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX),
        )
    }

    /// Time in the cluster from `now` until it is really `end`; zero when that has passed.
    #[must_use]
    pub fn until(&self, now: DateTime<Utc>, end: DateTime<Utc>) -> Duration {
        let left = until(self.real(now), end);
        if self.speed == 1.0 || left.is_zero() {
            return left;
        }
        // What is left is never rounded to nothing.
        Duration::try_from_secs_f64(left.as_secs_f64() * self.speed)
            .unwrap_or(Duration::MAX)
            .max(Duration::from_millis(1))
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            node_ready: Latency::millis(1000),
            pod_start: Latency::millis(2000),
            pod_stop: Latency::millis(1000),
            pod_run: Latency::millis(5000),
            node_monitor_grace: Duration::from_secs(50),
            event_ttl: Duration::from_secs(3600),
            pod_network: (Ipv4Addr::new(10, 244, 0, 0), 16),
            pace: Pace::default(),
        }
    }
}

/// What a controller knows beside the store.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: DateTime<Utc>,
    /// Root of what is drawn: take a branch by purpose and uid.
    pub seed: Seed,
    /// How the cluster behaves.
    pub behaviour: &'a Behaviour,
    /// The kubelets.
    pub kubelets: &'a Kubelets,
    /// What is wrong with the machines.
    pub ailments: &'a Ailments,
    /// etcd; `None` when it is no part of the cluster.
    pub etcd: Option<&'a Etcd>,
    /// `kube-root-ca.crt`: the cluster's CA as PEM text.
    pub root_ca: &'a str,
}

impl<'a> Context<'a> {
    /// Options of a write by the controller of that name.
    #[must_use]
    pub const fn by(&self, manager: &'a str) -> WriteOptions<'a> {
        WriteOptions::by(manager, self.now)
    }
}

/// A controller by its place in the list of all, and a key of it.
type Item = (u16, Key);

/// Longest wait after repeated failures (client-go: `util/workqueue/default_rate_limiters.go`, 1000 s).
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1000);
/// Wait after the first failure, doubled by each further one.
const FIRST_BACK_OFF: Duration = Duration::from_millis(5);

/// What is to be looked at, and when: each item at most once, at the earliest time that anybody asked for.
#[derive(Debug, Default)]
pub(super) struct Queue {
    due: BTreeSet<(DateTime<Utc>, Item)>,
    when: BTreeMap<Item, DateTime<Utc>>,
    failures: BTreeMap<Item, u32>,
}

impl Queue {
    /// Looks at `item` at `time` or before.
    pub(super) fn push(&mut self, item: Item, time: DateTime<Utc>) {
        match self.when.get_mut(&item) {
            Some(planned) if *planned <= time => {}
            Some(planned) => {
                self.due.remove(&(*planned, item.clone()));
                *planned = time;
                self.due.insert((time, item));
            }
            None => {
                self.when.insert(item.clone(), time);
                self.due.insert((time, item));
            }
        }
    }

    /// The next item whose time has come.
    pub(super) fn pop(&mut self, now: DateTime<Utc>) -> Option<Item> {
        if self.due.first().is_none_or(|(time, _)| *time > now) {
            return None;
        }
        let (_, item) = self.due.pop_first()?;
        self.when.remove(&item);
        Some(item)
    }

    /// When the next item is due.
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.due.first().map(|(time, _)| *time)
    }

    /// Keeps an account of how the look at `item` went; it is looked at again if it asked so, or failed.
    pub(super) fn done(
        &mut self,
        item: Item,
        outcome: &Result<Option<Duration>, Status>,
        now: DateTime<Utc>,
    ) {
        let wait = match outcome {
            Ok(wait) => {
                self.failures.remove(&item);
                *wait
            }
            Err(_) => {
                let count = self.failures.entry(item.clone()).or_default();
                let wait = FIRST_BACK_OFF.saturating_mul(1_u32.checked_shl(*count).unwrap_or(u32::MAX));
                *count = count.saturating_add(1).min(31);
                Some(wait.min(LONGEST_BACK_OFF))
            }
        };
        if let Some(wait) = wait {
            self.push(item, later(now, wait));
        }
    }
}

/// `now + wait`, or the end of time.
#[must_use]
pub fn later(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| now.checked_add_signed(wait))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Time left until `time`; zero when it has passed.
#[must_use]
pub fn until(now: DateTime<Utc>, time: DateTime<Utc>) -> Duration {
    time.signed_duration_since(now).to_std().unwrap_or_default()
}
