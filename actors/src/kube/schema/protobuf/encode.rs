//! JSON to a message.

use base64::Engine as _;
use serde_json::{Map, Value};
use thiserror::Error;

use super::super::normal::LENIENT;
use super::super::time::{self, Layout};
use super::super::wire::Writer;
use super::super::{DEEPEST, Field, FieldType, Kind, MessageId, Scalar, Schema, Special, quantity};

/// An object that does not fit its kind.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EncodeError {
    /// A kind that is not built in.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind {
        /// Group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// A value of another type than its field.
    #[error("{field}: not a value of type {wanted}")]
    Value {
        /// The field.
        field: String,
        /// Go's name of the type.
        wanted: String,
    },
    /// Nested deeper than [`DEEPEST`].
    #[error("the object is nested deeper than {DEEPEST} structs")]
    TooDeep,
}

/// Writes the fields of a message in the order of their numbers, as Go does. Fields that are no pointers are always written.
pub(super) fn message(
    schema: &Schema,
    id: MessageId,
    object: &Map<String, Value>,
    writer: &mut Writer,
    depth: usize,
) -> Result<(), EncodeError> {
    if depth > DEEPEST {
        return Err(EncodeError::TooDeep);
    }
    let Some(message_type) = schema.message(id) else {
        return Ok(());
    };
    let mut fields: Vec<&Field> = message_type.fields.iter().collect();
    fields.sort_unstable_by_key(|field| field.number);
    for field in fields {
        if let (true, Kind::Message(inner)) = (field.is_inline(), &field.of.kind) {
            let mut inner_writer = Writer::default();
            message(schema, *inner, object, &mut inner_writer, depth + 1)?;
            writer.put(field.number, &inner_writer.into_bytes());
            continue;
        }
        match object.get(&*field.name) {
            None | Some(Value::Null) if field.of.pointer => {}
            None | Some(Value::Null) => zero(schema, field, writer, depth)?,
            Some(value) => one_field(schema, field, value, writer, depth)?,
        }
    }
    Ok(())
}

/// A field that is not set and that Go writes all the same.
fn zero(schema: &Schema, field: &Field, writer: &mut Writer, depth: usize) -> Result<(), EncodeError> {
    match &field.of.kind {
        Kind::Scalar(Scalar::Bytes) | Kind::List { .. } | Kind::Map(_) => Ok(()),
        Kind::Scalar(Scalar::String) => one(
            schema,
            field,
            &field.of,
            field.number,
            &Value::from(""),
            writer,
            depth,
        ),
        Kind::Scalar(Scalar::Bool) => one(
            schema,
            field,
            &field.of,
            field.number,
            &Value::Bool(false),
            writer,
            depth,
        ),
        Kind::Scalar(_) | Kind::Special(Special::IntOrString) => one(
            schema,
            field,
            &field.of,
            field.number,
            &Value::from(0),
            writer,
            depth,
        ),
        Kind::Special(Special::Quantity) => one(
            schema,
            field,
            &field.of,
            field.number,
            &Value::from("0"),
            writer,
            depth,
        ),
        Kind::Special(_) => {
            writer.put(field.number, b"");
            Ok(())
        }
        Kind::Message(_) => {
            let empty = Value::Object(Map::new());
            one(schema, field, &field.of, field.number, &empty, writer, depth)
        }
    }
}

fn one_field(
    schema: &Schema,
    field: &Field,
    value: &Value,
    writer: &mut Writer,
    depth: usize,
) -> Result<(), EncodeError> {
    match (&field.of.kind, value) {
        (Kind::List { item, wrapped: true }, value) => {
            writer.put(field.number, &wrapped(schema, field, item, value, depth)?);
            Ok(())
        }
        (Kind::List { item, .. }, Value::Array(items)) => items
            .iter()
            .try_for_each(|value| one(schema, field, item, field.number, value, writer, depth)),
        (Kind::Map(item), Value::Object(map)) => {
            for (key, value) in map {
                let mut entry = Writer::default();
                entry.put(1, key.as_bytes());
                if let Kind::List { item, .. } = &item.kind {
                    entry.put(2, &wrapped(schema, field, item, value, depth)?);
                } else if !(value.is_null() && matches!(item.kind, Kind::Scalar(Scalar::Bytes))) {
                    one(schema, field, item, 2, value, &mut entry, depth)?;
                }
                writer.put(field.number, &entry.into_bytes());
            }
            Ok(())
        }
        (Kind::List { .. } | Kind::Map(_), _) => Err(wrong(field, &field.of)),
        _ => one(schema, field, &field.of, field.number, value, writer, depth),
    }
}

/// A list as a message of its own.
fn wrapped(
    schema: &Schema,
    field: &Field,
    item: &FieldType,
    value: &Value,
    depth: usize,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::default();
    match value {
        Value::Null => {}
        Value::Array(items) => items
            .iter()
            .try_for_each(|value| one(schema, field, item, 1, value, &mut writer, depth))?,
        _ => return Err(wrong(field, item)),
    }
    Ok(writer.into_bytes())
}

fn wrong(field: &Field, of: &FieldType) -> EncodeError {
    EncodeError::Value {
        field: field.name.to_string(),
        wanted: of.go.to_string(),
    }
}

