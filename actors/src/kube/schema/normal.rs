//! What decoding a JSON object into Go's structs and encoding it again makes of it.
//!
//! A real server does that to every object of a built-in kind: unknown fields and nulls go, fields that Go always writes
//! come (`resources: {}`, `status: {}`), times, quantities and base64 get their one form.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};
use thiserror::Error;

use super::time::{self, Layout};
use super::{DEEPEST, Field, FieldType, Kind, MessageId, Scalar, Schema, Special, quantity};

/// What a struct costs in the account of [`Budget`]; a value costs one.
const STRUCT_COST: usize = 16;

/// What one object may cost: ten times the greatest that fits in a request in practice.
const LARGEST: usize = 2_000_000;

/// An object that is out of proportion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SizeError {
    /// Nested deeper than [`DEEPEST`].
    #[error("the object is nested deeper than {DEEPEST} structs")]
    TooDeep,
    /// Short bytes can ask for long objects: an empty pod has twenty fields.
    #[error("the object has too many values")]
    TooLarge,
}

/// Counts values, so that a few bytes cannot ask for a lot of memory.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: LARGEST }
    }
}

impl Budget {
    pub(super) fn value(&mut self) -> Result<(), SizeError> {
        self.spend(1)
    }

    pub(super) fn message(&mut self, depth: usize) -> Result<(), SizeError> {
        if depth > DEEPEST {
            return Err(SizeError::TooDeep);
        }
        self.spend(STRUCT_COST)
    }

    fn spend(&mut self, cost: usize) -> Result<(), SizeError> {
        self.left = self.left.checked_sub(cost).ok_or(SizeError::TooLarge)?;
        Ok(())
    }
}

/// Base64 as Go reads it: the bits after the last byte need not be zero.
pub(super) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

impl Schema {
    /// Brings an object of a kind into the form in which a server writes it. Values of a wrong type stay as they are;
    /// [`super::strict`] finds those.
    ///
    /// # Errors
    /// An object out of proportion; it is then half changed.
    pub fn normalise(&self, kind: MessageId, object: &mut Map<String, Value>) -> Result<(), SizeError> {
        self.normalise_message(kind, object, &mut Budget::default(), 0)
    }

