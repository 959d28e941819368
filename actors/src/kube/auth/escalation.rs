//! Nobody gives away what they do not have: checks of writes to roles and bindings.

use crate::kube::object::Object;
use crate::kube::resource::Resource;
use crate::kube::status::Status;
use crate::kube::store::Store;

use super::attributes::ResourceRequest;
use super::rbac::{self, GROUP};
use super::rule::{self, PolicyRule};
use super::user::UserInfo;

/// Checks a write of a Role, ClusterRole, RoleBinding or ClusterRoleBinding; writes of other kinds pass
/// (kubernetes: `pkg/registry/rbac/*/policybased/storage.go`, `pkg/registry/rbac/escalation_check.go`).
///
/// `new` is what the write would leave, as a dry run gives it; `old` what was there. Whoever may `escalate` the role or
/// `bind` to it may write it; others need all its rules themselves.
///
/// # Errors
/// 403 with the rules that the user lacks; 404 when a binding names a role that does not exist.
pub fn confirm_no_escalation(
    store: &Store,
    user: &UserInfo,
    resource: &Resource,
    new: &Object,
    old: Option<&Object>,
) -> Result<(), Status> {
    if resource.group != GROUP || user.is_master() {
        return Ok(());
    }
    if old.is_some_and(|old| only_garbage_collection(old, new)) {
        return Ok(());
    }
    let namespace = new.namespace().unwrap_or("");
    match &*resource.plural {
        "roles" | "clusterroles" => {
            let request = ResourceRequest {
                group: GROUP,
                resource: &resource.plural,
                namespace,
                // The name is that of the URL, which a create does not have.
                name: old.map_or("", Object::name),
                ..ResourceRequest::default()
            };
            if rbac::may(store, user, "escalate", request) {
                return Ok(());
            }
            confirm(store, user, resource, new, &rbac::rules_of(new))?;
            if (aggregates(new) || old.is_some_and(aggregates))
                && missing(store, user, namespace, &PolicyRule::everything()).is_some()
            {
                let why = "must have cluster-admin privileges to use the aggregationRule";
                return Err(Status::forbidden(resource.named(), new.name(), why));
            }
            Ok(())
        }
        "rolebindings" | "clusterrolebindings" => {
            let reference = rbac::reference_of(new);
            let plural = match reference.kind.as_str() {
                "ClusterRole" => "clusterroles",
                "Role" => "roles",
                // Validation refuses it.
                _ => return Ok(()),
            };
            let request = ResourceRequest {
                group: &reference.group,
                resource: plural,
                namespace,
                name: &reference.name,
                ..ResourceRequest::default()
            };
            if rbac::may(store, user, "bind", request) {
                return Ok(());
            }
            let rules = rbac::rules_of_reference(store, &reference, namespace)
                .map_err(|plural| rbac::role_not_found(&plural, &reference.name))?;
            confirm(store, user, resource, new, &rules)
        }
        _ => Ok(()),
    }
}

/// Whether a change touches only what garbage collection needs (kubernetes: `pkg/registry/rbac/helpers.go`).
fn only_garbage_collection(old: &Object, new: &Object) -> bool {
    let mut head = (*new.head).clone();
    head.owners.clone_from(&old.head.owners);
    head.finalizers.clone_from(&old.head.finalizers);
    old.sections == new.sections && head == *old.head
}

fn aggregates(role: &Object) -> bool {
    role.at(&["aggregationRule", "clusterRoleSelectors"])
        .and_then(|selectors| selectors.as_array().map(|list| !list.is_empty()))
        .unwrap_or(false)
}

/// What the user lacks of `rules`, one line each.
fn missing(
    store: &Store,
    user: &UserInfo,
    namespace: &str,
    rules: &[PolicyRule],
) -> Option<(String, String)> {
    let (owned, errors) = rbac::rules_for(store, user, namespace);
    let missing = rule::covers(&owned, rules).err()?;
    let mut lines: Vec<String> = missing.iter().map(PolicyRule::compact).collect();
    lines.sort();
    lines.dedup();
    Some((lines.join("\n"), errors))
}

fn confirm(
    store: &Store,
    user: &UserInfo,
    resource: &Resource,
    new: &Object,
    rules: &[PolicyRule],
) -> Result<(), Status> {
    let Some((missing, errors)) = missing(store, user, new.namespace().unwrap_or(""), rules) else {
        return Ok(());
    };
    let mut why = format!(
        "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{missing}",
        crate::kube::status::quote(&user.username),
        rule::quoted(&user.groups)
    );
    if !errors.is_empty() {
        why.push_str("; resolution errors: [");
        why.push_str(&errors);
        why.push(']');
    }
    Err(Status::forbidden(resource.named(), new.name(), &why))
}
