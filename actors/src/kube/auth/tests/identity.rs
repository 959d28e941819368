//! Users and how they come to be.

use base64::Engine as _;

use super::*;

#[test]
fn users_of_certificates_and_service_accounts() {
    let admin = UserInfo::from_certificate("kubernetes-admin", vec!["system:masters".to_owned()], "", "ab12")
        .unwrap();
    assert_eq!(
        serde_json::to_value(&admin).unwrap(),
        json!({"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["X509SHA256=ab12"]}})
    );
    assert!(admin.is_master());
    assert_eq!(UserInfo::from_certificate("", Vec::new(), "", ""), None);
    let account = UserInfo::service_account(&ServiceAccountIdentity {
        namespace: "ns".to_owned(),
        name: "bot".to_owned(),
        uid: "u1".to_owned(),
        pod: Some(("p".to_owned(), "u2".to_owned())),
        node: Some(("n".to_owned(), String::new())),
        token_id: "t".to_owned(),
    });
    assert_eq!(
        serde_json::to_value(&account).unwrap(),
        json!({"username": "system:serviceaccount:ns:bot", "uid": "u1",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
        "extra": {
            "authentication.kubernetes.io/pod-name": ["p"],
            "authentication.kubernetes.io/pod-uid": ["u2"],
            "authentication.kubernetes.io/node-name": ["n"],
            "authentication.kubernetes.io/credential-id": ["JTI=t"],
        }})
    );
    assert_eq!(split_service_account(&account.username), Some(("ns", "bot")));
    for wrong in [
        "system:serviceaccount:ns",
        "system:serviceaccount:N:x",
        "system:serviceaccount:a:b:c",
        "joe",
    ] {
        assert_eq!(split_service_account(wrong), None, "{wrong}");
    }
    assert_eq!(UserInfo::anonymous().groups, ["system:unauthenticated"]);
}

fn token_secret(fields: &[(&str, &str)]) -> Store {
    let mut data = std::collections::BTreeMap::from([
        ("token-id", "abcdef"),
        ("token-secret", "0123456789abcdef"),
        ("usage-bootstrap-authentication", "true"),
        (
            "auth-extra-groups",
            "system:bootstrappers:kubeadm:default-node-token",
        ),
        ("expiration", "2023-11-14T22:13:30Z"),
    ]);
    data.extend(fields.iter().copied());
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let data: std::collections::BTreeMap<_, _> = data
        .into_iter()
        .filter(|(key, _)| *key != "type")
        .map(|(key, value)| (key, encode(value)))
        .collect();
    let kind = fields
        .iter()
        .find(|(key, _)| *key == "type")
        .map_or("bootstrap.kubernetes.io/token", |(_, value)| value);
    let mut store = empty();
    create(
        &mut store,
        "",
        "secrets",
        json!({"metadata": {"name": "bootstrap-token-abcdef", "namespace": "kube-system", "finalizers": ["test/hold"]},
            "type": kind, "data": data}),
    );
    store
}

#[test]
fn bootstrap_tokens() {
    const TOKEN: &str = "abcdef.0123456789abcdef";
    let store = token_secret(&[]);
    let found = bootstrap_token_user(&store, TOKEN, at(9)).unwrap();
    assert_eq!(found.username, "system:bootstrap:abcdef");
    assert_eq!(
        found.groups,
        [
            "system:bootstrappers",
            "system:bootstrappers:kubeadm:default-node-token",
            "system:authenticated"
        ]
    );
    assert_eq!(bootstrap_token_user(&store, TOKEN, at(10)), None, "expired");
    for wrong in [
        "abcdef.0123456789abcdee",
        "abcdef.0123456789abcde",
        "abcdeg.0123456789abcdef",
        "abcdef.0123456789abcdeF",
        "abcdef",
        "",
        "abcdef.0123456789abcdef.x",
    ] {
        assert_eq!(bootstrap_token_user(&store, wrong, at(0)), None, "{wrong}");
    }
    for fields in [
        ("type", "Opaque"),
        ("token-id", "abcdeg"),
        ("usage-bootstrap-authentication", "false"),
        ("auth-extra-groups", "system:masters"),
        (
            "auth-extra-groups",
            "system:bootstrappers:a,system:bootstrappers:",
        ),
        ("auth-extra-groups", "system:bootstrappers:-A"),
        ("expiration", "tomorrow"),
    ] {
        assert_eq!(
            bootstrap_token_user(&token_secret(&[fields]), TOKEN, at(0)),
            None,
            "{fields:?}"
        );
    }
    let without = token_secret(&[("expiration", ""), ("auth-extra-groups", "")]);
    assert!(bootstrap_token_user(&without, TOKEN, at(1_000_000)).is_some());
    let mut store = store;
    let secrets = store.registry().find("", "secrets").unwrap().clone();
    let target = Target::stored(&secrets, Some("kube-system"));
    store
        .delete(target, "bootstrap-token-abcdef", &Default::default(), at(1))
        .unwrap();
    assert!(
        store
            .look_up("", "secrets", Some("kube-system"), "bootstrap-token-abcdef")
            .is_some()
    );
    assert_eq!(bootstrap_token_user(&store, TOKEN, at(2)), None, "being deleted");
}

#[test]
fn impersonation_needs_the_verb_for_each_part() {
    let mut store = empty();
    cluster_role(
        &mut store,
        "actor",
        json!([
            {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users", "groups"], "resourceNames": ["jane", "devs"]},
            {"verbs": ["impersonate"], "apiGroups": ["authentication.k8s.io"], "resources": ["userextras/scopes"]},
        ]),
    );
    bind(&mut store, "", "b", ("ClusterRole", "actor"), &["User:joe"]);
    cluster_role(
        &mut store,
        "sa",
        json!([{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["serviceaccounts"]}]),
    );
    bind(&mut store, "ns", "b", ("ClusterRole", "sa"), &["User:joe"]);
    let joe = user("joe", &[]);
    let act = |headers: &[(&str, &str)]| {
        Impersonation::from_headers(headers.iter().copied())
            .map_err(|status| status.code)?
            .unwrap()
            .apply(&store, &joe)
            .map_err(|status| status.code)
    };
    let jane = act(&[
        ("Impersonate-User", "jane"),
        ("Impersonate-Group", "devs"),
        ("Impersonate-Extra-Scopes", "a"),
    ])
    .unwrap();
    assert_eq!(
        (jane.username.as_str(), &*jane.groups),
        (
            "jane",
            &["devs".to_owned(), "system:authenticated".to_owned()][..]
        )
    );
    assert_eq!(jane.extra["scopes"], ["a"]);
    assert_eq!(act(&[("impersonate-user", "bob")]), Err(403));
    assert_eq!(
        act(&[
            ("impersonate-user", "jane"),
            ("impersonate-group", "system:masters")
        ]),
        Err(403)
    );
    assert_eq!(
        act(&[("impersonate-user", "jane"), ("impersonate-uid", "1")]),
        Err(403)
    );
    assert_eq!(
        act(&[("impersonate-user", "jane"), ("impersonate-extra-a%2fb", "1")]),
        Err(403)
    );
    assert_eq!(act(&[("impersonate-group", "devs")]), Err(500));
    let bot = act(&[("impersonate-user", "system:serviceaccount:ns:bot")]).unwrap();
    assert_eq!(
        bot.groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:ns",
            "system:authenticated"
        ]
    );
    assert_eq!(
        act(&[("impersonate-user", "system:serviceaccount:other:bot")]),
        Err(403)
    );
    assert_eq!(Impersonation::from_headers([("accept", "x")]), Ok(None));
    let escaped = Impersonation::from_headers([("impersonate-user", "x"), ("impersonate-extra-a%2Fb", "1")]);
    assert!(escaped.unwrap().unwrap().extra.contains_key("a/b"));
}
