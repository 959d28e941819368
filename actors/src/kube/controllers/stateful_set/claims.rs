//! The claims of a StatefulSet's pods, and who owns them (kubernetes: `pkg/controller/statefulset/stateful_pod_control.go`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::events::EventType;
use super::super::kinds::KINDS;
use super::super::workload::{self, Reporter, owner_reference};
use super::{Spec, ordinal};
use crate::kube::controller::Context;
use crate::kube::object::Object;
use crate::kube::status::Status;
use crate::kube::store::{Part, Store};

/// Names of the volumes of a pod that are claims, and of the claims.
pub(super) fn names(spec: &Spec, pod: &str) -> Vec<(String, String)> {
    spec.volume_claim_templates
        .iter()
        .filter_map(|template| {
            let name = template.pointer("/metadata/name")?.as_str()?;
            Some((name.to_owned(), format!("{name}-{pod}")))
        })
        .collect()
}

/// Whether a claim of the pod is going away: the pod has to wait for a new one.
pub(super) fn are_stale(store: &Store, reporter: &Reporter<'_>, spec: &Spec, pod: &str) -> bool {
    names(spec, pod).iter().any(|(_, claim)| {
        store
            .find(&KINDS.volume_claims, reporter.object.namespace(), claim)
            .is_some_and(|claim| claim.is_terminating())
    })
}

/// Makes the claims of a pod that are missing.
///
/// # Errors
/// What the store refuses.
pub(super) fn create(
    reporter: &Reporter<'_>,
    store: &mut Store,
    context: &Context<'_>,
    spec: &Spec,
    pod: &str,
) -> Result<(), Status> {
    let set = reporter.object;
    for (template, (_, name)) in spec.volume_claim_templates.iter().zip(names(spec, pod)) {
        if store.find(&KINDS.volume_claims, set.namespace(), &name).is_some() {
            continue;
        }
        let field = |path: &str| template.pointer(path).cloned().unwrap_or_else(|| json!({}));
        let mut labels = field("/metadata/labels");
        if let Some(selected) = spec.selector.get("matchLabels").and_then(Value::as_object) {
            for (key, value) in selected {
                labels[key.as_str()] = value.clone();
            }
        }
        let body = json!({
            "metadata": {
                "name": name,
                "labels": labels,
                "annotations": field("/metadata/annotations"),
            },
            "spec": field("/spec"),
        });
        match reporter.create(store, context, &KINDS.volume_claims, body) {
            Ok(_) => {
                let message = format!(
                    "create Claim {name} Pod {pod} in StatefulSet {} success",
                    set.name()
                );
                reporter.event(store, context, EventType::Normal, "SuccessfulCreate", &message);
            }
            Err(status) => {
                let message = format!(
                    "create Claim {name} for Pod {pod} in StatefulSet {} failed error: {}",
                    set.name(),
                    status.message
                );
                if !workload::namespace_ends(&status) {
                    reporter.event(store, context, EventType::Warning, "FailedCreate", &message);
                }
                return Err(status);
            }
        }
    }
    Ok(())
}

/// Makes the set, the pod or nobody the owner of the pod's claims, as the retention policy says.
///
/// # Errors
/// What the store refuses.
pub(super) fn own(
    reporter: &Reporter<'_>,
    store: &mut Store,
    context: &Context<'_>,
    spec: &Spec,
    pod: &Object,
) -> Result<(), Status> {
    let policy = &spec.persistent_volume_claim_retention_policy;
    let scaled_down = ordinal(reporter.object.name(), pod.name()).is_none_or(|number| !spec.has(number));
    let by_pod = policy.when_scaled == "Delete" && scaled_down;
    let by_set = policy.when_deleted == "Delete" && !by_pod;
    let set = owner_reference(reporter.resource, reporter.object);
    let own = owner_reference(&KINDS.pods, pod);
    for (_, name) in names(spec, pod.name()) {
        let Some(claim) = store
            .find(&KINDS.volume_claims, reporter.object.namespace(), &name)
            .map(Arc::clone)
        else {
            continue;
        };
        let mut draft = claim.draft();
        let owners = &mut draft.meta.owner_references;
        for (wanted, reference) in [(by_set, &set), (by_pod, &own)] {
            let there = owners.iter().any(|owner| owner.uid == reference.uid);
            if wanted && !there {
                owners.push(reference.clone());
            } else if !wanted && there {
                owners.retain(|owner| owner.uid != reference.uid);
            }
        }
        if owners[..] != claim.head.owners[..] {
            store.replace(
                &KINDS.volume_claims,
                Part::Main,
                draft,
                workload::options(context),
            )?;
        }
    }
    Ok(())
}
