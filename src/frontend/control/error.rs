//! How the control API says no.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use metalsim_actors::shell::AskError;
use serde_json::json;

/// A request that was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// No or another token.
    #[error("a bearer token is required")]
    Unauthorised,
    /// Nothing there.
    #[error("{0}")]
    NotFound(String),
    /// A method that the resource has not.
    #[error("the method is not allowed here")]
    Method,
    /// A query parameter.
    #[error("{0}")]
    Parameter(String),
    /// Secrets, of an API that has no token to ask for them with.
    #[error("secrets are shown only if control.token is set")]
    Secrets,
    /// Not every listener is open.
    #[error("not ready")]
    NotReady,
    /// The node gave no answer.
    #[error(transparent)]
    Node(#[from] AskError),
}

impl ResponseError for ControlError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthorised => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Parameter(_) => StatusCode::BAD_REQUEST,
            Self::Secrets => StatusCode::FORBIDDEN,
            Self::NotReady | Self::Node(AskError::Busy | AskError::Gone) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Node(AskError::Refused(_) | AskError::Fault) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        match self {
            Self::Unauthorised => response.insert_header((header::WWW_AUTHENTICATE, "Bearer")),
            Self::Method => response.insert_header((header::ALLOW, "GET, HEAD")),
            Self::NotReady | Self::Node(_) if status == StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((header::RETRY_AFTER, "1"))
            }
            Self::NotFound(_) | Self::Parameter(_) | Self::Secrets | Self::NotReady | Self::Node(_) => {
                &mut response
            }
        };
        response.json(json!({"error": {"code": status.as_u16(), "message": self.to_string()}}))
    }
}
