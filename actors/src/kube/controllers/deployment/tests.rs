//! Deployments on a node whose kubelet runs.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, merge, template};
use crate::kube::object::Object;
use crate::kube::store::Part;

const COUNTS: [&str; 5] = [
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
];

fn deployment(replicas: i64, more: Value) -> Value {
    let mut body = json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template("nginx:1")},
    });
    merge(&mut body, more);
    body
}

fn image(name: &str) -> Value {
    json!({"spec": {"template": template(name)}})
}

/// Name, size and revision of each ReplicaSet by age.
fn sets(world: &World) -> Vec<(String, i64, String)> {
    let mut found: Vec<(u64, (String, i64, String))> = world
        .names("replicasets")
        .into_iter()
        .map(|name| {
            let object: &Object = world.get("replicasets", &name);
            let revision = object.annotation(super::REVISION).unwrap().to_owned();
            let size = object.at(&["spec", "replicas"]).unwrap().as_i64().unwrap();
            (revision.parse().unwrap(), (name, size, revision))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, set)| set).collect()
}

fn sizes(world: &World) -> Vec<i64> {
    sets(world).into_iter().map(|(_, size, _)| size).collect()
}

fn progressing(world: &World) -> (String, String) {
    world.condition("deployments", "web", "Progressing")
}

#[test]
fn a_rollout_comes_to_its_end() {
    let mut world = World::with_node();
    world.create(
        "deployments",
        deployment(
            3,
            json!({"metadata": {"annotations": {"kubernetes.io/change-cause": "first"}}}),
        ),
    );
    assert_eq!(world.numbers("deployments", "web", COUNTS), [3, 3, 0, 0, 3]);
    assert_eq!(progressing(&world), ("True".into(), "ReplicaSetUpdated".into()));
    assert_eq!(
        world.condition("deployments", "web", "Available"),
        ("False".into(), "MinimumReplicasUnavailable".into())
    );
    let (name, size, revision) = sets(&world).remove(0);
    assert_eq!((size, &*revision), (3, "1"));
    let hash = name.strip_prefix("web-").unwrap();
    for path in [
        "/metadata/labels",
        "/spec/selector/matchLabels",
        "/spec/template/metadata/labels",
    ] {
        let labels = world.at("replicasets", &name, path);
        assert_eq!(labels, json!({"app": "web", "pod-template-hash": hash}), "{path}");
    }
    let annotations = world.at("replicasets", &name, "/metadata/annotations");
    assert_eq!(
        annotations,
        json!({
            "deployment.kubernetes.io/desired-replicas": "3",
            "deployment.kubernetes.io/max-replicas": "4",
            "deployment.kubernetes.io/revision": "1",
            "kubernetes.io/change-cause": "first",
        })
    );
    assert_eq!(
        world.message("web", "ScalingReplicaSet"),
        format!("Scaled up replica set {name} from 0 to 3")
    );
    world.after(3);
    assert_eq!(world.numbers("deployments", "web", COUNTS), [3, 3, 3, 3, 0]);
    assert_eq!(
        progressing(&world),
        ("True".into(), "NewReplicaSetAvailable".into())
    );
    let conditions = world.at("deployments", "web", "/status/conditions");
    let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
    assert!(conditions.to_string().contains(&message.replace('"', "\\\"")));
    assert_eq!(world.condition("deployments", "web", "Available").0, "True");
    assert_eq!(
        world.at(
            "deployments",
            "web",
            "/metadata/annotations/deployment.kubernetes.io~1revision"
        ),
        "1"
    );
    assert_eq!(world.at("deployments", "web", "/metadata/generation"), 1);
    assert_eq!(world.at("deployments", "web", "/status/observedGeneration"), 1);
    assert_eq!(world.settle().looks, 0);
    world.after(2000);
    assert_eq!(
        progressing(&world).1,
        "NewReplicaSetAvailable",
        "the deadline is for rollouts"
    );
}

