//! Containers of pods (kubernetes: `pkg/apis/core/validation/validation.go`, `validateContainers` and below).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::node::{Faults, Node};
use super::volume::{self, Volumes};
use super::words;
use crate::kube::quantity::Quantity;

/// Fields of the pod that variables may name.
const FIELD_PATHS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Amounts of a container that variables may name.
pub(super) const RESOURCE_PATHS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// What containers are checked against.
pub(super) struct Context<'a> {
    pub(super) volumes: Volumes<'a>,
    pub(super) grace: Option<i64>,
    pub(super) restart_policy: &'a str,
}

pub(super) fn containers(faults: &mut Faults, spec: &Node<'_>, context: &Context<'_>) {
    if spec.len("containers") == 0 {
        faults.required(spec.at("containers"), "");
        return;
    }
    let mut names = BTreeSet::new();
    for container in spec.items("containers") {
        common(faults, &container, context);
        if !names.insert(container.text("name")) {
            faults.duplicate(container.at("name"), container.text("name"));
        }
        running(faults, &container, context);
        restart_policy(faults, &container);
    }
    host_ports(faults, spec.items("containers"));
}

pub(super) fn init_containers(faults: &mut Faults, spec: &Node<'_>, context: &Context<'_>) {
    let mut names: BTreeSet<&str> = spec
        .items("containers")
        .map(|container| container.text("name"))
        .collect();
    for container in spec.items("initContainers") {
        common(faults, &container, context);
        restart_policy(faults, &container);
        let name = container.text("name");
        if names.contains(name) {
            faults.duplicate(container.at("name"), name);
        } else if !name.is_empty() {
            names.insert(name);
        }
        host_ports(faults, std::iter::once(container.clone()));
        if container.text("restartPolicy") == "Always" {
            running(faults, &container, context);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.has(field) {
                faults.forbidden(
                    container.at(field),
                    "may not be set for init containers without restartPolicy=Always",
                );
            }
        }
    }
}

