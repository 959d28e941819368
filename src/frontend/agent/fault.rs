//! How the API says no.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use metalsim_actors::node::Refused;
use metalsim_actors::shell::AskError;
use serde_json::json;

use crate::frontend::body::BodyError;
use crate::frontend::connection::Connection;

/// A request that was not carried out.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody is there to answer.
    Unanswered,
    /// An error with a text that Ironic looks into: every one must have a `faultstring`.
    Status(u16, String),
    /// Too much is under way: come back later.
    Busy(String),
}

impl Fault {
    /// 400 with werkzeug's prefix.
    pub(super) fn bad_request(text: &str) -> Self {
        Self::Status(400, format!("400 Bad Request: {text}"))
    }

    /// The answer.
    pub(super) fn response(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::Unanswered => {
                if let Some(connection) = Connection::of(request) {
                    connection.drop_unanswered();
                }
                // Not sent: the connection is closed first.
                HttpResponse::ServiceUnavailable().force_close().finish()
            }
            Self::Status(status, text) => fault(status, &text),
            Self::Busy(text) => {
                let mut response = fault(503, &text);
                let soon = header::HeaderValue::from_static("1");
                response.headers_mut().insert(header::RETRY_AFTER, soon);
                response
            }
        }
    }
}

fn fault(status: u16, text: &str) -> HttpResponse {
    let code = if status >= 500 { "Server" } else { "Client" };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).json(json!({"faultcode": code, "faultstring": text}))
}

impl From<AskError> for Fault {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Busy => Self::Busy(error.to_string()),
            AskError::Gone | AskError::Refused(Refused::NoAgent) => Self::Unanswered,
            AskError::Refused(Refused::Agent(refused)) => Self::Status(refused.status(), refused.to_string()),
            // The other refusals belong to the BMC and cannot come from an agent's request.
            AskError::Refused(_) | AskError::Fault => Self::Status(500, error.to_string()),
        }
    }
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(_) => Self::Status(413, format!("413 Request Entity Too Large: {error}")),
            BodyError::TimedOut => Self::Status(408, format!("408 Request Timeout: {error}")),
            BodyError::Incomplete => Self::bad_request(&error.to_string()),
            BodyError::Busy => Self::Busy(error.to_string()),
        }
    }
}
