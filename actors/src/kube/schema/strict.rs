//! What the real decoder says about a JSON object of a built-in kind: unknown fields, duplicate fields, values of the wrong
//! type (kubernetes-sigs/json: `internal/golang/encoding/json/{decode,kubernetes_patch}.go`).
//!
//! One walk finds everything, in the order of the document, over JSON text or over a parsed value; the latter cannot have
//! duplicates, and its order is the alphabet's.

mod walk;

use serde::de::{DeserializeSeed as _, Deserializer};
use serde_json::Value;

use super::{MessageId, Schema};

use walk::{Node, Place, Walk};

/// What is wrong with an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// Unknown and duplicate fields: `unknown field "spec.foo"`, `duplicate field "spec.replicas"`. At most 100.
    /// They are warnings or errors, as `fieldValidation` says.
    pub strict: Vec<String>,
    /// The first value of a wrong type, always an error:
    /// `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`.
    pub type_error: Option<String>,
}

impl Findings {
    /// The sentence about unknown and duplicate fields with `fieldValidation=Strict`; `None` when there are none.
    #[must_use]
    pub fn strict_error(&self) -> Option<String> {
        (!self.strict.is_empty()).then(|| format!("strict decoding error: {}", self.strict.join(", ")))
    }
}

/// Looks through JSON text of an object of a built-in kind.
///
/// # Errors
/// Text that is not JSON.
pub fn inspect(kind: MessageId, text: &str) -> Result<Findings, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let findings = run(&mut deserializer, Place::Message(kind))?;
    deserializer.end()?;
    Ok(findings)
}

/// Looks through a parsed object of a built-in kind.
#[must_use]
pub fn inspect_value(kind: MessageId, value: &Value) -> Findings {
    run(value, Place::Message(kind)).unwrap_or_default()
}

/// Fields that the kind does not have, as sentences: `unknown field "spec.foo"`.
#[must_use]
pub fn unknown_fields(kind: MessageId, value: &Value) -> Vec<String> {
    inspect_value(kind, value).strict
}

/// The first value of a wrong type, as the server says it.
#[must_use]
pub fn type_error(kind: MessageId, value: &Value) -> Option<String> {
    inspect_value(kind, value).type_error
}

/// Keys that an object of any kind, also a custom one, has twice, as sentences: `duplicate field "spec.replicas"`.
///
/// # Errors
/// Text that is not JSON.
pub fn duplicate_fields(text: &str) -> Result<Vec<String>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let findings = run(&mut deserializer, Place::Any)?;
    deserializer.end()?;
    Ok(findings.strict)
}

fn run<'de, D: Deserializer<'de>>(deserializer: D, place: Place<'_>) -> Result<Findings, D::Error> {
    let mut walk = Walk::new(Schema::built_in());
    Node {
        walk: &mut walk,
        place,
    }
    .deserialize(deserializer)?;
    Ok(walk.findings())
}

#[cfg(test)]
mod tests;
