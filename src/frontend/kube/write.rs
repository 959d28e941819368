//! `create`, `update`, `patch`, `delete`, `deletecollection`.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use chrono::{DateTime, Utc};
use metalsim_actors::kube::auth::{
    Attributes, Decision, ResourceRequest, UserInfo, authorize, confirm_no_escalation, forbidden,
};
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{
    DeleteOptions, Deleted, ListPage, Part, PatchKind, Store, WriteOptions, Written,
};
use serde_json::Value;

use super::answer::{self, Answer};
use super::body::{Document, PatchCheck};
use super::call::{Place, Server, WriteParameters};
use super::query::Query;
use super::read::{list_query, page_answer};
use super::render::{self, View};
use crate::cluster::error::cluster_status;

/// The part of an object that a subresource writes.
pub(super) fn part(subresource: &str) -> Option<Part> {
    Some(match subresource {
        "" => Part::Main,
        "status" => Part::Status,
        "finalize" => Part::Finalize,
        "approval" => Part::Approval,
        "ephemeralcontainers" => Part::EphemeralContainers,
        "resize" => Part::Resize,
        _ => return None,
    })
}

/// A new object.
pub(super) async fn create(
    server: &Server,
    place: Place,
    document: Document,
    parameters: WriteParameters,
    view: View,
) -> Answer {
    let Document {
        mut value, warnings, ..
    } = document;
    if place
        .resource
        .is("certificates.k8s.io", "certificatesigningrequests")
    {
        sign_as(&mut value, &parameters.user);
    }
    let (object, place) = server
        .cluster
        .write(move |cluster, now| {
            let created = guarded(
                &mut cluster.store,
                &place,
                &parameters,
                now,
                false,
                |store, options| store.create(place.target(), value.clone(), options),
            );
            created.map(|object| (object, place))
        })
        .await
        .map_err(cluster_status)??;
    let answer = render::object(view, &place, &object, 201, server.cluster.now());
    Ok(warnings.attach(answer))
}

/// A whole object, or one part of it.
pub(super) async fn update(
    server: &Server,
    place: Place,
    part: Part,
    document: Document,
    parameters: WriteParameters,
    view: View,
) -> Answer {
    let Document { value, warnings, .. } = document;
    let (written, place) = server
        .cluster
        .write(move |cluster, now| {
            let upserts = part == Part::Main && place.resource.traits.create_on_update;
            guarded(
                &mut cluster.store,
                &place,
                &parameters,
                now,
                upserts,
                |store, options| store.update(place.target(), &place.name, part, value.clone(), options),
            )
            .map(|written| (written, place))
        })
        .await
        .map_err(cluster_status)??;
    Ok(warnings.attach(written_answer(server, &place, &written, view)))
}

/// A change of an object, or of one part of it.
pub(super) async fn patch(
    server: &Server,
    place: Place,
    part: Part,
    kind: PatchKind,
    document: Document,
    parameters: WriteParameters,
    view: View,
) -> Answer {
    let Document {
        value,
        mut warnings,
        in_patch,
    } = document;
    let check = PatchCheck::new(parameters.validation, in_patch);
    let (written, place, check) = server
        .cluster
        .write(move |cluster, now| {
            let upserts = part == Part::Main && matches!(kind, PatchKind::Apply { .. });
            let (target, name) = (place.target(), &place.name);
            let patch = |store: &mut Store, options: WriteOptions<'_>| {
                store.patch_and_tell(target, name, part, kind, &value, options, &|unknown| {
                    check.look(unknown)
                })
            };
            let written = guarded(&mut cluster.store, &place, &parameters, now, upserts, patch)?;
            Ok::<_, Status>((written, place, check))
        })
        .await
        .map_err(cluster_status)??;
    check.warn(&mut warnings);
    Ok(warnings.attach(written_answer(server, &place, &written, view)))
}

/// What a write leaves: the object.
trait Leaves {
    fn object(&self) -> &Arc<Object>;
}

impl Leaves for Arc<Object> {
    fn object(&self) -> &Arc<Object> {
        self
    }
}

impl Leaves for Written {
    fn object(&self) -> &Arc<Object> {
        &self.object
    }
}

