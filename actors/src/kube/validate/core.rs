//! Plain kinds of the core group (kubernetes: `pkg/apis/core/validation/validation.go`, `events.go`).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::node::{Faults, Node, same};
use super::{pod, words};
use crate::kube::names;
use crate::kube::object::Metadata;

/// Bytes of all values of a ConfigMap or Secret.
const DATA_MAX: usize = 1024 * 1024;
const IMMUTABLE: &str = "field is immutable when `immutable` is set";
/// Longest texts in events: instance and action and reason, and the message.
const EVENT_WORD_MAX: usize = 128;
const EVENT_NOTE_MAX: usize = 1024;

type Fields = Map<String, Value>;

/// Bytes that a value in base64 stands for; `None` when it is none.
fn decoded(value: &Value) -> Option<usize> {
    let text = value.as_str()?;
    BASE64_STANDARD.decode(text).ok().map(|bytes| bytes.len())
}

/// Says so if a value is no base64. A real server refuses it while decoding, with 400.
fn binary(faults: &mut Faults, field: &str, value: &Value) -> usize {
    decoded(value).unwrap_or_else(|| {
        faults.invalid(field, "", "illegal base64 data");
        0
    })
}

fn sealed(faults: &mut Faults, body: &Fields, old: Option<&Fields>, fields: &[&str]) {
    let Some(old) = old.filter(|old| old.get("immutable") == Some(&Value::Bool(true))) else {
        return;
    };
    if body.get("immutable") != Some(&Value::Bool(true)) {
        faults.forbidden("immutable", IMMUTABLE);
    }
    for field in fields {
        if !same(Node::root(body, field).value, Node::root(old, field).value) {
            faults.forbidden(*field, IMMUTABLE);
        }
    }
}

pub(super) fn config_map(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    sealed(faults, body, old, &["data", "binaryData"]);
    let (texts, binaries) = (Node::root(body, "data"), Node::root(body, "binaryData"));
    let empty = Map::new();
    let second = binaries.value.as_object().unwrap_or(&empty);
    let mut total: usize = 0;
    for (key, value) in texts.value.as_object().into_iter().flatten() {
        let field = texts.key(key);
        words::config_key(faults, &field, key);
        if second.contains_key(key) {
            faults.invalid(field, key.as_str(), "duplicate of key present in binaryData");
        }
        total = total.saturating_add(value.as_str().map_or(0, str::len));
    }
    for (key, value) in second {
        let field = binaries.key(key);
        words::config_key(faults, &field, key);
        total = total.saturating_add(binary(faults, &field, value));
    }
    if total > DATA_MAX {
        faults.too_long("[]", DATA_MAX);
    }
}

