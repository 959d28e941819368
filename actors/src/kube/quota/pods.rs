//! What pods use of a quota (kubernetes: `pkg/quota/v1/evaluator/core/pods.go`, `component-helpers/resource/helpers.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{Amount, Scope, Spec, Usage, add};
use crate::kube::controller::later;
use crate::kube::object::Object;

/// Resources that quotas name as they are, as requests and as limits.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

type Amounts = BTreeMap<String, Value>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    overhead: Amounts,
    resources: Resources,
    active_deadline_seconds: Option<i64>,
    priority_class_name: String,
    affinity: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    restart_policy: String,
    resources: Resources,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Amounts,
    limits: Amounts,
}

/// Whether what pods use of that name depends on them.
pub(super) fn is_counted(name: &str) -> bool {
    name == "pods"
        || name == "count/pods"
        || COMPUTE.contains(&name)
        || name.starts_with("hugepages-")
        || name.starts_with("limits.")
        || (name.starts_with("requests.") && name != super::STORAGE)
}

/// When a pod stops to count.
pub(super) enum End {
    Over,
    At(DateTime<Utc>),
    Unknown,
}

/// Pods that have run to their end do not count, and those whose grace is over twice.
pub(super) fn end(pod: &Object) -> End {
    let phase = pod.at(&["status", "phase"]).unwrap_or_default();
    if phase == "Succeeded" || phase == "Failed" {
        return End::Over;
    }
    let Some((deletion, grace)) = pod
        .deletion
        .and_then(|deletion| Some((deletion, deletion.grace?)))
    else {
        return End::Unknown;
    };
    let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    DateTime::from_timestamp(deletion.at.0, 0).map_or(End::Unknown, |at| End::At(later(at, grace)))
}

/// Adds what a pod uses.
pub(super) fn charge(pod: &Object, usage: &mut Usage) {
    let spec: PodSpec = pod.read("spec").unwrap_or_default();
    add(usage, "pods", Amount::one());
    for (name, amount) in total(&spec, |resources| &resources.requests) {
        let plain = COMPUTE.contains(&&*name) || name.starts_with("hugepages-");
        if plain {
            add(usage, &name, amount);
        }
        // All others are extended resources.
        if plain || name.contains('/') {
            add(usage, &format!("requests.{name}"), amount);
        }
    }
    for (name, amount) in total(&spec, |resources| &resources.limits) {
        if COMPUTE.contains(&&*name) {
            add(usage, &format!("limits.{name}"), amount);
        }
    }
}

