//! ClusterRoles with an `aggregationRule` get the rules of those that they select: [`crate::kube::auth::aggregate`] when a ClusterRole
//! changed.

use std::time::Duration;

use super::kinds::{KINDS, about};
use crate::kube::auth::aggregate;
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Store};

/// The controller. It has one key, for all roles.
#[derive(Debug)]
pub struct ClusterRoleAggregation;

impl Controller for ClusterRoleAggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if !about(change, &KINDS.cluster_roles) {
            return;
        }
        if let Changed::Modified(before) = &change.changed {
            let same = |section| before.section_text(section) == change.object.section_text(section);
            if before.head.labels == change.object.head.labels && same("rules") && same("aggregationRule") {
                return;
            }
        }
        look_at(Key::new(None, ""));
    }

    fn reconcile(
        &self,
        store: &mut Store,
        _: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        aggregate(store, context.now)?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kube::controllers::testing::World;
    use crate::kube::store::Part;

    #[test]
    fn rules_are_gathered() {
        let mut world = World::new();
        let all = json!({"metadata": {"name": "all"}, "rules": [],
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-all": "true"}}]}});
        world.create("clusterroles", all);
        let rule = json!([{"apiGroups": ["x.io"], "resources": ["things"], "verbs": ["get"]}]);
        let part = json!({"metadata": {"name": "part", "labels": {"to-all": "true"}}, "rules": rule});
        world.create("clusterroles", part);
        assert_eq!(world.at("clusterroles", "all", "/rules"), rule);
        let unlabel = json!({"metadata": {"labels": {"to-all": Value::Null}}});
        world.patch("clusterroles", "part", Part::Main, unlabel);
        assert_ne!(world.at("clusterroles", "all", "/rules"), rule);
    }
}
