//! Definitions of the built-in structs, from the table of their wire form.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::facts;
use super::model::{Additional, Edition, Schema};
use super::names;
use super::words;
use crate::kube::resource::BUILT_IN;
use crate::kube::schema::{Field, FieldType, Kind, Message, MessageId, Scalar, Schema as Wire, Special};

/// Definitions by name.
pub(super) type Definitions = BTreeMap<String, Schema>;

/// Metadata of objects and of lists.
pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
pub(super) const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
/// The body of a patch.
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
/// One change in a watch.
pub(super) const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";
/// The facts about the running program, `/version`.
pub(super) const VERSION_INFO: &str = "io.k8s.apimachinery.pkg.version.Info";

/// The kinds that a definition is the form of.
pub(super) const KINDS: &str = "x-kubernetes-group-version-kind";

/// A definition that has no struct with fields of its own.
const SPECIAL: [(Special, &str); 10] = [
    (Special::Time, "io.k8s.apimachinery.pkg.apis.meta.v1.Time"),
    (
        Special::MicroTime,
        "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
    ),
    (Special::Quantity, "io.k8s.apimachinery.pkg.api.resource.Quantity"),
    (
        Special::IntOrString,
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    ),
    (
        Special::RawExtension,
        "io.k8s.apimachinery.pkg.runtime.RawExtension",
    ),
    (Special::FieldsV1, "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"),
    (
        Special::Json,
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    ),
    (
        Special::SchemaOrBool,
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    ),
    (
        Special::SchemaOrArray,
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    ),
    (
        Special::SchemaOrStrings,
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
    ),
];

/// Fields of `/version`, and whether they are always there.
const VERSION_FIELDS: [(&str, bool); 13] = [
    ("buildDate", true),
    ("compiler", true),
    ("emulationMajor", false),
    ("emulationMinor", false),
    ("gitCommit", true),
    ("gitTreeState", true),
    ("gitVersion", true),
    ("goVersion", true),
    ("major", true),
    ("minCompatibilityMajor", false),
    ("minCompatibilityMinor", false),
    ("minor", true),
    ("platform", true),
];

/// The struct behind the name of a definition.
fn by_name(name: &str) -> Option<MessageId> {
    static NAMES: LazyLock<HashMap<String, MessageId>> = LazyLock::new(|| {
        Wire::built_in()
            .messages()
            .map(|(id, message)| (names::definition(message), id))
            .collect()
    });
    NAMES.get(name).copied()
}

/// The name of the definition of a kind.
pub(super) fn name_of_kind(group: &str, version: &str, kind: &str) -> Option<String> {
    let wire = Wire::built_in();
    let id = wire.kind_of(group, version, kind)?;
    wire.message(id).map(names::definition)
}

/// A definition by its name.
pub(super) fn definition(edition: Edition, name: &str) -> Option<Schema> {
    let mut schema = if let Some((special, _)) = SPECIAL.iter().find(|(_, known)| *known == name) {
        special_form(edition, *special)
    } else if name == PATCH {
        Schema::of("object")
    } else if name == VERSION_INFO {
        version_info(edition)
    } else {
        let message = Wire::built_in().message(by_name(name)?)?;
        structure(edition, message)
    };
    schema.description = words::of(name).map(str::to_owned);
    Some(schema)
}

/// The names of all definitions.
#[cfg(test)]
pub(super) fn known_names() -> impl Iterator<Item = String> {
    let structs = Wire::built_in().messages().map(|(_, of)| names::definition(of));
    let special = SPECIAL.iter().map(|(_, name)| (*name).to_owned());
    structs
        .chain(special)
        .chain([PATCH.to_owned(), VERSION_INFO.to_owned()])
}

/// Adds all that the definitions refer to, and what that refers to.
pub(super) fn complete(edition: Edition, definitions: &mut Definitions) {
    let mut wanted: Vec<String> = Vec::new();
    let want = |schema: &Schema, wanted: &mut Vec<String>| {
        schema.references(&mut |reference| {
            wanted.extend(reference.strip_prefix(edition.prefix()).map(str::to_owned));
        });
    };
    for schema in definitions.values() {
        want(schema, &mut wanted);
    }
    while let Some(name) = wanted.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        if let Some(schema) = definition(edition, &name) {
            want(&schema, &mut wanted);
            definitions.insert(name, schema);
        }
    }
}

fn special_form(edition: Edition, special: Special) -> Schema {
    let either = |types: [&str; 2]| types.map(Schema::of).to_vec();
    match special {
        Special::Time | Special::MicroTime => Schema::formatted("string", "date-time"),
        Special::Quantity => match edition {
            Edition::V2 => Schema::of("string"),
            Edition::V3 => Schema {
                one_of: either(["string", "number"]),
                ..Schema::default()
            },
        },
        Special::IntOrString => match edition {
            Edition::V2 => Schema::formatted("string", "int-or-string"),
            Edition::V3 => Schema {
                format: Some("int-or-string".to_owned()),
                one_of: either(["integer", "string"]),
                ..Schema::default()
            },
        },
        Special::RawExtension | Special::FieldsV1 => Schema::of("object"),
        Special::Json | Special::SchemaOrBool | Special::SchemaOrArray | Special::SchemaOrStrings => {
            Schema::default()
        }
    }
}

fn version_info(edition: Edition) -> Schema {
    let mut schema = Schema::of("object");
    for (name, always) in VERSION_FIELDS {
        let mut field = Schema::of("string");
        if always {
            schema.required.push(name.to_owned());
            field.default = Some(json!("")).filter(|_| edition == Edition::V3);
        }
        schema.properties.insert(name.to_owned(), field);
    }
    schema
}

