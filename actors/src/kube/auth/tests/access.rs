//! What rules and bindings allow.

use super::*;
use crate::kube::store::{Part, PatchKind};

#[test]
fn bindings_in_a_namespace() {
    let mut store = empty();
    cluster_role(
        &mut store,
        "admin",
        json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]),
    );
    bind(
        &mut store,
        "ns1",
        "b",
        ("ClusterRole", "admin"),
        &["User:admin", "Group:admins"],
    );
    for (name, group, text, allowed) in [
        ("admin", "", "get - Pods ns1", true),
        ("admin", "", "watch - Pods ns1", true),
        ("admin", "group1", "watch - Foobar ns1", true),
        ("joe", "admins", "watch - Foobar ns1", true),
        ("joe", "group1", "watch - Foobar ns1", false),
        ("admin", "", "GET - Pods ns2", false),
        ("admin", "", "GET - Nodes", false),
        ("admin", "admins", "GET - Pods ns2", false),
        ("admin", "admins", "GET - Nodes", false),
        ("admin", "admins", "get /healthz", false),
        ("", "system:masters", "get - Nodes", true),
        ("", "system:masters", "get /metrics", true),
    ] {
        check(&store, &user(name, &[group]), text, allowed);
    }
}

#[test]
fn paths() {
    let mut store = empty();
    for (name, verb, path) in [
        ("getter", "get", "/apis"),
        ("all", "*", "/apis"),
        ("prefix", "get", "/apis/*"),
    ] {
        cluster_role(
            &mut store,
            name,
            json!([{"verbs": [verb], "nonResourceURLs": [path]}]),
        );
    }
    bind(
        &mut store,
        "",
        "1",
        ("ClusterRole", "getter"),
        &["User:foo", "Group:bar"],
    );
    bind(
        &mut store,
        "",
        "2",
        ("ClusterRole", "all"),
        &["User:admin", "Group:admin"],
    );
    bind(
        &mut store,
        "",
        "3",
        ("ClusterRole", "prefix"),
        &["User:prefixed", "Group:prefixed"],
    );
    for (name, group, text, allowed) in [
        ("foo", "", "get /apis", true),
        ("", "bar", "get /apis", true),
        ("admin", "", "watch /apis", true),
        ("", "admin", "watch /apis", true),
        ("prefixed", "", "get /apis/v1", true),
        ("", "prefixed", "get /apis/v1/foobar", true),
        ("foo", "", "watch /apis", false),
        ("", "bar", "get /api/v1", false),
        ("admin", "", "get /api/v1", false),
        ("prefixed", "", "get /api/v1", false),
        ("prefixed", "", "get /apis", false),
    ] {
        check(&store, &user(name, &[group]), text, allowed);
    }
}

#[test]
fn rules_match_as_upstream() {
    let rule = |verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]| PolicyRule {
        verbs: verbs.iter().map(ToString::to_string).collect(),
        api_groups: groups.iter().map(ToString::to_string).collect(),
        resources: resources.iter().map(ToString::to_string).collect(),
        resource_names: names.iter().map(ToString::to_string).collect(),
        paths: Vec::new(),
    };
    let cases = [
        (rule(&["*"], &["g1"], &["r1"], &[]), "v1 g1 r1", true),
        (rule(&["*"], &["g1"], &["r1"], &[]), "v2 g2 r1", false),
        (rule(&["*"], &["g1"], &["r1"], &[]), "v2 g1 r2", false),
        (rule(&["v1"], &["*"], &["r1"], &[]), "v1 g2 r1", true),
        (rule(&["v1"], &["*"], &["r1"], &[]), "v2 g2 r1", false),
        (rule(&["v1"], &["g1"], &["*"], &[]), "v1 g1 r2/status", true),
        (rule(&["v1"], &["g1"], &["*"], &[]), "v1 g2 r2", false),
        (
            rule(&["v1", "v2"], &["g1", "g2"], &["r1", "r2"], &[]),
            "v2 g1 r2",
            true,
        ),
        (rule(&["*"], &["*"], &["r1/s1"], &[]), "v g r1/s1", true),
        (rule(&["*"], &["*"], &["r1/s1"], &[]), "v g r1/s2", false),
        (rule(&["*"], &["*"], &["r1/s1"], &[]), "v g r2/s1", false),
        (rule(&["*"], &["*"], &["pods"], &[]), "get - pods/status", false),
        (rule(&["*"], &["*"], &["*/scale"], &[]), "get - pods/scale", true),
        (rule(&["*"], &["*"], &["*/scale"], &[]), "get - pods", false),
        (
            rule(&["*"], &["*"], &["*/scale"], &[]),
            "get - pods/upscale",
            false,
        ),
        (rule(&["get"], &[""], &["pods"], &["a"]), "get - pods ns a", true),
        (rule(&["get"], &[""], &["pods"], &["a"]), "get - pods ns b", false),
        (rule(&["list"], &[""], &["pods"], &["a"]), "list - pods ns", false),
    ];
    for (rule, text, allowed) in cases {
        assert_eq!(rule.allows(&ask(text)), allowed, "{rule:?} {text}");
    }
}

