//! Nodes: registration, readiness, what is computed when it is read.

use serde_json::{Value, json};

use super::*;
use crate::kube::controllers::testing::{World, kind};

fn seen(world: &World, plural: &str, namespace: &str) -> Arc<Object> {
    let object = world.find(plural, namespace, "n1").unwrap();
    world.cluster.present(kind(plural), object, world.now)
}

fn heartbeat(object: &Object) -> Vec<Value> {
    let list = object.at(&["status", "conditions"]).unwrap();
    let list = list.as_array().unwrap().iter();
    list.map(|condition| condition["lastHeartbeatTime"].clone())
        .collect()
}

#[test]
fn a_node_registers_and_becomes_ready() {
    let mut world = World::new();
    let mut spec = NodeSpec::worker("n1", [172, 22, 0, 1].into(), "v1.34.2");
    spec.role = Role::ControlPlane;
    spec.provider_id = "metal3://ns/host/n1".to_owned();
    spec.labels = vec![("metal3.io/uuid".to_owned(), "u".to_owned())];
    register(&mut world.cluster.store, &spec, world.now).unwrap();
    let taints = world.at("nodes", "n1", "/spec/taints");
    assert_eq!(
        taints,
        json!([
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
        ])
    );
    assert_eq!(
        world.condition("nodes", "n1", "Ready"),
        ("False".into(), "KubeletNotReady".into())
    );
    world.start("n1");
    world.after(1);
    let node = world.get("nodes", "n1");
    assert_eq!(
        world.condition("nodes", "n1", "Ready"),
        ("True".into(), "KubeletReady".into())
    );
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        assert_eq!(world.condition("nodes", "n1", kind).0, "False", "{kind}");
    }
    let list = node.at(&["status", "conditions"]).unwrap();
    assert_eq!(list[3]["type"], "Ready", "Ready is last");
    assert_eq!(node.at(&["spec", "podCIDRs"]), Some(json!(["10.244.0.0/24"])));
    assert_eq!(node.label("metal3.io/uuid"), Some("u"));
    let info = node.at(&["status", "nodeInfo"]).unwrap();
    assert_eq!(info.as_object().unwrap().len(), 10);
    assert_eq!(node.at(&["status", "capacity", "pods"]), Some(json!("110")));
    let lease = world.find("leases", LEASES, "n1").unwrap();
    assert_eq!(lease.head.owners.first().unwrap().uid, node.uid_text());
    assert_eq!(
        world.after(3700).next,
        None,
        "events end, and nothing else happens"
    );
}

#[test]
fn heartbeats_are_computed() {
    let mut world = World::with_node();
    let version = world.cluster.store.version();
    world.after(725);
    let node = seen(&world, "nodes", "");
    let expected = Second::of(crate::kube::controllers::testing::start() + TimeDelta::seconds(600)).text();
    assert_eq!(heartbeat(&node), vec![json!(expected); 4]);
    let lease = seen(&world, "leases", LEASES);
    let renewed = micro_time(crate::kube::controllers::testing::start() + TimeDelta::seconds(720));
    assert_eq!(lease.at(&["spec", "renewTime"]), Some(json!(renewed)));
    assert_eq!(world.cluster.store.version(), version, "nothing is written");
    world.stop("n1");
    world.after(7);
    assert_eq!(
        world
            .find("leases", LEASES, "n1")
            .unwrap()
            .at(&["spec", "renewTime"]),
        Some(json!(renewed)),
        "the last one stays"
    );
    assert_eq!(heartbeat(&seen(&world, "nodes", "")), vec![json!(expected); 4]);
}

#[test]
fn others_times_stay() {
    let mut world = World::with_node();
    let mut list = world.at("nodes", "n1", "/status/conditions");
    list.as_array_mut().unwrap().push(
        json!({"type": "NetworkUnavailable", "status": "False", "lastHeartbeatTime": "2023-01-01T00:00:00Z", "message": "\"lastHeartbeatTime\":\"2023-01-01T00:00:00Z\",\"type\":\"Ready\""}),
    );
    world.patch(
        "nodes",
        "n1",
        Part::Status,
        json!({"status": {"conditions": list}}),
    );
    world.after(700);
    let now = seen(&world, "nodes", "").at(&["status", "conditions"]).unwrap();
    assert_eq!(now[4], list[4]);
}

#[test]
fn a_reboot_shows() {
    let mut world = World::with_node();
    let boot = world.at("nodes", "n1", "/status/nodeInfo/bootID");
    world.after(100);
    world.stop("n1");
    world.after(10);
    world.start("n1");
    assert_eq!(
        world.condition("nodes", "n1", "Ready"),
        ("False".into(), "KubeletNotReady".into())
    );
    world.after(1);
    assert_eq!(world.condition("nodes", "n1", "Ready").0, "True");
    assert_ne!(world.at("nodes", "n1", "/status/nodeInfo/bootID"), boot);
    let events = world.events("n1");
    assert!(
        events.contains(&"Rebooted".to_owned()) && events.contains(&"NodeNotReady".to_owned()),
        "{events:?}"
    );
    // A pause is no reboot.
    let events = world.events("n1");
    let Some(Kubelet::Running { since }) = world.cluster.kubelets().get("n1").copied() else {
        panic!("it runs");
    };
    world.after(10);
    world.stop("n1");
    world.after(10);
    world
        .cluster
        .set_kubelet("n1", Some(Kubelet::Running { since }), world.now);
    world.after(5);
    assert_eq!(world.events("n1"), events);
}

#[test]
fn networks_are_given_out_and_taken_back() {
    let mut world = World::new();
    for number in 0..3 {
        world.boot(&format!("n{number}"), number);
    }
    assert_eq!(world.at("nodes", "n2", "/spec/podCIDR"), "10.244.2.0/24");
    world.delete("nodes", "n1");
    world.boot("n9", 9);
    assert_eq!(world.at("nodes", "n9", "/spec/podCIDR"), "10.244.1.0/24");
}

#[test]
fn what_the_caller_knows_of_a_node_is_told() {
    let mut world = World::new();
    let mut spec = NodeSpec::worker("n1", [172, 22, 0, 1].into(), "v1.34.2");
    spec.addresses = vec![("ExternalIP".to_owned(), "192.0.2.7".to_owned())];
    spec.pod_network = Some(([10, 9, 8, 0].into(), 25));
    spec.software.os_image = "An OS".to_owned();
    spec.taints = Some(Vec::new());
    let node = world.cluster.add_node(&spec, world.now).unwrap();
    assert_eq!(
        node.at(&["status", "addresses"]).unwrap()[2]["address"],
        "192.0.2.7"
    );
    world.after(2);
    assert_eq!(world.at("nodes", "n1", "/spec/podCIDR"), "10.9.8.0/25");
    assert_eq!(world.at("nodes", "n1", "/spec/podCIDRs"), json!(["10.9.8.0/25"]));
    assert_eq!(world.at("nodes", "n1", "/status/nodeInfo/osImage"), "An OS");
    world.pod("a", "n1", json!({}));
    world.after(3);
    let ip = world.at("pods", "a", "/status/podIP");
    assert!(ip.as_str().unwrap().starts_with("10.9.8."), "{ip}");
}
