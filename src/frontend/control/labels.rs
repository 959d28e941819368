//! Labels of nodes, which faults pick nodes by.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use metalsim_actors::node::Labels;

use super::error::ControlError;
use super::faults::change;
use super::nodes::find;
use super::{Api, read_json};
use crate::live::Relabelling;

/// `GET /api/v1/nodes/{node}/labels`
pub(super) async fn get(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let node = find(&api, &path)?;
    Ok(HttpResponse::Ok().json(&*api.directory.labels(&node)))
}

/// `PUT /api/v1/nodes/{node}/labels`
pub(super) async fn put(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let labels: Labels = read_json(&request, &api, payload).await?;
    relabel(&api, &path, Relabelling::Set(labels)).await
}

/// `PATCH /api/v1/nodes/{node}/labels`
pub(super) async fn patch(
    request: HttpRequest,
    api: Api,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ControlError> {
    api.authorise(&request)?;
    let changes: BTreeMap<Box<str>, Option<Box<str>>> = read_json(&request, &api, payload).await?;
    relabel(&api, &path, Relabelling::Merge(changes.into_iter().collect())).await
}

async fn relabel(api: &Api, node: &str, how: Relabelling) -> Result<HttpResponse, ControlError> {
    let node = find(api, node)?;
    let labels = change(api, move |live| live.relabel(&node, how))
        .await?
        .map_err(|error| ControlError::Json(error.to_string()))?;
    Ok(HttpResponse::Ok().json(&*Arc::clone(&labels)))
}
