//! Bodies of requests: JSON, YAML or protobuf, into one form.

use std::cell::RefCell;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use metalsim_actors::kube::schema::{Schema, protobuf, strict};
use metalsim_actors::kube::status::{Status, quote};
use metalsim_actors::kube::{crd, go};
use serde_json::Value;

use super::call::Place;
use super::query::FieldValidation;
use crate::frontend::body::BodyError;

/// A body that was read, and what the client is to be warned of.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) warnings: Warnings,
    /// What a patch itself has that does not belong there, as sentences.
    pub(super) in_patch: Vec<String>,
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

/// Reads the body of a write to `place`. Fields that its kind does not have are dropped, warned of or refused; those of patches are
/// looked for in what they give, by [`PatchCheck`].
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
    let mut document = Document {
        value,
        ..Document::default()
    };
    if validation == FieldValidation::Ignore {
        return Ok(document);
    }
    match media_type.as_str() {
        // Unknown fields have numbers, and are skipped; an applied one is refused by the schema of its kind.
        PROTOBUF | APPLY => return Ok(document),
        JSON_PATCH => {
            document.in_patch = patch_fields(bytes, &document.value);
            return Ok(document);
        }
        MERGE | STRATEGIC => {
            document.in_patch = duplicate_fields(bytes);
            return Ok(document);
        }
        _ => {}
    }
    let found = unexpected(place, &media_type, bytes, &document.value);
    if found.is_empty() {
        return Ok(document);
    }
    if validation == FieldValidation::Strict {
        return Err(Status::bad_request(format!(
            "{kind} in version {} cannot be handled as a {kind}: {}",
            quote(version_of(&api_version)),
            strict_error(&found)
        )));
    }
    for sentence in found {
        document.warnings.push(sentence);
    }
    Ok(document)
}

fn version_of(api_version: &str) -> &str {
    api_version
        .split_once('/')
        .map_or(api_version, |(_, version)| version)
}

fn strict_error(found: &[String]) -> String {
    format!("strict decoding error: {}", found.join(", "))
}

fn duplicate_fields(bytes: &[u8]) -> Vec<String> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| strict::duplicate_fields(text).ok())
        .unwrap_or_default()
}

/// What the operations of a JSON patch have that is twice there, or that operations do not have (apiserver:
/// `pkg/endpoints/handlers/patch.go`, `jsonPatchOp`).
fn patch_fields(bytes: &[u8], patch: &Value) -> Vec<String> {
    /// Sentences of one patch.
    const MOST: usize = 100;
    let mut found = duplicate_fields(bytes);
    for (index, operation) in patch.as_array().into_iter().flatten().enumerate() {
        let fields = operation.as_object().into_iter().flat_map(|fields| fields.keys());
        for field in fields.filter(|field| !matches!(field.as_str(), "op" | "path" | "from" | "value")) {
            found.push(format!("unknown field {}", quote(&format!("[{index}].{field}"))));
        }
    }
    found.truncate(MOST);
    found
        .into_iter()
        .map(|sentence| format!("json patch {sentence}"))
        .collect()
}

/// Looks at what a patch gives, while it is done.
#[derive(Debug)]
pub(super) struct PatchCheck {
    validation: FieldValidation,
    in_patch: Vec<String>,
    found: RefCell<Vec<String>>,
}

impl PatchCheck {
    /// `in_patch`: what was found in the patch itself.
    pub(super) const fn new(validation: FieldValidation, in_patch: Vec<String>) -> Self {
        Self {
            validation,
            in_patch,
            found: RefCell::new(Vec::new()),
        }
    }

    /// Takes what was found in the patched object.
    ///
    /// # Errors
    /// What a strict client is told.
    pub(super) fn look(&self, unknown: Vec<String>) -> Result<(), String> {
        let found: Vec<String> = self.in_patch.iter().cloned().chain(unknown).collect();
        match self.validation {
            FieldValidation::Strict if !found.is_empty() => Err(strict_error(&found)),
            FieldValidation::Strict | FieldValidation::Ignore => Ok(()),
            FieldValidation::Warn => {
                // The last word counts: a write that is tried first is looked at twice.
                self.found.replace(found);
                Ok(())
            }
        }
    }

    /// Adds what is to be told.
    pub(super) fn warn(self, warnings: &mut Warnings) {
        for sentence in self.found.into_inner() {
            warnings.push(sentence);
        }
    }
}