#[test]
fn service_accounts_as_subjects() {
    let mut store = empty();
    cluster_role(
        &mut store,
        "r",
        json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]),
    );
    bind(
        &mut store,
        "",
        "wide",
        ("ClusterRole", "r"),
        &["ServiceAccount:ns1:one"],
    );
    // Without a namespace the binding's own counts.
    rbac(
        &mut store,
        "rolebindings",
        json!({"metadata": {"name": "own", "namespace": "ns2"}, "subjects": [{"kind": "ServiceAccount", "name": "two"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}}),
    );
    let account = |namespace: &str, name: &str| {
        UserInfo::service_account(&ServiceAccountIdentity {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..ServiceAccountIdentity::default()
        })
    };
    check(&store, &account("ns1", "one"), "get - pods ns9", true);
    check(&store, &account("ns2", "one"), "get - pods ns9", false);
    check(&store, &account("ns2", "two"), "get - pods ns2", true);
    check(&store, &account("ns2", "two"), "get - pods ns1", false);
    check(&store, &account("ns1", "two"), "get - pods ns2", false);
    let decision = authorize(&store, &account("ns2", "two"), &ask("get - pods ns2"));
    let explained =
        r#"RBAC: allowed by RoleBinding "own/ns2" of ClusterRole "r" to ServiceAccount "two/ns2""#;
    assert_eq!(decision.reason(), explained);
}

#[test]
fn a_missing_role_is_told() {
    let mut store = empty();
    bind(&mut store, "ns", "b", ("Role", "gone"), &["User:joe"]);
    bind(&mut store, "", "b", ("ClusterRole", "lost"), &["User:joe"]);
    let joe = user("joe", &[]);
    let decision = authorize(&store, &joe, &ask("get - pods ns a"));
    let reason = concat!(
        r#"RBAC: [clusterrole.rbac.authorization.k8s.io "lost" not found, "#,
        r#"role.rbac.authorization.k8s.io "gone" not found]"#
    );
    assert_eq!(decision, Decision::NoOpinion(reason.to_owned()));
    let status = forbidden(&joe, &ask("get - pods ns a"), decision.reason());
    assert_eq!(
        status.message,
        format!(
            r#"pods "a" is forbidden: User "joe" cannot get resource "pods" in API group "" in the namespace "ns": {reason}"#
        )
    );
}

#[test]
fn refusals_are_worded_as_upstream() {
    let joe = user("joe", &[]);
    for (text, message) in [
        (
            "list - pods default",
            r#"pods is forbidden: User "joe" cannot list resource "pods" in API group "" in the namespace "default""#,
        ),
        (
            "update apps deployments/scale ns web",
            r#"deployments.apps "web" is forbidden: User "joe" cannot update resource "deployments/scale" in API group "apps" in the namespace "ns""#,
        ),
        (
            "list - nodes",
            r#"nodes is forbidden: User "joe" cannot list resource "nodes" in API group "" at the cluster scope"#,
        ),
        (
            "get /a<b>",
            r#"forbidden: User "joe" cannot get path "/a&lt;b&gt;""#,
        ),
    ] {
        let status = forbidden(&joe, &ask(text), "");
        assert_eq!((status.message.as_str(), status.code), (message, 403));
    }
}

