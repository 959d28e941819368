use std::sync::Arc;

use chrono::DateTime;

use super::*;
use crate::kube::bootstrap;
use crate::kube::intern::Interner;
use crate::kube::store::{Limits, Settings};
use crate::seed::Seed;

fn facts() -> ClusterFacts<'static> {
    ClusterFacts {
        name: "c",
        version: "v1.34.2",
        endpoint: "10.0.0.1:6443",
        ca: "-----BEGIN CERTIFICATE-----\n",
        document: "",
        image_repository: "registry.k8s.io",
        dns_domain: "cluster.local",
        service_network: bootstrap::SERVICE_NETWORK,
        pod_subnet: "10.244.0.0/16",
    }
}

#[test]
fn init_leaves_what_cluster_api_reads() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let settings = Settings {
        seed: Seed::root(1),
        limits: Limits::default(),
        service_network: Some(bootstrap::SERVICE_NETWORK),
    };
    let mut store = Store::new(settings, Arc::new(Interner::default()));
    bootstrap::create(&mut store, now).unwrap();
    init(&mut store, &facts(), now).unwrap();
    put(
        &mut store,
        "",
        "nodes",
        None,
        json!({"metadata": {"name": "n1"}}),
        WriteOptions::by("kubelet", now),
    )
    .unwrap();
    static_pods(&mut store, &facts(), "n1", "10.0.0.1", 6443, now).unwrap();
    let config = store
        .look_up("", "configmaps", Some("kube-system"), "kubeadm-config")
        .unwrap();
    let document = config.at(&["data", "ClusterConfiguration"]).unwrap();
    assert!(
        document
            .as_str()
            .unwrap()
            .contains("kubernetesVersion: v1.34.2\n")
    );
    let service = store
        .look_up("", "services", Some("kube-system"), "kube-dns")
        .unwrap();
    assert_eq!(service.at(&["spec", "clusterIP"]), Some(json!("10.96.0.10")));
    for name in [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ] {
        let pod = store
            .look_up("", "pods", Some("kube-system"), &format!("{name}-n1"))
            .unwrap();
        assert_eq!(pod.label("tier"), Some("control-plane"));
        assert!(pod.annotation("kubernetes.io/config.mirror").is_some());
        let node = store.look_up("", "nodes", None, "n1").unwrap();
        assert_eq!(pod.controller().unwrap().uid, node.uid_text());
    }
    // A second time changes nothing.
    let version = store.version();
    init(&mut store, &facts(), now).unwrap();
    static_pods(&mut store, &facts(), "n1", "10.0.0.1", 6443, now).unwrap();
    assert_eq!(store.version(), version);
    // A machine that was installed anew under the same name.
    let newer = ClusterFacts {
        version: "v1.35.0",
        ..facts()
    };
    let pod = |store: &Store, name: &str| {
        let pod = store.look_up("", "pods", Some("kube-system"), name).unwrap();
        let containers = pod.at(&["spec", "containers"]).unwrap();
        (pod.uid_text(), containers[0]["image"].clone())
    };
    let (etcd, server) = (pod(&store, "etcd-n1"), pod(&store, "kube-apiserver-n1"));
    static_pods(&mut store, &newer, "n1", "10.0.0.1", 6443, now).unwrap();
    assert_eq!(pod(&store, "etcd-n1"), etcd);
    let (uid, image) = pod(&store, "kube-apiserver-n1");
    assert_ne!(uid, server.0);
    assert_eq!(image, "registry.k8s.io/kube-apiserver:v1.35.0");
}
