//! Bodies of writes, brought into the form in which the server keeps them.

use std::fmt::Write as _;

use serde_json::Value;

use super::Target;
use crate::kube::convert;
use crate::kube::object::Draft;
use crate::kube::schema::{Schema, strict};
use crate::kube::status::{FieldError, Named, Reason, Status};

/// Bytes of a body that errors quote.
const SUMMARY: usize = 30;

/// Reads a body that is in the target's version.
pub(super) fn draft(target: Target<'_>, mut body: Value) -> Result<Draft, Status> {
    if let Some(found) = no_object(&body) {
        return Err(unrecognised(target, found, &body));
    }
    convert::check_type(target.resource, target.version, &body)?;
    shape(target, &mut body)?;
    Draft::from_value(
        convert::to_storage(target.resource, target.version, body),
        &target.resource.kind,
    )
}

/// Brings a body of a built-in kind into the form that the server writes: unknown fields go, what Go always writes comes.
fn shape(target: Target<'_>, body: &mut Value) -> Result<(), Status> {
    let resource = target.resource;
    if resource.custom {
        return Ok(());
    }
    let schema = Schema::built_in();
    let Some(message) = schema.kind_of(&resource.group, target.version, &resource.kind) else {
        return Ok(());
    };
    if let Some(error) = strict::type_error(message, body) {
        return Err(unreadable(target, &error));
    }
    if let Some(body) = body.as_object_mut() {
        schema
            .normalise(message, body)
            .map_err(|error| unreadable(target, &error.to_string()))?;
    }
    Ok(())
}

/// 400 for a body that is no object of its kind (apiserver: `pkg/endpoints/handlers/rest.go`, `transformDecodeError`).
fn unreadable(target: Target<'_>, error: &str) -> Status {
    let kind = &target.resource.kind;
    Status::bad_request(format!(
        "{kind} in version \"{}\" cannot be handled as a {kind}: {error}",
        target.version
    ))
}

/// Go's name of JSON that cannot be read into a struct. `null` can.
const fn no_object(body: &Value) -> Option<&'static str> {
    match body {
        Value::Object(_) | Value::Null => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("bool"),
    }
}

/// 400 for a body in which kind and version cannot be looked for (apiserver: `pkg/endpoints/handlers/rest.go`, `transformDecodeError`,
/// `summarizeData`; apimachinery: `pkg/runtime/serializer/json/meta.go`).
fn unrecognised(target: Target<'_>, found: &str, body: &Value) -> Status {
    let text = body.to_string();
    let bytes = text.as_bytes();
    let mut summary = String::new();
    for byte in bytes.iter().take(SUMMARY) {
        let _ = write!(summary, "{byte:02x}");
    }
    if bytes.len() > SUMMARY {
        summary.push_str(" ...");
    }
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }} ({summary})",
        target.resource.kind
    ))
}

/// What is wrong with a patched object is wrong with the patch (apiserver: `pkg/endpoints/handlers/patch.go`).
pub(super) fn in_patch(status: Status, patched: &Value) -> Status {
    if !status.is(Reason::BadRequest) || !status.message.contains("json: ") {
        return status;
    }
    let why = status
        .message
        .find("json: ")
        .and_then(|start| status.message.get(start..))
        .unwrap_or_default();
    let nothing = Named {
        group: "",
        resource: "",
    };
    Status::invalid(
        nothing,
        "",
        &[FieldError::invalid("patch", patched.to_string(), why)],
    )
}
