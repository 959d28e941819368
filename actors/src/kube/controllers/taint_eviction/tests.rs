//! Pods on nodes with `NoExecute` taints.

use serde_json::json;

use crate::kube::controllers::testing::World;
use crate::kube::store::Part;

#[test]
fn pods_go_when_their_toleration_ends() {
    let mut world = World::with_node();
    let tolerates = |seconds: Option<i64>| {
        let mut one = json!({"key": "gone", "operator": "Exists", "effect": "NoExecute"});
        if let Some(seconds) = seconds {
            one["tolerationSeconds"] = seconds.into();
        }
        json!({"spec": {"tolerations": [one]}})
    };
    world.pod("none", "n1", json!({}));
    world.pod("while", "n1", tolerates(Some(20)));
    world.pod("ever", "n1", tolerates(None));
    world.after(10);
    let taints = json!([{"key": "gone", "value": "1", "effect": "NoExecute"}]);
    world.patch("nodes", "n1", Part::Main, json!({"spec": {"taints": taints}}));
    assert!(world.get("pods", "none").is_terminating());
    assert_eq!(
        world.message("none", "TaintManagerEviction"),
        "Marking for deletion Pod default/none"
    );
    world.after(19);
    assert!(world.find("pods", "default", "none").is_none());
    assert!(!world.get("pods", "while").is_terminating());
    world.pod("late", "n1", json!({}));
    world.after(1);
    assert!(world.get("pods", "while").is_terminating());
    assert!(
        world
            .find("pods", "default", "late")
            .is_none_or(|pod| pod.is_terminating())
    );
    assert!(!world.get("pods", "ever").is_terminating());
    assert_eq!(world.after(1000).next.map(|_| ()), Some(()), "events end later");
    assert!(world.find("pods", "default", "ever").is_some());
}

#[test]
fn a_taint_that_is_taken_back_spares_them() {
    let mut world = World::with_node();
    let tolerations =
        json!([{"key": "gone", "operator": "Exists", "tolerationSeconds": 20, "effect": "NoExecute"}]);
    world.pod("a", "n1", json!({"spec": {"tolerations": tolerations}}));
    let taints = json!([{"key": "gone", "effect": "NoExecute"}]);
    world.patch("nodes", "n1", Part::Main, json!({"spec": {"taints": taints}}));
    world.after(19);
    world.patch("nodes", "n1", Part::Main, json!({"spec": {"taints": null}}));
    world.after(60);
    assert!(!world.get("pods", "a").is_terminating());
}
