//! The light checks of `/status`: counts are not negative, and fit together.

use serde_json::{Map, Value};

use super::core;
use super::node::{Faults, Node};
use crate::kube::resource::Resource;

pub(super) fn status(
    faults: &mut Faults,
    resource: &Resource,
    body: &Map<String, Value>,
    old: Option<&Map<String, Value>>,
) {
    let status = Node::root(body, "status");
    match (&*resource.group, &*resource.plural) {
        ("", "nodes") => core::node_status(faults, &status),
        ("", "replicationcontrollers") | ("apps", "replicasets") => counts(
            faults,
            &status,
            &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
        ),
        ("apps", "deployments") => counts(
            faults,
            &status,
            &["updatedReplicas", "readyReplicas", "availableReplicas"],
        ),
        ("apps", "statefulsets") => counts(
            faults,
            &status,
            &[
                "readyReplicas",
                "currentReplicas",
                "updatedReplicas",
                "availableReplicas",
            ],
        ),
        ("apps", "daemonsets") => {
            for field in [
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
            ] {
                faults.not_negative(&status, field);
            }
        }
        ("batch", "jobs") => {
            for field in ["active", "succeeded", "failed", "ready", "terminating"] {
                faults.not_negative(&status, field);
            }
        }
        ("policy", "poddisruptionbudgets") => {
            for field in [
                "disruptionsAllowed",
                "currentHealthy",
                "desiredHealthy",
                "expectedPods",
            ] {
                faults.not_negative(&status, field);
            }
        }
        ("", "namespaces") => {
            let terminating = Node::root(body, "status").text("phase") == "Terminating";
            let before = old.is_some_and(|old| Node::root(old, "status").text("phase") == "Terminating");
            if before && !terminating {
                faults.invalid(
                    "status.Phase",
                    status.text("phase"),
                    "may only be 'Terminating' if `deletionTimestamp` is not empty",
                );
            }
        }
        _ => {}
    }
}

fn counts(faults: &mut Faults, status: &Node<'_>, fields: &[&str]) {
    let all = status.int("replicas").unwrap_or(0);
    faults.not_negative(status, "replicas");
    for field in fields {
        faults.not_negative(status, field);
    }
    for field in fields {
        if let Some(count) = status.int(field).filter(|count| *count > all) {
            faults.invalid(status.at(field), count, "cannot be greater than status.replicas");
        }
    }
    let (ready, available) = (
        status.int("readyReplicas").unwrap_or(0),
        status.int("availableReplicas").unwrap_or(0),
    );
    if available > ready {
        faults.invalid(
            status.at("availableReplicas"),
            available,
            "cannot be greater than readyReplicas",
        );
    }
}