/// One value; `null` in a list or map is zero.
fn one(
    schema: &Schema,
    field: &Field,
    of: &FieldType,
    number: u32,
    value: &Value,
    writer: &mut Writer,
    depth: usize,
) -> Result<(), EncodeError> {
    let wrong = || wrong(field, of);
    match (&of.kind, value) {
        (Kind::Scalar(Scalar::String | Scalar::Bytes), Value::Null) => writer.put(number, b""),
        (Kind::Scalar(Scalar::String), value) => {
            writer.put(number, value.as_str().ok_or_else(wrong)?.as_bytes());
        }
        (Kind::Scalar(Scalar::Bytes), value) => {
            let text = value.as_str().ok_or_else(wrong)?;
            writer.put(number, &LENIENT.decode(text).map_err(|_| wrong())?);
        }
        (Kind::Scalar(Scalar::Bool), value) => {
            let on = if value.is_null() {
                Some(false)
            } else {
                value.as_bool()
            };
            writer.varint(number, i64::from(on.ok_or_else(wrong)?));
        }
        (Kind::Scalar(Scalar::Float64), value) => {
            let float = if value.is_null() {
                Some(0.0)
            } else {
                value.as_f64()
            };
            writer.double(number, float.ok_or_else(wrong)?);
        }
        (Kind::Scalar(scalar), value) => {
            let whole = if value.is_null() { Some(0) } else { value.as_i64() }.ok_or_else(wrong)?;
            if *scalar == Scalar::Int32 && i32::try_from(whole).is_err() {
                return Err(wrong());
            }
            writer.varint(number, whole);
        }
        (Kind::Message(id), value) => {
            let empty = Map::new();
            let object = if value.is_null() {
                Some(&empty)
            } else {
                value.as_object()
            }
            .ok_or_else(wrong)?;
            let mut inner = Writer::default();
            message(schema, *id, object, &mut inner, depth + 1)?;
            writer.put(number, &inner.into_bytes());
        }
        (Kind::Special(special), value) => {
            let mut inner = Writer::default();
            special_value(schema, *special, value, &mut inner, depth + 1, &wrong)?;
            writer.put(number, &inner.into_bytes());
        }
        (Kind::List { .. } | Kind::Map(_), _) => return Err(wrong()),
    }
    Ok(())
}

/// The fields of a struct with a JSON form of its own.
fn special_value(
    schema: &Schema,
    special: Special,
    value: &Value,
    writer: &mut Writer,
    depth: usize,
    wrong: &dyn Fn() -> EncodeError,
) -> Result<(), EncodeError> {
    match (special, value) {
        (Special::Time | Special::MicroTime, Value::Null) => {}
        (Special::Time | Special::MicroTime, value) => {
            let micros = special == Special::MicroTime;
            let layout = if micros { Layout::Micros } else { Layout::Seconds };
            let time = time::parse(value.as_str().ok_or_else(wrong)?, layout).map_err(|_| wrong())?;
            if time::text(time, layout).is_some() {
                writer.varint(1, time.timestamp());
                let nanos = time.timestamp_subsec_micros() * 1000;
                writer.varint(2, if micros { i64::from(nanos) } else { 0 });
            }
        }
        (Special::Quantity, value) => {
            let text = match value {
                Value::Null => "0".to_owned(),
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(wrong()),
            };
            writer.put(1, quantity::canonical(&text).map_err(|_| wrong())?.as_bytes());
        }
        (Special::IntOrString, value) => {
            let number = if value.is_null() { Some(0) } else { value.as_i64() };
            let number = number.and_then(|number| i32::try_from(number).ok());
            let (kind, number, text) = match (number, value.as_str()) {
                (Some(number), _) => (0, number, ""),
                (_, Some(text)) => (1, 0, text),
                _ => return Err(wrong()),
            };
            writer.varint(1, kind);
            writer.varint(2, i64::from(number));
            writer.put(3, text.as_bytes());
        }
        (Special::RawExtension | Special::FieldsV1 | Special::Json, Value::Null) => {}
        (Special::RawExtension | Special::FieldsV1 | Special::Json, value) => {
            writer.put(1, value.to_string().as_bytes());
        }
        (Special::SchemaOrBool, value) => {
            writer.varint(1, i64::from(value.as_bool().unwrap_or(value.is_object())));
            if let Value::Object(_) = value {
                single(schema, 2, value, writer, depth, wrong)?;
            } else if !value.is_boolean() && !value.is_null() {
                return Err(wrong());
            }
        }
        (Special::SchemaOrArray | Special::SchemaOrStrings, Value::Object(_)) => {
            single(schema, 1, value, writer, depth, wrong)?;
        }
        (Special::SchemaOrArray, Value::Array(items)) => {
            for item in items {
                single(schema, 2, item, writer, depth, wrong)?;
            }
        }
        (Special::SchemaOrStrings, Value::Array(items)) => {
            for item in items {
                writer.put(2, item.as_str().ok_or_else(wrong)?.as_bytes());
            }
        }
        (Special::SchemaOrArray | Special::SchemaOrStrings, Value::Null) => {}
        _ => return Err(wrong()),
    }
    Ok(())
}

/// A schema.
fn single(
    schema: &Schema,
    number: u32,
    value: &Value,
    writer: &mut Writer,
    depth: usize,
    wrong: &dyn Fn() -> EncodeError,
) -> Result<(), EncodeError> {
    let object = value.as_object().ok_or_else(wrong)?;
    let mut inner = Writer::default();
    if let Some(id) = schema.json_schema {
        message(schema, id, object, &mut inner, depth)?;
    }
    writer.put(number, &inner.into_bytes());
    Ok(())
}
