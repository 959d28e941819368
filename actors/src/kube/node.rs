//! Node objects: how a kubelet registers its node, and what of it is computed when it is read.
//!
//! A real kubelet writes its Lease every 10 s and its Node's status every 5 minutes (kubernetes: `pkg/kubelet/kubelet.go`,
//! `pkg/kubelet/apis/config/v1beta1/defaults.go`). Here nothing is written while nothing changes: [`present`] gives the times that the last such
//! write would have left, and [`freeze`] writes them down when the kubelet falls silent. The resource version does not move with them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::controller::{Kubelet, Kubelets};
use super::controllers::conditions::{self, Condition};
use super::controllers::events::{self, EventType, Happening, ObjectReference, micro_time};
use super::controllers::kinds::KINDS;
use super::object::{Object, Second};
use super::resource::Resource;
use super::status::Status;
use super::store::{Part, Store, Target, WriteOptions};
use crate::seed::Seed;

/// Namespace of the nodes' leases.
pub const LEASES: &str = "kube-node-lease";
/// A Lease is renewed each so many seconds (a quarter of its duration).
const RENEW_SECONDS: i64 = 10;
/// `spec.leaseDurationSeconds`.
const LEASE_SECONDS: i64 = 40;
/// A Node's status is written at the latest after so many seconds.
const REPORT_SECONDS: i64 = 300;
/// What the kubelet keeps for itself of the memory, in KiB: its hard eviction threshold.
const EVICTION_KIB: u64 = 100 * 1024;
/// Most pods of a node.
const PODS: u32 = 110;
/// Port of the kubelet.
const PORT: u16 = 10250;

/// The conditions that a kubelet reports, in its order: type, reason and message when all is well.
pub const CONDITIONS: [(&str, &str, &str); 4] = [
    (
        "MemoryPressure",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    (
        "DiskPressure",
        "KubeletHasNoDiskPressure",
        "kubelet has no disk pressure",
    ),
    (
        "PIDPressure",
        "KubeletHasSufficientPID",
        "kubelet has sufficient PID available",
    ),
    ("Ready", "KubeletReady", "kubelet is posting ready status"),
];

/// What a node that starts says of itself.
pub(crate) const NOT_READY: Condition<'static> = Condition {
    kind: "Ready",
    status: "False",
    reason: "KubeletNotReady",
    message: "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
};

/// What a node is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It runs the control plane, and nothing else unless tolerated.
    ControlPlane,
    /// It runs pods.
    Worker,
}

/// The machine under a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hardware {
    /// Processors.
    pub cpus: u32,
    /// Memory in KiB.
    pub memory_kib: u64,
    /// Disk in KiB.
    pub disk_kib: u64,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            cpus: 4,
            memory_kib: 16 * 1024 * 1024,
            disk_kib: 100 * 1024 * 1024,
        }
    }
}

/// What runs on the machine, as `status.nodeInfo` tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Software {
    /// `osImage`.
    pub os_image: String,
    /// `kernelVersion`.
    pub kernel: String,
    /// `containerRuntimeVersion`.
    pub runtime: String,
}

impl Default for Software {
    fn default() -> Self {
        Self {
            os_image: "Ubuntu 24.04.3 LTS".to_owned(),
            kernel: "6.8.0-85-generic".to_owned(),
            runtime: "containerd://2.1.4".to_owned(),
        }
    }
}

/// What a kubelet registers its node with.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeSpec {
    /// Name, a DNS subdomain; also the hostname.
    pub name: String,
    /// Kubernetes version of the kubelet, `v1.34.2`.
    pub version: String,
    /// Address.
    pub internal_ip: Ipv4Addr,
    /// Machine.
    pub hardware: Hardware,
    /// What runs on it.
    pub software: Software,
    /// Further addresses of the node, type (`ExternalIP`, `InternalDNS`, ...) and address.
    pub addresses: Vec<(String, String)>,
    /// Network of its pods and prefix length; `None` = the next free one of the cluster.
    pub pod_network: Option<(Ipv4Addr, u8)>,
    /// What the node is for: labels, and the taint unless `taints` says otherwise.
    pub role: Role,
    /// `spec.providerID`, `metal3://...`; empty = none.
    pub provider_id: String,
    /// Labels of `--node-labels`.
    pub labels: Vec<(String, String)>,
    /// Taints of `nodeRegistration.taints`, `{key, value, effect}`; `None` = those of the role.
    pub taints: Option<Vec<Value>>,
    /// `status.nodeInfo.systemUUID`: the machine's own; `None` = drawn from the name.
    pub system_uuid: Option<Uuid>,
}

