//! `Status`: how the API server refuses, and how it confirms what has no object to show.
//!
//! Messages, reasons and codes are those of a real server (kubernetes: `apimachinery/pkg/api/errors/errors.go`,
//! `apimachinery/pkg/util/validation/field/errors.go`): clients branch on reason and code, people read the message.

mod generic;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Machine-readable reason of a failure (kubernetes: `meta/v1/types.go`, `StatusReason`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's own words")]
pub enum Reason {
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
}

impl Reason {
    /// The HTTP status that goes with the reason.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError | Self::ServerTimeout => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// One cause in `details.causes`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Cause {
    /// `FieldValueInvalid`, `FieldManagerConflict`, `DisruptionBudget`, ...
    #[serde(rename = "reason", default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, `spec.ports[0].name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// The object or resource that a status is about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Name of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group, empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The *resource* (`pods`) for most reasons, the kind (`Pod`) for `Invalid`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object, in confirmations of a deletion.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Single faults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds after which a retry makes sense; 0 = not said.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// The answer of a call that has no object to return: a failure, or the confirmation of a deletion.
///
/// It serialises to the wire's form, with `kind: Status` and `apiVersion: v1`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// Why it failed; `None` for a success, and for a failure that the server has no word for.
    pub reason: Option<Reason>,
    /// HTTP status.
    pub code: u16,
    /// Text for people; empty for a success.
    pub message: String,
    /// What it is about.
    pub details: Option<Box<Details>>,
    /// `metadata.continue`: a token to go on with after an expired one.
    pub resume: Option<String>,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", "Status")?;
        map.serialize_entry("apiVersion", "v1")?;
        let resume = self.resume.iter().map(|token| ("continue", token));
        map.serialize_entry("metadata", &resume.collect::<BTreeMap<_, _>>())?;
        map.serialize_entry("status", if self.is_failure() { "Failure" } else { "Success" })?;
        if !self.message.is_empty() {
            map.serialize_entry("message", &self.message)?;
        }
        if let Some(reason) = self.reason {
            map.serialize_entry("reason", &reason)?;
        }
        if let Some(details) = &self.details {
            map.serialize_entry("details", details)?;
        }
        // A success that confirms a deletion carries no code on the wire (kubernetes: `handlers/delete.go`).
        if self.is_failure() {
            map.serialize_entry("code", &self.code)?;
        }
        map.end()
    }
}

/// A group and a resource, printed `deployments.apps` or, in the core group, `pods`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Resource (`pods`), or kind (`Pod`) where the server prints kinds.
    pub resource: &'a str,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource)?;
        if self.group.is_empty() {
            Ok(())
        } else {
            write!(f, ".{}", self.group)
        }
    }
}

