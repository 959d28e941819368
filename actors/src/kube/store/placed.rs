//! Which pods are on which node, and which are on none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::Store;
use crate::kube::object::Object;
use crate::kube::resource::{BUILT_IN, ResourceId};

/// The number of `pods`, the same in all clusters.
static PODS: LazyLock<Option<ResourceId>> = LazyLock::new(|| {
    BUILT_IN
        .iter()
        .find(|resource| resource.is("", "pods"))
        .map(|resource| resource.home)
});

/// Keys of pods by the name of their node; those without one under the empty name.
#[derive(Debug, Default)]
pub(super) struct Placed {
    by_node: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
}

impl Placed {
    /// Takes account of an object that came or went.
    pub(super) fn index(&mut self, resource: ResourceId, key: &str, object: &Object, present: bool) {
        if Some(resource) != *PODS {
            return;
        }
        let node = node_of(object);
        if present {
            match self.by_node.get_mut(node.as_str()) {
                Some(keys) => {
                    keys.insert(key.into());
                }
                None => {
                    self.by_node.insert(node.into(), BTreeSet::from([key.into()]));
                }
            }
        } else if let Some(keys) = self.by_node.get_mut(node.as_str()) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_node.remove(node.as_str());
            }
        }
    }
}

/// `spec.nodeName` of a pod, empty while it has none.
#[must_use]
pub fn node_of(pod: &Object) -> String {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        node_name: Option<String>,
    }
    pod.read::<Spec>("spec")
        .and_then(|spec| spec.node_name)
        .unwrap_or_default()
}

impl Store {
    /// The pods whose `spec.nodeName` is `node`; those that are not bound yet for the empty name. In the order of lists.
    pub fn pods_on(&self, node: &str) -> impl ExactSizeIterator<Item = &Arc<Object>> {
        let pods = PODS.and_then(|pods| self.collections.get(&pods));
        let keys = self.placed.by_node.get(node);
        keys.into_iter()
            .flatten()
            .filter_map(|key| pods.and_then(|pods| pods.get(key)))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Number of pods whose `spec.nodeName` is `node`.
    #[must_use]
    pub fn count_pods_on(&self, node: &str) -> usize {
        self.placed.by_node.get(node).map_or(0, BTreeSet::len)
    }
}
