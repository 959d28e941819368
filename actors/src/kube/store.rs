//! The objects of one cluster, their versions and their history.
//!
//! A [`Store`] is what stands behind a simulated API server: create, get, update, patch, apply, delete, list and watch with
//! the rules of a real one (kubernetes: `apiserver/pkg/registry/generic/registry/store.go`, `apiserver/pkg/registry/rest`). It has
//! no clock and no chance of its own: time comes in with each write, uids and generated names follow from a seed and the version.
//!
//! Every write first *prepares* a change from the present state, without touching it, then commits it. A dry run
//! stops in between, so it costs no copy and leaves no trace.
//!
//! Writers see one counter of versions. The last changes stay in a bounded window; it feeds watches, lists at an older version and
//! later pages of a list. What has left the window answers 410.

mod collection;
mod commit;
mod delete;
mod image;
mod list;
mod parts;
mod placed;
mod shape;
#[cfg(test)]
mod tests;
mod watch;
mod write;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::intern::Interner;
use super::object::{Object, Second};
use super::resource::{Registry, Resource, ResourceId};
use super::status::Status;
use crate::seed::Seed;

use collection::Collection;

pub use commit::{Change, Changed};
pub use delete::{DeleteOptions, Deleted, Propagation};
pub use image::Image;
pub use list::{ListPage, ListQuery, VersionMatch};
pub use placed::node_of;
pub use watch::{WatchEvent, WatchQuery, WatchType, Watcher};
pub use write::{Part, PatchKind, Written};

/// Bounds of one cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Objects of all kinds.
    pub objects: usize,
    /// JSON bytes of one object. etcd refuses requests above 1.5 MiB.
    pub object_bytes: usize,
    /// Changes that the window keeps.
    pub window_events: usize,
    /// JSON bytes of the objects in the window, roughly. Parts that versions share are counted each time.
    pub window_bytes: usize,
    /// Operations in one JSON patch. The API server's own limit is 10,000.
    pub json_patch_operations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            objects: 100_000,
            object_bytes: 3 * 512 * 1024,
            window_events: 2048,
            window_bytes: 16 * 1024 * 1024,
            json_patch_operations: 10_000,
        }
    }
}

/// What a cluster is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Root of uids and generated names. Two clusters need different ones.
    pub seed: Seed,
    /// Bounds.
    pub limits: Limits,
    /// Network and prefix length from which Services get their addresses; `None` = no addresses are given.
    pub service_network: Option<(Ipv4Addr, u8)>,
}

/// Resource, version and namespace that a request names.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The resource.
    pub resource: &'a Arc<Resource>,
    /// The API version of the request: bodies are in it.
    pub version: &'a str,
    /// The namespace; `None` for cluster-scoped resources, and for lists over all namespaces.
    pub namespace: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Objects of `resource` in its stored version.
    #[must_use]
    pub fn stored(resource: &'a Arc<Resource>, namespace: Option<&'a str>) -> Self {
        Self {
            resource,
            version: resource.storage_version(),
            namespace,
        }
    }

    /// The key of an object of that name.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        self.resource.key(self.namespace, name)
    }
}

/// What goes with every write.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions<'a> {
    /// The time of the write.
    pub now: DateTime<Utc>,
    /// Do everything but keep it.
    pub dry_run: bool,
    /// Who writes, for `managedFields`; `None` keeps no account of fields.
    pub manager: Option<&'a str>,
}

impl<'a> WriteOptions<'a> {
    /// A write by a component of the cluster itself.
    #[must_use]
    pub const fn by(manager: &'a str, now: DateTime<Utc>) -> Self {
        Self {
            now,
            dry_run: false,
            manager: Some(manager),
        }
    }
}

/// The objects of one cluster.
#[derive(Debug)]
pub struct Store {
    registry: Registry,
    settings: Settings,
    interner: Arc<Interner>,
    /// When it took over its first image.
    founded: Option<Second>,
    /// By resource, then by `namespace/name`: the order of lists. What came from an [`Image`] is shared until it changes.
    collections: BTreeMap<ResourceId, Arc<Collection>>,
    objects: usize,
    /// Objects that name an owner, by the owner's uid.
    dependents: BTreeMap<Uuid, BTreeSet<(ResourceId, Box<str>)>>,
    placed: placed::Placed,
    version: u64,
    window: VecDeque<Change>,
    window_bytes: usize,
    /// Version before the oldest change in the window: the oldest state that can be told.
    floor: u64,
}

