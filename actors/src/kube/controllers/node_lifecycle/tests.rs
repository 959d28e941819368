//! Nodes whose kubelet is silent.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, start};
use crate::kube::etcd::Etcd;
use crate::kube::object::Second;
use crate::kube::store::Part;
use crate::seed::Seed;

/// The taints of a node as `key:effect`, sorted.
fn taints(world: &World, node: &str) -> Vec<String> {
    let list = world.at("nodes", node, "/spec/taints");
    let text = |taint: &Value, field: &str| taint[field].as_str().unwrap_or("").to_owned();
    let mut found: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|taint| {
            let key = text(taint, "key");
            let key = key.strip_prefix("node.kubernetes.io/").unwrap_or(&key).to_owned();
            format!("{key}:{}", text(taint, "effect"))
        })
        .collect();
    found.sort();
    found
}

fn nodes(count: u8) -> World {
    let mut world = World::new();
    for number in 1..=count {
        world.boot(&format!("n{number}"), number);
    }
    world.after(2);
    world
}

#[test]
fn a_ready_node_has_no_taints() {
    let mut world = World::new();
    world.boot("n1", 1);
    assert_eq!(taints(&world, "n1"), ["not-ready:NoSchedule"]);
    world.after(1);
    assert!(taints(&world, "n1").is_empty());
    assert_eq!(world.at("nodes", "n1", "/spec/taints"), Value::Null);
    assert_eq!(
        world.message("n1", "RegisteredNode"),
        "Node n1 event: Registered Node n1 in Controller"
    );
}

#[test]
fn a_silent_node_is_lost_and_comes_back() {
    let mut world = nodes(2);
    world.pod("a", "n1", json!({}));
    world.after(10);
    let since = world.now;
    world.stop("n1");
    world.after(39);
    assert_eq!(world.condition("nodes", "n1", "Ready").0, "True");
    world.after(11);
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        assert_eq!(
            world.condition("nodes", "n1", kind),
            ("Unknown".into(), "NodeStatusUnknown".into()),
            "{kind}"
        );
    }
    let list = world.at("nodes", "n1", "/status/conditions");
    let ready = list
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["type"] == "Ready")
        .unwrap();
    assert_eq!(ready["message"], "Kubelet stopped posting node status.");
    let beat = Second::parse(ready["lastHeartbeatTime"].as_str().unwrap()).unwrap();
    assert!(beat <= Second::of(since) && beat >= Second::of(start()));
    assert_eq!(taints(&world, "n1"), ["unreachable:NoSchedule"]);
    assert_eq!(world.condition("pods", "a", "Ready").0, "False");
    assert_eq!(world.condition("pods", "a", "ContainersReady").0, "True");
    assert_eq!(world.at("pods", "a", "/status/phase"), "Running");
    assert_eq!(
        world.message("n1", "NodeNotReady"),
        "Node n1 status is now: NodeNotReady"
    );
    assert_eq!(world.message("a", "NodeNotReady"), "Node is not ready");
    world.after(5);
    assert_eq!(
        taints(&world, "n1"),
        ["unreachable:NoExecute", "unreachable:NoSchedule"]
    );
    assert!(world.at("nodes", "n1", "/spec/taints/0/timeAdded").is_string());
    assert!(taints(&world, "n2").is_empty());
    world.after(100);
    world.start("n1");
    world.after(3);
    assert!(taints(&world, "n1").is_empty());
    assert_eq!(world.condition("nodes", "n1", "Ready").0, "True");
    assert_eq!(world.condition("pods", "a", "Ready").0, "True");
    assert!(
        world
            .events("n1")
            .iter()
            .any(|event| event.starts_with("NodeReady"))
    );
}

#[test]
fn pods_leave_a_lost_node_after_five_minutes() {
    let mut world = nodes(2);
    world.pod("a", "n1", json!({}));
    let stays = json!([{"operator": "Exists"}]);
    world.pod("stays", "n1", json!({"spec": {"tolerations": stays}}));
    world.after(5);
    world.stop("n1");
    world.after(340);
    assert!(!world.get("pods", "a").is_terminating());
    world.after(20);
    assert!(world.get("pods", "a").is_terminating(), "nobody confirms its end");
    assert!(!world.get("pods", "stays").is_terminating());
    assert_eq!(
        world.condition("pods", "a", "DisruptionTarget"),
        ("True".into(), "DeletionByTaintManager".into())
    );
    world.start("n1");
    world.after(3);
    assert!(world.find("pods", "default", "a").is_none());
}

