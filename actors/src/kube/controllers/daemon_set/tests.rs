//! DaemonSets on nodes whose kubelets run.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, merge, template};
use crate::kube::store::Part;

const COUNTS: [&str; 7] = [
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "updatedNumberScheduled",
    "numberReady",
    "numberAvailable",
    "numberUnavailable",
    "numberMisscheduled",
];

/// So many workers, `n1` and on, that are ready and without taints.
fn world(nodes: u8) -> World {
    let mut world = World::new();
    for number in 1..=nodes {
        add(&mut world, number);
    }
    world
}

fn add(world: &mut World, number: u8) {
    let name = format!("n{number}");
    world.boot(&name, number);
    world.after(2);
    world.patch("nodes", &name, Part::Main, json!({"spec": {"taints": null}}));
}

fn body(image: &str, more: Value) -> Value {
    let mut template = template(image);
    template["spec"].as_object_mut().unwrap().remove("nodeName");
    let mut body = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    });
    merge(&mut body, more);
    body
}

fn counts(world: &World) -> [i64; 7] {
    world.numbers("daemonsets", "web", COUNTS)
}

fn image(name: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": name}]}}}})
}

fn images(world: &World) -> Vec<String> {
    let mut found: Vec<String> = world
        .names("pods")
        .iter()
        .map(|pod| {
            let image = world.at("pods", pod, "/spec/containers/0/image");
            image.as_str().unwrap().to_owned()
        })
        .collect();
    found.sort();
    found
}

#[test]
fn each_node_has_a_pod() {
    let mut world = world(2);
    world.create("daemonsets", body("nginx:1", json!({})));
    assert_eq!(counts(&world), [2, 2, 2, 0, 0, 2, 0]);
    world.after(3);
    assert_eq!(counts(&world), [2, 2, 2, 2, 2, 0, 0]);
    assert_eq!(world.at("daemonsets", "web", "/status/observedGeneration"), 1);
    let pod = world.names("pods").remove(0);
    let spec = world.at("pods", &pod, "/spec");
    let node = spec["nodeName"].clone();
    let field = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0";
    assert_eq!(
        spec.pointer(field).unwrap(),
        &json!({"key": "metadata.name", "operator": "In", "values": [node]})
    );
    let tolerations = spec["tolerations"].as_array().unwrap();
    assert_eq!(tolerations.len(), 6, "{tolerations:?}");
    let revision = world.names("controllerrevisions").remove(0);
    let hash = revision.strip_prefix("web-").unwrap();
    let labels = world.at("pods", &pod, "/metadata/labels");
    assert_eq!(
        labels,
        json!({"app": "web", "controller-revision-hash": hash, "pod-template-generation": "1"})
    );
    let kept = world.at("controllerrevisions", &revision, "/data/spec/template");
    assert_eq!(
        (&kept["$patch"], &kept["spec"]["containers"][0]["image"]),
        (&json!("replace"), &json!("nginx:1"))
    );
    assert_eq!(world.settle().looks, 0);

    add(&mut world, 3);
    world.after(3);
    assert_eq!(counts(&world), [3, 3, 3, 3, 3, 0, 0]);
    world.delete("pods", &world.names("pods")[0].clone());
    world.after(5);
    assert_eq!(counts(&world), [3, 3, 3, 3, 3, 0, 0]);
}

