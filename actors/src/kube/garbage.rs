//! Garbage collection by owner references (kubernetes: `pkg/controller/garbagecollector/garbagecollector.go`).
//!
//! Pure: [`work`] looks at one object and says what the collector would do about it, [`sweep`] at all. The caller does it with
//! [`run`], after a write or in a loop.
//!
//! - An object whose owners are all gone (or of another uid) is deleted in the background.
//! - If some owners are there, references to those that are gone are taken out, and to those that wait for their
//!   dependents in a foreground deletion too.
//! - An object deleted with `Foreground` keeps its finalizer until no dependent with `blockOwnerDeletion` is left; the dependents are deleted.
//! - An object deleted with `Orphan` keeps its finalizer until no dependent names it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::object::{Object, OwnerReference};
use super::resource::Resource;
use super::status::{Reason, Status};
use super::store::{DeleteOptions, Part, Propagation, Store, Target, WriteOptions};
use super::validate::{FOREGROUND, ORPHAN};

/// Name under which the collector writes.
const MANAGER: &str = "kube-controller-manager";

/// One thing for the collector to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Delete the object, if it still is this one.
    Delete {
        /// The object.
        object: Arc<Object>,
        /// How its own dependents fare.
        propagation: Propagation,
    },
    /// Take the references to these owners out.
    Disown {
        /// The object.
        object: Arc<Object>,
        /// Uids of the owners.
        owners: Vec<String>,
    },
    /// Take the finalizer off.
    Release {
        /// The object.
        object: Arc<Object>,
        /// `foregroundDeletion` or `orphan`.
        finalizer: &'static str,
    },
}

impl Action {
    /// The object that the action is about.
    #[must_use]
    pub const fn object(&self) -> &Arc<Object> {
        match self {
            Self::Delete { object, .. } | Self::Disown { object, .. } | Self::Release { object, .. } => {
                object
            }
        }
    }
}

/// How an owner stands.
enum Owner {
    Present,
    /// Deleted in the foreground: it waits for its dependents.
    Waiting,
    Gone,
    /// Its kind is not served, so nobody can tell: it counts as present.
    Unknown,
}

fn owner_of(store: &Store, object: &Object, reference: &OwnerReference) -> Owner {
    let Some(resource) = store.registry().by_kind(&reference.api_version, &reference.kind) else {
        return Owner::Unknown;
    };
    // A namespaced owner lives where its dependent lives; for a cluster-scoped dependent there is no such place.
    let namespace = object.namespace();
    if resource.namespaced && namespace.is_none() {
        return Owner::Gone;
    }
    match store.find(resource, namespace, &reference.name) {
        Some(owner) if owner.uid_text() == reference.uid => {
            if owner.is_terminating() && owner.has_finalizer(FOREGROUND) {
                Owner::Waiting
            } else {
                Owner::Present
            }
        }
        _ => Owner::Gone,
    }
}

/// What to do about one object now. Empty for most.
#[must_use]
pub fn work(store: &Store, object: &Arc<Object>) -> Vec<Action> {
    let mut actions = Vec::new();
    if object.is_terminating() {
        if object.has_finalizer(ORPHAN) {
            let uid = object.uid_text();
            let disowned = store
                .dependents_of(object.uid)
                .map(|(_, dependent)| Action::Disown {
                    object: Arc::clone(dependent),
                    owners: vec![uid.clone()],
                });
            actions.extend(disowned);
            actions.push(Action::Release {
                object: Arc::clone(object),
                finalizer: ORPHAN,
            });
            return actions;
        }
        if object.has_finalizer(FOREGROUND) {
            let uid = object.uid_text();
            let blocks = |dependent: &Object| {
                let mut owners = dependent.head.owners.iter();
                owners.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
            };
            let blocked = store
                .dependents_of(object.uid)
                .any(|(_, dependent)| blocks(dependent));
            if blocked {
                let dependents = store.dependents_of(object.uid);
                for (_, dependent) in dependents.filter(|(_, dependent)| !dependent.is_terminating()) {
                    actions.extend(owners_work(store, dependent));
                }
            } else {
                actions.push(Action::Release {
                    object: Arc::clone(object),
                    finalizer: FOREGROUND,
                });
            }
        }
        return actions;
    }
    actions.extend(owners_work(store, object));
    actions
}

