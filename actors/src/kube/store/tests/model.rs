//! The store against a reference model: a plain snapshot of every version, from which each answer is worked out naively.
//!
//! The invariants, each named where it is checked:
//! one version one change · versions rise · a refusal, a dry run and a write of nothing leave no trace · a dry run tells what
//! the write does · uid, name and creation time stay · a deletion is not taken back · the generation counts the
//! specification · finalizers hold · the account of fields decodes and covers what there is · all ways of
//! writing agree · lists are snapshots · pages together are one list · watches tell each change once, in order, rightly · a
//! reflector equals the list · compacted versions and only those are gone · garbage goes, the rest stays.

mod change;
mod ends;
mod fields;
mod garbage;
mod ops;
mod reads;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::kube::apply::FieldSet;
use crate::kube::crd;

use change::{Change, Way};
use ops::{Op, op, write_op};
use reads::{At, OpenList, OpenWatch, Selection};
use writes::{Slot, Stated};

/// The kinds of the model. All but the last two are written to.
const KINDS: [(&str, &str); 10] = [
    ("", "configmaps"),
    ("", "secrets"),
    ("apps", "deployments"),
    ("", "pods"),
    ("coordination.k8s.io", "leases"),
    ("", "nodes"),
    ("", "events"),
    ("example.com", "widgets"),
    ("events.k8s.io", "events"),
    ("", "namespaces"),
];
const CONFIG_MAPS: usize = 0;
const DEPLOYMENTS: usize = 2;
const PODS: usize = 3;
const WIDGETS: usize = 7;
const WRITTEN: usize = 8;
const NAMESPACES: [&str; 3] = ["default", "n1", "n2"];
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Changes that the window holds.
const WINDOW: u64 = 40;

type Key = (ResourceId, Arc<str>);
/// All objects of one version, as JSON.
type State = BTreeMap<Key, Arc<Value>>;

