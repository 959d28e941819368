//! What a write to one part of an object may change, and what it takes to compare two states.

use serde_json::{Map, Value};

use super::Part;
use crate::kube::apply;
use crate::kube::object::{Draft, Object, SectionName, Text};
use crate::kube::resource::Resource;
use crate::kube::status::{FieldError, Status};

pub(super) fn uid_conflict(resource: &Resource, name: &str, given: &str, found: &str) -> Status {
    Status::conflict(
        resource.named(),
        name,
        &format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object meta: {found}",
            resource.plural
        ),
    )
}

pub(super) fn check_preconditions(
    resource: &Resource,
    existing: &Object,
    draft: &Draft,
) -> Result<(), Status> {
    let (name, meta) = (existing.name(), &draft.meta);
    if !meta.uid.is_empty() && meta.uid != existing.uid_text() {
        return Err(uid_conflict(resource, name, &meta.uid, &existing.uid_text()));
    }
    match meta.resource_version.as_str() {
        "" | "0" if resource.traits.unconditional_update => Ok(()),
        "" | "0" => Err(Status::invalid(
            resource.named(),
            name,
            &[FieldError::invalid(
                "metadata.resourceVersion",
                0,
                "must be specified for an update",
            )],
        )),
        version => match version.parse::<u64>() {
            Ok(version) if version == existing.resource_version => Ok(()),
            Ok(_) => Err(Status::modified(resource.named(), name)),
            Err(_) => Err(Status::bad_request(format!(
                "resourceVersion: Invalid value: {}: must be a decimal number",
                crate::kube::status::quote(version)
            ))),
        },
    }
}

/// Puts back what a write to `part` must not change.
pub(super) fn keep_other_parts(
    resource: &Resource,
    existing: &Object,
    old: &Map<String, Value>,
    draft: &mut Draft,
    part: Part,
) {
    let restore = |body: &mut Map<String, Value>, key: &str| match old.get(key) {
        Some(value) => {
            body.insert(key.to_owned(), value.clone());
        }
        None => {
            body.remove(key);
        }
    };
    let only = |draft: &mut Draft, paths: &[[&str; 2]]| {
        let written = std::mem::replace(&mut draft.body, old.clone());
        for [first, second] in paths {
            let new = written.get(*first).and_then(|section| section.get(*second));
            let section = draft
                .body
                .entry(*first)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Some(section) = section.as_object_mut() {
                match new {
                    Some(new) => section.insert((*second).to_owned(), new.clone()),
                    None => section.remove(*second),
                };
            }
        }
    };
    match part {
        Part::Main | Part::Scale => {
            if resource.has_status() {
                restore(&mut draft.body, "status");
            }
            // Only /finalize changes a namespace's own finalizers.
            if resource.is("", "namespaces") {
                restore(&mut draft.body, "spec");
            }
        }
        Part::Resize => restore(&mut draft.body, "status"),
        Part::Status => {
            let status = draft.body.remove("status");
            draft.body.clone_from(old);
            draft.body.remove("status");
            if let Some(status) = status {
                draft.body.insert("status".to_owned(), status);
            }
            let before = existing.draft().meta;
            // Custom resources ignore all metadata here, workloads their labels; owners and finalizers stay with the main resource.
            if resource.custom || resource.group == "apps" {
                draft.meta.labels = before.labels;
            }
            if resource.custom {
                draft.meta.annotations = before.annotations;
                draft.meta.finalizers = before.finalizers;
            }
            draft.meta.owner_references = before.owner_references;
        }
        Part::Finalize => only(draft, &[["spec", "finalizers"]]),
        Part::Approval => only(draft, &[["status", "conditions"]]),
        Part::Binding => only(draft, &[["spec", "nodeName"], ["status", "conditions"]]),
        Part::EphemeralContainers => only(draft, &[["spec", "ephemeralContainers"]]),
    }
}

/// Whether the change between the two is one that `metadata.generation` counts.
pub(super) fn counts_as_generation(resource: &Resource, old: &Object, new: &Object) -> bool {
    if old.generation == 0 {
        return false;
    }
    fn counted(object: &Object) -> impl Iterator<Item = (&SectionName, &Text)> {
        object.sections.iter().filter(|(key, _)| ***key != *"status")
    }
    counted(old).ne(counted(new))
        || (resource.is("apps", "deployments") && old.head.annotations != new.head.annotations)
}

/// Namespaces live on while `spec.finalizers` names the one that empties them.
pub(super) fn holds_content(resource: &Resource, draft: &Draft) -> bool {
    resource.is("", "namespaces")
        && draft
            .at(&["spec", "finalizers"])
            .and_then(Value::as_array)
            .is_some_and(|finalizers| !finalizers.is_empty())
}

/// Takes out of an applied configuration what its subresource does not write, so that nobody comes to own it.
pub(super) fn strip_part(config: &mut Value, resource: &Resource, part: Part) {
    let Some(config) = config.as_object_mut() else {
        return;
    };
    match part {
        Part::Status => {
            config.retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status"));
        }
        _ if resource.has_status() => {
            config.remove("status");
        }
        _ => {}
    }
}

/// The object as field sets see it: without what the server alone writes.
pub(super) fn value_for_fields(object: &Object) -> Map<String, Value> {
    let mut body = object.body();
    let mut metadata = object.metadata();
    for key in apply::SERVER_FIELDS {
        metadata.remove(key);
    }
    body.insert("metadata".to_owned(), Value::Object(metadata));
    body
}

/// A typed server does not keep nulls: they are dropped at every depth of objects. In lists they stay.
pub(super) fn drop_nulls(map: &mut Map<String, Value>) {
    map.retain(|_, value| !value.is_null());
    for value in map.values_mut() {
        drop_nulls_in(value);
    }
}

fn drop_nulls_in(value: &mut Value) {
    match value {
        Value::Object(map) => drop_nulls(map),
        Value::Array(items) => items.iter_mut().for_each(drop_nulls_in),
        _ => {}
    }
}
