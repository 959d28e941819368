//! ResourceQuotas: what objects use of them, and that nothing is created beyond them (kubernetes: `pkg/quota/v1/evaluator/core`,
//! `apiserver/pkg/admission/plugin/resourcequota`).
//!
//! What is used is counted when it is asked for: only namespaces with quotas pay for it, with each creation in them.

mod pods;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::controller::{later, until};
use super::object::Object;
use super::quantity::Quantity;
use super::resource::Resource;
use super::status::Status;
use super::store::Store;

pub(super) use pods::requests_and_limits;

/// Counts objects of any kind: `count/deployments.apps`.
const COUNT: &str = "count/";
/// Between a storage class and what is counted of it.
const CLASS: &str = ".storageclass.storage.k8s.io/";
const STORAGE: &str = "requests.storage";
const CLAIMS: &str = "persistentvolumeclaims";
/// Counted by their plain names, too.
const COUNTED: [&str; 4] = [
    "configmaps",
    "secrets",
    "replicationcontrollers",
    "resourcequotas",
];

/// `ResourceQuota.spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Limits by name.
    pub hard: BTreeMap<String, Value>,
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

impl Spec {
    /// Whether it is about some pods only.
    const fn is_scoped(&self) -> bool {
        !self.scopes.is_empty() || !self.scope_selector.match_expressions.is_empty()
    }
}

/// Amounts by name.
pub type Usage = BTreeMap<String, Amount>;

/// An amount and how it is written.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Amount {
    /// How much.
    pub value: Quantity,
    /// With powers of 1024.
    pub binary: bool,
}

impl Amount {
    fn one() -> Self {
        Self {
            value: Quantity::whole(1),
            binary: false,
        }
    }

    /// Reads one.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
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
    #[must_use]
    pub fn text(self) -> String {
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

/// Refuses an object that is to be created when it goes beyond a quota of its namespace.
///
/// # Errors
/// 403 in the words of a real server.
pub fn admit(store: &Store, resource: &Resource, object: &Object, now: DateTime<Utc>) -> Result<(), Status> {
    let Some(namespace) = object.namespace().filter(|_| resource.namespaced) else {
        return Ok(());
    };
    // Events are never held up (`pkg/quota/v1/install/registry.go`, `DefaultIgnoredResources`).
    if resource.plural == "events" {
        return Ok(());
    }
    let mut charged: Option<Usage> = None;
    for quota in store.all_of("", "resourcequotas", Some(namespace)) {
        let mut spec: Spec = quota.read("spec").unwrap_or_default();
        let is_pod = resource.is("", "pods");
        if (is_pod && !pods::matches(object, &spec)) || (!is_pod && spec.is_scoped()) {
            continue;
        }
        let refuse = |why: String| Err(Status::forbidden(resource.named(), object.name(), &why));
        if is_pod && let Some(missing) = pods::missing(object, spec.hard.keys()) {
            return refuse(format!("failed quota: {}: must specify {missing}", quota.name()));
        }
        let wanted = charged.get_or_insert_with(|| charge(resource, object));
        spec.hard.retain(|name, _| {
            wanted
                .get(name)
                .is_some_and(|amount| amount.value > Quantity::ZERO)
        });
        if spec.hard.is_empty() {
            continue;
        }
        let (used, _) = usage(store, Some(namespace), &spec, now);
        let of = |usage: &Usage, name: &str| usage.get(name).copied().unwrap_or_default();
        let exceeded: Vec<&String> = spec
            .hard
            .iter()
            .filter(|(name, hard)| {
                let sum = of(&used, name).plus(of(wanted, name));
                Amount::of(hard).is_some_and(|hard| sum.value > hard.value)
            })
            .map(|(name, _)| name)
            .collect();
        if !exceeded.is_empty() {
            let list = |amount: &dyn Fn(&str) -> Amount| {
                let parts = exceeded
                    .iter()
                    .map(|name| format!("{name}={}", amount(name).text()));
                parts.collect::<Vec<_>>().join(",")
            };
            return refuse(format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name(),
                list(&|name| of(wanted, name)),
                list(&|name| of(&used, name)),
                list(&|name| spec.hard.get(name).and_then(Amount::of).unwrap_or_default()),
            ));
        }
    }
    Ok(())
}

/// What one new object uses.
fn charge(resource: &Resource, object: &Object) -> Usage {
    let mut usage = Usage::new();
    match (&*resource.group, &*resource.plural) {
        ("", "pods") => pods::charge(object, &mut usage),
        ("", "services") => charge_service(object, &mut usage),
        ("", CLAIMS) => charge_claim(object, &mut usage),
        ("", plural) if COUNTED.contains(&plural) => add(&mut usage, plural, Amount::one()),
        _ => {}
    }
    add(&mut usage, &format!("{COUNT}{}", resource.named()), Amount::one());
    usage
}

/// What is used of the names in `spec.hard`, and when it changes by itself.
#[must_use]
pub fn usage(
    store: &Store,
    namespace: Option<&str>,
    spec: &Spec,
    now: DateTime<Utc>,
) -> (Usage, Option<Duration>) {
    let mut usage = Usage::new();
    let mut wait: Option<Duration> = None;
    let names: BTreeSet<&str> = spec.hard.keys().map(String::as_str).collect();
    if names.iter().any(|name| pods::is_counted(name)) {
        for pod in store.all_of("", "pods", namespace) {
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
    if spec.is_scoped() {
        return (usage, wait);
    }
    if names.iter().any(|name| name.starts_with("services")) {
        for service in store.all_of("", "services", namespace) {
            charge_service(service, &mut usage);
        }
    }
    if names
        .iter()
        .any(|name| name.ends_with(STORAGE) || name.ends_with(CLAIMS))
    {
        for claim in store.all_of("", CLAIMS, namespace) {
            charge_claim(claim, &mut usage);
        }
    }
    let count = |resource: &Resource| {
        let count = store.all(resource, namespace).count();
        Amount {
            value: Quantity::whole(i64::try_from(count).unwrap_or(i64::MAX)),
            binary: false,
        }
    };
    for name in COUNTED.into_iter().filter(|name| names.contains(name)) {
        if let Some(resource) = store.registry().find("", name) {
            add(&mut usage, name, count(resource));
        }
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