/// The store and what the model knows of it.
struct World {
    store: Store,
    kinds: Vec<Arc<Resource>>,
    /// The state of every version there ever was.
    states: BTreeMap<u64, Arc<State>>,
    /// The objects as last seen: what is the same allocation has not changed.
    seen: BTreeMap<Key, Arc<Object>>,
    floor: u64,
    clock: i64,
    /// Uids of objects whose account of fields was dropped once.
    unaccounted: BTreeSet<String>,
    /// Key of each uid there ever was.
    uids: BTreeMap<String, Key>,
    watches: Vec<OpenWatch>,
    lists: Vec<OpenList>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn strings(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn finalizers(value: &Value) -> Vec<String> {
    strings(value, "/metadata/finalizers")
}

/// Those that no part of the server takes off by itself.
fn users_finalizers(value: &Value) -> Vec<String> {
    let mut list = finalizers(value);
    list.retain(|name| name != "orphan" && name != "foregroundDeletion");
    list
}

fn is_terminating(value: &Value) -> bool {
    value.pointer("/metadata/deletionTimestamp").is_some()
}

/// The value without these fields of `metadata`.
fn without(value: &Value, fields: &[&str]) -> Value {
    let mut value = value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in fields {
            metadata.remove(*field);
        }
    }
    value
}

impl World {
    fn new() -> Self {
        let mut store = store_with(Limits {
            window_events: usize::try_from(WINDOW).unwrap(),
            ..Limits::default()
        });
        let definition = json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets"}, "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}}]}});
        let definition = store
            .create(
                target("apiextensions.k8s.io", "customresourcedefinitions"),
                definition,
                options(),
            )
            .unwrap();
        let widgets = crd::resource(&definition, &json!({"kind": "Widget", "plural": "widgets"})).unwrap();
        store.registry_mut().register(widgets).unwrap();
        let kinds = KINDS
            .iter()
            .map(|(group, plural)| Arc::clone(store.registry().find(group, plural).unwrap()))
            .collect();
        store
            .create(
                target("", "namespaces"),
                json!({"metadata": {"name": "n1"}}),
                options(),
            )
            .unwrap();
        store.compact(store.version());
        let mut world = Self {
            floor: store.version(),
            store,
            kinds,
            states: BTreeMap::new(),
            seen: BTreeMap::new(),
            clock: 10,
            unaccounted: BTreeSet::new(),
            uids: BTreeMap::new(),
            watches: Vec::new(),
            lists: Vec::new(),
        };
        let state = world
            .present()
            .into_iter()
            .map(|(key, object)| (key.clone(), Arc::new(world.render(key.0, &object))))
            .collect();
        world.seen = world.present();
        world.states.insert(world.store.version(), Arc::new(state));
        world
    }

    fn now(&self) -> DateTime<Utc> {
        at(self.clock)
    }

    fn options(&self, manager: &'static str, dry_run: bool) -> WriteOptions<'static> {
        WriteOptions {
            dry_run,
            ..WriteOptions::by(manager, self.now())
        }
    }

    fn state(&self) -> &Arc<State> {
        self.states.last_key_value().unwrap().1
    }

    fn present(&self) -> BTreeMap<Key, Arc<Object>> {
        let key = |object: &Object| match object.namespace() {
            Some(namespace) => format!("{namespace}/{}", object.name()),
            None => object.name().to_owned(),
        };
        self.store
            .everything()
            .map(|(id, object)| ((id, Arc::from(key(object))), Arc::clone(object)))
            .collect()
    }

    /// An object as the model keeps it: the JSON that clients get, in the stored version.
    fn render(&self, id: ResourceId, object: &Object) -> Value {
        let resource = self.store.registry().by_id(id).unwrap();
        let api_version = resource.api_version(resource.storage_version());
        let mut bytes = Vec::new();
        object.write_json(Some((&api_version, &resource.kind)), &mut bytes);
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            value,
            object.to_value(&api_version, &resource.kind),
            "both forms of an object are the same"
        );
        value
    }

    /// Looks at what the store holds now, checks that it came from the last state by lawful changes, and keeps it.
    fn observe(&mut self) {
        let version = self.store.version();
        let last = *self.states.last_key_value().unwrap().0;
        assert!(version >= last, "versions rise");
        let present = self.present();
        assert_eq!(self.store.len(), present.len(), "the number of objects is right");
        let mut touched: BTreeMap<u64, Key> = BTreeMap::new();
        for (key, object) in &present {
            assert!(
                object.resource_version <= version,
                "no object is newer than the store"
            );
            if self
                .seen
                .get(key)
                .is_some_and(|before| Arc::ptr_eq(before, object))
            {
                continue;
            }
            assert!(object.resource_version > last, "versions rise: {key:?}");
            let twin = touched.insert(object.resource_version, key.clone());
            assert_eq!(twin, None, "versions are unique");
        }
        // Several removals in one request happen in the order of keys.
        let mut removed = self
            .seen
            .keys()
            .filter(|key| !present.contains_key(*key))
            .cloned()
            .collect::<Vec<_>>()
            .into_iter();
        for step in last + 1..=version {
            touched
                .entry(step)
                .or_insert_with(|| removed.next().expect("one version, one change"));
        }
        assert_eq!(
            (removed.next(), touched.len() as u64),
            (None, version - last),
            "one version, one change"
        );
        for (step, key) in touched {
            let before = self.state().get(&key).cloned();
            let after = present
                .get(&key)
                .map(|object| Arc::new(self.render(key.0, object)));
            self.lawful(step, &key, before.as_deref(), after.as_deref());
            let mut state = (**self.state()).clone();
            match after {
                Some(after) => state.insert(key, after),
                None => state.remove(&key),
            };
            self.states.insert(step, Arc::new(state));
        }
        self.seen = present;
        self.floor = self.floor.max(version.saturating_sub(WINDOW));
        assert_eq!(
            self.store.oldest_version(),
            self.floor,
            "the window is as long as it should"
        );
        let held: Vec<u64> = self
            .store
            .changes_after(self.floor)
            .map(|change| change.version)
            .collect();
        assert_eq!(
            held,
            (self.floor + 1..=version).collect::<Vec<_>>(),
            "the window has no gaps"
        );
    }

    /// Checks one change of one object.
    fn lawful(&mut self, version: u64, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        if let Some(after) = after {
            assert_eq!(
                text(after, "/metadata/resourceVersion"),
                version.to_string(),
                "an object has its version"
            );
            self.accounted(key, after);
        }
        match (before, after) {
            (None, None) => panic!("a change of nothing at {version}"),
            (None, Some(after)) => {
                let uid = text(after, "/metadata/uid").to_owned();
                assert_eq!(self.uids.insert(uid, key.clone()), None, "uids are unique");
                assert!(!is_terminating(after), "nothing is born dying");
            }
            (Some(before), Some(after)) => self.lawful_change(key, before, after),
            (Some(before), None) => {
                assert!(
                    users_finalizers(before).is_empty() || is_terminating(before),
                    "finalizers hold: {before}"
                );
                if let Some(change) = self
                    .store
                    .changes_after(version - 1)
                    .next()
                    .filter(|change| change.version == version)
                {
                    let words = self.render(key.0, &change.object);
                    assert!(finalizers(&words).is_empty(), "finalizers hold: {words}");
                    assert!(
                        key.0 != self.kinds[9].id || strings(&words, "/spec/finalizers").is_empty(),
                        "a namespace waits for its content"
                    );
                    assert_eq!(text(&words, "/metadata/uid"), text(before, "/metadata/uid"));
                    assert_eq!(
                        change.object.resource_version, version,
                        "last words have the version of the deletion"
                    );
                }
            }
        }
    }

    fn lawful_change(&self, key: &Key, before: &Value, after: &Value) {
        for field in ["uid", "creationTimestamp", "name", "namespace"] {
            let pointer = format!("/metadata/{field}");
            assert_eq!(before.pointer(&pointer), after.pointer(&pointer), "{field} stays");
        }
        let timeless = |value: &Value| {
            let mut value = without(value, &["resourceVersion"]);
            let entries = value.pointer_mut("/metadata/managedFields");
            for entry in entries.and_then(Value::as_array_mut).into_iter().flatten() {
                entry.as_object_mut().unwrap().remove("time");
            }
            value
        };
        assert_ne!(
            timeless(before),
            timeless(after),
            "a write of nothing makes no version"
        );
        let marked = is_terminating(after) && !is_terminating(before);
        assert!(
            is_terminating(after) || !is_terminating(before),
            "a deletion is not taken back"
        );
        if !marked && is_terminating(before) {
            let (old, new) = (finalizers(before), users_finalizers(after));
            assert!(
                new.iter().all(|name| old.contains(name)),
                "no finalizers for what is being deleted"
            );
            let pointer = "/metadata/deletionTimestamp";
            assert!(text(after, pointer) <= text(before, pointer) || key.0 == self.kinds[PODS].id);
        }
        let specification = |value: &Value| {
            let mut map = value.as_object().unwrap().clone();
            map.retain(|name, _| name != "metadata" && name != "status");
            map
        };
        let counted = specification(before) != specification(after)
            || (key.0 == self.kinds[DEPLOYMENTS].id
                && before.pointer("/metadata/annotations") != after.pointer("/metadata/annotations"));
        let old = number(before, "/metadata/generation");
        let new = number(after, "/metadata/generation");
        let expected = if old == 0 {
            0
        } else {
            old + i64::from(counted || marked)
        };
        assert_eq!(
            new, expected,
            "the generation counts the specification: {before} {after}"
        );
    }

    /// Checks `managedFields`: it decodes, and for flat objects it names exactly the fields that there are.
    fn accounted(&mut self, key: &Key, value: &Value) {
        let entries = value
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for entry in &entries {
            let set = FieldSet::decode(&entry["fieldsV1"]).expect("the account of fields decodes");
            assert!(!set.is_empty(), "no manager of nothing");
        }
        if entries.is_empty() {
            self.unaccounted.insert(text(value, "/metadata/uid").to_owned());
        }
        if key.0 != self.kinds[CONFIG_MAPS].id {
            return;
        }
        let flat: BTreeSet<String> = fields::flat(value).into_keys().collect();
        let owned: BTreeSet<String> = fields::owners(value).into_values().flatten().collect();
        assert!(
            owned.is_subset(&flat),
            "nobody owns what is not there: {owned:?} {value}"
        );
        assert!(
            owned == flat || self.unaccounted.contains(text(value, "/metadata/uid")),
            "every field has an owner: {value}"
        );
    }
}

