//! The status of a pod as its kubelet writes it (kubernetes: `pkg/kubelet/status/generate.go`, `pkg/kubelet/kubelet_pods.go`).

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::containers;
use super::types::{PodSpec, PodStatus};
use crate::kube::controllers::conditions::{self, Condition};
use crate::kube::object::Second;

/// The conditions that a kubelet writes, in its order; those of others stand before them.
const CONDITIONS: [&str; 5] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
];

/// What is to be written beside the containers' statuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report<'a> {
    /// `status.phase`.
    pub(super) phase: &'a str,
    /// Why the pod as a whole failed: `status.reason` and `status.message`.
    pub(super) failure: Option<(&'a str, &'a str)>,
    /// Whether the pod has its sandbox and its network.
    pub(super) sandbox: bool,
    /// `status.startTime`.
    pub(super) start: Second,
    /// The time.
    pub(super) now: DateTime<Utc>,
    /// `metadata.generation` of the pod; 0 = none.
    pub(super) generation: i64,
}

/// Puts what the kubelet knows into the pod's status; what others wrote there stays.
pub(super) fn write(body: &mut Map<String, Value>, spec: &PodSpec, status: &PodStatus, report: Report<'_>) {
    if report.generation > 0 {
        body.insert("observedGeneration".to_owned(), report.generation.into());
    }
    body.insert("phase".to_owned(), report.phase.into());
    if let Some((reason, message)) = report.failure {
        body.insert("reason".to_owned(), reason.into());
        body.insert("message".to_owned(), message.into());
    }
    body.insert("startTime".to_owned(), report.start.text().into());
    if !status.pod_ip.is_empty() {
        body.insert("podIP".to_owned(), status.pod_ip.as_str().into());
        body.insert("podIPs".to_owned(), json!([{"ip": status.pod_ip}]));
    }
    for (key, list) in [
        ("containerStatuses", &status.container_statuses),
        ("initContainerStatuses", &status.init_container_statuses),
        ("ephemeralContainerStatuses", &status.ephemeral_container_statuses),
    ] {
        if !list.is_empty() {
            body.insert(
                key.to_owned(),
                serde_json::to_value(list).unwrap_or_else(|_| json!([])),
            );
        }
    }
    write_conditions(conditions::of(body), spec, status, report);
}

fn write_conditions(list: &mut Vec<Value>, spec: &PodSpec, status: &PodStatus, report: Report<'_>) {
    let time = Second::of(report.now).text();
    let phase = report.phase;
    let over = matches!(phase, "Succeeded" | "Failed");
    let mut set = |kind, on: bool, reason, message: &str| {
        let status = if on { "True" } else { "False" };
        let wanted = Condition {
            kind,
            status,
            reason,
            message,
        };
        conditions::set(list, wanted, &time);
    };
    set("PodReadyToStartContainers", report.sandbox && !over, "", "");
    let completed = if phase == "Succeeded" { "PodCompleted" } else { "" };
    let uninitialized = containers::uninitialized(spec, status);
    if uninitialized.is_empty() || phase == "Succeeded" {
        set("Initialized", true, completed, "");
    } else {
        let message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
        set("Initialized", false, "ContainersNotInitialized", &message);
    }
    let unready = containers::unready(spec, status);
    let why_not = match phase {
        "Succeeded" => Some(("PodCompleted", String::new())),
        "Failed" => Some(("PodFailed", String::new())),
        _ if unready.is_empty() => None,
        _ => Some((
            "ContainersNotReady",
            format!("containers with unready status: [{}]", unready.join(" ")),
        )),
    };
    match &why_not {
        Some((reason, message)) => set("ContainersReady", false, reason, message),
        None => set("ContainersReady", true, "", ""),
    }
    let gates = gates(spec, &status.conditions);
    match why_not {
        Some((reason, message)) => set("Ready", false, reason, &message),
        None if !gates.is_empty() => set("Ready", false, "ReadinessGatesNotReady", &gates.join("; ")),
        None => set("Ready", true, "", ""),
    }
    set("PodScheduled", true, "", "");
    let place = |condition: &Value| {
        let kind = conditions::text(condition, "type");
        CONDITIONS.iter().position(|own| *own == kind)
    };
    list.sort_by_key(place);
    if report.generation > 0 {
        for condition in list.iter_mut().filter(|condition| place(condition).is_some()) {
            if let Value::Object(condition) = condition {
                condition.insert("observedGeneration".to_owned(), report.generation.into());
            }
        }
    }
}

/// What the pod's readiness gates still want.
fn gates(spec: &PodSpec, found: &[Value]) -> Vec<String> {
    spec.readiness_gates
        .iter()
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match conditions::get(found, kind) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{kind}\" does not exist."
                )),
                Some(condition) => {
                    let status = conditions::text(condition, "status");
                    (status != "True").then(|| {
                        format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {status}")
                    })
                }
            }
        })
        .collect()
}
