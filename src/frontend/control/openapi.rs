//! The `OpenAPI` document (version 3.1.1), made from the table of operations and from the types.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use bytes::Bytes;
use metalsim_actors::fault::FaultForm;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::operations::{self, Content, OPERATIONS, Operation, Parameter};
use super::{clusters, fkas, nodes, power};
use crate::events::Event;

/// Where schemas are in the document.
const SCHEMAS: &str = "/components/schemas";

static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec_pretty(&make()).unwrap_or_default().into());

/// `GET /openapi.json`
pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(DOCUMENT.clone())
}

fn make() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths
            .entry(operation.path)
            .or_insert_with(|| parameters_of_path(operation.path));
        path[operation.verb.as_str()] = describe(operation);
    }
    let tags: BTreeSet<&str> = OPERATIONS.iter().map(tag).collect();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "metalsim control API",
            "description": "For those who run the simulator: docs/control-api.md.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "tags": tags.into_iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {"Error": {
                "description": "The request was not carried out",
                "content": {"application/json": {"schema": reference("Error")}},
            }},
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "description": "`control.token` of the settings, if it is set",
            }},
        },
    })
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#{SCHEMAS}/{schema}")})
}

/// The first part of the path that tells operations apart.
fn tag(operation: &Operation) -> &'static str {
    match operation.path.strip_prefix("/api/v1/") {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None if operation.open || operation.path == "/metrics" => "process",
        None => "fkas",
    }
}

fn parameters_of_path(path: &str) -> Value {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = names
        .map(|name| {
            let meaning = match name {
                "node" => "Name or UUID of the server",
                "cluster" => "Name or endpoint of the cluster",
                _ => "Name of the fault",
            };
            json!({"name": name, "in": "path", "required": true, "description": meaning, "schema": {"type": "string"}})
        })
        .collect();
    if parameters.is_empty() {
        json!({})
    } else {
        json!({"parameters": parameters})
    }
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.value {
        operations::Value::Text => json!({"type": "string"}),
        operations::Value::Texts => json!({"type": "array", "items": {"type": "string"}}),
        operations::Value::Number => json!({"type": "integer", "minimum": 0}),
        operations::Value::Flag => json!({"type": "boolean"}),
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "description": parameter.meaning,
        "schema": schema,
    })
}

fn content(content: Content) -> Option<Value> {
    let (media, schema) = match content {
        Content::Nothing => return None,
        Content::Json(schema) => ("application/json", reference(schema)),
        Content::MergePatch(schema) => ("application/merge-patch+json", reference(schema)),
        Content::EventStream(schema) => ("text/event-stream", reference(schema)),
        Content::Text => ("text/plain", json!({"type": "string"})),
        Content::Yaml => ("application/yaml", json!({"type": "string"})),
        Content::Metrics => ("text/plain", json!({"type": "string"})),
    };
    let mut forms = json!({media: {"schema": schema}});
    let other = match content {
        Content::MergePatch(_) => Some("application/json"),
        Content::Metrics => Some("application/openmetrics-text"),
        _ => None,
    };
    if let Some(other) = other {
        forms[other] = forms[media].clone();
    }
    Some(forms)
}

fn describe(operation: &Operation) -> Value {
    let mut answers = Map::new();
    for (status, meaning, what) in operation.answers {
        let mut answer = json!({"description": meaning});
        if let Some(content) = content(*what) {
            answer["content"] = content;
        }
        answers.insert(status.to_string(), answer);
    }
    answers.insert(
        "default".to_owned(),
        json!({"$ref": "#/components/responses/Error"}),
    );
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation)],
        "parameters": operation.query.iter().map(parameter).collect::<Vec<_>>(),
        "responses": answers,
    });
    if let Some(content) = content(operation.body) {
        described["requestBody"] = json!({"required": true, "content": content});
    }
    if operation.open {
        described["security"] = json!([{}]);
    }
    described
}

