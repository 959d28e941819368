//! Pods on a node whose kubelet runs.

mod static_pods;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::kube::controllers::testing::{World, kind};
use crate::kube::store::Part;
use crate::timing::Latency;

fn phase(world: &World, pod: &str) -> Value {
    world.at("pods", pod, "/status/phase")
}

fn state(world: &World, pod: &str) -> Value {
    world.at("pods", pod, "/status/containerStatuses/0/state")
}

#[test]
fn a_pod_starts_runs_and_is_ready() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    assert_eq!(phase(&world, "a"), "Pending");
    assert_eq!(
        state(&world, "a"),
        json!({"waiting": {"reason": "ContainerCreating"}})
    );
    assert_eq!(world.at("pods", "a", "/status/hostIP"), "172.22.0.1");
    assert_eq!(
        world.condition("pods", "a", "Ready"),
        ("False".into(), "ContainersNotReady".into())
    );
    world.after(1);
    assert_eq!(phase(&world, "a"), "Pending");
    world.after(1);
    assert_eq!(phase(&world, "a"), "Running");
    for kind in [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ] {
        assert_eq!(
            world.condition("pods", "a", kind),
            ("True".into(), "".into()),
            "{kind}"
        );
    }
    assert_eq!(world.events("a"), ["Created", "Pulled", "Started"]);
    let container = world.at("pods", "a", "/status/containerStatuses/0");
    assert_eq!(container["image"], "docker.io/library/nginx:1.27");
    assert!(
        container["containerID"]
            .as_str()
            .unwrap()
            .starts_with("containerd://")
    );
    assert_eq!(
        (&container["ready"], &container["restartCount"]),
        (&json!(true), &json!(0))
    );
    let ip = world.at("pods", "a", "/status/podIP");
    assert!(ip.as_str().unwrap().starts_with("10.244.0."), "{ip}");
    assert_eq!(world.at("pods", "a", "/status/qosClass"), "BestEffort");
    let list = world.at("pods", "a", "/status/conditions");
    let kinds: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "PodReadyToStartContainers",
            "Initialized",
            "Ready",
            "ContainersReady",
            "PodScheduled"
        ]
    );
    assert_eq!(list[2]["observedGeneration"], 1);
    assert_eq!(world.settle().looks, 0);
}

#[test]
fn init_containers_sidecars_and_the_hosts_network() {
    let mut world = World::with_node();
    let init = json!([
        {"name": "one", "image": "busybox"},
        {"name": "side", "image": "proxy:1", "restartPolicy": "Always"},
    ]);
    world.pod(
        "a",
        "n1",
        json!({"spec": {"hostNetwork": true, "initContainers": init}}),
    );
    assert_eq!(
        state(&world, "a"),
        json!({"waiting": {"reason": "PodInitializing"}})
    );
    assert_eq!(
        world.condition("pods", "a", "Initialized"),
        ("False".into(), "ContainersNotInitialized".into())
    );
    world.after(2);
    assert_eq!(phase(&world, "a"), "Running");
    assert_eq!(world.at("pods", "a", "/status/podIP"), "172.22.0.1");
    let of = |world: &World, index: usize| {
        world.at(
            "pods",
            "a",
            &format!("/status/initContainerStatuses/{index}/state"),
        )
    };
    assert_eq!(of(&world, 0)["terminated"]["reason"], "Completed");
    assert!(of(&world, 1)["running"].is_object());
    assert!(world.message("a", "Pulling").contains("busybox"));
}

#[test]
fn pods_that_end() {
    let mut world = World::with_node();
    world.pod("good", "n1", json!({"spec": {"restartPolicy": "Never"}}));
    let fails = json!({"metadata": {"annotations": {"metalsim.io/exit-code": "3", "metalsim.io/run-duration": "2s"}}, "spec": {"restartPolicy": "Never"}});
    world.pod("bad", "n1", fails);
    world.after(3);
    assert_eq!(phase(&world, "good"), "Running");
    world.after(1);
    assert_eq!(phase(&world, "bad"), "Failed");
    assert_eq!(state(&world, "bad")["terminated"]["exitCode"], 3);
    world.after(3);
    assert_eq!(phase(&world, "good"), "Succeeded");
    assert_eq!(
        world.condition("pods", "good", "Ready"),
        ("False".into(), "PodCompleted".into())
    );
    assert_eq!(world.after(100).looks, 0);
}

