//! Definitions of custom resources: the schema of the definition object, with what every object has.
//!
//! Source: apiextensions-apiserver `pkg/controller/openapi/builder/builder.go`, `.../v2/conversion.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::definitions::{Definitions, KINDS, LIST_META, OBJECT_META, text};
use super::model::{Additional, Edition, Schema};
use super::{names, words};
use crate::kube::resource::{Resource, Version};

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";

/// Adds the definitions of the objects and lists of one version.
pub(super) fn define(edition: Edition, resource: &Resource, version: &Version, into: &mut Definitions) {
    let kind = |kind: &str| json!([{"group": resource.group, "version": version.name, "kind": kind}]);
    let name = names::custom(&resource.group, &version.name, &resource.kind);
    let mut schema = object(edition, &name, version.schema.as_ref());
    schema
        .rest
        .insert("x-kubernetes-group-version-kind".to_owned(), kind(&resource.kind));
    let list_name = names::custom(&resource.group, &version.name, &resource.list_kind);
    let mut list = Schema {
        description: Some(format!("List of {}.", resource.plural)),
        required: vec!["items".to_owned()],
        ..Schema::of("object")
    };
    add_type(&list_name, &mut list);
    add_metadata(edition, LIST_META, &mut list);
    list.properties.insert(
        "items".to_owned(),
        Schema {
            items: Some(Box::new(edition.reference(&name))),
            description: words::of_field(&list_name, "items").map(str::to_owned),
            ..Schema::of("array")
        },
    );
    list.rest.insert(KINDS.to_owned(), kind(&resource.list_kind));
    into.insert(name, schema);
    into.insert(list_name, list);
}

fn object(edition: Edition, name: &str, source: Option<&Arc<Value>>) -> Schema {
    use serde::Deserialize as _;
    // Old clients take a definition with some properties for one that has no others.
    let open = || Schema::of("object");
    let Some(source) = source else { return open() };
    let Ok(mut schema) = Schema::deserialize(&**source) else {
        return open();
    };
    if edition == Edition::V2 {
        if schema.flag(PRESERVE) {
            return open();
        }
        simplify(&mut schema);
    } else {
        unfold(&mut schema);
    }
    schema.kind = Some("object".to_owned());
    add_embedded(edition, &mut schema);
    add_type(name, &mut schema);
    add_metadata(edition, OBJECT_META, &mut schema);
    schema
}

fn add_type(owner: &str, schema: &mut Schema) {
    for name in ["apiVersion", "kind"] {
        schema.properties.insert(name.to_owned(), text(owner, name));
    }
}

fn add_metadata(edition: Edition, of: &str, schema: &mut Schema) {
    let property = Schema {
        description: words::of_field(of, "metadata").map(str::to_owned),
        ..edition.property(of)
    };
    schema.properties.insert("metadata".to_owned(), property);
}

/// The schemas right below.
fn parts(schema: &mut Schema) -> impl Iterator<Item = &mut Schema> {
    let additional = match &mut schema.additional_properties {
        Some(Additional::Of(of)) => Some(&mut **of),
        _ => None,
    };
    schema
        .properties
        .values_mut()
        .chain(schema.items.as_deref_mut())
        .chain(additional)
}

/// Objects within objects have a type and metadata too.
fn add_embedded(edition: Edition, schema: &mut Schema) {
    for part in parts(schema) {
        add_embedded(edition, part);
    }
    if !schema.flag(EMBEDDED) || (edition == Edition::V2 && schema.flag(PRESERVE)) {
        return;
    }
    add_type("", schema);
    add_metadata(edition, OBJECT_META, schema);
    for name in ["kind", "apiVersion"] {
        if !schema.required.iter().any(|required| required == name) {
            schema.required.push(name.to_owned());
        }
    }
}

/// Says in plain words what "a number or a text" is (apiextensions-apiserver: `pkg/apiserver/schema/unfold.go`).
fn unfold(schema: &mut Schema) {
    if schema.flag(INT_OR_STRING) && schema.any_of.is_empty() && schema.all_of.is_empty() {
        schema.any_of = ["integer", "string"].map(Schema::of).to_vec();
    }
    for part in parts(schema) {
        unfold(part);
    }
}

/// Takes out what Swagger 2.0 lacks, and what makes old clients refuse good objects.
fn simplify(schema: &mut Schema) {
    schema.all_of.clear();
    schema.one_of.clear();
    schema.any_of.clear();
    schema.not = None;
    let preserve = schema.flag(PRESERVE);
    if schema.nullable {
        schema.kind = None;
    }
    if schema.nullable || preserve {
        schema.items = None;
        schema.properties.clear();
    }
    schema.nullable = false;
    let bare_list = schema.items.is_none() && schema.kind.as_deref() == Some("array");
    let open = preserve && schema.kind.as_deref() == Some("object");
    if bare_list || open {
        schema.kind = None;
    }
    let properties = &schema.properties;
    let nullable = |name: &String| properties.get(name).is_some_and(|property| property.nullable);
    schema.required.retain(|name| !nullable(name));
    if let Some(Additional::Of(of)) = &schema.additional_properties
        && of.nullable
    {
        schema.required.clear();
    }
    for part in parts(schema) {
        simplify(part);
    }
}
