//! A message to JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeZone as _, Utc};
use serde_json::{Map, Value};

use super::super::normal::{Budget, float};
use super::super::time::{self, Layout};
use super::super::wire::{Reader, WireType};
use super::super::{Field, FieldType, Kind, MessageId, Scalar, Schema, Special, quantity};
use super::{DecodeError, bytes};

/// Reads messages of the schema.
pub(super) struct Decoder<'s> {
    pub(super) schema: &'s Schema,
    pub(super) budget: Budget,
}

type Fields = Map<String, Value>;

impl Decoder<'_> {
    /// Reads a message into `object`; what is there already is merged, as repeated occurrences of a field are.
    pub(super) fn message(
        &mut self,
        id: MessageId,
        raw: &[u8],
        object: &mut Fields,
        depth: usize,
    ) -> Result<(), DecodeError> {
        self.fields(id, raw, object, depth)?;
        let schema = self.schema;
        schema.complete(id, object, &mut self.budget, depth)?;
        Ok(())
    }

    /// The fields alone, without what Go always writes.
    fn fields(
        &mut self,
        id: MessageId,
        raw: &[u8],
        object: &mut Fields,
        depth: usize,
    ) -> Result<(), DecodeError> {
        self.budget.message(depth)?;
        let schema = self.schema;
        let mut reader = Reader::new(raw);
        while let Some((number, wire)) = reader.key()? {
            let message = schema.message(id);
            match message.and_then(|message| message.fields.iter().find(|field| field.number == number)) {
                Some(field) => self.field(field, wire, &mut reader, object, depth)?,
                None => reader.skip(wire)?,
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &Field,
        wire: WireType,
        reader: &mut Reader<'_>,
        object: &mut Fields,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let name = &*field.name;
        match &field.of.kind {
            Kind::Message(inner) if field.is_inline() => {
                let raw = bytes(reader, wire, &go_name(field))?;
                self.fields(*inner, raw, object, depth + 1)
            }
            Kind::Message(inner) => {
                let raw = bytes(reader, wire, &go_name(field))?;
                let mut child = match object.remove(name) {
                    Some(Value::Object(child)) => child,
                    _ => Fields::new(),
                };
                self.message(*inner, raw, &mut child, depth + 1)?;
                object.insert(name.to_owned(), Value::Object(child));
                Ok(())
            }
            Kind::List { item, wrapped } => {
                let list = entry(object, name, || Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    if *wrapped {
                        let raw = bytes(reader, wire, &go_name(field))?;
                        self.wrapped(item, raw, list, depth)
                    } else {
                        self.repeated(item, field, wire, reader, list, depth)
                    }
                } else {
                    Ok(())
                }
            }
            Kind::Map(item) => {
                let raw = bytes(reader, wire, &go_name(field))?;
                let (key, value) = self.entry(item, field, raw, depth)?;
                if let Value::Object(map) = entry(object, name, || Value::Object(Fields::new())) {
                    map.insert(key, value);
                }
                Ok(())
            }
            Kind::Scalar(_) | Kind::Special(_) => {
                let value = self.one(&field.of, field, wire, reader, depth)?;
                object.insert(name.to_owned(), value);
                Ok(())
            }
        }
    }

    /// One occurrence of a list's field: an item, or a run of numbers.
    fn repeated(
        &mut self,
        item: &FieldType,
        field: &Field,
        wire: WireType,
        reader: &mut Reader<'_>,
        list: &mut Vec<Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        let number_wire = match item.kind {
            Kind::Scalar(Scalar::Bool | Scalar::Int32 | Scalar::Int64) => Some(WireType::Varint),
            Kind::Scalar(Scalar::Float64) => Some(WireType::Fixed64),
            _ => None,
        };
        if let (Some(number_wire), WireType::Bytes) = (number_wire, wire) {
            let mut packed = Reader::new(reader.bytes()?);
            while !packed.is_empty() {
                list.push(self.one(item, field, number_wire, &mut packed, depth)?);
            }
            return Ok(());
        }
        list.push(self.one(item, field, wire, reader, depth)?);
        Ok(())
    }

    /// A message that holds nothing but a list of text in field 1.
    fn wrapped(
        &mut self,
        item: &FieldType,
        raw: &[u8],
        list: &mut Vec<Value>,
        depth: usize,
    ) -> Result<(), DecodeError> {
        self.budget.message(depth + 1)?;
        let mut reader = Reader::new(raw);
        while let Some((number, wire)) = reader.key()? {
            if number == 1 {
                let text = bytes(&mut reader, wire, "Items")?;
                self.budget.value()?;
                list.push(scalar_bytes(&item.kind, text));
            } else {
                reader.skip(wire)?;
            }
        }
        Ok(())
    }

    /// An entry of a map.
    fn entry(
        &mut self,
        item: &FieldType,
        field: &Field,
        raw: &[u8],
        depth: usize,
    ) -> Result<(String, Value), DecodeError> {
        let mut key = String::new();
        let mut value = None;
        let mut reader = Reader::new(raw);
        while let Some((number, wire)) = reader.key()? {
            match (number, &item.kind) {
                (1, _) => key = text(bytes(&mut reader, wire, &go_name(field))?),
                (2, Kind::List { item, wrapped: true }) => {
                    let raw = bytes(&mut reader, wire, &go_name(field))?;
                    let mut list = Vec::new();
                    self.wrapped(item, raw, &mut list, depth)?;
                    value = Some(if list.is_empty() {
                        Value::Null
                    } else {
                        Value::Array(list)
                    });
                }
                (2, _) => value = Some(self.one(item, field, wire, &mut reader, depth)?),
                _ => reader.skip(wire)?,
            }
        }
        let value = match (value, &item.kind) {
            (Some(value), _) => value,
            (None, Kind::Scalar(Scalar::Bytes)) => Value::from(""),
            (None, _) => self.schema.zero(item, &mut self.budget, depth)?,
        };
        Ok((key, value))
    }

    /// One value that is neither a list nor a map.
    fn one(
        &mut self,
        of: &FieldType,
        field: &Field,
        wire: WireType,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<Value, DecodeError> {
        self.budget.value()?;
        match &of.kind {
            Kind::Scalar(scalar) => {
                let wanted = match scalar {
                    Scalar::String | Scalar::Bytes => WireType::Bytes,
                    Scalar::Float64 => WireType::Fixed64,
                    Scalar::Bool | Scalar::Int32 | Scalar::Int64 => WireType::Varint,
                };
                if wire != wanted {
                    return Err(DecodeError::WireType {
                        wire: wire.number(),
                        field: go_name(field),
                    });
                }
                Ok(match scalar {
                    Scalar::String | Scalar::Bytes => scalar_bytes(&of.kind, reader.bytes()?),
                    Scalar::Float64 => float(f64::from_bits(reader.fixed64()?)),
                    Scalar::Bool => Value::Bool(reader.varint()? != 0),
                    Scalar::Int64 => Value::from(reader.varint()?.cast_signed()),
                    Scalar::Int32 => Value::from(int32(reader.varint()?)),
                })
            }
            Kind::Message(id) => {
                let raw = bytes(reader, wire, &go_name(field))?;
                let mut object = Fields::new();
                self.message(*id, raw, &mut object, depth + 1)?;
                Ok(Value::Object(object))
            }
            Kind::Special(special) => {
                let raw = bytes(reader, wire, &go_name(field))?;
                self.special(*special, field, raw, depth + 1)
            }
            // No list or map stands directly in a list; see the test of the table.
            Kind::List { .. } | Kind::Map(_) => {
                reader.skip(wire)?;
                Ok(Value::Null)
            }
        }
    }

    fn special(
        &mut self,
        special: Special,
        field: &Field,
        raw: &[u8],
        depth: usize,
    ) -> Result<Value, DecodeError> {
        self.budget.message(depth)?;
        let wrong = |problem: String| DecodeError::Value {
            field: go_name(field),
            problem,
        };
        let mut parts = Parts::default();
        if matches!(
            special,
            Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStrings
        ) {
            return self.schema_or(special, raw, depth);
        }
        parts.read(raw)?;
        Ok(match special {
            Special::Time | Special::MicroTime if raw.is_empty() => Value::Null,
            Special::Time => moment(parts.first.cast_signed(), 0, Layout::Seconds)
                .map_err(|()| wrong("time out of range".to_owned()))?,
            Special::MicroTime => moment(parts.first.cast_signed(), int32(parts.second), Layout::Micros)
                .map_err(|()| wrong("time out of range".to_owned()))?,
            Special::Quantity if parts.text_one.is_none() => Value::from("0"),
            Special::Quantity => {
                let text = text(parts.text_one.unwrap_or_default());
                Value::from(quantity::canonical(&text).map_err(|error| wrong(error.to_string()))?)
            }
            Special::IntOrString => match parts.first {
                0 => Value::from(int32(parts.second)),
                1 => Value::from(text(parts.text_three.unwrap_or_default())),
                _ => return Err(wrong("impossible IntOrString.Type".to_owned())),
            },
            _ => match parts.text_one.unwrap_or_default() {
                [] => Value::Null,
                raw => {
                    let value: Value =
                        serde_json::from_slice(raw).map_err(|error| wrong(error.to_string()))?;
                    self.count(&value)?;
                    value
                }
            },
        })
    }

    /// A schema or something simpler.
    fn schema_or(&mut self, special: Special, raw: &[u8], depth: usize) -> Result<Value, DecodeError> {
        let mut single: Option<Fields> = None;
        let mut allows = false;
        let mut list = Vec::new();
        let mut reader = Reader::new(raw);
        // In the variant with `allows` the schema is field 2, else it is field 1.
        let schema_number = if special == Special::SchemaOrBool { 2 } else { 1 };
        while let Some((number, wire)) = reader.key()? {
            match (number, special, self.schema.json_schema) {
                (number, _, Some(schema)) if number == schema_number => {
                    let raw = bytes(&mut reader, wire, "Schema")?;
                    self.message(schema, raw, single.get_or_insert_default(), depth)?;
                }
                (1, Special::SchemaOrBool, _) if wire == WireType::Varint => allows = reader.varint()? != 0,
                (2, Special::SchemaOrArray, Some(schema)) => {
                    let raw = bytes(&mut reader, wire, "JSONSchemas")?;
                    let mut item = Fields::new();
                    self.message(schema, raw, &mut item, depth)?;
                    list.push(Value::Object(item));
                }
                (2, Special::SchemaOrStrings, _) => {
                    self.budget.value()?;
                    list.push(Value::from(text(bytes(&mut reader, wire, "Property")?)));
                }
                (1, ..) => {
                    return Err(DecodeError::WireType {
                        wire: wire.number(),
                        field: "Allows".to_owned(),
                    });
                }
                _ => reader.skip(wire)?,
            }
        }
        Ok(match (special, single) {
            (Special::SchemaOrBool, None) => Value::Bool(allows),
            (_, _) if !list.is_empty() => Value::Array(list),
            (_, Some(schema)) => Value::Object(schema),
            (_, None) => Value::Null,
        })
    }

    /// Takes the values of foreign JSON into account.
    fn count(&mut self, value: &Value) -> Result<(), DecodeError> {
        self.budget.value()?;
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.count(item)),
            Value::Object(object) => object.values().try_for_each(|item| self.count(item)),
            _ => Ok(()),
        }
    }
}

