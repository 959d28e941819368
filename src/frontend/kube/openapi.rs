//! Serves the `OpenAPI` documents (kube-openapi: `pkg/handler/handler.go`, `pkg/handler3/handler.go`).

use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, VARY,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use metalsim_actors::kube::accept::{self, Schemas};
use metalsim_actors::kube::openapi::{self, Document};
use metalsim_actors::kube::resource::Registry;
use metalsim_actors::kube::status::{Reason, Status};

use super::answer::Answer;
use super::call::Server;
use super::query::Query;

/// A document by its hash never changes.
const FOR_EVER: &str = "public, immutable";

/// What the cluster has. Documents are made without its lock.
fn registry(server: &Server) -> Registry {
    server.cluster.read(|cluster| cluster.store.registry().clone())
}

fn wanted(request: &HttpRequest, protobuf: bool) -> Result<Schemas, Status> {
    let accept = request.headers().get(ACCEPT);
    let accept = accept.map_or("", |accept| accept.to_str().unwrap_or_default());
    accept::schemas(accept, protobuf).ok_or_else(|| {
        let forms = if protobuf {
            format!("{}, {}", openapi::JSON, openapi::V2_PROTOBUF)
        } else {
            openapi::JSON.to_owned()
        };
        let message = format!("only the following media types are accepted: {forms}");
        Status::failure(Reason::NotAcceptable, message)
    })
}

/// `/openapi/v2`.
pub(super) fn v2(server: &Server, request: &HttpRequest) -> Answer {
    let registry = registry(server);
    Ok(match wanted(request, true)? {
        Schemas::Json => send(request, openapi::v2(&registry), openapi::JSON),
        Schemas::Protobuf => send(request, openapi::v2_protobuf(&registry), openapi::V2_PROTOBUF),
    })
}

/// `/openapi/v3`.
pub(super) fn index(server: &Server, request: &HttpRequest) -> Answer {
    wanted(request, false)?;
    Ok(send(request, openapi::v3_index(&registry(server)), openapi::JSON))
}

/// `/openapi/v3/<path>`. A hash that is not the present one leads to the present one.
pub(super) fn document(server: &Server, request: &HttpRequest, path: &str, query: &Query<'_>) -> Answer {
    let document = openapi::v3_document(&registry(server), path).ok_or_else(Status::unknown_resource)?;
    wanted(request, false)?;
    let hash = query.text("hash");
    if hash.is_empty() {
        return Ok(send(request, document, openapi::JSON));
    }
    if hash != &*document.hash {
        let place = format!("/openapi/v3/{path}?hash={}", document.hash);
        return Ok(HttpResponse::MovedPermanently()
            .insert_header((LOCATION, place))
            .finish());
    }
    let mut answer = send(request, document, openapi::JSON);
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    Ok(answer)
}

/// The document, unless the client has it.
fn send(request: &HttpRequest, document: Document, content_type: &str) -> HttpResponse {
    let tag = format!("\"{}\"", document.hash);
    let known = request
        .headers()
        .get(IF_NONE_MATCH)
        .is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let mut answer = if known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer.insert_header((ETAG, tag)).insert_header((VARY, "Accept"));
    if known {
        answer.finish()
    } else {
        answer
            .insert_header((CONTENT_TYPE, content_type))
            .body(Bytes::from_owner(document.body))
    }
}