/// The schemas of the types, under the names that the operations use.
fn schemas() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = SCHEMAS.into();
    let mut generator = settings.into_generator();
    let mut own = Map::new();
    let mut add = |name: &str, schema: Value| {
        own.insert(name.to_owned(), schema);
    };
    add(
        "Error",
        json!({
            "type": "object",
            "required": ["error"],
            "properties": {"error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "integer", "description": "HTTP status"},
                    "message": {"type": "string"},
                },
            }},
        }),
    );
    add(
        "Document",
        json!({"type": "object", "description": "An OpenAPI document."}),
    );
    add(
        "ConfigDrive",
        json!({
            "type": "object",
            "description": "What is on the drive, and the system that it makes.",
            "properties": {
                "meta_data": {"type": "object"},
                "network_data": {"type": ["object", "null"]},
                "vendor_data": {"description": "With secrets only."},
                "user_data": {"type": ["object", "null"]},
                "system": {"type": "object"},
            },
        }),
    );
    add(
        "Labels",
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
    );
    add(
        "LabelChanges",
        json!({
            "type": "object",
            "description": "null removes a label.",
            "additionalProperties": {"type": ["string", "null"]},
        }),
    );
    add("NodeSummary", inline::<nodes::Summary<'static>>(&mut generator));
    add("NodeList", page("NodeSummary"));
    add("Node", json!({"allOf": [reference("NodeSummary"), details()]}));
    add("ClusterSummary", inline::<clusters::Summary>(&mut generator));
    add("ClusterList", page("ClusterSummary"));
    add("Event", inline::<Event>(&mut generator));
    add("Reset", inline::<power::Reset>(&mut generator));
    add("RegisterRequest", inline::<fkas::RegisterRequest>(&mut generator));
    add("Registered", inline::<fkas::Registered>(&mut generator));
    add("UpdateNodeRequest", inline::<fkas::NodeRequest>(&mut generator));
    add("Fault", fault(&mut generator));
    add(
        "FaultList",
        json!({
            "type": "object",
            "required": ["version", "items"],
            "properties": {
                "version": {"type": "integer", "description": "Number of changes since the start."},
                "items": {"type": "array", "items": reference("Fault")},
            },
        }),
    );
    own.extend(generator.take_definitions(true));
    Value::Object(own)
}

/// The schema of a type, without a reference to itself.
fn inline<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    T::json_schema(generator).to_value()
}

fn page(item: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "items": reference(item)},
            "continue": {"type": ["string", "null"], "description": "Parameter for the next page; null: this is the last one."},
        },
    })
}

/// A fault as it is given, and what follows from it. A name in the path needs none in the body.
fn fault(generator: &mut SchemaGenerator) -> Value {
    let mut fault = inline::<FaultForm>(generator);
    fault["properties"]["status"] = json!({
        "type": "object",
        "description": "What follows from the fault; passed over when it is sent.",
        "properties": {
            "subject": {"enum": ["node", "cluster"]},
            "nodes": {"type": "integer", "description": "Number of the nodes that it picks by names, labels, and fraction or count."},
        },
    });
    fault["required"] = json!(["what"]);
    fault
}

/// What only a server itself knows.
fn details() -> Value {
    json!({
        "type": "object",
        "properties": {
            "epoch": {"type": "integer", "description": "Number of its power and boot changes."},
            "revision": {"type": "integer", "description": "Number of the changes that a Redfish client can see."},
            "boot": {"type": "object"},
            "media": {"type": "array", "items": {"type": "object"}},
            "disk": {"type": "object"},
            "agent": {"type": ["object", "null"]},
            "system": {"type": ["object", "null"]},
            "next_deadline": {"type": ["string", "null"], "format": "date-time"},
        },
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;

    /// Everything that is referred to.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(table) => {
                if let Some(Value::String(reference)) = table.get("$ref") {
                    found.push(reference);
                }
                table.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_is_whole() {
        let document = make();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let ids: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.id).collect();
        assert_eq!(ids.len(), OPERATIONS.len());
        for operation in OPERATIONS {
            let told = &document["paths"][operation.path][operation.verb.as_str()];
            assert_eq!(told["operationId"], operation.id);
            for (status, ..) in operation.answers {
                assert!(StatusCode::from_u16(*status).unwrap().is_success());
                assert!(told["responses"].get(status.to_string()).is_some());
            }
        }
    }
}
