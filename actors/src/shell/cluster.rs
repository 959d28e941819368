//! The actor of one cluster, and what the rest of the program holds of it.
//!
//! Every write goes through the actor's mailbox, so a cluster has one order of writes, and controllers and timers never race
//! with them. Reads do not: they take the committed state where it is, under a lock that a write holds for microseconds. Watches are reads
//! that are repeated when a change of their resource wakes them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Message, SpawnHandle};
use chrono::{DateTime, Utc};
use tokio::sync::{oneshot, watch};

use super::board::FaultBoard;
use super::cluster_faults::{Followed, Gone};
use super::tally::{NodeCounts, Tally};
use crate::fault::{Occasions, Site, SiteKind};
use crate::kube::cluster::Cluster;
use crate::kube::controllers::kinds::KINDS;
use crate::kube::node::is_ready;
use crate::kube::resource::ResourceId;
use crate::kube::store::Changed;
use crate::ports::{Recorder, ShellEvent, Whom};
use crate::time::{Clock, SimInstant};

/// Writes that may wait for one cluster's actor.
const MOST_WRITES: u32 = 1024;
/// Looks of controllers between two messages: a write waits no longer than these take.
const SLICE: usize = 64;

/// What the cluster actors of a process share.
#[derive(Clone)]
pub struct ClusterServices {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub recorder: Arc<dyn Recorder>,
    /// What goes wrong.
    pub faults: Arc<FaultBoard>,
}

/// Why a cluster gave no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClusterError {
    /// Too many writes wait.
    #[error("too many writes are under way")]
    Busy,
    /// A bug of the simulator was caught.
    #[error("internal error")]
    Fault,
    /// The cluster is gone.
    #[error("the cluster is gone")]
    Gone,
}

/// A cluster as the rest of the program sees it.
pub struct ClusterRef {
    name: Arc<str>,
    pub(super) cluster: RwLock<Cluster>,
    address: RwLock<Option<Addr<ClusterActor>>>,
    waiting: AtomicU32,
    wakers: Mutex<Wakers>,
    /// How often it met each fault.
    pub(super) met: Mutex<Occasions>,
    /// What cannot be watched any more.
    pub(super) gone: Mutex<Gone>,
    /// Its actor is to be told that the faults in force are others.
    faults_changed: AtomicBool,
    tally: Tally,
    pub(super) services: ClusterServices,
}

/// Wakes those who watch a resource.
#[derive(Default)]
struct Wakers {
    by_resource: BTreeMap<ResourceId, watch::Sender<()>>,
    /// The version up to which changes were told.
    told: u64,
    /// The version at which all were woken last.
    all_woken: u64,
}

