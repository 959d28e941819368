//! Machines that are ill, as their clusters see them.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::kube::controllers::testing::{World, kind};
use crate::kube::etcd::{Etcd, MemberId};
use crate::seed::Seed;

/// With another node, without which nothing would be driven off the only one of its zone.
fn two_nodes() -> World {
    let mut world = World::with_node();
    world.boot("n2", 2);
    world.after(2);
    world
}

fn afflict(world: &mut World, node: &str, ailment: Ailment) {
    world.cluster.afflict(node, ailment, true, world.now);
    world.settle();
}

fn taints(world: &World) -> BTreeSet<(String, String)> {
    let taints = world.at("nodes", "n1", "/spec/taints");
    let word = |taint: &serde_json::Value, key: &str| taint[key].as_str().unwrap_or_default().to_owned();
    let list = taints.as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|taint| (word(taint, "key"), word(taint, "effect")))
        .collect()
}

fn tainted(key: &str, effects: &[&str]) -> BTreeSet<(String, String)> {
    let key = format!("node.kubernetes.io/{key}");
    effects
        .iter()
        .map(|effect| (key.clone(), (*effect).to_owned()))
        .collect()
}

#[test]
fn a_node_that_reports_not_ready_is_tainted_until_it_is() {
    let mut world = two_nodes();
    let ill = Ailment {
        not_ready: Some("KubeletNotReady".into()),
        ..Ailment::default()
    };
    afflict(&mut world, "n1", ill);
    let ready = |world: &World| world.condition("nodes", "n1", "Ready");
    assert_eq!(ready(&world), ("False".into(), "KubeletNotReady".into()));
    world.after(60);
    assert_eq!(taints(&world), tainted("not-ready", &["NoExecute", "NoSchedule"]));
    assert!(world.events("n1").contains(&"NodeNotReady".to_owned()));
    // Another reason takes its place without a further change of the state.
    let other = Ailment {
        not_ready: Some("NetworkPluginNotReady".into()),
        ..Ailment::default()
    };
    afflict(&mut world, "n1", other);
    assert_eq!(ready(&world).1, "NetworkPluginNotReady");
    assert!(world.after(1000).next.is_none_or(|next| next > world.now));
    assert_eq!(ready(&world).0, "False", "the kubelet is heard");
    afflict(&mut world, "n1", Ailment::default());
    assert_eq!(ready(&world), ("True".into(), "KubeletReady".into()));
    world.after(60);
    assert_eq!(taints(&world), BTreeSet::new());
    assert_eq!(world.cluster.ailments().len(), 0);
}

#[test]
fn a_silent_kubelet_is_lost_and_comes_back_without_a_reboot() {
    let mut world = two_nodes();
    let boot = world.at("nodes", "n1", "/status/nodeInfo/bootID");
    world.after(100);
    let silent = || Ailment {
        silent: true,
        ..Ailment::default()
    };
    let status = |world: &World| world.condition("nodes", "n1", "Ready").0;
    afflict(&mut world, "n1", silent());
    world.after(30);
    assert_eq!(status(&world), "True", "its silence is within the grace time");
    afflict(&mut world, "n1", Ailment::default());
    world.after(600);
    assert_eq!(status(&world), "True");
    assert!(!world.events("n1").contains(&"NodeNotReady".to_owned()));

    afflict(&mut world, "n1", silent());
    let lease = || ("leases", crate::kube::node::LEASES, "n1");
    let renewed = |world: &World| {
        let (plural, namespace, name) = lease();
        let lease = world.find(plural, namespace, name).unwrap();
        let seen = world.cluster.present(kind(plural), lease, world.now);
        seen.at(&["spec", "renewTime"]).unwrap()
    };
    let last = renewed(&world);
    world.after(120);
    assert_eq!(renewed(&world), last, "nothing is renewed");
    assert_eq!(status(&world), "Unknown");
    assert_eq!(
        taints(&world),
        tainted("unreachable", &["NoExecute", "NoSchedule"])
    );
    afflict(&mut world, "n1", Ailment::default());
    assert_ne!(renewed(&world), last);
    assert_eq!(status(&world), "True");
    world.after(60);
    assert_eq!(taints(&world), BTreeSet::new());
    assert_eq!(world.at("nodes", "n1", "/status/nodeInfo/bootID"), boot);
    assert!(!world.events("n1").contains(&"Rebooted".to_owned()));
}

#[test]
fn a_machine_that_stood_still_goes_on_and_one_that_was_off_boots() {
    let mut world = World::with_node();
    let boot = |world: &World| world.at("nodes", "n1", "/status/nodeInfo/bootID");
    let first = boot(&world);
    world.after(100);
    for (goes_on, same) in [(true, true), (false, false)] {
        world.cluster.stop_machine("n1", world.now);
        world.after(120);
        assert_eq!(world.condition("nodes", "n1", "Ready").0, "Unknown");
        world.cluster.start_machine("n1", goes_on, world.now);
        world.after(5);
        assert_eq!(world.condition("nodes", "n1", "Ready").0, "True");
        assert_eq!(boot(&world) == first, same);
    }
    // One whose kubelet is silent from the start of the machine is not heard before that ends.
    world.cluster.stop_machine("n1", world.now);
    world.after(120);
    let silent = Ailment {
        silent: true,
        ..Ailment::default()
    };
    world.cluster.afflict("n1", silent, false, world.now);
    world.cluster.start_machine("n1", false, world.now);
    world.after(60);
    assert_eq!(world.condition("nodes", "n1", "Ready").0, "Unknown");
    afflict(&mut world, "n1", Ailment::default());
    world.after(5);
    assert_eq!(world.condition("nodes", "n1", "Ready").0, "True");
    // What was wrong with a machine ends with it.
    let ill = Ailment {
        not_ready: Some("KubeletNotReady".into()),
        ..Ailment::default()
    };
    afflict(&mut world, "n1", ill);
    world.cluster.stop_machine("n1", world.now);
    world.cluster.start_machine("n1", false, world.now);
    world.after(5);
    assert_eq!(world.condition("nodes", "n1", "Ready").0, "True");
}

