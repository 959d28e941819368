//! Tests of apply and of the account of fields. The cases are written after the rules of structured-merge-diff's own tests.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kube::structure::{built_in, from_schema};

fn layout() -> Arc<Type> {
    built_in("apps", "v1", "Deployment")
}

fn writer(manager: &str, second: i64) -> Writer<'_> {
    Writer {
        manager,
        api_version: "apps/v1",
        subresource: "",
        now: Second(second),
    }
}

/// An object with its account, and what is done to it.
#[derive(Clone, Debug)]
struct World {
    layout: Arc<Type>,
    object: Value,
    managed: Vec<ManagedEntry>,
    clock: i64,
}

impl World {
    fn new() -> Self {
        Self {
            layout: layout(),
            object: json!({}),
            managed: Vec::new(),
            clock: 0,
        }
    }

    fn apply(&mut self, manager: &str, config: Value, force: bool) -> Result<(), Status> {
        self.clock += 1;
        let (object, managed) = apply(
            &self.layout,
            &self.object,
            &config,
            &self.managed,
            &writer(manager, self.clock),
            force,
        )?;
        self.object = object;
        self.managed = managed;
        Ok(())
    }

    fn update(&mut self, manager: &str, new: Value) {
        self.clock += 1;
        self.managed = track(
            &self.layout,
            &self.object,
            &new,
            &self.managed,
            &writer(manager, self.clock),
        );
        self.object = new;
    }

    fn owned(&self, manager: &str) -> Value {
        let entry = self.managed.iter().find(|entry| &*entry.manager == manager);
        entry.map_or(Value::Null, |entry| {
            serde_json::from_str(&entry.fields.text()).unwrap()
        })
    }
}

#[test]
fn an_applier_owns_what_it_applies_and_removes_what_it_drops() {
    let mut world = World::new();
    world
        .apply(
            "a",
            json!({"metadata": {"name": "d", "labels": {"x": "1", "y": "1"}}, "spec": {"replicas": 1}}),
            false,
        )
        .unwrap();
    assert_eq!(
        world.owned("a"),
        json!({"f:metadata": {"f:labels": {"f:x": {}, "f:y": {}}}, "f:spec": {"f:replicas": {}}})
    );
    world
        .apply(
            "a",
            json!({"metadata": {"name": "d", "labels": {"x": "2"}}}),
            false,
        )
        .unwrap();
    assert_eq!(
        world.object,
        json!({"metadata": {"name": "d", "labels": {"x": "2"}}})
    );
    assert_eq!(world.owned("a"), json!({"f:metadata": {"f:labels": {"f:x": {}}}}));
}

#[test]
fn a_conflict_names_manager_and_field_and_force_takes_it() {
    let mut world = World::new();
    world
        .apply("a", json!({"spec": {"replicas": 1, "paused": true}}), false)
        .unwrap();
    let status = world
        .apply("b", json!({"spec": {"replicas": 2}}), false)
        .unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (
            409,
            "Apply failed with 1 conflict: conflict with \"a\": .spec.replicas"
        )
    );
    let cause = &status.details.unwrap().causes[0];
    assert_eq!(
        (cause.kind.as_str(), cause.message.as_str(), cause.field.as_str()),
        ("FieldManagerConflict", "conflict with \"a\"", ".spec.replicas")
    );
    world.apply("b", json!({"spec": {"replicas": 1}}), false).unwrap();
    assert_eq!(
        world.owned("b"),
        json!({"f:spec": {"f:replicas": {}}}),
        "the same value is shared"
    );
    world.apply("b", json!({"spec": {"replicas": 3}}), true).unwrap();
    assert_eq!(world.owned("a"), json!({"f:spec": {"f:paused": {}}}));
    world.update("c", json!({"spec": {"replicas": 4, "paused": false}}));
    let status = world
        .apply("a", json!({"spec": {"replicas": 1, "paused": true}}), false)
        .unwrap_err();
    assert_eq!(
        status.message,
        "Apply failed with 2 conflicts: conflicts with \"c\" using apps/v1:\n- .spec.paused\n- .spec.replicas"
    );
}

#[test]
fn a_shared_field_stays_until_the_last_applier_drops_it() {
    let mut world = World::new();
    world
        .apply("a", json!({"metadata": {"labels": {"x": "1"}}}), false)
        .unwrap();
    world
        .apply("b", json!({"metadata": {"labels": {"x": "1"}}}), false)
        .unwrap();
    world
        .apply("a", json!({"metadata": {"labels": {"z": "1"}}}), false)
        .unwrap();
    assert_eq!(
        world.object,
        json!({"metadata": {"labels": {"x": "1", "z": "1"}}})
    );
    world
        .apply("b", json!({"metadata": {"annotations": {"n": "1"}}}), false)
        .unwrap();
    assert_eq!(
        world.object,
        json!({"metadata": {"annotations": {"n": "1"}, "labels": {"z": "1"}}})
    );
}

