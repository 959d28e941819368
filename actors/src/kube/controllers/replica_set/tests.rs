//! ReplicaSets and ReplicationControllers on a node whose kubelet runs.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, template};
use crate::kube::store::Part;

const COUNTS: [&str; 4] = [
    "replicas",
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
];

fn set(replicas: i64, more: Value) -> Value {
    let mut body = json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template("nginx:1")},
    });
    crate::kube::controllers::testing::merge(&mut body, more);
    body
}

#[test]
fn pods_are_made_counted_and_taken_away() {
    let mut world = World::with_node();
    world.create("replicasets", set(3, json!({})));
    assert_eq!(world.numbers("replicasets", "web", COUNTS), [3, 3, 0, 0]);
    world.after(3);
    assert_eq!(world.numbers("replicasets", "web", COUNTS), [3, 3, 3, 3]);
    assert_eq!(world.at("replicasets", "web", "/status/observedGeneration"), 1);
    let pod = world.names("pods").remove(0);
    assert_eq!(world.at("pods", &pod, "/metadata/generateName"), "web-");
    let owner = world.at("pods", &pod, "/metadata/ownerReferences/0");
    assert_eq!(
        (&owner["kind"], &owner["controller"]),
        (&json!("ReplicaSet"), &json!(true))
    );
    assert!(
        world
            .message("web", "SuccessfulCreate")
            .starts_with("Created pod: web-")
    );
    assert_eq!(world.settle().looks, 0);

    world.patch("replicasets", "web", Part::Main, json!({"spec": {"replicas": 1}}));
    assert_eq!(world.numbers("replicasets", "web", COUNTS), [1, 1, 1, 1]);
    assert_eq!(world.at("replicasets", "web", "/status/observedGeneration"), 2);
    world.after(3);
    assert_eq!(world.names("pods").len(), 1);
    assert_eq!(
        world
            .events("web")
            .iter()
            .filter(|event| *event == "SuccessfulDelete")
            .count(),
        2
    );

    world.delete("pods", &world.names("pods")[0].clone());
    assert_eq!(
        world.names("pods").len(),
        2,
        "the new one does not wait for the end of the old one"
    );
    world.after(3);
    assert_eq!(world.numbers("replicasets", "web", COUNTS), [1, 1, 1, 1]);
}

#[test]
fn orphans_are_taken_in_and_strangers_let_go() {
    let mut world = World::with_node();
    world.pod("orphan", "n1", json!({}));
    world.create("replicasets", set(2, json!({})));
    assert_eq!(world.names("pods").len(), 2);
    assert_eq!(
        world.at("pods", "orphan", "/metadata/ownerReferences/0/name"),
        "web"
    );
    world.patch(
        "pods",
        "orphan",
        Part::Main,
        json!({"metadata": {"labels": {"app": "other"}}}),
    );
    assert_eq!(
        world.at("pods", "orphan", "/metadata/ownerReferences"),
        Value::Null
    );
    assert_eq!(world.names("pods").len(), 3);
    world.after(3);
    world.pod("late", "n1", json!({}));
    assert!(
        world.find("pods", "default", "late").is_none(),
        "taken in, and one too many"
    );
    assert_eq!(world.numbers("replicasets", "web", COUNTS), [2, 2, 2, 2]);
}

#[test]
fn pods_that_are_over_are_replaced_and_stay() {
    let mut world = World::with_node();
    world.create("replicasets", set(1, json!({})));
    let first = world.names("pods").remove(0);
    world.status("pods", &first, json!({"phase": "Failed"}));
    assert_eq!(world.names("pods").len(), 2);
    assert_eq!(world.at("pods", &first, "/status/phase"), "Failed");
}

#[test]
fn what_is_not_ready_goes_first() {
    let mut world = World::with_node();
    world.create("replicasets", set(2, json!({})));
    world.after(3);
    let old = world.names("pods");
    world.patch("replicasets", "web", Part::Main, json!({"spec": {"replicas": 3}}));
    world.patch("replicasets", "web", Part::Main, json!({"spec": {"replicas": 2}}));
    world.after(3);
    assert_eq!(world.names("pods"), old);
    let dear = old[1].clone();
    let cost = json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "10"}}});
    world.patch("pods", &dear, Part::Main, cost);
    world.patch("replicasets", "web", Part::Main, json!({"spec": {"replicas": 1}}));
    world.after(3);
    assert_eq!(world.names("pods"), [dear]);
}

#[test]
fn pods_become_available_after_a_while() {
    let mut world = World::with_node();
    world.create("replicasets", set(1, json!({"spec": {"minReadySeconds": 10}})));
    world.after(11);
    assert_eq!(world.numbers("replicasets", "web", COUNTS), [1, 1, 1, 0]);
    world.after(1);
    assert_eq!(world.numbers("replicasets", "web", COUNTS), [1, 1, 1, 1]);
}

#[test]
fn replication_controllers_do_the_same() {
    let mut world = World::with_node();
    world.create(
        "replicationcontrollers",
        json!({
            "metadata": {"name": "web"},
            "spec": {"replicas": 2, "selector": {"app": "web"}, "template": template("nginx:1")},
        }),
    );
    world.after(3);
    assert_eq!(
        world.numbers("replicationcontrollers", "web", COUNTS),
        [2, 2, 2, 2]
    );
    let pod = world.names("pods").remove(0);
    assert_eq!(
        world.at("pods", &pod, "/metadata/ownerReferences/0/kind"),
        "ReplicationController"
    );
}
