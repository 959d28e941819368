//! Namespaces that are deleted are emptied and go: [`crate::kube::namespace`] when something in them changed.

use std::time::Duration;

use super::kinds::{KINDS, about};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::namespace;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Store};

/// The controller. Its keys are namespaces.
#[derive(Debug)]
pub struct Namespaces;

impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.namespaces) {
            if object.is_terminating() && !matches!(change.changed, Changed::Deleted(_)) {
                look_at(Key::of(object));
            }
            return;
        }
        // What it tells about its content are numbers of objects and finalizers.
        let counts = match &change.changed {
            Changed::Added | Changed::Deleted(_) => true,
            Changed::Modified(before) => before.head.finalizers != object.head.finalizers,
        };
        if counts
            && let Some(name) = object.namespace()
            && let Some(namespace) = store.find(&KINDS.namespaces, None, name)
            && namespace.is_terminating()
        {
            look_at(Key::of(namespace));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(object) = store.find(&KINDS.namespaces, None, &key.name).cloned() else {
            return Ok(None);
        };
        let mut failed = Ok(None);
        for action in namespace::work(store, &object, context.now) {
            // One that cannot go does not hold up the others.
            if let Err(status) = namespace::run(store, &action, context.now)
                && failed.is_ok()
            {
                failed = Err(status);
            }
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kube::controllers::testing::{World, kind};
    use crate::kube::store::{DeleteOptions, Part, PatchKind, Target, WriteOptions};

    #[test]
    fn a_namespace_goes_when_its_content_is_gone() {
        let mut world = World::with_node();
        world.create("namespaces", json!({"metadata": {"name": "n"}}));
        let map = json!({"metadata": {"name": "held", "namespace": "n", "finalizers": ["example.com/hold"]}});
        world.create("configmaps", map);
        let pod = json!({"metadata": {"name": "p", "namespace": "n"},
            "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "a"}]}});
        world.create("pods", pod);
        world.after(5);
        world.delete("namespaces", "n");
        assert_eq!(
            world.condition("namespaces", "n", "NamespaceContentRemaining"),
            ("True".into(), "SomeResourcesRemain".into())
        );
        let told = world.at("namespaces", "n", "/status/conditions").to_string();
        assert!(told.contains("Some resources are remaining: configmaps. has 1 resource instances, pods. has 1 resource instances"), "{told}");
        assert_eq!(world.at("namespaces", "n", "/status/phase"), "Terminating");
        let rest = world.after(60);
        assert!(rest.next.is_none_or(|next| next >= world.now), "nothing is due");
        let told = world.at("namespaces", "n", "/status/conditions").to_string();
        assert!(
            told.contains("remaining: configmaps. has 1 resource instances\""),
            "{told}"
        );
        assert!(world.find("configmaps", "n", "kube-root-ca.crt").is_none());
        let target = Target::stored(kind("configmaps"), Some("n"));
        let free = json!({"metadata": {"finalizers": null}});
        let options = WriteOptions::by("t", world.now);
        let store = &mut world.cluster.store;
        store
            .patch(target, "held", Part::Main, PatchKind::Merge, &free, options)
            .unwrap();
        world.settle();
        assert!(world.cluster.store.find(kind("namespaces"), None, "n").is_none());
        let left = world.cluster.store.everything();
        assert_eq!(
            left.filter(|(_, object)| object.namespace() == Some("n")).count(),
            0
        );
    }

    #[test]
    fn an_empty_one_goes_at_once() {
        let mut world = World::new();
        world.create("namespaces", json!({"metadata": {"name": "n"}}));
        let target = Target::stored(kind("namespaces"), None);
        let now = world.now;
        world
            .cluster
            .store
            .delete(target, "n", &DeleteOptions::default(), now)
            .unwrap();
        let settled = world.settle();
        assert_eq!(settled.failed, 0);
        assert!(world.cluster.store.find(kind("namespaces"), None, "n").is_none());
    }
}
