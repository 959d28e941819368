//! Bodies of writes, brought into the form in which the server keeps them.

use serde_json::Value;

use super::{PatchKind, Target};
use crate::kube::object::Draft;
use crate::kube::schema::{Schema, strict};
use crate::kube::status::{FieldError, Named, Reason, Status};
use crate::kube::{apply, convert, crd, go};

/// Reads a body that is in the target's version.
pub(super) fn draft(target: Target<'_>, body: Value) -> Result<Draft, Status> {
    Ok(read(target, body, false)?.0)
}

/// Reads a body that is in the target's version, and what its kind does not have: `unknown field "spec.foo"`.
pub(super) fn draft_with_unknown(target: Target<'_>, body: Value) -> Result<(Draft, Vec<String>), Status> {
    read(target, body, true)
}

fn read(target: Target<'_>, mut body: Value, ask: bool) -> Result<(Draft, Vec<String>), Status> {
    if !body.is_object() && !body.is_null() {
        return Err(unrecognised(target, &body));
    }
    convert::check_type(target.resource, target.version, &body)?;
    let unknown = if !target.resource.custom {
        shape(target, &mut body)?
    } else if ask {
        crd::unknown_fields(target.resource, target.version, &body)
    } else {
        Vec::new()
    };
    let draft = Draft::from_value(
        convert::to_storage(target.resource, target.version, body),
        &target.resource.kind,
    )?;
    Ok((draft, unknown))
}

/// Checks that an applied configuration has the fields of its kind, and values of their types.
pub(super) fn check_applied(target: Target<'_>, config: &Value) -> Result<(), Status> {
    let resource = target.resource;
    let api_version = resource.api_version(target.version);
    if resource.custom {
        let faults: Vec<String> = crd::unknown_fields(resource, target.version, config)
            .iter()
            .filter_map(|sentence| sentence.strip_prefix("unknown field \"")?.strip_suffix('"'))
            .map(|path| format!(".{path}: field not declared in schema"))
            .collect();
        return apply::untyped(config, &api_version, &faults);
    }
    let message = Schema::built_in().kind_of(&resource.group, target.version, &resource.kind);
    match (message, resource.version(target.version)) {
        (Some(message), Some(version)) => apply::check_typed(message, &version.layout, config, &api_version),
        _ => Ok(()),
    }
}

/// Brings a body of a built-in kind into the form that the server writes: unknown fields go, what Go always writes comes. The
/// unknown fields, as sentences.
fn shape(target: Target<'_>, body: &mut Value) -> Result<Vec<String>, Status> {
    let resource = target.resource;
    let schema = Schema::built_in();
    let Some(message) = schema.kind_of(&resource.group, target.version, &resource.kind) else {
        return Ok(Vec::new());
    };
    let findings = strict::inspect_value(message, body);
    if let Some(error) = findings.type_error {
        return Err(unreadable(target, &error));
    }
    if let Some(body) = body.as_object_mut() {
        schema
            .normalise(message, body)
            .map_err(|error| unreadable(target, &error.to_string()))?;
    }
    Ok(findings.strict)
}

/// 400 for a body that is no object of its kind (apiserver: `pkg/endpoints/handlers/rest.go`, `transformDecodeError`).
fn unreadable(target: Target<'_>, error: &str) -> Status {
    let kind = &target.resource.kind;
    Status::bad_request(format!(
        "{kind} in version \"{}\" cannot be handled as a {kind}: {error}",
        target.version
    ))
}

/// 400 for a body in which kind and version cannot be looked for (apiserver: `pkg/endpoints/handlers/rest.go`, `transformDecodeError`,
/// `summarizeData`; apimachinery: `pkg/runtime/serializer/json/meta.go`).
fn unrecognised(target: Target<'_>, body: &Value) -> Status {
    let summary = go::summary(body.to_string().as_bytes());
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }} ({summary})",
        target.resource.kind,
        go::kind(body)
    ))
}

/// What is wrong with a patched object is wrong with the patch (apiserver: `pkg/endpoints/handlers/patch.go`).
pub(super) fn in_patch(status: Status, shown: &str) -> Status {
    /// How the errors of decoders begin.
    const DECODING: [&str; 3] = ["json: ", "converting (", "no kind "];
    if !status.is(Reason::BadRequest) {
        return status;
    }
    let start = DECODING.iter().find_map(|words| status.message.find(words));
    let Some(why) = start.and_then(|start| status.message.get(start..)) else {
        return status;
    };
    wrong_patch(shown, why)
}

/// 422 for a patch that gives no object of the kind. `shown` is how a patch is shown.
pub(super) fn wrong_patch(shown: &str, why: &str) -> Status {
    let nothing = Named {
        group: "",
        resource: "",
    };
    Status::invalid(nothing, "", &[FieldError::invalid("patch", shown, why)])
}

/// A patch as errors quote it: the object that it gives, or, of a strategic merge, what it says.
pub(super) fn shown(kind: PatchKind, patch: &Value, patched: &Value) -> String {
    match kind {
        PatchKind::Strategic => go::value(patch),
        _ => patched.to_string(),
    }
}

/// The name in a body is the one in the path (kubernetes: `apiserver/pkg/endpoints/handlers/rest.go`, checkName).
pub(super) fn check_name(draft: &Draft, name: &str) -> Result<(), Status> {
    match draft.meta.name.as_str() {
        given if given == name => Ok(()),
        "" => Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        given => Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
    }
}

/// Fills in the namespace, which may not be another one than that of the request.
pub(super) fn set_namespace(target: Target<'_>, draft: &mut Draft) -> Result<(), Status> {
    let wanted = target
        .namespace
        .filter(|_| target.resource.namespaced)
        .unwrap_or("");
    if draft.meta.namespace.is_empty() || !target.resource.namespaced {
        wanted.clone_into(&mut draft.meta.namespace);
    } else if draft.meta.namespace != wanted {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}
