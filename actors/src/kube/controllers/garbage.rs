//! The garbage collector: [`crate::kube::garbage`] for each object whose owners, or whose dependents, changed.
//!
//! A key is an object of any kind: its name has the number of its resource before it.

use std::sync::Arc;
use std::time::Duration;

use crate::kube::controller::{Context, Controller, Key};
use crate::kube::garbage;
use crate::kube::object::{Object, OwnerReference};
use crate::kube::resource::ResourceId;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Store};

/// The controller.
#[derive(Debug)]
pub struct Garbage;

fn key(resource: ResourceId, object: &Object) -> Key {
    Key::new(object.namespace(), &format!("{}/{}", resource.0, object.name()))
}

/// The object of a key.
fn find<'a>(store: &'a Store, key: &Key) -> Option<&'a Arc<Object>> {
    let (id, name) = key.name.split_once('/')?;
    let resource = store.registry().by_id(ResourceId(id.parse().ok()?))?;
    store.find(resource, key.namespace(), name)
}

/// Names the owners that wait for their dependents.
fn waiting_owners(store: &Store, object: &Object, owners: &[OwnerReference], look_at: &mut dyn FnMut(Key)) {
    for reference in owners {
        let Some(resource) = store.registry().by_kind(&reference.api_version, &reference.kind) else {
            continue;
        };
        let namespace = object.namespace().filter(|_| resource.namespaced);
        let owner = store.find(resource, namespace, &reference.name);
        if let Some(owner) = owner.filter(|owner| owner.is_terminating()) {
            look_at(key(resource.home, owner));
        }
    }
}

impl Controller for Garbage {
    fn name(&self) -> &'static str {
        "garbage-collector-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        match &change.changed {
            Changed::Added => {}
            Changed::Modified(before) => {
                let same = Arc::ptr_eq(&before.head, &object.head) || before.head == object.head;
                if same && before.is_terminating() == object.is_terminating() {
                    return;
                }
                if before.head.owners != object.head.owners {
                    waiting_owners(store, before, &before.head.owners, look_at);
                }
            }
            Changed::Deleted(_) => {
                for (resource, dependent) in store.dependents_of(object.uid) {
                    look_at(key(resource, dependent));
                }
                waiting_owners(store, object, &object.head.owners, look_at);
                return;
            }
        }
        if !object.head.owners.is_empty() || object.is_terminating() {
            look_at(key(change.resource, object));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(object) = find(store, key).cloned() else {
            return Ok(None);
        };
        for action in garbage::work(store, &object) {
            garbage::run(store, &action, context.now)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kube::controllers::testing::{World, kind};
    use crate::kube::store::{DeleteOptions, Propagation, Target};

    /// `a` owns `b`, which owns `c`.
    fn chain(world: &mut World) {
        let mut owners = json!([]);
        for name in ["a", "b", "c"] {
            let map = world.create(
                "configmaps",
                json!({"metadata": {"name": name, "ownerReferences": owners}}),
            );
            owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": map.uid_text(), "blockOwnerDeletion": true}]);
        }
    }

    fn delete(world: &mut World, propagation: Propagation) {
        let target = Target::stored(kind("configmaps"), Some("default"));
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        let now = world.now;
        world.cluster.store.delete(target, "a", &options, now).unwrap();
        let settled = world.settle();
        assert_eq!(settled.failed, 0);
    }

    fn left(world: &World) -> Vec<&str> {
        let there = |name: &&str| world.find("configmaps", "default", name).is_some();
        ["a", "b", "c"].into_iter().filter(there).collect()
    }

    #[test]
    fn dependents_go_with_their_owners() {
        for propagation in [Propagation::Background, Propagation::Foreground] {
            let mut world = World::new();
            chain(&mut world);
            assert_eq!(left(&world).len(), 3);
            delete(&mut world, propagation);
            assert!(left(&world).is_empty(), "{propagation:?}");
        }
    }

    #[test]
    fn orphans_stay() {
        let mut world = World::new();
        chain(&mut world);
        delete(&mut world, Propagation::Orphan);
        assert_eq!(left(&world), ["b", "c"]);
        assert_eq!(
            world.at("configmaps", "b", "/metadata/ownerReferences"),
            Value::Null
        );
    }

    #[test]
    fn what_has_no_owner_from_the_start_goes() {
        let mut world = World::new();
        let owners = json!([{"apiVersion": "v1", "kind": "Secret", "name": "never", "uid": "0"}]);
        world.create(
            "configmaps",
            json!({"metadata": {"name": "a", "ownerReferences": owners}}),
        );
        assert!(left(&world).is_empty());
    }

    #[test]
    fn a_deletion_in_the_foreground_waits() {
        let mut world = World::with_node();
        let owner = world.create("configmaps", json!({"metadata": {"name": "a"}}));
        let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner.uid_text(), "blockOwnerDeletion": true}]);
        world.pod("p", "n1", json!({"metadata": {"ownerReferences": owners}}));
        world.after(5);
        delete(&mut world, Propagation::Foreground);
        assert!(world.get("pods", "p").is_terminating());
        assert_eq!(left(&world), ["a"]);
        world.after(60);
        assert!(left(&world).is_empty());
    }
}