impl NodeSpec {
    /// A worker of that name and address with the default machine.
    #[must_use]
    pub fn worker(name: &str, internal_ip: Ipv4Addr, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            internal_ip,
            hardware: Hardware::default(),
            software: Software::default(),
            addresses: Vec::new(),
            pod_network: None,
            role: Role::Worker,
            provider_id: String::new(),
            labels: Vec::new(),
            taints: None,
            system_uuid: None,
        }
    }

    fn labels(&self) -> Map<String, Value> {
        let mut labels = Map::new();
        for (key, value) in [
            ("beta.kubernetes.io/arch", "amd64"),
            ("beta.kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/hostname", self.name.as_str()),
            ("kubernetes.io/os", "linux"),
        ] {
            labels.insert(key.to_owned(), value.into());
        }
        if self.role == Role::ControlPlane {
            labels.insert("node-role.kubernetes.io/control-plane".to_owned(), "".into());
            labels.insert(
                "node.kubernetes.io/exclude-from-external-load-balancers".to_owned(),
                "".into(),
            );
        }
        for (key, value) in &self.labels {
            labels.insert(key.clone(), value.as_str().into());
        }
        labels
    }

    fn taints(&self) -> Vec<Value> {
        let mut taints = match (&self.taints, self.role) {
            (Some(taints), _) => taints.clone(),
            (None, Role::ControlPlane) => {
                vec![json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"})]
            }
            (None, Role::Worker) => Vec::new(),
        };
        // Admission taints every new node (kubernetes: `plugin/pkg/admission/nodetaint`).
        taints.push(json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}));
        taints
    }

    fn addresses(&self) -> Vec<Value> {
        let mut addresses = vec![
            json!({"type": "InternalIP", "address": self.internal_ip}),
            json!({"type": "Hostname", "address": self.name}),
        ];
        let more = self.addresses.iter();
        addresses.extend(more.map(|(kind, address)| json!({"type": kind, "address": address})));
        addresses
    }

    /// Capacity and what is left for pods.
    fn resources(&self) -> (Value, Value) {
        let Hardware {
            cpus,
            memory_kib,
            disk_kib,
        } = self.hardware;
        let of = |storage: String, memory: u64| {
            json!({
                "cpu": cpus.to_string(),
                "ephemeral-storage": storage,
                "hugepages-1Gi": "0",
                "hugepages-2Mi": "0",
                "memory": format!("{memory}Ki"),
                "pods": PODS.to_string(),
            })
        };
        // A tenth of the disk is kept free; it is told in bytes.
        let free = disk_kib.saturating_mul(1024) / 10 * 9;
        (
            of(format!("{disk_kib}Ki"), memory_kib),
            of(free.to_string(), memory_kib.saturating_sub(EVICTION_KIB)),
        )
    }

    fn node_info(&self, boot: Uuid) -> Value {
        let seed = Seed::root(0).child("machine").child(&self.name);
        let machine = uuid_of(seed.child("id"));
        let system = self.system_uuid.unwrap_or_else(|| uuid_of(seed.child("system")));
        // Kubelets report no version of kube-proxy since 1.33 (kubernetes: KEP 4004).
        let minor = self
            .version
            .split('.')
            .nth(1)
            .and_then(|minor| minor.parse().ok());
        let proxy = if minor.unwrap_or(u32::MAX) >= 33 {
            ""
        } else {
            &self.version
        };
        json!({
            "architecture": "amd64",
            "bootID": boot.hyphenated().to_string(),
            "containerRuntimeVersion": self.software.runtime,
            "kernelVersion": self.software.kernel,
            "kubeProxyVersion": proxy,
            "kubeletVersion": self.version,
            "machineID": machine.simple().to_string(),
            "operatingSystem": "linux",
            "osImage": self.software.os_image,
            "systemUUID": system.hyphenated().to_string(),
        })
    }
}

/// A UUID that follows from a seed.
fn uuid_of(seed: Seed) -> Uuid {
    let (high, low) = (
        u128::from(seed.child("high").value()),
        u128::from(seed.child("low").value()),
    );
    uuid::Builder::from_random_bytes((high << 64 | low).to_be_bytes()).into_uuid()
}

