//! Defaults of the built-in kinds that clients see (kubernetes: `pkg/apis/*/v*/defaults.go`, and what admission and the
//! registries fill in).
//!
//! They are not decoration: Cluster API computes a merge patch that sends `null` for every field it did not ask for, and waits
//! until the object looks as it did before.

mod pod;
mod service;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::limit_range;
use super::object::Draft;
use super::resource::Resource;
use super::status::Status;
use super::store::Store;

use pod::{pod_spec, qos_class, template};
use service::{allocate_service, keep_allocated, needs_allocation, service};

type Fields = Map<String, Value>;

/// Fills in what the server fills in when an object is created.
///
/// # Errors
/// 422 when a Service asks for an address or port that is taken, or none is left.
pub fn create(store: &Store, resource: &Resource, draft: &mut Draft) -> Result<(), Status> {
    fill(resource, draft);
    match (&*resource.group, &*resource.plural) {
        ("", "namespaces") => {
            set(&mut draft.body, "status", json!({"phase": "Active"}));
            let spec = object(&mut draft.body, "spec");
            if spec
                .get("finalizers")
                .and_then(Value::as_array)
                .is_none_or(Vec::is_empty)
            {
                spec.insert("finalizers".to_owned(), json!(["kubernetes"]));
            }
        }
        ("", "pods") => {
            limit_range::fill(store, draft);
            let class = qos_class(&draft.body);
            set(
                &mut draft.body,
                "status",
                json!({"phase": "Pending", "qosClass": class}),
            );
        }
        ("", "persistentvolumeclaims") => set(&mut draft.body, "status", json!({"phase": "Pending"})),
        ("", "persistentvolumes") => set(&mut draft.body, "status", json!({"phase": "Pending"})),
        ("", "services") => {
            set(&mut draft.body, "status", json!({"loadBalancer": {}}));
            allocate_service(store, resource, draft)?;
        }
        ("apps", "deployments" | "replicasets" | "daemonsets" | "statefulsets") => {
            empty_status(resource, draft);
        }
        ("batch", "jobs" | "cronjobs") => {
            set(&mut draft.body, "status", json!({}));
            if resource.plural == "jobs" {
                job_selector(store, draft);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Fills in what the server fills in when an object is updated, and what it takes from the object before.
///
/// # Errors
/// As [`create`], when the type of a Service changes.
pub fn update(store: &Store, resource: &Resource, draft: &mut Draft, old: &Fields) -> Result<(), Status> {
    if resource.is("", "services") {
        keep_allocated(draft, old);
    }
    if resource.is("batch", "jobs") {
        // Made at creation, and immutable.
        let selector = old.get("spec").and_then(|spec| spec.get("selector")).cloned();
        if let Some(selector) = selector {
            fill_in(object(&mut draft.body, "spec"), "selector", selector);
        }
    }
    if resource.is("certificates.k8s.io", "certificatesigningrequests") {
        // The request never changes.
        if let Some(spec) = old.get("spec") {
            draft.body.insert("spec".to_owned(), spec.clone());
        }
    }
    fill(resource, draft);
    if resource.is("", "services") && needs_allocation(&draft.body, old) {
        allocate_service(store, resource, draft)?;
    }
    Ok(())
}

/// The defaults that depend on nothing but the object.
fn fill(resource: &Resource, draft: &mut Draft) {
    let labels = draft.at(&["spec", "template", "metadata", "labels"]).cloned();
    let body = &mut draft.body;
    match (&*resource.group, &*resource.plural) {
        ("", "pods") => pod_spec(object(body, "spec"), true),
        ("", "podtemplates") => pod_spec(object(object(body, "template"), "spec"), false),
        ("", "namespaces") => {
            let name = draft.meta.name.clone();
            draft
                .meta
                .labels
                .insert("kubernetes.io/metadata.name".to_owned(), name);
        }
        ("", "services") => service(object(body, "spec")),
        ("", "secrets") => secret(body),
        ("", "endpoints") => {
            for subset in items(body.get_mut("subsets")) {
                for port in items(subset.get_mut("ports")) {
                    fill_in(port, "protocol", "TCP");
                }
            }
        }
        ("", "nodes") => {
            object(body, "spec");
        }
        ("", "limitranges") => {
            for limit in items(object(body, "spec").get_mut("limits")) {
                limit_range::complete(limit);
            }
        }
        ("", "persistentvolumes") => {
            let spec = object(body, "spec");
            fill_in(spec, "persistentVolumeReclaimPolicy", "Retain");
            fill_in(spec, "volumeMode", "Filesystem");
        }
        ("", "persistentvolumeclaims") => fill_in(object(body, "spec"), "volumeMode", "Filesystem"),
        ("", "replicationcontrollers") => {
            let spec = object(body, "spec");
            fill_in(spec, "replicas", 1);
            if let Some(labels) = labels {
                fill_in(spec, "selector", labels);
            }
            template(spec);
        }
        ("apps", "deployments") => deployment(object(body, "spec")),
        ("apps", "replicasets") => {
            let spec = object(body, "spec");
            fill_in(spec, "replicas", 1);
            template(spec);
        }
        ("apps", "daemonsets") => daemon_set(object(body, "spec")),
        ("apps", "statefulsets") => stateful_set(object(body, "spec")),
        ("batch", "jobs") => job(object(body, "spec")),
        ("batch", "cronjobs") => {
            let spec = object(body, "spec");
            fill_in(spec, "concurrencyPolicy", "Allow");
            fill_in(spec, "suspend", false);
            fill_in(spec, "successfulJobsHistoryLimit", 3);
            fill_in(spec, "failedJobsHistoryLimit", 1);
            template(object(object(spec, "jobTemplate"), "spec"));
        }
        ("autoscaling", "horizontalpodautoscalers") => fill_in(object(body, "spec"), "minReplicas", 1),
        ("networking.k8s.io", "networkpolicies") => network_policy(object(body, "spec")),
        ("networking.k8s.io", "ingresses") => {
            object(body, "status");
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => binding(body),
        ("storage.k8s.io", "storageclasses") => {
            fill_in(body, "reclaimPolicy", "Delete");
            fill_in(body, "volumeBindingMode", "Immediate");
        }
        ("storage.k8s.io", "csidrivers") => {
            let spec = object(body, "spec");
            for (field, value) in [
                ("attachRequired", json!(true)),
                ("podInfoOnMount", json!(false)),
                ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
                ("storageCapacity", json!(false)),
                ("requiresRepublish", json!(false)),
                ("seLinuxMount", json!(false)),
                ("volumeLifecycleModes", json!(["Persistent"])),
            ] {
                fill_in(spec, field, value);
            }
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            fill_in(body, "preemptionPolicy", "PreemptLowerPriority");
            fill_in(body, "value", 0);
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => super::crd::defaults(body),
        ("apiregistration.k8s.io", "apiservices") => {
            if let Some(service) = object(body, "spec")
                .get_mut("service")
                .and_then(Value::as_object_mut)
            {
                fill_in(service, "port", 443);
            }
        }
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations" | "mutatingwebhookconfigurations",
        ) => {
            let mutating = resource.plural.starts_with("mutating");
            for hook in items(body.get_mut("webhooks")) {
                webhook(hook, mutating);
            }
        }
        _ => {}
    }
}

fn set(map: &mut Fields, key: &str, value: Value) {
    map.insert(key.to_owned(), value);
}

fn fill_in(map: &mut Fields, key: &str, value: impl Into<Value>) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), value.into());
    }
}

fn fill_text(map: &mut Fields, key: &str, value: &str) {
    if map.get(key).is_none_or(|old| old.is_null() || old == "") {
        map.insert(key.to_owned(), value.into());
    }
}

/// The object under `key`, made if there is none.
fn object<'a>(map: &'a mut Fields, key: &str) -> &'a mut Fields {
    let value = map.entry(key.to_owned()).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

