//! Pods and templates for pods (kubernetes: `pkg/apis/core/validation/validation.go`, `ValidatePodSpec`, `ValidatePodUpdate`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::container::{self, Context};
use super::node::{Faults, Node, same};
use super::{affinity, volume, words};
use crate::kube::names::{self, NameRule};
use crate::kube::status::quote;
use crate::kube::store::Part;

/// The largest number of seconds that a deadline may have.
const SECONDS_MAX: i64 = 2_147_483_647;
/// Servers for name resolution, search paths, and characters of all search paths.
const DNS_SERVERS_MAX: usize = 3;
const DNS_SEARCHES_MAX: usize = 32;
const DNS_SEARCH_BYTES_MAX: usize = 2048;
/// What may change in the spec of a pod.
const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
pub(super) const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// A pod that is created or changed, by one of its doors.
pub(super) fn pod(
    faults: &mut Faults,
    body: &Map<String, Value>,
    old: Option<&Map<String, Value>>,
    part: Part,
) {
    let spec = Node::root(body, "spec");
    if part == Part::Binding {
        simple_names(faults, &spec);
        return;
    }
    self::spec(faults, &spec, &[], true);
    for list in ["containers", "initContainers"] {
        for container in spec.items(list) {
            container::image_space(faults, &container);
        }
    }
    let Some(old) = old else { return };
    let old = Node::root(old, "spec");
    match part {
        Part::EphemeralContainers => ephemeral_stay(faults, &spec, &old),
        Part::Resize => {
            if !same(&resized(spec.value), &resized(old.value)) {
                faults.forbidden("spec", "only cpu and memory resources are mutable");
            }
        }
        _ => update(faults, &spec, &old),
    }
}

/// Ephemeral containers come, and stay as they are.
fn ephemeral_stay(faults: &mut Faults, spec: &Node<'_>, old: &Node<'_>) {
    let present: BTreeMap<&str, &Value> = spec
        .items("ephemeralContainers")
        .map(|container| (container.text("name"), container.value))
        .collect();
    let mut missing = Vec::new();
    for container in old.items("ephemeralContainers") {
        let name = container.text("name");
        match present.get(name) {
            None => missing.push(quote(name)),
            Some(now) if !same(now, container.value) => faults.forbidden(
                spec.at("ephemeralContainers"),
                format!(
                    "existing ephemeral containers {} may not be changed\n",
                    quote(name)
                ),
            ),
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        faults.forbidden(
            spec.at("ephemeralContainers"),
            format!(
                "existing ephemeral containers [{}] may not be removed\n",
                missing.join(" ")
            ),
        );
    }
}

/// The spec without the amounts of cpu and memory.
fn resized(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            for kind in ["requests", "limits"] {
                let amounts = container
                    .get_mut("resources")
                    .and_then(|resources| resources.get_mut(kind))
                    .and_then(Value::as_object_mut);
                if let Some(amounts) = amounts {
                    amounts.retain(|name, _| name != "cpu" && name != "memory");
                }
            }
        }
    }
    spec
}

