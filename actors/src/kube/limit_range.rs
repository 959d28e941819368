//! LimitRanges: what pods get that ask for nothing, and what nothing may ask for (kubernetes: `plugin/pkg/admission/limitranger`,
//! `pkg/apis/core/v1/defaults.go`, `SetDefaults_LimitRangeItem`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::object::{Draft, Object};
use super::quota::{Amount, Usage, requests_and_limits};
use super::resource::Resource;
use super::status::Status;
use super::store::Store;

/// Says which amounts of a pod come from a LimitRange.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Value>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    limits: Vec<Limit>,
}

/// One `spec.limits[]`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Limit {
    #[serde(rename = "type")]
    of: String,
    max: Amounts,
    min: Amounts,
    default: Amounts,
    default_request: Amounts,
    max_limit_request_ratio: Amounts,
}

fn limits(store: &Store, namespace: &str) -> impl Iterator<Item = Vec<Limit>> + use<> {
    store
        .all_of("", "limitranges", Some(namespace))
        .map(|range| range.read::<Spec>("spec").unwrap_or_default().limits)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Fills in what one `spec.limits[]` of a LimitRange leaves open: the most is what containers get, and that is what they request.
pub(super) fn complete(limit: &mut Map<String, Value>) {
    if limit.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    let amounts = |limit: &Map<String, Value>, field: &str| -> Map<String, Value> {
        limit
            .get(field)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let fill = |amounts: &mut Map<String, Value>, from: &Map<String, Value>| {
        for (name, value) in from {
            amounts.entry(name.clone()).or_insert_with(|| value.clone());
        }
    };
    let (mut default, mut request) = (amounts(limit, "default"), amounts(limit, "defaultRequest"));
    fill(&mut default, &amounts(limit, "max"));
    fill(&mut request, &default);
    fill(&mut request, &amounts(limit, "min"));
    for (field, amounts) in [("default", default), ("defaultRequest", request)] {
        if !amounts.is_empty() {
            limit.insert(field.to_owned(), amounts.into());
        }
    }
}

/// Gives the containers of a new pod what they do not ask for themselves.
pub(super) fn fill(store: &Store, draft: &mut Draft) {
    let mut notes = Vec::new();
    for limits in limits(store, &draft.meta.namespace) {
        let (mut requests, mut most) = (Amounts::new(), Amounts::new());
        for limit in limits.into_iter().filter(|limit| limit.of == "Container") {
            requests.extend(limit.default_request);
            most.extend(limit.default);
        }
        let Some(spec) = draft.body.get_mut("spec") else {
            return;
        };
        for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
                let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
                let name = name.to_owned();
                let resources = container.entry("resources").or_insert_with(|| json!({}));
                for (field, amounts, what) in [("requests", &requests, "request"), ("limits", &most, "limit")]
                {
                    let set = add(resources, field, amounts);
                    if !set.is_empty() {
                        notes.push(format!("{} {what} for {word} {name}", set.join(", ")));
                    }
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        draft.meta.annotations.insert(ANNOTATION.to_owned(), note);
    }
}

/// Adds amounts that are not there. Their names.
fn add<'a>(resources: &mut Value, field: &str, amounts: &'a Amounts) -> Vec<&'a str> {
    let Some(resources) = resources.as_object_mut().filter(|_| !amounts.is_empty()) else {
        return Vec::new();
    };
    let present = resources.entry(field).or_insert_with(|| json!({}));
    let Some(present) = present.as_object_mut() else {
        return Vec::new();
    };
    let mut set = Vec::new();
    for (name, amount) in amounts {
        if !present.contains_key(name) {
            present.insert(name.clone(), amount.clone());
            set.push(name.as_str());
        }
    }
    set
}

/// Refuses a new pod or claim that asks for too much or too little.
///
/// # Errors
/// 403 in the words of a real server.
pub(super) fn admit(store: &Store, resource: &Resource, object: &Object) -> Result<(), Status> {
    let (is_pod, is_claim) = (resource.is("", "pods"), resource.is("", "persistentvolumeclaims"));
    let Some(namespace) = object.namespace().filter(|_| is_pod || is_claim) else {
        return Ok(());
    };
    for limits in limits(store, namespace) {
        let spec: Value = object.read("spec").unwrap_or_default();
        let mut faults = Vec::new();
        for limit in &limits {
            match limit.of.as_str() {
                "Container" if is_pod => {
                    for container in spec
                        .get("containers")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                    {
                        let amounts = |field: &str| usage(container.pointer(&format!("/resources/{field}")));
                        limit.check(&amounts("requests"), &amounts("limits"), &mut faults);
                    }
                }
                "Pod" if is_pod => {
                    let (requests, most) = requests_and_limits(&spec);
                    limit.check(&requests, &most, &mut faults);
                }
                "PersistentVolumeClaim" if is_claim => {
                    limit.check_claim(&usage(spec.pointer("/resources/requests")), &mut faults);
                }
                _ => {}
            }
        }
        let why = match faults.as_slice() {
            [] => continue,
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        return Err(Status::forbidden(resource.named(), object.name(), &why));
    }
    Ok(())
}

fn usage(amounts: Option<&Value>) -> Usage {
    amounts
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, amount)| Some((name.clone(), Amount::of(amount)?)))
        .collect()
}

