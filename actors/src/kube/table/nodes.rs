//! Nodes.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::age;
use super::built_in::{Kind, Row, kind};
use super::cell::{NONE, or, or_default};
use super::column::{AGE, NAME, text};

/// The printers.
pub(super) const KINDS: &[Kind] = &[kind(
    "",
    "nodes",
    &[
        NAME,
        text(
            "Status",
            "Whether the node is ready, and whether it takes new pods.",
        ),
        text("Roles", "The roles that labels give to the node."),
        AGE,
        text("Version", "Version of the kubelet."),
        text("Internal-IP", "First address of the type InternalIP.").wide(),
        text("External-IP", "First address of the type ExternalIP.").wide(),
        text("OS-Image", "Operating system of the node.").wide(),
        text("Kernel-Version", "Version of the kernel.").wide(),
        text("Container-Runtime", "Container runtime and its version.").wide(),
    ],
    node,
)];

/// Labels with this prefix name a role.
const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
/// The value of this label is a role.
const ROLE_LABEL: &str = "kubernetes.io/role";

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    #[serde(deserialize_with = "or_default")]
    unschedulable: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<Address>,
    #[serde(deserialize_with = "or_default")]
    node_info: Info,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Address {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    address: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Info {
    #[serde(deserialize_with = "or_default")]
    kubelet_version: String,
    #[serde(deserialize_with = "or_default")]
    os_image: String,
    #[serde(deserialize_with = "or_default")]
    kernel_version: String,
    #[serde(deserialize_with = "or_default")]
    container_runtime_version: String,
}

fn node(row: &Row<'_>) -> Vec<Value> {
    let spec: Spec = row.object.read("spec").unwrap_or_default();
    let status: Status = row.object.read("status").unwrap_or_default();
    // Of several conditions of one type the last counts.
    let ready = status
        .conditions
        .iter()
        .rev()
        .find(|condition| condition.kind == "Ready");
    let mut state = match ready.map(|condition| condition.status == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if spec.unschedulable {
        state.push_str(",SchedulingDisabled");
    }
    let address = |kind: &str| {
        let found = status.addresses.iter().find(|address| address.kind == kind);
        Value::from(found.map_or(NONE, |found| &found.address))
    };
    let known = |word: &str| Value::from(or(word, age::UNKNOWN));
    let info = &status.node_info;
    vec![
        row.name(),
        state.into(),
        roles(row).into(),
        row.age(),
        info.kubelet_version.as_str().into(),
        address("InternalIP"),
        address("ExternalIP"),
        known(&info.os_image),
        known(&info.kernel_version),
        known(&info.container_runtime_version),
    ]
}

fn roles(row: &Row<'_>) -> String {
    let roles: BTreeSet<&str> = row
        .object
        .head
        .labels
        .iter()
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None => Some(&**value).filter(|_| &**key == ROLE_LABEL),
        })
        .filter(|role| !role.is_empty())
        .collect();
    let roles: Vec<&str> = roles.into_iter().collect();
    or(&roles.join(","), NONE).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kube::table::kit::{cells, object};

    #[test]
    fn a_control_plane_node() {
        let node = object(json!({
            "metadata": {"name": "cp-0", "labels": {
                "node-role.kubernetes.io/control-plane": "", "node-role.kubernetes.io/": "", "kubernetes.io/role": "etcd"
            }},
            "spec": {"unschedulable": true},
            "status": {
                "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
                "addresses": [{"type": "Hostname", "address": "cp-0"}, {"type": "InternalIP", "address": "10.0.0.5"}],
                "nodeInfo": {
                    "kubeletVersion": "v1.34.2", "osImage": "Ubuntu 24.04 LTS", "kernelVersion": "6.8.0-60-generic",
                    "containerRuntimeVersion": "containerd://2.1.4"
                },
                "images": [{"names": ["a", "b"], "sizeBytes": 7}],
            },
        }));
        assert_eq!(
            cells("", "nodes", &node),
            json!([
                "cp-0",
                "Ready,SchedulingDisabled",
                "control-plane,etcd",
                "5m",
                "v1.34.2",
                "10.0.0.5",
                "<none>",
                "Ubuntu 24.04 LTS",
                "6.8.0-60-generic",
                "containerd://2.1.4"
            ])
        );
    }

    #[test]
    fn nodes_that_are_not_ready() {
        let node = object(json!({"metadata": {"name": "n"}, "status": {"conditions": [
            {"type": "Ready", "status": "Unknown"}
        ], "nodeInfo": null}}));
        assert_eq!(
            cells("", "nodes", &node),
            json!([
                "n",
                "NotReady",
                "<none>",
                "5m",
                "",
                "<none>",
                "<none>",
                "<unknown>",
                "<unknown>",
                "<unknown>"
            ])
        );
        let node = object(json!({"metadata": {"name": "n"}}));
        assert_eq!(cells("", "nodes", &node)[1], "Unknown");
    }
}
