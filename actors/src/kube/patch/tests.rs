//! Tests of the patches. The cases are written after the rules in kubernetes' `strategicpatch` documentation.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::kube::structure::{Merge, built_in};

fn strategic_of(kind: (&str, &str), document: Value, patch: &Value) -> Result<Value, Status> {
    strategic(document, patch, &built_in(kind.0, "v1", kind.1))
}

const POD: (&str, &str) = ("", "Pod");

#[test]
fn strategic_merge() {
    let containers = json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1", "env": [{"name": "X", "value": "1"}]}]}});
    let cases = [
        (
            "items merge by name and keep the rest",
            containers.clone(),
            json!({"spec": {"containers": [{"name": "b", "image": "2", "env": [{"name": "Y", "value": "2"}]}]}}),
            json!({"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}]}}),
        ),
        (
            "a new item comes first unless an order is given",
            containers.clone(),
            json!({"spec": {"containers": [{"name": "c"}]}}),
            json!({"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "1"}, {"name": "b", "image": "1", "env": [{"name": "X", "value": "1"}]}]}}),
        ),
        (
            "the order of $setElementOrder",
            containers.clone(),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}], "containers": [{"name": "c"}]}}),
            json!({"spec": {"containers": [{"name": "b", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "c"}, {"name": "a", "image": "1"}]}}),
        ),
        (
            "an order alone",
            containers.clone(),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
            json!({"spec": {"containers": [{"name": "b", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "a", "image": "1"}]}}),
        ),
        (
            "an item is deleted by its key",
            containers.clone(),
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
            json!({"spec": {"containers": [{"name": "b", "image": "1", "env": [{"name": "X", "value": "1"}]}]}}),
        ),
        (
            "a list is replaced",
            containers.clone(),
            json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "z"}]}}),
            json!({"spec": {"containers": [{"name": "z"}]}}),
        ),
        (
            "an object is replaced",
            containers.clone(),
            json!({"spec": {"$patch": "replace", "nodeName": "n"}}),
            json!({"spec": {"nodeName": "n"}}),
        ),
        (
            "an object is emptied",
            containers,
            json!({"spec": {"$patch": "delete"}}),
            json!({"spec": {}}),
        ),
        (
            "null removes, and is not stored",
            json!({"spec": {"nodeName": "n"}, "metadata": {"labels": {"a": "1", "b": "2"}}}),
            json!({"spec": {"nodeName": null, "hostname": null}, "metadata": {"labels": {"a": null}}, "new": {"x": null, "y": 1}}),
            json!({"spec": {}, "metadata": {"labels": {"b": "2"}}, "new": {"y": 1}}),
        ),
        (
            "lists without a key are replaced",
            json!({"spec": {"tolerations": [{"key": "a"}], "containers": [{"name": "a", "args": ["1", "2"]}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "a", "args": ["3"]}]}}),
            json!({"spec": {"tolerations": [{"key": "b"}], "containers": [{"name": "a", "args": ["3"]}]}}),
        ),
        (
            "lists of scalars grow, and shrink by $deleteFromPrimitiveList",
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b", "c"], "finalizers": ["c"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
        ),
        (
            "$retainKeys drops what it does not name",
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}),
        ),
    ];
    for (what, document, patch, expected) in cases {
        assert_eq!(strategic_of(POD, document, &patch).unwrap(), expected, "{what}");
    }
}

