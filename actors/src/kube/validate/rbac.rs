//! Roles and bindings (kubernetes: `pkg/apis/rbac/validation/validation.go`).

use serde_json::{Map, Value};

use super::node::{Faults, Node, same};
use super::words;
use crate::kube::names::NameRule;

const GROUP: &str = "rbac.authorization.k8s.io";

type Fields = Map<String, Value>;

/// A role; `namespaced` for `Role`, else `ClusterRole`.
pub(super) fn role(faults: &mut Faults, body: &Fields, namespaced: bool) {
    for rule in Node::list(body, "rules") {
        if rule.len("verbs") == 0 {
            faults.required(rule.at("verbs"), "verbs must contain at least one value");
        }
        if rule.len("nonResourceURLs") > 0 {
            let urls = rule.get("nonResourceURLs");
            if namespaced {
                faults.invalid(
                    &*urls.path,
                    urls.value.clone(),
                    "namespaced rules cannot apply to non-resource URLs",
                );
            }
            if rule.len("apiGroups") + rule.len("resources") + rule.len("resourceNames") > 0 {
                faults.invalid(
                    urls.path,
                    urls.value.clone(),
                    "rules cannot apply to both regular resources and non-resource URLs",
                );
            }
            continue;
        }
        if rule.len("apiGroups") == 0 {
            faults.required(
                rule.at("apiGroups"),
                "resource rules must supply at least one api group",
            );
        }
        if rule.len("resources") == 0 {
            faults.required(
                rule.at("resources"),
                "resource rules must supply at least one resource",
            );
        }
    }
    let aggregation = Node::root(body, "aggregationRule");
    if aggregation.exists() && !namespaced {
        if aggregation.len("clusterRoleSelectors") == 0 {
            faults.required(
                aggregation.at("clusterRoleSelectors"),
                "at least one clusterRoleSelector required if aggregationRule is non-nil",
            );
        }
        for selector in aggregation.items("clusterRoleSelectors") {
            words::label_selector(faults, &selector);
        }
    }
}

/// A binding; `namespaced` for `RoleBinding`, else `ClusterRoleBinding`.
pub(super) fn binding(faults: &mut Faults, body: &Fields, old: Option<&Fields>, namespaced: bool) {
    let role = Node::root(body, "roleRef");
    if role.text("apiGroup") != GROUP {
        faults.not_supported(role.at("apiGroup"), role.text("apiGroup"), &[GROUP]);
    }
    let kinds: &[&str] = if namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    if !kinds.contains(&role.text("kind")) {
        faults.not_supported(role.at("kind"), role.text("kind"), kinds);
    }
    match role.text("name") {
        "" => faults.required(role.at("name"), ""),
        name => faults.each(&role.at("name"), name, NameRule::PathSegment.check(name, false)),
    }
    for subject in Node::list(body, "subjects") {
        self::subject(faults, &subject, namespaced);
    }
    if let Some(old) = old
        && !same(role.value, Node::root(old, "roleRef").value)
    {
        faults.invalid("roleRef", role.value.clone(), "cannot change roleRef");
    }
}

fn subject(faults: &mut Faults, subject: &Node<'_>, namespaced: bool) {
    let (name, group) = (subject.text("name"), subject.text("apiGroup"));
    if name.is_empty() {
        faults.required(subject.at("name"), "");
    }
    match subject.text("kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                words::subdomain(faults, &subject.at("name"), name);
            }
            if !group.is_empty() {
                faults.not_supported(subject.at("apiGroup"), group, &[""]);
            }
            if !namespaced && subject.text("namespace").is_empty() {
                faults.required(subject.at("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                faults.not_supported(subject.at("apiGroup"), group, &[GROUP]);
            }
        }
        other => faults.not_supported(subject.at("kind"), other, &["ServiceAccount", "User", "Group"]),
    }
}
