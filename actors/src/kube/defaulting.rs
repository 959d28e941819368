//! Defaults of the built-in kinds that clients see (kubernetes: `pkg/apis/*/v*/defaults.go`, and what admission and the
//! registries fill in).
//!
//! They are not decoration: Cluster API computes a merge patch that sends `null` for every field it did not ask for, and waits
//! until the object looks as it did before.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::object::Draft;
use super::resource::Resource;
use super::status::{FieldError, Status};
use super::store::Store;

/// First port of Services of type `NodePort` (kubernetes: `--service-node-port-range`).
const NODE_PORT_FIRST: i64 = 30_000;
/// Last such port.
const NODE_PORT_LAST: i64 = 32_767;
/// Addresses of the service network that are tried: a /16.
const ADDRESSES_MAX: u32 = 65_536;

type Fields = Map<String, Value>;

/// Fills in what the server fills in when an object is created.
///
/// # Errors
/// 422 when a Service asks for an address or port that is taken, or none is left.
pub fn create(
    store: &Store,
    resource: &Resource,
    draft: &mut Draft,
    _now: DateTime<Utc>,
) -> Result<(), Status> {
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
            allocate_service(store, resource, draft, None)?;
        }
        ("apps", "deployments" | "replicasets" | "daemonsets" | "statefulsets") => {
            empty_status(resource, draft)
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
pub fn update(resource: &Resource, draft: &mut Draft, old: &Fields) {
    if resource.is("", "services") {
        keep_allocated(draft, old);
    }
    if resource.is("batch", "jobs") {
        // Made at creation, and immutable.
        for path in ["selector"] {
            let old = old.get("spec").and_then(|spec| spec.get(path)).cloned();
            let spec = object(&mut draft.body, "spec");
            if let (None, Some(old)) = (spec.get(path), old) {
                spec.insert(path.to_owned(), old);
            }
        }
    }
    fill(resource, draft);
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

fn template(spec: &mut Fields) {
    let template = object(spec, "template");
    object(template, "metadata");
    pod_spec(object(template, "spec"), false);
}

fn pod_spec(spec: &mut Fields, pod: bool) {
    for (field, value) in [
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ] {
        fill_text(spec, field, value);
    }
    fill_in(spec, "terminationGracePeriodSeconds", 30);
    fill_in(spec, "securityContext", json!({}));
    // Both names of the service account say the same.
    let account = ["serviceAccountName", "serviceAccount"]
        .into_iter()
        .find_map(|field| {
            spec.get(field)
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
        })
        .map(str::to_owned);
    if let Some(account) = account.or_else(|| pod.then(|| "default".to_owned())) {
        spec.insert("serviceAccountName".to_owned(), account.clone().into());
        spec.insert("serviceAccount".to_owned(), account.into());
    }
    if pod {
        fill_in(spec, "enableServiceLinks", true);
        fill_in(spec, "preemptionPolicy", "PreemptLowerPriority");
        let critical = match spec.get("priorityClassName").and_then(Value::as_str) {
            Some("system-node-critical") => 2_000_001_000,
            Some("system-cluster-critical") => 2_000_000_000,
            _ => 0,
        };
        fill_in(spec, "priority", critical);
        tolerations(spec);
    }
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(spec.get_mut(list)) {
            self::container(container, host_network);
        }
    }
    for volume in items(spec.get_mut("volumes")) {
        self::volume(volume);
    }
}

/// Pods stay five minutes on a node that is lost (kubernetes: `plugin/pkg/admission/defaulttolerationseconds`).
fn tolerations(spec: &mut Fields) {
    let list = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else {
        return;
    };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = list.iter().any(|toleration| {
            let text = |field: &str| toleration.get(field).and_then(Value::as_str).unwrap_or("");
            let any_key = text("key").is_empty() && text("operator") == "Exists";
            (text("key") == key || any_key) && matches!(text("effect"), "" | "NoExecute")
        });
        if !tolerated {
            list.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
}

fn container(container: &mut Fields, host_network: bool) {
    fill_text(container, "terminationMessagePath", "/dev/termination-log");
    fill_text(container, "terminationMessagePolicy", "File");
    fill_in(container, "resources", json!({}));
    let image = container.get("image").and_then(Value::as_str).unwrap_or("");
    // Without a tag, or with ":latest", the image is pulled each time.
    let last = image.rsplit('/').next().unwrap_or("");
    let floating = !image.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    fill_text(
        container,
        "imagePullPolicy",
        if floating { "Always" } else { "IfNotPresent" },
    );
    for port in items(container.get_mut("ports")) {
        fill_text(port, "protocol", "TCP");
        if host_network && let Some(number) = port.get("containerPort").cloned() {
            fill_in(port, "hostPort", number);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
            for (field, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                fill_in(probe, field, value);
            }
            if let Some(http) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
                fill_text(http, "path", "/");
                fill_text(http, "scheme", "HTTP");
            }
        }
    }
    for variable in items(container.get_mut("env")) {
        if let Some(field) = variable
            .get_mut("valueFrom")
            .and_then(|from| from.get_mut("fieldRef"))
            .and_then(Value::as_object_mut)
        {
            fill_text(field, "apiVersion", "v1");
        }
    }
    // What is limited is also requested.
    let limits = container
        .get("resources")
        .and_then(|resources| resources.get("limits"))
        .cloned();
    if let Some(limits) = limits.as_ref().and_then(Value::as_object) {
        let requests = object(object(container, "resources"), "requests");
        for (name, amount) in limits {
            fill_in(requests, name, amount.clone());
        }
    }
}

fn volume(volume: &mut Fields) {
    const MODE: i64 = 0o644;
    let names = ["secret", "configMap", "downwardAPI", "projected"];
    for name in names {
        if let Some(source) = volume.get_mut(name).and_then(Value::as_object_mut) {
            fill_in(source, "defaultMode", MODE);
            if name == "projected" {
                for part in items(source.get_mut("sources")) {
                    if let Some(token) = part.get_mut("serviceAccountToken").and_then(Value::as_object_mut) {
                        fill_in(token, "expirationSeconds", 3600);
                    }
                }
            }
        }
    }
    if let Some(host) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        fill_in(host, "type", "");
    }
    // A volume without a source is an empty directory.
    if volume.len() == 1 && volume.contains_key("name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
}

/// `status.qosClass` (kubernetes: `pkg/apis/core/helper/qos`): from requests and limits of cpu and memory.
fn qos_class(body: &Fields) -> &'static str {
    let spec = body.get("spec");
    let mut any = false;
    let mut guaranteed = true;
    for list in ["containers", "initContainers"] {
        let containers = spec.and_then(|spec| spec.get(list)).and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            for resource in ["cpu", "memory"] {
                let amount = |kind: &str| container.pointer(&format!("/resources/{kind}/{resource}"));
                let (request, limit) = (amount("requests"), amount("limits"));
                any |= request.is_some() || limit.is_some();
                guaranteed &= limit.is_some() && (request == limit || request.is_none());
            }
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn service(spec: &mut Fields) {
    fill_text(spec, "type", "ClusterIP");
    fill_text(spec, "sessionAffinity", "None");
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    if spec.get("sessionAffinity") == Some(&json!("ClientIP")) {
        fill_in(
            object(object(spec, "sessionAffinityConfig"), "clientIP"),
            "timeoutSeconds",
            10_800,
        );
    }
    for port in items(spec.get_mut("ports")) {
        fill_text(port, "protocol", "TCP");
        if let Some(number) = port.get("port").cloned() {
            let open = port
                .get("targetPort")
                .is_none_or(|target| target == &json!(0) || target == "");
            if open {
                port.insert("targetPort".to_owned(), number);
            }
        }
    }
    if kind != "ExternalName" {
        fill_text(spec, "internalTrafficPolicy", "Cluster");
        fill_in(spec, "ipFamilies", json!(["IPv4"]));
        fill_text(spec, "ipFamilyPolicy", "SingleStack");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        fill_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill_in(spec, "allocateLoadBalancerNodePorts", true);
    }
}

/// Gives a Service its address and ports, or checks the ones it asks for.
fn allocate_service(
    store: &Store,
    resource: &Resource,
    draft: &mut Draft,
    _old: Option<&Fields>,
) -> Result<(), Status> {
    let name = draft.meta.name.clone();
    let invalid = |error| Status::invalid(resource.named_kind(), &name, &[error]);
    let spec = object(&mut draft.body, "spec");
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("").to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    let mut taken = std::collections::BTreeSet::new();
    let mut ports = std::collections::BTreeSet::new();
    for service in store.all(resource, None) {
        let Some(spec) = service.section("spec") else {
            continue;
        };
        taken.extend(spec.get("clusterIP").and_then(Value::as_str).map(str::to_owned));
        for port in spec.get("ports").and_then(Value::as_array).into_iter().flatten() {
            ports.extend(port.get("nodePort").and_then(Value::as_i64));
        }
    }
    let asked = spec
        .get("clusterIP")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    if asked.is_empty() {
        if let Some((network, prefix)) = store.settings().service_network {
            let address = free_address(network, prefix, &taken).ok_or_else(|| {
                invalid(FieldError::invalid(
                    "spec.clusterIPs",
                    "",
                    "failed to allocate a serviceIP: range is full",
                ))
            })?;
            spec.insert("clusterIP".to_owned(), address.into());
        }
    } else if asked != "None" && taken.contains(&asked) {
        return Err(invalid(FieldError::invalid(
            "spec.clusterIPs",
            json!([asked]),
            format!("failed to allocate IP {asked}: provided IP is already allocated"),
        )));
    }
    if let Some(address) = spec.get("clusterIP").cloned() {
        fill_in(spec, "clusterIPs", json!([address]));
    }
    let allocates = spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    if kind == "NodePort" || (kind == "LoadBalancer" && allocates) {
        for (index, port) in items(spec.get_mut("ports")).enumerate() {
            match port
                .get("nodePort")
                .and_then(Value::as_i64)
                .filter(|number| *number != 0)
            {
                Some(number) if ports.contains(&number) => {
                    return Err(invalid(FieldError::invalid(
                        format!("spec.ports[{index}].nodePort"),
                        number,
                        "provided port is already allocated",
                    )));
                }
                Some(number) => {
                    ports.insert(number);
                }
                None => {
                    let free = (NODE_PORT_FIRST..=NODE_PORT_LAST).find(|number| !ports.contains(number));
                    if let Some(number) = free {
                        ports.insert(number);
                        port.insert("nodePort".to_owned(), number.into());
                    }
                }
            }
        }
    }
    Ok(())
}

/// The first free address, from the upper part of the network down the line: the lower 256 (or sixteenth) are for those that ask
/// (kubernetes: `pkg/registry/core/service/ipallocator`).
fn free_address(network: Ipv4Addr, prefix: u8, taken: &std::collections::BTreeSet<String>) -> Option<String> {
    let size = 1_u32
        .checked_shl(32_u32.checked_sub(prefix.into())?)
        .unwrap_or(u32::MAX)
        .min(ADDRESSES_MAX);
    let base = u32::from(network);
    let reserved = (size / 16).clamp(16, 256).min(size);
    let upper = reserved..size.saturating_sub(1);
    let lower = 1..reserved;
    upper
        .chain(lower)
        .map(|offset| Ipv4Addr::from(base.wrapping_add(offset)).to_string())
        .find(|address| !taken.contains(address))
}

/// A PUT that leaves out what was allocated keeps it.
fn keep_allocated(draft: &mut Draft, old: &Fields) {
    let spec = object(&mut draft.body, "spec");
    let Some(old) = old.get("spec") else { return };
    let kind = |spec: &Value| {
        spec.get("type")
            .and_then(Value::as_str)
            .unwrap_or("ClusterIP")
            .to_owned()
    };
    let new_kind = kind(&Value::Object(spec.clone()));
    if kind(old) == "ExternalName" || new_kind == "ExternalName" {
        return;
    }
    for field in [
        "clusterIP",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "healthCheckNodePort",
    ] {
        if let (true, Some(value)) = (spec.get(field).is_none_or(|value| value == ""), old.get(field)) {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    if new_kind == "ClusterIP" {
        return;
    }
    let old_ports = old.get("ports").and_then(Value::as_array);
    for port in items(spec.get_mut("ports")) {
        let twin = old_ports.into_iter().flatten().find(|old| {
            ["port", "protocol"]
                .into_iter()
                .all(|field| port.get(field).is_none_or(|value| old.get(field) == Some(value)))
        });
        if let Some(number) = twin.and_then(|old| old.get("nodePort")) {
            fill_in(port, "nodePort", number.clone());
        }
    }
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
