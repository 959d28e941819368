//! The status of PodDisruptionBudgets (kubernetes: `pkg/controller/disruption/disruption.go`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::conditions;
use super::events::EventType;
use super::kinds::{KINDS, about};
use super::workload::{Reporter, count, options, scaled, tree, write_status};
use crate::kube::controller::{Context, Controller, Key, later, until};
use crate::kube::object::{Object, OwnerReference, Second};
use crate::kube::scale;
use crate::kube::selector::LabelSelector;
use crate::kube::status::{Status, quote};
use crate::kube::store::{Change, Changed, Part, Store};

/// A pod whose eviction was granted counts as gone for so long.
const DELETION_TIMEOUT: Duration = Duration::from_secs(120);
/// Time after which the mark of an eviction that did not come is taken back.
const STALE: Duration = Duration::from_secs(120);
/// The mark.
pub(super) const DISRUPTION_TARGET: &str = "DisruptionTarget";
const ALLOWED: &str = "DisruptionAllowed";
pub(super) const SYNC_FAILED: &str = "SyncFailed";

/// Writes the status of budgets.
#[derive(Debug)]
pub struct Budgets;

/// Takes back the mark of pods that were to be disrupted and were not. Its keys are pods.
#[derive(Debug)]
pub struct StaleDisruptions;

/// `PodDisruptionBudget.spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BudgetSpec {
    selector: Value,
    min_available: Option<Value>,
    max_unavailable: Option<Value>,
    pub(super) unhealthy_pod_eviction_policy: String,
}

impl BudgetSpec {
    pub(super) fn of(budget: &Object) -> Self {
        budget.read("spec").unwrap_or_default()
    }

    pub(super) fn selector(&self) -> Option<LabelSelector> {
        LabelSelector::from_spec(&self.selector)
    }
}

/// `PodDisruptionBudget.status`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BudgetStatus {
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) observed_generation: i64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) disrupted_pods: BTreeMap<String, String>,
    pub(super) disruptions_allowed: i64,
    pub(super) current_healthy: i64,
    pub(super) desired_healthy: i64,
    expected_pods: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) conditions: Vec<Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl BudgetStatus {
    pub(super) fn of(budget: &Object) -> Self {
        budget.read("status").unwrap_or_default()
    }

    /// Brings the condition in line with the number (kubernetes: `component-helpers/apps/poddisruptionbudget/helpers.go`).
    pub(super) fn tell(&mut self, now: DateTime<Utc>) {
        if self.disruptions_allowed > 0 {
            self.condition("True", "SufficientPods", "", now);
        } else {
            self.condition("False", "InsufficientPods", "", now);
        }
    }

    fn condition(&mut self, status: &str, reason: &str, message: &str, now: DateTime<Utc>) {
        let place = self.conditions.iter().position(|one| one["type"] == ALLOWED);
        let before = place.and_then(|place| self.conditions.get(place));
        let since = before
            .filter(|before| before["status"] == status)
            .and_then(|before| before.get("lastTransitionTime").cloned())
            .unwrap_or_else(|| Second::of(now).text().into());
        let mut condition = json!({"type": ALLOWED, "status": status, "lastTransitionTime": since, "reason": reason, "message": message});
        if self.observed_generation != 0 {
            condition["observedGeneration"] = self.observed_generation.into();
        }
        match place.and_then(|place| self.conditions.get_mut(place)) {
            Some(old) => *old = condition,
            None => self.conditions.push(condition),
        }
    }
}

/// Whether the pod's condition `Ready` is `True`.
pub(super) fn is_ready(pod: &Object) -> bool {
    conditions::is_true(&pod_conditions(pod), "Ready")
}

pub(super) fn pod_conditions(pod: &Object) -> Vec<Value> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct PodStatus {
        conditions: Vec<Value>,
    }
    pod.read::<PodStatus>("status").unwrap_or_default().conditions
}