/// What an object's owners mean for it.
fn owners_work(store: &Store, object: &Arc<Object>) -> Option<Action> {
    if object.head.owners.is_empty() || object.is_terminating() {
        return None;
    }
    let (mut solid, mut waiting, mut gone) = (0_usize, Vec::new(), Vec::new());
    for reference in &object.head.owners {
        match owner_of(store, object, reference) {
            Owner::Present | Owner::Unknown => solid += 1,
            Owner::Waiting => waiting.push(reference.uid.clone()),
            Owner::Gone => gone.push(reference.uid.clone()),
        }
    }
    if solid > 0 {
        gone.append(&mut waiting);
        return (!gone.is_empty()).then(|| Action::Disown {
            object: Arc::clone(object),
            owners: gone,
        });
    }
    let has_dependents = store.dependents_of(object.uid).next().is_some();
    let propagation = if !waiting.is_empty() && has_dependents {
        // The owner waits for this one, so this one waits for its own.
        Propagation::Foreground
    } else if object.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if object.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    Some(Action::Delete {
        object: Arc::clone(object),
        propagation,
    })
}

/// What to do after the object with this uid is gone or going: look at those that name it, and at the owners of theirs.
#[must_use]
pub fn after(store: &Store, object: &Arc<Object>, gone: bool) -> Vec<Action> {
    let mut actions = if gone { Vec::new() } else { work(store, object) };
    if gone {
        actions.extend(
            store
                .dependents_of(object.uid)
                .flat_map(|(_, dependent)| work(store, dependent)),
        );
        // An owner may have waited for this one.
        for reference in &object.head.owners {
            if let Some(owner) = owner_object(store, object, reference)
                && owner.is_terminating()
            {
                actions.extend(work(store, owner));
            }
        }
    }
    actions
}

fn owner_object<'a>(
    store: &'a Store,
    object: &Object,
    reference: &OwnerReference,
) -> Option<&'a Arc<Object>> {
    let resource = store
        .registry()
        .by_kind(&reference.api_version, &reference.kind)?;
    store
        .find(resource, object.namespace(), &reference.name)
        .filter(|owner| owner.uid_text() == reference.uid)
}

/// What to do about all objects.
#[must_use]
pub fn sweep(store: &Store) -> Vec<Action> {
    let mut actions = Vec::new();
    let candidates = store
        .everything()
        .filter(|(_, object)| !object.head.owners.is_empty() || object.is_terminating());
    for (_, object) in candidates {
        for action in work(store, object) {
            if !actions.contains(&action) {
                actions.push(action);
            }
        }
    }
    actions
}

/// Does one action. An object that is gone or another one by now is left alone.
///
/// # Errors
/// What the store refuses; a conflict means that the object changed, and that the collector must look again.
pub fn run(store: &mut Store, action: &Action, now: DateTime<Utc>) -> Result<(), Status> {
    let object = action.object();
    let Some(resource) = resource_of(store, object.uid, object) else {
        return Ok(());
    };
    let options = WriteOptions::by(MANAGER, now);
    let done = match action {
        Action::Delete { propagation, .. } => {
            let target = Target::stored(&resource, object.namespace());
            let options = DeleteOptions {
                propagation: Some(*propagation),
                uid: Some(object.uid_text()),
                ..DeleteOptions::default()
            };
            store.delete(target, object.name(), &options, now).map(drop)
        }
        Action::Disown { owners, .. } => {
            let mut draft = object.draft();
            draft
                .meta
                .owner_references
                .retain(|owner| !owners.contains(&owner.uid));
            store.replace(&resource, Part::Main, draft, options).map(drop)
        }
        Action::Release { finalizer, .. } => {
            let mut draft = object.draft();
            draft.meta.finalizers.retain(|name| name != finalizer);
            store.replace(&resource, Part::Main, draft, options).map(drop)
        }
    };
    match done {
        Err(status) if status.is(Reason::NotFound) => Ok(()),
        other => other,
    }
}