#[test]
fn an_update_rolls_within_its_bounds_and_back() {
    let mut world = World::with_node();
    world.create("deployments", deployment(4, json!({})));
    world.after(3);
    world.patch("deployments", "web", Part::Main, image("nginx:2"));
    assert_eq!(sizes(&world), [3, 2], "one more, one less than four");
    for _ in 0..20 {
        let [replicas, _, _, available, _] = world.numbers("deployments", "web", COUNTS);
        assert!(replicas <= 5 && available >= 3, "{replicas} {available}");
        world.after(1);
    }
    assert_eq!(sizes(&world), [0, 4]);
    assert_eq!(world.numbers("deployments", "web", COUNTS), [4, 4, 4, 4, 0]);
    assert_eq!(progressing(&world).1, "NewReplicaSetAvailable");
    let first = sets(&world).remove(0).0;

    // As `kubectl rollout undo`: the template of the first revision again.
    world.patch("deployments", "web", Part::Main, image("nginx:1"));
    world.after(20);
    let found = sets(&world);
    assert_eq!((&found[1].0, found[1].1, &*found[1].2), (&first, 4, "3"));
    assert_eq!((found[0].1, &*found[0].2), (0, "2"));
    let history = world.at(
        "replicasets",
        &first,
        "/metadata/annotations/deployment.kubernetes.io~1revision-history",
    );
    assert_eq!(history, "1");
    assert_eq!(
        world.at(
            "deployments",
            "web",
            "/metadata/annotations/deployment.kubernetes.io~1revision"
        ),
        "3"
    );

    // As `kubectl rollout restart`.
    let restart = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}});
    world.patch("deployments", "web", Part::Main, restart);
    world.after(20);
    assert_eq!(sizes(&world), [0, 0, 4]);
    assert_eq!(world.names("pods").len(), 4);
}

#[test]
fn recreate_waits_for_the_end_of_the_old_pods() {
    let mut world = World::with_node();
    world.create(
        "deployments",
        deployment(2, json!({"spec": {"strategy": {"type": "Recreate"}}})),
    );
    world.after(3);
    world.patch("deployments", "web", Part::Main, image("nginx:2"));
    assert_eq!(sizes(&world), [0]);
    assert_eq!(world.numbers("deployments", "web", COUNTS), [0, 0, 0, 0, 0]);
    world.after(1);
    assert_eq!(sizes(&world), [0, 2]);
    world.after(3);
    assert_eq!(world.numbers("deployments", "web", COUNTS), [2, 2, 2, 2, 0]);
    assert_eq!(progressing(&world).1, "NewReplicaSetAvailable");
}

#[test]
fn a_rollout_that_does_not_get_on_fails_and_can_recover() {
    let mut world = World::with_node();
    world.create(
        "deployments",
        deployment(1, json!({"spec": {"progressDeadlineSeconds": 60}})),
    );
    world.after(3);
    let mut stuck = template("nginx:2");
    stuck["spec"]["nodeName"] = "elsewhere".into();
    world.patch(
        "deployments",
        "web",
        Part::Main,
        json!({"spec": {"template": stuck}}),
    );
    world.after(60);
    assert_eq!(progressing(&world), ("True".into(), "ReplicaSetUpdated".into()));
    world.after(3);
    assert_eq!(
        progressing(&world),
        ("False".into(), "ProgressDeadlineExceeded".into())
    );
    assert_eq!(
        world.condition("deployments", "web", "Available").0,
        "True",
        "the old pod is still there"
    );
    world.patch("deployments", "web", Part::Main, image("nginx:3"));
    world.after(10);
    assert_eq!(
        progressing(&world),
        ("True".into(), "NewReplicaSetAvailable".into())
    );
    assert_eq!(sizes(&world), [0, 0, 1]);
}