#[test]
fn a_container_that_fails_again_and_again_backs_off() {
    let mut world = World::with_node();
    let loops = json!({"metadata": {"annotations": {"metalsim.io/exit-code": "1", "metalsim.io/run-duration": "1s"}}});
    world.pod("a", "n1", loops);
    world.after(3);
    assert_eq!(
        world.at("pods", "a", "/status/containerStatuses/0/restartCount"),
        1,
        "the first time it is restarted at once"
    );
    world.after(1);
    let waiting = state(&world, "a");
    assert_eq!(waiting["waiting"]["reason"], "CrashLoopBackOff");
    let message = waiting["waiting"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("back-off 10s restarting failed container=app pod=a_default("),
        "{message}"
    );
    assert_eq!(phase(&world, "a"), "Running");
    assert_eq!(
        world.condition("pods", "a", "Ready"),
        ("False".into(), "ContainersNotReady".into())
    );
    world.after(10);
    assert!(state(&world, "a")["running"].is_object());
    assert_eq!(
        world.at(
            "pods",
            "a",
            "/status/containerStatuses/0/lastState/terminated/exitCode"
        ),
        1
    );
    world.after(1);
    assert!(
        state(&world, "a")["waiting"]["message"]
            .as_str()
            .unwrap()
            .starts_with("back-off 20s")
    );
    assert!(
        world.events("a").contains(&"BackOff x2".to_owned()),
        "{:?}",
        world.events("a")
    );
}

#[test]
fn what_a_pod_lacks_holds_it_up() {
    let mut world = World::with_node();
    let volumes = json!([{"name": "v", "configMap": {"name": "c"}}]);
    world.pod("a", "n1", json!({"spec": {"volumes": volumes}}));
    let env = json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    let containers = json!([{"name": "app", "image": "x:1", "env": env}]);
    world.pod("b", "n1", json!({"spec": {"containers": containers}}));
    world.after(60);
    assert_eq!(phase(&world, "a"), "Pending");
    assert_eq!(world.events("a"), ["FailedMount"]);
    assert_eq!(
        world.message("a", "FailedMount"),
        "MountVolume.SetUp failed for volume \"v\" : configmap \"c\" not found"
    );
    assert_eq!(
        state(&world, "b")["waiting"],
        json!({"reason": "CreateContainerConfigError", "message": "secret \"s\" not found"})
    );
    assert_eq!(world.settle().looks, 0, "it waits without looking");
    world.create("configmaps", json!({"metadata": {"name": "c"}}));
    world.create(
        "secrets",
        json!({"metadata": {"name": "s"}, "stringData": {"other": "1"}}),
    );
    assert_eq!(phase(&world, "a"), "Running");
    assert_eq!(
        state(&world, "b")["waiting"]["message"],
        "couldn't find key k in Secret default/s"
    );
    world.patch("secrets", "s", Part::Main, json!({"stringData": {"k": "1"}}));
    assert_eq!(phase(&world, "b"), "Running");
}

#[test]
fn readiness_gates_and_probes() {
    let mut world = World::with_node();
    let probe = json!({"initialDelaySeconds": 7, "tcpSocket": {"port": 80}});
    let containers = json!([{"name": "app", "image": "x:1", "readinessProbe": probe}]);
    let spec = json!({"containers": containers, "readinessGates": [{"conditionType": "example.com/up"}]});
    world.pod("a", "n1", json!({ "spec": spec }));
    world.after(8);
    assert_eq!(
        world.condition("pods", "a", "Ready"),
        ("False".into(), "ContainersNotReady".into())
    );
    world.after(1);
    assert_eq!(
        world.condition("pods", "a", "Ready"),
        ("False".into(), "ReadinessGatesNotReady".into())
    );
    let mut list = world.at("pods", "a", "/status/conditions");
    list.as_array_mut()
        .unwrap()
        .push(json!({"type": "example.com/up", "status": "True"}));
    world.patch("pods", "a", Part::Status, json!({"status": {"conditions": list}}));
    assert_eq!(world.condition("pods", "a", "Ready"), ("True".into(), "".into()));
}

