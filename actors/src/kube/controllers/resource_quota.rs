//! What the objects of a namespace use of its ResourceQuotas (kubernetes: `pkg/controller/resourcequota`, `pkg/quota/v1/evaluator/core`).
//!
//! The status is kept; the API server does not refuse what goes beyond a quota.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::kinds::{KINDS, about};
use super::workload::write_status;
use crate::kube::controller::{Context, Controller, Key, later, until};
use crate::kube::object::Object;
use crate::kube::quantity::Quantity;
use crate::kube::resource::Resource;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, Store};

mod pods;

/// Counts objects of any kind: `count/deployments.apps`.
const COUNT: &str = "count/";
/// Between a storage class and what is counted of it.
const CLASS: &str = ".storageclass.storage.k8s.io/";
const STORAGE: &str = "requests.storage";
const CLAIMS: &str = "persistentvolumeclaims";

/// The controller.
#[derive(Debug)]
pub struct ResourceQuotas;

/// `ResourceQuota.spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    hard: BTreeMap<String, Value>,
    scopes: Vec<String>,
    scope_selector: ScopeSelector,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeSelector {
    match_expressions: Vec<Scope>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Scope {
    scope_name: String,
    operator: String,
    values: Vec<String>,
}

/// Amounts by name, and whether they are written with powers of 1024.
type Usage = BTreeMap<String, Amount>;

#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Amount {
    value: Quantity,
    binary: bool,
}

impl Amount {
    fn one() -> Self {
        Self {
            value: Quantity::whole(1),
            binary: false,
        }
    }

    fn of(value: &Value) -> Option<Self> {
        let binary = value.as_str().is_some_and(|text| text.ends_with('i'));
        Quantity::from_value(value).map(|value| Self { value, binary })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            value: self.value.plus(other.value),
            binary: self.binary || other.binary,
        }
    }

    /// The canonical form: the largest unit that leaves a whole number (kubernetes: `apimachinery/pkg/api/resource/quantity.go`).
    fn text(self) -> String {
        let milli = self.value.as_milli();
        if milli == 0 {
            return "0".to_owned();
        }
        if milli % 1000 != 0 {
            return format!("{milli}m");
        }
        let mut number = milli / 1000;
        let (step, units) = if self.binary {
            (1024, ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])
        } else {
            (1000, ["", "k", "M", "G", "T", "P", "E"])
        };
        let mut unit = "";
        for next in units.into_iter().skip(1) {
            if number % step != 0 {
                break;
            }
            number /= step;
            unit = next;
        }
        format!("{number}{unit}")
    }
}

fn add(usage: &mut Usage, name: &str, amount: Amount) {
    match usage.get_mut(name) {
        Some(sum) => *sum = sum.plus(amount),
        None => {
            usage.insert(name.to_owned(), amount);
        }
    }
}

impl Controller for ResourceQuotas {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.resource_quotas) && !matches!(change.changed, Changed::Deleted(_)) {
            look_at(Key::of(object));
        }
        let Some(namespace) = object.namespace() else {
            return;
        };
        if let Changed::Modified(before) = &change.changed {
            let differs = |section| before.section_text(section) != object.section_text(section);
            let matters = if about(change, &KINDS.pods) {
                differs("spec") || differs("status") || before.is_terminating() != object.is_terminating()
            } else {
                (about(change, &KINDS.services) || about(change, &KINDS.volume_claims))
                    && (differs("spec") || differs("status"))
            };
            if !matters {
                return;
            }
        }
        store
            .all(&KINDS.resource_quotas, Some(namespace))
            .for_each(|quota| look_at(Key::of(quota)));
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(quota) = store
            .find(&KINDS.resource_quotas, key.namespace(), &key.name)
            .cloned()
        else {
            return Ok(None);
        };
        let spec: Spec = quota.read("spec").unwrap_or_default();
        let (usage, wait) = usage(store, key.namespace(), &spec, context.now);
        let used: Map<String, Value> = spec
            .hard
            .keys()
            .map(|name| {
                let amount = usage.get(name).copied().unwrap_or_default();
                (name.clone(), amount.text().into())
            })
            .collect();
        let mut status = Map::new();
        if !spec.hard.is_empty() {
            status.insert(
                "hard".to_owned(),
                spec.hard.into_iter().collect::<Map<_, _>>().into(),
            );
            status.insert("used".to_owned(), used.into());
        }
        write_status(
            store,
            context,
            &KINDS.resource_quotas,
            &quota,
            Value::Object(status),
        )?;
        Ok(wait)
    }
}

