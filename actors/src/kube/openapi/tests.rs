use std::collections::HashSet;

use prost::Message as _;
use serde_json::{Value, json};

use super::model::Schema;
use super::*;
use crate::kube::crd;
use crate::kube::intern::Interner;
use crate::kube::object::Object;
use crate::kube::resource::{ROWS, Verb};
use crate::kube::schema::{Kind, Message, MessageId, Schema as Wire};
use crate::kube::structure::{self, Merge, Shape};

fn parsed(document: &Document) -> Value {
    serde_json::from_slice(&document.body).unwrap()
}

/// Every `$ref` in the document leads somewhere.
fn check_references(document: &Value) {
    let mut open = vec![document];
    let mut seen = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    seen += 1;
                }
                open.extend(map.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    assert!(seen > 0, "nothing refers to anything");
}

/// The definitions of a kind.
fn of_kind<'a>(definitions: &'a Value, group: &str, version: &str, kind: &str) -> Vec<&'a Value> {
    let wanted = json!({"group": group, "version": version, "kind": kind});
    definitions
        .as_object()
        .unwrap()
        .values()
        .filter(|schema| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.is_some_and(|kinds| kinds.contains(&wanted))
        })
        .collect()
}

fn registry(definitions: &[Value]) -> Registry {
    let mut registry = Registry::default();
    for definition in definitions {
        let names = definition["spec"]["names"].clone();
        let object = Object::from_stored(definition.clone(), "Test", &Interner::default()).unwrap();
        registry
            .register(crd::resource(&object, &names).unwrap())
            .unwrap();
    }
    registry
}

