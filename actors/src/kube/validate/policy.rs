//! Budgets, priorities, leases, autoscalers, certificate requests, webhooks, revisions (kubernetes: `pkg/apis/policy`,
//! `scheduling`, `coordination`, `autoscaling`, `certificates`, `admissionregistration`, `apps`, each `validation`).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::node::{Faults, Node, same};
use super::words;
use crate::kube::names::{self, NameRule};

/// The highest priority that a user may define.
const PRIORITY_MAX: i64 = 1_000_000_000;

type Fields = Map<String, Value>;

pub(super) fn budget(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        faults.invalid(
            "spec",
            spec.value.clone(),
            "minAvailable and maxUnavailable cannot be both set",
        );
    }
    for field in ["minAvailable", "maxUnavailable"] {
        if let Some(amount) = spec.some(field) {
            words::int_or_percent(faults, &amount);
            words::at_most_all(faults, &amount);
        }
    }
    words::label_selector(faults, &spec.get("selector"));
    let policy = spec.text("unhealthyPodEvictionPolicy");
    if !matches!(policy, "" | "AlwaysAllow" | "IfHealthyBudget") {
        faults.not_supported(
            spec.at("unhealthyPodEvictionPolicy"),
            policy,
            &["AlwaysAllow", "IfHealthyBudget"],
        );
    }
}

pub(super) fn priority(faults: &mut Faults, body: &Fields, old: Option<&Fields>, name: &str) {
    let value = Node::root(body, "value").value.as_i64().unwrap_or(0);
    let policy = Node::root(body, "preemptionPolicy");
    if let Some(old) = old {
        if value != Node::root(old, "value").value.as_i64().unwrap_or(0) {
            faults.forbidden("value", "may not be changed in an update.");
        }
        let before = Node::root(old, "preemptionPolicy").value;
        faults.immutable("preemptionPolicy", policy.value, before);
        return;
    }
    if name.starts_with("system-") {
        let known = matches!(
            (name, value),
            ("system-node-critical", 2_000_001_000) | ("system-cluster-critical", 2_000_000_000)
        );
        if !known {
            faults.forbidden(
                "metadata.name",
                format!(
                    "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
                ),
            );
        }
    } else if value > PRIORITY_MAX {
        faults.forbidden(
            "value",
            format!("maximum allowed value of a user defined priority is {PRIORITY_MAX}"),
        );
    }
    faults.one_of(
        policy.path,
        policy.value.as_str().unwrap_or("PreemptLowerPriority"),
        &["PreemptLowerPriority", "Never"],
    );
}

pub(super) fn lease(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    if let Some(seconds) = spec.int("leaseDurationSeconds").filter(|value| *value <= 0) {
        faults.invalid(spec.at("leaseDurationSeconds"), seconds, "must be greater than 0");
    }
    faults.not_negative(&spec, "leaseTransitions");
    if !spec.text("preferredHolder").is_empty() && spec.text("strategy").is_empty() {
        faults.forbidden(
            spec.at("preferredHolder"),
            "may only be specified if `strategy` is defined",
        );
    }
}

pub(super) fn autoscaler(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    let (least, most) = (spec.int("minReplicas"), spec.int("maxReplicas").unwrap_or(0));
    if let Some(least) = least.filter(|least| *least < 1) {
        faults.invalid(
            spec.at("minReplicas"),
            least,
            "must be greater than or equal to 1",
        );
    }
    match most {
        0 => faults.required(spec.at("maxReplicas"), "must be set and greater than 0"),
        ..0 => faults.invalid(spec.at("maxReplicas"), most, "must be greater than or equal to 1"),
        _ => {}
    }
    if least.is_some_and(|least| most < least) {
        faults.invalid(
            spec.at("maxReplicas"),
            most,
            "must be greater than or equal to `minReplicas`",
        );
    }
    let target = spec.get("scaleTargetRef");
    for field in ["kind", "name"] {
        match target.text(field) {
            "" => faults.required(target.at(field), ""),
            name => faults.each(&target.at(field), name, NameRule::PathSegment.check(name, false)),
        }
    }
    for metric in spec.items("metrics") {
        self::metric(faults, &metric);
    }
}