fn items(list: Option<&mut Value>) -> impl Iterator<Item = &mut Fields> {
    list.and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// `stringData` goes into `data`, in base64.
fn secret(body: &mut Fields) {
    if let Some(Value::Object(texts)) = body.remove("stringData") {
        let data = object(body, "data");
        for (key, text) in texts {
            let text = text.as_str().unwrap_or("");
            data.insert(key, BASE64_STANDARD.encode(text).into());
        }
    }
    fill_text(body, "type", "Opaque");
}

fn deployment(spec: &mut Fields) {
    fill_in(spec, "replicas", 1);
    fill_in(spec, "revisionHistoryLimit", 10);
    fill_in(spec, "progressDeadlineSeconds", 600);
    let strategy = object(spec, "strategy");
    fill_text(strategy, "type", "RollingUpdate");
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        let rolling = object(strategy, "rollingUpdate");
        fill_in(rolling, "maxUnavailable", "25%");
        fill_in(rolling, "maxSurge", "25%");
    }
    template(spec);
}

fn daemon_set(spec: &mut Fields) {
    fill_in(spec, "revisionHistoryLimit", 10);
    let strategy = object(spec, "updateStrategy");
    fill_text(strategy, "type", "RollingUpdate");
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        let rolling = object(strategy, "rollingUpdate");
        fill_in(rolling, "maxUnavailable", 1);
        fill_in(rolling, "maxSurge", 0);
    }
    template(spec);
}

