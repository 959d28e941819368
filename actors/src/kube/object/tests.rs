//! Tests.

use serde_json::json;

use super::*;

fn sample(interner: &Interner) -> Object {
    let value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "namespace": "n", "labels": {"k": "v\""}, "annotations": null, "finalizers": ["x/y"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "o", "uid": "u", "controller": true}]},
        "spec": {"nodeName": "z"}, "status": null, "extra": [1],
    });
    let draft = Draft::from_value(value, "Pod").unwrap();
    Object {
        head: interner.head(Head::of(&draft.meta)),
        sections: Sections::seal(&draft.body, None, interner),
        managed: Arc::new([]),
        uid: Uuid::from_u128(7),
        resource_version: 12,
        generation: 1,
        created: Second(0),
        deletion: None,
    }
}

#[test]
fn text_and_tree_agree() {
    let object = sample(&Interner::default());
    let mut text = Vec::new();
    object.write_json(Some(("v1", "Pod")), &mut text);
    let parsed: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(parsed, object.to_value("v1", "Pod"));
    assert_eq!(
        parsed,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n", "labels": {"k": "v\""},
            "uid": "00000000-0000-0000-0000-000000000007", "resourceVersion": "12", "generation": 1,
            "creationTimestamp": "1970-01-01T00:00:00Z", "finalizers": ["x/y"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "o", "uid": "u", "controller": true}]},
            "spec": {"nodeName": "z"}, "extra": [1]})
    );
    let again = Draft::from_value(parsed, "Pod").unwrap();
    assert_eq!(Head::of(&again.meta), *object.head);
    assert_eq!(object.at(&["spec", "nodeName"]), Some(json!("z")));
    assert_eq!(object.label("k"), Some("v\""));
}

#[test]
fn twins_share_their_parts() {
    let interner = Interner::default();
    let (one, two) = (sample(&interner), sample(&interner));
    assert!(Arc::ptr_eq(&one.head, &two.head));
    let shared = |one: &Sections, other: &Sections, name: &str| {
        Arc::ptr_eq(
            &one.get(name).unwrap().shared(),
            &other.get(name).unwrap().shared(),
        )
    };
    assert!(shared(&one.sections, &two.sections, "extra"));
    let mut body = one.body();
    body.insert("status".to_owned(), json!({"phase": "Running"}));
    let next = Sections::seal(&body, Some(&one.sections), &interner);
    assert!(
        shared(&next, &one.sections, "spec"),
        "an unchanged spec is shared"
    );
    assert!(Sections::seal(&one.body(), Some(&one.sections), &interner).is(&one.sections));
    let other = one.sections.with("spec", Text::from("{}".to_owned()));
    assert_eq!(other.get("spec").unwrap().get(), "{}");
    assert!(shared(&other, &one.sections, "extra"));
}

#[test]
fn wrong_types_are_refused() {
    for meta in [
        json!({"name": 1}),
        json!({"labels": {"a": 1}}),
        json!([]),
        json!({"finalizers": "x"}),
    ] {
        let status = Draft::from_value(json!({"metadata": meta}), "Pod").unwrap_err();
        assert_eq!(status.code, 400, "{status}");
    }
    assert_eq!(Draft::from_value(json!([]), "Pod").unwrap_err().code, 400);
}
