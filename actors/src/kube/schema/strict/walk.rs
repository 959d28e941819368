//! The walk through an object.

use std::collections::HashSet;
use std::fmt;

use base64::{DecodeError, Engine as _};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::super::normal::LENIENT;
use super::super::time::{self, Layout, quote};
use super::super::{FieldType, Kind, MessageId, Scalar, Schema, Special, quantity};
use super::Findings;

/// Most unknown and duplicate fields that are told.
const MOST: usize = 100;

/// What stands somewhere.
#[derive(Clone, Copy)]
pub(super) enum Place<'s> {
    /// A struct.
    Message(MessageId),
    /// A value of this type.
    Typed(&'s FieldType),
    /// A list item or map value that must be text, within a schema.
    Text,
    /// Anything, in which only duplicates count.
    Any,
    /// The value of an unknown field: nothing counts.
    Ignored,
}

/// What has been found, and where the walk is.
pub(super) struct Walk<'s> {
    schema: &'s Schema,
    strict: Vec<String>,
    seen: HashSet<String>,
    /// Path of fields and indices, for unknown and duplicate fields.
    path: String,
    /// Names of the fields on the way, for errors of type; list indices and keys of maps do not count.
    fields: Vec<String>,
    /// The innermost struct on the way.
    within: String,
    /// The first error that lets decoding go on.
    saved: Option<String>,
    /// The error that ended decoding.
    fatal: Option<String>,
    /// Within a struct that a decoder of its own reads: the way there is all that errors tell.
    nested: bool,
}

impl<'s> Walk<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        Self {
            schema,
            strict: Vec::new(),
            seen: HashSet::new(),
            path: String::new(),
            fields: Vec::new(),
            within: String::new(),
            saved: None,
            fatal: None,
            nested: false,
        }
    }

    pub(super) fn findings(self) -> Findings {
        Findings {
            strict: self.strict,
            type_error: self.fatal.or(self.saved),
        }
    }

    /// A field that is unknown or there twice.
    fn field_error(&mut self, what: &str, name: &str) {
        if self.strict.len() >= MOST || self.nested || self.fatal.is_some() {
            return;
        }
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        let error = format!("{what} field {}", quote(&path));
        if self.seen.insert(error.clone()) {
            self.strict.push(error);
        }
    }

    /// A value that is not of the type.
    fn mismatch(&mut self, value: &str, go: &str) {
        let error = self.mismatch_text(value, go);
        self.save(error);
    }

    fn mismatch_text(&self, value: &str, go: &str) -> String {
        if self.fields.is_empty() {
            return format!("json: cannot unmarshal {value} into Go value of type {go}");
        }
        let path = self.fields.join(".");
        format!(
            "json: cannot unmarshal {value} into Go struct field {}.{path} of type {go}",
            self.within
        )
    }

    fn save(&mut self, error: String) {
        if self.fatal.is_none() {
            self.saved.get_or_insert(error);
        }
    }

    fn fail(&mut self, error: String) {
        if self.nested {
            self.save(error);
        } else {
            self.fatal.get_or_insert(error);
        }
    }

    fn push(&mut self, name: &str, within: &str) -> Way {
        let way = Way {
            path: self.path.len(),
            within: std::mem::take(&mut self.within),
        };
        if self.nested {
            self.within.clone_from(&way.within);
            return way;
        }
        self.step(name);
        self.fields.push(name.to_owned());
        within.clone_into(&mut self.within);
        way
    }

    fn step(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }

    fn pop(&mut self, way: Way) {
        self.path.truncate(way.path);
        if !self.nested {
            self.fields.pop();
        }
        self.within = way.within;
    }

    /// A value that is neither list nor object nor null, of a certain JSON type.
    fn scalar(&mut self, place: Place<'_>, value: &Literal<'_>) {
        match place {
            Place::Message(id) => {
                let go = self.go(id);
                self.mismatch(value.word(), &go);
            }
            Place::Text if !matches!(value, Literal::Text(_)) => self.mismatch(value.word(), "string"),
            Place::Typed(of) => self.typed(of, value),
            Place::Text | Place::Any | Place::Ignored => {}
        }
    }

    fn go(&self, id: MessageId) -> String {
        self.schema
            .message(id)
            .map(|message| message.go.to_string())
            .unwrap_or_default()
    }

    fn typed(&mut self, of: &FieldType, value: &Literal<'_>) {
        match (&of.kind, value) {
            (Kind::Scalar(Scalar::String), Literal::Text(_))
            | (Kind::Scalar(Scalar::Bool), Literal::Bool(_))
            | (Kind::Scalar(Scalar::Float64), Literal::Number(_)) => {}
            (Kind::Scalar(Scalar::Bytes), Literal::Text(text)) => {
                if let Some(error) = base64_error(text) {
                    self.save(error);
                }
            }
            (Kind::Scalar(scalar @ (Scalar::Int32 | Scalar::Int64)), Literal::Number(number)) => {
                if !fits(*scalar, number) {
                    self.mismatch(&format!("number {number}"), &of.go);
                }
            }
            (Kind::Special(special), value) => self.special(*special, value),
            (_, value) => self.mismatch(value.word(), &of.go),
        }
    }

    fn special(&mut self, special: Special, value: &Literal<'_>) {
        match (special, value) {
            (Special::Time | Special::MicroTime, Literal::Text(text)) => {
                let layout = match special {
                    Special::MicroTime => Layout::Micros,
                    _ => Layout::Seconds,
                };
                if let Err(error) = time::parse(text, layout) {
                    self.fail(error);
                }
            }
            (Special::Time | Special::MicroTime, other) => {
                let error = self.mismatch_text(other.word(), "string");
                self.fail(error);
            }
            (Special::IntOrString, Literal::Number(number)) if !fits(Scalar::Int32, number) => {
                let error = self.mismatch_text(&format!("number {number}"), "int32");
                self.fail(error);
            }
            (Special::IntOrString, Literal::Bool(_)) => {
                let error = self.mismatch_text("bool", "int32");
                self.fail(error);
            }
            (Special::Quantity, value) => {
                let text = match value {
                    Literal::Text(text) => (*text).to_owned(),
                    Literal::Number(number) => number.to_string(),
                    Literal::Bool(on) => on.to_string(),
                };
                if let Err(error) = quantity::canonical(&text) {
                    self.fail(error.to_string());
                }
            }
            (Special::SchemaOrBool, Literal::Text(_) | Literal::Number(_)) => {
                self.fail("boolean or JSON schema expected".to_owned());
            }
            _ => {}
        }
    }

    /// What the items of a list are; an error when a list does not belong here.
    fn items<'p>(&mut self, place: Place<'p>) -> Place<'p>
    where
        's: 'p,
    {
        let go = match place {
            Place::Any => return Place::Any,
            Place::Ignored => return Place::Ignored,
            Place::Text => "string".to_owned(),
            Place::Message(id) => self.go(id),
            Place::Typed(of) => match &of.kind {
                Kind::List { item, .. } => return Place::Typed(item),
                // Go takes a list of numbers for bytes.
                Kind::Scalar(Scalar::Bytes) => return Place::Ignored,
                Kind::Special(special) => return self.special_items(*special),
                _ => of.go.to_string(),
            },
        };
        self.mismatch("array", &go);
        Place::Ignored
    }

    fn special_items<'p>(&mut self, special: Special) -> Place<'p> {
        match special {
            Special::SchemaOrArray => self.schema.json_schema.map_or(Place::Ignored, Place::Message),
            Special::SchemaOrStrings => Place::Text,
            _ => {
                self.special_compound(special, "array");
                Place::Ignored
            }
        }
    }

    /// A list or an object where a special struct stands.
    fn special_compound(&mut self, special: Special, word: &str) {
        let go = match special {
            Special::Time | Special::MicroTime => "string",
            Special::IntOrString => "int32",
            Special::Quantity => {
                self.fail(quantity::QuantityError::Format.to_string());
                return;
            }
            Special::SchemaOrBool if word == "array" => {
                self.fail("boolean or JSON schema expected".to_owned());
                return;
            }
            _ => return,
        };
        let error = self.mismatch_text(word, go);
        self.fail(error);
    }
}