impl World {
    fn step(&mut self, op: &Op) {
        self.clock += 1;
        match op.clone() {
            Op::List { of, limit, at } => self.list(of, limit, at),
            Op::Continue(which) => self.go_on(which),
            Op::Watch {
                of,
                at,
                initial,
                bookmarks,
            } => self.watch(of, at, initial, bookmarks),
            Op::Poll(which, most) => self.poll(which, most),
            Op::Settle => self.settle(),
            Op::Compact(back) => {
                let version = self.store.version().saturating_sub(back);
                self.store.compact(version);
                self.floor = self.floor.max(version);
            }
            other => self.write(other),
        }
        self.observe();
    }

    /// Ends a run: all lists are read to their end, all watches too, and every version is asked for.
    fn finish(&mut self) {
        self.settle();
        for which in 0..self.lists.len() {
            while !self.lists.is_empty() && self.lists.len() > which {
                self.go_on(which);
            }
        }
        while !self.watches.is_empty() {
            self.poll(0, usize::MAX);
            self.watches.pop();
        }
    }
}

fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    // The default is for small properties; these are long runs.
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 100;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    /// Random histories of everything.
    #[test]
    fn the_store_does_as_the_model(ops in prop::collection::vec(op(), 1..150)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        world.finish();
    }

    /// Every version that the window holds can be listed and watched from, in every selection; all others are gone.
    #[test]
    fn every_version_is_told_rightly(ops in prop::collection::vec(write_op(), 1..90), selections in prop::collection::vec(reads::selection(0..KINDS.len()), 1..4)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        let versions: Vec<u64> = world.states.keys().copied().collect();
        for of in selections {
            for version in &versions {
                world.list(of, 0, At::Exact(*version));
                world.list(of, 2, At::Bare(*version));
                world.watch(of, At::Bare(*version), None, true);
            }
            world.finish();
        }
    }
}
