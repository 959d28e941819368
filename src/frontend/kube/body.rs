//! Bodies of requests: JSON, YAML or protobuf, into one form.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use metalsim_actors::kube::status::Status;
use serde_json::Value;

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

/// Reads the body of a write.
///
/// # Errors
/// 400 for a malformed body, 415 for another type.
pub(super) fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Status> {
    match media_type(headers).as_str() {
        // A client that does not say (curl without -H) is taken to send JSON.
        "" | "application/json" | "text/json" => json(bytes),
        "application/yaml" | "application/apply-patch+yaml" => yaml(bytes),
        "application/json-patch+json"
        | "application/merge-patch+json"
        | "application/strategic-merge-patch+json" => json(bytes),
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
