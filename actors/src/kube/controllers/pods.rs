//! Pods as the controllers of workloads see them.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::workload::{Condition, Reporter, condition, owner_reference};
use crate::kube::controller::{later, until};
use crate::kube::object::{Object, OwnerReference, Second};
use crate::kube::resource::Resource;
use crate::kube::store::node_of;

/// `status.phase`. The order is the one in which pods are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's own words")]
pub enum Phase {
    #[default]
    Pending,
    Unknown,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    /// Whether the pod has run to its end.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// What a pod's status says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Phase,
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    restart_count: i64,
    state: State,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    finished_at: Option<String>,
}

/// A pod and what its status says.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The pod.
    pub object: Arc<Object>,
    /// Its phase.
    pub phase: Phase,
    /// Since when it is ready, if it is.
    pub ready_since: Option<Second>,
    /// Restarts of its containers, of the one that restarted most.
    pub restarts: i64,
    /// Restarts of all its containers.
    pub all_restarts: i64,
    /// When its last container ended.
    pub finished: Option<Second>,
}

impl Pod {
    /// Reads a pod's status.
    #[must_use]
    pub fn of(object: &Arc<Object>) -> Self {
        let status: PodStatus = object.read("status").unwrap_or_default();
        let ready = condition(&status.conditions, "Ready").filter(|ready| ready.status == "True");
        let ready_since = ready.map(|ready| {
            let time = ready.last_transition_time.as_deref().and_then(Second::parse);
            time.unwrap_or(object.created)
        });
        let counts = status.container_statuses.iter().map(|one| one.restart_count);
        let all = status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses);
        let finished = status
            .container_statuses
            .iter()
            .filter_map(|one| Second::parse(one.state.terminated.as_ref()?.finished_at.as_deref()?))
            .max();
        Self {
            object: Arc::clone(object),
            phase: status.phase,
            ready_since,
            restarts: counts.max().unwrap_or(0),
            all_restarts: all.fold(0, |sum, one| sum.saturating_add(one.restart_count)),
            finished,
        }
    }

    /// Whether it runs, or will, and is not being deleted.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.phase.is_terminal() && !self.object.is_terminating()
    }

    /// Whether it is ready.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.ready_since.is_some()
    }

    /// Whether it has been ready for so many seconds.
    #[must_use]
    pub fn is_available(&self, min_ready_seconds: i64, now: DateTime<Utc>) -> bool {
        self.available_in(min_ready_seconds, now) == Some(Duration::ZERO)
    }

    /// Time until it has been ready for so many seconds; `None` if it is not ready.
    #[must_use]
    pub fn available_in(&self, min_ready_seconds: i64, now: DateTime<Utc>) -> Option<Duration> {
        let since = DateTime::from_timestamp(self.ready_since?.0, 0)?;
        let wanted = Duration::from_secs(u64::try_from(min_ready_seconds).unwrap_or(0));
        if wanted.is_zero() {
            return Some(Duration::ZERO);
        }
        Some(until(now, later(since, wanted)))
    }
}

/// How pods are ranked when some have to go (kubernetes: `pkg/controller/controller_utils.go`, `ActivePodsWithRanks`).
#[derive(Clone, Debug)]
pub struct Candidate {
    pod: Pod,
    bound: bool,
    /// `controller.kubernetes.io/pod-deletion-cost`.
    cost: i32,
    /// Related pods on the same node.
    rank: usize,
}

impl Candidate {
    /// A pod, and how many related ones are on its node.
    #[must_use]
    pub fn new(pod: Pod, rank: usize) -> Self {
        let cost = pod
            .object
            .annotation("controller.kubernetes.io/pod-deletion-cost")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let bound = !node_of(&pod.object).is_empty();
        Self {
            pod,
            bound,
            cost,
            rank,
        }
    }

    /// The pod.
    #[must_use]
    pub fn into_pod(self) -> Pod {
        self.pod
    }