impl Limit {
    fn check(&self, requests: &Usage, limits: &Usage, faults: &mut Vec<String>) {
        let of = &self.of;
        for (name, least) in usages(&self.min) {
            let rule = format!("minimum {name} usage per {of} is {}", least.text());
            match (requests.get(name), limits.get(name)) {
                (None, _) => faults.push(format!("{rule}.  No request is specified")),
                (Some(request), _) if request.value < least.value => {
                    faults.push(format!("{rule}, but request is {}", request.text()));
                }
                (_, Some(limit)) if limit.value < least.value => {
                    faults.push(format!("{rule}, but limit is {}", limit.text()));
                }
                _ => {}
            }
        }
        for (name, most) in usages(&self.max) {
            let rule = format!("maximum {name} usage per {of} is {}", most.text());
            match (requests.get(name), limits.get(name)) {
                (_, None) => faults.push(format!("{rule}.  No limit is specified")),
                (_, Some(limit)) if limit.value > most.value => {
                    faults.push(format!("{rule}, but limit is {}", limit.text()));
                }
                (Some(request), _) if request.value > most.value => {
                    faults.push(format!("{rule}, but request is {}", request.text()));
                }
                _ => {}
            }
        }
        for (name, most) in usages(&self.max_limit_request_ratio) {
            let rule = format!("{name} max limit to request ratio per {of} is {}", most.text());
            let amount = |usage: &Usage| usage.get(name).map_or(0, |amount| amount.value.as_milli());
            let (request, limit) = (amount(requests), amount(limits));
            if request == 0 {
                faults.push(format!("{rule}, but no request is specified or request is 0"));
            } else if limit == 0 {
                faults.push(format!("{rule}, but no limit is specified or limit is 0"));
            } else if limit.saturating_mul(1000) > request.saturating_mul(most.value.as_milli()) {
                faults.push(format!(
                    "{rule}, but provided ratio is {:.6}",
                    limit as f64 / request as f64
                ));
            }
        }
    }

    fn check_claim(&self, requests: &Usage, faults: &mut Vec<String>) {
        let of = &self.of;
        let request = requests.get("storage").copied();
        for (name, least) in usages(&self.min).filter(|(name, _)| *name == "storage") {
            let rule = format!("minimum {name} usage per {of} is {}", least.text());
            match request {
                None => faults.push(format!("{rule}.  No request is specified")),
                Some(request) if request.value < least.value => {
                    faults.push(format!("{rule}, but request is {}", request.text()));
                }
                Some(_) => {}
            }
        }
        for (name, most) in usages(&self.max).filter(|(name, _)| *name == "storage") {
            if let Some(request) = request.filter(|request| request.value > most.value) {
                let (most, request) = (most.text(), request.text());
                faults.push(format!(
                    "maximum {name} usage per {of} is {most}, but request is {request}"
                ));
            }
        }
    }
}