fn widgets(schema: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com", "uid": "6d2f7a1e-0c5b-4f0e-9a57-2f1d3c4b5a69",
            "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

#[test]
fn tables_speak_of_what_there_is() {
    let wire = Wire::built_in();
    let fields = |message: &Message| -> HashSet<String> {
        message
            .fields
            .iter()
            .map(|field| field.name.to_string())
            .collect()
    };
    let table = facts::read(include_str!("facts.txt")).unwrap();
    let mut count = 0;
    for (id, message) in wire.messages() {
        assert_eq!(wire.message(id).unwrap().name, message.name);
        let known = table.get(&*message.package).and_then(|of| of.get(&*message.name));
        if let Some(facts) = known {
            count += 1;
            let fields = fields(message);
            for field in facts.names() {
                assert!(fields.contains(field), "{}.{field}", message.name);
            }
        }
    }
    assert_eq!(
        count,
        table.values().map(std::collections::HashMap::len).sum::<usize>()
    );
    let mut described = 0;
    for (definition, field) in words::all().filter(|(definition, _)| *definition != "*") {
        let name = definitions::known_names()
            .find(|name| words::short(name) == definition)
            .unwrap_or_else(|| panic!("{definition} is no definition"));
        let schema = definitions::definition(Edition::V3, &name).unwrap();
        assert!(
            field.is_empty() || schema.properties.contains_key(field),
            "{definition}/{field}"
        );
        described += 1;
    }
    assert!(described > 200, "{described}");
}

/// What the tables say of lists is what strategic merge and apply go by.
#[test]
fn marks_agree_with_the_layout() {
    let wire = Wire::built_in();
    let (mut open, mut seen, mut compared) = (Vec::new(), HashSet::new(), 0);
    let mut differ: Vec<String> = Vec::new();
    for row in ROWS {
        for version in row.versions {
            let id = wire.kind_of(row.group, version, row.kind).unwrap();
            let layout = structure::built_in(row.group, version, row.kind);
            open.push((id, Some(layout), row.kind.to_owned()));
        }
    }
    while let Some((id, layout, path)) = open.pop() {
        let message: &Message = wire.message(id).unwrap();
        if !seen.insert((message.package.clone(), message.name.clone())) {
            continue;
        }
        let facts = facts::of(&message.package, &message.name);
        for field in &message.fields {
            let path = format!("{path}.{}", field.name);
            if field.is_inline() {
                if let Kind::Message(inner) = field.of.kind {
                    open.push((inner, layout.clone(), path));
                }
                continue;
            }
            let slot = layout.as_ref().and_then(|of| of.slot(&field.name));
            let marks = facts.and_then(|facts| facts.field(&field.name));
            let keyed: Option<Vec<&str>> = slot.and_then(|slot| match &slot.shape {
                Shape::Keyed { keys, .. } => Some(keys.iter().map(|key| &*key.name).collect()),
                _ => None,
            });
            let mut told = marks
                .map(|marks| marks.keys.clone())
                .filter(|keys| !keys.is_empty());
            if let Some(told) = &mut told {
                told.sort_unstable();
            }
            if keyed != told {
                differ.push(format!("{path}: {keyed:?}, {told:?}"));
            }
            let set = slot.is_some_and(|slot| slot.shape == Shape::Set);
            let told = marks.is_some_and(|marks| marks.list_type == Some("set"));
            if set != told {
                differ.push(format!("{path}: set {set}, {told}"));
            }
            let merge = match slot.and_then(|slot| slot.merge.as_ref()) {
                Some(Merge::ByKey(key)) => Some(Some(&**key)),
                Some(Merge::Scalars) => Some(None),
                None => None,
            };
            let told = marks
                .filter(|marks| {
                    marks
                        .strategy
                        .as_ref()
                        .is_some_and(|one| one.starts_with("merge"))
                })
                .map(|marks| marks.merge_key);
            if merge != told {
                differ.push(format!("{path}: {merge:?}, {told:?}"));
            }
            compared += 1;
            // Nobody looks into what is replaced as a whole.
            let whole = marks.is_some_and(|marks| marks.map_type == Some("atomic"));
            let inner: Option<MessageId> = match &field.of.kind {
                Kind::Message(id) if !whole => Some(*id),
                Kind::List { item, .. } if keyed.is_some() || merge.is_some() => match item.kind {
                    Kind::Message(id) => Some(id),
                    _ => None,
                },
                _ => None,
            };
            if let Some(inner) = inner {
                let layout = slot.and_then(|slot| slot.shape.inner().cloned());
                open.push((inner, layout, path));
            }
        }
    }
    assert_eq!(differ, [""; 0], "layout and marks");
    assert!(compared > 1000, "{compared}");
}

#[test]
fn every_built_in_kind_has_its_document() {
    let registry = Registry::default();
    let index = parsed(&v3_index(&registry));
    for row in ROWS {
        for version in row.versions {
            let path = group_path(row.group, version);
            let document = v3_document(&registry, &path).unwrap();
            let place = index["paths"][&path]["serverRelativeURL"].as_str().unwrap();
            assert_eq!(place, format!("/openapi/v3/{path}?hash={}", document.hash));
            let document = parsed(&document);
            assert_eq!(document["openapi"], "3.0.0");
            let schemas = &document["components"]["schemas"];
            assert_eq!(
                of_kind(schemas, row.group, version, row.kind).len(),
                1,
                "{}",
                row.kind
            );
            if !row.verbs.has(Verb::Patch) {
                continue;
            }
            // What kubectl asks before it leaves the checking of fields to the server.
            let patched = document["paths"].as_object().unwrap().values().any(|path| {
                let patch = &path["patch"];
                let named = patch["x-kubernetes-group-version-kind"]["kind"] == row.kind;
                let has = |name: &str| {
                    let parameters = patch["parameters"].as_array();
                    parameters.is_some_and(|list| list.iter().any(|one| one["name"] == name))
                };
                named && has("fieldValidation") && has("dryRun")
            });
            assert!(patched, "{path} {}", row.kind);
        }
    }
    for path in index["paths"].as_object().unwrap().keys() {
        check_references(&parsed(&v3_document(&registry, path).unwrap()));
    }
    assert!(index["paths"].get("version").is_some() && index["paths"].get("apis/apps").is_some());
    assert!(v3_document(&registry, "apis/apps/v9").is_none());
}

#[test]
fn definitions_look_like_the_published_ones() {
    let apps = parsed(&v3_document(&Registry::default(), "apis/apps/v1").unwrap());
    let schemas = &apps["components"]["schemas"];
    let meta = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.";
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(
        deployment["properties"]["metadata"]["allOf"],
        json!([{"$ref": format!("{meta}ObjectMeta")}])
    );
    assert_eq!(deployment["properties"]["spec"]["default"], json!({}));
    let spec = &schemas["io.k8s.api.apps.v1.DeploymentSpec"];
    assert_eq!(spec["required"], json!(["selector", "template"]));
    assert_eq!(
        spec["properties"]["strategy"]["x-kubernetes-patch-strategy"],
        "retainKeys"
    );
    let ports = &schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(
        ports,
        &json!({
            "description": "Ports that the program listens at.", "type": "array",
            "items": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.ContainerPort"}]},
            "x-kubernetes-list-map-keys": ["containerPort", "protocol"], "x-kubernetes-list-type": "map",
            "x-kubernetes-patch-merge-key": "containerPort", "x-kubernetes-patch-strategy": "merge",
        })
    );
    let port = &schemas["io.k8s.api.core.v1.ContainerPort"];
    assert_eq!(
        port["properties"]["protocol"],
        json!({"type": "string", "default": "TCP"})
    );
    assert_eq!(
        port["properties"]["hostPort"],
        json!({"type": "integer", "format": "int32"})
    );
    // Fields of embedded structs stand with the others.
    let volume = &schemas["io.k8s.api.core.v1.Volume"]["properties"];
    assert!(volume.get("hostPath").is_some() && volume.get("").is_none());
    let time = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]["creationTimestamp"];
    assert_eq!(time["allOf"], json!([{"$ref": format!("{meta}Time")}]));
    assert!(time.get("default").is_none());
    let selector = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"];
    assert_eq!(selector["x-kubernetes-map-type"], "atomic");
    let path = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"];
    assert_eq!(
        path["put"]["operationId"],
        "replaceAppsV1NamespacedDeploymentScale"
    );
    assert_eq!(path["put"]["x-kubernetes-group-version-kind"]["kind"], "Scale");
}

