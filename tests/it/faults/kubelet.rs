//! Faults of kubelets, seen with a Kubernetes client.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use serde_json::{Value, json};

use super::cluster::Site;
use crate::world::until;

/// Simulated seconds in a real one: a grace time of 50 s passes in half a second.
const SPEED: f64 = 100.0;

fn worker() -> Value {
    json!({"names": ["n3"]})
}

async fn condition(nodes: &Api<Node>, name: &str, kind: &str) -> (String, String) {
    let node = nodes.get(name).await.unwrap();
    let conditions = node.status.unwrap().conditions.unwrap_or_default();
    let found = conditions.into_iter().find(|condition| condition.type_ == kind);
    found.map_or_else(Default::default, |found| {
        (found.status, found.reason.unwrap_or_default())
    })
}

async fn taints(nodes: &Api<Node>, name: &str) -> BTreeSet<(String, String)> {
    let node = nodes.get(name).await.unwrap();
    let taints = node.spec.unwrap().taints.unwrap_or_default();
    // Machines of Cluster API have one of theirs.
    taints
        .into_iter()
        .filter(|taint| taint.key.starts_with("node.kubernetes.io/"))
        .map(|taint| (taint.key, taint.effect))
        .collect()
}

async fn until_tainted(nodes: &Api<Node>, name: &str, wanted: &[(&str, &str)]) {
    let wanted: BTreeSet<(String, String)> = wanted
        .iter()
        .map(|(key, effect)| (format!("node.kubernetes.io/{key}"), (*effect).to_owned()))
        .collect();
    until(&format!("taints {wanted:?} of {name}"), || async {
        taints(nodes, name).await == wanted
    })
    .await;
}

#[actix_web::test]
async fn a_node_that_is_not_ready() {
    let site = Site::start(40, SPEED).await;
    let nodes: Api<Node> = Api::all(site.kube().await);
    for (what, reason) in [
        (json!("node_not_ready"), "KubeletNotReady"),
        (json!({"node_not_ready": {"reason": "Broken"}}), "Broken"),
    ] {
        site.fault(worker(), json!({}), what);
        let told = ("False".to_owned(), reason.to_owned());
        until("the condition", || async {
            condition(&nodes, "n3", "Ready").await == told
        })
        .await;
        until_tainted(
            &nodes,
            "n3",
            &[("not-ready", "NoSchedule"), ("not-ready", "NoExecute")],
        )
        .await;
        site.heal();
        let well = ("True".to_owned(), "KubeletReady".to_owned());
        until("readiness", || async {
            condition(&nodes, "n3", "Ready").await == well
        })
        .await;
        until_tainted(&nodes, "n3", &[]).await;
    }
    assert_eq!(
        site.hits("node_not_ready"),
        (2, vec!["n3".to_owned(), "n3".to_owned()])
    );
    site.world.stop().await;
}

#[actix_web::test]
async fn a_kubelet_that_comes_and_goes() {
    let site = Site::start(44, SPEED).await;
    let nodes: Api<Node> = Api::all(site.kube().await);
    let boot = async || {
        nodes
            .get("n3")
            .await
            .unwrap()
            .status
            .unwrap()
            .node_info
            .unwrap()
            .boot_id
    };
    let first = boot().await;
    let flaps = json!({"kubelet_flaps": {"down": "5m", "up": "5m"}});
    site.fault(worker(), json!({}), flaps);
    for _ in 0..2 {
        until("silence", || async {
            condition(&nodes, "n3", "Ready").await.0 == "Unknown"
        })
        .await;
        until("its return", || async {
            condition(&nodes, "n3", "Ready").await.0 == "True"
        })
        .await;
    }
    assert_eq!(boot().await, first, "the machine was not restarted");
    assert_eq!(site.hits("kubelet_flaps").0, 1, "one window");
    site.world.stop().await;
}

#[actix_web::test]
async fn pressure_on_a_node() {
    let site = Site::start(48, SPEED).await;
    let nodes: Api<Node> = Api::all(site.kube().await);
    let what = json!({"node_pressure": {"conditions": ["memory", "disk", "pid", "network"]}});
    site.fault(worker(), json!({}), what);
    until_tainted(
        &nodes,
        "n3",
        &[
            ("memory-pressure", "NoSchedule"),
            ("disk-pressure", "NoSchedule"),
            ("pid-pressure", "NoSchedule"),
            ("network-unavailable", "NoSchedule"),
        ],
    )
    .await;
    assert_eq!(
        condition(&nodes, "n3", "DiskPressure").await.1,
        "KubeletHasDiskPressure"
    );
    assert_eq!(condition(&nodes, "n3", "Ready").await.0, "True");
    site.heal();
    until_tainted(&nodes, "n3", &[]).await;
    assert_eq!(condition(&nodes, "n3", "NetworkUnavailable").await.0, "False");
    assert_eq!(site.hits("node_pressure").0, 1);
    site.world.stop().await;
}

#[actix_web::test]
async fn a_system_that_hangs_is_silent_with_all_that_runs_on_it() {
    let site = Site::start(52, SPEED).await;
    let nodes: Api<Node> = Api::all(site.kube().await);
    let boot = async |name: &str| {
        nodes
            .get(name)
            .await
            .unwrap()
            .status
            .unwrap()
            .node_info
            .unwrap()
            .boot_id
    };
    let first = boot("n0").await;
    // The leader of etcd, and the worker.
    site.fault(json!({"names": ["n0", "n3"]}), json!({}), json!("os_hangs"));
    for name in ["n0", "n3"] {
        until("silence", || async {
            condition(&nodes, name, "Ready").await.0 == "Unknown"
        })
        .await;
    }
    let cluster = site.cluster();
    let leader = cluster.cluster().read(|cluster| {
        let etcd = cluster.etcd().unwrap();
        etcd.member(etcd.leader().unwrap()).unwrap().name.clone()
    });
    assert_ne!(&*leader, "n0");
    assert_eq!(cluster.machines(), (2, 4));
    site.heal();
    for name in ["n0", "n3"] {
        until("its return", || async {
            condition(&nodes, name, "Ready").await.0 == "True"
        })
        .await;
    }
    assert_eq!(boot("n0").await, first, "it has not booted");
    // All control planes: nobody listens.
    site.fault(json!({"role": "control_plane"}), json!({}), json!("os_hangs"));
    until("the API server to close", || async { !cluster.is_open() }).await;
    site.heal();
    until("the API server to be back", || async {
        nodes.get("n0").await.is_ok()
    })
    .await;
    site.world.stop().await;
}