#[test]
fn a_cluster_that_is_lost_as_a_whole_keeps_its_pods() {
    let mut world = nodes(1);
    world.pod("a", "n1", json!({}));
    world.after(5);
    world.stop("n1");
    world.after(1000);
    assert_eq!(taints(&world, "n1"), ["unreachable:NoSchedule"]);
    assert!(!world.get("pods", "a").is_terminating());
    world.boot("n2", 2);
    world.after(20);
    assert_eq!(
        taints(&world, "n1"),
        ["unreachable:NoExecute", "unreachable:NoSchedule"],
        "now there is a place to go"
    );
}

#[test]
fn nodes_are_given_up_one_after_the_other_and_not_if_most_are_lost() {
    let mut world = nodes(6);
    for node in ["n1", "n2", "n3"] {
        world.stop(node);
    }
    let given_up = |world: &World| {
        let all = ["n1", "n2", "n3", "n4"].into_iter();
        all.filter(|node| taints(world, node).len() == 2).count()
    };
    world.after(55);
    let first = given_up(&world);
    assert!(first <= 1, "{first}");
    world.after(25);
    assert_eq!(given_up(&world), 3);
    world.stop("n4");
    world.after(100);
    assert_eq!(world.condition("nodes", "n4", "Ready").0, "Unknown");
    assert_eq!(given_up(&world), 3, "four of six are lost");
}

#[test]
fn what_a_client_made_is_watched_too() {
    let mut world = World::new();
    world.create("nodes", json!({"metadata": {"name": "bare"}}));
    world.after(49);
    assert_eq!(world.condition("nodes", "bare", "Ready").0, "");
    world.after(1);
    assert_eq!(
        world.condition("nodes", "bare", "Ready"),
        ("Unknown".into(), "NodeStatusNeverUpdated".into())
    );
    assert_eq!(taints(&world, "bare"), ["unreachable:NoSchedule"]);
    let beat = Second::of(world.now).text();
    let ready = json!([{"type": "Ready", "status": "True", "lastHeartbeatTime": beat}]);
    world.patch(
        "nodes",
        "bare",
        Part::Status,
        json!({"status": {"conditions": ready}}),
    );
    assert!(taints(&world, "bare").is_empty());
    world.after(49);
    assert_eq!(world.condition("nodes", "bare", "Ready").0, "True");
    world.after(1);
    assert_eq!(world.condition("nodes", "bare", "Ready").0, "Unknown");
}

#[test]
fn cordons_and_pressure_become_taints() {
    let mut world = nodes(1);
    world.patch(
        "nodes",
        "n1",
        Part::Main,
        json!({"spec": {"unschedulable": true}}),
    );
    assert_eq!(taints(&world, "n1"), ["unschedulable:NoSchedule"]);
    let mut list = world.at("nodes", "n1", "/status/conditions");
    list.as_array_mut()
        .unwrap()
        .push(json!({"type": "NetworkUnavailable", "status": "True"}));
    world.patch(
        "nodes",
        "n1",
        Part::Status,
        json!({"status": {"conditions": list}}),
    );
    assert_eq!(
        taints(&world, "n1"),
        ["network-unavailable:NoSchedule", "unschedulable:NoSchedule"]
    );
    world.patch(
        "nodes",
        "n1",
        Part::Main,
        json!({"spec": {"unschedulable": null}}),
    );
    assert_eq!(taints(&world, "n1"), ["network-unavailable:NoSchedule"]);
    assert_eq!(world.settle().looks, 0);
}

#[test]
fn nobody_is_lost_while_etcd_has_no_quorum() {
    let mut world = nodes(1);
    let etcd = Etcd::new(Seed::root(1), "cp", "https://cp:2380", "https://cp:2379");
    let member = etcd.by_name("cp").unwrap().0;
    world.cluster.set_etcd(Some(etcd));
    world.cluster.etcd_mut().unwrap().stop(member);
    assert!(!world.cluster.has_storage());
    world.stop("n1");
    let version = world.cluster.store.version();
    assert_eq!(world.after(3600).next, None);
    assert_eq!(world.cluster.store.version(), version);
    let etcd = world.cluster.etcd_mut().unwrap();
    etcd.start(member, "cp", "https://cp:2379").unwrap();
    world.settle();
    assert_eq!(world.condition("nodes", "n1", "Ready").0, "Unknown");
}