/// What the keys of a namespace begin with; of all namespaces: nothing.
fn prefix_of(namespace: Option<&str>) -> String {
    namespace.map_or_else(String::new, |namespace| format!("{namespace}/"))
}

fn is_within(object: &Object, namespace: Option<&str>) -> bool {
    namespace.is_none_or(|namespace| *object.head.namespace == *namespace)
}

impl Store {
    /// An empty store. `interner` is shared by all stores of the process.
    ///
    /// Version 1 is the empty store, so that no object ever has version 0, which means "any" to clients.
    #[must_use]
    pub fn new(settings: Settings, interner: Arc<Interner>) -> Self {
        Self {
            registry: Registry::default(),
            settings,
            interner,
            founded: None,
            collections: BTreeMap::new(),
            objects: 0,
            dependents: BTreeMap::new(),
            placed: placed::Placed::default(),
            version: 1,
            window: VecDeque::new(),
            window_bytes: 0,
            floor: 1,
        }
    }

    /// The resources that are served.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The resources that are served, to add custom ones.
    pub const fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The present version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The oldest version from which a watch can start.
    #[must_use]
    pub const fn oldest_version(&self) -> u64 {
        self.floor
    }

    /// Number of objects.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.objects
    }

    /// Whether there are no objects.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// Bounds.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// What the store was made with.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// An object, if it exists.
    #[must_use]
    pub fn find(&self, resource: &Resource, namespace: Option<&str>, name: &str) -> Option<&Arc<Object>> {
        self.collections
            .get(&resource.home)?
            .get(&resource.key(namespace, name))
    }

    /// An object of a built-in resource, if it exists.
    #[must_use]
    pub fn look_up(
        &self,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<&Arc<Object>> {
        self.find(self.registry.find(group, plural)?, namespace, name)
    }

    /// An object.
    ///
    /// # Errors
    /// 404.
    pub fn get(&self, target: Target<'_>, name: &str) -> Result<&Arc<Object>, Status> {
        self.find(target.resource, target.namespace, name)
            .ok_or_else(|| Status::not_found(target.resource.named(), name))
    }

    /// All objects of a resource, in the order of lists; in one namespace if one is given.
    pub fn all<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let namespace = namespace.filter(|_| resource.namespaced);
        let objects = self.collections.get(&resource.home).map(|objects| {
            objects
                .from(&prefix_of(namespace))
                .take_while(move |object| is_within(object, namespace))
        });
        objects.into_iter().flatten()
    }

    /// Number of objects of a resource.
    #[must_use]
    pub fn count(&self, resource: &Resource) -> usize {
        self.collections
            .get(&resource.home)
            .map_or(0, |objects| objects.len())
    }

    /// All objects of a built-in resource; none if there is no such resource.
    pub fn all_of<'a>(
        &'a self,
        group: &str,
        plural: &str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.registry
            .find(group, plural)
            .map(|resource| self.all(resource, namespace))
            .into_iter()
            .flatten()
    }

    /// Every object with its resource, in order of resources.
    pub fn everything(&self) -> impl Iterator<Item = (ResourceId, &Arc<Object>)> {
        self.collections
            .iter()
            .flat_map(|(id, objects)| objects.iter().map(|object| (*id, object)))
    }

    /// The objects that name the object with this uid as an owner.
    pub fn dependents_of(&self, owner: Uuid) -> impl Iterator<Item = (ResourceId, &Arc<Object>)> {
        self.dependents
            .get(&owner)
            .into_iter()
            .flatten()
            .filter_map(|(id, key)| Some((*id, self.collections.get(id)?.get(key)?)))
    }

    /// Uids that objects name as owners.
    pub fn named_owners(&self) -> impl Iterator<Item = Uuid> {
        self.dependents.keys().copied()
    }
}
