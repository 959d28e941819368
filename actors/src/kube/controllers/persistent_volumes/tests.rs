//! Claims and volumes.

use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, merge};
use crate::kube::store::Part;

fn volume(world: &mut World, name: &str, size: &str, more: Value) {
    let mut body = json!({"metadata": {"name": name}, "spec": {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/data"}}});
    merge(&mut body, more);
    world.create("persistentvolumes", body);
}

fn claim(world: &mut World, name: &str, size: &str, more: Value) {
    let mut body = json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}}}});
    merge(&mut body, more);
    world.create("persistentvolumeclaims", body);
}

fn phase(world: &World, plural: &str, name: &str) -> String {
    let phase = world.at(plural, name, "/status/phase");
    phase.as_str().unwrap().to_owned()
}

#[test]
fn a_claim_waits_for_a_volume() {
    let mut world = World::new();
    claim(&mut world, "c", "5Gi", json!({}));
    assert_eq!(phase(&world, "persistentvolumeclaims", "c"), "Pending");
    assert_eq!(
        world.message("c", "FailedBinding"),
        "no persistent volumes available for this claim and no storage class is set"
    );
    assert!(
        world.settle().next.is_none_or(|next| next > world.now),
        "nothing is due"
    );
    volume(&mut world, "small", "1Gi", json!({}));
    volume(
        &mut world,
        "other",
        "10Gi",
        json!({"spec": {"storageClassName": "x"}}),
    );
    assert_eq!(phase(&world, "persistentvolumes", "small"), "Available");
    assert_eq!(phase(&world, "persistentvolumeclaims", "c"), "Pending");
    volume(&mut world, "v", "10Gi", json!({}));
    assert_eq!(phase(&world, "persistentvolumeclaims", "c"), "Bound");
    assert_eq!(phase(&world, "persistentvolumes", "v"), "Bound");
    let bound = world.get("persistentvolumeclaims", "c");
    assert_eq!(bound.annotation(super::BOUND), Some("yes"));
    assert_eq!(bound.annotation(super::BY_CONTROLLER), Some("yes"));
    let uid = bound.uid_text();
    assert_eq!(world.at("persistentvolumeclaims", "c", "/spec/volumeName"), "v");
    assert_eq!(
        world.at("persistentvolumeclaims", "c", "/status/capacity"),
        json!({"storage": "10Gi"})
    );
    assert_eq!(
        world.at("persistentvolumeclaims", "c", "/status/accessModes"),
        json!(["ReadWriteOnce"])
    );
    assert_eq!(world.at("persistentvolumes", "v", "/spec/claimRef/uid"), uid);

    world.delete("persistentvolumeclaims", "c");
    assert_eq!(phase(&world, "persistentvolumes", "v"), "Released");
    claim(&mut world, "c", "5Gi", json!({}));
    assert_eq!(
        phase(&world, "persistentvolumeclaims", "c"),
        "Pending",
        "it is not given to another one"
    );
    world.patch(
        "persistentvolumes",
        "v",
        Part::Main,
        json!({"spec": {"claimRef": null}}),
    );
    assert_eq!(phase(&world, "persistentvolumeclaims", "c"), "Bound");
    world.delete("persistentvolumes", "v");
    assert_eq!(phase(&world, "persistentvolumeclaims", "c"), "Lost");
    assert!(
        world
            .message("c", "ClaimLost")
            .starts_with("Bound claim has lost its PersistentVolume")
    );
}

#[test]
fn the_smallest_that_fits_is_taken() {
    let mut world = World::new();
    for (name, size) in [("a", "20Gi"), ("b", "5Gi"), ("c", "8Gi")] {
        volume(
            &mut world,
            name,
            size,
            json!({"metadata": {"labels": {"disk": name}}}),
        );
    }
    claim(&mut world, "one", "2Gi", json!({}));
    assert_eq!(world.at("persistentvolumeclaims", "one", "/spec/volumeName"), "b");
    claim(
        &mut world,
        "two",
        "2Gi",
        json!({"spec": {"selector": {"matchLabels": {"disk": "a"}}}}),
    );
    assert_eq!(world.at("persistentvolumeclaims", "two", "/spec/volumeName"), "a");
    claim(&mut world, "three", "2Gi", json!({"spec": {"volumeName": "a"}}));
    assert_eq!(phase(&world, "persistentvolumeclaims", "three"), "Pending");
    claim(&mut world, "four", "9Gi", json!({"spec": {"volumeName": "c"}}));
    assert_eq!(
        world.message("four", "VolumeMismatch"),
        "Cannot bind to requested volume \"c\": requested PV is too small"
    );
}

#[test]
fn a_volume_can_name_its_claim() {
    let mut world = World::new();
    let named = json!({"spec": {"claimRef": {"namespace": "default", "name": "mine"}, "persistentVolumeReclaimPolicy": "Delete"}});
    volume(&mut world, "v", "1Gi", named);
    claim(&mut world, "other", "1Gi", json!({}));
    assert_eq!(phase(&world, "persistentvolumeclaims", "other"), "Pending");
    claim(&mut world, "mine", "1Gi", json!({}));
    assert_eq!(phase(&world, "persistentvolumeclaims", "mine"), "Bound");
    assert_eq!(
        world
            .get("persistentvolumes", "v")
            .annotation(super::BY_CONTROLLER),
        None
    );
    world.delete("persistentvolumeclaims", "mine");
    assert_eq!(phase(&world, "persistentvolumes", "v"), "Failed");
    assert_eq!(world.events("v"), ["VolumeFailedDelete"]);
}

#[test]
fn classes() {
    let mut world = World::new();
    claim(
        &mut world,
        "lost",
        "1Gi",
        json!({"spec": {"storageClassName": "no"}}),
    );
    assert_eq!(
        world.message("lost", "ProvisioningFailed"),
        "storageclass.storage.k8s.io \"no\" not found"
    );
    claim(&mut world, "any", "1Gi", json!({}));
    let class = |name: &str, mode: &str, default: &str| {
        json!({"metadata": {"name": name, "annotations": {super::DEFAULT_CLASS: default}},
            "provisioner": "example.com/disk", "volumeBindingMode": mode})
    };
    world.create("storageclasses", class("fast", "Immediate", "true"));
    assert_eq!(
        world.at("persistentvolumeclaims", "any", "/spec/storageClassName"),
        "fast"
    );
    let annotation = world
        .get("persistentvolumeclaims", "any")
        .annotation(super::PROVISIONER[0]);
    assert_eq!(annotation, Some("example.com/disk"));
    assert!(
        world
            .message("any", "ExternalProvisioning")
            .contains("external provisioner 'example.com/disk'")
    );
    world.create("storageclasses", class("late", "WaitForFirstConsumer", "false"));
    claim(
        &mut world,
        "c",
        "1Gi",
        json!({"spec": {"storageClassName": "late"}}),
    );
    assert_eq!(
        world.message("c", "WaitForFirstConsumer"),
        "waiting for first consumer to be created before binding"
    );
    volume(
        &mut world,
        "v",
        "1Gi",
        json!({"spec": {"storageClassName": "late"}}),
    );
    assert_eq!(phase(&world, "persistentvolumeclaims", "c"), "Pending");
    let chosen = json!({"metadata": {"annotations": {super::SELECTED_NODE: "n1"}}});
    world.patch("persistentvolumeclaims", "c", Part::Main, chosen);
    assert_eq!(phase(&world, "persistentvolumeclaims", "c"), "Bound");
}