/// What quotas for `cpu` or `memory` want every container to name (upstream calls it a mistake that has to stay); `None` = all is
/// there. `cpu for: a,b; limits.memory for: a`.
pub(super) fn missing<'a>(pod: &Object, hard: impl Iterator<Item = &'a String>) -> Option<String> {
    let spec: PodSpec = pod.read("spec").unwrap_or_default();
    let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in hard {
        let (limits, plain) = match name.strip_prefix("limits.") {
            Some(plain) => (true, plain),
            None => (false, name.strip_prefix("requests.").unwrap_or(name)),
        };
        if !matches!(plain, "cpu" | "memory") {
            continue;
        }
        for container in spec.containers.iter().chain(&spec.init_containers) {
            let resources = &container.resources;
            let named = if limits {
                &resources.limits
            } else {
                &resources.requests
            };
            if !named.contains_key(plain) {
                lacking.entry(name).or_default().insert(&container.name);
            }
        }
    }
    let texts: Vec<String> = lacking
        .into_iter()
        .map(|(name, containers)| {
            let containers: Vec<&str> = containers.into_iter().collect();
            format!("{name} for: {}", containers.join(","))
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// What the pod with this spec requests, and what it is limited to.
pub(in crate::kube) fn requests_and_limits(spec: &Value) -> (Usage, Usage) {
    let spec: PodSpec = Deserialize::deserialize(spec).unwrap_or_default();
    (
        total(&spec, |resources| &resources.requests),
        total(&spec, |resources| &resources.limits),
    )
}

/// The sum over the containers; the init containers before them may need more, each with the sidecars before it.
fn total(spec: &PodSpec, of: impl Fn(&Resources) -> &Amounts) -> Usage {
    let gather = |amounts: &Amounts| -> Usage {
        let amounts = amounts.iter();
        amounts
            .filter_map(|(name, value)| Some((name.clone(), Amount::of(value)?)))
            .collect()
    };
    let merge = |sum: &mut Usage, more: &Usage| {
        for (name, amount) in more {
            add(sum, name, *amount);
        }
    };
    let (mut sum, mut peak, mut sidecars) = (Usage::new(), Usage::new(), Usage::new());
    for container in &spec.containers {
        merge(&mut sum, &gather(of(&container.resources)));
    }
    for container in &spec.init_containers {
        let mut needs = gather(of(&container.resources));
        if container.restart_policy == "Always" {
            merge(&mut sidecars, &needs);
            needs.clone_from(&sidecars);
        } else {
            merge(&mut needs, &sidecars);
        }
        raise(&mut peak, needs);
    }
    merge(&mut sum, &sidecars);
    raise(&mut sum, peak);
    // What the pod as a whole asks for counts instead.
    for (name, amount) in gather(of(&spec.resources)) {
        sum.insert(name, amount);
    }
    for (name, amount) in gather(&spec.overhead) {
        if sum.contains_key(&name) {
            add(&mut sum, &name, amount);
        }
    }
    sum
}

/// The larger of each.
fn raise(sum: &mut Usage, other: Usage) {
    for (name, amount) in other {
        match sum.get_mut(&name) {
            Some(present) if present.value >= amount.value => {}
            _ => {
                sum.insert(name, amount);
            }
        }
    }
}

/// Whether the pod is in all scopes of the quota.
pub(super) fn matches(pod: &Object, quota: &Spec) -> bool {
    if quota.scopes.is_empty() && quota.scope_selector.match_expressions.is_empty() {
        return true;
    }
    let spec: PodSpec = pod.read("spec").unwrap_or_default();
    let best_effort = pod
        .at(&["status", "qosClass"])
        .is_some_and(|class| class == "BestEffort");
    let is_in = |name: &str, scope: Option<&Scope>| match name {
        "Terminating" => spec.active_deadline_seconds.is_some_and(|seconds| seconds >= 0),
        "NotTerminating" => spec.active_deadline_seconds.is_none_or(|seconds| seconds < 0),
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => {
            let class = &spec.priority_class_name;
            let listed = scope.is_some_and(|scope| scope.values.contains(class));
            match scope.map(|scope| &*scope.operator) {
                None | Some("Exists") => !class.is_empty(),
                Some("DoesNotExist") => class.is_empty(),
                Some("In") => !class.is_empty() && listed,
                Some("NotIn") => !listed,
                Some(_) => false,
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(&spec.affinity),
        _ => false,
    };
    let selected = &quota.scope_selector.match_expressions;
    quota.scopes.iter().all(|scope| is_in(scope, None))
        && selected.iter().all(|scope| is_in(&scope.scope_name, Some(scope)))
}

fn crosses_namespaces(affinity: &Value) -> bool {
    let crosses = |term: &Value| {
        let some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
        term.get("namespaces").is_some_and(some)
            || term.get("namespaceSelector").is_some_and(Value::is_object)
    };
    ["podAffinity", "podAntiAffinity"]
        .iter()
        .filter_map(|kind| affinity.get(kind))
        .any(|one| {
            let list = |field: &str| one.get(field).and_then(Value::as_array).into_iter().flatten();
            list("requiredDuringSchedulingIgnoredDuringExecution").any(crosses)
                || list("preferredDuringSchedulingIgnoredDuringExecution")
                    .filter_map(|term| term.get("podAffinityTerm"))
                    .any(crosses)
        })
}
