//! Failures of which nothing but the HTTP status is known.

use super::{Reason, Status};

impl Status {
    /// A failure with this HTTP status, as generic as a server says it (kubernetes: `apimachinery/pkg/api/errors/errors.go`,
    /// `NewInternalError`, `NewServiceUnavailable`, `NewTimeoutError`, `NewGenericServerResponse`).
    #[must_use]
    pub fn of_code(code: u16) -> Self {
        let (reason, message) = match code {
            400 => (
                Reason::BadRequest,
                "the server rejected our request for an unknown reason",
            ),
            401 => (Reason::Unauthorized, "Unauthorized"),
            403 => (
                Reason::Forbidden,
                "the server does not allow access to the requested resource",
            ),
            404 => return Self::unknown_resource(),
            405 => (
                Reason::MethodNotAllowed,
                "the server does not allow this method on the requested resource",
            ),
            406 => (
                Reason::NotAcceptable,
                "the server was unable to respond with a content type that the client supports",
            ),
            409 => (Reason::Conflict, "the server reported a conflict"),
            410 => (Reason::Gone, "the requested resource is no longer available"),
            413 => (
                Reason::RequestEntityTooLarge,
                "Request entity too large: limit is 3145728",
            ),
            415 => (
                Reason::UnsupportedMediaType,
                "the server was unable to respond with a content type that the client supports",
            ),
            422 => (
                Reason::Invalid,
                "the server rejected our request due to an error in our request",
            ),
            429 => {
                return Self::too_many_requests(
                    "the server has received too many requests and has asked us to try again later",
                );
            }
            500 => return Self::internal("an error on the server has prevented the request from succeeding"),
            503 => (
                Reason::ServiceUnavailable,
                "the server is currently unable to handle the request",
            ),
            504 => (
                Reason::Timeout,
                "Timeout: request did not complete within requested timeout - context deadline exceeded",
            ),
            _ => {
                let message = format!(
                    "the server responded with the status code {code} but did not return more information"
                );
                return Self {
                    reason: (code >= 500).then_some(Reason::InternalError),
                    code,
                    ..Self::failure(Reason::InternalError, message)
                };
            }
        };
        Self {
            details: Some(Box::default()),
            ..Self::failure(reason, message)
        }
    }
}
