//! Tests of users, RBAC, reviews and bootstrap roles. The cases' facts are those of
//! kubernetes: `plugin/pkg/auth/authorizer/rbac/rbac_test.go`, `pkg/registry/rbac/validation/rule_test.go`,
//! `component-helpers/auth/rbac/validation/policy_comparator_test.go`.

use chrono::{DateTime, TimeZone as _, Utc};
use serde_json::{Value, json};

use super::*;
use crate::kube::object::Object;
use crate::kube::store::{Limits, Settings, Store, Target, WriteOptions};
use crate::seed::Seed;

mod access;
mod identity;
mod policy;
mod properties;
mod reviews;

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000 + seconds, 0).unwrap()
}

fn empty() -> Store {
    let settings = Settings {
        seed: Seed::root(7),
        limits: Limits::default(),
        service_network: None,
    };
    Store::new(settings, std::sync::Arc::default())
}

/// Creates an object, and its namespace if it has one.
fn create(store: &mut Store, group: &str, plural: &str, body: Value) -> std::sync::Arc<Object> {
    let namespace = body["metadata"]["namespace"].as_str().map(str::to_owned);
    if let Some(name) = &namespace
        && store.look_up("", "namespaces", None, name).is_none()
    {
        create(store, "", "namespaces", json!({"metadata": {"name": name}}));
    }
    let resource = store.registry().find(group, plural).unwrap().clone();
    let target = Target::stored(&resource, namespace.as_deref());
    store
        .create(target, body, WriteOptions::by("test", at(0)))
        .unwrap()
}

fn rbac(store: &mut Store, plural: &str, body: Value) -> std::sync::Arc<Object> {
    create(store, "rbac.authorization.k8s.io", plural, body)
}

fn cluster_role(store: &mut Store, name: &str, rules: Value) {
    rbac(
        store,
        "clusterroles",
        json!({"metadata": {"name": name}, "rules": rules}),
    );
}

/// `User:joe`, `Group:admins`, `ServiceAccount:ns:name`.
fn subjects(list: &[&str]) -> Value {
    list.iter()
        .map(|text| {
            let mut parts = text.split(':');
            let kind = parts.next().unwrap();
            if kind == "ServiceAccount" {
                json!({"kind": kind, "namespace": parts.next(), "name": parts.next()})
            } else {
                let name = text.split_once(':').unwrap().1;
                json!({"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"})
            }
        })
        .collect()
}

/// `ns` empty: a ClusterRoleBinding.
fn bind(store: &mut Store, ns: &str, name: &str, role: (&str, &str), to: &[&str]) {
    let mut body = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1},
        "subjects": subjects(to),
    });
    if ns.is_empty() {
        rbac(store, "clusterrolebindings", body);
    } else {
        body["metadata"]["namespace"] = ns.into();
        rbac(store, "rolebindings", body);
    }
}

fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo {
        username: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..UserInfo::default()
    }
}

/// `get apps deployments/scale ns name`, a dash for what is empty; or `get /path`.
fn ask(text: &str) -> Attributes<'_> {
    let words: Vec<&str> = text
        .split(' ')
        .map(|word| if word == "-" { "" } else { word })
        .collect();
    if words[1].starts_with('/') {
        return Attributes::path(words[0], words[1]);
    }
    let (resource, subresource) = words[2].split_once('/').unwrap_or((words[2], ""));
    Attributes::resource(
        words[0],
        ResourceRequest {
            group: words[1],
            resource,
            subresource,
            namespace: words.get(3).copied().unwrap_or(""),
            name: words.get(4).copied().unwrap_or(""),
        },
    )
}

#[track_caller]
fn check(store: &Store, user: &UserInfo, text: &str, allowed: bool) {
    let decision = authorize(store, user, &ask(text));
    assert_eq!(
        decision.is_allowed(),
        allowed,
        "{} {text}: {decision:?}",
        user.username
    );
}
