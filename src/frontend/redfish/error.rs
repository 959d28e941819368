//! Errors in the form that Redfish gives them: status, headers and extended information.

use std::fmt;

use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use metalsim_actors::node::Refused;
use metalsim_actors::shell::AskError;
use metalsim_actors::wire::redfish::message::{self, Definition, ErrorBody, Message};

use crate::frontend::body::BodyError;

/// Seconds after which a client that found the service busy is told to come back.
const RETRY_SECONDS: &str = "1";

/// An answer that reports an error, or sends the client elsewhere.
#[derive(Debug)]
pub(super) struct RedfishError {
    status: StatusCode,
    messages: Vec<Message>,
    header: Option<(Header, String)>,
}

#[derive(Clone, Copy, Debug)]
enum Header {
    Allow,
    Location,
    RetryAfter,
    Challenge,
    Close,
}

impl RedfishError {
    /// One message.
    pub(super) fn new(status: StatusCode, definition: &'static Definition, arguments: &[&str]) -> Self {
        Self::of(status, vec![Message::new(definition, arguments)])
    }

    /// Several messages.
    pub(super) fn of(status: StatusCode, messages: Vec<Message>) -> Self {
        Self {
            status,
            messages,
            header: None,
        }
    }

    fn with(mut self, header: Header, value: &str) -> Self {
        self.header = Some((header, value.to_owned()));
        self
    }

    /// 400 with the message.
    pub(super) fn bad_request(message: Message) -> Self {
        Self::of(StatusCode::BAD_REQUEST, vec![message])
    }

    /// 404: nothing at this URI.
    pub(super) fn missing(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, &message::RESOURCE_MISSING_AT_URI, &[path])
    }

    /// 405.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            &message::OPERATION_NOT_ALLOWED,
            &[],
        )
        .with(Header::Allow, allow)
    }

    /// 401, without a word about what was wrong.
    pub(super) fn unauthorized(path: &str) -> Self {
        let why = "Invalid or missing credentials";
        Self::new(
            StatusCode::UNAUTHORIZED,
            &message::RESOURCE_AT_URI_UNAUTHORIZED,
            &[path, why],
        )
        .with(Header::Challenge, "Basic realm=\"metalsim\"")
    }

    /// 401: the token's session ended or never was.
    pub(super) fn no_valid_session() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, &message::NO_VALID_SESSION, &[])
            .with(Header::Challenge, "Basic realm=\"metalsim\"")
    }

    /// 503 with `Retry-After`.
    pub(super) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            &message::SERVICE_TEMPORARILY_UNAVAILABLE,
            &[RETRY_SECONDS],
        )
        .with(Header::RetryAfter, RETRY_SECONDS)
    }

    /// 500.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, &message::INTERNAL_ERROR, &[])
    }

    /// 412.
    pub(super) fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            &message::PRECONDITION_FAILED,
            &[],
        )
    }

    /// A redirect that keeps method and body: 308 for good, 307 for an alias.
    pub(super) fn redirect(permanent: bool, location: &str) -> Self {
        let status = if permanent {
            StatusCode::PERMANENT_REDIRECT
        } else {
            StatusCode::TEMPORARY_REDIRECT
        };
        Self::of(status, Vec::new()).with(Header::Location, location)
    }

    /// The answer.
    pub(super) fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response
            .insert_header(("OData-Version", "4.0"))
            .insert_header((CACHE_CONTROL, "no-cache"));
        if let Some((header, value)) = &self.header {
            match header {
                Header::Allow => response.insert_header((ALLOW, value.as_str())),
                Header::Location => response.insert_header((LOCATION, value.as_str())),
                Header::RetryAfter => response.insert_header((RETRY_AFTER, value.as_str())),
                Header::Challenge => response.insert_header((WWW_AUTHENTICATE, value.as_str())),
                Header::Close => response.force_close(),
            };
        }
        if self.messages.is_empty() {
            return response.finish();
        }
        match serde_json::to_vec(&ErrorBody::new(self.messages.clone())) {
            Ok(body) => response
                .insert_header((CONTENT_TYPE, "application/json"))
                .body(body),
            Err(_) => response.finish(),
        }
    }
}