#[test]
fn keyed_lists_sets_and_atomic_parts() {
    let mut world = World::new();
    let spec = |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    world
        .apply(
            "a",
            spec(json!([{"name": "x", "image": "1", "ports": [{"containerPort": 80}]}])),
            false,
        )
        .unwrap();
    world
        .apply(
            "b",
            spec(json!([{"name": "y", "image": "1"}, {"name": "x", "env": [{"name": "E", "value": "1"}]}])),
            false,
        )
        .unwrap();
    assert_eq!(
        world.object,
        spec(
            json!([{"name": "y", "image": "1"}, {"name": "x", "image": "1", "ports": [{"containerPort": 80}], "env": [{"name": "E", "value": "1"}]}])
        )
    );
    assert_eq!(
        world.owned("a")["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"x\"}"]["f:ports"],
        json!({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}})
    );
    world.apply("a", spec(json!([])), false).unwrap();
    assert_eq!(
        world.object,
        spec(json!([{"name": "y", "image": "1"}, {"name": "x", "env": [{"name": "E", "value": "1"}]}])),
        "the item stays for its other owner, without what only the first one set"
    );
    let status = world
        .apply("a", spec(json!([{"image": "1"}])), false)
        .unwrap_err();
    assert_eq!(status.code, 500);
    assert!(status.message.contains(".spec.template.spec.containers: element 0: associative list with keys has an element that omits key field \"name\""), "{status}");
    // The selector is atomic: it is owned as one.
    world
        .apply(
            "a",
            json!({"spec": {"selector": {"matchLabels": {"k": "1", "l": "1"}}}}),
            false,
        )
        .unwrap();
    assert_eq!(world.owned("a"), json!({"f:spec": {"f:selector": {}}}));
    world
        .apply("a", json!({"metadata": {"finalizers": ["p", "q"]}}), false)
        .unwrap();
    world
        .apply("b", json!({"metadata": {"finalizers": ["r"]}}), false)
        .unwrap();
    assert_eq!(
        world.owned("a"),
        json!({"f:metadata": {"f:finalizers": {"v:\"p\"": {}, "v:\"q\"": {}}}})
    );
    world
        .apply("a", json!({"metadata": {"finalizers": ["q"]}}), false)
        .unwrap();
    assert_eq!(world.object["metadata"]["finalizers"], json!(["q", "r"]));
}

#[test]
fn updates_take_fields_and_lose_them() {
    let mut world = World::new();
    world.update(
        "a",
        json!({"metadata": {"labels": {"x": "1"}}, "spec": {"replicas": 1}}),
    );
    assert_eq!(
        world.owned("a"),
        json!({"f:metadata": {"f:labels": {".": {}, "f:x": {}}}, "f:spec": {".": {}, "f:replicas": {}}})
    );
    world.update("b", json!({"metadata": {"labels": {"x": "2"}}, "spec": {}}));
    assert_eq!(world.owned("b"), json!({"f:metadata": {"f:labels": {"f:x": {}}}}));
    assert_eq!(
        world.owned("a"),
        json!({"f:metadata": {"f:labels": {}}, "f:spec": {}})
    );
    let times: Vec<_> = world.managed.iter().map(|entry| entry.time).collect();
    assert_eq!(times, [Some(Second(1)), Some(Second(2))]);
}

#[test]
fn what_was_there_before_the_first_apply_has_an_owner() {
    let mut world = World::new();
    world.object = json!({"spec": {"replicas": 1}});
    let status = world
        .apply("a", json!({"spec": {"replicas": 2}}), false)
        .unwrap_err();
    assert!(
        status
            .message
            .contains("conflict with \"before-first-apply\" using apps/v1: .spec.replicas"),
        "{status}"
    );
    // kubectl may take what its client-side apply had set and nobody changed.
    let last = json!({"apiVersion": "apps/v1", "spec": {"replicas": 1}}).to_string();
    world.object["metadata"] =
        json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}});
    world
        .apply("kubectl", json!({"spec": {"replicas": 2}}), false)
        .unwrap();
    assert_eq!(world.object["spec"]["replicas"], json!(2));
}

#[test]
fn old_updaters_are_merged() {
    let mut world = World::new();
    for index in 0..15 {
        let mut object = world.object.clone();
        object[format!("field{index}")] = 1.into();
        world.update(&format!("m{index}"), object);
    }
    assert_eq!(world.managed.len(), 10);
    assert_ne!(world.owned("ancient-changes"), Value::Null);
    assert_ne!(world.owned("m14"), Value::Null);
    let all = managers(&world.managed)
        .values()
        .fold(FieldSet::default(), |sum, owned| sum.union(&owned.fields));
    assert_eq!(all.paths().len(), 15, "no field is lost");
}