#[test]
fn both_forms_of_swagger_say_the_same() {
    let registry = registry(&[widgets(json!({
        "type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "maximum": 7}}}},
    }))]);
    for registry in [&Registry::default(), &registry] {
        let document = parsed(&v2(registry));
        assert_eq!(document["swagger"], "2.0");
        check_references(&document);
        let message = gnostic::Document::decode(&*v2_protobuf(registry).body).unwrap();
        assert_eq!(message.swagger, "2.0");
        let definitions = document["definitions"].as_object().unwrap();
        let named = message.definitions.unwrap().additional_properties;
        assert_eq!(named.len(), definitions.len());
        for one in &named {
            let (schema, other) = (one.value.as_ref().unwrap(), &definitions[&one.name]);
            let kinds = |kind: &gnostic::TypeItem| json!(kind.value.first());
            assert_eq!(
                json!(schema.kind.as_ref().map(kinds)),
                other["type"],
                "{}",
                one.name
            );
            assert_eq!(schema.description, other["description"].as_str().unwrap_or(""));
            let required: Vec<&str> = schema.required.iter().map(String::as_str).collect();
            assert_eq!(
                json!(required),
                other.get("required").cloned().unwrap_or(json!([]))
            );
            let properties = schema.properties.iter().flat_map(|of| &of.additional_properties);
            let names: Vec<&str> = properties.map(|property| &*property.name).collect();
            let others = other["properties"].as_object();
            let others: Vec<&str> = others.into_iter().flatten().map(|(name, _)| &**name).collect();
            assert_eq!(names, others, "{}", one.name);
            for extension in &schema.vendor_extension {
                let value: Value = serde_json::from_str(&extension.value.as_ref().unwrap().yaml).unwrap();
                assert_eq!(value, other[&extension.name], "{}", one.name);
            }
        }
        let paths = message.paths.unwrap().path;
        assert_eq!(paths.len(), document["paths"].as_object().unwrap().len());
        // What kubectl 1.20 looks for before a dry run on the server.
        let dry = |path: &&gnostic::NamedPathItem| {
            let patch = path.value.as_ref().and_then(|item| item.patch.as_ref());
            patch.is_some_and(|patch| {
                let kind = &document["paths"][&path.name]["patch"]["x-kubernetes-group-version-kind"];
                let told = patch.vendor_extension.iter().any(|extension| {
                    extension.name == "x-kubernetes-group-version-kind"
                        && serde_json::from_str(&extension.value.as_ref().unwrap().yaml)
                            .ok()
                            .as_ref()
                            == Some(kind)
                });
                let query = |item: &gnostic::ParametersItem| match &item.parameter.as_ref().unwrap().place {
                    Some(gnostic::Place::Other(other)) => match &other.of {
                        Some(gnostic::NonBody::Query(query)) => query.name == "dryRun",
                        _ => false,
                    },
                    _ => false,
                };
                told && patch.parameters.iter().any(query)
            })
        };
        let patches = document["paths"].as_object().unwrap().values();
        let patches = patches
            .filter(|path| path["patch"]["x-kubernetes-action"] == "patch")
            .count();
        assert_eq!(paths.iter().filter(dry).count(), patches);
        for row in ROWS {
            for version in row.versions {
                let found = of_kind(&document["definitions"], row.group, version, row.kind);
                assert_eq!(found.len(), 1, "{version} {}", row.kind);
            }
        }
    }
}