/// A template: labels, annotations and the spec. `claims` are the names of volumes that a stateful set adds.
pub(super) fn template(faults: &mut Faults, template: &Node<'_>, claims: &[&str]) {
    let metadata = template.get("metadata");
    words::labels(faults, &template.at("labels"), metadata.map("labels"));
    for key in metadata.map("annotations").keys() {
        let field = template.at("annotations");
        faults.each(&field, key, names::qualified(&key.to_lowercase()));
    }
    let spec = template.get("spec");
    self::spec(faults, &spec, claims, false);
    if spec.len("ephemeralContainers") > 0 {
        faults.forbidden(
            spec.at("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        );
    }
}

fn spec(faults: &mut Faults, spec: &Node<'_>, claims: &[&str], pod: bool) {
    let grace = spec.int("terminationGracePeriodSeconds");
    let mut volumes = volume::volumes(faults, spec);
    for claim in claims {
        let volume = Node {
            path: String::new(),
            value: &CLAIM,
        };
        volumes.insert(claim, volume);
    }
    let context = Context {
        volumes,
        grace,
        restart_policy: spec.text("restartPolicy"),
    };
    container::containers(faults, spec, &context);
    container::init_containers(faults, spec, &context);
    container::ephemeral_containers(faults, spec, &context);
    if let Some(whole) = spec.some("resources") {
        container::resources(faults, &whole);
    }
    if spec.flag("hostNetwork") {
        host_network(faults, spec, pod);
    }
    faults.one_of(
        spec.at("restartPolicy"),
        context.restart_policy,
        &["Always", "OnFailure", "Never"],
    );
    faults.one_of(
        spec.at("dnsPolicy"),
        spec.text("dnsPolicy"),
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    );
    words::labels(faults, &spec.at("nodeSelector"), spec.map("nodeSelector"));
    security(faults, &spec.get("securityContext"));
    affinity::affinity(faults, &spec.get("affinity"));
    dns(faults, spec);
    for gate in spec.items("readinessGates") {
        words::qualified(faults, &gate.at("conditionType"), gate.text("conditionType"));
    }
    let mut gates = BTreeSet::new();
    for gate in spec.items("schedulingGates") {
        let name = gate.text("name");
        words::qualified(faults, &gate.path, name);
        if !gates.insert(name) {
            faults.duplicate(gate.path, name);
        }
    }
    affinity::spread(faults, spec);
    simple_names(faults, spec);
    tolerations(faults, spec);
    for alias in spec.items("hostAliases") {
        words::ip(faults, &alias.at("ip"), alias.text("ip"));
        for (index, name) in alias.texts("hostnames").enumerate() {
            words::subdomain(faults, &format!("{}[{index}]", alias.at("hostnames")), name);
        }
    }
    last_names(faults, spec);
}

/// The volume of a stateful set's claim.
static CLAIM: std::sync::LazyLock<Value> =
    std::sync::LazyLock::new(|| serde_json::json!({"persistentVolumeClaim": {}}));

fn simple_names(faults: &mut Faults, spec: &Node<'_>) {
    for (field, rule) in [
        ("serviceAccountName", NameRule::Subdomain),
        ("nodeName", NameRule::Subdomain),
    ] {
        let name = spec.text(field);
        if !name.is_empty() {
            faults.each(&spec.at(field), name, rule.check(name, false));
        }
    }
    if let Some(seconds) = spec.int("activeDeadlineSeconds")
        && !(1..=SECONDS_MAX).contains(&seconds)
    {
        faults.invalid(
            spec.at("activeDeadlineSeconds"),
            seconds,
            format!("must be between 1 and {SECONDS_MAX}, inclusive"),
        );
    }
    for field in ["hostname", "subdomain"] {
        let name = spec.text(field);
        if !name.is_empty() {
            words::label(faults, &spec.at(field), name);
        }
    }
}

fn last_names(faults: &mut Faults, spec: &Node<'_>) {
    for field in ["priorityClassName", "runtimeClassName"] {
        let name = spec.text(field);
        if !name.is_empty() {
            words::subdomain(faults, &spec.at(field), name);
        }
    }
    let policy = spec.text("preemptionPolicy");
    if !policy.is_empty() {
        faults.one_of(
            spec.at("preemptionPolicy"),
            policy,
            &["PreemptLowerPriority", "Never"],
        );
    }
    let overhead = spec.get("overhead");
    for (name, value) in spec.map("overhead") {
        words::amount_of(faults, &overhead.key(name), value);
    }
    if let Some(system) = spec.some("os") {
        faults.one_of(system.at("name"), system.text("name"), &["linux", "windows"]);
    }
}

fn host_network(faults: &mut Faults, spec: &Node<'_>, pod: bool) {
    for container in spec.items("containers") {
        for port in container.items("ports") {
            let (host, inside) = (
                port.int("hostPort").unwrap_or(0),
                port.int("containerPort").unwrap_or(0),
            );
            if (pod || host != 0) && host != inside {
                faults.invalid(
                    port.at("hostPort"),
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                );
            }
        }
    }
}

fn security(faults: &mut Faults, context: &Node<'_>) {
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        if let Some(id) = context.int(field)
            && !(0..=SECONDS_MAX).contains(&id)
        {
            faults.invalid(
                context.at(field),
                id,
                format!("must be between 0 and {SECONDS_MAX}, inclusive"),
            );
        }
    }
    let policy = context.text("fsGroupChangePolicy");
    if !policy.is_empty() {
        faults.one_of(
            context.at("fsGroupChangePolicy"),
            policy,
            &["Always", "OnRootMismatch"],
        );
    }
}

fn dns(faults: &mut Faults, spec: &Node<'_>) {
    let config = spec.get("dnsConfig");
    if spec.text("dnsPolicy") == "None" {
        if !config.exists() {
            faults.required(config.path, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if config.len("nameservers") == 0 {
            faults.required(
                config.at("nameservers"),
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            );
            return;
        }
    }
    if config.len("nameservers") > DNS_SERVERS_MAX {
        faults.invalid(
            config.at("nameservers"),
            config.get("nameservers").value.clone(),
            format!("must not have more than {DNS_SERVERS_MAX} nameservers"),
        );
    }
    for (index, server) in config.texts("nameservers").enumerate() {
        words::ip(faults, &format!("{}[{index}]", config.at("nameservers")), server);
    }
    let searches: Vec<&str> = config.texts("searches").collect();
    if searches.len() > DNS_SEARCHES_MAX {
        faults.invalid(
            config.at("searches"),
            config.get("searches").value.clone(),
            format!("must not have more than {DNS_SEARCHES_MAX} search paths"),
        );
    }
    if searches.join(" ").len() > DNS_SEARCH_BYTES_MAX {
        faults.invalid(
            config.at("searches"),
            config.get("searches").value.clone(),
            format!(
                "must not have more than {DNS_SEARCH_BYTES_MAX} characters (including spaces) in the search list"
            ),
        );
    }
    for (index, search) in searches.into_iter().enumerate() {
        if search != "." {
            let name = search.strip_suffix('.').unwrap_or(search).replace('_', "-");
            let found = names::subdomain(name.trim_matches('-'));
            faults.each(&format!("{}[{index}]", config.at("searches")), search, found);
        }
    }
    for option in config.items("options") {
        if option.text("name").is_empty() {
            faults.required(option.path, "must not be empty");
        }
    }
}

fn tolerations(faults: &mut Faults, spec: &Node<'_>) {
    for toleration in spec.items("tolerations") {
        let (key, operator) = (toleration.text("key"), toleration.text("operator"));
        let (value, effect) = (toleration.text("value"), toleration.text("effect"));
        if !key.is_empty() {
            words::qualified(faults, &toleration.at("key"), key);
        } else if operator != "Exists" {
            faults.invalid(
                toleration.at("operator"),
                operator,
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            );
        }
        if toleration.has("tolerationSeconds") && effect != "NoExecute" {
            faults.invalid(
                toleration.at("effect"),
                effect,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            );
        }
        match operator {
            "" | "Equal" => {
                let found = names::label_value(value);
                if !found.is_empty() {
                    faults.invalid(toleration.at("operator"), value, found.join(";"));
                }
            }
            "Exists" if !value.is_empty() => faults.invalid(
                toleration.at("operator"),
                value,
                "value must be empty when `operator` is 'Exists'",
            ),
            "Exists" => {}
            other => faults.not_supported(toleration.at("operator"), other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() && !EFFECTS.contains(&effect) {
            faults.not_supported(toleration.at("effect"), effect, &EFFECTS);
        }
    }
}

/// What may change: images, the deadline (downwards), tolerations (more of them), scheduling gates (fewer of them).
fn update(faults: &mut Faults, spec: &Node<'_>, old: &Node<'_>) {
    for list in ["containers", "initContainers"] {
        if spec.len(list) != old.len(list) {
            faults.forbidden(spec.at(list), "pod updates may not add or remove containers");
            return;
        }
    }
    if let Some(new) = spec.int("activeDeadlineSeconds") {
        if old
            .int("activeDeadlineSeconds")
            .is_some_and(|before| before < new)
        {
            faults.invalid(
                spec.at("activeDeadlineSeconds"),
                new,
                "must be less than or equal to previous value",
            );
            return;
        }
    } else if old.int("activeDeadlineSeconds").is_some() {
        faults.invalid(
            spec.at("activeDeadlineSeconds"),
            Value::Null,
            "must not update from a positive integer to nil value",
        );
    }
    let timeless = |node: &Node<'_>| -> BTreeSet<String> {
        let mut value = node.value.clone();
        if let Some(map) = value.as_object_mut() {
            map.remove("tolerationSeconds");
            map.retain(|_, value| value != "");
        }
        BTreeSet::from([value.to_string()])
    };
    let present: BTreeSet<String> = spec
        .items("tolerations")
        .flat_map(|node| timeless(&node))
        .collect();
    if !old
        .items("tolerations")
        .flat_map(|node| timeless(&node))
        .all(|before| present.contains(&before))
    {
        faults.forbidden(
            spec.at("tolerations"),
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
    let gates: BTreeSet<&str> = old
        .items("schedulingGates")
        .map(|gate| gate.text("name"))
        .collect();
    for gate in spec.items("schedulingGates") {
        let name = gate.text("name");
        if !gates.contains(name) {
            faults.forbidden(
                gate.at("name"),
                format!("only deletion is allowed, but found new scheduling gate '{name}'"),
            );
        }
    }
    let masked = |node: &Node<'_>| masked(node.value, !gates.is_empty());
    let (new_masked, old_masked) = (masked(spec), masked(old));
    if !same(&new_masked, &old_masked) {
        faults.forbidden(
            "spec",
            format!(
                "pod updates may not change fields other than {CHANGEABLE}\n{}",
                difference(&old_masked, &new_masked)
            ),
        );
    }
}

/// The spec without what may change. While a pod is gated its node selector and affinity to nodes may change.
fn masked(spec: &Value, gated: bool) -> Value {
    let mut spec = spec.clone();
    let Some(map) = spec.as_object_mut() else {
        return spec;
    };
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        map.remove(field);
    }
    if gated {
        map.remove("nodeSelector");
        if let Some(affinity) = map.get_mut("affinity").and_then(Value::as_object_mut) {
            affinity.remove("nodeAffinity");
        }
    }
    let negative = map
        .get("terminationGracePeriodSeconds")
        .and_then(Value::as_i64)
        .is_some_and(|seconds| seconds < 0);
    if negative {
        map.insert("terminationGracePeriodSeconds".to_owned(), 1.into());
    }
    for list in ["containers", "initContainers"] {
        for container in map
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            container.remove("image");
        }
    }
    spec
}

/// The fields that differ, in the manner of a diff. A real server prints all of Go's structs with marks in front of some lines.
fn difference(old: &Value, new: &Value) -> String {
    let mut text = String::from("  core.PodSpec{\n");
    let empty = Map::new();
    let (old, new) = (
        old.as_object().unwrap_or(&empty),
        new.as_object().unwrap_or(&empty),
    );
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let (before, after) = (
            old.get(key).unwrap_or(&Value::Null),
            new.get(key).unwrap_or(&Value::Null),
        );
        if same(before, after) {
            continue;
        }
        for (mark, value) in [('-', before), ('+', after)] {
            let mut shown = value.to_string();
            if shown.len() > 256 {
                shown.truncate(shown.floor_char_boundary(256));
                shown.push_str("...");
            }
            text.push_str(&format!("{mark} \t{key}: {shown},\n"));
        }
    }
    text.push_str("  }\n");
    text
}