#[test]
fn a_deleted_pod_stops_and_goes() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.pod(
        "held",
        "n1",
        json!({"metadata": {"finalizers": ["example.com/hold"]}}),
    );
    world.after(5);
    world.delete("pods", "a");
    world.delete("pods", "held");
    assert_eq!(phase(&world, "a"), "Running");
    assert_eq!(world.message("a", "Killing"), "Stopping container app");
    world.after(1);
    assert!(world.find("pods", "default", "a").is_none());
    assert_eq!(phase(&world, "held"), "Succeeded");
    assert!(state(&world, "held")["terminated"].is_object());
    assert_eq!(world.after(100).looks, 0);
    world.patch(
        "pods",
        "held",
        Part::Main,
        json!({"metadata": {"finalizers": null}}),
    );
    assert!(world.find("pods", "default", "held").is_none());
    assert_eq!(
        world
            .events("a")
            .iter()
            .filter(|reason| **reason == "Killing")
            .count(),
        1
    );
}

#[test]
fn without_a_kubelet_nothing_moves() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.after(5);
    world.pod("b", "other", json!({}));
    world.stop("n1");
    world.delete("pods", "a");
    world.after(20);
    assert!(world.get("pods", "a").is_terminating());
    assert_eq!(phase(&world, "b"), "Pending");
    world.start("n1");
    world.after(5);
    assert!(world.find("pods", "default", "a").is_none());
}

#[test]
fn a_reboot_starts_containers_again() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.after(5);
    let uid = world.get("pods", "a").uid;
    let ip = world.at("pods", "a", "/status/podIP");
    world.stop("n1");
    world.after(10);
    world.start("n1");
    assert_eq!(
        world.at(
            "pods",
            "a",
            "/status/containerStatuses/0/lastState/terminated/exitCode"
        ),
        255
    );
    assert_eq!(world.condition("pods", "a", "Ready").0, "False");
    world.after(2);
    assert_eq!(world.condition("pods", "a", "Ready").0, "True");
    assert_eq!(
        world.at("pods", "a", "/status/containerStatuses/0/restartCount"),
        1
    );
    assert_eq!(
        (world.get("pods", "a").uid, world.at("pods", "a", "/status/podIP")),
        (uid, ip)
    );
    assert_eq!(world.settle().looks, 0);
}

#[test]
fn a_forced_deletion_takes_no_time() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.after(5);
    world.delete_now("pods", "a");
    assert!(world.find("pods", "default", "a").is_none());
    world.pod("b", "n1", json!({}));
    world.after(5);
    world.stop("n1");
    world.delete("pods", "b");
    world.delete_now("pods", "b");
    assert!(world.find("pods", "default", "b").is_none());
}

#[test]
fn a_pod_that_runs_for_too_long_fails() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({"spec": {"activeDeadlineSeconds": 10}}));
    world.after(9);
    assert_eq!(phase(&world, "a"), "Running");
    world.after(1);
    assert_eq!(phase(&world, "a"), "Failed");
    assert_eq!(world.at("pods", "a", "/status/reason"), "DeadlineExceeded");
    assert_eq!(
        world.condition("pods", "a", "Ready"),
        ("False".into(), "PodFailed".into())
    );
    assert!(state(&world, "a")["terminated"].is_object());
    let events = world.events("a");
    assert!(
        events.contains(&"Killing".to_owned()) && events.contains(&"DeadlineExceeded".to_owned()),
        "{events:?}"
    );
    assert_eq!(world.after(100).looks, 0);
}

#[test]
fn mounts_and_resources_are_told() {
    let mut world = World::with_node();
    let containers = json!([{
        "name": "app", "image": "x:1",
        "resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "1Gi"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}],
    }]);
    world.pod(
        "a",
        "n1",
        json!({"spec": {"containers": containers, "volumes": [{"name": "v", "emptyDir": {}}]}}),
    );
    let mounts = json!([{"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": "Disabled"}]);
    let of =
        |world: &World, field: &str| world.at("pods", "a", &format!("/status/containerStatuses/0/{field}"));
    assert_eq!(of(&world, "volumeMounts"), mounts);
    assert_eq!(of(&world, "resources"), Value::Null);
    world.after(3);
    assert_eq!(of(&world, "resources/limits/memory"), "1Gi");
    assert_eq!(
        of(&world, "allocatedResources"),
        json!({"cpu": "10m", "memory": "1Gi"})
    );
}

#[test]
fn a_pod_that_is_not_started_again_fails_with_its_machine() {
    let mut world = World::with_node();
    let runs = json!({"metadata": {"annotations": {"metalsim.io/run-duration": "1h"}}, "spec": {"restartPolicy": "Never"}});
    world.pod("a", "n1", runs);
    world.after(5);
    world.stop("n1");
    world.after(10);
    world.start("n1");
    world.after(5);
    assert_eq!(phase(&world, "a"), "Failed");
    assert_eq!(state(&world, "a")["terminated"]["exitCode"], 255);
}

