//! One simulated cluster, pure: the store, its controllers' work, its kubelets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::compactor::{Compaction, Compactor};
use super::controller::{Behaviour, Context, Key, Kubelet, Kubelets, Queue};
use super::controllers;
use super::etcd::{Alarm, Etcd, EtcdError, MemberId};
use super::machine::{Ailment, Ailments};
use super::node::{self, NodeSpec};
use super::object::Object;
use super::resource::Resource;
use super::status::Status;
use super::store::{Change, Changed, Store};
use crate::seed::Seed;

/// A write of a controller that the store refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The controller.
    pub controller: &'static str,
    /// What it looked at.
    pub key: Key,
    /// The store's words.
    pub message: Box<str>,
}

/// How far [`Cluster::settle`] came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    /// When there is work again; `None` = not before the next write.
    pub next: Option<DateTime<Utc>>,
    /// Looks that controllers took.
    pub looks: usize,
    /// Looks that ended in a refused write.
    pub failed: usize,
    /// The last of them.
    pub refusal: Option<Refusal>,
}

/// One simulated cluster.
pub struct Cluster {
    /// The objects. Write to it, then call [`Self::settle`].
    pub store: Store,
    behaviour: Arc<Behaviour>,
    kubelets: Kubelets,
    ailments: Ailments,
    etcd: Option<Box<Etcd>>,
    root_ca: Arc<str>,
    seed: Seed,
    queue: Queue,
    /// The version up to which the controllers have seen the changes.
    seen: u64,
    compactor: Compactor,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("objects", &self.store.len())
            .field("version", &self.store.version())
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster around a store. `root_ca` is its CA certificate as PEM text.
    #[must_use]
    pub fn new(store: Store, behaviour: Arc<Behaviour>, root_ca: Arc<str>, seed: Seed) -> Self {
        Self {
            store,
            behaviour,
            kubelets: Kubelets::new(),
            ailments: Ailments::new(),
            etcd: None,
            root_ca,
            seed,
            queue: Queue::default(),
            seen: 0,
            compactor: Compactor::default(),
        }
    }

    /// The kubelets, by node.
    #[must_use]
    pub const fn kubelets(&self) -> &Kubelets {
        &self.kubelets
    }

    /// What is wrong with the machines.
    #[must_use]
    pub const fn ailments(&self) -> &Ailments {
        &self.ailments
    }

    /// Puts what is wrong with a machine in the place of what was.
    pub(super) fn set_ailment(&mut self, node: &str, ailment: Ailment) -> Ailment {
        if let Some(etcd) = self.etcd.as_deref_mut() {
            etcd.afflict(node, &ailment.alarms);
        }
        let before = if ailment == Ailment::default() {
            self.ailments.remove(node)
        } else {
            self.ailments.insert(node.into(), ailment)
        };
        before.unwrap_or_default()
    }

    /// Its etcd; `None` when it is no part of the cluster.
    #[must_use]
    pub fn etcd(&self) -> Option<&Etcd> {
        self.etcd.as_deref()
    }