impl Status {
    /// A failure without details.
    #[must_use]
    pub fn failure(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason: Some(reason),
            code: reason.code(),
            message: message.into(),
            details: None,
            resume: None,
        }
    }

    fn about(reason: Reason, of: Named<'_>, name: &str, message: String) -> Self {
        Self {
            details: Some(Box::new(Details {
                name: name.to_owned(),
                group: of.group.to_owned(),
                kind: of.resource.to_owned(),
                ..Details::default()
            })),
            ..Self::failure(reason, message)
        }
    }

    /// 200: an object was deleted and is gone.
    #[must_use]
    pub fn deleted(of: Named<'_>, name: &str, uid: &str) -> Self {
        Self {
            reason: None,
            code: 200,
            message: String::new(),
            details: Some(Box::new(Details {
                name: name.to_owned(),
                group: of.group.to_owned(),
                kind: of.resource.to_owned(),
                uid: uid.to_owned(),
                ..Details::default()
            })),
            resume: None,
        }
    }

    /// A success that says nothing more.
    #[must_use]
    pub const fn success(code: u16) -> Self {
        Self {
            reason: None,
            code,
            message: String::new(),
            details: None,
            resume: None,
        }
    }

    /// 404: no object of that name.
    #[must_use]
    pub fn not_found(of: Named<'_>, name: &str) -> Self {
        Self::about(
            Reason::NotFound,
            of,
            name,
            format!("{of} {} not found", quote(name)),
        )
    }

    /// 404 for a path or resource that is not served.
    #[must_use]
    pub fn unknown_resource() -> Self {
        Self {
            details: Some(Box::default()),
            ..Self::failure(
                Reason::NotFound,
                "the server could not find the requested resource",
            )
        }
    }

    /// 409: the name is taken.
    #[must_use]
    pub fn already_exists(of: Named<'_>, name: &str) -> Self {
        let message = format!("{of} {} already exists", quote(name));
        Self::about(Reason::AlreadyExists, of, name, message)
    }

    /// 409: every generated name was taken.
    #[must_use]
    pub fn generate_name_conflict(of: Named<'_>, name: &str) -> Self {
        let message = format!(
            "{of} {} already exists, the server was not able to generate a unique name for the object",
            quote(name)
        );
        Self::about(Reason::AlreadyExists, of, name, message).retry_after(1)
    }

    /// 403.
    #[must_use]
    pub fn forbidden(of: Named<'_>, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{of} is forbidden: {why}")
        } else {
            format!("{of} {} is forbidden: {why}", quote(name))
        };
        Self::about(Reason::Forbidden, of, name, message)
    }

    /// 409: the object changed, or a precondition does not hold.
    #[must_use]
    pub fn conflict(of: Named<'_>, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {of} {}: {why}", quote(name));
        Self::about(Reason::Conflict, of, name, message)
    }

    /// 409: the writer's `resourceVersion` is not the present one.
    #[must_use]
    pub fn modified(of: Named<'_>, name: &str) -> Self {
        Self::conflict(
            of,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 422 with one cause for each error. `of.resource` is the *kind* here, as the server prints it.
    #[must_use]
    pub fn invalid(of: Named<'_>, name: &str, errors: &[FieldError]) -> Self {
        let mut message = format!("{of} {} is invalid", quote(name));
        let mut texts: Vec<String> = Vec::new();
        for error in errors {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.as_slice() {
            [] => {}
            [one] => {
                let _ = write!(message, ": {one}");
            }
            many => {
                let _ = write!(message, ": [{}]", many.join(", "));
            }
        }
        let mut status = Self::about(Reason::Invalid, of, name, message);
        if let Some(details) = &mut status.details {
            details.causes = errors.iter().map(FieldError::cause).collect();
        }
        status
    }

    /// 400.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(Reason::BadRequest, message)
    }

    /// 405.
    #[must_use]
    pub fn method_not_supported(of: Named<'_>, action: &str) -> Self {
        let message = format!(
            "{action} is not supported on resources of kind {}",
            quote(&of.to_string())
        );
        Self::about(Reason::MethodNotAllowed, of, "", message)
    }

    /// 410: the history does not reach back that far.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(Reason::Expired, message)
    }

    /// 410 for a watch or list from version `asked` when `oldest` is the oldest retained.
    #[must_use]
    pub fn too_old(asked: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    /// 504: the version lies in the future (kubernetes: `apiserver/pkg/storage/errors.go`).
    #[must_use]
    pub fn too_large(asked: u64, current: u64) -> Self {
        let mut status = Self::failure(
            Reason::Timeout,
            format!("Timeout: Too large resource version: {asked}, current: {current}"),
        );
        status.details = Some(Box::new(Details {
            causes: vec![Cause {
                kind: "ResourceVersionTooLarge".to_owned(),
                message: "Too large resource version".to_owned(),
                field: String::new(),
            }],
            retry_after_seconds: 1,
            ..Details::default()
        }));
        status
    }

    /// 413.
    #[must_use]
    pub fn too_big(message: &str) -> Self {
        Self::failure(
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: {message}"),
        )
    }

    /// 415.
    #[must_use]
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::failure(Reason::UnsupportedMediaType, message)
    }

    /// 500.
    #[must_use]
    pub fn internal(why: &str) -> Self {
        let mut status = Self::failure(Reason::InternalError, format!("Internal error occurred: {why}"));
        status.details = Some(Box::new(Details {
            causes: vec![Cause {
                message: why.to_owned(),
                ..Cause::default()
            }],
            ..Details::default()
        }));
        status
    }

    /// 429 of the eviction subresource and of limits.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>) -> Self {
        Self {
            details: Some(Box::default()),
            ..Self::failure(Reason::TooManyRequests, message)
        }
    }

    /// The same status with one more cause.
    #[must_use]
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// The same status with `retryAfterSeconds`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    /// 500 for an error of what stands behind the server, in its words (kubernetes: `responsewriters/status.go`, `ErrorToAPIStatus`).
    #[must_use]
    pub fn behind(message: impl Into<String>) -> Self {
        Self {
            reason: None,
            ..Self::failure(Reason::InternalError, message)
        }
    }

    /// Whether it is no success.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        self.code >= 400
    }

    /// Whether the reason is `reason`.
    #[must_use]
    pub fn is(&self, reason: Reason) -> bool {
        self.reason == Some(reason)
    }
}