#[test]
fn a_taint_patch_replaces_and_a_status_patch_merges_conditions() {
    let node = json!({"spec": {"taints": [{"key": "a"}]}, "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]}});
    let patch = json!({"spec": {"taints": [{"key": "b"}]}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let patched = strategic_of(("", "Node"), node, &patch).unwrap();
    assert_eq!(patched["spec"]["taints"], json!([{"key": "b"}]));
    assert_eq!(
        patched["status"]["conditions"][0],
        json!({"type": "Ready", "status": "False"})
    );
    assert_eq!(patched["status"]["conditions"][1]["type"], json!("DiskPressure"));
}

#[test]
fn malformed_strategic_patches() {
    for patch in [
        json!([]),
        json!({"spec": {"containers": [{"image": "1"}]}}),
        json!({"spec": {"containers": ["a"]}}),
        json!({"spec": {"$patch": "what"}}),
        json!({"spec": {"$retainKeys": 1}}),
        json!({"spec": {"$retainKeys": ["a"], "b": 1}}),
        json!({"spec": {"containers": [{"$patch": "delete"}]}}),
        json!({"spec": {"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}}),
        json!({"metadata": {"finalizers": [{}]}}),
    ] {
        let status = strategic_of(POD, json!({"spec": {"containers": [{"name": "a"}]}}), &patch).unwrap_err();
        assert_eq!(status.code, 400, "{patch}");
    }
}

#[test]
fn json_patches() {
    let document = json!({"a": {"b": [1, 2]}});
    let patch = json!([{"op": "test", "path": "/a/b/0", "value": 1}, {"op": "add", "path": "/a/b/-", "value": 3},
        {"op": "move", "from": "/a/b", "path": "/c"}, {"op": "copy", "from": "/c", "path": "/d"}, {"op": "replace", "path": "/d/0", "value": 9}]);
    assert_eq!(
        json(document.clone(), &patch, 10).unwrap(),
        json!({"a": {}, "c": [1, 2, 3], "d": [9, 2, 3]})
    );
    assert_eq!(json(document, &patch, 4).unwrap_err().code, 413);
}

#[test]
fn a_test_for_null_passes_where_nothing_is() {
    let document = json!({"a": {"b": 1, "n": null}, "l": []});
    let tested = |path: &str, value: Value| {
        json(
            document.clone(),
            &json!([{"op": "test", "path": path, "value": value}]),
            1,
        )
        .map_err(|status| status.code)
    };
    assert_eq!(tested("/a/c", Value::Null), Ok(document.clone()));
    assert_eq!(tested("/a/n", Value::Null), Ok(document.clone()));
    for (path, value) in [
        ("/a/b", Value::Null),
        ("/a/c", json!(1)),
        ("/c/c", Value::Null),
        ("/l/0", Value::Null),
    ] {
        assert_eq!(tested(path, value), Err(422), "{path}");
    }
}

#[test]
fn a_json_patch_cannot_blow_up() {
    let doubling: Vec<Value> = (0..60)
        .map(|_| json!({"op": "copy", "from": "/a", "path": "/a/-"}))
        .collect();
    let status = json(json!({"a": ["xxxxxxxxxxxxxxxx"]}), &Value::Array(doubling), 100).unwrap_err();
    assert_eq!(status.code, 422);
    let mut path = String::new();
    let deep: Vec<Value> = (0..5000)
        .map(|_| {
            path.push_str("/a");
            json!({"op": "add", "path": path, "value": {}})
        })
        .collect();
    assert_eq!(
        json(json!({}), &Value::Array(deep), 10_000).unwrap_err().code,
        422
    );
}

/// A patch that turns one object into the other, as kubectl makes it from two states: the two-way difference.
fn difference(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    of: Option<&Arc<crate::kube::structure::Type>>,
) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        let before = old.get(key);
        if before == Some(value) {
            continue;
        }
        let slot = of.and_then(|of| of.slot(key));
        let inner = slot.and_then(|slot| slot.shape.inner());
        match (before, value, slot.and_then(|slot| slot.merge.as_ref())) {
            (Some(Value::Object(before)), Value::Object(value), _) => {
                patch.insert(key.clone(), Value::Object(difference(before, value, inner)));
            }
            (before, Value::Array(value), Some(Merge::ByKey(merge_key))) => {
                let before = before.and_then(Value::as_array).cloned().unwrap_or_default();
                let find = |list: &[Value], item: &Value| {
                    list.iter()
                        .find(|other| other[&**merge_key] == item[&**merge_key])
                        .cloned()
                };
                let mut items = Vec::new();
                for item in value {
                    let Some(old) = find(&before, item) else {
                        // A new item is named whole.
                        items.push(item.clone());
                        continue;
                    };
                    let mut change = difference(old.as_object().unwrap(), item.as_object().unwrap(), inner);
                    if !change.is_empty() {
                        change.insert(merge_key.to_string(), item[&**merge_key].clone());
                        items.push(Value::Object(change));
                    }
                }
                for gone in before.iter().filter(|item| find(value, item).is_none()) {
                    items.push(json!({ &**merge_key: gone[&**merge_key], "$patch": "delete" }));
                }
                let order: Vec<Value> = value
                    .iter()
                    .map(|item| json!({ &**merge_key: item[&**merge_key] }))
                    .collect();
                patch.insert(format!("$setElementOrder/{key}"), Value::Array(order));
                if !items.is_empty() {
                    patch.insert(key.clone(), Value::Array(items));
                }
            }
            (before, Value::Array(value), Some(Merge::Scalars)) => {
                let before = before.and_then(Value::as_array).cloned().unwrap_or_default();
                let added: Vec<Value> = value
                    .iter()
                    .filter(|item| !before.contains(item))
                    .cloned()
                    .collect();
                let gone: Vec<Value> = before
                    .iter()
                    .filter(|item| !value.contains(item))
                    .cloned()
                    .collect();
                patch.insert(format!("$setElementOrder/{key}"), Value::Array(value.clone()));
                patch.insert(format!("$deleteFromPrimitiveList/{key}"), Value::Array(gone));
                patch.insert(key.clone(), Value::Array(added));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    patch
}

fn container() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[X-Z]", "[12]", 0..3);
    ("[12]", env, prop::collection::vec("[ab]", 0..2)).prop_map(|(image, env, args)| {
        let env: Vec<Value> = env
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        json!({"image": image, "env": env, "args": args})
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let containers = prop::collection::btree_map("[a-d]", container(), 1..4)
        .prop_map(|map| map.into_iter().collect::<Vec<_>>())
        .prop_shuffle();
    let labels = prop::collection::btree_map("[kl]", "[12]", 0..3);
    let finalizers = prop::collection::btree_set("[pq]", 0..3);
    (containers, labels, finalizers, any::<bool>()).prop_map(|(containers, labels, finalizers, host)| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(name, mut container)| {
                container["name"] = name.into();
                container
            })
            .collect();
        json!({"metadata": {"labels": labels, "finalizers": finalizers}, "spec": {"containers": containers, "hostNetwork": host}})
    })
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..5).prop_map(Value::from),
        Just(json!([1, null]))
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop::collection::btree_map("[a-d]", inner, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    })
}

fn map() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", tree(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn has_null(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(|map| map.values().any(has_null))
}

proptest! {
    /// The difference of two states, applied to the first, gives the second.
    #[test]
    fn a_two_way_patch_leads_to_the_new_state(old in pod(), new in pod()) {
        let layout = built_in("", "v1", "Pod");
        let patch = Value::Object(difference(old.as_object().unwrap(), new.as_object().unwrap(), Some(&layout)));
        prop_assert_eq!(strategic(old, &patch, &layout).unwrap(), new);
    }

    /// A strategic patch applied twice is applied once, for states that name all they want.
    #[test]
    fn strategic_patches_are_idempotent(old in pod(), new in pod()) {
        let layout = built_in("", "v1", "Pod");
        let once = strategic(old, &new, &layout).unwrap();
        prop_assert_eq!(strategic(once.clone(), &new, &layout).unwrap(), once);
    }

    /// RFC 7386: idempotent, the empty patch is neutral, nulls of the patch are not stored.
    #[test]
    fn laws_of_merge_patches(document in map(), patch in map()) {
        let once = merge(document.clone(), &patch).unwrap();
        prop_assert_eq!(merge(once.clone(), &patch).unwrap(), once);
        prop_assert_eq!(merge(document, &json!({})).is_ok(), true);
        let fresh = merge(json!({}), &patch).unwrap();
        prop_assert!(!has_null(&fresh));
    }

    #[test]
    fn no_patch_breaks_the_server(document in map(), patch in tree()) {
        let layout = built_in("", "v1", "Pod");
        let _ = strategic(document.clone(), &patch, &layout);
        let _ = json(document.clone(), &patch, 10);
        let _ = merge(document, &patch);
    }
}
