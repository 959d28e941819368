//! Where pods may run: affinity and spreading (kubernetes: `pkg/apis/core/validation/validation.go`, `validateAffinity`,
//! `validateTopologySpreadConstraints`).

use std::collections::BTreeSet;

use super::node::{Faults, Node};
use super::words;
use crate::kube::names;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn affinity(faults: &mut Faults, affinity: &Node<'_>) {
    let nodes = affinity.get("nodeAffinity");
    if let Some(selector) = nodes.some(REQUIRED) {
        node_selector(faults, &selector);
    }
    for term in nodes.items(PREFERRED) {
        weight(faults, &term);
        node_term(faults, &term.get("preference"), false);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.get(kind);
        for term in pods.items(REQUIRED) {
            pod_term(faults, &term);
        }
        for term in pods.items(PREFERRED) {
            weight(faults, &term);
            pod_term(faults, &term.get("podAffinityTerm"));
        }
    }
}

fn weight(faults: &mut Faults, term: &Node<'_>) {
    let weight = term.int("weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        faults.invalid(term.at("weight"), weight, "must be in the range 1-100");
    }
}

/// A selector of nodes: at least one term.
pub(super) fn node_selector(faults: &mut Faults, selector: &Node<'_>) {
    if selector.len("nodeSelectorTerms") == 0 {
        faults.required(
            selector.at("nodeSelectorTerms"),
            "must have at least one node selector term",
        );
    }
    for term in selector.items("nodeSelectorTerms") {
        node_term(faults, &term, true);
    }
}

fn node_term(faults: &mut Faults, term: &Node<'_>, strict: bool) {
    for requirement in term.items("matchExpressions") {
        let count = requirement.len("values");
        match requirement.text("operator") {
            "In" | "NotIn" if count == 0 => faults.required(
                requirement.at("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            ),
            "Exists" | "DoesNotExist" if count > 0 => faults.forbidden(
                requirement.at("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "Gt" | "Lt" if count != 1 => faults.required(
                requirement.at("values"),
                "must be specified single value when `operator` is 'Lt' or 'Gt'",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => faults.invalid(requirement.at("operator"), other, "not a valid selector operator"),
        }
        words::qualified(faults, &requirement.at("key"), requirement.text("key"));
        for (index, value) in requirement.texts("values").enumerate().filter(|_| strict) {
            faults.each(
                &format!("{}[{index}]", requirement.at("values")),
                value,
                names::label_value(value),
            );
        }
    }
    for requirement in term.items("matchFields") {
        match requirement.text("operator") {
            "In" | "NotIn" if requirement.len("values") != 1 => faults.required(
                requirement.at("values"),
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            ),
            "In" | "NotIn" => {}
            other => faults.invalid(requirement.at("operator"), other, "not a valid selector operator"),
        }
        let key = requirement.text("key");
        if key != "metadata.name" {
            faults.invalid(requirement.at("key"), key, "not a valid field selector key");
        }
    }
}

fn pod_term(faults: &mut Faults, term: &Node<'_>) {
    for selector in ["labelSelector", "namespaceSelector"] {
        words::label_selector(faults, &term.get(selector));
    }
    for name in term.texts("namespaces") {
        faults.each(&term.at("namespace"), name, names::label(name));
    }
    let key = term.text("topologyKey");
    if key.is_empty() {
        faults.required(term.at("topologyKey"), "can not be empty");
    }
    words::qualified(faults, &term.at("topologyKey"), key);
}

pub(super) fn spread(faults: &mut Faults, spec: &Node<'_>) {
    let constraints: Vec<Node<'_>> = spec.items("topologySpreadConstraints").collect();
    let mut seen = BTreeSet::new();
    for constraint in &constraints {
        let skew = constraint.int("maxSkew").unwrap_or(0);
        if skew <= 0 {
            faults.invalid(constraint.at("maxSkew"), skew, "must be greater than zero");
        }
        let key = constraint.text("topologyKey");
        if key.is_empty() {
            faults.required(constraint.at("topologyKey"), "can not be empty");
        }
        let action = constraint.text("whenUnsatisfiable");
        if !matches!(action, "DoNotSchedule" | "ScheduleAnyway") {
            faults.not_supported(
                constraint.at("whenUnsatisfiable"),
                action,
                &["DoNotSchedule", "ScheduleAnyway"],
            );
        }
        if !seen.insert((key, action)) {
            faults.duplicate(
                constraint.at("{topologyKey, whenUnsatisfiable}"),
                format!("{{{key}, {action}}}"),
            );
        }
        if let Some(domains) = constraint.int("minDomains") {
            if domains <= 0 {
                faults.invalid(constraint.at("minDomains"), domains, "must be greater than zero");
            }
            if action != "DoNotSchedule" {
                faults.invalid(
                    constraint.at("minDomains"),
                    domains,
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway",
                );
            }
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let value = constraint.text(policy);
            if !matches!(value, "" | "Honor" | "Ignore") {
                faults.not_supported(constraint.at(policy), value, &["Ignore", "Honor"]);
            }
        }
        words::label_selector(faults, &constraint.get("labelSelector"));
    }
}
