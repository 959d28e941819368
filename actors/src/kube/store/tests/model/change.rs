//! Changes of an object, and the ways to bring one about: PUT and the three kinds of patch that say what changes.

use super::*;

/// One change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Of what the kind is for.
    Payload(u8),
    /// Of labels: two bits for `a`, one for `b`.
    Labels(u8),
    /// Of an annotation.
    Annotation(u8),
    /// Of the two finalizers of users, a bit each.
    Finalizers(u8),
    /// Of owners: kinds and names of up to two, blocking or not.
    Owners(u8, u8),
    /// Of the status, which the main resource of most kinds ignores.
    Status(u8),
    /// Drops the account of fields.
    Strip,
}

/// How a change is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Put,
    Json,
    Merge,
    Strategic,
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..4_u8).prop_map(Change::Payload),
        5 => (0..8_u8).prop_map(Change::Labels),
        2 => (0..3_u8).prop_map(Change::Annotation),
        3 => (0..4_u8).prop_map(Change::Finalizers),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(one, two)| Change::Owners(one, two)),
        1 => (0..3_u8).prop_map(Change::Status),
        1 => Just(Change::Strip),
    ]
}

pub(super) fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        Just(Way::Put),
        Just(Way::Json),
        Just(Way::Merge),
        Just(Way::Strategic)
    ]
}

/// A new object of a kind.
pub(super) fn fresh(kind: usize, namespace: &str, payload: u8) -> Value {
    let container = json!({"name": "c", "image": "i0"});
    let mut value = match kind {
        DEPLOYMENTS => json!({"spec": {"selector": {"matchLabels": {"a": "1"}},
            "template": {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [container, {"name": "d", "image": "j"}]}}}}),
        PODS => json!({"spec": {"containers": [container, {"name": "d", "image": "j"}]}}),
        _ => json!({}),
    };
    value["metadata"] = json!({});
    set_payload(kind, payload, &mut value);
    if value.get("involvedObject").is_some() {
        value["involvedObject"]["namespace"] = namespace.into();
    }
    if kind == PODS && payload > 0 {
        value["spec"]["nodeName"] = "a".into();
    }
    value
}

/// Sets what the kind is for.
fn set_payload(kind: usize, payload: u8, value: &mut Value) {
    match kind {
        0 => value["data"] = json!({"k": payload.to_string()}),
        1 => value["data"] = json!({"k": "QUJD", format!("l{payload}"): "QUJD"}),
        DEPLOYMENTS => {
            value["spec"]["replicas"] = payload.into();
            set_image("/spec/template/spec/containers", payload, value);
        }
        PODS => set_image("/spec/containers", payload, value),
        4 => value["spec"]["holderIdentity"] = payload.to_string().into(),
        5 => value["spec"]["unschedulable"] = (payload % 2 == 1).into(),
        6 => {
            value["reason"] = format!("R{payload}").into();
            value["involvedObject"]["kind"] = "Pod".into();
            value["involvedObject"]["name"] = "a".into();
        }
        _ => value["spec"]["replicas"] = payload.into(),
    }
}

/// Sets the image of a container, if there is one.
fn set_image(containers: &str, payload: u8, value: &mut Value) {
    let containers = value.pointer_mut(containers).and_then(Value::as_array_mut);
    if let Some(containers) = containers.filter(|list| !list.is_empty()) {
        let index = usize::from(payload) % containers.len();
        containers[index]["image"] = format!("i{payload}").into();
    }
}

pub(super) fn set_status(kind: usize, value: u8, object: &mut Value) {
    match kind {
        PODS => object["status"]["phase"] = ["Pending", "Running", "Failed"][usize::from(value % 3)].into(),
        5 => object["status"]["nodeInfo"]["osImage"] = value.to_string().into(),
        // Zero is left out by Go. Kinds without a status drop it.
        _ => object["status"]["replicas"] = (value + 1).into(),
    }
}

/// Sets a field of the specification that nothing else sets, and one that only a custom kind keeps.
pub(super) fn stray(kind: usize, object: &mut Value) {
    match kind {
        DEPLOYMENTS => object["spec"]["paused"] = true.into(),
        PODS => object["spec"]["activeDeadlineSeconds"] = 7.into(),
        5 => object["spec"]["providerID"] = "stray".into(),
        _ => {}
    }
    object["spec"]["stray"] = true.into();
}

/// Sets an entry of a map in `metadata`; maps that get empty go.
fn set_in(value: &mut Value, map: &str, key: &str, new: Option<String>) {
    let metadata = value["metadata"].as_object_mut().unwrap();
    let entry = metadata.entry(map).or_insert_with(|| json!({}));
    let entries = entry.as_object_mut().unwrap();
    match new {
        Some(new) => entries.insert(key.to_owned(), new.into()),
        None => entries.remove(key),
    };
    if entries.is_empty() {
        metadata.remove(map);
    }
}

fn set_list(value: &mut Value, list: &str, items: Vec<Value>) {
    let metadata = value["metadata"].as_object_mut().unwrap();
    if items.is_empty() {
        metadata.remove(list);
    } else {
        metadata.insert(list.to_owned(), items.into());
    }
}