/// Writes. What takes more rights than the request shows is tried first: roles and bindings are looked at for rights that the writer does
/// not have, and with `upserts` the writer has to be allowed to create what is not there (apiserver: `pkg/endpoints/handlers/update.go`,
/// `withAuthorization`).
fn guarded<T: Leaves>(
    store: &mut Store,
    place: &Place,
    parameters: &WriteParameters,
    now: DateTime<Utc>,
    upserts: bool,
    write: impl Fn(&mut Store, WriteOptions<'_>) -> Result<T, Status>,
) -> Result<T, Status> {
    let options = parameters.options(now);
    let user = &parameters.user;
    let rules = place.resource.group == "rbac.authorization.k8s.io";
    if (rules || upserts) && !user.is_master() {
        let old = store
            .find(&place.resource, place.namespace.as_deref(), &place.name)
            .cloned();
        let creates = upserts && old.is_none();
        if rules || creates {
            let tried = WriteOptions {
                dry_run: true,
                ..options
            };
            let new = write(store, tried)?;
            if creates {
                confirm_create(store, user, place)?;
            }
            if rules {
                confirm_no_escalation(store, user, &place.resource, new.object(), old.as_deref())?;
            }
        }
    }
    write(store, options)
}

/// Whether the user may create the object that the path names.
///
/// # Errors
/// 403.
fn confirm_create(store: &Store, user: &UserInfo, place: &Place) -> Result<(), Status> {
    let attributes = Attributes::resource(
        "create",
        ResourceRequest {
            group: &place.resource.group,
            resource: &place.resource.plural,
            subresource: "",
            namespace: place.namespace.as_deref().unwrap_or_default(),
            name: &place.name,
        },
    );
    match authorize(store, user, &attributes) {
        Decision::Allow(_) => Ok(()),
        Decision::NoOpinion(reason) => Err(forbidden(user, &attributes, &reason)),
    }
}

/// Puts the requester into a request for a certificate (kubernetes: `pkg/registry/certificates/certificates/strategy.go`).
fn sign_as(request: &mut Value, user: &UserInfo) {
    if let Some(spec) = request.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("username".to_owned(), user.username.as_str().into());
        spec.insert("groups".to_owned(), user.groups.clone().into());
        if user.uid.is_empty() {
            spec.remove("uid");
        } else {
            spec.insert("uid".to_owned(), user.uid.as_str().into());
        }
        if user.extra.is_empty() {
            spec.remove("extra");
        } else {
            spec.insert("extra".to_owned(), serde_json::json!(user.extra));
        }
    }
}

fn written_answer(server: &Server, place: &Place, written: &Written, view: View) -> actix_web::HttpResponse {
    let code = if written.created { 201 } else { 200 };
    render::object(view, place, &written.object, code, server.cluster.now())
}

/// The options of a deletion: those of the body, or of the query if there is no body.
pub(super) fn delete_options(body: Option<&Value>, query: &Query<'_>) -> Result<DeleteOptions, Status> {
    match body {
        Some(body) => {
            let mut options = DeleteOptions::from_value(body)?;
            options.dry_run |= query.dry_run("DeleteOptions")?;
            Ok(options)
        }
        None => DeleteOptions::from_value(&query.delete_options()),
    }
}

/// One object goes.
pub(super) async fn delete(server: &Server, place: Place, options: DeleteOptions, view: View) -> Answer {
    let (deleted, place): (Deleted, Place) = server
        .cluster
        .write(move |cluster, now| {
            cluster
                .store
                .delete(place.target(), &place.name, &options, now)
                .map(|deleted| (deleted, place))
        })
        .await
        .map_err(cluster_status)??;
    let object: &Arc<Object> = &deleted.object;
    // Pods are answered with their last state, most others with a word (registry strategies, `ReturnDeletedObject`).
    if deleted.gone && !returns_deleted(&place) {
        let status = Status::deleted(place.resource.named(), object.name(), &object.uid_text());
        return Ok(answer::json(200, &status));
    }
    Ok(render::object(view, &place, object, 200, server.cluster.now()))
}

/// Kinds whose deletion is answered with the object (kubernetes: `pkg/registry/core/*/storage`, `ReturnDeletedObject`).
fn returns_deleted(place: &Place) -> bool {
    place.resource.group.is_empty()
        && matches!(
            &*place.resource.plural,
            "pods"
                | "services"
                | "serviceaccounts"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "podtemplates"
                | "resourcequotas"
        )
}

/// Many objects go. The answer is the list of them.
pub(super) async fn delete_collection(
    server: &Server,
    place: Place,
    options: DeleteOptions,
    query_text: String,
    view: View,
) -> Answer {
    let (page, place): (ListPage, Place) = server
        .cluster
        .write(move |cluster, now| {
            let query = Query::parse(&query_text);
            let wanted = list_query(&place, &query)?;
            let page = cluster
                .store
                .delete_collection(place.target(), &wanted, &options, now)?;
            Ok::<_, Status>((page, place))
        })
        .await
        .map_err(cluster_status)??;
    Ok(page_answer(&place, &page, view, server.cluster.now()))
}

/// The kind of a patch by its media type.
pub(super) fn patch_kind(headers: &HeaderMap, query: &Query<'_>) -> Result<PatchKind, Status> {
    let media_type = super::body::media_type(headers);
    Ok(match media_type.as_str() {
        "application/json-patch+json" => PatchKind::Json,
        "application/merge-patch+json" => PatchKind::Merge,
        "application/strategic-merge-patch+json" => PatchKind::Strategic,
        "application/apply-patch+yaml" => PatchKind::Apply {
            force: query.flag("force"),
        },
        _ => {
            return Err(Status::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
            ));
        }
    })
}
