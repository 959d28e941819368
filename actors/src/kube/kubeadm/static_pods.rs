//! The static pods of a control-plane node, as their mirror pods look.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{ClusterFacts, put};
use crate::kube::object::Second;
use crate::kube::status::Status;
use crate::kube::store::{DeleteOptions, Store, Target, WriteOptions};

/// Tells manifests apart.
const HASH: &str = "kubernetes.io/config.hash";
/// Version of etcd that kubeadm 1.34 installs.
const ETCD: &str = "3.6.4-0";

/// One component of the control plane.
struct Component {
    name: &'static str,
    image: String,
    command: Vec<String>,
    cpu: &'static str,
    memory: Option<&'static str>,
    /// Port and path of the liveness probe.
    health: (u16, &'static str),
    volumes: &'static [(&'static str, &'static str)],
    annotation: Option<(&'static str, String)>,
}

const PKI: (&str, &str) = ("k8s-certs", "/etc/kubernetes/pki");
const CERTS: (&str, &str) = ("ca-certs", "/etc/ssl/certs");

/// Writes the mirror pods of a control-plane node. `node` must exist. `address` is the node's own, `port` that of its API server. Pods of
/// another manifest or of another Node of that name make room, as a kubelet does it (kubernetes: `pkg/kubelet/kubelet.go`,
/// `syncPod`).
///
/// # Errors
/// A refused write.
pub fn static_pods(
    store: &mut Store,
    facts: &ClusterFacts<'_>,
    node: &str,
    address: &str,
    port: u16,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), Status> {
    let owner = store
        .look_up("", "nodes", None, node)
        .map(|node| node.uid_text())
        .unwrap_or_default();
    for component in components(facts, node, address, port) {
        let pod = mirror_pod(&component, node, address, &owner, now);
        make_room(store, &pod, now)?;
        put(
            store,
            "",
            "pods",
            Some("kube-system"),
            pod,
            WriteOptions::by("kubelet", now),
        )?;
    }
    Ok(())
}

/// Takes a mirror pod away that is not to become `pod`.
fn make_room(store: &mut Store, pod: &Value, now: chrono::DateTime<chrono::Utc>) -> Result<(), Status> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let Some(old) = store.look_up("", "pods", Some("kube-system"), name) else {
        return Ok(());
    };
    let owner = pod["metadata"]["ownerReferences"][0]["uid"].as_str();
    let same_owner = old.head.owners.first().map(|owner| &*owner.uid) == owner;
    if same_owner && old.annotation(HASH) == pod["metadata"]["annotations"][HASH].as_str() {
        return Ok(());
    }
    let Some(pods) = store.registry().find("", "pods").cloned() else {
        return Ok(());
    };
    let target = Target::stored(&pods, Some("kube-system"));
    store.delete(target, name, &DeleteOptions::now(), now).map(drop)
}

fn components(facts: &ClusterFacts<'_>, node: &str, address: &str, port: u16) -> Vec<Component> {
    let image = |name: &str| format!("{}/{name}:{}", facts.image_repository, facts.version);
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut etcd = words(&[
        "etcd",
        "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
        "--client-cert-auth=true",
        "--data-dir=/var/lib/etcd",
        "--key-file=/etc/kubernetes/pki/etcd/server.key",
        "--listen-metrics-urls=http://127.0.0.1:2381",
        "--peer-client-cert-auth=true",
        "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    ]);
    etcd.extend([
        format!("--advertise-client-urls=https://{address}:2379"),
        format!("--listen-client-urls=https://127.0.0.1:2379,https://{address}:2379"),
        format!("--name={node}"),
    ]);
    let mut server = words(&[
        "kube-apiserver",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--client-ca-file=/etc/kubernetes/pki/ca.crt",
        "--enable-admission-plugins=NodeRestriction",
        "--enable-bootstrap-token-auth=true",
        "--etcd-servers=https://127.0.0.1:2379",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt",
    ]);
    server.extend([
        format!("--advertise-address={address}"),
        format!("--secure-port={port}"),
        format!("--service-cluster-ip-range={}", facts.service_subnet()),
    ]);
    let mut manager = words(&[
        "kube-controller-manager",
        "--bind-address=127.0.0.1",
        "--cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt",
        "--controllers=*,bootstrapsigner,tokencleaner",
        "--kubeconfig=/etc/kubernetes/controller-manager.conf",
        "--leader-elect=true",
        "--root-ca-file=/etc/kubernetes/pki/ca.crt",
        "--use-service-account-credentials=true",
    ]);
    manager.push(format!("--cluster-name={}", facts.name));
    vec![
        Component {
            name: "etcd",
            image: format!("{}/etcd:{ETCD}", facts.image_repository),
            command: etcd,
            cpu: "100m",
            memory: Some("100Mi"),
            health: (2381, "/livez"),
            volumes: &[
                ("etcd-certs", "/etc/kubernetes/pki/etcd"),
                ("etcd-data", "/var/lib/etcd"),
            ],
            annotation: Some((
                "kubeadm.kubernetes.io/etcd.advertise-client-urls",
                format!("https://{address}:2379"),
            )),
        },
        Component {
            name: "kube-apiserver",
            image: image("kube-apiserver"),
            command: server,
            cpu: "250m",
            memory: None,
            health: (port, "/livez"),
            volumes: &[CERTS, PKI],
            annotation: Some((
                "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint",
                format!("{address}:{port}"),
            )),
        },
        Component {
            name: "kube-controller-manager",
            image: image("kube-controller-manager"),
            command: manager,
            cpu: "200m",
            memory: None,
            health: (10257, "/healthz"),
            volumes: &[
                CERTS,
                PKI,
                ("kubeconfig", "/etc/kubernetes/controller-manager.conf"),
            ],
            annotation: None,
        },
        Component {
            name: "kube-scheduler",
            image: image("kube-scheduler"),
            command: words(&[
                "kube-scheduler",
                "--bind-address=127.0.0.1",
                "--kubeconfig=/etc/kubernetes/scheduler.conf",
                "--leader-elect=true",
            ]),
            cpu: "100m",
            memory: None,
            health: (10259, "/livez"),
            volumes: &[("kubeconfig", "/etc/kubernetes/scheduler.conf")],
            annotation: None,
        },
    ]
}

fn mirror_pod(
    component: &Component,
    node: &str,
    address: &str,
    owner: &str,
    now: chrono::DateTime<chrono::Utc>,
) -> Value {
    let name = component.name;
    // Of the manifest, so that a new one has a new hash.
    let manifest = format!("{} {}", component.image, component.command.join(" "));
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, manifest.as_bytes())
        .simple()
        .to_string();
    let mut annotations = json!({
        (HASH): hash,
        "kubernetes.io/config.mirror": hash,
        "kubernetes.io/config.seen": Second::of(now).text(),
        "kubernetes.io/config.source": "file",
    });
    if let Some((key, value)) = &component.annotation {
        annotations[*key] = value.as_str().into();
    }
    let mut requests = json!({"cpu": component.cpu});
    if let Some(memory) = component.memory {
        requests["memory"] = memory.into();
    }
    let (port, path) = component.health;
    // etcd's metrics are plain HTTP.
    let scheme = if name == "etcd" { "HTTP" } else { "HTTPS" };
    let host = if name == "kube-apiserver" {
        address
    } else {
        "127.0.0.1"
    };
    let probe = |timeout: u32, failures: u32| {
        json!({
            "httpGet": {"host": host, "path": path, "port": port, "scheme": scheme},
            "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": timeout, "failureThreshold": failures,
        })
    };
    let mounts: Vec<Value> = component
        .volumes
        .iter()
        .map(|(volume, path)| json!({"name": volume, "mountPath": path, "readOnly": *volume != "etcd-data"}))
        .collect();
    let volumes: Vec<Value> = component
        .volumes
        .iter()
        .map(|(volume, path)| {
            let kind = if *volume == "kubeconfig" {
                "FileOrCreate"
            } else {
                "DirectoryOrCreate"
            };
            json!({"name": volume, "hostPath": {"path": path, "type": kind}})
        })
        .collect();
    json!({
        "metadata": {
            "name": format!("{name}-{node}"),
            "annotations": annotations,
            "labels": {"component": name, "tier": "control-plane"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": owner, "controller": true}],
        },
        "spec": {
            "containers": [{
                "name": name,
                "image": component.image,
                "imagePullPolicy": "IfNotPresent",
                "command": component.command,
                "resources": {"requests": requests},
                "livenessProbe": probe(15, 8),
                "startupProbe": probe(15, 24),
                "volumeMounts": mounts,
            }],
            "hostNetwork": true,
            "nodeName": node,
            "priority": 2_000_001_000,
            "priorityClassName": "system-node-critical",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "tolerations": [{"effect": "NoExecute", "operator": "Exists"}],
            "volumes": volumes,
        },
    })
}