    /// Its etcd as it is at `now`: the leader may have changed since somebody wrote last.
    #[must_use]
    pub fn etcd_at(&self, now: DateTime<Utc>) -> Option<Cow<'_, Etcd>> {
        let etcd = self.etcd()?;
        if !etcd.lags(now) {
            return Some(Cow::Borrowed(etcd));
        }
        let mut etcd = etcd.clone();
        etcd.catch_up(now);
        Some(Cow::Owned(etcd))
    }

    /// Its etcd, to change.
    pub fn etcd_mut(&mut self) -> Option<&mut Etcd> {
        self.etcd.as_deref_mut()
    }

    /// Whether its objects can be read and written: its etcd has a quorum, or there is none.
    #[must_use]
    pub fn has_storage(&self) -> bool {
        self.etcd().is_none_or(Etcd::has_quorum)
    }

    /// Why its etcd refuses to write: an alarm of a member, which holds for all of them.
    #[must_use]
    pub fn alarm(&self) -> Option<Alarm> {
        self.etcd().and_then(Etcd::alarm)
    }

    /// Gives it an etcd, or takes it.
    pub fn set_etcd(&mut self, etcd: Option<Etcd>) {
        self.etcd = etcd.map(Box::new);
    }

    /// Takes a member out of etcd. Its process ends, and ends again whenever it is started. Call [`Self::settle`] afterwards.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub fn remove_etcd_member(&mut self, id: MemberId, now: DateTime<Utc>) -> Result<(), EtcdError> {
        let etcd = self.etcd.as_deref_mut().ok_or(EtcdError::Stopped)?;
        let node = etcd.member(id).map(|member| member.name.clone());
        etcd.remove(id)?;
        if let Some(node) = node {
            self.look_at_node(&node, now);
        }
        Ok(())
    }

    /// How the cluster behaves.
    #[must_use]
    pub fn behaviour(&self) -> &Behaviour {
        &self.behaviour
    }

    /// An object as a reader sees it at `now`.
    #[must_use]
    pub fn present(&self, resource: &Resource, object: &Arc<Object>, now: DateTime<Utc>) -> Arc<Object> {
        node::present(&self.kubelets, resource, object, now)
            .map_or_else(|| self.store.dated(object), Arc::new)
    }

    /// Adds a node whose kubelet starts now: Node, Lease and kubelet. The node is ready after [`Behaviour::node_ready`]. A Node that is there
    /// already is that of a machine started again. Call [`Self::settle`] afterwards.
    ///
    /// # Errors
    /// A name that cannot be, or a cluster that is full.
    pub fn add_node(&mut self, node: &NodeSpec, now: DateTime<Utc>) -> Result<Arc<Object>, Status> {
        let object = node::register(&mut self.store, node, now)?;
        self.set_kubelet(&node.name, Some(Kubelet::Running { since: now }), now);
        Ok(object)
    }

    /// A kubelet started or stopped; `None` = there is no such machine any more. Call [`Self::settle`] afterwards.
    pub fn set_kubelet(&mut self, node: &str, kubelet: Option<Kubelet>, now: DateTime<Utc>) {
        let runs = matches!(kubelet, Some(Kubelet::Running { .. }));
        if !runs && matches!(self.kubelets.get(node), Some(Kubelet::Running { .. })) {
            node::freeze(&mut self.store, &self.kubelets, node, now);
        }
        match kubelet {
            Some(kubelet) => {
                self.kubelets.insert(node.into(), kubelet);
            }
            None => {
                self.kubelets.remove(node);
            }
        }
        self.look_at_node(node, now);
    }

    /// Lets the controllers look at what is on a node.
    pub(super) fn look_at_node(&mut self, node: &str, now: DateTime<Utc>) {
        for (index, controller) in controllers::ALL.iter().enumerate() {
            controller.kubelet_changed(&self.store, node, &mut |key| {
                self.queue.push((place(index), key), now);
            });
        }
    }

    /// Lets the controllers work until nothing is due at `now`, or `most` looks were taken: then `next` is `now`. Without storage, or while
    /// it refuses to write, they wait for it.
    pub fn settle(&mut self, now: DateTime<Utc>, most: usize) -> Settled {
        let mut settled = Settled {
            next: None,
            looks: 0,
            failed: 0,
            refusal: None,
        };
        if !self.has_storage() || self.alarm().is_some() {
            return settled;
        }
        loop {
            self.observe(now);
            if settled.looks >= most {
                break;
            }
            let Some((index, key)) = self.queue.pop(now) else {
                break;
            };
            let Some(controller) = controllers::ALL.get(usize::from(index)) else {
                continue;
            };
            let context = Context {
                now,
                seed: self.seed,
                behaviour: &self.behaviour,
                kubelets: &self.kubelets,
                ailments: &self.ailments,
                etcd: self.etcd.as_deref(),
                root_ca: &self.root_ca,
            };
            let outcome = controller.reconcile(&mut self.store, &key, &context);
            settled.looks += 1;
            if let Err(status) = &outcome {
                settled.failed += 1;
                settled.refusal = Some(Refusal {
                    controller: controller.name(),
                    key: key.clone(),
                    message: status.message.as_str().into(),
                });
            }
            self.queue.done((index, key), &outcome, now);
        }
        settled.next = self.queue.next();
        settled
    }

    /// Forgets the history that is old enough. Call it after [`Self::settle`].
    pub fn compact(&mut self, now: DateTime<Utc>) -> Compaction {
        self.compactor.look(&mut self.store, now)
    }

    /// Shows new changes to the controllers.
    fn observe(&mut self, now: DateTime<Utc>) {
        let version = self.store.version();
        if self.seen == version {
            return;
        }
        let Self {
            store, queue, seen, ..
        } = self;
        let mut show = |change: &Change| {
            for (index, controller) in controllers::ALL.iter().enumerate() {
                controller.observe(store, change, &mut |key| queue.push((place(index), key), now));
            }
        };
        if *seen < store.oldest_version() {
            // The history does not reach back: look at everything, as an informer that lists anew.
            for (resource, object) in store.everything() {
                show(&Change {
                    version: object.resource_version,
                    resource,
                    object: Arc::clone(object),
                    changed: Changed::Added,
                });
            }
        } else {
            for change in store.changes_after(*seen) {
                show(change);
            }
        }
        *seen = version;
    }
}

/// A place in the list of controllers as the queue keeps it.
fn place(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
