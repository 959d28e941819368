//! Defaults of pods and of templates for pods.

use serde_json::{Value, json};

use super::{Fields, fill_in, fill_text, items, object};

pub(super) fn template(spec: &mut Fields) {
    let template = object(spec, "template");
    object(template, "metadata");
    pod_spec(object(template, "spec"), false);
}

pub(super) fn pod_spec(spec: &mut Fields, pod: bool) {
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
pub(super) fn qos_class(body: &Fields) -> &'static str {
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
