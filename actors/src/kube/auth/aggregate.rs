//! The controller that fills ClusterRoles with an `aggregationRule`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::kube::selector::LabelSelector;
use crate::kube::status::Status;
use crate::kube::store::{Part, PatchKind, Store, Target, WriteOptions};

use super::rbac::{self, GROUP};
use super::rule::PolicyRule;

/// Field manager of the controller.
const MANAGER: &str = "clusterrole-aggregation-controller";
/// Rounds until roles that aggregate roles that aggregate must have settled. Circles of them settle too: rules only add up.
const MOST_ROUNDS: usize = 16;

/// Brings the rules of all ClusterRoles with an `aggregationRule` up to date; call it after ClusterRoles changed
/// (kubernetes: `pkg/controller/clusterroleaggregation`). Returns how many writes it took.
///
/// # Errors
/// What the store refuses; what was written before stays.
pub fn aggregate(store: &mut Store, now: DateTime<Utc>) -> Result<usize, Status> {
    let mut writes: usize = 0;
    for _ in 0..MOST_ROUNDS {
        let wanted = outdated(store);
        if wanted.is_empty() {
            break;
        }
        for (name, rules) in wanted {
            let Some(resource) = store.registry().find(GROUP, "clusterroles").cloned() else {
                return Ok(writes);
            };
            let body = json!({
                "apiVersion": resource.api_version(resource.storage_version()),
                "kind": "ClusterRole",
                "metadata": {"name": name},
                "rules": rules,
            });
            store.patch(
                Target::stored(&resource, None),
                &name,
                Part::Main,
                PatchKind::Apply { force: true },
                &body,
                WriteOptions::by(MANAGER, now),
            )?;
            writes = writes.saturating_add(1);
        }
    }
    Ok(writes)
}

/// The roles whose rules are not what they should be, with the right ones.
fn outdated(store: &Store) -> Vec<(String, Vec<PolicyRule>)> {
    let roles = || store.all_of(GROUP, "clusterroles", None);
    let mut found = Vec::new();
    for role in roles() {
        let Some(rule) = role.section("aggregationRule") else {
            continue;
        };
        let mut rules: Vec<PolicyRule> = Vec::new();
        let selectors = rule
            .get("clusterRoleSelectors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(LabelSelector::from_spec);
        for selector in selectors {
            for other in roles() {
                if other.name() == role.name() || !selector.matches_object(other) {
                    continue;
                }
                for rule in rbac::rules_of(other).iter() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        if *rbac::rules_of(role) != rules {
            found.push((role.name().to_owned(), rules));
        }
    }
    found
}
