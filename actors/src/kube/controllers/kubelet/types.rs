//! What the kubelet reads of a pod's spec, and what it writes into its status.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    pub(super) restart_policy: String,
    pub(super) host_network: bool,
    pub(super) active_deadline_seconds: Option<i64>,
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Vec<Container>,
    pub(super) ephemeral_containers: Vec<Container>,
    pub(super) volumes: Vec<Value>,
    pub(super) readiness_gates: Vec<ReadinessGate>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ReadinessGate {
    pub(super) condition_type: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) image_pull_policy: String,
    /// `Always` makes a sidecar of an init container.
    pub(super) restart_policy: String,
    pub(super) env: Vec<Value>,
    pub(super) env_from: Vec<Value>,
    pub(super) readiness_probe: Option<Probe>,
    pub(super) startup_probe: Option<Probe>,
    pub(super) resources: Map<String, Value>,
    pub(super) volume_mounts: Vec<VolumeMount>,
}

/// A mount, in the spec and in the status.
#[derive(Serialize, Deserialize, Default, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VolumeMount {
    pub(super) mount_path: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recursive_read_only: Option<String>,
}

impl Container {
    pub(super) fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }

    /// The mounts as the status tells them: no runtime mounts read-only below the top unless it is asked to.
    pub(super) fn mounts(&self) -> Vec<VolumeMount> {
        let tell = |mount: &VolumeMount| VolumeMount {
            recursive_read_only: mount.read_only.then(|| {
                let wanted = mount.recursive_read_only.as_deref();
                let on = matches!(wanted, Some("Enabled" | "IfPossible"));
                if on { "Enabled" } else { "Disabled" }.to_owned()
            }),
            ..mount.clone()
        };
        self.volume_mounts.iter().map(tell).collect()
    }
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Probe {
    pub(super) initial_delay_seconds: i64,
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) start_time: Option<String>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: String,
    pub(super) conditions: Vec<Value>,
    pub(super) container_statuses: Vec<ContainerStatus>,
    pub(super) init_container_statuses: Vec<ContainerStatus>,
    pub(super) ephemeral_container_statuses: Vec<ContainerStatus>,
}

impl PodStatus {
    /// Whether all has been done: the pod does not run any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

#[derive(Serialize, Deserialize, Default, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) last_state: State,
    pub(super) ready: bool,
    pub(super) restart_count: u32,
    pub(super) image: String,
    #[serde(rename = "imageID")]
    pub(super) image_id: String,
    #[serde(rename = "containerID", skip_serializing_if = "String::is_empty")]
    pub(super) container_id: String,
    pub(super) started: bool,
    /// What the node keeps for it: its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allocated_resources: Option<Value>,
    /// Once it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resources: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volume_mounts: Vec<VolumeMount>,
}

#[derive(Serialize, Deserialize, Default, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct State {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) running: Option<Running>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) terminated: Option<Terminated>,
}

impl State {
    pub(super) fn waiting(reason: &str, message: impl Into<String>) -> Self {
        Self {
            waiting: Some(Waiting {
                reason: reason.to_owned(),
                message: message.into(),
            }),
            ..Self::default()
        }
    }

    pub(super) fn terminated(terminated: Terminated) -> Self {
        Self {
            terminated: Some(terminated),
            ..Self::default()
        }
    }
}

#[derive(Serialize, Deserialize, Default, Debug, Clone, PartialEq)]
#[serde(default)]
pub(super) struct Waiting {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
}

#[derive(Serialize, Deserialize, Default, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Running {
    pub(super) started_at: String,
}

#[derive(Serialize, Deserialize, Default, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    pub(super) started_at: String,
    pub(super) finished_at: String,
    #[serde(rename = "containerID", skip_serializing_if = "String::is_empty")]
    pub(super) container_id: String,
}