/// Fields of the patched object at `place` that its kind does not have, where that is a subresource with a kind of its own.
pub(super) fn unknown_fields(place: &Place, value: &Value) -> Vec<String> {
    let (api_version, kind) = place.expected();
    Schema::built_in()
        .kind(&api_version, &kind)
        .map(|message| strict::unknown_fields(message, value))
        .unwrap_or_default()
}

/// Fields that do not belong into a body, as sentences.
fn unexpected(place: &Place, media_type: &str, bytes: &[u8], value: &Value) -> Vec<String> {
    let resource = &place.resource;
    let text = std::str::from_utf8(bytes).ok().filter(|_| media_type != YAML);
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
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Reads a body. `expected` is the `apiVersion` and kind that it is to have, which those in protobuf need not name.
///
/// # Errors
/// 400 for a malformed body, 415 for another type.
pub(super) fn read(headers: &HeaderMap, bytes: &[u8], expected: (&str, &str)) -> Result<Value, Status> {
    match media_type(headers).as_str() {
        // A client that does not say (curl without -H) is taken to send JSON.
        "" | "application/json" | "text/json" => json(bytes, expected.1),
        YAML => yaml(bytes).map_err(|why| unrecognised(expected.1, &why, bytes)),
        APPLY => yaml(bytes).map_err(|why| Status::bad_request(format!("error decoding patch: {why}"))),
        JSON_PATCH | STRATEGIC | MERGE => {
            parse(bytes).map_err(|why| Status::bad_request(format!("error decoding patch: {why}")))
        }
        PROTOBUF => protobuf::decode_as(bytes, Some(expected))
            .map(|decoded| Value::Object(decoded.object))
            .map_err(|error| protobuf_error(&error, bytes, expected)),
        _ => Err(Status::unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf",
        )),
    }
}

/// 400 for a body that does not say what it is (apiserver: `pkg/endpoints/handlers/rest.go`, `transformDecodeError`).
fn unrecognised(kind: &str, why: &str, bytes: &[u8]) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({})",
        go::summary(bytes)
    ))
}

/// 400 for a body in protobuf that cannot be read: how far its envelope could be decides the words.
fn protobuf_error(error: &protobuf::DecodeError, bytes: &[u8], expected: (&str, &str)) -> Status {
    use protobuf::DecodeError;
    match error {
        DecodeError::Empty | DecodeError::Magic | DecodeError::NoBody => {
            unrecognised(expected.1, &error.to_string(), bytes)
        }
        _ => match protobuf::type_of(bytes) {
            Some((api_version, kind)) => {
                let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
                let (api_version, kind) = (or(api_version, expected.0), or(kind, expected.1));
                Status::bad_request(format!(
                    "{kind} in version {} cannot be handled as a {}: {error}",
                    quote(version_of(&api_version)),
                    expected.1
                ))
            }
            None => unrecognised(expected.1, &error.to_string(), bytes),
        },
    }
}

fn json(bytes: &[u8], kind: &str) -> Result<Value, Status> {
    let refuse = |why: &str| {
        unrecognised(
            kind,
            &format!("couldn't get version/kind; json parse error: {why}"),
            bytes,
        )
    };
    let value = parse(bytes).map_err(|why| refuse(&why))?;
    if !value.is_object() && !value.is_null() {
        return Err(refuse(&format!(
            "json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            go::kind(&value)
        )));
    }
    for field in ["apiVersion", "kind"] {
        let found = value.get(field).unwrap_or(&Value::Null);
        if !found.is_null() && !found.is_string() {
            return Err(refuse(&format!(
                "json: cannot unmarshal {} into Go struct field .{field} of type string",
                go::kind(found)
            )));
        }
    }
    Ok(value)
}

/// Reads JSON. The error is what Go says of it.
fn parse(bytes: &[u8]) -> Result<Value, String> {
    let error = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if let Some(why) = go::json_error(bytes) {
        return Err(why);
    }
    // Go takes text that is no UTF-8, and puts a sign in its place.
    serde_json::from_str(&String::from_utf8_lossy(bytes)).map_err(|_| error.to_string())
}

fn yaml(bytes: &[u8]) -> Result<Value, String> {
    let refuse = |error: &dyn std::fmt::Display| format!("error converting YAML to JSON: yaml: {error}");
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