pub(super) fn ephemeral_containers(faults: &mut Faults, spec: &Node<'_>, context: &Context<'_>) {
    let others: BTreeSet<&str> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| spec.items(list))
        .map(|container| container.text("name"))
        .collect();
    let mut names = others.clone();
    for container in spec.items("ephemeralContainers") {
        common(faults, &container, context);
        image_space(faults, &container);
        if !names.insert(container.text("name")) {
            faults.duplicate(container.at("name"), container.text("name"));
        }
        let target = container.text("targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            faults.not_found(container.at("targetContainerName"), target);
        }
        for field in [
            "ports",
            "resources",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle",
            "resizePolicy",
            "restartPolicy",
        ] {
            let filled = match container.value.get(field) {
                Some(Value::Array(items)) => !items.is_empty(),
                Some(Value::Object(map)) => !map.is_empty(),
                Some(Value::String(text)) => !text.is_empty(),
                _ => false,
            };
            if filled {
                faults.forbidden(container.at(field), "cannot be set for an Ephemeral Container");
            }
        }
        for mount in container.items("volumeMounts") {
            for field in ["subPath", "subPathExpr"] {
                if !mount.text(field).is_empty() {
                    faults.forbidden(mount.at(field), "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

/// The name of an image has no blanks around it; only pods are asked, templates are not.
pub(super) fn image_space(faults: &mut Faults, container: &Node<'_>) {
    let image = container.text("image");
    if image.trim() != image {
        faults.invalid(
            container.at("image"),
            image,
            "must not have leading or trailing whitespace",
        );
    }
}

/// What init containers that end do not have.
fn running(faults: &mut Faults, container: &Node<'_>, context: &Context<'_>) {
    if let Some(lifecycle) = container.some("lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = lifecycle.some(hook) {
                handler(
                    faults,
                    &hook,
                    &["exec", "httpGet", "tcpSocket", "sleep"],
                    context.grace,
                );
            }
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.some(name) else {
            continue;
        };
        handler(
            faults,
            &probe,
            &["exec", "httpGet", "tcpSocket", "grpc"],
            context.grace,
        );
        for field in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ] {
            faults.not_negative(&probe, field);
        }
        let grace = probe.int("terminationGracePeriodSeconds");
        if let Some(grace) = grace.filter(|grace| *grace <= 0) {
            faults.invalid(
                probe.at("terminationGracePeriodSeconds"),
                grace,
                "must be greater than 0",
            );
        }
        if name == "readinessProbe" {
            if let Some(grace) = grace {
                faults.invalid(
                    probe.at("terminationGracePeriodSeconds"),
                    grace,
                    "must not be set for readinessProbes",
                );
            }
        } else if let Some(threshold) = probe.int("successThreshold").filter(|threshold| *threshold != 1) {
            faults.invalid(probe.at("successThreshold"), threshold, "must be 1");
        }
    }
}

fn handler(faults: &mut Faults, handler: &Node<'_>, kinds: &[&str], grace: Option<i64>) {
    let mut found = false;
    for kind in kinds {
        let Some(action) = handler.some(kind) else {
            continue;
        };
        if found {
            faults.forbidden(action.path, "may not specify more than 1 handler type");
            continue;
        }
        found = true;
        match *kind {
            "exec" if action.len("command") == 0 => faults.required(action.at("command"), ""),
            "httpGet" => {
                if action.text("path").is_empty() {
                    faults.required(action.at("path"), "");
                }
                words::port_or_name(faults, action.at("port"), action.get("port").value);
                let scheme = action.text("scheme");
                if !matches!(scheme, "HTTP" | "HTTPS") {
                    faults.not_supported(action.at("scheme"), scheme, &["HTTP", "HTTPS"]);
                }
            }
            "tcpSocket" | "grpc" => {
                words::port_or_name(faults, action.at("port"), action.get("port").value);
            }
            "sleep" => {
                let seconds = action.int("seconds").unwrap_or(0);
                if let Some(grace) = grace.filter(|grace| seconds < 0 || seconds > *grace) {
                    faults.invalid(
                        action.path,
                        seconds,
                        format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})"),
                    );
                }
            }
            _ => {}
        }
    }
    if !found {
        faults.required(&*handler.path, "must specify a handler type");
    }
}

fn restart_policy(faults: &mut Faults, container: &Node<'_>) {
    let policy = container.text("restartPolicy");
    if policy.is_empty() {
        if container.len("restartPolicyRules") > 0 {
            faults.required(
                container.at("restartPolicy"),
                "must specify restartPolicy when restart rules are used",
            );
        }
    } else if !matches!(policy, "Always" | "Never" | "OnFailure") {
        faults.not_supported(
            container.at("restartPolicy"),
            policy,
            &["Always", "Never", "OnFailure"],
        );
    }
}

fn host_ports<'a>(faults: &mut Faults, containers: impl Iterator<Item = Node<'a>>) {
    let mut taken = BTreeSet::new();
    for port in containers.flat_map(|container| container.items("ports").collect::<Vec<_>>()) {
        let number = port.int("hostPort").unwrap_or(0);
        if number == 0 {
            continue;
        }
        let key = format!("{}/{}/{number}", port.text("protocol"), port.text("hostIP"));
        if !taken.insert(key.clone()) {
            faults.duplicate(port.at("hostPort"), key);
        }
    }
}

fn common(faults: &mut Faults, container: &Node<'_>, context: &Context<'_>) {
    let name = container.text("name");
    if name.is_empty() {
        faults.required(container.at("name"), "");
    } else {
        words::label(faults, &container.at("name"), name);
    }
    if container.text("image").is_empty() {
        faults.required(container.at("image"), "");
    }
    faults.one_of(
        container.at("terminationMessagePolicy"),
        container.text("terminationMessagePolicy"),
        &["File", "FallbackToLogsOnError"],
    );
    ports(faults, container);
    variables(faults, container);
    variables_from(faults, container);
    volume::mounts(faults, container, &context.volumes);
    volume::devices(faults, container, &context.volumes);
    faults.one_of(
        container.at("imagePullPolicy"),
        container.text("imagePullPolicy"),
        &["Always", "IfNotPresent", "Never"],
    );
    resources(faults, &container.get("resources"));
    let mut resized = BTreeSet::new();
    for policy in container.items("resizePolicy") {
        if !resized.insert(policy.text("resourceName")) {
            faults.duplicate(&*policy.path, policy.text("resourceName"));
        }
        let path = || container.at("resizePolicy");
        faults.one_of(path(), policy.text("resourceName"), &["cpu", "memory"]);
        let restart = policy.text("restartPolicy");
        faults.one_of(path(), restart, &["NotRequired", "RestartContainer"]);
        if context.restart_policy == "Never" && restart != "NotRequired" {
            faults.invalid(
                path(),
                restart,
                "must be 'NotRequired' when pod `restartPolicy` is 'Never'",
            );
        }
    }
    security(faults, &container.get("securityContext"));
}