/// Where the walk was.
struct Way {
    path: usize,
    within: String,
}

/// A JSON value without parts.
enum Literal<'v> {
    Text(&'v str),
    Bool(bool),
    Number(Number),
}

impl Literal<'_> {
    const fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
        }
    }
}

fn fits(scalar: Scalar, number: &Number) -> bool {
    number
        .as_i64()
        .is_some_and(|number| scalar == Scalar::Int64 || i32::try_from(number).is_ok())
}

/// Go's sentence about text that is not base64 (go: `encoding/base64`).
fn base64_error(text: &str) -> Option<String> {
    let plain: String = text
        .chars()
        .filter(|letter| !matches!(letter, '\n' | '\r'))
        .collect();
    let error = LENIENT.decode(plain.as_bytes()).err()?;
    let place = match error {
        DecodeError::InvalidByte(place, _) => place,
        DecodeError::InvalidLastSymbol { offset, .. } => offset,
        // Go names the place where the last, incomplete group of four starts.
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => plain.len() / 4 * 4,
    };
    Some(format!("illegal base64 data at input byte {place}"))
}

/// One value of the document.
pub(super) struct Node<'w, 's> {
    pub(super) walk: &'w mut Walk<'s>,
    pub(super) place: Place<'s>,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, on: bool) -> Result<(), E> {
        self.walk.scalar(self.place, &Literal::Bool(on));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.walk.scalar(self.place, &Literal::Number(number.into()));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.walk.scalar(self.place, &Literal::Number(number.into()));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        if let Some(number) = Number::from_f64(number) {
            self.walk.scalar(self.place, &Literal::Number(number));
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.walk.scalar(self.place, &Literal::Text(text));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let place = self.walk.items(self.place);
        let special = is_schema(self.place);
        let outer = special.then(|| Outer::enter(self.walk));
        let length = self.walk.path.len();
        let mut index = 0_usize;
        loop {
            self.walk.path.push_str(&format!("[{index}]"));
            let node = Node {
                walk: &mut *self.walk,
                place,
            };
            let more = items.next_element_seed(node)?;
            self.walk.path.truncate(length);
            if more.is_none() {
                break;
            }
            index = index.saturating_add(1);
        }
        if let Some(outer) = outer {
            outer.leave(self.walk);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { walk, place } = self;
        match place {
            Place::Message(id) => walk_struct(walk, id, entries),
            Place::Any => walk_free(walk, entries),
            Place::Typed(of) => match &of.kind {
                Kind::Message(id) => walk_struct(walk, *id, entries),
                Kind::Map(value) => walk_map(walk, value, entries),
                Kind::Special(Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStrings) => {
                    let outer = Outer::enter(walk);
                    match walk.schema.json_schema {
                        Some(id) => walk_struct(walk, id, entries)?,
                        None => skip(&mut entries)?,
                    }
                    outer.leave(walk);
                    Ok(())
                }
                Kind::Special(special) => {
                    walk.special_compound(*special, "object");
                    skip(&mut entries)
                }
                Kind::Scalar(_) | Kind::List { .. } => {
                    walk.mismatch("object", &of.go);
                    skip(&mut entries)
                }
            },
            Place::Text => {
                walk.mismatch("object", "string");
                skip(&mut entries)
            }
            Place::Ignored => skip(&mut entries),
        }
    }
}

/// Whether a decoder of its own reads what stands here.
const fn is_schema(place: Place<'_>) -> bool {
    matches!(
        place,
        Place::Typed(FieldType {
            kind: Kind::Special(Special::SchemaOrArray | Special::SchemaOrStrings),
            ..
        })
    )
}

/// The state outside of a decoder of its own.
struct Outer {
    nested: bool,
    saved: Option<String>,
}

impl Outer {
    fn enter(walk: &mut Walk<'_>) -> Self {
        Self {
            nested: std::mem::replace(&mut walk.nested, true),
            saved: walk.saved.take(),
        }
    }

