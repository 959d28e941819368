//! The gate before every handler: credentials first, so that nothing is told to strangers.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use metalsim_actors::wire::redfish::message;

use super::auth::Verdict;
use super::error::{RedfishError, is_read};
use super::faults::Visit;
use super::state::RedfishState;

/// Lets a request through or answers it.
pub(super) async fn gate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let visit = Visit::of(request.request());
    if let Some(visit) = &visit
        && !visit.connects(request.request()).await
    {
        return Ok(request.into_response(HttpResponse::new(StatusCode::SERVICE_UNAVAILABLE)));
    }
    if let Err(error) = admit(request.request()).await {
        return Ok(request.into_response(error.response()));
    }
    let state = request.app_data::<web::Data<RedfishState>>().cloned();
    if let Some(state) = &state {
        state.stale.review(&state.directory);
    }
    let (Some(visit), Some(state)) = (visit, state) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    if let Some(instead) = visit.instead(&state, request.request()).await {
        return Ok(request.into_response(instead));
    }
    let response = match visit.earlier(&state, request.request()) {
        Some(earlier) => request.into_response(earlier),
        None => {
            let asked = state.clock.now();
            let response = next.call(request).await?.map_into_boxed_body();
            visit.keep(&state, asked, response).await
        }
    };
    let (request, response) = response.into_parts();
    Ok(ServiceResponse::new(request, visit.answered(response).await))
}

/// Whether the request may be told anything.
///
/// # Errors
/// What it is told instead.
pub(super) async fn admit(request: &HttpRequest) -> Result<(), RedfishError> {
    let Some(state) = request.app_data::<web::Data<RedfishState>>() else {
        tracing::error!("the Redfish routes have no state");
        return Err(RedfishError::internal());
    };
    if state.auth.is_required() && !is_public(request.method(), request.path()) {
        authenticate(state, request).await?;
    }
    let headers = request.headers();
    if headers
        .get("OData-Version")
        .is_some_and(|version| version != "4.0")
    {
        return Err(RedfishError::new(
            StatusCode::PRECONDITION_FAILED,
            &message::HEADER_INVALID,
            &["OData-Version"],
        ));
    }
    Ok(())
}

async fn authenticate(state: &RedfishState, request: &HttpRequest) -> Result<(), RedfishError> {
    let headers = request.headers();
    if let Some(token) = headers.get("X-Auth-Token") {
        let known = token.to_str().is_ok_and(|token| state.sessions.check(token));
        return if known {
            Ok(())
        } else {
            Err(RedfishError::no_valid_session())
        };
    }
    let verdict = match headers.get(AUTHORIZATION) {
        Some(header) => state.auth.check_header(header).await,
        None => Verdict::Refused,
    };
    match verdict {
        Verdict::Accepted => Ok(()),
        Verdict::Refused => Err(RedfishError::unauthorized(request.path())),
        Verdict::Busy => Err(RedfishError::busy()),
    }
}

/// What DSP0266 section 13.3 leaves open: the way to the service root, and the way in.
fn is_public(method: &Method, path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path {
        "/redfish"
        | "/redfish/v1"
        | "/redfish/v1/odata"
        | "/redfish/v1/$metadata"
        | "/redfish/v1/%24metadata" => is_read(method),
        "/redfish/v1/SessionService/Sessions" | "/redfish/v1/SessionService/Sessions/Members" => {
            method == Method::POST
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_in_is_public() {
        for (method, path, expected) in [
            (Method::GET, "/redfish", true),
            (Method::HEAD, "/redfish/v1/", true),
            (Method::GET, "/redfish/v1/$metadata", true),
            (Method::POST, "/redfish/v1/SessionService/Sessions", true),
            (Method::GET, "/redfish/v1/SessionService/Sessions", false),
            (Method::POST, "/redfish/v1", false),
            (Method::GET, "/redfish/v1/Systems", false),
            (Method::GET, "/redfish/v1//", false),
            (Method::GET, "", false),
        ] {
            assert_eq!(is_public(&method, path), expected, "{method} {path}");
        }
    }
}