#[test]
fn custom_resources_bring_their_schemas() {
    let schema = json!({
        "type": "object", "description": "A widget.", "required": ["spec"],
        "properties": {
            "spec": {"type": "object", "required": ["size", "note"], "properties": {
                "size": {"type": "integer", "minimum": 1, "default": 3},
                "note": {"type": "string", "nullable": true},
                "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "share": {"x-kubernetes-int-or-string": true},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
                "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
                "inner": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
            }},
        },
    });
    let registry = registry(&[widgets(schema.clone())]);
    let index = parsed(&v3_index(&registry));
    assert!(index["paths"].get("apis/example.com").is_some());
    let document = v3_document(&registry, "apis/example.com/v1").unwrap();
    let place = index["paths"]["apis/example.com/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    assert!(place.ends_with(&*document.hash), "{place}");
    let document = parsed(&document);
    check_references(&document);
    let schemas = &document["components"]["schemas"];
    let widget = &schemas["com.example.v1.Widget"];
    assert_eq!(widget["description"], "A widget.");
    assert_eq!(widget["required"], json!(["spec"]));
    assert!(widget["properties"].get("apiVersion").is_some());
    assert!(widget["properties"]["metadata"]["allOf"].is_array());
    let spec = &widget["properties"]["spec"]["properties"];
    assert_eq!(
        spec["size"],
        json!({"type": "integer", "minimum": 1, "default": 3})
    );
    assert_eq!(spec["note"], json!({"type": "string", "nullable": true}));
    assert_eq!(spec["port"], schema["properties"]["spec"]["properties"]["port"]);
    assert_eq!(spec["share"], spec["port"]);
    assert_eq!(spec["list"], schema["properties"]["spec"]["properties"]["list"]);
    assert_eq!(spec["inner"]["required"], json!(["kind", "apiVersion"]));
    assert!(spec["inner"]["properties"].get("metadata").is_some());
    assert_eq!(of_kind(schemas, "example.com", "v1", "WidgetList").len(), 1);
    let path = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/status"];
    assert_eq!(
        path["patch"]["operationId"],
        "patchExampleComV1NamespacedWidgetStatus"
    );

    // Old clients cannot read all of that.
    let old = parsed(&v2(&registry));
    let spec = &old["definitions"]["com.example.v1.Widget"]["properties"]["spec"];
    assert_eq!(spec["required"], json!(["size"]));
    assert_eq!(spec["properties"]["note"], json!({}));
    assert_eq!(
        spec["properties"]["port"],
        json!({"x-kubernetes-int-or-string": true})
    );
    assert_eq!(
        spec["properties"]["free"],
        json!({"x-kubernetes-preserve-unknown-fields": true})
    );
    assert!(index["paths"].get("apis/other.example.com/v1").is_none());
    assert!(v3_document(&registry, "apis/example.com/v2").is_none());
}

#[test]
fn equal_clusters_share_documents() {
    let schema = |word: &str| json!({"type": "object", "description": word});
    let one = registry(&[widgets(schema("one"))]);
    let twin = registry(&[widgets(schema("one"))]);
    let other = registry(&[widgets(schema("other"))]);
    let document = |registry: &Registry| v3_document(registry, "apis/example.com/v1").unwrap();
    assert_eq!(document(&one), document(&twin));
    assert_eq!(
        document(&one).body.as_ptr(),
        document(&twin).body.as_ptr(),
        "one copy"
    );
    assert_ne!(document(&one).hash, document(&other).hash);
    assert_eq!(v2(&one).hash, v2(&twin).hash);
    assert_ne!(v2(&one).hash, v2(&other).hash);
    assert_ne!(v2(&one).hash, v2(&Registry::default()).hash);
    assert_ne!(v3_index(&one).hash, v3_index(&other).hash);
    let plain = Registry::default();
    assert_eq!(
        v2_protobuf(&plain).body.as_ptr(),
        v2_protobuf(&Registry::default()).body.as_ptr()
    );
    assert_eq!(document(&one).hash.len(), 128);
}

#[test]
fn a_schema_survives_its_model() {
    let source = json!({
        "type": "object", "enum": [{"a": 1}], "not": {"type": "string"}, "oneOf": [{"minimum": 0.5}],
        "additionalProperties": {"type": "array", "items": {"format": "date"}}, "x-kubernetes-validations": [{"rule": "true"}],
        "maxLength": 3, "pattern": "^a", "title": "t", "externalDocs": {"url": "u"},
    });
    let schema: Schema = serde_json::from_value(source.clone()).unwrap();
    assert_eq!(serde_json::to_value(&schema).unwrap(), source);
    let any: Schema = serde_json::from_value(json!({"additionalProperties": false})).unwrap();
    assert_eq!(
        serde_json::to_value(&any).unwrap(),
        json!({"additionalProperties": false})
    );
}

#[test]
fn operations_have_the_published_names() {
    let id = |verb, group, version, rest| names::operation(verb, group, version, rest);
    assert_eq!(
        id("read", "", "v1", "NamespacedPodLog"),
        "readCoreV1NamespacedPodLog"
    );
    assert_eq!(
        id("get", "rbac.authorization.k8s.io", "v1", "APIResources"),
        "getRbacAuthorizationV1APIResources"
    );
    assert_eq!(
        names::tag("flowcontrol.apiserver.k8s.io", "v1"),
        "flowcontrolApiserver_v1"
    );
    assert_eq!(
        names::custom("cluster.x-k8s.io", "v1beta2", "Machine"),
        "io.x-k8s.cluster.v1beta2.Machine"
    );
}
