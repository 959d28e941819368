//! Quotas: what is counted.

use serde_json::{Value, json};

use crate::kube::controllers::testing::World;
use crate::kube::store::Part;

fn quota(world: &mut World, name: &str, spec: Value) {
    world.create(
        "resourcequotas",
        json!({"metadata": {"name": name}, "spec": spec}),
    );
}

fn used(world: &World, name: &str) -> Value {
    world.at("resourcequotas", name, "/status/used")
}

#[test]
fn objects_are_counted() {
    let mut world = World::new();
    let hard = json!({"configmaps": "5", "count/configmaps": "5", "count/deployments.apps": "2", "services": "3",
        "services.nodeports": "3", "persistentvolumeclaims": "2", "requests.storage": "10Gi",
        "gold.storageclass.storage.k8s.io/requests.storage": "5Gi"});
    quota(&mut world, "q", json!({ "hard": hard }));
    assert_eq!(world.at("resourcequotas", "q", "/status/hard"), hard);
    assert_eq!(used(&world, "q")["services"], "1", "the API server's own");
    let ports = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81}]);
    world.create(
        "services",
        json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": ports}}),
    );
    let claim = |name: &str, class: &str| {
        json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "1Gi"}}}})
    };
    world.create("persistentvolumeclaims", claim("a", "gold"));
    world.create("persistentvolumeclaims", claim("b", "slow"));
    assert_eq!(
        used(&world, "q"),
        json!({"configmaps": "1", "count/configmaps": "1", "count/deployments.apps": "0", "services": "2",
            "services.nodeports": "2", "persistentvolumeclaims": "2", "requests.storage": "2Gi",
            "gold.storageclass.storage.k8s.io/requests.storage": "1Gi"})
    );
    world.delete("services", "s");
    assert_eq!(used(&world, "q")["services.nodeports"], "0");
}

#[test]
fn pods_are_charged_until_they_end() {
    let mut world = World::new();
    let hard = json!({"pods": "10", "count/pods": "10", "cpu": "10", "requests.memory": "1Gi", "limits.cpu": "10", "requests.example.com/gpu": "4"});
    let container = |cpu: &str| {
        json!({"name": "a", "image": "a", "resources": {"requests": {"cpu": cpu, "memory": "64Mi", "example.com/gpu": "1"},
            "limits": {"cpu": "1", "memory": "64Mi", "example.com/gpu": "1"}}})
    };
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [container("200m")],
        "initContainers": [{"name": "i", "image": "i", "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "500m"}}}]}});
    world.create("pods", pod);
    let light = json!({"metadata": {"name": "light"}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    world.create("pods", light);
    // Afterwards: the quota would have every container name its memory.
    quota(&mut world, "q", json!({ "hard": hard }));
    quota(
        &mut world,
        "best",
        json!({"hard": {"pods": "3"}, "scopes": ["BestEffort"]}),
    );
    assert_eq!(
        used(&world, "q"),
        json!({"pods": "2", "count/pods": "2", "cpu": "500m", "requests.memory": "64Mi", "limits.cpu": "1", "requests.example.com/gpu": "1"})
    );
    assert_eq!(used(&world, "best"), json!({"pods": "1"}));
    world.patch(
        "pods",
        "p",
        Part::Status,
        json!({"status": {"phase": "Succeeded"}}),
    );
    assert_eq!(
        used(&world, "q"),
        json!({"pods": "1", "count/pods": "2", "cpu": "0", "requests.memory": "0", "limits.cpu": "0", "requests.example.com/gpu": "0"})
    );
}