/// A text property with what is known of it.
pub(super) fn text(owner: &str, name: &str) -> Schema {
    Schema {
        description: words::of_field(owner, name).map(str::to_owned),
        ..Schema::of("string")
    }
}

fn structure(edition: Edition, message: &Message) -> Schema {
    let mut schema = Schema::of("object");
    let owner = names::definition(message);
    fields(edition, message, &owner, &mut schema);
    if message.typed {
        for name in ["apiVersion", "kind"] {
            schema.properties.insert(name.to_owned(), text(&owner, name));
        }
    }
    if message.typed || owner == WATCH_EVENT {
        schema.rest.insert(KINDS.to_owned(), kinds(message));
    }
    if facts::of(&message.package, &message.name).is_some_and(|facts| facts.atomic) {
        schema
            .rest
            .insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
    schema
}

/// The fields of a struct and of those that it embeds.
fn fields(edition: Edition, message: &Message, owner: &str, schema: &mut Schema) {
    let facts = facts::of(&message.package, &message.name);
    for field in &message.fields {
        if let (true, Kind::Message(inner)) = (field.is_inline(), &field.of.kind) {
            if let Some(inner) = Wire::built_in().message(*inner) {
                fields(edition, inner, owner, schema);
            }
            continue;
        }
        let marks = facts.and_then(|facts| facts.field(&field.name));
        let mut property = value(edition, &field.of);
        if edition == Edition::V3 {
            property.default = marks
                .and_then(|marks| marks.default.clone())
                .or_else(|| zero(field));
        }
        property.description = words::of_field(owner, &field.name).map(str::to_owned);
        property
            .rest
            .extend(marks.into_iter().flat_map(facts::Marks::extensions));
        let required = marks.and_then(|marks| marks.required);
        if required.unwrap_or(!field.omit_empty && !field.omit_zero) {
            schema.required.push(field.name.to_string());
        }
        schema.properties.insert(field.name.to_string(), property);
    }
}

/// The default that follows from the type (kube-openapi: `pkg/generators/openapi.go`, `mustEnforceDefault`).
fn zero(field: &Field) -> Option<Value> {
    if field.of.pointer {
        return None;
    }
    match &field.of.kind {
        Kind::Message(_) => Some(json!({})),
        Kind::Scalar(scalar) if !field.omit_empty => match scalar {
            Scalar::String => Some(json!("")),
            Scalar::Bool => Some(json!(false)),
            Scalar::Int32 | Scalar::Int64 | Scalar::Float64 => Some(json!(0)),
            Scalar::Bytes => None,
        },
        _ => None,
    }
}

fn value(edition: Edition, of: &FieldType) -> Schema {
    match &of.kind {
        Kind::Scalar(scalar) => match scalar {
            Scalar::String => Schema::of("string"),
            Scalar::Bool => Schema::of("boolean"),
            Scalar::Int32 => Schema::formatted("integer", "int32"),
            Scalar::Int64 => Schema::formatted("integer", "int64"),
            Scalar::Float64 => Schema::formatted("number", "double"),
            Scalar::Bytes => Schema::formatted("string", "byte"),
        },
        Kind::Message(id) => Wire::built_in()
            .message(*id)
            .map(|message| edition.property(&names::definition(message)))
            .unwrap_or_default(),
        Kind::Special(special) => SPECIAL
            .iter()
            .find(|(known, _)| known == special)
            .map(|(_, name)| edition.property(name))
            .unwrap_or_default(),
        Kind::List { item, .. } => Schema {
            items: Some(Box::new(value(edition, item))),
            ..Schema::of("array")
        },
        Kind::Map(item) => Schema {
            additional_properties: Some(Additional::Of(Box::new(value(edition, item)))),
            ..Schema::of("object")
        },
    }
}

/// Takes away the kinds of other groups and versions than the core one and these.
pub(super) fn keep_kinds(definitions: &mut Definitions, api_versions: &[(&str, &str)]) {
    for schema in definitions.values_mut() {
        let Some(kinds) = schema.rest.get_mut(KINDS).and_then(Value::as_array_mut) else {
            continue;
        };
        if kinds.len() < 2 {
            continue;
        }
        kinds.retain(|kind| {
            let text = |key: &str| kind.get(key).and_then(Value::as_str).unwrap_or("");
            let (group, version) = (text("group"), text("version"));
            group.is_empty() || api_versions.contains(&(group, version))
        });
    }
}

/// `x-kubernetes-group-version-kind` of a struct. Some kinds of the machinery belong to every group.
fn kinds(message: &Message) -> Value {
    let kind =
        |group: &str, version: &str| json!({"group": group, "version": version, "kind": &*message.name});
    if !message.package.starts_with("meta.") {
        let wire = Wire::built_in();
        let own = wire.kinds().find(|(_, name, id)| {
            *name == &*message.name && wire.message(*id).is_some_and(|of| std::ptr::eq(of, message))
        });
        let api_version = own.map_or("", |(api_version, ..)| api_version);
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        return json!([kind(group, version)]);
    }
    let mut all = vec![kind("", "v1")];
    if matches!(&*message.name, "DeleteOptions" | "WatchEvent") {
        for resource in BUILT_IN.iter() {
            for version in &resource.versions {
                let one = kind(&resource.group, &version.name);
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
    }
    all.into()
}
