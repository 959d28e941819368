//! Collecting garbage until nothing moves, and what must be left.

use super::*;
use crate::kube::{garbage, namespace};

/// Rounds after which the collector must have come to rest.
const ROUNDS: usize = 60;

fn owners(value: &Value) -> &[Value] {
    let list = value
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn has(value: &Value, finalizer: &str) -> bool {
    finalizers(value).iter().any(|name| name == finalizer)
}

/// The object that a reference of `value` names.
fn owner<'a>(state: &'a State, value: &Value, reference: &Value) -> Option<(&'a Key, &'a Arc<Value>)> {
    state
        .iter()
        .find(|(_, other)| text(other, "/metadata/uid") == text(reference, "/uid"))
        .filter(|(_, other)| {
            let namespace = text(other, "/metadata/namespace");
            namespace.is_empty() || namespace == text(value, "/metadata/namespace")
        })
}

impl World {
    /// The objects that garbage collection must leave alone: those without owners, those of owners that stay, those of owners
    /// that were deleted to orphan them.
    fn survivors(&self, state: &State) -> BTreeSet<Key> {
        let namespaces = self.kinds[9].id;
        let closed = |value: &Value| {
            let key = (namespaces, Arc::from(text(value, "/metadata/namespace")));
            state.get(&key).is_some_and(|namespace| is_terminating(namespace))
        };
        let mut stay: BTreeSet<Key> = BTreeSet::new();
        loop {
            let more: Vec<Key> = state
                .iter()
                .filter(|(key, value)| !stay.contains(*key) && !is_terminating(value) && !closed(value))
                .filter(|(_, value)| {
                    let found: Vec<_> = owners(value)
                        .iter()
                        .map(|reference| owner(state, value, reference))
                        .collect();
                    found.is_empty()
                        || found.iter().flatten().any(|(key, _)| stay.contains(*key))
                        || found.iter().all(|owner| {
                            owner.is_some_and(|(_, owner)| is_terminating(owner) && has(owner, "orphan"))
                        })
                })
                .map(|(key, _)| key.clone())
                .collect();
            if more.is_empty() {
                return stay;
            }
            stay.extend(more);
        }
    }

    /// Lets the collector and the controller of namespaces work until nothing changes.
    pub(super) fn settle(&mut self) {
        self.observe();
        let before = Arc::clone(self.state());
        let survivors = self.survivors(&before);
        for round in 0.. {
            assert!(round < ROUNDS, "the collector comes to rest: {:?}", self.state());
            let version = self.store.version();
            for action in garbage::sweep(&self.store) {
                let now = self.now();
                if let Err(status) = garbage::run(&mut self.store, &action, now) {
                    assert_eq!(status.code, 409, "the collector is not refused: {status}");
                }
                self.observe();
            }
            let namespaces: Vec<Arc<Object>> = self.store.all(&self.kinds[9], None).cloned().collect();
            for object in namespaces {
                for action in namespace::work(&self.store, &object, self.now()) {
                    let now = self.now();
                    if let Err(status) = namespace::run(&mut self.store, &action, now) {
                        assert_eq!(
                            status.code, 409,
                            "the controller of namespaces is not refused: {status}"
                        );
                    }
                    self.observe();
                }
            }
            if self.store.version() == version {
                break;
            }
        }
        let after = Arc::clone(self.state());
        for key in survivors {
            let found = after.get(&key).map(|value| text(value, "/metadata/uid"));
            assert_eq!(
                found,
                Some(text(&before[&key], "/metadata/uid")),
                "what has an owner, or is orphaned, stays: {key:?}"
            );
        }
        self.settled(&after);
    }

    fn settled(&self, state: &State) {
        // What waits for a user, or for the end of a grace period, may hold others.
        let held = |value: &Value| {
            is_terminating(value)
                && (!users_finalizers(value).is_empty()
                    || number(value, "/metadata/deletionGracePeriodSeconds") > 0)
        };
        for (key, value) in state {
            let found = owners(value)
                .iter()
                .map(|reference| owner(state, value, reference));
            assert!(
                owners(value).is_empty() || is_terminating(value) || found.flatten().next().is_some(),
                "no dependents without owners: {value}"
            );
            assert!(
                !is_terminating(value) || !has(value, "orphan"),
                "orphaning ends: {value}"
            );
            if is_terminating(value) && !held(value) && key.0 != self.kinds[9].id {
                assert!(
                    has(value, "foregroundDeletion"),
                    "nothing waits for nothing: {value}"
                );
                assert!(
                    self.waits(state, value, held, &mut BTreeSet::new()),
                    "a foreground deletion waits for somebody: {state:?}"
                );
            }
            let uid = text(value, "/metadata/uid");
            let named: BTreeSet<&Key> = state
                .iter()
                .filter(|(_, other)| {
                    owners(other)
                        .iter()
                        .any(|reference| text(reference, "/uid") == uid)
                })
                .map(|(key, _)| key)
                .collect();
            let told: BTreeSet<Key> = self
                .store
                .dependents_of(uuid::Uuid::parse_str(uid).unwrap())
                .map(|(id, object)| {
                    let resource = self.store.registry().by_id(id).unwrap();
                    (id, resource.key(object.namespace(), object.name()).into())
                })
                .collect();
            assert_eq!(
                told.iter().collect::<BTreeSet<_>>(),
                named,
                "the index of dependents is right"
            );
        }
    }

    /// Whether a foreground deletion waits, by however many steps, for something that is held by others than the collector, or in
    /// a circle: a real collector breaks a circle only while it deletes the objects of it, not when users did so.
    fn waits(
        &self,
        state: &State,
        value: &Value,
        held: impl Fn(&Value) -> bool + Copy,
        seen: &mut BTreeSet<String>,
    ) -> bool {
        let uid = text(value, "/metadata/uid");
        if !seen.insert(uid.to_owned()) {
            return true;
        }
        let blocking = state.values().filter(|other| {
            owners(other).iter().any(|reference| {
                text(reference, "/uid") == uid && reference.get("blockOwnerDeletion") == Some(&json!(true))
            })
        });
        let mut blocking = blocking.collect::<Vec<_>>().into_iter();
        blocking.any(|other| held(other) || self.waits(state, other, held, seen))
    }
}
