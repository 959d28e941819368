//! Subresources that are more than a part of their object.

use actix_web::web;
use metalsim_actors::kube::binding::bind;
use metalsim_actors::kube::controllers::eviction::evict;
use metalsim_actors::kube::scale;
use metalsim_actors::kube::status::{FieldError, Named, Reason, Status, quote};
use metalsim_actors::kube::store::PatchKind;
use metalsim_actors::kube::{patch, structure};
use serde_json::Value;

use super::answer::{self, Answer};
use super::body::{Document, PatchCheck, unknown_fields};
use super::call::{Call, Place, Server, WriteParameters};
use super::exec;
use super::log;
use super::port_forward;
use super::render::{self, View};
use super::request::Action;
use super::write::patch_kind;
use crate::cluster::error::cluster_status;

/// Answers a request for a subresource.
pub(super) async fn serve(
    call: &Call<'_>,
    place: Place,
    action: Action,
    view: View,
    payload: web::Payload,
) -> Answer {
    let Call { server, request, .. } = *call;
    match place.subresource.as_str() {
        "scale" => scale(call, place, action, view, payload).await,
        "eviction" => eviction(call, place, payload).await,
        "log" => log::serve(call, place),
        "token" => token(call, &place, payload).await,
        "binding" => binding(call, place, payload).await,
        "exec" | "attach" => exec::serve(server, request, &place, call.query, payload),
        "portforward" => port_forward::serve(server, request, &place, payload),
        "proxy" => proxy(server, &place),
        _ => Err(Status::unknown_resource()),
    }
}

/// `autoscaling/v1 Scale` of whatever has replicas.
async fn scale(call: &Call<'_>, place: Place, action: Action, view: View, payload: web::Payload) -> Answer {
    let server = call.server;
    let kind = match action {
        Action::Get => {
            let scale = server.cluster.read(|cluster| {
                let object = cluster.store.get(place.target(), &place.name)?;
                scale::of(&place.resource, object)
            })?;
            return Ok(render::scale(view, &scale, server.cluster.now()));
        }
        Action::Patch => Some(patch_kind(call.request.headers(), call.query)?),
        _ => None,
    };
    let parameters = call.parameters("UpdateOptions")?;
    let Document {
        value: body,
        mut warnings,
        in_patch,
    } = call.document(payload, &place, &parameters).await?;
    let check = PatchCheck::new(parameters.validation, in_patch);
    let (scale, check) = server
        .cluster
        .write(move |cluster, now| {
            let store = &mut cluster.store;
            let wanted = match kind {
                None => body,
                Some(kind) => {
                    let present = scale::of(&place.resource, store.get(place.target(), &place.name)?)?;
                    let patched = patched(kind, present, &body, store.limits().json_patch_operations)?;
                    check
                        .look(unknown_fields(&place, &patched))
                        .map_err(|why| refused_patch(&patched.to_string(), &why))?;
                    patched
                }
            };
            let written = scale::set(
                store,
                place.target(),
                &place.name,
                &wanted,
                parameters.options(now),
            )?;
            Ok::<_, Status>((scale::of(&place.resource, &written.object)?, check))
        })
        .await
        .map_err(cluster_status)??;
    check.warn(&mut warnings);
    Ok(warnings.attach(render::scale(view, &scale, server.cluster.now())))
}

/// 422 for a patch with fields that are not there.
fn refused_patch(patched: &str, why: &str) -> Status {
    let nothing = Named {
        group: "",
        resource: "",
    };
    Status::invalid(nothing, "", &[FieldError::invalid("patch", patched, why)])
}

/// A token for a service account.
async fn token(call: &Call<'_>, place: &Place, payload: web::Payload) -> Answer {
    let server = call.server;
    let parameters = call.parameters("CreateOptions")?;
    let body = call.document(payload, place, &parameters).await?.value;
    let namespace = place.namespace.as_deref().unwrap_or_default();
    let answer = server.cluster.read(|cluster| {
        server
            .identity
            .token_request(&cluster.store, namespace, &place.name, &body)
    })?;
    Ok(answer::json(201, &answer))
}

/// Puts a pod on a node.
async fn binding(call: &Call<'_>, place: Place, payload: web::Payload) -> Answer {
    let parameters = call.parameters("CreateOptions")?;
    let Document {
        value: body,
        warnings,
        ..
    } = call.document(payload, &place, &parameters).await?;
    bound(call.server, place, body, parameters)
        .await
        .map(|answer| warnings.attach(answer))
}

/// Puts a pod on a node: the resource that was there before the subresource. The pod is named in the body alone.
pub(super) async fn old_binding(call: &Call<'_>, mut place: Place, payload: web::Payload) -> Answer {
    let parameters = call.parameters("CreateOptions")?;
    let Document {
        value: body,
        warnings,
        ..
    } = call.document(payload, &place, &parameters).await?;
    body.pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .clone_into(&mut place.name);
    bound(call.server, place, body, parameters)
        .await
        .map(|answer| warnings.attach(answer))
}

async fn bound(server: &Server, place: Place, body: Value, parameters: WriteParameters) -> Answer {
    server
        .cluster
        .write(move |cluster, now| {
            let namespace = place.namespace.as_deref().unwrap_or_default();
            bind(
                &mut cluster.store,
                namespace,
                &place.name,
                &body,
                parameters.options(now),
            )
        })
        .await
        .map_err(cluster_status)??;
    Ok(answer::json(201, &Status::success(201)))
}

/// Asks a pod to go, as far as its disruption budgets allow.
async fn eviction(call: &Call<'_>, place: Place, payload: web::Payload) -> Answer {
    let parameters = call.parameters("CreateOptions")?;
    let body = call.document(payload, &place, &parameters).await?.value;
    let server = call.server;
    server
        .cluster
        .write(move |cluster, now| {
            let namespace = place.namespace.as_deref().unwrap_or_default();
            let options = parameters.options(now);
            evict(&mut cluster.store, namespace, &place.name, &body, options)
        })
        .await
        .map_err(cluster_status)??;
    Ok(answer::json(201, &Status::success(201)))
}

/// Proxies lead to what listens in a pod or behind a service: nothing does.
fn proxy(server: &Server, place: &Place) -> Answer {
    let (name, port) = place.name.split_once(':').unwrap_or((&place.name, ""));
    server
        .cluster
        .read(|cluster| cluster.store.get(place.target(), name).map(|_| ()))?;
    Err(Status::failure(
        Reason::ServiceUnavailable,
        match &*place.resource.plural {
            "services" => format!("no endpoints available for service {}", quote(name)),
            _ if port.is_empty() => {
                format!("error trying to reach service: dial tcp: connect: connection refused ({name})")
            }
            _ => format!("error trying to reach service: dial tcp :{port}: connect: connection refused"),
        },
    ))
}

fn patched(kind: PatchKind, present: Value, body: &Value, operations: usize) -> Result<Value, Status> {
    match kind {
        PatchKind::Json => patch::json(present, body, operations),
        PatchKind::Merge => patch::merge(present, body),
        // A scale has no lists: both are a merge.
        PatchKind::Strategic => {
            patch::strategic(present, body, &structure::built_in("autoscaling", "v1", "Scale"))
        }
        PatchKind::Apply { .. } => patch::merge(present, body),
    }
}