impl ClusterRef {
    /// Starts the actor of `cluster` on `arbiter`.
    #[must_use]
    pub fn start(
        name: &str,
        cluster: Cluster,
        services: ClusterServices,
        arbiter: &actix::ArbiterHandle,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            name: name.into(),
            cluster: RwLock::new(cluster),
            address: RwLock::new(None),
            waiting: AtomicU32::new(0),
            wakers: Mutex::default(),
            met: Mutex::default(),
            gone: Mutex::default(),
            faults_changed: AtomicBool::new(false),
            tally: Tally::default(),
            services,
        });
        let handle = Arc::clone(&this);
        let address = ClusterActor::start_in_arbiter(arbiter, move |_| ClusterActor {
            cluster: handle,
            timer: None,
            followed: Followed::default(),
            edge: None,
        });
        *this.address.write().unwrap_or_else(PoisonError::into_inner) = Some(address);
        this.services.faults.watch(&this);
        this
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is counted of it as it changes.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Writes that wait for its actor, and the one that it is at.
    #[must_use]
    pub fn waiting_writes(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The time in the cluster.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let clock = &self.services.clock;
        clock.calendar(clock.now())
    }

    /// Real time until it is `time` in the cluster; zero when that has passed.
    #[must_use]
    pub fn real_time_until(&self, time: DateTime<Utc>) -> Duration {
        let left = time
            .signed_duration_since(self.now())
            .to_std()
            .unwrap_or_default();
        left.div_f64(self.services.clock.speed().max(f64::MIN_POSITIVE))
    }

    /// Looks at the committed state. Keep it short: writes wait.
    pub fn read<T>(&self, look: impl FnOnce(&Cluster) -> T) -> T {
        look(&self.cluster.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the cluster; then its controllers work. It takes effect even if the caller stops waiting.
    ///
    /// # Errors
    /// See [`ClusterError`].
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Cluster, DateTime<Utc>) -> T + Send + 'static,
    ) -> Result<T, ClusterError> {
        if self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
                (waiting < MOST_WRITES).then_some(waiting + 1)
            })
            .is_err()
        {
            self.services.recorder.shell(ShellEvent::PermitRefused);
            return Err(ClusterError::Busy);
        }
        let (reply, receiver) = oneshot::channel();
        let (recorder, name) = (Arc::clone(&self.services.recorder), Arc::clone(&self.name));
        let write = Write::Asked(Box::new(move |cluster, now, panics| {
            let step = || {
                assert!(!panics, "a fault has the cluster's actor panic");
                change(cluster, now)
            };
            let outcome = catch_unwind(AssertUnwindSafe(step)).map_err(|_| {
                recorder.panicked(Whom::Cluster(&name));
                ClusterError::Fault
            });
            // Nobody may be waiting any more.
            drop(reply.send(outcome));
        }));
        if let Err(error) = self.send(write) {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(error);
        }
        receiver.await.map_err(|_| ClusterError::Gone)?
    }

    /// Changes the cluster without waiting for it, however many writes wait: for what the simulated machines do, of which
    /// there are few. The changes of one caller keep their order.
    pub fn post(&self, change: impl FnOnce(&mut Cluster, DateTime<Utc>) + Send + 'static) {
        let (recorder, name) = (Arc::clone(&self.services.recorder), Arc::clone(&self.name));
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let write = Write::Posted(Box::new(move |cluster, now| {
            if catch_unwind(AssertUnwindSafe(|| change(cluster, now))).is_err() {
                recorder.panicked(Whom::Cluster(&name));
            }
        }));
        // A cluster that is gone has no use for it.
        if self.send(write).is_err() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The faults in force are others: the actor is told, unless it will be anyway.
    pub(super) fn tell_of_faults(&self) {
        if !self.faults_changed.swap(true, Ordering::AcqRel) && self.send(FaultsChanged).is_err() {
            self.faults_changed.store(false, Ordering::Release);
        }
    }

    /// Stops the actor: writes are refused from then on.
    pub fn stop(&self) {
        // An error means that it has stopped already.
        let _stopped = self.send(Stop);
        self.address
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Is woken when something of the resource has changed, and from time to time. A change that comes after the
    /// call is never missed.
    #[must_use]
    pub fn subscribe(&self, resource: ResourceId) -> watch::Receiver<()> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers
            .by_resource
            .entry(resource)
            .or_insert_with(|| watch::channel(()).0)
            .subscribe()
    }

    /// The one place that puts a message into a cluster's mailbox.
    #[expect(
        clippy::disallowed_methods,
        reason = "writes are counted before they are sent; the other messages are one at a time"
    )]
    fn send<M>(&self, message: M) -> Result<(), ClusterError>
    where
        M: Message<Result = ()> + Send + 'static,
        ClusterActor: Handler<M>,
    {
        let address = self.address.read().unwrap_or_else(PoisonError::into_inner);
        address.as_ref().ok_or(ClusterError::Gone)?.do_send(message);
        Ok(())
    }

    /// Lets controllers work for a slice of time. Returns when there is work again, and whether all watchers are to move on.
    fn settle(&self) -> (Option<DateTime<Utc>>, bool) {
        let now = self.now();
        let mut cluster = self.cluster.write().unwrap_or_else(PoisonError::into_inner);
        let settled = catch_unwind(AssertUnwindSafe(|| cluster.settle(now, SLICE)));
        let compaction = cluster.compact(now);
        drop(cluster);
        let next = match settled {
            Ok(settled) => {
                if let Some(refusal) = settled.refusal {
                    tracing::debug!(
                        cluster = &*self.name,
                        controller = refusal.controller,
                        namespace = &*refusal.key.namespace,
                        name = &*refusal.key.name,
                        message = &*refusal.message,
                        "a controller's write was refused"
                    );
                }
                settled.next
            }
            Err(_) => {
                self.services.recorder.panicked(Whom::Cluster(&self.name));
                tracing::error!(cluster = &*self.name, "a controller panicked");
                // What it was about is off the queue: the others go on.
                Some(now)
            }
        };
        (next.into_iter().chain(compaction.next).min(), compaction.marked)
    }

    /// Wakes all who watch.
    fn wake_all(&self) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.by_resource.retain(|_, waker| waker.send(()).is_ok());
    }

    /// Tells which nodes have become ready, or are no more, behind a version.
    fn tell_readiness(&self, cluster: &Cluster, told: u64) {
        let nodes = KINDS.nodes.home;
        let mut counts = (told >= cluster.store.oldest_version()).then(|| self.tally.nodes());
        for change in cluster.store.changes_after(told) {
            if change.resource != nodes {
                continue;
            }
            let (was, is) = match &change.changed {
                Changed::Added => (None, Some(is_ready(&change.object))),
                Changed::Modified(before) => (Some(is_ready(before)), Some(is_ready(&change.object))),
                Changed::Deleted(before) => (Some(is_ready(before)), None),
            };
            if let Some(counts) = &mut counts {
                counts.change(was, is);
            }
            let (was, is) = (was == Some(true), is == Some(true));
            if was != is {
                let node = change.object.name();
                self.services.recorder.node_ready(&self.name, node, is);
            }
        }
        // What has left the history is not seen here.
        let counts = counts.unwrap_or_else(|| NodeCounts::of(cluster.store.all_of("", "nodes", None)));
        self.tally.set_nodes(counts);
    }

    /// Wakes those who watch what has changed, or all.
    fn wake(&self, all: bool) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = self.cluster.read().unwrap_or_else(PoisonError::into_inner);
        let (version, oldest) = (cluster.store.version(), cluster.store.oldest_version());
        if wakers.told == version && !all {
            return;
        }
        self.tell_readiness(&cluster, wakers.told);
        // Those who wait for other resources must move on too, or they fall out of the window though they missed nothing.
        let half = oldest + version.saturating_sub(oldest) / 2;
        if all || wakers.all_woken < half || wakers.told < oldest {
            wakers.all_woken = version;
            wakers.by_resource.retain(|_, waker| waker.send(()).is_ok());
        } else {
            let mut changed: Vec<ResourceId> = cluster
                .store
                .changes_after(wakers.told)
                .map(|change| change.resource)
                .collect();
            changed.sort_unstable();
            changed.dedup();
            for resource in changed {
                if let Some(waker) = wakers.by_resource.get(&resource)
                    && waker.send(()).is_err()
                {
                    wakers.by_resource.remove(&resource);
                }
            }
        }
        wakers.told = version;
    }
}