pub(super) fn secret(faults: &mut Faults, body: &Fields, old: Option<&Fields>, meta: &Metadata) {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or("");
    if let Some(old) = old {
        let before = Node::root(old, "type").value;
        faults.immutable("type", Node::root(body, "type").value, before);
    }
    sealed(faults, body, old, &["data"]);
    let data = Node::root(body, "data");
    let mut total: usize = 0;
    for (key, value) in data.value.as_object().into_iter().flatten() {
        words::config_key(faults, &data.key(key), key);
        total = total.saturating_add(binary(faults, &data.key(key), value));
    }
    if total > DATA_MAX {
        faults.too_long("data", DATA_MAX);
    }
    let need = |faults: &mut Faults, key: &str| {
        if !data.has(key) {
            faults.required(data.key(key), "");
        }
    };
    match kind {
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if meta.annotations.get(name).is_none_or(String::is_empty) {
                faults.required(format!("metadata.annotations[{name}]"), "");
            }
        }
        "kubernetes.io/dockercfg" => docker(faults, &data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => docker(faults, &data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !data.has("username") && !data.has("password") => {
            need(faults, "username");
            need(faults, "password");
        }
        "kubernetes.io/ssh-auth" if data.text("ssh-privatekey").is_empty() => {
            faults.required(data.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            need(faults, "tls.crt");
            need(faults, "tls.key");
        }
        _ => {}
    }
}

fn docker(faults: &mut Faults, data: &Node<'_>, key: &str) {
    if !data.has(key) {
        faults.required(data.key(key), "");
        return;
    }
    let Ok(bytes) = BASE64_STANDARD.decode(data.text(key)) else {
        return;
    };
    if serde_json::from_slice::<Map<String, Value>>(&bytes).is_err() {
        faults.invalid(
            data.key(key),
            "<secret contents redacted>",
            "invalid character in the secret's JSON",
        );
    }
}

pub(super) fn namespace(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    for name in Node::root(body, "spec").texts("finalizers") {
        words::qualified(faults, "spec.finalizers", name);
        if !name.contains('/') && !matches!(name, "kubernetes" | "orphan" | "foregroundDeletion") {
            faults.invalid(
                "spec.finalizers",
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
}

pub(super) fn node(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let (spec, status) = (Node::root(body, "spec"), Node::root(body, "status"));
    let ranges: Vec<&str> = spec.texts("podCIDRs").collect();
    if let Some(old) = old {
        amounts(faults, &status);
        addresses(faults, &status);
        let old = Node::root(old, "spec");
        let before: Vec<&str> = old.texts("podCIDRs").collect();
        if !before.is_empty() && before != ranges {
            faults.forbidden(
                "spec.podCIDRs",
                "node updates may not change podCIDR except from \"\" to valid",
            );
        }
        let provider = old.text("providerID");
        if !provider.is_empty() && provider != spec.text("providerID") {
            faults.forbidden(
                "spec.providerID",
                "node updates may not change providerID except from \"\" to valid",
            );
        }
        taints(faults, &spec);
        return;
    }
    taints(faults, &spec);
    amounts(faults, &status);
    let mut families = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        if let Some((address, _)) = words::cidr(faults, &format!("spec.podCIDRs[{index}]"), range) {
            families.push(address.is_ipv4());
        }
    }
    let twice = matches!(families.as_slice(), [one, other] if one == other);
    if twice || ranges.len() > 2 {
        faults.invalid(
            "spec.podCIDRs",
            spec.get("podCIDRs").value.clone(),
            "may specify no more than one CIDR for each IP family",
        );
    }
}

/// The light checks of `/status` of a node.
pub(super) fn node_status(faults: &mut Faults, status: &Node<'_>) {
    amounts(faults, status);
    addresses(faults, status);
}

fn amounts(faults: &mut Faults, status: &Node<'_>) {
    for field in ["capacity", "allocatable"] {
        let map = status.get(field);
        for (name, value) in status.map(field) {
            words::amount_of(faults, &map.key(name), value);
        }
    }
}

fn addresses(faults: &mut Faults, status: &Node<'_>) {
    let mut seen = BTreeSet::new();
    for address in status.items("addresses") {
        if !seen.insert((address.text("type"), address.text("address"))) {
            faults.duplicate(address.path, address.value.clone());
        }
    }
}

/// The path is a slip of the real server's: taints stand in the spec.
fn taints(faults: &mut Faults, spec: &Node<'_>) {
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (index, taint) in spec.items("taints").enumerate() {
        let at = format!("metadata.taints[{index}]");
        let (key, value, effect) = (taint.text("key"), taint.text("value"), taint.text("effect"));
        words::qualified(faults, &format!("{at}.key"), key);
        let found = names::label_value(value);
        if !found.is_empty() {
            faults.invalid(format!("{at}.value"), value, found.join(";"));
        }
        faults.one_of(format!("{at}.effect"), effect, &pod::EFFECTS);
        if !seen.entry(effect).or_default().insert(key) {
            faults.push(crate::kube::status::FieldError {
                fault: crate::kube::status::FieldFault::Duplicate,
                field: at,
                value: Some(taint.value.clone()),
                detail: "taints must be unique by key and effect pair".to_owned(),
            });
        }
    }
}

pub(super) fn limit_range(faults: &mut Faults, body: &Fields, _: Option<&Fields>) {
    let mut kinds = BTreeSet::new();
    for limit in Node::root(body, "spec").items("limits") {
        let kind = limit.text("type");
        words::qualified(faults, &limit.at("type"), kind);
        if !kinds.insert(kind) {
            faults.duplicate(limit.at("type"), kind);
        }
        let mut amounts = BTreeMap::new();
        for field in ["max", "min", "default", "defaultRequest"] {
            let map = limit.get(field);
            if kind == "Pod" && matches!(field, "default" | "defaultRequest") && limit.len(field) > 0 {
                faults.forbidden(map.path, "may not be specified when `type` is 'Pod'");
                continue;
            }
            for (name, value) in limit.map(field) {
                if let Some(amount) = words::amount_of(faults, &map.key(name), value) {
                    amounts.insert((name.as_str(), field), (amount, value.clone()));
                }
            }
        }
        let pairs = [
            ("min", "max", "min value"),
            ("min", "defaultRequest", "min value"),
            ("defaultRequest", "max", "default request value"),
            ("defaultRequest", "default", "default request value"),
            ("default", "max", "default value"),
        ];
        for (name, field) in amounts.keys() {
            for (small, large, words) in pairs.iter().filter(|(small, ..)| small == field) {
                let (Some(low), Some(high)) = (amounts.get(&(*name, *small)), amounts.get(&(*name, *large)))
                else {
                    continue;
                };
                if low.0 > high.0 {
                    let shown =
                        |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let other = match *large {
                        "max" => "max value",
                        "default" => "default limit value",
                        _ => "default request value",
                    };
                    faults.invalid(
                        limit.get(small).key(name),
                        low.1.clone(),
                        format!(
                            "{words} {} is greater than {other} {}",
                            shown(&low.1),
                            shown(&high.1)
                        ),
                    );
                }
            }
        }
    }
}

pub(super) fn resource_quota(faults: &mut Faults, body: &Fields, old: Option<&Fields>) {
    let spec = Node::root(body, "spec");
    let hard = spec.get("hard");
    for (name, value) in spec.map("hard") {
        words::qualified(faults, &hard.key(name), name);
        words::amount_of(faults, &hard.key(name), value);
    }
    if let Some(old) = old {
        let before = Node::root(old, "spec").get("scopes");
        let scopes = spec.get("scopes");
        faults.immutable(scopes.path.clone(), scopes.value, before.value);
    }
}

/// Events; `strict` for those that come as `events.k8s.io/v1`.
pub(super) fn event(faults: &mut Faults, body: &Fields, meta: &Metadata, strict: bool) {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("");
    let timed = !text("eventTime").is_empty();
    let involved = Node::root(body, "involvedObject");
    let namespace = involved.text("namespace");
    let fits = match (timed, namespace.is_empty()) {
        (false, true) => matches!(meta.namespace.as_str(), "" | "default"),
        (false, false) => meta.namespace == namespace,
        (true, true) => matches!(meta.namespace.as_str(), "default" | "kube-system"),
        (true, false) => true,
    };
    if !fits {
        faults.invalid(
            "involvedObject.namespace",
            namespace,
            "does not match event.namespace",
        );
    }
    if timed {
        let controller = if strict {
            "reportingController"
        } else {
            "reportingComponent"
        };
        let reporter = text("reportingComponent");
        if reporter.is_empty() {
            faults.required(controller, "");
        }
        words::qualified(faults, controller, reporter);
        for field in ["reportingInstance", "action", "reason"] {
            if text(field).is_empty() {
                faults.required(field, "");
            }
            if text(field).len() > EVENT_WORD_MAX {
                faults.invalid(field, "", format!("can have at most {EVENT_WORD_MAX} characters"));
            }
        }
        if text("message").len() > EVENT_NOTE_MAX {
            faults.invalid(
                "message",
                "",
                format!("can have at most {EVENT_NOTE_MAX} characters"),
            );
        }
    }
    if !strict {
        return;
    }
    if !timed {
        faults.required("eventTime", "");
    }
    let kind = text("type");
    if !matches!(kind, "Normal" | "Warning") {
        faults.invalid("type", "", format!("has invalid value: {kind}"));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count", "source"] {
        if !same(Node::root(body, field).value, &Value::Null) {
            faults.invalid(field, "", "needs to be unset");
        }
    }
}