impl fmt::Display for RedfishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.messages.first().map_or("", Message::id);
        write!(f, "{} {id}", self.status)
    }
}

impl ResponseError for RedfishError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

impl From<BodyError> for RedfishError {
    fn from(error: BodyError) -> Self {
        // What is left of the body must not be taken for the next request.
        match error {
            BodyError::TooLarge(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, &message::PAYLOAD_TOO_LARGE, &[])
                    .with(Header::Close, "")
            }
            BodyError::TimedOut => Self::new(StatusCode::REQUEST_TIMEOUT, &message::OPERATION_TIMEOUT, &[])
                .with(Header::Close, ""),
            BodyError::Busy => Self::busy(),
            BodyError::Incomplete => {
                Self::new(StatusCode::BAD_REQUEST, &message::UNRECOGNIZED_REQUEST_BODY, &[])
                    .with(Header::Close, "")
            }
        }
    }
}

impl From<serde_json::Error> for RedfishError {
    /// A payload that could not be written.
    fn from(_: serde_json::Error) -> Self {
        Self::internal()
    }
}

impl From<AskError> for RedfishError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Busy => Self::busy(),
            AskError::Refused(refused) => refused.into(),
            AskError::Fault | AskError::Gone => Self::internal(),
        }
    }
}

impl From<Refused> for RedfishError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::PreconditionFailed => Self::precondition_failed(),
            Refused::UnknownSlot(slot) => Self::new(
                StatusCode::NOT_FOUND,
                &message::RESOURCE_NOT_FOUND,
                &["VirtualMedia", &slot],
            ),
            Refused::BootTargetNotAllowed(target) => Self::bad_request(
                Message::new(
                    &message::PROPERTY_VALUE_NOT_IN_LIST,
                    &[&format!("{target:?}"), "BootSourceOverrideTarget"],
                )
                .about("#/Boot/BootSourceOverrideTarget".to_owned()),
            ),
            Refused::BootTargetNeedsUefi(_) => Self::bad_request(
                Message::new(
                    &message::PROPERTY_VALUE_CONFLICT,
                    &["BootSourceOverrideTarget", "BootSourceOverrideMode"],
                )
                .about("#/Boot/BootSourceOverrideTarget".to_owned()),
            ),
            Refused::SecureBootNeedsUefi => Self::bad_request(Message::new(
                &message::PROPERTY_VALUE_CONFLICT,
                &["SecureBootEnable", "BootSourceOverrideMode"],
            )),
            Refused::UnknownBiosAttribute(name) => Self::bad_request(
                Message::new(&message::PROPERTY_UNKNOWN, &[&name]).about(format!("#/Attributes/{name}")),
            ),
            Refused::BiosAttributeType { name, expected } => Self::bad_request(
                Message::new(&message::PROPERTY_VALUE_TYPE_ERROR, &["", &name])
                    .about(format!("#/Attributes/{name}"))
                    .advise(&format!("The attribute is of type {expected}.")),
            ),
            Refused::UpdateRunning => Self::new(StatusCode::CONFLICT, &message::RESOURCE_IN_USE, &[]),
            Refused::UnknownTask(number) => Self::new(
                StatusCode::NOT_FOUND,
                &message::RESOURCE_NOT_FOUND,
                &["Task", &number.to_string()],
            ),
            // None of them answers a command of the BMC.
            Refused::NoAgent | Refused::Agent(_) | Refused::Stale => Self::internal(),
        }
    }
}

/// The methods of a resource as the `Allow` header lists them.
pub(super) mod allow {
    /// Read only.
    pub(in super::super) const READ: &str = "GET, HEAD";
    /// Also written.
    pub(in super::super) const PATCH: &str = "GET, HEAD, PATCH";
    /// A collection that takes new members.
    pub(in super::super) const CREATE: &str = "GET, HEAD, POST";
    /// A member that can be removed.
    pub(in super::super) const DELETE: &str = "GET, HEAD, DELETE";
    /// An action.
    pub(in super::super) const ACTION: &str = "POST";
}

/// Whether the method only reads.
pub(super) fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}