/// The actor.
struct ClusterActor {
    cluster: Arc<ClusterRef>,
    timer: Option<(DateTime<Utc>, SpawnHandle)>,
    followed: Followed,
    /// The timer for the next edge of a fault.
    edge: Option<(SimInstant, SpawnHandle)>,
}

impl ClusterActor {
    /// Arms the timer for faults to the next time at which one of a state begins or ends.
    fn await_edge(&mut self, context: &mut Context<Self>) {
        let next = self.followed.edge;
        if self.edge.as_ref().map(|(edge, _)| *edge) == next {
            return;
        }
        if let Some((_, timer)) = self.edge.take() {
            context.cancel_future(timer);
        }
        let Some(next) = next else { return };
        let wait = self
            .cluster
            .real_time(next.since(self.cluster.services.clock.now()));
        let timer = context.run_later(wait, |this, context| {
            this.edge = None;
            this.followed.on_edge(&this.cluster);
            this.await_edge(context);
        });
        self.edge = Some((next, timer));
    }

    fn follow_anew(&mut self, context: &mut Context<Self>) {
        self.followed.changed(&self.cluster);
        self.await_edge(context);
    }

    fn work(&mut self, context: &mut Context<Self>) {
        let (next, all) = self.cluster.settle();
        self.cluster.wake(all);
        self.rearm(next, context);
    }

