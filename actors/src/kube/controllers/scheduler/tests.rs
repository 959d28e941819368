//! Pods find nodes, or say why not.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, merge};
use crate::kube::store::Part;

/// So many workers, `n1` and on, each with room for four cores.
fn world(nodes: u8) -> World {
    let mut world = World::new();
    for number in 1..=nodes {
        world.boot(&format!("n{number}"), number);
    }
    world.after(2);
    for number in 1..=nodes {
        let name = format!("n{number}");
        world.patch("nodes", &name, Part::Main, json!({"spec": {"taints": null}}));
    }
    world
}

fn pod(world: &mut World, name: &str, more: Value) {
    let mut body = json!({
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "nginx:1"}]},
    });
    merge(&mut body, more);
    world.create("pods", body);
}

fn cpu(amount: &str) -> Value {
    json!({"spec": {"containers": [{"name": "app", "image": "nginx:1", "resources": {"requests": {"cpu": amount}}}]}})
}

fn node(world: &World, pod: &str) -> String {
    let node = world.at("pods", pod, "/spec/nodeName");
    node.as_str().unwrap_or("").to_owned()
}

fn why(world: &World, pod: &str) -> String {
    let condition = world.at("pods", pod, "/status/conditions/0");
    assert_eq!(
        (&condition["type"], &condition["status"]),
        (&json!("PodScheduled"), &json!("False"))
    );
    condition["message"].as_str().unwrap().to_owned()
}

fn affinity(kind: &str, when: &str, terms: Value) -> Value {
    json!({"spec": {"affinity": {kind: {format!("{when}DuringSchedulingIgnoredDuringExecution"): terms}}}})
}

#[test]
fn a_pod_is_bound_and_runs() {
    let mut world = world(1);
    pod(&mut world, "a", json!({}));
    assert_eq!(node(&world, "a"), "n1");
    assert_eq!(
        world.condition("pods", "a", "PodScheduled"),
        ("True".into(), "".into())
    );
    assert_eq!(
        world.message("a", "Scheduled"),
        "Successfully assigned default/a to n1"
    );
    world.after(3);
    assert_eq!(world.at("pods", "a", "/status/phase"), "Running");
    assert_eq!(world.settle().looks, 0);
}

#[test]
fn pods_spread_over_the_nodes() {
    let mut world = world(3);
    for name in ["a", "b", "c", "d", "e", "f"] {
        pod(&mut world, name, json!({}));
    }
    for name in ["n1", "n2", "n3"] {
        assert_eq!(world.cluster.store.count_pods_on(name), 2, "{name}");
    }
}

#[test]
fn other_schedulers_and_gates() {
    let mut world = world(1);
    pod(&mut world, "other", json!({"spec": {"schedulerName": "mine"}}));
    assert_eq!(node(&world, "other"), "");
    assert_eq!(world.at("pods", "other", "/status/conditions"), Value::Null);
    pod(
        &mut world,
        "gated",
        json!({"spec": {"schedulingGates": [{"name": "a.b/c"}]}}),
    );
    assert_eq!(
        world.condition("pods", "gated", "PodScheduled"),
        ("False".into(), "SchedulingGated".into())
    );
    world.patch(
        "pods",
        "gated",
        Part::Main,
        json!({"spec": {"schedulingGates": null}}),
    );
    assert_eq!(node(&world, "gated"), "n1");
}

#[test]
fn no_nodes_at_all_then_one() {
    let mut world = World::new();
    pod(&mut world, "a", json!({}));
    assert_eq!(why(&world, "a"), "no nodes available to schedule pods");
    assert_eq!(world.condition("pods", "a", "PodScheduled").1, "Unschedulable");
    assert_eq!(world.events("a"), ["FailedScheduling"]);
    world.after(301);
    assert_eq!(
        world.events("a"),
        ["FailedScheduling x2"],
        "told again after five minutes"
    );
    world.boot("n1", 1);
    world.after(2);
    world.patch("nodes", "n1", Part::Main, json!({"spec": {"taints": null}}));
    assert_eq!(node(&world, "a"), "n1");
    assert_eq!(
        world.condition("pods", "a", "PodScheduled"),
        ("True".into(), "".into())
    );
}

