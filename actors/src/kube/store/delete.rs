//! Deletion: preconditions, grace, finalizers, propagation (kubernetes: `apiserver/pkg/registry/rest/delete.go`,
//! `apiserver/pkg/registry/generic/registry/store.go`).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::commit::Prepared;
use super::{ListPage, ListQuery, Store, Target};
use crate::kube::crd;
use crate::kube::object::{Deletion, Head, Object, Second, Sections};
use crate::kube::resource::Resource;
use crate::kube::status::{FieldError, FieldFault, Named, Status};
use crate::kube::validate::{FOREGROUND, ORPHAN};

/// Grace of a pod that does not say (kubernetes: `pkg/apis/core/v1/defaults.go`).
const POD_GRACE_SECONDS: i64 = 30;
/// Namespaces that cannot be deleted (kubernetes: `apiserver/pkg/admission/plugin/namespace/lifecycle`).
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What becomes of an object's dependents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Propagation {
    /// They are deleted after it.
    Background,
    /// They are deleted before it.
    Foreground,
    /// They stay, without it as an owner.
    Orphan,
}

/// Options of a deletion: `meta/v1 DeleteOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// `gracePeriodSeconds`; 0 = at once.
    pub grace_period_seconds: Option<i64>,
    /// `propagationPolicy`, or `orphanDependents` in its older form.
    pub propagation: Option<Propagation>,
    /// `preconditions.uid`.
    pub uid: Option<String>,
    /// `preconditions.resourceVersion`.
    pub resource_version: Option<String>,
    /// `dryRun=All`.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Reads the body of a DELETE (or the query's parameters as an object of the same form).
    ///
    /// # Errors
    /// 400 for wrong types, 422 for values that are not allowed.
    pub fn from_value(value: &Value) -> Result<Self, Status> {
        let mut options = Self::default();
        let mut errors = Vec::new();
        let wrong = |field: &str| Status::bad_request(format!("DeleteOptions: {field}: wrong type"));
        let text = |value: Option<&Value>, field: &str| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(field)),
        };
        match value.get("gracePeriodSeconds") {
            None | Some(Value::Null) => {}
            Some(number) => {
                options.grace_period_seconds =
                    Some(number.as_i64().ok_or_else(|| wrong("gracePeriodSeconds"))?);
            }
        }
        let orphan = match value.get("orphanDependents") {
            None | Some(Value::Null) => None,
            Some(flag) => Some(flag.as_bool().ok_or_else(|| wrong("orphanDependents"))?),
        };
        match text(value.get("propagationPolicy"), "propagationPolicy")?.as_deref() {
            None => {
                options.propagation = orphan.map(|orphan| {
                    if orphan {
                        Propagation::Orphan
                    } else {
                        Propagation::Background
                    }
                });
            }
            Some(_) if orphan.is_some() => errors.push(FieldError::invalid(
                "propagationPolicy",
                value.get("propagationPolicy").cloned().unwrap_or_default(),
                "orphanDependents and deletionPropagation cannot be both set",
            )),
            Some("Background") => options.propagation = Some(Propagation::Background),
            Some("Foreground") => options.propagation = Some(Propagation::Foreground),
            Some("Orphan") => options.propagation = Some(Propagation::Orphan),
            Some(other) => errors.push(FieldError {
                fault: FieldFault::NotSupported,
                field: "propagationPolicy".to_owned(),
                value: Some(other.into()),
                detail: "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"".to_owned(),
            }),
        }
        if let Some(preconditions) = value.get("preconditions") {
            options.uid = text(preconditions.get("uid"), "preconditions.uid")?;
            options.resource_version = text(
                preconditions.get("resourceVersion"),
                "preconditions.resourceVersion",
            )?;
        }
        if let Some(dry_run) = value.get("dryRun").filter(|value| !value.is_null()) {
            for word in dry_run.as_array().ok_or_else(|| wrong("dryRun"))? {
                if word == "All" {
                    options.dry_run = true;
                } else {
                    errors.push(FieldError {
                        fault: FieldFault::NotSupported,
                        field: "dryRun".to_owned(),
                        value: Some(dry_run.clone()),
                        detail: "supported values: \"All\"".to_owned(),
                    });
                }
            }
        }
        if errors.is_empty() {
            Ok(options)
        } else {
            let of = Named {
                group: "meta.k8s.io",
                resource: "DeleteOptions",
            };
            Err(Status::invalid(of, "", &errors))
        }
    }

    /// Deletion at once, in the background.
    #[must_use]
    pub fn now() -> Self {
        Self {
            grace_period_seconds: Some(0),
            propagation: Some(Propagation::Background),
            ..Self::default()
        }
    }
}