    /// The first error of that decoder ends the one around it.
    fn leave(self, walk: &mut Walk<'_>) {
        walk.nested = self.nested;
        let inner = std::mem::replace(&mut walk.saved, self.saved);
        if let Some(error) = inner {
            walk.fail(error);
        }
    }
}

fn skip<'de, A: MapAccess<'de>>(entries: &mut A) -> Result<(), A::Error> {
    while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn walk_struct<'de, A: MapAccess<'de>>(
    walk: &mut Walk<'_>,
    id: MessageId,
    mut entries: A,
) -> Result<(), A::Error> {
    let schema = walk.schema;
    let Some(message) = schema.message(id) else {
        return skip(&mut entries);
    };
    let mut seen = HashSet::new();
    while let Some(key) = entries.next_key::<String>()? {
        let place = match schema.field(id, &key) {
            Some((_, field)) => Place::Typed(&field.of),
            None if message.typed && (key == "kind" || key == "apiVersion") => Place::Text,
            None => {
                walk.field_error("unknown", &key);
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
        };
        if seen.contains(&key) {
            walk.field_error("duplicate", &key);
        }
        let way = walk.push(&key, &message.name);
        let node = Node {
            walk: &mut *walk,
            place,
        };
        entries.next_value_seed(node)?;
        walk.pop(way);
        seen.insert(key);
    }
    Ok(())
}

/// A map of a struct: its keys are on the path of unknown fields, not on that of errors of type.
fn walk_map<'de, 's, A: MapAccess<'de>>(
    walk: &mut Walk<'s>,
    value: &'s FieldType,
    mut entries: A,
) -> Result<(), A::Error> {
    let mut seen = HashSet::new();
    while let Some(key) = entries.next_key::<String>()? {
        if seen.contains(&key) {
            walk.field_error("duplicate", &key);
        }
        let length = walk.path.len();
        walk.step(&key);
        let node = Node {
            walk: &mut *walk,
            place: Place::Typed(value),
        };
        entries.next_value_seed(node)?;
        walk.path.truncate(length);
        seen.insert(key);
    }
    Ok(())
}

/// An object without a schema.
fn walk_free<'de, A: MapAccess<'de>>(walk: &mut Walk<'_>, mut entries: A) -> Result<(), A::Error> {
    let mut seen = HashSet::new();
    while let Some(key) = entries.next_key::<String>()? {
        if seen.contains(&key) {
            walk.field_error("duplicate", &key);
        }
        let way = walk.push(&key, "");
        let node = Node {
            walk: &mut *walk,
            place: Place::Any,
        };
        entries.next_value_seed(node)?;
        walk.pop(way);
        seen.insert(key);
    }
    Ok(())
}
