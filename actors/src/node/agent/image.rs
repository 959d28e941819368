//! What a `write_image` or `prepare_image` command says of the image.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::disk::Image;
use super::AgentError;

/// Reads `image_info`. It needs an `id`, or at least one URL.
pub(super) fn parse(info: Option<&Value>) -> Result<Box<Image>, AgentError> {
    let info = info
        .and_then(Value::as_object)
        .ok_or_else(|| missing("image_info"))?;
    let text = |key: &str| {
        info.get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let url = info
        .get("urls")
        .and_then(Value::as_array)
        .and_then(|urls| urls.first())
        .and_then(Value::as_str);
    let url = url.ok_or_else(|| missing("image_info.urls"))?;
    let id = text("id").unwrap_or_else(|| url.rsplit('/').next().unwrap_or(url));
    Ok(Box::new(Image {
        id: id.into(),
        url: url.into(),
        checksum: text("os_hash_value").or_else(|| text("checksum")).map(Into::into),
        format: text("disk_format").map(Into::into),
    }))
}

/// The config drive of a command: an argument of its own, else part of `image_info`.
pub(super) fn config_drive(arguments: &Map<String, Value>) -> Option<Arc<str>> {
    let in_image = || {
        arguments
            .get("image_info")
            .and_then(|info| info.get("configdrive"))
    };
    given(
        arguments
            .get("configdrive")
            .filter(|value| !value.is_null())
            .or_else(in_image),
    )
}

/// The config drive that the node record carries, for steps that have no argument for it.
pub(super) fn config_drive_of_node(node: Option<&Value>) -> Option<Arc<str>> {
    given(
        node.and_then(|node| node.get("instance_info"))
            .and_then(|info| info.get("configdrive")),
    )
}

/// Whether a config drive is given by the URL that it is to be fetched from (ironic-python-agent:
/// `partition_utils.py`, `_is_http_url`).
pub(super) fn is_url(config_drive: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        config_drive
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

/// A text is kept as it is. An object is what the user gave; it is kept as JSON.
fn given(value: Option<&Value>) -> Option<Arc<str>> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.as_str().into()),
        object @ Value::Object(_) => Some(object.to_string().into()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

fn missing(what: &str) -> AgentError {
    AgentError::Parameters(format!("{what} is missing or malformed"))
}
