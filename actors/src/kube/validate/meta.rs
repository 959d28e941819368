//! Checks of `metadata` (kubernetes: `apimachinery/pkg/api/validation/objectmeta.go`).

use super::node::Faults;
use super::{FOREGROUND, ORPHAN};
use crate::kube::names;
use crate::kube::object::{Deletion, Metadata, Object, OwnerReference};
use crate::kube::resource::Resource;
use crate::kube::status::{self, FieldError};

/// Bytes that all annotations of an object may have together.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Checks the metadata of an object that is created or updated; the namespace and the name are those it will have.
pub(super) fn metadata(faults: &mut Faults, resource: &Resource, meta: &Metadata, old: Option<&Object>) {
    let mut errors = Vec::new();
    if old.is_none() && !meta.generate_name.is_empty() {
        for fault in resource.names.check(&meta.generate_name, true) {
            errors.push(FieldError::invalid(
                "metadata.generateName",
                &*meta.generate_name,
                fault,
            ));
        }
    }
    if meta.name.is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if old.is_none() {
        for fault in resource.names.check(&meta.name, false) {
            errors.push(FieldError::invalid("metadata.name", &*meta.name, fault));
        }
    }
    if resource.namespaced {
        if meta.namespace.is_empty() {
            errors.push(FieldError::required("metadata.namespace", ""));
        } else {
            for fault in names::label(&meta.namespace) {
                errors.push(FieldError::invalid("metadata.namespace", &*meta.namespace, fault));
            }
        }
    } else if !meta.namespace.is_empty() {
        errors.push(FieldError::forbidden(
            "metadata.namespace",
            "not allowed on this type",
        ));
    }
    labels(meta, "metadata.labels", &mut errors);
    annotations(meta, &mut errors);
    owners(&meta.owner_references, &mut errors);
    finalizers(&meta.finalizers, old, &mut errors);
    if let Some(old) = old {
        unchanged(meta, old, &mut errors);
    }
    errors.into_iter().for_each(|error| faults.push(error));
}

fn labels(meta: &Metadata, field: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in &meta.labels {
        for fault in names::qualified(key) {
            errors.push(FieldError::invalid(field, key.as_str(), fault));
        }
        for fault in names::label_value(value) {
            errors.push(FieldError::invalid(field, value.as_str(), fault));
        }
    }
}

fn annotations(meta: &Metadata, errors: &mut Vec<FieldError>) {
    let mut total: usize = 0;
    for (key, value) in &meta.annotations {
        total = total.saturating_add(key.len()).saturating_add(value.len());
        for fault in names::qualified(&key.to_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", key.as_str(), fault));
        }
    }
    if total > ANNOTATIONS_MAX {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_MAX));
    }
}

fn owners(owners: &[OwnerReference], errors: &mut Vec<FieldError>) {
    let mut controller: Option<String> = None;
    for (index, owner) in owners.iter().enumerate() {
        let field = format!("metadata.ownerReferences[{index}]");
        let version = owner.api_version.split('/').collect::<Vec<_>>();
        if owner.api_version.is_empty() {
            errors.push(FieldError::required(
                format!("{field}.apiVersion"),
                "must not be empty",
            ));
        } else if version.len() > 2 || version.last().is_none_or(|version| version.is_empty()) {
            errors.push(FieldError::invalid(
                format!("{field}.apiVersion"),
                owner.api_version.as_str(),
                "must be <group>/<version> or <version>",
            ));
        }
        for (name, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.push(FieldError::required(
                    format!("{field}.{name}"),
                    "must not be empty",
                ));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            errors.push(FieldError::invalid(
                field,
                serde_json::to_value(owner).unwrap_or_default(),
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if owner.controller == Some(true) {
            let name = format!("{}/{}", owner.kind, owner.name);
            match &controller {
                Some(first) => errors.push(FieldError::invalid(
                    "metadata.ownerReferences",
                    serde_json::to_value(owners).unwrap_or_default(),
                    format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                    ),
                )),
                None => controller = Some(name),
            }
        }
    }
}

fn finalizers(finalizers: &[String], old: Option<&Object>, errors: &mut Vec<FieldError>) {
    let field = "metadata.finalizers";
    for finalizer in finalizers {
        for fault in names::qualified(finalizer) {
            errors.push(FieldError::invalid(field, finalizer.as_str(), fault));
        }
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has(FOREGROUND) && has(ORPHAN) {
        errors.push(FieldError::invalid(
            field,
            finalizers.to_vec(),
            format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set"),
        ));
    }
    if let Some(old) = old.filter(|old| old.is_terminating()) {
        let mut added: Vec<&str> = finalizers
            .iter()
            .map(String::as_str)
            .filter(|finalizer| !old.has_finalizer(finalizer))
            .collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let list: Vec<String> = added.into_iter().map(status::quote).collect();
            errors.push(FieldError::forbidden(
                field,
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    list.join(", ")
                ),
            ));
        }
    }
}

/// What the server decided at creation, or at deletion, stays.
fn unchanged(meta: &Metadata, old: &Object, errors: &mut Vec<FieldError>) {
    let immutable = "field is immutable";
    if meta.name != old.name() {
        errors.push(FieldError::invalid("metadata.name", &*meta.name, immutable));
    }
    if meta.namespace != *old.head.namespace {
        errors.push(FieldError::invalid(
            "metadata.namespace",
            &*meta.namespace,
            immutable,
        ));
    }
    if meta.uid != old.uid_text() {
        errors.push(FieldError::invalid("metadata.uid", &*meta.uid, immutable));
    }
    let grace = old.deletion.and_then(|Deletion { grace, .. }| grace);
    if old.is_terminating()
        && meta
            .deletion_grace_period_seconds
            .is_some_and(|given| Some(given) != grace)
    {
        errors.push(FieldError::invalid(
            "metadata.deletionGracePeriodSeconds",
            meta.deletion_grace_period_seconds,
            immutable,
        ));
    }
}