fn security(faults: &mut Faults, context: &Node<'_>) {
    for field in ["runAsUser", "runAsGroup"] {
        if let Some(id) = context
            .int(field)
            .filter(|id| !(0..=i64::from(i32::MAX)).contains(id))
        {
            faults.invalid(
                context.at(field),
                id,
                "must be between 0 and 2147483647, inclusive",
            );
        }
    }
    if context.value.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)) {
        if context.flag("privileged") {
            faults.invalid(
                &*context.path,
                context.value.clone(),
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            );
        }
        if context
            .get("capabilities")
            .texts("add")
            .any(|name| name == "CAP_SYS_ADMIN")
        {
            faults.invalid(
                &*context.path,
                context.value.clone(),
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            );
        }
    }
}

fn ports(faults: &mut Faults, container: &Node<'_>) {
    let mut names = BTreeSet::new();
    for port in container.items("ports") {
        let name = port.text("name");
        if !name.is_empty() && words::port_name(faults, &port.at("name"), name) && !names.insert(name) {
            faults.duplicate(port.at("name"), name);
        }
        match port.int("containerPort").unwrap_or(0) {
            0 => faults.required(port.at("containerPort"), ""),
            number => words::port_number(faults, port.at("containerPort"), number),
        }
        if let Some(number) = port.int("hostPort").filter(|number| *number != 0) {
            words::port_number(faults, port.at("hostPort"), number);
        }
        faults.one_of(port.at("protocol"), port.text("protocol"), &words::PROTOCOLS);
    }
}

fn variables(faults: &mut Faults, container: &Node<'_>) {
    for variable in container.items("env") {
        let name = variable.text("name");
        if name.is_empty() {
            faults.required(variable.at("name"), "");
        } else {
            words::variable(faults, &variable.at("name"), name);
        }
        let Some(from) = variable.some("valueFrom") else {
            continue;
        };
        let mut sources = 0;
        if let Some(field) = from.some("fieldRef") {
            sources += 1;
            field_reference(faults, &field, &FIELD_PATHS);
        }
        if let Some(amount) = from.some("resourceFieldRef") {
            sources += 1;
            resource_reference(faults, &amount, false);
        }
        for kind in ["configMapKeyRef", "secretKeyRef"] {
            if let Some(reference) = from.some(kind) {
                sources += 1;
                words::subdomain(faults, &reference.at("name"), reference.text("name"));
                let key = reference.text("key");
                if key.is_empty() {
                    faults.required(reference.at("key"), "");
                } else {
                    words::config_key(faults, &reference.at("key"), key);
                }
            }
        }
        sources += usize::from(from.has("fileKeyRef"));
        if sources == 0 {
            faults.invalid(
                &*from.path,
                "",
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            );
        } else if !variable.text("value").is_empty() {
            faults.invalid(&*from.path, "", "may not be specified when `value` is not empty");
        } else if sources > 1 {
            faults.invalid(
                &*from.path,
                "",
                "may not have more than one field specified at a time",
            );
        }
    }
}