/// The resource of an object that the store still holds under the same uid.
fn resource_of(store: &Store, uid: Uuid, object: &Object) -> Option<Arc<Resource>> {
    store
        .registry()
        .iter()
        .find(|resource| {
            resource.home == resource.id
                && store
                    .find(resource, object.namespace(), object.name())
                    .is_some_and(|found| found.uid == uid)
        })
        .cloned()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::kube::resource::BUILT_IN;
    use crate::kube::store::{Limits, Settings};
    use crate::seed::Seed;

    fn now() -> DateTime<Utc> {
        Utc.timestamp_opt(1_700_000_000, 0).unwrap()
    }

    fn store() -> Store {
        let settings = Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        };
        let mut store = Store::new(settings, Arc::default());
        let namespaces = BUILT_IN
            .iter()
            .find(|resource| resource.is("", "namespaces"))
            .unwrap();
        store
            .create(
                Target::stored(namespaces, None),
                json!({"metadata": {"name": "n"}}),
                WriteOptions::by("t", now()),
            )
            .unwrap();
        store
    }

    fn target() -> Target<'static> {
        let resource = BUILT_IN
            .iter()
            .find(|resource| resource.is("", "configmaps"))
            .unwrap();
        Target::stored(resource, Some("n"))
    }

    fn make(store: &mut Store, name: &str, owners: &[&Object], block: bool) -> Arc<Object> {
        let owners: Vec<Value> = owners
            .iter()
            .map(|owner| {
                json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name(), "uid": owner.uid_text(), "blockOwnerDeletion": block})
            })
            .collect();
        let body = json!({"metadata": {"name": name, "ownerReferences": owners}});
        store
            .create(target(), body, WriteOptions::by("t", now()))
            .unwrap()
    }

    fn settle(store: &mut Store) -> usize {
        for round in 0..1000 {
            let actions = sweep(store);
            if actions.is_empty() {
                return round;
            }
            for action in actions {
                match run(store, &action, now()) {
                    Ok(()) => {}
                    Err(status) => assert!(status.is(Reason::Conflict), "{status}"),
                }
            }
        }
        panic!("the collector does not come to rest: {:?}", sweep(store));
    }

    fn delete(store: &mut Store, name: &str, propagation: Propagation) {
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        store.delete(target(), name, &options, now()).unwrap();
    }

    fn left(store: &Store) -> Vec<String> {
        store
            .all(target().resource, Some("n"))
            .map(|object| object.name().to_owned())
            .collect()
    }

    #[test]
    fn background_deletes_what_is_owned() {
        let mut store = store();
        let a = make(&mut store, "a", &[], false);
        let b = make(&mut store, "b", &[&a], false);
        make(&mut store, "c", &[&b], false);
        make(&mut store, "z", &[], false);
        delete(&mut store, "a", Propagation::Background);
        assert_eq!(left(&store), ["b", "c", "z"], "the owner goes first");
        settle(&mut store);
        assert_eq!(left(&store), ["z"]);
    }

    #[test]
    fn foreground_waits_for_dependents_that_block() {
        let mut store = store();
        let a = make(&mut store, "a", &[], false);
        let b = make(&mut store, "b", &[&a], true);
        make(&mut store, "c", &[&b], true);
        delete(&mut store, "a", Propagation::Foreground);
        assert_eq!(left(&store), ["a", "b", "c"]);
        let actions = work(&store, store.get(target(), "a").unwrap());
        assert!(
            matches!(&actions[..], [Action::Delete { object, propagation: Propagation::Foreground }] if object.name() == "b"),
            "{actions:?}"
        );
        settle(&mut store);
        assert!(left(&store).is_empty());
    }

    #[test]
    fn foreground_does_not_wait_for_the_others() {
        let mut store = store();
        let a = make(&mut store, "a", &[], false);
        make(&mut store, "b", &[&a], false);
        delete(&mut store, "a", Propagation::Foreground);
        let actions = work(&store, store.get(target(), "a").unwrap());
        assert!(
            matches!(
                &actions[..],
                [Action::Release {
                    finalizer: FOREGROUND,
                    ..
                }]
            ),
            "{actions:?}"
        );
        settle(&mut store);
        assert!(left(&store).is_empty());
    }

    #[test]
    fn orphans_stay_and_forget() {
        let mut store = store();
        let a = make(&mut store, "a", &[], false);
        make(&mut store, "b", &[&a], true);
        delete(&mut store, "a", Propagation::Orphan);
        settle(&mut store);
        assert_eq!(left(&store), ["b"]);
        assert!(store.get(target(), "b").unwrap().head.owners.is_empty());
    }

    #[test]
    fn one_owner_is_enough_to_live() {
        let mut store = store();
        let (a, b) = (
            make(&mut store, "a", &[], false),
            make(&mut store, "b", &[], false),
        );
        make(&mut store, "c", &[&a, &b], false);
        delete(&mut store, "a", Propagation::Background);
        settle(&mut store);
        assert_eq!(left(&store), ["b", "c"]);
        assert_eq!(store.get(target(), "c").unwrap().head.owners.len(), 1);
    }

    #[test]
    fn another_object_of_the_same_name_is_no_owner() {
        let mut store = store();
        let a = make(&mut store, "a", &[], false);
        delete(&mut store, "a", Propagation::Background);
        make(&mut store, "a", &[], false);
        make(&mut store, "b", &[&a], false);
        settle(&mut store);
        assert_eq!(left(&store), ["a"]);
        let stray = json!({"metadata": {"name": "s", "ownerReferences": [{"apiVersion": "x.io/v1", "kind": "X", "name": "x", "uid": "u"}]}});
        store
            .create(target(), stray, WriteOptions::by("t", now()))
            .unwrap();
        settle(&mut store);
        assert_eq!(left(&store), ["a", "s"], "of an unknown kind nobody can tell");
    }

    proptest! {
        /// Whatever owns what and is deleted how: the collector comes to rest, nothing that has a living owner or never had one goes,
        /// nothing stays with dead owners only.
        #[test]
        fn the_collector_comes_to_rest(
            edges in prop::collection::vec((0..8_usize, 0..8_usize, any::<bool>()), 0..14),
            deleted in prop::collection::vec((0..8_usize, 0..3_u8), 1..4),
        ) {
            let mut store = store();
            let mut made: Vec<Arc<Object>> = Vec::new();
            for index in 0..8 {
                let owners: Vec<&Object> = edges.iter()
                    .filter(|(owner, dependent, _)| *dependent == index && *owner < index)
                    .map(|(owner, ..)| &*made[*owner])
                    .collect();
                let block = edges.iter().any(|(_, dependent, block)| *dependent == index && *block);
                let mut unique: Vec<&Object> = Vec::new();
                for owner in owners {
                    if !unique.iter().any(|known| known.uid == owner.uid) {
                        unique.push(owner);
                    }
                }
                made.push(make(&mut store, &format!("o{index}"), &unique, block));
            }
            let asked: Vec<usize> = deleted.iter().map(|(index, _)| *index).collect();
            for (index, how) in deleted {
                let how = [Propagation::Background, Propagation::Foreground, Propagation::Orphan][usize::from(how)];
                let options = DeleteOptions { propagation: Some(how), ..DeleteOptions::default() };
                let _ = store.delete(target(), &format!("o{index}"), &options, now());
            }
            settle(&mut store);
            for object in store.all(target().resource, Some("n")) {
                prop_assert!(!object.is_terminating());
                for owner in &object.head.owners {
                    let found = store.find(target().resource, Some("n"), &owner.name);
                    prop_assert_eq!(found.map(|found| found.uid_text()), Some(owner.uid.clone()));
                }
            }
            // What never had an owner goes only if it was deleted.
            for (index, object) in made.iter().enumerate().filter(|(_, object)| object.head.owners.is_empty()) {
                let gone = store.find(target().resource, Some("n"), object.name()).is_none();
                prop_assert_eq!(gone, asked.contains(&index));
            }
        }
    }
}