#[test]
fn owned_rules_cover_atoms() {
    let rules = |value: Value| serde_json::from_value::<Vec<PolicyRule>>(value).unwrap();
    let owned = rules(json!([
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "*/scale"]},
        {"verbs": ["update"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a", "b"]},
        {"verbs": ["get"], "nonResourceURLs": ["/apis/*"]},
    ]));
    let covered = [
        json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "deployments/scale"]}]),
        json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["x"]}]),
        json!([{"verbs": ["update"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["b"]}]),
        json!([{"verbs": ["get"], "nonResourceURLs": ["/apis/v1", "/apis/x/*"]}]),
        json!([]),
    ];
    for wanted in covered {
        assert_eq!(covers(&owned, &rules(wanted.clone())), Ok(()), "{wanted}");
    }
    let lacking = [
        (
            json!([{"verbs": ["get", "watch", "delete"], "apiGroups": [""], "resources": ["pods"]}]),
            1,
        ),
        (
            json!([{"verbs": ["update"], "apiGroups": ["apps"], "resources": ["deployments"]}]),
            1,
        ),
        (
            json!([{"verbs": ["get"], "apiGroups": ["*"], "resources": ["pods"]}]),
            1,
        ),
        (
            json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["*"]}]),
            1,
        ),
        (json!([{"verbs": ["get"], "nonResourceURLs": ["/", "/apis"]}]), 2),
        (
            json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes", "secrets"]}]),
            2,
        ),
    ];
    for (wanted, count) in lacking {
        assert_eq!(
            covers(&owned, &rules(wanted.clone())).unwrap_err().len(),
            count,
            "{wanted}"
        );
    }
    // Too many atoms to look at are not covered.
    let many: Vec<String> = (0..2000).map(|index| index.to_string()).collect();
    let huge = rules(json!([{"verbs": many, "apiGroups": [""], "resources": many}]));
    assert_eq!(covers(&PolicyRule::everything(), &huge).unwrap_err(), huge);
}

fn written(store: &Store, plural: &str, namespace: Option<&str>, name: &str) -> Object {
    (**store
        .look_up("rbac.authorization.k8s.io", plural, namespace, name)
        .unwrap())
    .clone()
}

