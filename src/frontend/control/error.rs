//! How the control API says no.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use metalsim_actors::fault::NotChanged;
use metalsim_actors::shell::{AskError, ClusterError};
use serde_json::json;

use crate::cluster::registered::RegisterError;
use crate::frontend::body::BodyError;

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
    Method(String),
    /// A body that is not said to be JSON.
    #[error("the body must be of the type application/json")]
    NotJson,
    /// It contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// A change of the faults.
    #[error(transparent)]
    Fault(#[from] NotChanged),
    /// A query parameter.
    #[error("{0}")]
    Parameter(String),
    /// Secrets, of an API that has no token to ask for them with.
    #[error("secrets are shown only if control.token is set")]
    Secrets,
    /// Secrets, for somebody on another machine.
    #[error("a kubeconfig is shown only with a bearer token, or on the machine itself")]
    Remote,
    /// A body that is not what it should be.
    #[error("Invalid JSON: {0}")]
    Json(String),
    /// A body that did not come.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A name that several have.
    #[error("{0}")]
    Ambiguous(String),
    /// The cluster is not as it should be for that.
    #[error(transparent)]
    Cluster(#[from] RegisterError),
    /// Something cannot be made.
    #[error("{0}")]
    Internal(String),
    /// More readers of the events than there may be.
    #[error("too many readers of the events")]
    TooManyReaders,
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
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Parameter(_) | Self::Json(_) => StatusCode::BAD_REQUEST,
            Self::Secrets | Self::Remote => StatusCode::FORBIDDEN,
            Self::Body(error) => StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Ambiguous(_) | Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Fault(error) => match error {
                NotChanged::NameTaken(_) => StatusCode::CONFLICT,
                NotChanged::Unknown(_) => StatusCode::NOT_FOUND,
                NotChanged::Invalid(..) | NotChanged::TooMany => StatusCode::BAD_REQUEST,
            },
            Self::Cluster(error) => of_cluster(error),
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady | Self::TooManyReaders | Self::Node(AskError::Busy | AskError::Gone) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Node(AskError::Refused(_) | AskError::Fault) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        match self {
            Self::Unauthorised => response.insert_header((header::WWW_AUTHENTICATE, "Bearer")),
            Self::Method(allowed) => response.insert_header((header::ALLOW, allowed.as_str())),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((header::RETRY_AFTER, "1"))
            }
            _ => &mut response,
        };
        response.json(json!({"error": {"code": status.as_u16(), "message": self.to_string()}}))
    }
}

/// FKAS answers 500 to all of these; what it does not know has a status of its own.
fn of_cluster(error: &RegisterError) -> StatusCode {
    match error {
        RegisterError::OtherKeys(_) | RegisterError::Formed(_) => StatusCode::CONFLICT,
        RegisterError::Gone | RegisterError::Cluster(ClusterError::Busy | ClusterError::Gone) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RegisterError::Refused { status, .. } if matches!(status.code, 400 | 422) => StatusCode::BAD_REQUEST,
        RegisterError::Refused { .. }
        | RegisterError::Unknown
        | RegisterError::NotActivated
        | RegisterError::Lease(_)
        | RegisterError::Listen(_)
        | RegisterError::Start(_)
        | RegisterError::NoKeys(_)
        | RegisterError::Management(_)
        | RegisterError::Cluster(ClusterError::Fault) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
