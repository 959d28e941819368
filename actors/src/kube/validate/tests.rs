//! Tables of objects that a real server refuses, with its words. The facts are from upstream's validation tests and code.

mod cluster;
mod pods;
mod properties;

use std::net::Ipv4Addr;
use std::sync::Arc;

use chrono::{TimeZone as _, Utc};
use serde_json::{Value, json};

use crate::kube::object::Object;
use crate::kube::resource::{BUILT_IN, Resource};
use crate::kube::status::Status;
use crate::kube::store::{Limits, Part, PatchKind, Settings, Store, Target, WriteOptions};
use crate::seed::Seed;

fn options() -> WriteOptions<'static> {
    WriteOptions::by("t", Utc.timestamp_opt(1_700_000_000, 0).unwrap())
}

fn resource(group: &str, plural: &str) -> &'static Arc<Resource> {
    BUILT_IN
        .iter()
        .find(|resource| resource.is(group, plural))
        .unwrap()
}

fn target(group: &str, plural: &str) -> Target<'static> {
    let resource = resource(group, plural);
    Target::stored(resource, resource.namespaced.then_some("n"))
}

fn store() -> Store {
    let settings = Settings {
        seed: Seed::root(1),
        limits: Limits::default(),
        service_network: Some((Ipv4Addr::new(10, 0, 0, 0), 16)),
    };
    let mut store = Store::new(settings, Arc::default());
    store
        .create(
            target("", "namespaces"),
            json!({"metadata": {"name": "n"}}),
            options(),
        )
        .unwrap();
    store
}

fn create(group: &str, plural: &str, mut body: Value) -> Result<Arc<Object>, Status> {
    if body["metadata"].is_null() {
        body["metadata"] = json!({"name": "x"});
    }
    store().create(target(group, plural), body, options())
}

/// What a merge patch of the created object is refused for.
fn patched(
    group: &str,
    plural: &str,
    mut body: Value,
    part: Part,
    patch: &Value,
) -> Result<Arc<Object>, Status> {
    if body["metadata"].is_null() {
        body["metadata"] = json!({"name": "x"});
    }
    let mut store = store();
    let target = target(group, plural);
    store.create(target, body, options()).unwrap();
    store
        .patch(target, "x", part, PatchKind::Merge, patch, options())
        .map(|written| written.object)
}

/// The refusal's words after `... is invalid: `; empty when it was taken.
fn words(result: Result<Arc<Object>, Status>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(status) => {
            assert_eq!(status.code, 422, "{status}");
            let causes = status.details.as_ref().map_or(0, |details| details.causes.len());
            assert!(causes > 0, "{status}");
            let (_, words) = status.message.split_once(" is invalid: ").unwrap();
            words.to_owned()
        }
    }
}

/// `base` with values at paths; `null` takes the field away.
fn with(base: &Value, changes: &[(&str, Value)]) -> Value {
    let mut body = base.clone();
    for (pointer, value) in changes {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap();
        match parent {
            Value::Object(map) if value.is_null() => {
                map.remove(last);
            }
            Value::Object(map) => {
                map.insert(last.to_owned(), value.clone());
            }
            Value::Array(list) => list.insert(last.parse().unwrap(), value.clone()),
            other => panic!("{pointer}: {other}"),
        }
    }
    body
}

fn template() -> Value {
    json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

fn set() -> Value {
    json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template()}})
}

fn pod() -> Value {
    json!({"spec": {"containers": [{"name": "c", "image": "i"}]}})
}

/// Checks a table: changes to `base`, and the words, empty for an object that is fine.
fn check(group: &str, plural: &str, base: &Value, cases: &[(&[(&str, Value)], &str)]) {
    assert_eq!(
        words(create(group, plural, base.clone())),
        "",
        "{plural}: the base is fine"
    );
    for (changes, expected) in cases {
        let body = with(base, changes);
        assert_eq!(
            words(create(group, plural, body)),
            *expected,
            "{plural} {changes:?}"
        );
    }
}
