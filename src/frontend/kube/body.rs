//! Bodies of requests: JSON, YAML or protobuf, into one form.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use metalsim_actors::kube::crd;
use metalsim_actors::kube::schema::{Schema, protobuf, strict};
use metalsim_actors::kube::status::Status;
use serde_json::Value;

use super::call::Place;
use super::query::FieldValidation;
use crate::frontend::body::BodyError;

/// A body that was read, and what the client is to be warned of.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) warnings: Warnings,
}

/// Texts for `Warning` headers.
#[derive(Debug, Default)]
pub(super) struct Warnings(Vec<String>);

impl Warnings {
    pub(super) fn push(&mut self, text: String) {
        self.0.push(text);
    }

    /// Puts them into the answer's head (RFC 7234, 5.5; kubernetes: `apiserver/pkg/warning`).
    pub(super) fn attach(self, mut answer: HttpResponse) -> HttpResponse {
        for text in self.0 {
            let quoted: String = text
                .chars()
                .filter(|letter| !letter.is_control())
                .flat_map(|letter| match letter {
                    '"' | '\\' => vec!['\\', letter],
                    letter => vec![letter],
                })
                .collect();
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
                answer
                    .headers_mut()
                    .append(HeaderName::from_static("warning"), value);
            }
        }
        answer
    }
}

/// The media type of a body, without parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// Reads the body of a write to `place`. Fields that its kind does not have are dropped, warned of or refused.
///
/// # Errors
/// 400 for a malformed body, 415 for another type.
pub(super) fn document(
    headers: &HeaderMap,
    bytes: &[u8],
    place: &Place,
    validation: FieldValidation,
) -> Result<Document, Status> {
    let media_type = media_type(headers);
    let (api_version, kind) = place.expected();
    let value = read(headers, bytes, (&api_version, &kind))?;
    let mut warnings = Warnings::default();
    if validation == FieldValidation::Ignore || media_type == PROTOBUF || media_type == JSON_PATCH {
        return Ok(Document { value, warnings });
    }
    let mut found = unexpected(place, &media_type, bytes, &value);
    if media_type == STRATEGIC {
        // Orders of the patch are no fields.
        found.retain(|sentence| !sentence.contains('$'));
    }
    if found.is_empty() {
        return Ok(Document { value, warnings });
    }
    if validation == FieldValidation::Strict {
        return Err(Status::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {kind}: strict decoding error: {}",
            place.version,
            found.join(", ")
        )));
    }
    for sentence in found {
        warnings.push(sentence);
    }
    Ok(Document { value, warnings })
}

/// Fields that do not belong into a body, as sentences.
fn unexpected(place: &Place, media_type: &str, bytes: &[u8], value: &Value) -> Vec<String> {
    let resource = &place.resource;
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|_| !matches!(media_type, YAML | APPLY));
    if resource.custom
        && place
            .subresource()
            .is_none_or(|subresource| subresource.kind.is_none())
    {
        let mut found = text
            .and_then(|text| strict::duplicate_fields(text).ok())
            .unwrap_or_default();
        found.extend(crd::unknown_fields(resource, &place.version, value));
        return found;
    }
    let (api_version, kind) = place.expected();
    let Some(message) = Schema::built_in().kind(&api_version, &kind) else {
        return Vec::new();
    };
    text.and_then(|text| strict::inspect(message, text).ok())
        .unwrap_or_else(|| strict::inspect_value(message, value))
        .strict
}

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const YAML: &str = "application/yaml";
const APPLY: &str = "application/apply-patch+yaml";
const JSON_PATCH: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Reads a body; `expected` is the `apiVersion` and kind of one in protobuf that does not name them.
///
/// # Errors
/// 400 for a malformed body, 415 for another type.
pub(super) fn read(headers: &HeaderMap, bytes: &[u8], expected: (&str, &str)) -> Result<Value, Status> {
    match media_type(headers).as_str() {
        // A client that does not say (curl without -H) is taken to send JSON.
        "" | "application/json" | "text/json" => json(bytes),
        YAML | APPLY => yaml(bytes),
        JSON_PATCH | STRATEGIC | "application/merge-patch+json" => json(bytes),
        PROTOBUF => protobuf::decode_as(bytes, Some(expected))
            .map(|decoded| Value::Object(decoded.object))
            .map_err(|error| Status::bad_request(error.to_string())),
        _ => Err(Status::unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

fn json(bytes: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))
}

fn yaml(bytes: &[u8]) -> Result<Value, Status> {
    let refuse = |error: &dyn std::fmt::Display| {
        Status::bad_request(format!("error converting YAML to JSON: yaml: {error}"))
    };
    let text = std::str::from_utf8(bytes).map_err(|error| refuse(&error))?;
    // Most appliers send JSON under this type.
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    serde_saphyr::from_str(text).map_err(|error| refuse(&error))
}

/// What a client is told whose body could not be read.
pub(super) fn refused(error: BodyError) -> Status {
    match error {
        BodyError::TooLarge(limit) => Status::too_big(&format!("limit is {limit}")),
        BodyError::TimedOut => Status::failure(
            metalsim_actors::kube::status::Reason::Timeout,
            "the body did not come in time",
        ),
        BodyError::Busy => {
            Status::too_many_requests("too many requests, please try again later.").retry_after(1)
        }
        BodyError::Incomplete => Status::bad_request("the body is incomplete"),
    }
}
