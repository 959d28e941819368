//! Pods and their templates.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::age;
use super::built_in::{Kind, Quirk, Row, kind};
use super::cell::{self, NONE, or, or_default};
use super::column::{AGE, NAME, text};
use crate::kube::object::Object;

/// The printers.
pub(super) const KINDS: &[Kind] = &[
    kind(
        "",
        "pods",
        &[
            NAME,
            text("Ready", "Ready containers, of all."),
            text("Status", "What the containers of the pod do, in a word."),
            text("Restarts", "Restarts of containers, and when the last one was."),
            AGE,
            text("IP", "First address of the pod.").wide(),
            text("Node", "The node that the pod is bound to.").wide(),
            text(
                "Nominated Node",
                "The node that preemption makes room on for the pod.",
            )
            .wide(),
            text("Readiness Gates", "Readiness gates that are open, of all.").wide(),
        ],
        pod,
    )
    .quirk(Quirk::Completed),
    kind(
        "",
        "podtemplates",
        &[
            NAME,
            text("Containers", "Names of the containers of the template."),
            text("Images", "Images of the containers of the template."),
            text("Pod Labels", "Labels of the template."),
        ],
        pod_template,
    ),
];

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    node_name: String,
    #[serde(deserialize_with = "or_default")]
    readiness_gates: Vec<Gate>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    restart_policy: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Gate {
    #[serde(deserialize_with = "or_default")]
    condition_type: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    #[serde(deserialize_with = "or_default")]
    phase: String,
    #[serde(deserialize_with = "or_default")]
    reason: String,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(rename = "podIP", deserialize_with = "or_default")]
    pod_ip: String,
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pod_ips: Vec<PodIp>,
    #[serde(deserialize_with = "or_default")]
    nominated_node_name: String,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodIp {
    #[serde(deserialize_with = "or_default")]
    ip: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "or_default")]
    reason: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    ready: bool,
    #[serde(deserialize_with = "or_default")]
    started: bool,
    #[serde(deserialize_with = "or_default")]
    restart_count: i64,
    #[serde(deserialize_with = "or_default")]
    state: State,
    #[serde(deserialize_with = "or_default")]
    last_state: State,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    running: Option<serde::de::IgnoredAny>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Waiting {
    #[serde(deserialize_with = "or_default")]
    reason: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    #[serde(deserialize_with = "or_default")]
    reason: String,
    #[serde(deserialize_with = "or_default")]
    exit_code: i64,
    #[serde(deserialize_with = "or_default")]
    signal: i64,
    #[serde(deserialize_with = "or_default")]
    finished_at: String,
}

impl Terminated {
    /// Why it ended: the reason, or the signal or exit code.
    fn word(&self) -> String {
        match (self.reason.as_str(), self.signal) {
            ("", 0) => format!("ExitCode:{}", self.exit_code),
            ("", signal) => format!("Signal:{signal}"),
            (reason, _) => reason.to_owned(),
        }
    }
}

/// Restarts of some containers.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<DateTime<Utc>>,
}

impl Restarts {
    fn add(&mut self, container: &ContainerStatus) {
        self.count = self.count.saturating_add(container.restart_count);
        let ended = container.last_state.terminated.as_ref();
        self.last = self
            .last
            .max(ended.and_then(|ended| age::parse(&ended.finished_at)));
    }

    fn text(self, now: DateTime<Utc>) -> String {
        match self.last {
            Some(_) if self.count != 0 => format!("{} ({} ago)", self.count, age::since(self.last, now)),
            _ => self.count.to_string(),
        }
    }
}

/// What the containers come to.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: Restarts,
}

fn summary(spec: &Spec, status: &Status) -> Summary {
    let gated = status
        .conditions
        .iter()
        .any(|condition| condition.kind == "PodScheduled" && condition.reason == "SchedulingGated");
    let mut summary = Summary {
        ready: 0,
        total: spec.containers.len(),
        reason: match gated {
            true => "SchedulingGated".to_owned(),
            false => or(&status.reason, &status.phase).to_owned(),
        },
        restarts: Restarts::default(),
    };
    // Init containers that go on beside the others ("sidecars").
    let is_sidecar = |container: &Container| container.restart_policy == "Always";
    summary.total += spec
        .init_containers
        .iter()
        .filter(|container| is_sidecar(container))
        .count();
    let sidecars = init_containers(&mut summary, spec, status, is_sidecar);
    let initialized = status
        .conditions
        .iter()
        .find(|condition| condition.kind == "Initialized")
        .is_some_and(|condition| condition.status == "True");
    match sidecars {
        Progress::Initializing(_) if !initialized => {}
        Progress::Initializing(sidecars) | Progress::Done(sidecars) => {
            summary.restarts = sidecars;
            containers(&mut summary, status);
        }
    }
    summary
}