#[test]
fn the_sentence_tells_what_each_node_lacks() {
    let mut world = world(4);
    let taints = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
    world.patch("nodes", "n1", Part::Main, json!({"spec": {"taints": taints}}));
    world.patch(
        "nodes",
        "n2",
        Part::Main,
        json!({"spec": {"unschedulable": true}}),
    );
    world.patch(
        "nodes",
        "n3",
        Part::Main,
        json!({"metadata": {"labels": {"disk": "ssd"}}}),
    );
    pod(&mut world, "big", cpu("3"));
    assert_eq!(node(&world, "big"), "n3");
    let mut wants = cpu("2");
    merge(&mut wants, json!({"spec": {"nodeSelector": {"disk": "ssd"}}}));
    pod(&mut world, "a", wants);
    assert_eq!(
        why(&world, "a"),
        "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, \
         1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 1 node(s) were unschedulable. \
         no new claims to deallocate, preemption: 0/4 nodes are available: 1 No preemption victims found for \
         incoming pod, 3 Preemption is not helpful for scheduling."
    );
    assert_eq!(world.message("a", "FailedScheduling"), why(&world, "a"));
    world.after(3);
    // Room comes free when the other pod is gone.
    world.delete("pods", "big");
    assert_eq!(node(&world, "a"), "");
    world.after(2);
    assert_eq!(node(&world, "a"), "n3");
}

#[test]
fn resources_and_the_number_of_pods() {
    let mut world = world(1);
    pod(&mut world, "huge", cpu("5"));
    assert!(why(&world, "huge").starts_with("0/1 nodes are available: 1 Insufficient cpu. no new claims"));
    assert!(
        why(&world, "huge").ends_with("0/1 nodes are available: 1 Preemption is not helpful for scheduling.")
    );
    let gpu = json!({"spec": {"containers": [{"name": "app", "image": "i:1", "resources": {"limits": {"nvidia.com/gpu": 1}}}]}});
    pod(&mut world, "gpu", gpu);
    assert!(why(&world, "gpu").contains("1 Insufficient nvidia.com/gpu."));
    world.status(
        "nodes",
        "n1",
        json!({"allocatable": {"pods": "1", "nvidia.com/gpu": "1"}}),
    );
    assert_eq!(node(&world, "gpu"), "n1");
    pod(&mut world, "more", json!({}));
    assert!(why(&world, "more").contains("1 Too many pods."));
}

#[test]
fn taints_are_tolerated_and_soft_ones_avoided() {
    let mut world = world(2);
    let taint = |effect: &str| json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": effect}]}});
    world.patch("nodes", "n1", Part::Main, taint("NoSchedule"));
    world.patch("nodes", "n2", Part::Main, taint("NoExecute"));
    pod(&mut world, "a", json!({}));
    assert!(why(&world, "a").contains("2 node(s) had untolerated taint {k: v}."));
    let tolerations = json!([{"key": "k", "value": "v", "effect": "NoExecute"}]);
    pod(&mut world, "b", json!({"spec": {"tolerations": tolerations}}));
    assert_eq!(node(&world, "b"), "n2");
    world.patch("nodes", "n1", Part::Main, json!({"spec": {"taints": null}}));
    world.patch("nodes", "n2", Part::Main, taint("PreferNoSchedule"));
    for name in ["c", "d", "e"] {
        pod(&mut world, name, json!({}));
        assert_eq!(node(&world, name), "n1");
    }
}

#[test]
fn host_ports_are_free_once() {
    let mut world = world(1);
    let port = json!({"spec": {"containers": [{"name": "app", "image": "i:1", "ports": [{"containerPort": 80, "hostPort": 80}]}]}});
    pod(&mut world, "a", port.clone());
    pod(&mut world, "b", port);
    assert_eq!(node(&world, "a"), "n1");
    assert!(why(&world, "b").contains("1 node(s) didn't have free ports for the requested pod ports."));
}

#[test]
fn node_affinity_is_required_or_preferred() {
    let mut world = world(3);
    world.patch(
        "nodes",
        "n3",
        Part::Main,
        json!({"metadata": {"labels": {"zone": "z3"}}}),
    );
    let term = |key: &str| json!({"matchExpressions": [{"key": key, "operator": "Exists"}]});
    let required = |key: &str| json!({"nodeSelectorTerms": [term(key)]});
    pod(
        &mut world,
        "a",
        affinity("nodeAffinity", "required", required("zone")),
    );
    pod(
        &mut world,
        "b",
        affinity("nodeAffinity", "required", required("rack")),
    );
    pod(
        &mut world,
        "c",
        affinity(
            "nodeAffinity",
            "preferred",
            json!([{"weight": 5, "preference": term("zone")}]),
        ),
    );
    assert_eq!(
        (node(&world, "a"), node(&world, "b"), node(&world, "c")),
        ("n3".into(), "".into(), "n3".into())
    );
    let field = json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}]});
    let mut named = affinity("nodeAffinity", "required", field);
    pod(&mut world, "d", named.clone());
    assert_eq!(node(&world, "d"), "n2");
    merge(&mut named, cpu("5"));
    pod(&mut world, "e", named);
    assert!(
        why(&world, "e").contains("1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].")
    );
    world.patch(
        "nodes",
        "n1",
        Part::Main,
        json!({"metadata": {"labels": {"rack": "r1"}}}),
    );
    assert_eq!(node(&world, "b"), "n1", "tried again when labels change");
}