/// What a deletion gave.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// The object: as it is now, or its last state.
    pub object: Arc<Object>,
    /// Whether it is gone. If so, a real server answers 200 with a Status (but with the object for pods and the like that were
    /// deleted gracefully); else with the object.
    pub gone: bool,
}

impl Store {
    /// Deletes an object, or marks it for deletion.
    ///
    /// # Errors
    /// 403 for the namespaces that must stay, 404, 409 when a precondition does not hold.
    pub fn delete(
        &mut self,
        target: Target<'_>,
        name: &str,
        options: &DeleteOptions,
        now: DateTime<Utc>,
    ) -> Result<Deleted, Status> {
        let resource = target.resource;
        let existing = self.dated(self.get(target, name)?);
        if resource.is("", "namespaces") && IMMORTAL.contains(&name) {
            return Err(Status::forbidden(
                resource.named(),
                name,
                "this namespace may not be deleted",
            ));
        }
        let prepared = prepare(resource, &existing, options, now)?;
        let (object, gone) = self.finish(resource, prepared, options.dry_run)?;
        Ok(Deleted { object, gone })
    }

    /// Deletes all objects that a list gives. The answer is that list, as it was before.
    ///
    /// # Errors
    /// As [`Self::list`]. An object that cannot be deleted does not stop the others; the first such error is returned at the end.
    pub fn delete_collection(
        &mut self,
        target: Target<'_>,
        query: &ListQuery<'_>,
        options: &DeleteOptions,
        now: DateTime<Utc>,
    ) -> Result<ListPage, Status> {
        let page = self.list(target, query)?;
        let mut failed = None;
        for object in &page.items {
            let target = Target {
                namespace: object.namespace(),
                ..target
            };
            if let Err(status) = self.delete(target, object.name(), options, now)
                && !status.is(crate::kube::status::Reason::NotFound)
            {
                failed.get_or_insert(status);
            }
        }
        failed.map_or(Ok(page), Err)
    }
}

fn prepare(
    resource: &Resource,
    existing: &Arc<Object>,
    options: &DeleteOptions,
    now: DateTime<Utc>,
) -> Result<Prepared, Status> {
    check_preconditions(resource, existing, options)?;
    let mut object = (**existing).clone();
    // Pending: a grace period runs and is not shortened.
    let graceful = match grace(resource, existing, options, now, &mut object) {
        Grace::None => false,
        Grace::Pending => return Ok(Prepared::Same(Arc::clone(existing))),
        Grace::Started => true,
    };
    object.head = propagation_finalizers(resource, existing, options);
    if let Some(finalizer) = crd::finalizer_on_delete(resource)
        && !existing.is_terminating()
        && !object.has_finalizer(finalizer)
    {
        let mut head = (*object.head).clone();
        let own = std::iter::once(Box::from(finalizer));
        head.finalizers = head.finalizers.iter().cloned().chain(own).collect();
        object.head = Arc::new(head);
    }
    let held = !object.head.finalizers.is_empty();
    let namespace_held = hold_namespace(resource, &mut object);
    if graceful {
        let remaining = object.deletion.and_then(|deletion| deletion.grace).unwrap_or(0);
        if !held && remaining == 0 {
            return Ok(Prepared::Remove(Box::new(object)));
        }
    } else if held || namespace_held {
        let at = Second::of(now);
        if existing.deletion.is_none() && object.generation > 0 {
            object.generation = object.generation.saturating_add(1);
        }
        let before = existing.deletion.map(|deletion| deletion.at);
        object.deletion = Some(Deletion {
            at: before.filter(|before| *before <= at).unwrap_or(at),
            // A namespace has no grace period, its own finalizers hold it.
            grace: (!namespace_held).then_some(0),
        });
    } else {
        return Ok(Prepared::Remove(Box::new(object)));
    }
    if object == **existing {
        return Ok(Prepared::Same(Arc::clone(existing)));
    }
    Ok(Prepared::Put(Box::new(object)))
}

fn check_preconditions(
    resource: &Resource,
    existing: &Object,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let conflict = |why: String| Err(Status::conflict(resource.named_kind(), existing.name(), &why));
    if let Some(uid) = &options.uid
        && *uid != existing.uid_text()
    {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            existing.uid_text()
        ));
    }
    if let Some(version) = &options.resource_version
        && *version != existing.resource_version.to_string()
    {
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            existing.resource_version
        ));
    }
    Ok(())
}