impl World {
    /// Does a change to an object's JSON.
    pub(super) fn change(&self, kind: usize, namespace: &str, change: Change, value: &mut Value) {
        match change {
            Change::Payload(payload) => set_payload(kind, payload, value),
            Change::Labels(bits) => {
                let first = Some(bits & 3).filter(|value| *value > 0);
                set_in(value, "labels", "a", first.map(|value| value.to_string()));
                set_in(value, "labels", "b", (bits & 4 != 0).then(|| "1".to_owned()));
            }
            Change::Annotation(note) => {
                let note = Some(note).filter(|note| *note > 0);
                set_in(
                    value,
                    "annotations",
                    "note",
                    note.map(|note| format!("\"{note}\"~/")),
                );
            }
            Change::Finalizers(bits) => {
                let mut list = finalizers(value);
                for (bit, name) in [(1, "example.com/one"), (2, "example.com/two")] {
                    let has = list.iter().any(|present| present == name);
                    if bits & bit != 0 && !has {
                        list.push(name.to_owned());
                    } else if bits & bit == 0 {
                        list.retain(|present| present != name);
                    }
                }
                set_list(value, "finalizers", list.into_iter().map(Value::String).collect());
            }
            Change::Owners(one, two) => {
                let mut list = Vec::new();
                for choice in [one, two] {
                    let owner = self.owner(namespace, choice, text(value, "/metadata/uid"));
                    let fresh = list.iter().all(|other: &Value| {
                        owner.as_ref().is_some_and(|owner| other["uid"] != owner["uid"])
                    });
                    if let Some(owner) = owner.filter(|_| fresh) {
                        list.push(owner);
                    }
                }
                set_list(value, "ownerReferences", list);
            }
            Change::Status(status) => set_status(kind, status, value),
            Change::Strip => value["metadata"]["managedFields"] = json!([{}]),
        }
    }

    /// A reference to an owner: mostly one that there is.
    fn owner(&self, namespace: &str, choice: u8, own: &str) -> Option<Value> {
        let (blocking, choice) = (choice & 128 != 0, usize::from(choice & 127));
        let gone = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "00000000-0000-4000-8000-000000000000"});
        let owners: Vec<Value> = self
            .state()
            .values()
            .filter(|value| {
                let at = text(value, "/metadata/namespace");
                (at.is_empty() || at == namespace) && !matches!(text(value, "/kind"), "Event" | "Namespace")
            })
            // Nothing owns itself: a real collector would wait for ever.
            .filter(|value| {
                value["kind"] != "CustomResourceDefinition" && text(value, "/metadata/uid") != own
            })
            .map(|value| {
                json!({"apiVersion": value["apiVersion"], "kind": value["kind"],
                    "name": value["metadata"]["name"], "uid": value["metadata"]["uid"]})
            })
            .collect();
        let mut owner = match choice % 8 {
            0..3 => return None,
            3 => gone,
            _ => owners.get((choice / 8) % owners.len().max(1))?.clone(),
        };
        if blocking {
            owner["blockOwnerDeletion"] = true.into();
        }
        Some(owner)
    }
}

/// A JSON patch from one value to another.
pub(super) fn json_patch(before: &Value, after: &Value) -> Value {
    let mut operations = Vec::new();
    operations_at(before, after, "", &mut operations);
    operations.into()
}

fn operations_at(before: &Value, after: &Value, path: &str, found: &mut Vec<Value>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            found.push(json!({"op": "test", "path": path, "value": before}));
            found.push(json!({"op": "replace", "path": path, "value": after}));
        }
        return;
    };
    let below = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    for (name, value) in old {
        match new.get(name) {
            Some(other) => operations_at(value, other, &below(name), found),
            None => found.push(json!({"op": "remove", "path": below(name)})),
        }
    }
    for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        found.push(json!({"op": "add", "path": below(name), "value": value}));
    }
}

/// A merge patch from one value to another; with `strategic`, lists that merge are sent as what changes in them.
pub(super) fn merge_patch(before: &Value, after: &Value, strategic: bool) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return after.clone();
    };
    let mut patch = serde_json::Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        let Some(other) = old.get(name).filter(|other| *other != value) else {
            if !old.contains_key(name) {
                patch.insert(name.clone(), value.clone());
            }
            continue;
        };
        match (other.as_array(), value.as_array()) {
            (Some(old), Some(new)) if strategic => list_patch(name, old, new, &mut patch),
            _ => {
                patch.insert(name.clone(), merge_patch(other, value, strategic));
            }
        }
    }
    patch.into()
}

fn list_patch(name: &str, old: &[Value], new: &[Value], patch: &mut serde_json::Map<String, Value>) {
    let key = match name {
        "finalizers" => {
            let gone: Vec<_> = old.iter().filter(|item| !new.contains(item)).cloned().collect();
            let come: Vec<_> = new.iter().filter(|item| !old.contains(item)).cloned().collect();
            patch.insert(format!("$deleteFromPrimitiveList/{name}"), gone.into());
            patch.insert(format!("$setElementOrder/{name}"), new.to_vec().into());
            if !come.is_empty() {
                patch.insert(name.to_owned(), come.into());
            }
            return;
        }
        "ownerReferences" => "uid",
        "containers" => "name",
        other => panic!("{other}: no list that changes"),
    };
    let find = |list: &[Value], item: &Value| list.iter().find(|other| other[key] == item[key]).cloned();
    let mut items = Vec::new();
    for item in old.iter().filter(|item| find(new, item).is_none()) {
        items.push(json!({"$patch": "delete", key: item[key]}));
    }
    for item in new {
        match find(old, item) {
            None => items.push(item.clone()),
            Some(before) if before != *item => {
                let mut change = merge_patch(&before, item, true);
                change[key] = item[key].clone();
                items.push(change);
            }
            Some(_) => {}
        }
    }
    let order: Vec<Value> = new.iter().map(|item| json!({key: item[key]})).collect();
    patch.insert(format!("$setElementOrder/{name}"), order.into());
    patch.insert(name.to_owned(), items.into());
}