/// How far the init containers are, and the restarts of those that go on.
enum Progress {
    Initializing(Restarts),
    Done(Restarts),
}

fn init_containers(
    summary: &mut Summary,
    spec: &Spec,
    status: &Status,
    is_sidecar: impl Fn(&Container) -> bool,
) -> Progress {
    let mut sidecars = Restarts::default();
    for (index, container) in status.init_container_statuses.iter().enumerate() {
        summary.restarts.add(container);
        let sidecar = spec
            .init_containers
            .iter()
            .rev()
            .find(|declared| declared.name == container.name)
            .is_some_and(&is_sidecar);
        if sidecar {
            sidecars.add(container);
        }
        let state = &container.state;
        summary.reason = match (&state.terminated, &state.waiting) {
            (Some(ended), _) if ended.exit_code == 0 => continue,
            _ if sidecar && container.started => {
                summary.ready += usize::from(container.ready);
                continue;
            }
            (Some(ended), _) => format!("Init:{}", ended.word()),
            (None, Some(waiting)) if !matches!(waiting.reason.as_str(), "" | "PodInitializing") => {
                format!("Init:{}", waiting.reason)
            }
            _ => format!("Init:{index}/{}", spec.init_containers.len()),
        };
        return Progress::Initializing(sidecars);
    }
    Progress::Done(sidecars)
}

fn containers(summary: &mut Summary, status: &Status) {
    let mut running = false;
    for container in status.container_statuses.iter().rev() {
        summary.restarts.add(container);
        let state = &container.state;
        match (&state.waiting, &state.terminated) {
            (Some(waiting), _) if !waiting.reason.is_empty() => summary.reason.clone_from(&waiting.reason),
            (_, Some(ended)) => summary.reason = ended.word(),
            _ if container.ready && state.running.is_some() => {
                running = true;
                summary.ready += 1;
            }
            _ => {}
        }
    }
    if running && summary.reason == "Completed" {
        let ready = status
            .conditions
            .iter()
            .any(|condition| condition.kind == "Ready" && condition.status == "True");
        summary.reason = if ready { "Running" } else { "NotReady" }.to_owned();
    }
}

fn pod(row: &Row<'_>) -> Vec<Value> {
    let spec: Spec = row.object.read("spec").unwrap_or_default();
    let status: Status = row.object.read("status").unwrap_or_default();
    let mut summary = summary(&spec, &status);
    if row.object.is_terminating() {
        if status.reason == "NodeLost" {
            summary.reason = "Unknown".to_owned();
        } else if !is_over(&status.phase) {
            summary.reason = "Terminating".to_owned();
        }
    }
    let first = status.pod_ips.first().map_or("", |address| &address.ip);
    let shown = |word: &str| Value::from(or(word, NONE));
    vec![
        row.name(),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        summary.restarts.text(row.now).into(),
        row.age(),
        shown(or(&status.pod_ip, first)),
        shown(&spec.node_name),
        shown(&status.nominated_node_name),
        gates(&spec, &status).into(),
    ]
}

fn is_over(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

fn gates(spec: &Spec, status: &Status) -> String {
    if spec.readiness_gates.is_empty() {
        return NONE.to_owned();
    }
    let open = spec.readiness_gates.iter().filter(|gate| {
        status
            .conditions
            .iter()
            .find(|condition| condition.kind == gate.condition_type)
            .is_some_and(|condition| condition.status == "True")
    });
    format!("{}/{}", open.count(), spec.readiness_gates.len())
}

/// The mark of a row whose pod is over.
pub(super) fn conditions(pod: &Object) -> Option<Value> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Phase {
        #[serde(deserialize_with = "or_default")]
        phase: String,
    }
    let Phase { phase } = pod.read("status").unwrap_or_default();
    let message = match phase.as_str() {
        "Succeeded" => "The pod has completed successfully.",
        "Failed" => "The pod failed.",
        _ => return None,
    };
    Some(json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]))
}

fn pod_template(row: &Row<'_>) -> Vec<Value> {
    let template = row.section("template");
    let [names, images] = cell::containers(cell::list(&template, "/spec/containers"));
    let labels = cell::labels(template.pointer("/metadata/labels"));
    vec![row.name(), names, images, labels.into()]
}

#[cfg(test)]
mod tests;
