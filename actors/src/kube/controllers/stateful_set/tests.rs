//! StatefulSets on a node whose kubelet runs.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, merge, template};
use crate::kube::store::Part;

const COUNTS: [&str; 5] = [
    "replicas",
    "readyReplicas",
    "availableReplicas",
    "currentReplicas",
    "updatedReplicas",
];

fn set(replicas: i64, more: Value) -> Value {
    let mut body = json!({
        "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "web"}},
            "template": template("nginx:1"),
        },
    });
    merge(&mut body, more);
    body
}

fn counts(world: &World) -> [i64; 5] {
    world.numbers("statefulsets", "db", COUNTS)
}

fn image(name: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": name}]}}}})
}

fn images(world: &World) -> Vec<Value> {
    let names = world.names("pods");
    let image = |pod: &String| world.at("pods", pod, "/spec/containers/0/image");
    names.iter().map(image).collect()
}

fn scale(world: &mut World, replicas: i64) {
    world.patch(
        "statefulsets",
        "db",
        Part::Main,
        json!({"spec": {"replicas": replicas}}),
    );
}

#[test]
fn pods_come_and_go_in_order() {
    let mut world = World::with_node();
    world.create("statefulsets", set(3, json!({})));
    assert_eq!(world.names("pods"), ["db-0"]);
    world.after(2);
    assert_eq!(world.names("pods"), ["db-0", "db-1"]);
    world.after(5);
    assert_eq!(counts(&world), [3, 3, 3, 3, 3]);
    let revision = world.names("controllerrevisions").remove(0);
    assert_eq!(
        world.at("pods", "db-1", "/metadata/labels"),
        json!({
            "app": "web",
            "apps.kubernetes.io/pod-index": "1",
            "controller-revision-hash": revision,
            "statefulset.kubernetes.io/pod-name": "db-1",
        })
    );
    assert_eq!(world.at("pods", "db-1", "/spec/hostname"), "db-1");
    assert_eq!(world.at("pods", "db-1", "/spec/subdomain"), "db");
    let status = world.at("statefulsets", "db", "/status");
    assert_eq!(
        (&status["currentRevision"], &status["updateRevision"]),
        (&json!(revision), &json!(revision))
    );
    let message = world.message("db", "SuccessfulCreate");
    assert!(message.starts_with("create Pod db-") && message.ends_with(" in StatefulSet db successful"));
    assert_eq!(world.settle().looks, 0);

    scale(&mut world, 1);
    assert!(world.get("pods", "db-2").is_terminating() && !world.get("pods", "db-1").is_terminating());
    world.after(1);
    assert_eq!(world.names("pods"), ["db-0", "db-1"]);
    world.after(2);
    assert_eq!(world.names("pods"), ["db-0"]);
    assert_eq!(counts(&world), [1, 1, 1, 1, 1]);
    world.delete("pods", "db-0");
    world.after(5);
    assert_eq!(counts(&world), [1, 1, 1, 1, 1]);
}

#[test]
fn pods_come_and_go_at_once() {
    let mut world = World::with_node();
    world.create(
        "statefulsets",
        set(
            3,
            json!({"spec": {"podManagementPolicy": "Parallel", "ordinals": {"start": 5}}}),
        ),
    );
    assert_eq!(world.names("pods"), ["db-5", "db-6", "db-7"]);
    world.after(3);
    scale(&mut world, 0);
    world.after(2);
    assert_eq!(world.names("pods").len(), 0);
    assert_eq!(counts(&world), [0; 5]);
}

#[test]
fn an_update_goes_from_the_last_to_the_first() {
    let mut world = World::with_node();
    world.create("statefulsets", set(3, json!({})));
    world.after(10);
    world.patch("statefulsets", "db", Part::Main, image("nginx:2"));
    let status = world.at("statefulsets", "db", "/status");
    assert_ne!(status["currentRevision"], status["updateRevision"]);
    world.after(3);
    assert_eq!(images(&world), ["nginx:1", "nginx:1", "nginx:2"]);
    assert_eq!(counts(&world)[3..], [1, 1], "the second one is on its way out");
    world.after(10);
    assert_eq!(images(&world), ["nginx:2"; 3]);
    assert_eq!(counts(&world), [3, 3, 3, 3, 3]);
    let status = world.at("statefulsets", "db", "/status");
    assert_eq!(status["currentRevision"], status["updateRevision"]);

    // As `kubectl rollout undo`.
    world.patch("statefulsets", "db", Part::Main, image("nginx:1"));
    world.after(15);
    assert_eq!(images(&world), ["nginx:1"; 3]);
    assert_eq!(world.names("controllerrevisions").len(), 2);
}