    pub(super) fn normalise_message(
        &self,
        id: MessageId,
        object: &mut Map<String, Value>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<(), SizeError> {
        budget.message(depth)?;
        let typed = self.message(id).is_some_and(|message| message.typed);
        object.retain(|key, value| match key.as_str() {
            "apiVersion" | "kind" if typed => value.as_str().is_some_and(|text| !text.is_empty()),
            key => self.field(id, key).is_some(),
        });
        for (key, value) in object.iter_mut() {
            if let Some((_, field)) = self.field(id, key) {
                self.value(&field.of, value, budget, depth)?;
            }
        }
        self.complete(id, object, budget, depth)
    }

    fn value(
        &self,
        of: &FieldType,
        value: &mut Value,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<(), SizeError> {
        budget.value()?;
        match (&of.kind, value) {
            (Kind::Message(id), Value::Object(object)) => {
                self.normalise_message(*id, object, budget, depth + 1)?;
            }
            (Kind::List { item, .. }, Value::Array(items)) => {
                for value in items {
                    self.item(item, value, budget, depth)?;
                }
            }
            (Kind::Map(item), Value::Object(object)) => {
                for value in object.values_mut() {
                    self.item(item, value, budget, depth)?;
                }
            }
            (Kind::Scalar(Scalar::Bytes), Value::String(text)) => {
                // Line ends are the one thing that may stand between the letters.
                text.retain(|letter| letter != '\n' && letter != '\r');
                if let Ok(bytes) = LENIENT.decode(text.as_bytes()) {
                    *text = BASE64_STANDARD.encode(bytes);
                }
            }
            (Kind::Scalar(Scalar::Float64), value) => {
                if let Some(number) = value.as_f64() {
                    *value = float(number);
                }
            }
            (Kind::Special(special), value) => self.special(*special, value, budget, depth)?,
            _ => {}
        }
        Ok(())
    }

    /// A value in a list or map: `null` is a zero there.
    fn item(
        &self,
        of: &FieldType,
        value: &mut Value,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<(), SizeError> {
        if value.is_null() {
            *value = self.zero(of, budget, depth)?;
            return Ok(());
        }
        self.value(of, value, budget, depth)
    }

    fn special(
        &self,
        special: Special,
        value: &mut Value,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<(), SizeError> {
        let layout = match special {
            Special::MicroTime => Layout::Micros,
            _ => Layout::Seconds,
        };
        match (special, &mut *value) {
            (Special::Time | Special::MicroTime, Value::String(text)) => {
                if let Ok(read) = time::parse(text, layout) {
                    *value = time::text(read, layout).map_or(Value::Null, Value::String);
                }
            }
            (Special::Quantity, Value::String(text)) => {
                if let Ok(canonical) = quantity::canonical(text) {
                    *text = canonical;
                }
            }
            (Special::Quantity, Value::Number(number)) => {
                if let Ok(canonical) = quantity::canonical(&number.to_string()) {
                    *value = Value::String(canonical);
                }
            }
            (
                Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStrings,
                Value::Object(object),
            ) => {
                if let Some(schema) = self.json_schema {
                    self.normalise_message(schema, object, budget, depth + 1)?;
                }
            }
            (Special::SchemaOrArray, Value::Array(items)) if !items.is_empty() => {
                for item in items {
                    match (item, self.json_schema) {
                        (Value::Object(object), Some(schema)) => {
                            self.normalise_message(schema, object, budget, depth + 1)?;
                        }
                        (item, Some(schema)) if item.is_null() => {
                            *item = Value::Object(self.empty(schema, budget, depth + 1)?);
                        }
                        _ => {}
                    }
                }
            }
            (Special::SchemaOrStrings, Value::Array(items)) if !items.is_empty() => {
                for item in items.iter_mut().filter(|item| item.is_null()) {
                    *item = Value::String(String::new());
                }
            }
            // Go reads what is neither as nothing.
            (Special::SchemaOrArray | Special::SchemaOrStrings, _) => *value = Value::Null,
            _ => {}
        }
        Ok(())
    }

    /// Takes away what Go leaves out and adds what Go always writes, for the fields of this very struct.
    pub(super) fn complete(
        &self,
        id: MessageId,
        object: &mut Map<String, Value>,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<(), SizeError> {
        let Some(message) = self.message(id) else {
            return Ok(());
        };
        for field in &message.fields {
            if let (true, Kind::Message(inner)) = (field.is_inline(), &field.of.kind) {
                self.complete(*inner, object, budget, depth + 1)?;
                continue;
            }
            let zero = match object.get(&*field.name) {
                None | Some(Value::Null) => true,
                Some(value) => is_zero(field, value),
            };
            if !zero {
                continue;
            }
            if is_left_out(field) {
                object.remove(&*field.name);
                continue;
            }
            if object.get(&*field.name).is_none_or(Value::is_null) {
                budget.value()?;
                let value = if field.of.pointer {
                    Value::Null
                } else {
                    self.zero(&field.of, budget, depth)?
                };
                object.insert(field.name.to_string(), value);
            }
        }
        Ok(())
    }

    /// What Go writes for a value that was never set.
    pub(super) fn zero(&self, of: &FieldType, budget: &mut Budget, depth: usize) -> Result<Value, SizeError> {
        Ok(match &of.kind {
            Kind::Message(id) => Value::Object(self.empty(*id, budget, depth + 1)?),
            Kind::Scalar(Scalar::String) => Value::String(String::new()),
            Kind::Scalar(Scalar::Bool) | Kind::Special(Special::SchemaOrBool) => Value::Bool(false),
            Kind::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Float64)
            | Kind::Special(Special::IntOrString) => Value::from(0),
            Kind::Special(Special::Quantity) => Value::from("0"),
            Kind::Scalar(Scalar::Bytes) | Kind::Special(_) | Kind::List { .. } | Kind::Map(_) => Value::Null,
        })
    }

    fn empty(
        &self,
        id: MessageId,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Map<String, Value>, SizeError> {
        budget.message(depth)?;
        let mut object = Map::new();
        self.complete(id, &mut object, budget, depth)?;
        Ok(object)
    }
}

/// A number of a floating-point field, as Go writes it: without a point if it is whole.
pub(super) fn float(number: f64) -> Value {
    // Beyond that, doubles are not exact and Go writes exponents from 1e21 on.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
        return Value::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Whether Go leaves the field out when it is zero.
fn is_left_out(field: &Field) -> bool {
    // Go never takes a struct for empty.
    let is_struct = !field.of.pointer && matches!(field.of.kind, Kind::Message(_) | Kind::Special(_));
    field.omit_zero || (field.omit_empty && !is_struct)
}

/// Whether a value that is there and not null counts as nothing.
fn is_zero(field: &Field, value: &Value) -> bool {
    if field.of.pointer {
        return false;
    }
    match (&field.of.kind, value) {
        (Kind::Scalar(_), Value::String(text)) => text.is_empty(),
        (Kind::Scalar(_), Value::Bool(on)) => !on,
        (Kind::Scalar(_), Value::Number(number)) => number.as_f64() == Some(0.0),
        (Kind::List { .. }, Value::Array(items)) => items.is_empty(),
        (Kind::Map(_), Value::Object(object)) => object.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