fn usages(amounts: &Amounts) -> impl Iterator<Item = (&str, Amount)> {
    amounts
        .iter()
        .filter_map(|(name, amount)| Some((name.as_str(), Amount::of(amount)?)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::*;
    use crate::kube::resource::BUILT_IN;
    use crate::kube::store::{Limits, Settings, Target, WriteOptions};
    use crate::seed::Seed;

    fn create(store: &mut Store, plural: &str, body: Value) -> Result<Arc<Object>, Status> {
        let resource = BUILT_IN.iter().find(|resource| resource.is("", plural)).unwrap();
        let target = Target::stored(resource, resource.namespaced.then_some("n"));
        store.create(target, body, WriteOptions::by("t", DateTime::UNIX_EPOCH))
    }

    fn store(limits: &Value) -> Store {
        let settings = Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        };
        let mut store = Store::new(settings, Arc::default());
        create(&mut store, "namespaces", json!({"metadata": {"name": "n"}})).unwrap();
        create(
            &mut store,
            "limitranges",
            json!({"metadata": {"name": "l"}, "spec": {"limits": limits}}),
        )
        .unwrap();
        store
    }

    fn pod(name: &str, resources: Value) -> Value {
        json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
    }

    #[test]
    fn pods_get_what_they_do_not_ask_for() {
        let mut store = store(
            &json!([{"type": "Container", "max": {"memory": "1Gi"}, "min": {"memory": "64Mi"},
            "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}}]),
        );
        let range = store.look_up("", "limitranges", Some("n"), "l").unwrap();
        assert_eq!(
            range.at(&["spec", "limits"]).unwrap()[0]["defaultRequest"],
            json!({"cpu": "100m", "memory": "1Gi"})
        );
        let made = create(
            &mut store,
            "pods",
            pod("a", json!({"requests": {"memory": "128Mi"}})),
        )
        .unwrap();
        assert_eq!(
            made.at(&["spec", "containers"]).unwrap()[0]["resources"],
            json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "1Gi"}})
        );
        assert_eq!(
            made.metadata()["annotations"],
            json!({ANNOTATION: "LimitRanger plugin set: cpu request for container c; cpu, memory limit for container c"})
        );
        assert_eq!(made.at(&["status", "qosClass"]), Some(json!("Burstable")));
    }

    #[test]
    fn what_asks_for_too_much_or_too_little_is_refused() {
        let mut store = store(&json!([
            {"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}, "maxLimitRequestRatio": {"memory": "2"}},
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}, "min": {"storage": "1Gi"}},
        ]));
        let memory = |request: &str, limit: &str, cpu: &str| json!({"requests": {"memory": request, "cpu": cpu}, "limits": {"memory": limit, "cpu": cpu}});
        create(&mut store, "pods", pod("fits", memory("512Mi", "1Gi", "1"))).unwrap();
        for (resources, message) in [
            (
                memory("1Gi", "1Gi", "1500m"),
                "maximum cpu usage per Container is 1, but limit is 1500m",
            ),
            (
                memory("1Gi", "1Gi", "50m"),
                "minimum cpu usage per Container is 100m, but request is 50m",
            ),
            (
                memory("256Mi", "1Gi", "1"),
                "memory max limit to request ratio per Container is 2, but provided ratio is 4.000000",
            ),
            (
                memory("2Gi", "2Gi", "2"),
                "[maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Pod is 1Gi, but limit is 2Gi]",
            ),
            (
                json!({"requests": {"memory": "1Gi"}}),
                "[memory max limit to request ratio per Container is 2, but no limit is specified or limit is 0, maximum memory usage per Pod is 1Gi.  No limit is specified]",
            ),
        ] {
            let status = create(&mut store, "pods", pod("p", resources)).unwrap_err();
            assert_eq!(
                (status.code, status.message),
                (403, format!("pods \"p\" is forbidden: {message}"))
            );
        }
        let claim = |storage: &str| json!({"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}});
        for (storage, message) in [
            (
                "3Gi",
                "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi",
            ),
            (
                "1Mi",
                "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi",
            ),
        ] {
            let status = create(&mut store, "persistentvolumeclaims", claim(storage)).unwrap_err();
            assert_eq!(
                (status.code, status.message),
                (
                    403,
                    format!("persistentvolumeclaims \"v\" is forbidden: {message}")
                )
            );
        }
        create(&mut store, "persistentvolumeclaims", claim("2Gi")).unwrap();
    }
}