impl Controller for Budgets {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.disruption_budgets) {
            if !matches!(change.changed, Changed::Deleted(_)) {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.pods) {
            let mut budgets = store
                .all(&KINDS.disruption_budgets, object.namespace())
                .peekable();
            if budgets.peek().is_none() {
                return;
            }
            let before = match &change.changed {
                Changed::Modified(before) => Some(before),
                Changed::Added | Changed::Deleted(_) => None,
            };
            let same = before.is_some_and(|before| {
                before.head == object.head
                    && before.is_terminating() == object.is_terminating()
                    && is_ready(before) == is_ready(object)
            });
            if same {
                return;
            }
            for budget in budgets {
                let selector = BudgetSpec::of(budget).selector();
                let matches = |pod: &Object| {
                    selector
                        .as_ref()
                        .is_some_and(|selector| selector.matches_object(pod))
                };
                if matches(object) || before.is_some_and(|before| matches(before)) {
                    look_at(Key::of(budget));
                }
            }
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(budget) = store
            .find(&KINDS.disruption_budgets, key.namespace(), &key.name)
            .cloned()
        else {
            return Ok(None);
        };
        let reporter = Reporter {
            component: "controllermanager",
            resource: &KINDS.disruption_budgets,
            object: &budget,
        };
        let spec = BudgetSpec::of(&budget);
        let selector = spec.selector();
        let pods = store.all(&KINDS.pods, key.namespace());
        let pods: Vec<Arc<Object>> = pods
            .filter(|pod| {
                selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches_object(pod))
            })
            .cloned()
            .collect();
        let mut status = BudgetStatus::of(&budget);
        let before = status.clone();
        // Told when it begins, not with each look.
        let news = before.observed_generation != budget.generation;
        if pods.is_empty() && (news || before.expected_pods > 0) {
            reporter.event(
                store,
                context,
                EventType::Normal,
                "NoPods",
                "No matching pods found",
            );
        }
        let expected = match expected(store, &spec, &pods) {
            Ok(expected) => expected,
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                status.disruptions_allowed = 0;
                status.condition("False", SYNC_FAILED, &why, context.now);
                if status != before {
                    let reason = "CalculateExpectedPodCountFailed";
                    reporter.event(store, context, EventType::Warning, reason, &message);
                }
                write_status(store, context, &KINDS.disruption_budgets, &budget, tree(&status))?;
                return Ok(None);
            }
        };
        if expected.unmanaged && (news || before.expected_pods != expected.pods) {
            let selector = selector.map(|selector| selector.to_string()).unwrap_or_default();
            let message = format!(
                "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the status of the \
                 PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \
                 \".spec.minAvailable\" field of the PDB to an integer value."
            );
            reporter.event(store, context, EventType::Warning, "UnmanagedPods", &message);
        }
        let mut recheck: Option<Duration> = None;
        let granted = |name: &str| {
            let time = Second::parse(before.disrupted_pods.get(name)?)?;
            Some(later(DateTime::from_timestamp(time.0, 0)?, DELETION_TIMEOUT))
        };
        status.disrupted_pods.clear();
        let mut healthy = 0_i64;
        for pod in pods.iter().filter(|pod| !pod.is_terminating()) {
            if let Some(end) = granted(pod.name()).filter(|end| *end > context.now) {
                let wait = until(context.now, end);
                recheck = Some(recheck.map_or(wait, |other| other.min(wait)));
                if let Some(time) = before.disrupted_pods.get(pod.name()) {
                    status.disrupted_pods.insert(pod.name().to_owned(), time.clone());
                }
            } else if is_ready(pod) {
                healthy = healthy.saturating_add(1);
            }
        }
        status.observed_generation = budget.generation;
        status.current_healthy = healthy;
        status.desired_healthy = expected.desired;
        status.expected_pods = expected.pods;
        let allowed = healthy.saturating_sub(expected.desired).max(0);
        status.disruptions_allowed = if expected.pods > 0 { allowed } else { 0 };
        status.tell(context.now);
        if status != before {
            write_status(store, context, &KINDS.disruption_budgets, &budget, tree(&status))?;
        }
        Ok(recheck)
    }
}

/// What a budget asks for.
struct Expected {
    pods: i64,
    desired: i64,
    /// Whether some pods belong to nobody.
    unmanaged: bool,
}

fn expected(store: &Store, spec: &BudgetSpec, pods: &[Arc<Object>]) -> Result<Expected, String> {
    let share = |value: &Value, total| {
        scaled(value, total, true).ok_or_else(|| {
            "invalid value for IntOrString: invalid type: string is not a percentage".to_owned()
        })
    };
    if let Some(most) = &spec.max_unavailable {
        let (pods, unmanaged) = expected_scale(store, pods)?;
        let desired = pods.saturating_sub(share(most, pods)?).max(0);
        return Ok(Expected {
            pods,
            desired,
            unmanaged,
        });
    }
    let (pods, desired, unmanaged) = match &spec.min_available {
        Some(least) if least.is_string() => {
            let (pods, unmanaged) = expected_scale(store, pods)?;
            (pods, share(least, pods)?, unmanaged)
        }
        Some(least) => (count(pods.len()), share(least, 0)?, false),
        None => (0, 0, false),
    };
    Ok(Expected {
        pods,
        desired,
        unmanaged,
    })
}