/// What is wrong with a field (kubernetes: `field/errors.go`, `ErrorType`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are the wire's own words")]
pub enum FieldFault {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    TypeInvalid,
}

impl FieldFault {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => ("FieldValueNotFound", "Not found"),
            Self::Required => ("FieldValueRequired", "Required value"),
            Self::Duplicate => ("FieldValueDuplicate", "Duplicate value"),
            Self::Invalid => ("FieldValueInvalid", "Invalid value"),
            Self::NotSupported => ("FieldValueNotSupported", "Unsupported value"),
            Self::Forbidden => ("FieldValueForbidden", "Forbidden"),
            Self::TooLong => ("FieldValueTooLong", "Too long"),
            Self::TooMany => ("FieldValueTooMany", "Too many"),
            Self::TypeInvalid => ("FieldValueTypeInvalid", "Invalid value"),
        }
    }
}

/// One fault in one field: a cause of a 422.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldError {
    /// Kind of fault.
    pub fault: FieldFault,
    /// Path, `metadata.labels`.
    pub field: String,
    /// The refused value, where the server prints it.
    pub value: Option<Value>,
    /// Explanation; may be empty.
    pub detail: String,
}

impl FieldError {
    /// A value that is not allowed.
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self {
            fault: FieldFault::Invalid,
            field: field.into(),
            value: Some(value.into()),
            detail: detail.into(),
        }
    }

    /// A missing value.
    #[must_use]
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            fault: FieldFault::Required,
            field: field.into(),
            value: None,
            detail: detail.into(),
        }
    }

    /// A field that must not be set (so).
    #[must_use]
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            fault: FieldFault::Forbidden,
            ..Self::required(field, detail)
        }
    }

    /// A value over its limit in bytes.
    #[must_use]
    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self {
            fault: FieldFault::TooLong,
            ..Self::required(field, format!("may not be more than {limit} bytes"))
        }
    }

    fn body(&self) -> String {
        let mut text = self.fault.words().1.to_owned();
        let shows_value = !matches!(
            self.fault,
            FieldFault::Required | FieldFault::Forbidden | FieldFault::TooLong
        );
        if let (true, Some(value)) = (shows_value, &self.value) {
            let shown = match value {
                Value::String(text) => quote(text),
                other => other.to_string(),
            };
            let _ = write!(text, ": {shown}");
        }
        if !self.detail.is_empty() {
            let _ = write!(text, ": {}", self.detail);
        }
        text
    }

    fn cause(&self) -> Cause {
        Cause {
            kind: self.fault.words().0.to_owned(),
            message: self.body(),
            field: self.field.clone(),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// `text` in quotes, as Go's `%q` prints it.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