    /// Order in which they go: not bound, pending, not ready, cheap, crowded, younger, restarted more often first.
    #[must_use]
    pub fn compare(&self, other: &Self, now: DateTime<Utc>) -> Ordering {
        let ages = |one: Second, two: Second| {
            // Ages of the same order of magnitude count as the same, so that not always the youngest goes.
            let magnitude = |time: Second| {
                now.timestamp()
                    .saturating_sub(time.0)
                    .max(0)
                    .checked_ilog2()
                    .map_or(0, |log| log + 1)
            };
            magnitude(one).cmp(&magnitude(two))
        };
        let (one, two) = (&self.pod, &other.pod);
        self.bound
            .cmp(&other.bound)
            .then_with(|| one.phase.cmp(&two.phase))
            .then_with(|| one.is_ready().cmp(&two.is_ready()))
            .then_with(|| self.cost.cmp(&other.cost))
            .then_with(|| other.rank.cmp(&self.rank))
            .then_with(|| match (one.ready_since, two.ready_since) {
                (Some(one), Some(two)) => ages(one, two),
                _ => Ordering::Equal,
            })
            .then_with(|| two.restarts.cmp(&one.restarts))
            .then_with(|| ages(one.object.created, two.object.created))
            .then_with(|| one.object.uid.cmp(&two.object.uid))
    }
}

/// Name of a pod to be made.
#[derive(Clone, Copy, Debug)]
pub enum PodName<'a> {
    /// This one.
    Exact(&'a str),
    /// One that starts so.
    Prefix(&'a str),
}

/// A pod made from a template, as a body for a creation (kubernetes: `pkg/controller/controller_utils.go`, `GetPodFromTemplate`).
#[must_use]
pub fn from_template(template: &Value, name: PodName<'_>, owner: OwnerReference) -> Value {
    let mut metadata = json!({ "ownerReferences": [owner] });
    match name {
        PodName::Exact(name) => metadata["name"] = name.into(),
        PodName::Prefix(prefix) => metadata["generateName"] = prefix.into(),
    }
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template
            .get("metadata")
            .and_then(|metadata| metadata.get(field))
            .filter(|value| !value.is_null())
        {
            metadata[field] = value.clone();
        }
    }
    json!({
        "metadata": metadata,
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    })
}

/// The template in `spec.template`.
#[must_use]
pub fn template_of(owner: &Object) -> Value {
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        template: Value,
    }
    match owner.read::<Spec>("spec") {
        Some(spec) if spec.template.is_object() => spec.template,
        _ => json!({}),
    }
}

/// Fields whose empty maps mean the same as nothing.
const MAPS: [&str; 9] = [
    "annotations",
    "labels",
    "limits",
    "matchLabels",
    "metadata",
    "nodeSelector",
    "overhead",
    "requests",
    "resources",
];

/// A template without what is the same as not being there (kubernetes: `apimachinery/third_party/forked/golang/reflect`, where an empty
/// list equals none).
#[must_use]
pub fn normal(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| {
                    let value = normal(value);
                    (key, value)
                })
                .filter(|(key, value)| match value {
                    Value::Null => false,
                    Value::Array(items) => !items.is_empty(),
                    Value::Object(map) => !map.is_empty() || !MAPS.contains(&key.as_str()),
                    _ => true,
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(normal).collect()),
        plain => plain,
    }
}

/// Prefix of the names of an owner's pods (kubernetes: `pkg/apis/core/validation`: one that is no valid prefix is used without a dash).
#[must_use]
pub fn prefix(owner: &str) -> String {
    format!("{owner}-")
}

/// A pod of `template` that the reporter's object manages.
#[must_use]
pub fn owned(template: &Value, name: PodName<'_>, resource: &Resource, owner: &Object) -> Value {
    from_template(template, name, owner_reference(resource, owner))
}

/// Deletes pods, all that can be; the first refusal is told at the end.
///
/// # Errors
/// What the store refuses.
pub fn delete_all<'a>(
    reporter: &Reporter<'_>,
    store: &mut crate::kube::store::Store,
    context: &crate::kube::controller::Context<'_>,
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Result<(), crate::kube::status::Status> {
    let mut failed = Ok(());
    for pod in pods {
        if let Err(status) = reporter.delete_pod(store, context, &pod.object)
            && failed.is_ok()
        {
            failed = Err(status);
        }
    }
    failed
}