#[test]
fn containers_to_look_inside() {
    let mut world = World::with_node();
    world.pod("a", "n1", json!({}));
    world.after(5);
    let debugger = json!([{"name": "debugger", "image": "busybox:1", "targetContainerName": "app"}]);
    world.patch(
        "pods",
        "a",
        Part::EphemeralContainers,
        json!({"spec": {"ephemeralContainers": debugger}}),
    );
    let debugger = world.at("pods", "a", "/status/ephemeralContainerStatuses/0");
    assert!(debugger["state"]["running"].is_object(), "{debugger}");
    assert_eq!(world.condition("pods", "a", "Ready").0, "True");
    assert!(world.message("a", "Started").contains("container"));
    world.delete("pods", "a");
    world.after(2);
    assert!(world.find("pods", "default", "a").is_none());
}

#[test]
fn a_pod_waits_for_the_network_of_its_node() {
    let mut world = World::behaving(|behaviour| behaviour.node_ready = Latency::millis(30_000));
    world.boot("n2", 2);
    world.pod("a", "n2", json!({}));
    world.pod("host", "n2", json!({"spec": {"hostNetwork": true}}));
    world.after(29);
    assert_eq!(
        (phase(&world, "a"), phase(&world, "host")),
        (json!("Pending"), json!("Running"))
    );
    world.after(1);
    assert_eq!(phase(&world, "a"), "Running");
}

/// What may befall a cluster.
#[derive(Clone, Debug)]
enum Deed {
    Pod(u8, u8),
    Delete(u8),
    Force(u8),
    Stop(u8),
    Start(u8),
    Wait(u16),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0_u8..6, 1_u8..4).prop_map(|(pod, node)| Deed::Pod(pod, node)),
        1 => (0_u8..6).prop_map(Deed::Delete),
        1 => (0_u8..6).prop_map(Deed::Force),
        2 => (1_u8..4).prop_map(Deed::Stop),
        2 => (1_u8..4).prop_map(Deed::Start),
        4 => (1_u16..400).prop_map(Deed::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_all_is_well_in_the_end(deeds in proptest::collection::vec(deed(), 1..25)) {
        let mut world = World::new();
        for number in 1..4 {
            world.boot(&format!("n{number}"), number);
        }
        world.after(3);
        let mut runs = BTreeSet::from([1, 2, 3]);
        for deed in deeds {
            match deed {
                Deed::Pod(pod, node) => {
                    let name = format!("p{pod}");
                    if world.find("pods", "default", &name).is_none() {
                        world.pod(&name, &format!("n{node}"), json!({}));
                    }
                }
                Deed::Delete(pod) if world.find("pods", "default", &format!("p{pod}")).is_some() => {
                    world.delete("pods", &format!("p{pod}"));
                }
                Deed::Force(pod) if world.find("pods", "default", &format!("p{pod}")).is_some() => {
                    world.delete_now("pods", &format!("p{pod}"));
                }
                Deed::Stop(node) if runs.remove(&node) => world.stop(&format!("n{node}")),
                Deed::Start(node) if runs.insert(node) => world.start(&format!("n{node}")),
                Deed::Wait(seconds) => {
                    world.after(i64::from(seconds));
                }
                _ => {}
            }
        }
        for node in 1..4 {
            if runs.insert(node) {
                world.start(&format!("n{node}"));
            }
        }
        world.after(60);
        let mut addresses = BTreeSet::new();
        for pod in world.cluster.store.all(kind("pods"), None) {
            prop_assert!(!pod.is_terminating());
            prop_assert_eq!(world.at("pods", pod.name(), "/status/phase"), "Running");
            prop_assert_eq!(world.condition("pods", pod.name(), "Ready").0, "True");
            prop_assert!(addresses.insert(world.at("pods", pod.name(), "/status/podIP").to_string()));
        }
        for node in 1..4 {
            let name = format!("n{node}");
            prop_assert_eq!(world.condition("nodes", &name, "Ready").0, "True");
            prop_assert_eq!(world.at("nodes", &name, "/spec/taints"), Value::Null);
        }
        world.after(4000);
        prop_assert_eq!(world.settle().next, None, "nothing is left to do");
    }
}
