//! Reviews.

use super::*;

fn store() -> Store {
    let mut store = empty();
    bootstrap(&mut store, at(0)).unwrap();
    bind(&mut store, "ns", "v", ("ClusterRole", "view"), &["User:joe"]);
    store
}

fn asked(verb: &str, resource: &str) -> Value {
    json!({"namespace": "ns", "verb": verb, "resource": resource})
}

#[test]
fn access_reviews() {
    let store = store();
    let joe = user("joe", &["system:authenticated"]);
    let body = |spec: Value| json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec});
    let answer = self_subject_access_review(
        &store,
        &joe,
        &body(json!({"resourceAttributes": asked("get", "pods")})),
    )
    .unwrap();
    assert_eq!(
        answer,
        json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
            "spec": {"resourceAttributes": asked("get", "pods")},
            "status": {"allowed": true, "reason": "RBAC: allowed by RoleBinding \"v/ns\" of ClusterRole \"view\" to User \"joe\""}})
    );
    let answer = self_subject_access_review(
        &store,
        &joe,
        &body(json!({"resourceAttributes": asked("delete", "pods")})),
    )
    .unwrap();
    assert_eq!(answer["status"], json!({"allowed": false}));
    let path = json!({"nonResourceAttributes": {"path": "/version", "verb": "get"}});
    assert_eq!(
        self_subject_access_review(&store, &joe, &body(path)).unwrap()["status"]["allowed"],
        true
    );
    for (spec, part) in [
        (
            json!({}),
            "spec.resourceAttributes: Invalid value: null: exactly one of",
        ),
        (
            json!({"resourceAttributes": asked("get", "pods"), "nonResourceAttributes": {"path": "/"}}),
            "cannot be specified in combination with resourceAttributes",
        ),
    ] {
        let status = self_subject_access_review(&store, &joe, &body(spec)).unwrap_err();
        assert!(
            status.code == 422 && status.message.contains(part),
            "{}",
            status.message
        );
    }
    assert_eq!(
        self_subject_access_review(&store, &joe, &body(json!({"resourceAttributes": 3})))
            .unwrap_err()
            .code,
        400
    );

    let spec = json!({"user": "joe", "resourceAttributes": asked("list", "pods")});
    assert_eq!(
        subject_access_review(&store, &json!({"spec": spec})).unwrap()["status"]["allowed"],
        true
    );
    let unnamed = json!({"spec": {"resourceAttributes": asked("list", "pods")}});
    assert!(
        subject_access_review(&store, &unnamed)
            .unwrap_err()
            .message
            .contains("at least one of user or group")
    );
    let named = json!({"metadata": {"name": "x"}, "spec": spec});
    assert!(
        subject_access_review(&store, &named)
            .unwrap_err()
            .message
            .contains("must be empty")
    );

    let local = |namespace: &str| local_subject_access_review(&store, namespace, &json!({"spec": spec}));
    let answer = local("ns").unwrap();
    assert_eq!(
        (&answer["status"]["allowed"], &answer["metadata"]["namespace"]),
        (&json!(true), &json!("ns"))
    );
    assert!(
        local("other")
            .unwrap_err()
            .message
            .contains("must match metadata.namespace")
    );
}

#[test]
fn rules_reviews() {
    let store = store();
    let joe = user("joe", &["system:authenticated"]);
    let body = json!({"spec": {"namespace": "ns"}});
    let status = self_subject_rules_review(&store, &joe, &body).unwrap()["status"].clone();
    let resources = status["resourceRules"].as_array().unwrap();
    assert!(
        resources
            .iter()
            .any(|rule| rule["resources"] == json!(["selfsubjectreviews"]))
    );
    assert!(
        resources
            .iter()
            .any(|rule| rule["resources"].as_array().unwrap().contains(&json!("pods/log")))
    );
    assert!(
        status["nonResourceRules"]
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| rule["verbs"] == json!(["get"]))
    );
    assert_eq!(status["incomplete"], false);
    assert_eq!(
        self_subject_rules_review(&store, &joe, &json!({}))
            .unwrap_err()
            .message,
        "no namespace on request"
    );
}

#[test]
fn self_and_token_reviews() {
    let joe = user("joe", &["g"]);
    let answer = self_subject_review(&joe, &json!({"kind": "SelfSubjectReview"}), at(0));
    assert_eq!(
        answer["status"],
        json!({"userInfo": {"username": "joe", "groups": ["g"]}})
    );
    assert_eq!(answer["metadata"]["creationTimestamp"], "2023-11-14T22:13:20Z");
    let body = json!({"spec": {"token": "t", "audiences": ["a"]}});
    let answer = token_review(&body, |token, audiences| {
        assert_eq!((token, audiences), ("t", &["a".to_owned()][..]));
        Ok(Some(Verified {
            user: joe.clone(),
            audiences: vec!["a".to_owned()],
        }))
    });
    assert_eq!(
        answer.unwrap()["status"],
        json!({"authenticated": true, "user": {"username": "joe", "groups": ["g"]}, "audiences": ["a"]})
    );
    let answer = token_review(&body, |_, _| Err("expired".to_owned())).unwrap();
    assert_eq!(answer["status"], json!({"user": {}, "error": "expired"}));
    assert_eq!(
        token_review(&json!({"spec": {}}), |_, _| Ok(None))
            .unwrap_err()
            .code,
        400
    );
}