/// What is used of the names in `spec.hard`, and when it changes by itself.
fn usage(
    store: &Store,
    namespace: Option<&str>,
    spec: &Spec,
    now: DateTime<Utc>,
) -> (Usage, Option<Duration>) {
    let mut usage = Usage::new();
    let mut wait: Option<Duration> = None;
    let scoped = !spec.scopes.is_empty() || !spec.scope_selector.match_expressions.is_empty();
    let names: BTreeSet<&str> = spec.hard.keys().map(String::as_str).collect();
    if names.iter().any(|name| pods::is_counted(name)) {
        for pod in store.all(&KINDS.pods, namespace) {
            if !pods::matches(pod, spec) {
                continue;
            }
            add(&mut usage, "count/pods", Amount::one());
            match pods::end(pod) {
                pods::End::Over => continue,
                pods::End::At(end) if end <= now => continue,
                pods::End::At(end) => {
                    let left = until(now, later(end, Duration::from_secs(1)));
                    wait = Some(wait.map_or(left, |wait| wait.min(left)));
                }
                pods::End::Unknown => {}
            }
            pods::charge(pod, &mut usage);
        }
    }
    // Scopes are about pods.
    if scoped {
        return (usage, wait);
    }
    if names.iter().any(|name| name.starts_with("services")) {
        for service in store.all(&KINDS.services, namespace) {
            charge_service(service, &mut usage);
        }
    }
    if names
        .iter()
        .any(|name| name.ends_with(STORAGE) || name.ends_with(CLAIMS))
    {
        for claim in store.all(&KINDS.volume_claims, namespace) {
            charge_claim(claim, &mut usage);
        }
    }
    let counted: [(&str, &Arc<Resource>); 4] = [
        ("configmaps", &KINDS.config_maps),
        ("secrets", &KINDS.secrets),
        ("replicationcontrollers", &KINDS.replication_controllers),
        ("resourcequotas", &KINDS.resource_quotas),
    ];
    let count = |resource: &Resource| {
        let count = store.all(resource, namespace).count();
        Amount {
            value: Quantity::whole(i64::try_from(count).unwrap_or(i64::MAX)),
            binary: false,
        }
    };
    for (name, resource) in counted.into_iter().filter(|(name, _)| names.contains(name)) {
        add(&mut usage, name, count(resource));
    }
    for name in names.iter().filter(|name| **name != "count/pods") {
        let Some(kind) = name.strip_prefix(COUNT) else {
            continue;
        };
        let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
        if let Some(resource) = store
            .registry()
            .find(group, plural)
            .filter(|resource| resource.namespaced)
        {
            add(&mut usage, name, count(resource));
        }
    }
    (usage, wait)
}

fn charge_service(service: &Object, usage: &mut Usage) {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct ServiceSpec {
        #[serde(rename = "type")]
        kind: String,
        ports: Vec<Map<String, Value>>,
        allocate_load_balancer_node_ports: Option<bool>,
    }
    let spec: ServiceSpec = service.read("spec").unwrap_or_default();
    add(usage, "services", Amount::one());
    let balanced = spec.kind == "LoadBalancer";
    if balanced {
        add(usage, "services.loadbalancers", Amount::one());
    }
    let allocates = spec.allocate_load_balancer_node_ports != Some(false);
    for port in &spec.ports {
        let has_number = port.get("nodePort").is_some_and(|port| *port != 0);
        if spec.kind == "NodePort" || (balanced && (allocates || has_number)) {
            add(usage, "services.nodeports", Amount::one());
        }
    }
}

fn charge_claim(claim: &Object, usage: &mut Usage) {
    add(usage, CLAIMS, Amount::one());
    let class = claim.at(&["spec", "storageClassName"]);
    let class = class
        .as_ref()
        .and_then(Value::as_str)
        .filter(|class| !class.is_empty());
    if let Some(class) = class {
        add(usage, &format!("{class}{CLASS}{CLAIMS}"), Amount::one());
    }
    let wanted = claim.at(&["spec", "resources", "requests", "storage"]);
    let given = claim.at(&["status", "allocatedResources", "storage"]);
    let amounts = [wanted, given]
        .into_iter()
        .flatten()
        .filter_map(|value| Amount::of(&value));
    let Some(amount) = amounts.max_by_key(|amount| amount.value) else {
        return;
    };
    add(usage, STORAGE, amount);
    if let Some(class) = class {
        add(usage, &format!("{class}{CLASS}{STORAGE}"), amount);
    }
}

#[cfg(test)]
mod tests;
