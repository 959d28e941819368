//! Tests.

use chrono::TimeZone as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kube::resource::BUILT_IN;
use crate::kube::store::{Limits, PatchKind, Settings};
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
fn foreground_gets_out_of_a_circle() {
    for names in [&["a", "b"][..], &["a", "b", "c"][..]] {
        let mut store = store();
        let mut last = make(&mut store, "a", &[], false);
        for name in names.iter().skip(1) {
            last = make(&mut store, name, &[&last], true);
        }
        let close = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": last.name(),
            "uid": last.uid_text(), "blockOwnerDeletion": true}]}});
        let options = WriteOptions::by("t", now());
        store
            .patch(target(), "a", Part::Main, PatchKind::Merge, &close, options)
            .unwrap();
        settle(&mut store);
        assert_eq!(left(&store), names, "a circle that nobody deletes stays");
        delete(&mut store, "a", Propagation::Foreground);
        settle(&mut store);
        assert!(left(&store).is_empty(), "{:?}", left(&store));
    }
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
fn orphans_of_two_owners_stay() {
    let mut store = store();
    let (a, b) = (
        make(&mut store, "a", &[], false),
        make(&mut store, "b", &[], false),
    );
    make(&mut store, "c", &[&a, &b], false);
    delete(&mut store, "a", Propagation::Orphan);
    delete(&mut store, "b", Propagation::Orphan);
    settle(&mut store);
    assert_eq!(left(&store), ["c"]);
    assert!(store.get(target(), "c").unwrap().head.owners.is_empty());
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