fn metric(faults: &mut Faults, metric: &Node<'_>) {
    const KINDS: [(&str, &str); 5] = [
        ("ContainerResource", "containerResource"),
        ("External", "external"),
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
    ];
    let kind = metric.text("type");
    if kind.is_empty() {
        faults.required(metric.at("type"), "must specify a metric source type");
    }
    let Some((_, field)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        faults.not_supported(metric.at("type"), kind, &names);
        return;
    };
    let source = metric.get(field);
    if !source.exists() {
        faults.required(
            source.path,
            "must populate information for the given metric source",
        );
        return;
    }
    for (_, other) in KINDS.iter().filter(|(name, _)| *name != kind) {
        if metric.has(other) {
            faults.forbidden(metric.at(other), "must populate the given metric source only");
        }
    }
    let target = source.get("target");
    let named = matches!(*field, "resource" | "containerResource");
    if named && source.text("name").is_empty() {
        faults.required(source.at("name"), "must specify a resource name");
    }
    match target.text("type") {
        "Utilization" | "Value" | "AverageValue" => {}
        other => {
            if other.is_empty() {
                faults.required(target.at("type"), "must specify a metric target type");
            }
            faults.invalid(
                target.at("type"),
                other,
                "must be either Utilization, Value, or AverageValue",
            );
        }
    }
    let percent = target.int("averageUtilization");
    if let Some(percent) = percent.filter(|percent| *percent < 1) {
        faults.invalid(target.at("averageUtilization"), percent, "must be greater than 0");
    }
    for amount in ["value", "averageValue"] {
        if let Some(amount) = target.some(amount)
            && words::quantity(faults, &amount.path, amount.value).is_some_and(|value| value.as_milli() <= 0)
        {
            faults.invalid(amount.path, amount.value.clone(), "must be positive");
        }
    }
    if named {
        match (percent, target.has("averageValue")) {
            (None, false) => faults.required(
                target.at("averageUtilization"),
                "must set either a target raw value or a target utilization",
            ),
            (Some(_), true) => faults.forbidden(
                target.at("averageValue"),
                "may not set both a target raw value and a target utilization",
            ),
            _ => {}
        }
    }
}

/// A request for a certificate. Its spec never changes; the conditions of an approval stay.
pub(super) fn certificate_request(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    if spec.text("request").is_empty() {
        faults.invalid(
            spec.at("request"),
            "",
            "PEM block type must be CERTIFICATE REQUEST",
        );
    }
    if spec.len("usages") == 0 {
        faults.required(spec.at("usages"), "");
    }
    let mut usages = BTreeSet::new();
    for (index, usage) in spec.texts("usages").enumerate() {
        if !usages.insert(usage) {
            faults.duplicate(format!("{}[{index}]", spec.at("usages")), usage);
        }
    }
    let signer = spec.text("signerName");
    match signer.split_once('/') {
        _ if signer.is_empty() => faults.required(spec.at("signerName"), ""),
        Some((domain, path))
            if domain.contains('.') && names::subdomain(domain).is_empty() && !path.is_empty() => {}
        _ => faults.invalid(
            spec.at("signerName"),
            signer,
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ),
    }
    if let Some(seconds) = spec.int("expirationSeconds").filter(|seconds| *seconds < 600) {
        faults.invalid(
            spec.at("expirationSeconds"),
            seconds,
            "may not specify a duration less than 600 seconds (10 minutes)",
        );
    }
    if let Some(old) = old {
        conditions_stay(faults, body, old);
    }
}

fn conditions_stay(faults: &mut Faults, body: &Fields, old: &Fields) {
    let of = |body: &Fields, kind: &str| {
        Node::root(body, "status")
            .items("conditions")
            .filter(|condition| condition.text("type") == kind)
            .count()
    };
    for kind in ["Approved", "Denied", "Failed"] {
        if of(body, kind) < of(old, kind) {
            faults.forbidden(
                "status.conditions",
                format!("updates may not remove a condition of type {kind:?}"),
            );
        }
    }
    if of(body, "Approved") > 0 && of(body, "Denied") > 0 {
        faults.invalid(
            "status.conditions",
            "Denied",
            "Approved and Denied conditions are mutually exclusive",
        );
    }
}

pub(super) fn webhooks(faults: &mut Faults, body: &Fields, mutating: bool) {
    let mut names = BTreeSet::new();
    for hook in Node::list(body, "webhooks") {
        let name = hook.text("name");
        if name.is_empty() {
            faults.required(hook.at("name"), "");
        } else {
            let found = names::subdomain(name);
            if !found.is_empty() {
                faults.each(&hook.at("name"), name, found);
            } else if name.split('.').count() < 3 {
                faults.invalid(
                    hook.at("name"),
                    name,
                    "should be a domain with at least three segments separated by dots",
                );
            }
        }
        for rule in hook.items("rules") {
            self::rule(faults, &rule);
        }
        one_if_given(faults, &hook, "failurePolicy", &["Fail", "Ignore"]);
        one_if_given(faults, &hook, "matchPolicy", &["Equivalent", "Exact"]);
        if hook.text("sideEffects").is_empty() {
            faults.required(hook.at("sideEffects"), "must specify one of None, NoneOnDryRun");
        } else {
            one_if_given(faults, &hook, "sideEffects", &["None", "NoneOnDryRun"]);
        }
        if let Some(seconds) = hook
            .int("timeoutSeconds")
            .filter(|seconds| !(1..=30).contains(seconds))
        {
            faults.invalid(
                hook.at("timeoutSeconds"),
                seconds,
                "the timeout value must be between 1 and 30 seconds",
            );
        }
        if mutating {
            one_if_given(faults, &hook, "reinvocationPolicy", &["IfNeeded", "Never"]);
        }
        for selector in ["namespaceSelector", "objectSelector"] {
            words::label_selector(faults, &hook.get(selector));
        }
        client(faults, &hook.get("clientConfig"));
        if hook.len("admissionReviewVersions") == 0 {
            faults.required(
                hook.at("admissionReviewVersions"),
                "must specify one of v1, v1beta1",
            );
        } else if !hook
            .texts("admissionReviewVersions")
            .any(|version| matches!(version, "v1" | "v1beta1"))
        {
            faults.invalid(
                hook.at("admissionReviewVersions"),
                hook.get("admissionReviewVersions").value.clone(),
                "must include at least one of v1, v1beta1",
            );
        }
        if !names.insert(name) {
            faults.duplicate(hook.at("name"), name);
        }
    }
}