#[test]
fn a_partition_keeps_the_first_ones() {
    let mut world = World::with_node();
    world.create(
        "statefulsets",
        set(
            3,
            json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}}),
        ),
    );
    world.after(10);
    world.patch("statefulsets", "db", Part::Main, image("nginx:2"));
    world.after(10);
    assert_eq!(images(&world), ["nginx:1", "nginx:1", "nginx:2"]);
    assert_eq!(counts(&world), [3, 3, 3, 2, 1]);
    world.delete("pods", "db-0");
    world.after(5);
    assert_eq!(
        images(&world)[0],
        "nginx:1",
        "what is below the partition stays as it was"
    );
}

#[test]
fn updates_on_deletion() {
    let mut world = World::with_node();
    world.create(
        "statefulsets",
        set(
            1,
            json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}}),
        ),
    );
    world.after(3);
    world.patch("statefulsets", "db", Part::Main, image("nginx:2"));
    world.after(10);
    assert_eq!(images(&world), ["nginx:1"]);
    world.delete("pods", "db-0");
    world.after(5);
    assert_eq!(images(&world), ["nginx:2"]);
}

fn with_claims(retention: Value) -> Value {
    set(
        2,
        json!({"spec": {
            "podManagementPolicy": "Parallel",
            "persistentVolumeClaimRetentionPolicy": retention,
            "volumeClaimTemplates": [{
                "metadata": {"name": "data", "labels": {"tier": "fast"}},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }],
        }}),
    )
}

#[test]
fn claims_are_made_and_stay() {
    let mut world = World::with_node();
    world.create("statefulsets", with_claims(json!({})));
    assert_eq!(world.names("persistentvolumeclaims"), ["data-db-0", "data-db-1"]);
    let labels = world.at("persistentvolumeclaims", "data-db-0", "/metadata/labels");
    assert_eq!(labels, json!({"app": "web", "tier": "fast"}));
    assert_eq!(
        world.at("pods", "db-1", "/spec/volumes/0"),
        json!({"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1"}})
    );
    assert_eq!(
        world.at("persistentvolumeclaims", "data-db-1", "/metadata/ownerReferences"),
        Value::Null
    );
    scale(&mut world, 0);
    world.after(3);
    assert_eq!(world.names("persistentvolumeclaims").len(), 2);
}

#[test]
fn claims_go_with_their_owners() {
    let mut world = World::with_node();
    for name in ["one", "two"] {
        let volume = json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}}});
        world.create("persistentvolumes", volume);
    }
    world.create(
        "statefulsets",
        with_claims(json!({"whenDeleted": "Delete", "whenScaled": "Delete"})),
    );
    let owner = |world: &World, claim: &str| {
        world.at(
            "persistentvolumeclaims",
            claim,
            "/metadata/ownerReferences/0/kind",
        )
    };
    assert_eq!(owner(&world, "data-db-1"), "StatefulSet");
    // A pod that runs takes its time to end.
    for pod in ["db-0", "db-1"] {
        world.after(3);
        assert_eq!(world.at("pods", pod, "/status/phase"), "Running");
    }
    scale(&mut world, 1);
    assert_eq!(owner(&world, "data-db-0"), "StatefulSet");
    assert_eq!(owner(&world, "data-db-1"), "Pod");
}

#[test]
fn pods_that_are_over_are_made_anew() {
    let mut world = World::with_node();
    world.create("statefulsets", set(1, json!({})));
    world.after(3);
    let first = world.get("pods", "db-0").uid;
    world.status("pods", "db-0", json!({"phase": "Failed"}));
    world.after(5);
    assert_ne!(world.get("pods", "db-0").uid, first);
    assert_eq!(counts(&world), [1, 1, 1, 1, 1]);
}
