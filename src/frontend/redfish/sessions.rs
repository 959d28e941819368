//! `SessionService`: logging in and out.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, web};
use metalsim_actors::wire::redfish::message;
use metalsim_actors::wire::redfish::service::{Session, SessionService};
use metalsim_actors::wire::redfish::{Link, Status, Uri};

use super::auth::Verdict;
use super::error::{RedfishError, allow};
use super::parse::{self, Fields, Purpose};
use super::respond::{self, Answer};
use super::state::RedfishState;

/// URI of the sessions.
pub(super) const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
/// Longest user name and password.
const LONGEST_CREDENTIAL: usize = 256;

/// `GET /redfish/v1/SessionService`
pub(super) async fn service(state: web::Data<RedfishState>) -> Answer {
    respond::json(
        allow::READ,
        &SessionService {
            odata_id: Uri("/redfish/v1/SessionService", "", ""),
            odata_type: SessionService::TYPE,
            id: "SessionService",
            name: "Session service",
            service_enabled: true,
            session_timeout: state.sessions.timeout_seconds(),
            sessions: Link::new(SESSIONS, ""),
            status: Status::OK,
        },
    )
}

/// `GET /redfish/v1/SessionService/Sessions`
pub(super) async fn list(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let ids = state.sessions.ids();
    let links = ids
        .iter()
        .map(|id| Link {
            odata_id: Uri(SESSIONS, "/", id),
        })
        .collect();
    let odata_type = "#SessionCollection.SessionCollection";
    respond::collection(&request, allow::CREATE, odata_type, "Sessions", links)
}

fn session<'a>(id: &'a str, username: &'a str) -> Session<'a> {
    Session {
        odata_id: Uri(SESSIONS, "/", id),
        odata_type: Session::TYPE,
        id,
        name: "User session",
        user_name: username,
    }
}

/// `POST /redfish/v1/SessionService/Sessions`
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RedfishState>,
) -> Answer {
    let body = parse::object(&state, &request, payload).await?;
    let mut fields = Fields::new(Purpose::Properties, body);
    let username = fields.text("UserName", LONGEST_CREDENTIAL);
    let password = fields.text("Password", LONGEST_CREDENTIAL);
    for (name, is_missing) in [("UserName", username.is_none()), ("Password", password.is_none())] {
        if is_missing {
            fields.missing(name);
        }
    }
    // Written by some clients together with the credentials.
    fields.text("SessionType", LONGEST_CREDENTIAL);
    fields.finish(&[])?;
    let (Some(username), Some(password)) = (username, password) else {
        return Err(RedfishError::internal());
    };
    match state.auth.check(&username, &password).await {
        Verdict::Accepted => {}
        Verdict::Refused => return Err(RedfishError::unauthorized(SESSIONS)),
        Verdict::Busy => return Err(RedfishError::busy()),
    }
    let Some(opened) = state.sessions.open(&username, state.clock.now()) else {
        return Err(RedfishError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            &message::SESSION_LIMIT_EXCEEDED,
            &[],
        ));
    };
    Ok(respond::head(StatusCode::CREATED, allow::CREATE)
        .insert_header((LOCATION, format!("{SESSIONS}/{}", opened.id)))
        .insert_header(("X-Auth-Token", opened.token))
        .body(serde_json::to_vec(&session(&opened.id, &username)).map_err(RedfishError::from)?))
}

/// `GET /redfish/v1/SessionService/Sessions/{session}`
pub(super) async fn get(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let id = request.match_info().get("session").unwrap_or_default();
    match state.sessions.username(id) {
        Some(username) => respond::json(allow::DELETE, &session(id, &username)),
        None => Err(RedfishError::missing(request.path())),
    }
}

/// `DELETE /redfish/v1/SessionService/Sessions/{session}`
pub(super) async fn delete(request: HttpRequest, state: web::Data<RedfishState>) -> Answer {
    let id = request.match_info().get("session").unwrap_or_default();
    if state.sessions.close(id) {
        Ok(respond::no_content())
    } else {
        Err(RedfishError::missing(request.path()))
    }
}