/// `status.nodeInfo.bootID` of a node whose machine booted at `since`.
#[must_use]
pub fn boot_id(name: &str, since: DateTime<Utc>) -> Uuid {
    let second = u64::from_le_bytes(since.timestamp().to_le_bytes());
    uuid_of(Seed::root(0).child("boot").child(name).indexed(second))
}

/// Registers a node as its kubelet does when it starts: Node, Lease, event `Starting`. A Node that exists keeps what is in it, but what the
/// machine and the kubelet are. Its podCIDR, conditions and taints follow from the controllers, once the kubelet runs.
///
/// # Errors
/// A name that cannot be, or a cluster that is full.
pub fn register(store: &mut Store, spec: &NodeSpec, now: DateTime<Utc>) -> Result<Arc<Object>, Status> {
    let nodes = &KINDS.nodes;
    let by = WriteOptions::by("kubelet", now);
    let (capacity, allocatable) = spec.resources();
    let known = json!({
        "addresses": spec.addresses(),
        "allocatable": allocatable,
        "capacity": capacity,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": PORT}},
    });
    if let Some(existing) = store.find(nodes, None, &spec.name) {
        let mut draft = existing.draft();
        let boot = existing
            .at(&["status", "nodeInfo", "bootID"])
            .and_then(|boot| Uuid::parse_str(boot.as_str()?).ok());
        let status = conditions::object(&mut draft.body, "status");
        if let Value::Object(known) = known {
            status.extend(known);
        }
        let boot = boot.unwrap_or_else(|| boot_id(&spec.name, now));
        status.insert("nodeInfo".to_owned(), spec.node_info(boot));
        store.replace(nodes, Part::Status, draft, by)?;
    } else {
        let mut status = known;
        let time = Second::of(now).text();
        let mut list = Vec::new();
        for (kind, reason, message) in CONDITIONS {
            let wanted = if kind == "Ready" {
                NOT_READY
            } else {
                Condition {
                    kind,
                    status: "False",
                    reason,
                    message,
                }
            };
            conditions::set(&mut list, wanted, &time);
        }
        for condition in &mut list {
            condition["lastHeartbeatTime"] = time.as_str().into();
        }
        status["conditions"] = list.into();
        status["nodeInfo"] = spec.node_info(boot_id(&spec.name, now));
        let mut node = json!({"taints": spec.taints()});
        if !spec.provider_id.is_empty() {
            node["providerID"] = spec.provider_id.as_str().into();
        }
        if let Some((network, prefix)) = spec.pod_network {
            let network = format!("{network}/{prefix}");
            node["podCIDRs"] = json!([network]);
            node["podCIDR"] = network.into();
        }
        let body = json!({
            "metadata": {
                "name": spec.name,
                "labels": spec.labels(),
                "annotations": {
                    "kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock",
                    "node.alpha.kubernetes.io/ttl": "0",
                    "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                },
            },
            "spec": node,
            "status": status,
        });
        store.create(Target::stored(nodes, None), body, by)?;
    }
    events::record_at(
        store,
        now,
        &reference(&spec.name),
        &Happening {
            kind: EventType::Normal,
            reason: "Starting",
            message: "Starting kubelet.",
            component: "kubelet",
            host: &spec.name,
        },
    );
    let node = Arc::clone(store.get(Target::stored(nodes, None), &spec.name)?);
    ensure_lease(store, &node, now)?;
    Ok(node)
}

/// Makes the node's Lease if it is missing.
///
/// # Errors
/// A refused write: there is no namespace for it.
pub(crate) fn ensure_lease(store: &mut Store, node: &Object, now: DateTime<Utc>) -> Result<(), Status> {
    let (leases, name) = (&KINDS.leases, node.name());
    if store.find(leases, Some(LEASES), name).is_some() {
        return Ok(());
    }
    let body = json!({
        "metadata": {
            "name": name,
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.uid_text()},
            ],
        },
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": micro_time(now),
        },
    });
    store.create(
        Target::stored(leases, Some(LEASES)),
        body,
        WriteOptions::by("kubelet", now),
    )?;
    Ok(())
}