#[test]
fn a_pause_holds_a_rollout() {
    let mut world = World::with_node();
    world.create("deployments", deployment(2, json!({})));
    world.after(3);
    world.patch(
        "deployments",
        "web",
        Part::Main,
        json!({"spec": {"paused": true}}),
    );
    assert_eq!(progressing(&world), ("Unknown".into(), "DeploymentPaused".into()));
    world.patch("deployments", "web", Part::Main, image("nginx:2"));
    assert_eq!(sizes(&world), [2]);
    world.patch("deployments", "web", Part::Main, json!({"spec": {"replicas": 3}}));
    assert_eq!(sizes(&world), [3], "what is paused can be scaled");
    world.patch(
        "deployments",
        "web",
        Part::Main,
        json!({"spec": {"paused": false}}),
    );
    assert_eq!(sizes(&world).len(), 2);
    world.after(20);
    assert_eq!(sizes(&world), [0, 3]);
    assert_eq!(progressing(&world).1, "NewReplicaSetAvailable");
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_in_proportion() {
    let mut world = World::with_node();
    world.create(
        "deployments",
        deployment(
            10,
            json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}}}),
        ),
    );
    world.after(3);
    let mut stuck = template("nginx:2");
    stuck["spec"]["nodeName"] = "elsewhere".into();
    world.patch(
        "deployments",
        "web",
        Part::Main,
        json!({"spec": {"template": stuck}}),
    );
    assert_eq!(sizes(&world), [8, 5]);
    world.patch(
        "deployments",
        "web",
        Part::Main,
        json!({"spec": {"replicas": 15}}),
    );
    assert_eq!(sizes(&world), [11, 7], "the example of the documentation");
}

#[test]
fn history_is_limited() {
    let mut world = World::with_node();
    world.create(
        "deployments",
        deployment(1, json!({"spec": {"revisionHistoryLimit": 1}})),
    );
    for number in 2..5 {
        world.after(10);
        world.patch(
            "deployments",
            "web",
            Part::Main,
            image(&format!("nginx:{number}")),
        );
    }
    world.after(10);
    let revisions: Vec<String> = sets(&world).into_iter().map(|set| set.2).collect();
    assert_eq!(revisions, ["3", "4"]);
}

#[test]
fn a_replica_set_of_the_same_name_is_no_obstacle() {
    let mut world = World::with_node();
    world.create("deployments", deployment(1, json!({})));
    let name = world.names("replicasets").remove(0);
    let mut twin = World::with_node();
    let mut other = template("nginx:1");
    other["metadata"]["labels"] = json!({"app": "other"});
    twin.create(
        "replicasets",
        json!({"metadata": {"name": name}, "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "other"}}, "template": other}}),
    );
    twin.create("deployments", deployment(1, json!({})));
    twin.after(5);
    assert_eq!(twin.at("deployments", "web", "/status/collisionCount"), 1);
    assert_eq!(twin.numbers("deployments", "web", COUNTS), [1, 1, 1, 1, 0]);
}

#[test]
fn replica_sets_without_an_owner_are_taken_in() {
    let mut world = World::with_node();
    world.create(
        "replicasets",
        json!({"metadata": {"name": "old", "labels": {"app": "web"}}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template("nginx:1")}}),
    );
    world.create("deployments", deployment(1, json!({})));
    world.after(3);
    assert_eq!(world.names("replicasets"), ["old"]);
    assert_eq!(
        world.at("replicasets", "old", "/metadata/ownerReferences/0/kind"),
        "Deployment"
    );
    assert_eq!(sizes(&world), [1]);
}

#[test]
fn pods_of_a_deployment_are_scheduled_apart() {
    let mut world = World::new();
    for number in 1..=3 {
        let name = format!("n{number}");
        world.boot(&name, number);
        world.after(2);
        world.patch("nodes", &name, Part::Main, json!({"spec": {"taints": null}}));
    }
    let mut unbound = template("nginx:1");
    unbound["spec"].as_object_mut().unwrap().remove("nodeName");
    let mut body = deployment(3, json!({}));
    body["spec"]["template"] = unbound;
    world.create("deployments", body);
    world.after(3);
    assert_eq!(world.numbers("deployments", "web", COUNTS), [3, 3, 3, 3, 0]);
    for name in ["n1", "n2", "n3"] {
        assert_eq!(world.cluster.store.count_pods_on(name), 1, "{name}");
    }
    // As `kubectl drain`.
    world.patch(
        "nodes",
        "n1",
        Part::Main,
        json!({"spec": {"unschedulable": true}}),
    );
    let on_it: Vec<String> = world
        .cluster
        .store
        .pods_on("n1")
        .map(|pod| pod.name().to_owned())
        .collect();
    world.delete("pods", &on_it[0]);
    world.after(5);
    assert_eq!(world.cluster.store.count_pods_on("n1"), 0);
    assert_eq!(world.numbers("deployments", "web", COUNTS), [3, 3, 3, 3, 0]);
}
