//! What is not a resource: discovery, health, version, schemas. Whatever does not exist is a 404 Status.

use actix_web::HttpRequest;
use actix_web::http::Method;
use metalsim_actors::kube::status::Status;

use super::answer::{self, Answer};
use super::call::Server;
use super::query::Query;

/// Answers a path outside of the resources.
pub(super) fn serve(_server: &Server, request: &HttpRequest, path: &str, _query: &Query<'_>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(super::method_not_allowed());
    }
    match path.trim_end_matches('/') {
        "/healthz" | "/livez" | "/readyz" => {
            Ok(answer::body(200, "text/plain; charset=utf-8", b"ok".to_vec()))
        }
        _ => Err(Status::unknown_resource()),
    }
}