/// The kubelet of `node` is heard again: it renews its Lease.
pub(crate) fn renew_lease(store: &mut Store, node: &str, now: DateTime<Utc>) {
    let Some(lease) = store.find(&KINDS.leases, Some(LEASES), node) else {
        return;
    };
    let mut draft = lease.draft();
    conditions::object(&mut draft.body, "spec").insert("renewTime".to_owned(), micro_time(now).into());
    // A full cluster loses the heartbeat, no more.
    let _lost = store.replace(&KINDS.leases, Part::Main, draft, WriteOptions::by("kubelet", now));
}

/// The Node as the kubelet's events name it: its name stands for the uid (kubernetes: `pkg/kubelet/kubelet.go`, `nodeRef`).
pub(crate) fn reference(name: &str) -> ObjectReference {
    ObjectReference {
        kind: "Node".to_owned(),
        name: name.to_owned(),
        uid: name.to_owned(),
        ..ObjectReference::default()
    }
}

/// The last step of `seconds` since `since` that is not after `now`.
fn last_step(since: DateTime<Utc>, now: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    let steps = now
        .signed_duration_since(since)
        .num_seconds()
        .max(0)
        .checked_div(seconds)
        .unwrap_or(0);
    TimeDelta::try_seconds(steps.saturating_mul(seconds))
        .and_then(|elapsed| since.checked_add_signed(elapsed))
        .unwrap_or(now)
}

/// A Node or a node's Lease as a reader sees it at `now`, if that differs from what is stored: with the time of the last report of its kubelet.
/// `None` for everything else, and for nodes without a running kubelet.
#[must_use]
pub fn present(
    kubelets: &Kubelets,
    resource: &Resource,
    object: &Object,
    now: DateTime<Utc>,
) -> Option<Object> {
    let (lease, section) = if resource.home == KINDS.nodes.home {
        (false, "status")
    } else if resource.home == KINDS.leases.home && object.namespace() == Some(LEASES) {
        (true, "spec")
    } else {
        return None;
    };
    let Kubelet::Running { since } = *kubelets.get(object.name())? else {
        return None;
    };
    let text = object.section_text(section)?;
    let text = if lease {
        let renewed = micro_time(last_step(since, now, RENEW_SECONDS));
        replace_times(&text.get(), "\"renewTime\":\"", &renewed, |_| true)
    } else {
        let reported = Second::of(last_step(since, now, REPORT_SECONDS)).text();
        replace_times(&text.get(), "\"lastHeartbeatTime\":\"", &reported, |rest| {
            let kind = rest
                .split_once("\"type\":\"")
                .and_then(|(_, rest)| rest.split_once('"'));
            kind.is_some_and(|(kind, _)| CONDITIONS.iter().any(|(known, ..)| *known == kind))
        })
    }?;
    Some(Object {
        sections: object.sections.with(section, text.into()),
        ..object.clone()
    })
}

/// Puts `time` behind each `key` where an older time of the same form stands and `wanted` says so of the text after it; `None` if nowhere. A quote within
/// JSON text is escaped, so the key cannot be part of one.
fn replace_times(text: &str, key: &str, time: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some((before, after)) = rest.split_once(key) {
        out.push_str(before);
        out.push_str(key);
        rest = after;
        let Some((old, following)) = after.split_once('"') else {
            break;
        };
        if old.len() == time.len() && old < time && wanted(following) {
            out.push_str(time);
            out.push('"');
            rest = following;
            changed = true;
        }
    }
    out.push_str(rest);
    changed.then_some(out)
}

/// Writes down what the kubelet of `node` reported last, for it falls silent now: `kubelets` still holds it as running.
pub(crate) fn freeze(store: &mut Store, kubelets: &Kubelets, node: &str, now: DateTime<Utc>) {
    let by = WriteOptions::by("kubelet", now);
    for (resource, namespace, part) in [
        (&KINDS.nodes, None, Part::Status),
        (&KINDS.leases, Some(LEASES), Part::Main),
    ] {
        let seen = store
            .find(resource, namespace, node)
            .and_then(|object| present(kubelets, resource, object, now));
        if let Some(seen) = seen {
            // A full cluster loses the last heartbeat, no more.
            let _lost = store.replace(resource, part, seen.draft(), by);
        }
    }
}

/// Whether the condition Ready of a node is true.
#[must_use]
pub fn is_ready(node: &Object) -> bool {
    node.at(&["status", "conditions"])
        .is_some_and(|list| conditions::is_true(list.as_array().map_or(&[], Vec::as_slice), "Ready"))
}

#[cfg(test)]
mod tests;