/// The replicas of all that manage the pods, each once, and whether nobody manages some.
fn expected_scale(store: &Store, pods: &[Arc<Object>]) -> Result<(i64, bool), String> {
    let mut scales: BTreeMap<String, i64> = BTreeMap::new();
    let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
    let mut unmanaged = false;
    for pod in pods {
        let Some(owner) = pod.controller() else {
            unmanaged = true;
            continue;
        };
        if seen.insert(&owner.uid, ()).is_some() {
            continue;
        }
        let found = scale_of(store, pod.namespace(), owner)?;
        let (uid, replicas) =
            found.ok_or_else(|| format!("found no controllers for pod {}", quote(pod.name())))?;
        scales.insert(uid, replicas);
    }
    Ok((
        scales.values().fold(0, |sum, scale| sum.saturating_add(*scale)),
        unmanaged,
    ))
}

/// Uid and replicas of the one behind the reference: for a ReplicaSet of a Deployment, the Deployment's.
fn scale_of(
    store: &Store,
    namespace: Option<&str>,
    reference: &OwnerReference,
) -> Result<Option<(String, i64)>, String> {
    let Some(resource) = store.registry().by_kind(&reference.api_version, &reference.kind) else {
        return Err(format!(
            "no matches for kind {} in version {}",
            quote(&reference.kind),
            quote(&reference.api_version)
        ));
    };
    let owner = store
        .find(resource, namespace, &reference.name)
        .filter(|owner| owner.uid_text() == reference.uid);
    if resource.scale.is_none() {
        return Err(format!(
            "{} does not implement the scale subresource",
            resource.named()
        ));
    }
    let Some(owner) = owner else {
        return Ok(None);
    };
    if resource.is("apps", "replicasets")
        && let Some(above) = owner.controller()
        && above.kind == KINDS.deployments.kind
        && let Some(deployment) = store.find(&KINDS.deployments, namespace, &above.name)
        && deployment.uid_text() == above.uid
    {
        return Ok(Some((
            above.uid.clone(),
            replicas(&KINDS.deployments, deployment),
        )));
    }
    Ok(Some((reference.uid.clone(), replicas(resource, owner))))
}

fn replicas(resource: &crate::kube::resource::Resource, owner: &Object) -> i64 {
    let scale = scale::of(resource, owner).unwrap_or_default();
    scale
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or(0)
}

/// The end of a pod's mark, if it is one that ends.
fn mark_end(pod: &Object) -> Option<DateTime<Utc>> {
    if pod.is_terminating() {
        return None;
    }
    let over = pod
        .at(&["status", "phase"])
        .is_some_and(|phase| phase == "Succeeded" || phase == "Failed");
    let list = pod_conditions(pod);
    let mark = conditions::get(&list, DISRUPTION_TARGET)?;
    // What a kubelet marked ends some time.
    if over || mark["status"] != "True" || mark["reason"] == "TerminationByKubelet" {
        return None;
    }
    let since = Second::parse(conditions::text(mark, "lastTransitionTime")).unwrap_or(pod.created);
    Some(later(DateTime::from_timestamp(since.0, 0)?, STALE))
}

impl Controller for StaleDisruptions {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let marked = about(change, &KINDS.pods)
            && !matches!(change.changed, Changed::Deleted(_))
            && change
                .object
                .section_text("status")
                .is_some_and(|status| status.contains(DISRUPTION_TARGET));
        if marked {
            look_at(Key::of(&change.object));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(pod) = store.find(&KINDS.pods, key.namespace(), &key.name).cloned() else {
            return Ok(None);
        };
        let Some(end) = mark_end(&pod) else {
            return Ok(None);
        };
        if end > context.now {
            return Ok(Some(until(context.now, end)));
        }
        let mut draft = pod.draft();
        let status = conditions::object(&mut draft.body, "status");
        let wanted = conditions::Condition {
            kind: DISRUPTION_TARGET,
            status: "False",
            reason: "",
            message: "",
        };
        conditions::set(conditions::of(status), wanted, &Second::of(context.now).text());
        store.replace(&KINDS.pods, Part::Status, draft, options(context))?;
        Ok(None)
    }
}
