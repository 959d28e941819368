//! Objects that many stores begin with, kept once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Collection, Store, Target};
use crate::kube::object::{ManagedEntry, Object, Second};
use crate::kube::resource::{BUILT_IN, ResourceId};

/// The objects of built-in kinds of one store, for others to begin with. They are shared with all that is theirs: uid,
/// version are the same in every store that adopts them. A store pays for the objects of a resource (8 bytes
/// each) once it writes one of that resource.
#[derive(Clone, Debug)]
pub struct Image {
    collections: BTreeMap<ResourceId, Arc<Collection>>,
    version: u64,
}

impl Image {
    /// Number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.collections.values().map(|objects| objects.len()).sum()
    }

    /// Whether it holds an object of that resource under that key.
    #[must_use]
    pub fn has(&self, resource: ResourceId, key: &str) -> bool {
        self.collections
            .get(&resource)
            .is_some_and(|objects| objects.get(key).is_some())
    }

    /// The image with those objects only that `keep` says yes to, by resource and key.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(ResourceId, &str) -> bool) -> Self {
        self.mapped(|id, object| keep(id, &object.key()).then(|| Arc::clone(object)))
    }

    /// The image with objects that come to be when a store takes them over ([`Second::FOUNDING`]).
    #[must_use]
    pub fn timeless(&self) -> Self {
        self.mapped(|_, object| {
            let managed = object.managed.iter().map(|entry| ManagedEntry {
                time: Some(Second::FOUNDING),
                ..entry.clone()
            });
            Some(Arc::new(Object {
                created: Second::FOUNDING,
                managed: managed.collect(),
                ..(**object).clone()
            }))
        })
    }

    fn mapped(&self, map: impl Fn(ResourceId, &Arc<Object>) -> Option<Arc<Object>>) -> Self {
        let map = &map;
        let collections = self.collections.iter().filter_map(|(id, objects)| {
            let objects: Collection = objects.iter().filter_map(|object| map(*id, object)).collect();
            (!objects.is_empty()).then(|| (*id, Arc::new(objects)))
        });
        Self {
            collections: collections.collect(),
            version: self.version,
        }
    }

    /// Whether there are no objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store {
    /// An image of the present state, without custom resources: their numbers differ from store to store.
    #[must_use]
    pub fn image(&self) -> Image {
        Image {
            collections: self
                .collections
                .iter()
                .filter(|(id, _)| BUILT_IN.iter().any(|resource| resource.id == **id))
                .map(|(id, objects)| (*id, Arc::clone(objects)))
                .collect(),
            version: self.version,
        }
    }

    /// Takes over the objects of an image; objects that exist under their names stay as they are. There is no history of
    /// it: watches start after it, those that are open end with 410. The limit of objects does not count here. What has no time of its own
    /// in the image came to be at `at`, or when the first image was taken over.
    pub fn adopt(&mut self, image: &Image, at: Second) {
        self.founded.get_or_insert(at);
        for (id, objects) in &image.collections {
            let before = self.collections.get(id).map_or(0, |present| present.len());
            let mut new = Vec::new();
            match self.collections.get_mut(id) {
                Some(present)
                    if !present.iter().all(|object| {
                        objects
                            .twin(object)
                            .is_some_and(|other| Arc::ptr_eq(object, other))
                    }) =>
                {
                    let present = Arc::make_mut(present);
                    for object in objects.iter() {
                        if present.twin(object).is_none() {
                            present.insert(Arc::clone(object));
                            new.push(Arc::clone(object));
                        }
                    }
                }
                _ => {
                    self.collections.insert(*id, Arc::clone(objects));
                    new.extend(
                        objects
                            .iter()
                            .filter(|object| !object.head.owners.is_empty())
                            .cloned(),
                    );
                }
            }
            let after = self.collections.get(id).map_or(0, |present| present.len());
            self.objects = self.objects.saturating_add(after.saturating_sub(before));
            for object in new {
                self.index(*id, &object.key(), &object, true);
            }
        }
        // Nobody who has seen the store before may go on from there.
        let seen = self.version > 1;
        self.version = image.version.max(self.version.saturating_add(u64::from(seen)));
        self.compact(self.version);
    }

    /// An object as readers and writers see it: with times instead of [`Second::FOUNDING`].
    #[must_use]
    pub fn dated(&self, object: &Arc<Object>) -> Arc<Object> {
        if object.created != Second::FOUNDING {
            return Arc::clone(object);
        }
        let at = self.founded.unwrap_or_default();
        let managed = object.managed.iter().map(|entry| ManagedEntry {
            time: Some(at),
            ..entry.clone()
        });
        Arc::new(Object {
            created: at,
            managed: managed.collect(),
            ..(**object).clone()
        })
    }

    /// The object that a write is about, if it exists.
    pub(super) fn live(&self, target: Target<'_>, name: &str) -> Option<Arc<Object>> {
        let object = self.find(target.resource, target.namespace, name)?;
        Some(self.dated(object))
    }
}
