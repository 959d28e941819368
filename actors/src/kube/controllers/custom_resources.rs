//! CustomResourceDefinitions are served, refused or taken away: [`crate::kube::crd::reconcile`] when a definition, or an object of one that
//! goes, changed.

use std::time::Duration;

use super::kinds::{KINDS, about};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::crd;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Store};

/// The controller. Its keys are definitions.
#[derive(Debug)]
pub struct CustomResources;

impl Controller for CustomResources {
    fn name(&self) -> &'static str {
        "crd-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if about(change, &KINDS.custom_resource_definitions) {
            look_at(Key::of(&change.object));
        } else if matches!(change.changed, Changed::Deleted(_))
            && let Some(resource) = store.registry().by_id(change.resource)
            && resource.custom
        {
            let name = resource.named().to_string();
            let definition = store.find(&KINDS.custom_resource_definitions, None, &name);
            if definition.is_some_and(|definition| definition.is_terminating()) {
                look_at(Key::new(None, &name));
            }
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        crd::reconcile(store, &key.name, context.now)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use crate::kube::controllers::testing::World;
    use crate::kube::store::{Part, PatchKind, Target, WriteOptions};

    #[test]
    fn a_kind_comes_and_goes() {
        let mut world = World::new();
        let definition = json!({"metadata": {"name": "things.x.io"}, "spec": {
            "group": "x.io", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        }});
        world.create("customresourcedefinitions", definition);
        let established = world.condition("customresourcedefinitions", "things.x.io", "Established");
        assert_eq!(established.0, "True");
        let things = Arc::clone(world.cluster.store.registry().find("x.io", "things").unwrap());
        let target = Target::stored(&things, Some("default"));
        let options = WriteOptions::by("t", world.now);
        let thing = json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a", "finalizers": ["x.io/hold"]}});
        world.cluster.store.create(target, thing, options).unwrap();
        world.delete("customresourcedefinitions", "things.x.io");
        assert!(world.cluster.store.get(target, "a").unwrap().is_terminating());
        assert!(
            world
                .get("customresourcedefinitions", "things.x.io")
                .is_terminating()
        );
        let free = json!({"metadata": {"finalizers": null}});
        world
            .cluster
            .store
            .patch(target, "a", Part::Main, PatchKind::Merge, &free, options)
            .unwrap();
        world.settle();
        assert!(
            world
                .find("customresourcedefinitions", "", "things.x.io")
                .is_none()
        );
        assert!(world.cluster.store.registry().find("x.io", "things").is_none());
    }
}