fn one_if_given(faults: &mut Faults, node: &Node<'_>, field: &str, values: &[&str]) {
    let value = node.text(field);
    if !value.is_empty() && !values.contains(&value) {
        faults.not_supported(node.at(field), value, values);
    }
}

/// Where a webhook is: a URL or a service.
pub(in crate::kube) fn client(faults: &mut Faults, config: &Node<'_>) {
    match (config.some("url"), config.some("service")) {
        (Some(_), Some(_)) | (None, None) => {
            faults.required(&*config.path, "exactly one of url or service is required");
        }
        (Some(url), None) => {
            let text = url.value.as_str().unwrap_or("");
            if !text.starts_with("https://") {
                faults.invalid(
                    url.path,
                    text,
                    "'https' is the only allowed URL scheme; desired format: https://host[/path]",
                );
            }
        }
        (None, Some(service)) => {
            for (field, words) in [
                ("name", "service name is required"),
                ("namespace", "service namespace is required"),
            ] {
                if service.text(field).is_empty() {
                    faults.required(service.at(field), words);
                }
            }
            let port = service.int("port").unwrap_or(443);
            if !(1..=65535).contains(&port) {
                faults.invalid(
                    service.at("port"),
                    port,
                    "port is not valid: must be between 1 and 65535, inclusive",
                );
            }
        }
    }
}

fn rule(faults: &mut Faults, rule: &Node<'_>) {
    const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    if rule.len("operations") == 0 {
        faults.required(rule.at("operations"), "");
    }
    let operations: Vec<&str> = rule.texts("operations").collect();
    if operations.len() > 1 && operations.contains(&"*") {
        faults.invalid(
            rule.at("operations"),
            rule.get("operations").value.clone(),
            "if '*' is present, must not specify other operations",
        );
    }
    for (index, operation) in operations.into_iter().enumerate() {
        if !OPERATIONS.contains(&operation) {
            faults.not_supported(
                format!("{}[{index}]", rule.at("operations")),
                operation,
                &OPERATIONS,
            );
        }
    }
    for field in ["apiGroups", "apiVersions"] {
        let values: Vec<&str> = rule.texts(field).collect();
        if values.is_empty() {
            faults.required(rule.at(field), "");
        }
        if values.len() > 1 && values.contains(&"*") {
            faults.invalid(
                rule.at(field),
                rule.get(field).value.clone(),
                format!(
                    "if '*' is present, must not specify other {}",
                    if field == "apiGroups" {
                        "API groups"
                    } else {
                        "API versions"
                    }
                ),
            );
        }
    }
    if rule.len("resources") == 0 {
        faults.required(rule.at("resources"), "");
    }
    let scope = rule.text("scope");
    if !matches!(scope, "" | "*" | "Cluster" | "Namespaced") {
        faults.not_supported(rule.at("scope"), scope, &["*", "Cluster", "Namespaced"]);
    }
}

pub(super) fn revision(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let number = Node::root(body, "revision").value.as_i64().unwrap_or(0);
    if number < 0 {
        faults.invalid("revision", number, "must be greater than or equal to 0");
    }
    let data = Node::root(body, "data").value;
    match (old, data) {
        (Some(old), data) => {
            if !same(data, Node::root(old, "data").value) {
                faults.immutable("data", data, Node::root(old, "data").value);
            }
        }
        (None, Value::Object(_)) => {}
        (None, Value::Null) => faults.required("data", "data is mandatory"),
        (None, _) => faults.required("data", "data must be a valid JSON object"),
    }
}

pub(super) fn runtime_class(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let handler = Node::root(body, "handler");
    words::label(faults, "handler", handler.value.as_str().unwrap_or(""));
    if let Some(old) = old {
        faults.immutable("handler", handler.value, Node::root(old, "handler").value);
    }
}