fn stateful_set(spec: &mut Fields) {
    fill_in(spec, "replicas", 1);
    fill_in(spec, "revisionHistoryLimit", 10);
    fill_text(spec, "podManagementPolicy", "OrderedReady");
    let strategy = object(spec, "updateStrategy");
    fill_text(strategy, "type", "RollingUpdate");
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        fill_in(object(strategy, "rollingUpdate"), "partition", 0);
    }
    let retention = object(spec, "persistentVolumeClaimRetentionPolicy");
    fill_text(retention, "whenDeleted", "Retain");
    fill_text(retention, "whenScaled", "Retain");
    for claim in items(spec.get_mut("volumeClaimTemplates")) {
        fill_text(claim, "apiVersion", "v1");
        fill_text(claim, "kind", "PersistentVolumeClaim");
        fill_in(object(claim, "spec"), "volumeMode", "Filesystem");
        fill_in(claim, "status", json!({"phase": "Pending"}));
    }
    template(spec);
}

fn job(spec: &mut Fields) {
    // A job without a number of completions and of parallel pods runs one pod.
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        spec.insert("completions".to_owned(), 1.into());
    }
    fill_in(spec, "parallelism", 1);
    fill_in(spec, "backoffLimit", 6);
    fill_in(spec, "completionMode", "NonIndexed");
    fill_in(spec, "suspend", false);
    fill_in(spec, "manualSelector", false);
    fill_in(spec, "podReplacementPolicy", "TerminatingOrFailed");
    template(spec);
}

/// A job finds its pods by a label with its own uid (kubernetes: `pkg/registry/batch/job/strategy.go`).
fn job_selector(store: &Store, draft: &mut Draft) {
    let (name, uid) = (
        draft.meta.name.clone(),
        store.upcoming_uid().hyphenated().to_string(),
    );
    let spec = object(&mut draft.body, "spec");
    if spec.get("manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    let labels = object(object(object(spec, "template"), "metadata"), "labels");
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        labels.insert(key.to_owned(), value.as_str().into());
    }
    spec.insert(
        "selector".to_owned(),
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
}

fn network_policy(spec: &mut Fields) {
    let mut types = vec!["Ingress"];
    if spec.contains_key("egress") {
        types.push("Egress");
    }
    fill_in(spec, "policyTypes", json!(types));
    for (rules, _) in [("ingress", "from"), ("egress", "to")] {
        for rule in items(spec.get_mut(rules)) {
            for port in items(rule.get_mut("ports")) {
                fill_text(port, "protocol", "TCP");
            }
        }
    }
}

fn binding(body: &mut Fields) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    fill_text(object(body, "roleRef"), "apiGroup", GROUP);
    for subject in items(body.get_mut("subjects")) {
        if matches!(
            subject.get("kind").and_then(Value::as_str),
            Some("User" | "Group")
        ) {
            fill_text(subject, "apiGroup", GROUP);
        }
    }
}

fn webhook(hook: &mut Fields, mutating: bool) {
    fill_text(hook, "failurePolicy", "Fail");
    fill_text(hook, "matchPolicy", "Equivalent");
    fill_in(hook, "namespaceSelector", json!({}));
    fill_in(hook, "objectSelector", json!({}));
    fill_in(hook, "timeoutSeconds", 10);
    if mutating {
        fill_text(hook, "reinvocationPolicy", "Never");
    }
    if let Some(service) = hook
        .get_mut("clientConfig")
        .and_then(|config| config.get_mut("service"))
        .and_then(Value::as_object_mut)
    {
        fill_in(service, "port", 443);
    }
    for rule in items(hook.get_mut("rules")) {
        fill_text(rule, "scope", "*");
    }
}

/// Counts that a typed server prints though they are zero.
fn empty_status(resource: &Resource, draft: &mut Draft) {
    let status = match &*resource.plural {
        "replicasets" => json!({"replicas": 0}),
        "daemonsets" => {
            json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0})
        }
        "statefulsets" => json!({"replicas": 0, "availableReplicas": 0}),
        _ => json!({}),
    };
    draft.body.insert("status".to_owned(), status);
}

#[cfg(test)]
mod tests;