enum Grace {
    /// The kind knows no grace, or it is over.
    None,
    /// A longer grace is running.
    Pending,
    /// `object` carries a new deadline.
    Started,
}

fn grace(
    resource: &Resource,
    existing: &Object,
    options: &DeleteOptions,
    now: DateTime<Utc>,
    object: &mut Object,
) -> Grace {
    if !resource.traits.graceful {
        return Grace::None;
    }
    let asked = options
        .grace_period_seconds
        .map(|seconds| if seconds < 0 { 1 } else { seconds });
    let now = Second::of(now);
    if let Some(running) = existing.deletion {
        let total = running.grace.unwrap_or(0);
        if total == 0 {
            return Grace::None;
        }
        let Some(mut period) = asked.filter(|period| *period < total) else {
            return Grace::Pending;
        };
        let mut at = Second(running.at.0.saturating_sub(total).saturating_add(period));
        if at < now {
            at = now;
            // The deadline has passed but the deletion is to be graceful: the kubelet still has the last word.
            if period != 0 {
                period = 1;
            }
        }
        object.deletion = Some(Deletion {
            at,
            grace: Some(period),
        });
        return Grace::Started;
    }
    let period = pod_grace(existing, asked);
    object.deletion = Some(Deletion {
        at: Second(now.0.saturating_add(period)),
        grace: Some(period),
    });
    if object.generation > 0 {
        object.generation = object.generation.saturating_add(1);
    }
    Grace::Started
}

/// Seconds that a pod gets (kubernetes: `pkg/registry/core/pod/strategy.go`).
fn pod_grace(pod: &Object, asked: Option<i64>) -> i64 {
    let own = pod
        .at(&["spec", "terminationGracePeriodSeconds"])
        .and_then(|value| value.as_i64());
    let period = match asked.or(own).unwrap_or(POD_GRACE_SECONDS) {
        negative if negative < 0 => 1,
        period => period,
    };
    let unbound = pod
        .at(&["spec", "nodeName"])
        .and_then(|value| value.as_str().map(str::is_empty))
        .unwrap_or(true);
    let over = pod
        .at(&["status", "phase"])
        .is_some_and(|phase| phase == "Succeeded" || phase == "Failed");
    if unbound || over { 0 } else { period }
}

/// The head with the finalizers that the propagation policy asks for.
fn propagation_finalizers(resource: &Resource, existing: &Object, options: &DeleteOptions) -> Arc<Head> {
    let policy = if resource.is("", "events") || resource.is("events.k8s.io", "events") {
        Propagation::Background
    } else if let Some(policy) = options.propagation {
        policy
    } else if existing.has_finalizer(ORPHAN) {
        Propagation::Orphan
    } else if existing.has_finalizer(FOREGROUND) {
        Propagation::Foreground
    } else if resource.is("", "replicationcontrollers") || resource.is("batch", "jobs") {
        // Kept from before there was garbage collection.
        Propagation::Orphan
    } else {
        Propagation::Background
    };
    let mut finalizers: Vec<Box<str>> = existing
        .head
        .finalizers
        .iter()
        .filter(|finalizer| !matches!(&***finalizer, ORPHAN | FOREGROUND))
        .cloned()
        .collect();
    match policy {
        Propagation::Background => {}
        Propagation::Foreground => finalizers.push(FOREGROUND.into()),
        Propagation::Orphan => finalizers.push(ORPHAN.into()),
    }
    if *finalizers == *existing.head.finalizers {
        return Arc::clone(&existing.head);
    }
    let mut head = (*existing.head).clone();
    head.finalizers = finalizers.into();
    Arc::new(head)
}

/// A namespace with content goes to Terminating instead (kubernetes: `pkg/registry/core/namespace/storage/storage.go`). Says whether.
fn hold_namespace(resource: &Resource, object: &mut Object) -> bool {
    if !resource.is("", "namespaces") {
        return false;
    }
    let held = object
        .at(&["spec", "finalizers"])
        .is_some_and(|finalizers| finalizers.as_array().is_some_and(|list| !list.is_empty()));
    if held {
        let mut body = object.body();
        let status = body.entry("status").or_insert_with(|| serde_json::json!({}));
        if let Some(status) = status.as_object_mut() {
            status.insert("phase".to_owned(), "Terminating".into());
        }
        object.sections = Sections::seal(
            &body,
            Some(&object.sections),
            &crate::kube::intern::Interner::default(),
        );
    }
    held
}