    /// Arms the one timer to the next deadline. What is due now waits behind the messages that are there.
    fn rearm(&mut self, next: Option<DateTime<Utc>>, context: &mut Context<Self>) {
        if self.timer.as_ref().map(|(time, _)| *time) == next {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            context.cancel_future(timer);
        }
        let Some(next) = next else {
            return;
        };
        let wait = self.cluster.real_time_until(next);
        let timer = context.run_later(wait, |this, context| {
            this.timer = None;
            this.work(context);
        });
        self.timer = Some((next, timer));
    }
}

impl Actor for ClusterActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.follow_anew(context);
        self.work(context);
    }
}

/// A change that somebody waits for: whether it is to panic comes last.
type Asked = Box<dyn FnOnce(&mut Cluster, DateTime<Utc>, bool) + Send>;
/// A change that nobody waits for.
type Posted = Box<dyn FnOnce(&mut Cluster, DateTime<Utc>) + Send>;

/// What changes a cluster. The closure carries its own way of answering.
#[derive(Message)]
#[rtype(result = "()")]
enum Write {
    /// Somebody waits for it: a fault may have it panic, which the closure is told.
    Asked(Asked),
    /// Nobody waits.
    Posted(Posted),
}

impl Handler<Write> for ClusterActor {
    type Result = ();

    fn handle(&mut self, message: Write, context: &mut Self::Context) {
        let now = self.cluster.now();
        let panics = matches!(message, Write::Asked(_))
            && self.cluster.strike(Site::Plain(SiteKind::ClusterStep)).is_some();
        let (has_storage, lost_storage, new_etcd, leaders) = {
            let mut cluster = self
                .cluster
                .cluster
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let had_storage = cluster.has_storage();
            let had_etcd = cluster.etcd().is_some();
            let leaders = cluster.etcd_mut().map_or(0, |etcd| etcd.catch_up(now));
            match message {
                Write::Asked(change) => change(&mut cluster, now, panics),
                Write::Posted(change) => change(&mut cluster, now),
            }
            let has_storage = cluster.has_storage();
            let new_etcd = !had_etcd && cluster.etcd().is_some();
            (has_storage, had_storage && !has_storage, new_etcd, leaders)
        };
        self.cluster.tell_leaders(leaders);
        if new_etcd {
            self.follow_anew(context);
        }
        self.cluster.tally.set_storage(has_storage);
        if lost_storage {
            self.cluster.services.recorder.shell(ShellEvent::QuorumLost);
            // Watches end.
            self.cluster.wake_all();
        }
        self.cluster.waiting.fetch_sub(1, Ordering::AcqRel);
        self.work(context);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct FaultsChanged;

impl Handler<FaultsChanged> for ClusterActor {
    type Result = ();

    fn handle(&mut self, _: FaultsChanged, context: &mut Self::Context) {
        self.cluster.faults_changed.store(false, Ordering::Release);
        self.follow_anew(context);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for ClusterActor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        context.stop();
    }
}
