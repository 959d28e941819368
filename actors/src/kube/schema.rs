//! The wire form of the built-in kinds: which fields each has, of what type, with which number in protobuf.
//!
//! The table `schema.txt` is read once. From it follow:
//!
//! - [`protobuf`]: bodies in `application/vnd.kubernetes.protobuf` to JSON and back;
//! - [`strict`]: unknown and duplicate fields and values of the wrong type, in the words of the real decoder;
//! - [`normal`]: what decoding into Go's structs and encoding again makes of an object.

pub mod normal;
pub mod protobuf;
pub mod strict;

mod quantity;
mod table;
mod time;
mod wire;

use std::collections::HashMap;
use std::sync::LazyLock;

/// Deepest nesting of messages: more than any object of a built-in kind has, and within what JSON readers take.
pub const DEEPEST: usize = 100;

/// Number of a [`Message`] within the [`Schema`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId(u32);

/// A type that holds one value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are the types' own")]
pub enum Scalar {
    String,
    Bool,
    Int32,
    Int64,
    Float64,
    /// Base64 in JSON.
    Bytes,
}

/// A struct whose JSON form is not an object of its fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Special {
    /// RFC 3339, whole seconds.
    Time,
    /// RFC 3339, microseconds.
    MicroTime,
    /// `500m`, `1Gi`.
    Quantity,
    /// A number or a text.
    IntOrString,
    /// Any JSON: an embedded object.
    RawExtension,
    /// Any JSON: a field set.
    FieldsV1,
    /// Any JSON: a default or an example of a schema.
    Json,
    /// A schema, `true` or `false`.
    SchemaOrBool,
    /// A schema or a list of them.
    SchemaOrArray,
    /// A schema or a list of names.
    SchemaOrStrings,
}

/// The shape of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// One value.
    Scalar(Scalar),
    /// A struct.
    Message(MessageId),
    /// A struct with a JSON form of its own.
    Special(Special),
    /// A list. `wrapped`: in protobuf it is field 1 of a message, so that it can stand in a map.
    List {
        /// Type of the items.
        item: Box<FieldType>,
        /// Whether a message stands around it.
        wrapped: bool,
    },
    /// A map with keys that are text.
    Map(Box<FieldType>),
}

/// The type of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldType {
    /// Its shape.
    pub kind: Kind,
    /// Whether absent differs from zero.
    pub pointer: bool,
    /// Go's name of it, which errors quote: `string`, `v1.Protocol`, `[]v1.Container`.
    pub go: Box<str>,
}

/// A field of a struct.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Name in JSON; empty = its own fields stand in the place of it.
    pub name: Box<str>,
    /// Number in protobuf.
    pub number: u32,
    /// Type.
    pub of: FieldType,
    /// `omitempty`: zero scalars, nil pointers and empty lists and maps are not written. Structs are.
    pub omit_empty: bool,
    /// `omitzero`: nor is a struct that is zero.
    pub omit_zero: bool,
}

impl Field {
    /// Whether the fields of its struct stand in JSON where it would stand.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.name.is_empty()
    }
}

/// A struct.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its package: `core.v1`.
    pub package: Box<str>,
    /// Name of the struct: `PodSpec`.
    pub name: Box<str>,
    /// Go's name of the type: `v1.PodSpec`.
    pub go: Box<str>,
    /// Whether it has `apiVersion` and `kind`.
    pub typed: bool,
    /// Its fields, in the order in which they are declared.
    pub fields: Vec<Field>,
}

/// All structs.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    messages: Vec<Message>,
    /// By the text of `apiVersion`, then by kind.
    kinds: HashMap<Box<str>, HashMap<Box<str>, MessageId>>,
    /// What stands inside of [`Special::SchemaOrBool`] and its kin.
    json_schema: Option<MessageId>,
}

/// Kinds of `meta.k8s.io/v1` that every group and version knows.
const EVERYWHERE: [&str; 8] = [
    "CreateOptions",
    "DeleteOptions",
    "GetOptions",
    "ListOptions",
    "PatchOptions",
    "Status",
    "UpdateOptions",
    "WatchEvent",
];

impl Schema {
    /// The built-in kinds.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static SCHEMA: LazyLock<Schema> =
            LazyLock::new(|| table::read(include_str!("schema/schema.txt")).unwrap_or_default());
        &SCHEMA
    }

    /// The struct of a kind; `api_version` is `v1` or `apps/v1`.
    #[must_use]
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<MessageId> {
        let own = |version: &str| self.kinds.get(version).and_then(|kinds| kinds.get(kind)).copied();
        own(api_version).or_else(|| {
            // Kinds of the machinery may be named in any group; those that are no resources of a group also in `v1`.
            let everywhere = EVERYWHERE.contains(&kind) || api_version == "v1";
            everywhere.then(|| own("meta.k8s.io/v1")).flatten()
        })
    }

    /// The struct of a kind by group (empty for the core), version and kind.
    #[must_use]
    pub fn kind_of(&self, group: &str, version: &str, kind: &str) -> Option<MessageId> {
        if group.is_empty() {
            self.kind(version, kind)
        } else {
            self.kind(&format!("{group}/{version}"), kind)
        }
    }

    /// A struct.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&Message> {
        self.messages.get(usize::try_from(id.0).ok()?)
    }

    /// The field that the key `name` of a JSON object fills, and the struct that declares it.
    #[must_use]
    pub fn field(&self, id: MessageId, name: &str) -> Option<(&Message, &Field)> {
        let message = self.message(id)?;
        if let Some(field) = message.fields.iter().find(|field| &*field.name == name) {
            return Some((message, field)).filter(|_| !name.is_empty());
        }
        message
            .fields
            .iter()
            .filter(|field| field.is_inline())
            .find_map(|field| match field.of.kind {
                Kind::Message(inner) => self.field(inner, name),
                _ => None,
            })
    }

    /// Every struct, in the order of the table.
    pub fn messages(&self) -> impl Iterator<Item = (MessageId, &Message)> {
        (0..).map(MessageId).zip(&self.messages)
    }

    /// Every kind: `apiVersion`, kind and struct, in no particular order.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, &str, MessageId)> {
        self.kinds.iter().flat_map(|(version, kinds)| {
            kinds
                .iter()
                .map(move |(kind, message)| (&**version, &**kind, *message))
        })
    }
}

#[cfg(test)]
mod tests;