#[test]
fn nobody_grants_what_they_lack() {
    let mut store = empty();
    bootstrap(&mut store, at(0)).unwrap();
    bind(&mut store, "ns", "joe", ("ClusterRole", "admin"), &["User:joe"]);
    let joe = user("joe", &["g"]);
    let role = |verb: &str| {
        json!({"metadata": {"name": verb, "namespace": "ns"},
            "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods", "nodes"]}]})
    };
    // The objects as dry runs would give them.
    let mut scratch = empty();
    rbac(
        &mut scratch,
        "roles",
        json!({"metadata": {"name": "ok", "namespace": "ns"},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
    );
    rbac(&mut scratch, "roles", role("get"));
    let roles = store
        .registry()
        .find("rbac.authorization.k8s.io", "roles")
        .unwrap()
        .clone();
    let ok = written(&scratch, "roles", Some("ns"), "ok");
    confirm_no_escalation(&store, &joe, &roles, &ok, None).unwrap();
    let more = written(&scratch, "roles", Some("ns"), "get");
    let status = confirm_no_escalation(&store, &joe, &roles, &more, None).unwrap_err();
    assert_eq!(
        status.message,
        concat!(
            r#"roles.rbac.authorization.k8s.io "get" is forbidden: user "joe" (groups=["g"]) is attempting to grant RBAC "#,
            "permissions not currently held:\n",
            r#"{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}"#
        )
    );
    confirm_no_escalation(&store, &user("root", &["system:masters"]), &roles, &more, None).unwrap();
    cluster_role(
        &mut store,
        "escalator",
        json!([{"verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"]}]),
    );
    bind(
        &mut store,
        "ns",
        "esc",
        ("ClusterRole", "escalator"),
        &["User:eve"],
    );
    confirm_no_escalation(&store, &user("eve", &[]), &roles, &more, None).unwrap();
    // An aggregation rule needs everything.
    let cluster_roles = store
        .registry()
        .find("rbac.authorization.k8s.io", "clusterroles")
        .unwrap()
        .clone();
    rbac(
        &mut scratch,
        "clusterroles",
        json!({"metadata": {"name": "agg"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}),
    );
    let agg = written(&scratch, "clusterroles", None, "agg");
    let status = confirm_no_escalation(&store, &joe, &cluster_roles, &agg, None).unwrap_err();
    assert!(
        status
            .message
            .ends_with("must have cluster-admin privileges to use the aggregationRule")
    );
}

#[test]
fn bindings_need_the_roles_rules_or_the_verb_bind() {
    let mut store = empty();
    bootstrap(&mut store, at(0)).unwrap();
    bind(&mut store, "ns", "joe", ("ClusterRole", "edit"), &["User:joe"]);
    cluster_role(
        &mut store,
        "binder",
        json!([{"verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
            "resourceNames": ["admin"]}]),
    );
    bind(&mut store, "ns", "eve", ("ClusterRole", "binder"), &["User:eve"]);
    let resource = store
        .registry()
        .find("rbac.authorization.k8s.io", "rolebindings")
        .unwrap()
        .clone();
    let mut scratch = empty();
    for role in ["view", "admin", "none"] {
        bind(&mut scratch, "ns", role, ("ClusterRole", role), &["User:x"]);
    }
    let confirm = |name: &str, role: &str| {
        let new = written(&scratch, "rolebindings", Some("ns"), role);
        confirm_no_escalation(&store, &user(name, &[]), &resource, &new, None).map_err(|status| status.code)
    };
    assert_eq!(confirm("joe", "view"), Ok(()));
    assert_eq!(confirm("joe", "admin"), Err(403));
    assert_eq!(confirm("joe", "none"), Err(404));
    assert_eq!(confirm("eve", "admin"), Ok(()));
    assert_eq!(confirm("eve", "view"), Err(403));
    // Who may not touch the rules may still take a finalizer away.
    let new = written(&scratch, "rolebindings", Some("ns"), "admin");
    let mut old = new.clone();
    let mut head = (*old.head).clone();
    head.finalizers = ["x".into()].into();
    old.head = head.into();
    confirm_no_escalation(&store, &user("joe", &[]), &resource, &new, Some(&old)).unwrap();
}

#[test]
fn roles_gather_the_rules_of_others() {
    let mut store = empty();
    let labelled = |name: &str, label: &str, verb: &str| {
        json!({"metadata": {"name": name, "labels": {label: "true"}},
            "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]})
    };
    let gatherer = |name: &str, label: &str, own: &str| {
        json!({"metadata": {"name": name, "labels": {own: "true"}},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}})
    };
    rbac(&mut store, "clusterroles", gatherer("outer", "out", "none"));
    rbac(&mut store, "clusterroles", gatherer("inner", "in", "out"));
    rbac(&mut store, "clusterroles", labelled("b", "in", "get"));
    rbac(&mut store, "clusterroles", labelled("a", "in", "list"));
    aggregate(&mut store, at(1)).unwrap();
    let verbs = |store: &Store, name: &str| -> Vec<String> {
        let role = written(store, "clusterroles", None, name);
        let rules: Vec<PolicyRule> = role.read("rules").unwrap_or_default();
        rules.iter().map(|rule| rule.verbs.join(",")).collect()
    };
    assert_eq!(verbs(&store, "outer"), ["list", "get"]);
    assert_eq!(aggregate(&mut store, at(2)).unwrap(), 0, "it has settled");
    let resource = store
        .registry()
        .find("rbac.authorization.k8s.io", "clusterroles")
        .unwrap()
        .clone();
    store
        .patch(
            Target::stored(&resource, None),
            "a",
            Part::Main,
            PatchKind::Merge,
            &json!({"metadata": {"labels": null}}),
            WriteOptions::by("test", at(3)),
        )
        .unwrap();
    aggregate(&mut store, at(3)).unwrap();
    assert_eq!(verbs(&store, "outer"), ["get"]);
}

#[test]
fn kubelets_have_the_nodes_role() {
    let store = empty();
    let kubelet = user("system:node:n1", &["system:nodes", "system:authenticated"]);
    check(&store, &kubelet, "update - nodes/status  n1", true);
    check(&store, &kubelet, "create - pods kube-system", true);
    check(&store, &kubelet, "delete - nodes", false);
    check(&store, &user("system:node:n1", &[]), "get - nodes", false);
    check(&store, &user("joe", &["system:nodes"]), "get - nodes", false);
}
