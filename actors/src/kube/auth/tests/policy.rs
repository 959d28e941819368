//! The roles of a new cluster.

use std::collections::BTreeSet;

use super::*;
use crate::kube::object::Second;
use crate::kube::store::{Part, PatchKind};

fn sorted<'a>(store: &'a Store, plural: &str) -> Vec<&'a str> {
    store
        .all_of("rbac.authorization.k8s.io", plural, None)
        .map(|object| object.name())
        .collect()
}

#[test]
fn a_new_server_has_the_roles_of_a_real_one() {
    let mut store = empty();
    bootstrap(&mut store, at(7)).unwrap();
    let counts = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"]
        .map(|plural| sorted(&store, plural).len());
    assert_eq!(counts, [68, 49, 7, 7]);
    assert_eq!(store.len(), 131);
    let admin = store
        .look_up("rbac.authorization.k8s.io", "clusterroles", None, "admin")
        .unwrap();
    assert_eq!(admin.label("kubernetes.io/bootstrapping"), Some("rbac-defaults"));
    assert_eq!(
        admin.annotation("rbac.authorization.kubernetes.io/autoupdate"),
        Some("true")
    );
    let managers: Vec<&str> = admin.managed.iter().map(|entry| &*entry.manager).collect();
    assert!(managers.contains(&"clusterrole-aggregation-controller") && managers.contains(&"kube-apiserver"));
    assert_eq!(store.dated(admin).created, Second::of(at(7)));
    assert!(
        store
            .everything()
            .all(|(_, object)| object.resource_version <= store.version())
    );

    let node = store
        .look_up(
            "rbac.authorization.k8s.io",
            "clusterrolebindings",
            None,
            "system:node",
        )
        .unwrap();
    assert_eq!(node.section_text("subjects"), None);
}

#[test]
fn the_default_roles_allow_what_they_should() {
    let mut store = empty();
    bootstrap_kubeadm(&mut store, at(0)).unwrap();
    for (name, role) in [("a", "admin"), ("e", "edit"), ("v", "view")] {
        bind(
            &mut store,
            "ns",
            role,
            ("ClusterRole", role),
            &[&format!("User:{name}")],
        );
    }
    let everyone = |name: &str| user(name, &["system:authenticated"]);
    let [admin, editor, viewer] = ["a", "e", "v"].map(everyone);
    for (text, allowed) in [
        (
            "create rbac.authorization.k8s.io rolebindings ns",
            [true, false, false],
        ),
        ("create apps deployments ns", [true, true, false]),
        ("get - secrets ns s", [true, true, false]),
        ("get - pods/log ns p", [true, true, true]),
        ("get - pods other p", [false, false, false]),
        ("list - nodes", [false, false, false]),
        (
            "create authorization.k8s.io selfsubjectaccessreviews",
            [true, true, true],
        ),
        ("get /apis/apps", [true, true, true]),
        ("get /metrics", [false, false, false]),
    ] {
        for (who, allowed) in [&admin, &editor, &viewer].into_iter().zip(allowed) {
            check(&store, who, text, allowed);
        }
    }
    let anonymous = UserInfo::anonymous();
    check(
        &store,
        &anonymous,
        "get - configmaps kube-public cluster-info",
        true,
    );
    check(&store, &anonymous, "get - configmaps kube-public other", false);
    check(&store, &anonymous, "list - configmaps kube-public", false);
    check(&store, &anonymous, "get /healthz", true);
    check(&store, &anonymous, "get /api", false);
    let joining = user(
        "system:bootstrap:abcdef",
        &[
            "system:bootstrappers",
            "system:bootstrappers:kubeadm:default-node-token",
            "system:authenticated",
        ],
    );
    check(
        &store,
        &joining,
        "create certificates.k8s.io certificatesigningrequests",
        true,
    );
    check(
        &store,
        &joining,
        "get - configmaps kube-system kubeadm-config",
        true,
    );
    check(
        &store,
        &joining,
        "get - configmaps kube-system kubelet-config",
        true,
    );
    check(&store, &joining, "get - configmaps kube-system kube-proxy", true);
    check(&store, &joining, "get - nodes - n1", true);
    check(&store, &joining, "list - nodes", false);
    check(
        &store,
        &user("kubernetes-admin", &["kubeadm:cluster-admins"]),
        "delete - nodes - n1",
        true,
    );
    check(
        &store,
        &user("system:kube-scheduler", &[]),
        "create - pods/binding ns p",
        true,
    );
    check(
        &store,
        &user("system:serviceaccount:kube-system:coredns", &[]),
        "watch discovery.k8s.io endpointslices",
        true,
    );
}

#[test]
fn clusters_share_the_roles() {
    let build = |seconds: i64| {
        let mut store = empty();
        bootstrap(&mut store, at(seconds)).unwrap();
        create(
            &mut store,
            "",
            "namespaces",
            json!({"metadata": {"name": "kube-system"}}),
        );
        bootstrap_kubeadm(&mut store, at(seconds + 1)).unwrap();
        store
    };
    let (one, two) = (build(0), build(100));
    assert_eq!(one.len(), 131 + 18 + 1);
    let mut shared = 0;
    for (id, object) in one.everything() {
        let resource = one.registry().by_id(id).unwrap();
        if resource.group == "rbac.authorization.k8s.io" {
            let other = two.find(resource, object.namespace(), object.name()).unwrap();
            assert!(std::sync::Arc::ptr_eq(object, other), "{}", object.name());
            shared += 1;
        }
    }
    assert_eq!(shared, 149);
    // To readers each is as old as its cluster, and what a write makes of it stays so.
    let founded = Second::of(at(100));
    let mut two = two;
    let roles = two
        .registry()
        .find("rbac.authorization.k8s.io", "clusterroles")
        .cloned()
        .unwrap();
    let seen = two.dated(two.find(&roles, None, "view").unwrap());
    assert_eq!(seen.created, founded);
    assert!(!seen.managed.is_empty());
    assert!(seen.managed.iter().all(|entry| entry.time == Some(founded)));
    let later = WriteOptions::by("test", at(200));
    let patch = |label: Value| json!({"metadata": {"labels": {"mine": label}}});
    let target = Target::stored(&roles, None);
    for label in [Value::Null, json!("yes")] {
        let given = two
            .patch(
                target,
                "view",
                Part::Main,
                PatchKind::Merge,
                &patch(label.clone()),
                later,
            )
            .unwrap()
            .object;
        assert_eq!((given.created, given.uid), (founded, seen.uid), "{label}");
        let times: BTreeSet<Option<Second>> = given.managed.iter().map(|entry| entry.time).collect();
        let expected = if label.is_null() {
            vec![founded]
        } else {
            vec![founded, Second::of(at(200))]
        };
        assert_eq!(times, expected.into_iter().map(Some).collect(), "{label}");
    }
    // A write in one does not show in the other.
    let mut one = one;
    cluster_role(&mut one, "new", json!([]));
    assert_eq!(
        sorted(&one, "clusterroles").len(),
        sorted(&two, "clusterroles").len() + 1
    );
    // A store that is in use keeps what it has.
    let mut used = empty();
    cluster_role(&mut used, "view", json!([]));
    let (version, mine) = (used.version(), used.len());
    bootstrap(&mut used, at(0)).unwrap();
    assert_eq!(used.len(), mine + 130);
    assert!(used.version() > version && used.oldest_version() == used.version());
    let view = used
        .look_up("rbac.authorization.k8s.io", "clusterroles", None, "view")
        .unwrap();
    assert_eq!(view.section("rules"), Some(json!([])));
}
