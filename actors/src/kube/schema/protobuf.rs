//! Bodies in `application/vnd.kubernetes.protobuf` (kubernetes: apimachinery `pkg/runtime/serializer/protobuf`,
//! `pkg/runtime/generated.proto`).
//!
//! A body is the magic `k8s\0` and a message `Unknown`, which names `apiVersion` and kind and holds the object's own message.
//! [`decode`] gives what the JSON form of the same Go struct would give, [`encode`] the bytes that Go would write.

mod decode;
mod encode;

use serde_json::{Map, Value};
use thiserror::Error;

use super::normal::{Budget, SizeError};
use super::time::quote;
use super::wire::{Reader, WireType, Writer};
use super::{MessageId, Schema};

pub use super::wire::WireError;
pub use encode::EncodeError;

use decode::Decoder;

/// What every body starts with.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// A body that is no object of a known kind. The words are those of a real server.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// No bytes.
    #[error("empty data")]
    Empty,
    /// Other bytes than [`MAGIC`] at the start.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Magic,
    /// Nothing after the magic.
    #[error("empty body")]
    NoBody,
    /// No kind, and none is expected.
    #[error("Object 'Kind' is missing in 'runtime.TypeMeta{{APIVersion:{}, Kind:{}}}'", quote(.0), quote(""))]
    MissingKind(String),
    /// No `apiVersion`, and none is expected.
    #[error("Object 'apiVersion' is missing in 'runtime.TypeMeta{{APIVersion:{}, Kind:{}}}'", quote(""), quote(.0))]
    MissingVersion(String),
    /// A kind that is not built in.
    #[error("no kind {} is registered for version {} in scheme \"pkg/api/legacyscheme/scheme.go:30\"", quote(.kind), quote(.api_version))]
    UnknownKind {
        /// Group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// Bytes that are no message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A field with a layout that is not of its type.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WireType {
        /// The layout's number.
        wire: u8,
        /// The field, as Go names it.
        field: String,
    },
    /// A field with a value that has no JSON form.
    #[error("{field}: {problem}")]
    Value {
        /// The field, as Go names it.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// Out of proportion.
    #[error(transparent)]
    Size(#[from] SizeError),
}

/// What a body holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Decoded {
    /// Group and version, `apps/v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Its struct.
    pub message: MessageId,
    /// The object as in JSON, with `apiVersion` and `kind`.
    pub object: Map<String, Value>,
}

/// The envelope of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Envelope<'a> {
    api_version: &'a [u8],
    kind: &'a [u8],
    raw: &'a [u8],
}

/// Reads a body that names its kind.
///
/// # Errors
/// A body that holds no object of a built-in kind.
pub fn decode(body: &[u8]) -> Result<Decoded, DecodeError> {
    decode_as(body, None)
}

/// Reads a body. `expected` (`apiVersion` and kind) counts where the body leaves them out.
///
/// # Errors
/// A body that holds no object of a built-in kind.
pub fn decode_as(body: &[u8], expected: Option<(&str, &str)>) -> Result<Decoded, DecodeError> {
    if body.is_empty() {
        return Err(DecodeError::Empty);
    }
    let data = body.strip_prefix(&MAGIC).ok_or(DecodeError::Magic)?;
    if data.is_empty() {
        return Err(DecodeError::NoBody);
    }
    let envelope = envelope(data)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (mut api_version, mut kind) = (text(envelope.api_version), text(envelope.kind));
    if let Some((expected_version, expected_kind)) = expected {
        if api_version.is_empty() {
            expected_version.clone_into(&mut api_version);
        }
        if kind.is_empty() {
            expected_kind.clone_into(&mut kind);
        }
    }
    if kind.is_empty() {
        return Err(DecodeError::MissingKind(api_version));
    }
    if api_version.is_empty() {
        return Err(DecodeError::MissingVersion(kind));
    }
    let schema = Schema::built_in();
    let Some(message) = schema.kind(&api_version, &kind) else {
        return Err(DecodeError::UnknownKind { api_version, kind });
    };
    let mut decoder = Decoder {
        schema,
        budget: Budget::default(),
    };
    let mut object = Map::new();
    decoder.message(message, envelope.raw, &mut object, 0)?;
    object.insert("apiVersion".to_owned(), Value::from(api_version.as_str()));
    object.insert("kind".to_owned(), Value::from(kind.as_str()));
    Ok(Decoded {
        api_version,
        kind,
        message,
        object,
    })
}

/// The `apiVersion` and kind that a body names, empty where it names none; `None` when its envelope cannot be read.
#[must_use]
pub fn type_of(body: &[u8]) -> Option<(String, String)> {
    let envelope = envelope(body.strip_prefix(&MAGIC)?).ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(envelope.api_version), text(envelope.kind)))
}

/// Reads the envelope after the magic.
fn envelope(data: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let mut envelope = Envelope::default();
    let mut reader = Reader::new(data);
    while let Some((number, wire)) = reader.key()? {
        match number {
            1 => {
                let mut inner = Reader::new(bytes(&mut reader, wire, "TypeMeta")?);
                while let Some((number, wire)) = inner.key()? {
                    match number {
                        1 => envelope.api_version = bytes(&mut inner, wire, "APIVersion")?,
                        2 => envelope.kind = bytes(&mut inner, wire, "Kind")?,
                        _ => inner.skip(wire)?,
                    }
                }
            }
            2 => envelope.raw = bytes(&mut reader, wire, "Raw")?,
            _ => reader.skip(wire)?,
        }
    }
    Ok(envelope)
}

/// Text, bytes or a message.
fn bytes<'a>(reader: &mut Reader<'a>, wire: WireType, field: &str) -> Result<&'a [u8], DecodeError> {
    if wire == WireType::Bytes {
        return Ok(reader.bytes()?);
    }
    Err(DecodeError::WireType {
        wire: wire.number(),
        field: field.to_owned(),
    })
}

/// Writes a body. Fields that the kind does not have, and `null`, are left out.
///
/// # Errors
/// A kind that is not built in, or a value of another type than its field.
pub fn encode(api_version: &str, kind: &str, object: &Map<String, Value>) -> Result<Vec<u8>, EncodeError> {
    let schema = Schema::built_in();
    let message = schema
        .kind(api_version, kind)
        .ok_or_else(|| EncodeError::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })?;
    let mut raw = Writer::default();
    encode::message(schema, message, object, &mut raw, 0)?;
    let mut type_meta = Writer::default();
    type_meta.put(1, api_version.as_bytes());
    type_meta.put(2, kind.as_bytes());
    let mut unknown = Writer::new(MAGIC.to_vec());
    unknown.put(1, &type_meta.into_bytes());
    unknown.put(2, &raw.into_bytes());
    // Go writes the two fields about the content even if they are empty.
    unknown.put(3, b"");
    unknown.put(4, b"");
    Ok(unknown.into_bytes())
}

#[cfg(test)]
mod tests;
