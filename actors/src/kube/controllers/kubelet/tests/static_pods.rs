//! Pods that no API server can take away.

use serde_json::json;

use super::phase;
use crate::kube::controllers::testing::World;
use crate::kube::etcd::Etcd;
use crate::seed::Seed;

#[test]
fn a_static_pod_comes_back() {
    let mut world = World::with_node();
    let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "h"}}});
    world.pod("etcd-n1", "n1", mirror);
    world.after(3);
    let uid = world.get("pods", "etcd-n1").uid;
    world.delete("pods", "etcd-n1");
    world.after(3);
    assert_ne!(world.get("pods", "etcd-n1").uid, uid);
    assert_eq!(phase(&world, "etcd-n1"), "Running");
}

#[test]
fn a_static_pod_comes_back_even_when_it_was_forced_out() {
    let mut world = World::with_node();
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": world.get("nodes", "n1").uid_text(), "controller": true}]);
    let mirror =
        json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "h"}, "ownerReferences": owner}});
    world.pod("etcd-n1", "n1", mirror);
    world.after(3);
    let uid = world.get("pods", "etcd-n1").uid;
    world.delete_now("pods", "etcd-n1");
    world.after(3);
    assert_ne!(world.get("pods", "etcd-n1").uid, uid);
    world.delete("nodes", "n1");
    world.delete_now("pods", "etcd-n1");
    assert!(
        world.find("pods", "default", "etcd-n1").is_none(),
        "its node is gone"
    );
}

#[test]
fn the_etcd_of_a_removed_member_ends_again_and_again() {
    let mut world = World::new();
    world.boot("n1", 1);
    world.boot("n2", 2);
    let mut etcd = Etcd::new(Seed::root(1), "n1", "https://a:2380", "https://a:2379");
    let id = etcd.add("https://b:2380", true).unwrap();
    etcd.start(id, "n2", "https://b:2379").unwrap();
    etcd.promote(id).unwrap();
    world.cluster.set_etcd(Some(etcd));
    for node in ["n1", "n2"] {
        let pod = json!({
            "metadata": {"name": format!("etcd-{node}"), "namespace": "kube-system", "annotations": {"kubernetes.io/config.mirror": "1"}},
            "spec": {"nodeName": node, "hostNetwork": true, "containers": [{"name": "etcd", "image": "etcd:1"}]},
        });
        world.create("pods", pod);
    }
    world.after(60);
    let about = |world: &World, node: &str| {
        let pod = world
            .find("pods", "kube-system", &format!("etcd-{node}"))
            .unwrap();
        let container = pod.at(&["status", "containerStatuses"]).unwrap()[0].clone();
        (
            container["ready"].clone(),
            container["restartCount"].clone(),
            container,
        )
    };
    assert_eq!(about(&world, "n2").0, true);
    world.cluster.remove_etcd_member(id, world.now).unwrap();
    world.settle();
    // It is started again at once, and learns the same.
    let (_, restarts, container) = about(&world, "n2");
    assert_eq!(restarts, 1);
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 0);
    world.after(3);
    let (ready, _, container) = about(&world, "n2");
    assert_eq!(ready, false);
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    world.after(120);
    assert!(about(&world, "n2").1.as_u64().unwrap() > 3);
    let (ready, restarts, _) = about(&world, "n1");
    assert_eq!(ready, true);
    assert_eq!(restarts, 0);

    // A machine that joins under the same name is a member again.
    let etcd = world.cluster.etcd_mut().unwrap();
    let id = etcd.add("https://b:2380", true).unwrap();
    etcd.start(id, "n2", "https://b:2379").unwrap();
    world.stop("n2");
    world.start("n2");
    world.after(600);
    assert_eq!(about(&world, "n2").0, true);
    let restarts = about(&world, "n2").1;
    world.after(600);
    assert_eq!(about(&world, "n2").1, restarts);
}