#[test]
fn selectors_and_taints_decide_about_nodes() {
    let mut world = world(3);
    world.patch(
        "nodes",
        "n1",
        Part::Main,
        json!({"metadata": {"labels": {"disk": "ssd"}}}),
    );
    world.patch(
        "nodes",
        "n2",
        Part::Main,
        json!({"metadata": {"labels": {"disk": "ssd"}}, "spec": {"unschedulable": true}}),
    );
    world.create(
        "daemonsets",
        body(
            "nginx:1",
            json!({"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}}),
        ),
    );
    world.after(3);
    assert_eq!(counts(&world)[..2], [2, 2], "cordoned nodes count");
    assert_eq!(world.cluster.store.count_pods_on("n3"), 0);
    let taint = |effect: &str| json!({"spec": {"taints": [{"key": "k", "effect": effect}]}});
    world.patch("nodes", "n1", Part::Main, taint("NoSchedule"));
    assert_eq!(
        counts(&world),
        [1, 1, 1, 1, 1, 0, 1],
        "it may stay, but is not wanted"
    );
    world.patch("nodes", "n1", Part::Main, taint("NoExecute"));
    world.after(3);
    assert_eq!(counts(&world), [1, 1, 1, 1, 1, 0, 0]);
    world.patch(
        "nodes",
        "n2",
        Part::Main,
        json!({"metadata": {"labels": {"disk": null}}}),
    );
    world.after(3);
    assert_eq!((counts(&world)[0], world.names("pods").len()), (0, 0));
}

#[test]
fn an_update_takes_one_node_after_the_other() {
    let mut world = world(3);
    world.create("daemonsets", body("nginx:1", json!({})));
    world.after(3);
    world.patch("daemonsets", "web", Part::Main, image("nginx:2"));
    assert_eq!(
        world.at("daemonsets", "web", "/status/updatedNumberScheduled"),
        Value::Null
    );
    for _ in 0..15 {
        assert!(counts(&world)[4] >= 2, "{:?}", counts(&world));
        world.after(1);
    }
    assert_eq!(counts(&world), [3, 3, 3, 3, 3, 0, 0]);
    assert_eq!(images(&world), ["nginx:2"; 3]);
    assert_eq!(world.names("controllerrevisions").len(), 2);

    // As `kubectl rollout undo`.
    world.patch("daemonsets", "web", Part::Main, image("nginx:1"));
    world.after(20);
    assert_eq!(images(&world), ["nginx:1"; 3]);
    let mut numbers: Vec<i64> = world
        .names("controllerrevisions")
        .iter()
        .map(|name| {
            world
                .at("controllerrevisions", name, "/revision")
                .as_i64()
                .unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[test]
fn new_pods_can_come_before_the_old_ones_go() {
    let mut world = world(2);
    let strategy =
        json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}});
    world.create("daemonsets", body("nginx:1", strategy));
    world.after(3);
    world.patch("daemonsets", "web", Part::Main, image("nginx:2"));
    assert_eq!(images(&world), ["nginx:1", "nginx:1", "nginx:2"]);
    for _ in 0..12 {
        assert_eq!(counts(&world)[4], 2);
        world.after(1);
    }
    assert_eq!(images(&world), ["nginx:2"; 2]);
}

#[test]
fn updates_on_deletion_and_history() {
    let mut world = world(1);
    let more = json!({"spec": {"updateStrategy": {"type": "OnDelete"}, "revisionHistoryLimit": 1}});
    world.create("daemonsets", body("nginx:1", more));
    for name in ["nginx:2", "nginx:3", "nginx:4"] {
        world.patch("daemonsets", "web", Part::Main, image(name));
    }
    world.after(3);
    assert_eq!(images(&world), ["nginx:1"]);
    assert_eq!(counts(&world)[2], 0);
    assert_eq!(
        world.names("controllerrevisions").len(),
        3,
        "the used one, the new one, and one more"
    );
    world.delete("pods", &world.names("pods")[0].clone());
    world.after(5);
    assert_eq!(
        (images(&world), counts(&world)[2]),
        (vec!["nginx:4".to_owned()], 1)
    );
}

#[test]
fn failed_pods_are_replaced() {
    let mut world = world(1);
    world.create("daemonsets", body("nginx:1", json!({})));
    world.after(3);
    let first = world.names("pods").remove(0);
    world.status("pods", &first, json!({"phase": "Failed"}));
    world.after(3);
    assert!(!world.names("pods").contains(&first));
    assert_eq!(counts(&world)[3], 1);
    assert_eq!(
        world.message("web", "FailedDaemonPod"),
        format!("Found failed daemon pod default/{first} on node n1, will try to kill it")
    );
}
