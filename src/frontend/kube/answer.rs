//! Answers: statuses, documents, objects in the form that the client asked for.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use metalsim_actors::kube::status::Status;
use serde::Serialize;

/// What a handler returns.
pub(super) type Answer = Result<HttpResponse, Status>;

/// JSON, as every answer is unless the client wants another form.
pub(super) const JSON: &str = "application/json";

/// A body of that type.
pub(super) fn body(code: u16, content_type: &str, body: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status_code(code))
        .insert_header((CONTENT_TYPE, content_type))
        .body(body)
}

/// A status.
pub(super) fn status(status: &Status) -> HttpResponse {
    let mut answer = json(status.code, status);
    let seconds = status
        .details
        .as_ref()
        .map_or(0, |details| details.retry_after_seconds);
    if seconds > 0 {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// A document.
pub(super) fn json(code: u16, document: &impl Serialize) -> HttpResponse {
    match serde_json::to_vec(document) {
        Ok(text) => body(code, JSON, text),
        Err(error) => {
            tracing::error!(%error, "an answer has no JSON form");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn status_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
