//! The ConfigMap `kube-root-ca.crt` of each namespace, with which pods trust the API server
//! (kubernetes: `pkg/controller/certificates/rootcacertpublisher/publisher.go`). The keys are namespaces.

use std::time::Duration;

use serde_json::json;

use super::kinds::{KINDS, about, is_active};
use super::workload::{namespace_ends, options};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Part, Store, Target};

/// Name of the map.
const NAME: &str = "kube-root-ca.crt";
/// Says what it is for.
const DESCRIPTION: &str = "kubernetes.io/description";

/// The publisher.
#[derive(Debug)]
pub struct RootCa;

impl Controller for RootCa {
    fn name(&self) -> &'static str {
        "root-ca-certificate-publisher-controller"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.namespaces) {
            if !matches!(change.changed, Changed::Deleted(_)) {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.config_maps)
            && object.name() == NAME
            && let Some(namespace) = object.namespace()
        {
            look_at(Key::new(None, namespace));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        if !is_active(store, &key.name) {
            return Ok(None);
        }
        let namespace = Some(&*key.name);
        let data = json!({ "ca.crt": context.root_ca });
        let description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
            internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
        let written = match store.find(&KINDS.config_maps, namespace, NAME) {
            Some(map) => {
                if map.section("data") == Some(data.clone()) && map.annotation(DESCRIPTION).is_some() {
                    return Ok(None);
                }
                let mut draft = map.draft();
                draft.body.insert("data".to_owned(), data);
                let annotations = &mut draft.meta.annotations;
                annotations.insert(DESCRIPTION.to_owned(), description.to_owned());
                let written = store.replace(&KINDS.config_maps, Part::Main, draft, options(context));
                written.map(drop)
            }
            None => {
                let body = json!({"metadata": {"name": NAME, "annotations": {DESCRIPTION: description}}, "data": data});
                let target = Target::stored(&KINDS.config_maps, namespace);
                store.create(target, body, options(context)).map(drop)
            }
        };
        match written {
            Err(status) if !namespace_ends(&status) => Err(status),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controllers::testing::World;

    #[test]
    fn the_map_is_there_and_stays() {
        let mut world = World::new();
        world.create("namespaces", json!({"metadata": {"name": "n"}}));
        let map = world.find("configmaps", "n", NAME).unwrap();
        assert_eq!(map.section("data"), Some(json!({"ca.crt": "-----CA-----"})));
        world.patch(
            "configmaps",
            NAME,
            Part::Main,
            json!({"data": {"ca.crt": "x", "more": "y"}}),
        );
        assert_eq!(
            world.at("configmaps", NAME, "/data"),
            json!({"ca.crt": "-----CA-----"})
        );
        world.delete("configmaps", NAME);
        assert_eq!(
            world.at("configmaps", NAME, "/data"),
            json!({"ca.crt": "-----CA-----"})
        );
    }
}
