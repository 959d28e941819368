//! `create`, `update`, `patch`, `delete`, `deletecollection`.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{DeleteOptions, Deleted, ListPage, Part, PatchKind, Written};
use serde_json::Value;

use super::answer::{self, Answer};
use super::body::Document;
use super::call::{Place, Server, WriteParameters};
use super::query::Query;
use super::read::{list_query, page_answer};
use super::render::{self, Form};
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
    form: Form,
) -> Answer {
    let Document { value, warnings } = document;
    let (object, place) = server
        .cluster
        .write(move |cluster, now| {
            let created = cluster
                .store
                .create(place.target(), value, parameters.options(now));
            created.map(|object| (object, place))
        })
        .await
        .map_err(cluster_status)??;
    let answer = render::object(form, &place, &object, 201, server.cluster.now());
    Ok(warnings.attach(answer))
}

/// A whole object, or one part of it.
pub(super) async fn update(
    server: &Server,
    place: Place,
    part: Part,
    document: Document,
    parameters: WriteParameters,
    form: Form,
) -> Answer {
    let Document { value, warnings } = document;
    let (written, place) = server
        .cluster
        .write(move |cluster, now| {
            cluster
                .store
                .update(place.target(), &place.name, part, value, parameters.options(now))
                .map(|written| (written, place))
        })
        .await
        .map_err(cluster_status)??;
    Ok(warnings.attach(written_answer(server, &place, &written, form)))
}

/// A change of an object, or of one part of it.
pub(super) async fn patch(
    server: &Server,
    place: Place,
    part: Part,
    kind: PatchKind,
    document: Document,
    parameters: WriteParameters,
    form: Form,
) -> Answer {
    let Document { value, warnings } = document;
    let (written, place) = server
        .cluster
        .write(move |cluster, now| {
            cluster
                .store
                .patch(
                    place.target(),
                    &place.name,
                    part,
                    kind,
                    &value,
                    parameters.options(now),
                )
                .map(|written| (written, place))
        })
        .await
        .map_err(cluster_status)??;
    Ok(warnings.attach(written_answer(server, &place, &written, form)))
}

fn written_answer(server: &Server, place: &Place, written: &Written, form: Form) -> actix_web::HttpResponse {
    let code = if written.created { 201 } else { 200 };
    render::object(form, place, &written.object, code, server.cluster.now())
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
pub(super) async fn delete(server: &Server, place: Place, options: DeleteOptions, form: Form) -> Answer {
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
    Ok(render::object(form, &place, object, 200, server.cluster.now()))
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
    form: Form,
) -> Answer {
    let kept = query_text.clone();
    let (mut page, place): (ListPage, Place) = server
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
    let query = Query::parse(&kept);
    Ok(page_answer(&place, &mut page, &query, form, server.cluster.now()))
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
