//! How a prepared change enters the store and its history.

use std::sync::Arc;

use uuid::Uuid;

use super::Store;
use crate::kube::object::Object;
use crate::kube::resource::{Resource, ResourceId};
use crate::kube::status::Status;

/// What happened to an object.
#[derive(Clone, Debug)]
pub enum Changed {
    /// It came to be.
    Added,
    /// It changed; this was its state before.
    Modified(Arc<Object>),
    /// It is gone; this was its state before. The change's object is its last state, with the version of the deletion.
    Deleted(Arc<Object>),
}

/// One change in the history.
#[derive(Clone, Debug)]
pub struct Change {
    /// The version that the change made.
    pub version: u64,
    /// The resource (its home).
    pub resource: ResourceId,
    /// The object after the change.
    pub object: Arc<Object>,
    /// What happened.
    pub changed: Changed,
}

/// A write that is worked out but not yet done.
#[derive(Debug)]
pub(super) enum Prepared {
    /// Nothing changes.
    Same(Arc<Object>),
    /// An object comes or changes. Its `resource_version` is still open.
    Put(Box<Object>),
    /// An object goes; this is its last state.
    Remove(Box<Object>),
}

impl Store {
    /// Does what was prepared, or only says what it would give. `Ok((object, gone))`.
    pub(super) fn finish(
        &mut self,
        resource: &Resource,
        prepared: Prepared,
        dry_run: bool,
    ) -> Result<(Arc<Object>, bool), Status> {
        let (mut object, remove) = match prepared {
            Prepared::Same(object) => return Ok((object, false)),
            Prepared::Put(object) => (object, false),
            Prepared::Remove(object) => (object, true),
        };
        let weight = object.weight();
        if !remove && weight > self.settings.limits.object_bytes {
            return Err(Status::too_big(&format!(
                "limit is {}",
                self.settings.limits.object_bytes
            )));
        }
        if dry_run {
            return Ok((Arc::new(*object), remove));
        }
        let key = resource.key(object.namespace(), object.name());
        let objects = Arc::make_mut(self.collections.entry(resource.home).or_default());
        let before = if remove { objects.remove(&key) } else { None };
        if !remove && objects.get(&key).is_none() && self.objects >= self.settings.limits.objects {
            return Err(Status::too_many_requests(format!(
                "the cluster already holds {} objects",
                self.settings.limits.objects
            )));
        }
        self.version = self.version.saturating_add(1);
        object.resource_version = self.version;
        let object = Arc::new(*object);
        let before = if remove {
            if objects.is_empty() {
                self.collections.remove(&resource.home);
            }
            before
        } else {
            objects.insert(Arc::clone(&object))
        };
        if let Some(before) = &before {
            self.index(resource.home, &key, before, false);
        }
        let changed = match (remove, before) {
            (true, before) => {
                self.objects = self.objects.saturating_sub(1);
                Changed::Deleted(before.unwrap_or_else(|| Arc::clone(&object)))
            }
            (false, None) => {
                self.objects = self.objects.saturating_add(1);
                self.index(resource.home, &key, &object, true);
                Changed::Added
            }
            (false, Some(before)) => {
                self.index(resource.home, &key, &object, true);
                Changed::Modified(before)
            }
        };
        self.remember(
            Change {
                version: self.version,
                resource: resource.home,
                object: Arc::clone(&object),
                changed,
            },
            weight,
        );
        Ok((object, remove))
    }

    /// Puts back an object from durable state, with the version and uid that it had. There is no history of it: watches start
    /// after the newest object.
    pub fn restore(&mut self, resource: &Resource, object: Object) {
        let key = resource.key(object.namespace(), object.name());
        self.version = self.version.max(object.resource_version);
        let object = Arc::new(object);
        let objects = Arc::make_mut(self.collections.entry(resource.home).or_default());
        match objects.insert(Arc::clone(&object)) {
            Some(before) => self.index(resource.home, &key, &before, false),
            None => self.objects = self.objects.saturating_add(1),
        }
        self.index(resource.home, &key, &object, true);
        self.compact(self.version);
    }

    /// Lets versions go on from `version`, which a store had before it was stored.
    pub fn resume_at(&mut self, version: u64) {
        self.version = self.version.max(version);
        self.compact(self.version);
    }

    /// One more version in which nothing that this store shows has changed.
    pub fn advance(&mut self) {
        self.version = self.version.saturating_add(1);
    }

    /// Keeps the indices of owners and of nodes.
    pub(super) fn index(&mut self, resource: ResourceId, key: &str, object: &Object, present: bool) {
        self.placed.index(resource, key, object, present);
        for owner in &object.head.owners {
            let Ok(uid) = Uuid::parse_str(&owner.uid) else {
                continue;
            };
            if present {
                self.dependents
                    .entry(uid)
                    .or_default()
                    .insert((resource, key.into()));
            } else if let Some(dependents) = self.dependents.get_mut(&uid) {
                dependents.remove(&(resource, Box::from(key)));
                if dependents.is_empty() {
                    self.dependents.remove(&uid);
                }
            }
        }
    }

    fn remember(&mut self, change: Change, weight: usize) {
        self.window_bytes = self.window_bytes.saturating_add(weight);
        self.window.push_back(change);
        while self.window.len() > self.settings.limits.window_events
            || self.window_bytes > self.settings.limits.window_bytes
        {
            let Some(oldest) = self.window.pop_front() else {
                break;
            };
            self.floor = oldest.version;
            self.window_bytes = self.window_bytes.saturating_sub(oldest.object.weight());
        }
    }

    /// Forgets the history up to `version`, as etcd's compaction does. Watches and lists from before answer 410.
    pub fn compact(&mut self, version: u64) {
        let version = version.min(self.version);
        while self
            .window
            .front()
            .is_some_and(|change| change.version <= version)
        {
            if let Some(oldest) = self.window.pop_front() {
                self.window_bytes = self.window_bytes.saturating_sub(oldest.object.weight());
            }
        }
        if self.window.capacity() > self.window.len().saturating_mul(4) {
            self.window.shrink_to(self.window.len().saturating_mul(2));
        }
        self.floor = self.floor.max(version);
    }

    /// The changes after `version`, oldest first. The caller has checked that `version` is not below the floor.
    pub fn changes_after(&self, version: u64) -> impl DoubleEndedIterator<Item = &Change> {
        let start = self.window.partition_point(|change| change.version <= version);
        self.window.range(start..)
    }
}
