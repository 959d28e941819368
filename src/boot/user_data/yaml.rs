//! YAML, within limits: aliases cannot multiply and nesting cannot overflow.

use serde_json::Value;

/// Reads one YAML document.
///
/// # Errors
/// Where it is wrong, without the text at that place, which may be a secret.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str::<Value>(text).map_err(|error| {
        let message = error.to_string();
        let line = message.lines().next().unwrap_or_default();
        line.chars().take(200).collect()
    })
}