#[test]
fn custom_resources_without_marks_have_atomic_lists_and_free_maps() {
    let mut world = World::new();
    world.layout = from_schema(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}),
    );
    world
        .apply("a", json!({"spec": {"list": [1], "map": {"x": 1}}}), false)
        .unwrap();
    assert_eq!(
        world.owned("a"),
        json!({"f:spec": {"f:list": {}, "f:map": {".": {}, "f:x": {}}}})
    );
    assert!(world.apply("b", json!({"spec": {"list": [2]}}), false).is_err());
}

#[derive(Clone, Debug)]
enum Op {
    Apply(u8, Value, bool),
    Update(u8, Value),
}

fn config() -> impl Strategy<Value = Value> {
    let labels = prop::option::of(prop::collection::btree_map("[xyz]", "[12]", 1..3));
    let containers = prop::option::of(prop::collection::btree_map(
        "[a-c]",
        prop::option::of("[12]"),
        1..3,
    ));
    let finalizers = prop::option::of(prop::collection::btree_set("[pqr]", 1..3));
    (labels, containers, finalizers, prop::option::of(0..3_i64)).prop_map(
        |(labels, containers, finalizers, replicas)| {
            let mut object = json!({"metadata": {"name": "d"}});
            if let Some(labels) = labels {
                object["metadata"]["labels"] = json!(labels);
            }
            if let Some(finalizers) = finalizers {
                object["metadata"]["finalizers"] = json!(finalizers);
            }
            if let Some(containers) = containers {
                let list: Vec<Value> = containers
                    .into_iter()
                    .map(|(name, image)| {
                        image.map_or_else(
                            || json!({"name": name}),
                            |image| json!({"name": name, "image": image}),
                        )
                    })
                    .collect();
                object["spec"]["template"]["spec"]["containers"] = json!(list);
            }
            if let Some(replicas) = replicas {
                object["spec"]["replicas"] = replicas.into();
            }
            object
        },
    )
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (0..3_u8, config(), any::<bool>()).prop_map(|(manager, config, force)| Op::Apply(manager, config, force)),
        1 => (0..3_u8, config()).prop_map(|(manager, config)| Op::Update(manager, config)),
    ];
    prop::collection::vec(op, 1..12)
}

fn run(world: &mut World, op: &Op) {
    match op {
        Op::Apply(manager, config, force) => {
            let _ = world.apply(&format!("m{manager}"), config.clone(), *force);
        }
        Op::Update(manager, config) => world.update(&format!("m{manager}"), config.clone()),
    }
}

proptest! {
    /// To apply the same again changes neither object nor account, not even its time.
    #[test]
    fn applying_twice_is_applying_once(history in ops(), config in config()) {
        let mut world = World::new();
        for op in &history {
            run(&mut world, op);
        }
        world.apply("z", config.clone(), true).unwrap();
        let (object, managed) = (world.object.clone(), world.managed.clone());
        world.apply("z", config, false).unwrap();
        prop_assert_eq!(&world.object, &object);
        prop_assert_eq!(&world.managed, &managed);
    }

    /// After an apply the object holds the configuration, its manager owns exactly that, and nobody owns what is not there.
    #[test]
    fn the_account_fits_the_object(history in ops(), config in config()) {
        let mut world = World::new();
        for op in &history {
            run(&mut world, op);
        }
        world.apply("z", config.clone(), true).unwrap();
        let shape = Shape::Struct(layout());
        prop_assert_eq!(walk::merge(&world.object, &config, &shape), world.object.clone());
        let there = walk::compare(&json!({}), &world.object, &shape).added.union(&walk::field_set(&world.object, &shape));
        for (id, owned) in managers(&world.managed) {
            let stray = owned.fields.difference(&there);
            prop_assert!(stray.is_empty(), "{:?} owns {:?} in {}", id, stray.paths(), world.object);
        }
        prop_assert_eq!(
            managers(&world.managed).get(&id("z", Operation::Apply, "", "")).map(|owned| owned.fields.clone()).unwrap_or_default(),
            walk::field_set(&config, &shape).difference(&nobodys())
        );
    }

    /// Who drops everything leaves nothing behind that only he had applied.
    #[test]
    fn dropping_all_removes_what_was_ones_own(first in config(), second in config()) {
        let mut world = World::new();
        world.apply("a", first, false).unwrap();
        let before = world.object.clone();
        world.apply("b", second, true).unwrap();
        world.apply("b", json!({"metadata": {"name": "d"}}), false).unwrap();
        let shape = Shape::Struct(layout());
        let comparison = walk::compare(&before, &world.object, &shape);
        prop_assert!(comparison.added.is_empty(), "{:?}", comparison);
    }
}