/// The fields of the small structs, by number and layout.
#[derive(Default)]
struct Parts<'a> {
    first: u64,
    second: u64,
    text_one: Option<&'a [u8]>,
    text_three: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn read(&mut self, raw: &'a [u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(raw);
        while let Some((number, wire)) = reader.key()? {
            match (number, wire) {
                (1, WireType::Varint) => self.first = reader.varint()?,
                (2, WireType::Varint) => self.second = reader.varint()?,
                (1, WireType::Bytes) => self.text_one = Some(reader.bytes()?),
                (3, WireType::Bytes) => self.text_three = Some(reader.bytes()?),
                _ => reader.skip(wire)?,
            }
        }
        Ok(())
    }
}

/// The value at a key, made if it is missing or null.
fn entry<'a>(object: &'a mut Fields, name: &str, make: impl FnOnce() -> Value) -> &'a mut Value {
    let value = object.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = make();
    }
    value
}

/// Name of a field in Go, for errors: that in JSON with its first letter great, which is nearly always right.
fn go_name(field: &Field) -> String {
    let mut letters = field.name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// Text as Go's JSON writer has it: what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn scalar_bytes(kind: &Kind, bytes: &[u8]) -> Value {
    Value::from(match kind {
        Kind::Scalar(Scalar::Bytes) => BASE64_STANDARD.encode(bytes),
        _ => text(bytes),
    })
}

/// The lower half of a number, as Go keeps it.
fn int32(value: u64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "that is what Go does")]
    return value as i32;
}

/// A time from seconds since 1970 and nanoseconds; whole microseconds count.
fn moment(seconds: i64, nanos: i32, layout: Layout) -> Result<Value, ()> {
    let nanos = u32::try_from(nanos).map_err(|_| ())?;
    let time: DateTime<Utc> = Utc
        .timestamp_opt(seconds, nanos / 1000 * 1000)
        .single()
        .ok_or(())?;
    match time::text(time, layout) {
        Some(text) => Ok(Value::from(text)),
        None if seconds == time::ZERO_SECONDS => Ok(Value::Null),
        None => Err(()),
    }
}