#[test]
fn pods_keep_together_and_apart() {
    let mut world = world(2);
    let term = |app: &str| json!([{"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}]);
    let apart = affinity("podAntiAffinity", "required", term("web"));
    pod(&mut world, "a", apart.clone());
    pod(&mut world, "b", apart.clone());
    assert_ne!(node(&world, "a"), node(&world, "b"));
    pod(&mut world, "c", apart);
    assert!(why(&world, "c").contains("2 node(s) didn't match pod anti-affinity rules."));
    pod(&mut world, "d", json!({}));
    assert!(why(&world, "d").contains("2 node(s) didn't satisfy existing pods anti-affinity rules."));

    let mut near = affinity("podAffinity", "required", term("db"));
    merge(&mut near, json!({"metadata": {"labels": {"app": "client"}}}));
    pod(&mut world, "e", near);
    assert!(why(&world, "e").contains("2 node(s) didn't match pod affinity rules."));
    pod(
        &mut world,
        "db",
        json!({"metadata": {"labels": {"app": "db"}}, "spec": {"nodeName": "n2"}}),
    );
    assert_eq!(node(&world, "e"), "n2", "tried again when a pod comes");
    let mut first = affinity("podAffinity", "required", term("own"));
    merge(&mut first, json!({"metadata": {"labels": {"app": "own"}}}));
    pod(&mut world, "f", first);
    assert_ne!(node(&world, "f"), "", "the first of those that keep together");
}

#[test]
fn preferred_anti_affinity_spreads() {
    let mut world = world(2);
    for name in ["x", "y", "z"] {
        pod(
            &mut world,
            name,
            json!({"metadata": {"labels": {"app": "x"}}, "spec": {"nodeName": "n2"}}),
        );
    }
    let term = json!([{"weight": 100, "podAffinityTerm": {
        "labelSelector": {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]},
        "topologyKey": "kubernetes.io/hostname",
    }}]);
    for name in ["dns-1", "dns-2"] {
        let mut dns = affinity("podAntiAffinity", "preferred", term.clone());
        merge(
            &mut dns,
            json!({"metadata": {"labels": {"app": null, "k8s-app": "kube-dns"}}}),
        );
        pod(&mut world, name, dns);
    }
    assert_eq!(
        (node(&world, "dns-1"), node(&world, "dns-2")),
        ("n1".into(), "n2".into())
    );
}

#[test]
fn spreading_can_be_required() {
    let mut world = world(2);
    let spread = json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]);
    let wants = json!({"spec": {"topologySpreadConstraints": spread}});
    pod(&mut world, "a", wants.clone());
    assert!(
        why(&world, "a")
            .contains("2 node(s) didn't match pod topology spread constraints (missing required label).")
    );
    world.patch(
        "nodes",
        "n1",
        Part::Main,
        json!({"metadata": {"labels": {"zone": "1"}}}),
    );
    world.patch(
        "nodes",
        "n2",
        Part::Main,
        json!({"metadata": {"labels": {"zone": "2"}}, "spec": {"unschedulable": true}}),
    );
    assert_eq!(node(&world, "a"), "n1");
    pod(&mut world, "b", wants);
    assert!(
        why(&world, "b").contains(
            "1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable."
        )
    );
}

#[test]
fn claims_are_waited_for() {
    let mut world = world(1);
    let volumes =
        json!({"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}});
    pod(&mut world, "a", volumes);
    assert!(
        why(&world, "a").starts_with("0/1 nodes are available: persistentvolumeclaim \"data\" not found.")
    );
    world.create(
        "storageclasses",
        json!({"metadata": {"name": "late"}, "provisioner": "x.y/z", "volumeBindingMode": "WaitForFirstConsumer"}),
    );
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"storageClassName": "late", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    world.create("persistentvolumeclaims", claim);
    let selected = "/metadata/annotations/volume.kubernetes.io~1selected-node";
    assert_eq!(world.at("persistentvolumeclaims", "data", selected), "n1");
    assert_eq!(node(&world, "a"), "");
    world.patch(
        "persistentvolumeclaims",
        "data",
        Part::Main,
        json!({"spec": {"volumeName": "pv-1"}}),
    );
    assert_eq!(node(&world, "a"), "n1");
}

#[test]
fn the_more_important_goes_first() {
    let mut world = world(1);
    pod(&mut world, "blocker", cpu("3"));
    for (name, priority) in [("low", 1), ("high", 2)] {
        let mut wants = cpu("3");
        merge(&mut wants, json!({"spec": {"priority": priority}}));
        pod(&mut world, name, wants);
        assert_eq!(node(&world, name), "");
    }
    world.delete("pods", "blocker");
    world.after(2);
    assert_eq!(
        (node(&world, "low"), node(&world, "high")),
        ("".into(), "n1".into())
    );
}