/// A reference to a field of the pod.
pub(super) fn field_reference(faults: &mut Faults, field: &Node<'_>, known: &[&str]) {
    if field.text("apiVersion").is_empty() {
        faults.required(field.at("apiVersion"), "");
        return;
    }
    let path = field.text("fieldPath");
    if path.is_empty() {
        faults.required(field.at("fieldPath"), "");
        return;
    }
    let subscript = path.strip_suffix("']").and_then(|path| path.split_once("['"));
    match subscript {
        Some(("metadata.labels", key)) => words::qualified(faults, &field.path, key),
        Some(("metadata.annotations", key)) => {
            words::qualified(faults, &field.path, &key.to_lowercase());
        }
        Some((other, _)) => faults.invalid(&*field.path, other, "does not support subscript"),
        None if known.contains(&path) => {}
        None if path.starts_with("metadata.") || path.starts_with("spec.") || path.starts_with("status.") => {
            faults.not_supported(field.at("fieldPath"), path, known);
        }
        None => faults.invalid(
            field.at("fieldPath"),
            path,
            format!("error converting fieldPath: field label not supported: {path}"),
        ),
    }
}

/// A reference to an amount of a container.
pub(super) fn resource_reference(faults: &mut Faults, amount: &Node<'_>, volume: bool) {
    let resource = amount.text("resource");
    let huge = ["limits.hugepages-", "requests.hugepages-"]
        .iter()
        .any(|prefix| resource.starts_with(prefix));
    if volume && amount.text("containerName").is_empty() {
        faults.required(amount.at("containerName"), "");
    } else if resource.is_empty() {
        faults.required(amount.at("resource"), "");
    } else if !huge && !RESOURCE_PATHS.contains(&resource) {
        faults.not_supported(amount.at("resource"), resource, &RESOURCE_PATHS);
    }
}

fn variables_from(faults: &mut Faults, container: &Node<'_>) {
    for source in container.items("envFrom") {
        words::variable(faults, &source.at("prefix"), source.text("prefix"));
        let mut sources = 0;
        for kind in ["configMapRef", "secretRef"] {
            if let Some(reference) = source.some(kind) {
                sources += 1;
                match reference.text("name") {
                    "" => faults.required(reference.at("name"), ""),
                    name => words::subdomain(faults, &reference.at("name"), name),
                }
            }
        }
        if sources == 0 {
            faults.invalid(
                container.at("envFrom"),
                "",
                "must specify one of: `configMapRef` or `secretRef`",
            );
        } else if sources > 1 {
            faults.invalid(
                container.at("envFrom"),
                "",
                "may not have more than one field specified at a time",
            );
        }
    }
}

/// Requests and limits.
pub(super) fn resources(faults: &mut Faults, resources: &Node<'_>) {
    let mut limits: BTreeMap<&str, (Quantity, String)> = BTreeMap::new();
    for (name, value) in resources.map("limits") {
        let field = resources.get("limits").key(name);
        resource_name(faults, &field, name);
        if let Some(amount) = words::amount_of(faults, &field, value) {
            limits.insert(name, (amount, text_of(value)));
        }
    }
    for (name, value) in resources.map("requests") {
        let field = resources.get("requests").key(name);
        resource_name(faults, &field, name);
        let Some(amount) = words::amount_of(faults, &field, value) else {
            continue;
        };
        let shares = is_native(name) && !name.starts_with("hugepages-");
        match limits.get(name.as_str()) {
            Some((limit, text)) if !shares && amount != *limit => faults.invalid(
                resources.at("requests"),
                text_of(value),
                format!("must be equal to {name} limit of {text}"),
            ),
            Some((limit, text)) if amount > *limit => faults.invalid(
                resources.at("requests"),
                text_of(value),
                format!("must be less than or equal to {name} limit of {text}"),
            ),
            Some(_) => {}
            None if !shares => faults.required(
                resources.at("limits"),
                "Limit must be set for non overcommitable resources",
            ),
            None => {}
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Resources of Kubernetes itself may be requested below their limit, devices may not.
fn is_native(name: &str) -> bool {
    name.split_once('/')
        .is_none_or(|(domain, _)| domain.ends_with("kubernetes.io"))
}

fn resource_name(faults: &mut Faults, field: &str, name: &str) {
    let before = faults.len();
    words::qualified(faults, field, name);
    if faults.len() > before || name.contains('/') {
        return;
    }
    let of_containers =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if of_containers {
        return;
    }
    let standard = [
        "storage",
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    if !standard.contains(&name) && !name.starts_with("requests.") && !name.starts_with("limits.") {
        faults.invalid(field, name, "must be a standard resource type or fully qualified");
    }
    faults.invalid(field, name, "must be a standard resource for containers");
}
