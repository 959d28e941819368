//! Pods that nobody ends any more.

use serde_json::json;

use super::*;
use crate::kube::controllers::testing::World;
use crate::kube::store::Part;

#[test]
fn the_pods_of_a_deleted_node_go() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.pod(
        "held",
        "n1",
        json!({"metadata": {"finalizers": ["example.com/hold"]}}),
    );
    world.after(100);
    world.delete("nodes", "n1");
    world.after(39);
    assert!(!world.get("pods", "a").is_terminating());
    world.after(1);
    assert!(world.find("pods", "default", "a").is_none());
    assert_eq!(world.at("pods", "held", "/status/phase"), "Failed");
    assert_eq!(
        world.condition("pods", "held", "DisruptionTarget"),
        ("True".into(), "DeletionByPodGC".into())
    );
    assert_eq!(
        world.message("n1", "RemovingNode"),
        "Node n1 event: Removing Node n1 from Controller"
    );
}

#[test]
fn a_node_that_returns_in_time_keeps_its_pods() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.after(5);
    world.delete("nodes", "n1");
    world.after(30);
    world.boot("n1", 1);
    world.after(60);
    assert_eq!(world.at("pods", "a", "/status/phase"), "Running");
}

#[test]
fn a_pod_for_a_node_that_never_was_goes() {
    let mut world = World::new();
    world.pod("a", "nowhere", json!({}));
    world.after(39);
    assert!(world.find("pods", "default", "a").is_some());
    world.after(1);
    assert!(world.find("pods", "default", "a").is_none());
}

#[test]
fn a_node_out_of_service_lets_its_pods_go() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.after(5);
    world.stop("n1");
    world.after(60);
    world.delete("pods", "a");
    assert!(world.get("pods", "a").is_terminating());
    let taint =
        json!([{"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}]);
    world.patch("nodes", "n1", Part::Main, json!({"spec": {"taints": taint}}));
    assert!(world.find("pods", "default", "a").is_none());
    world.pod("b", "n1", json!({}));
    assert!(
        world.find("pods", "default", "b").is_none(),
        "evicted and forced out"
    );
}

#[test]
fn of_too_many_that_are_over_the_oldest_go() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({"spec": {"restartPolicy": "Never"}}));
    world.after(10);
    assert!(is_over(world.get("pods", "a")));
    let behaviour = world.cluster.behaviour().clone();
    let context = Context {
        now: world.now,
        seed: crate::seed::Seed::root(1),
        behaviour: &behaviour,
        kubelets: &world.cluster.kubelets().clone(),
        ailments: &world.cluster.ailments().clone(),
        etcd: None,
        root_ca: "",
    };
    drop_oldest(&mut world.cluster.store, &context, 1).unwrap();
    assert!(world.find("pods", "default", "a").is_some());
    drop_oldest(&mut world.cluster.store, &context, 0).unwrap();
    assert!(world.find("pods", "default", "a").is_none());
}