#[test]
fn pressure_shows_taints_and_keeps_pods_away() {
    let mut world = World::with_node();
    for (pressure, condition, reasons, taint) in [
        (
            Pressure::Memory,
            "MemoryPressure",
            ["KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"],
            "memory-pressure",
        ),
        (
            Pressure::Disk,
            "DiskPressure",
            ["KubeletHasDiskPressure", "KubeletHasNoDiskPressure"],
            "disk-pressure",
        ),
        (
            Pressure::Pid,
            "PIDPressure",
            ["KubeletHasInsufficientPID", "KubeletHasSufficientPID"],
            "pid-pressure",
        ),
        (
            Pressure::Network,
            "NetworkUnavailable",
            ["NoRouteCreated", "RouteCreated"],
            "network-unavailable",
        ),
    ] {
        let ill = Ailment {
            pressures: vec![pressure],
            ..Ailment::default()
        };
        afflict(&mut world, "n1", ill);
        let told = |world: &World| world.condition("nodes", "n1", condition);
        assert_eq!(told(&world), ("True".into(), reasons[0].into()));
        assert_eq!(world.condition("nodes", "n1", "Ready").0, "True");
        assert_eq!(taints(&world), tainted(taint, &["NoSchedule"]));
        let name = format!("kept-away-{taint}");
        world.create(
            "pods",
            json!({
                "metadata": {"name": name},
                "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1m"}}}]},
            }),
        );
        world.after(30);
        assert_eq!(world.at("pods", &name, "/spec/nodeName"), json!(null));
        afflict(&mut world, "n1", Ailment::default());
        assert_eq!(told(&world), ("False".into(), reasons[1].into()));
        assert_eq!(taints(&world), BTreeSet::new());
        world.after(600);
        assert_eq!(world.at("pods", &name, "/spec/nodeName"), json!("n1"));
    }
    let events = world.events("n1");
    for reason in ["NodeHasInsufficientMemory", "NodeHasNoDiskPressure"] {
        assert!(events.contains(&reason.to_owned()), "{events:?}");
    }
}

/// A cluster with a node and an etcd of the members n1, n2 and n3.
fn with_etcd() -> (World, [MemberId; 3]) {
    let mut world = World::with_node();
    let mut etcd = Etcd::new(Seed::root(3), "n1", "https://n1:2380", "https://n1:2379");
    let first = etcd.leader().unwrap();
    let others = ["n2", "n3"].map(|name| {
        let id = etcd.add(&format!("https://{name}:2380"), true).unwrap();
        etcd.start(id, name, &format!("https://{name}:2379")).unwrap();
        etcd.promote(id).unwrap();
        id
    });
    world.cluster.set_etcd(Some(etcd));
    (world, [first, others[0], others[1]])
}

#[test]
fn members_that_are_down_cost_the_quorum_and_come_back() {
    let (mut world, [first, ..]) = with_etcd();
    let down = || Ailment {
        member_down: true,
        ..Ailment::default()
    };
    afflict(&mut world, "n1", down());
    assert!(world.cluster.has_storage());
    assert_ne!(world.cluster.etcd().unwrap().leader(), Some(first));
    assert_eq!(
        world.condition("nodes", "n1", "Ready").0,
        "True",
        "the kubelet is another process"
    );
    afflict(&mut world, "n2", down());
    assert!(!world.cluster.has_storage());
    afflict(&mut world, "n1", Ailment::default());
    assert!(world.cluster.has_storage());
    // A machine that starts while its member is to be down starts without it.
    world.cluster.stop_machine("n1", world.now);
    world.cluster.afflict("n1", down(), false, world.now);
    world.cluster.start_machine("n1", false, world.now);
    assert!(!world.cluster.has_storage());
    afflict(&mut world, "n1", Ailment::default());
    assert!(world.cluster.has_storage());
}

#[test]
fn controllers_wait_while_etcd_refuses_to_write() {
    let (mut world, _) = with_etcd();
    let full = Ailment {
        alarms: vec![Alarm::NoSpace],
        ..Ailment::default()
    };
    world.cluster.afflict("n2", full, true, world.now);
    assert_eq!(world.cluster.alarm(), Some(Alarm::NoSpace));
    let ill = Ailment {
        not_ready: Some("KubeletNotReady".into()),
        ..Ailment::default()
    };
    afflict(&mut world, "n1", ill);
    world.after(60);
    assert_eq!(
        world.condition("nodes", "n1", "Ready").0,
        "True",
        "nothing can be written"
    );
    afflict(&mut world, "n2", Ailment::default());
    assert_eq!(world.cluster.alarm(), None);
    assert_eq!(world.condition("nodes", "n1", "Ready").0, "False");
}
