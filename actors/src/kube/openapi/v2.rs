//! Swagger 2.0: one document for everything.

use std::collections::BTreeMap;

use serde::Serialize;

use super::definitions::{self, Definitions};
use super::model::{Edition, Schema};
use super::operations::{self, Content, GroupVersionKind};
use super::parameters::Parameter;
use super::v3::{Info, SecurityScheme, security, word};

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) swagger: &'static str,
    pub(super) info: Info,
    pub(super) paths: BTreeMap<String, PathItem>,
    pub(super) definitions: Definitions,
    security_definitions: BTreeMap<&'static str, SecurityScheme>,
    security: [BTreeMap<&'static str, [&'static str; 0]>; 1],
}

#[derive(Serialize, Debug, Default)]
pub(super) struct PathItem {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parameters: Vec<Input>,
    #[serde(flatten)]
    pub(super) operations: BTreeMap<&'static str, Operation>,
}

/// A parameter; the body is one too.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(super) enum Input {
    Body(Box<BodyInput>),
    Plain(PlainInput),
}

#[derive(Serialize, Debug)]
pub(super) struct BodyInput {
    #[serde(rename = "in")]
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) required: bool,
    pub(super) schema: Schema,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlainInput {
    #[serde(rename = "in")]
    pub(super) place: &'static str,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) description: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) required: bool,
    pub(super) unique_items: bool,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    pub(super) tags: [String; 1],
    pub(super) description: String,
    pub(super) operation_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) consumes: Vec<&'static str>,
    pub(super) produces: &'static [&'static str],
    pub(super) schemes: [&'static str; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parameters: Vec<Input>,
    pub(super) responses: BTreeMap<String, Response>,
    #[serde(rename = "x-kubernetes-action", skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<&'static str>,
    #[serde(
        rename = "x-kubernetes-group-version-kind",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) kind: Option<GroupVersionKind>,
}

#[derive(Serialize, Debug)]
pub(super) struct Response {
    pub(super) description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<Schema>,
}

fn parameter(parameter: &Parameter) -> Input {
    Input::Plain(PlainInput {
        place: if parameter.in_path { "path" } else { "query" },
        name: parameter.name.to_string(),
        kind: parameter.kind,
        description: parameter.description,
        required: parameter.in_path,
        unique_items: true,
    })
}

fn operation(from: operations::Operation) -> Operation {
    let body = from.body.as_ref().map(|body| {
        Input::Body(Box::new(BodyInput {
            place: "body",
            name: "body",
            required: body.required,
            schema: Edition::V2.reference(&body.definition),
        }))
    });
    let answer = match &from.content {
        Content::Text => Schema::of("string"),
        Content::Of(name) => Edition::V2.reference(name),
    };
    let mut responses: BTreeMap<String, Response> = from
        .codes
        .iter()
        .map(|code| {
            let response = Response {
                description: operations::meaning(*code),
                schema: Some(answer.clone()),
            };
            (code.to_string(), response)
        })
        .collect();
    responses.insert(
        "401".to_owned(),
        Response {
            description: operations::meaning(401),
            schema: None,
        },
    );
    Operation {
        parameters: body
            .into_iter()
            .chain(from.parameters.iter().map(parameter))
            .collect(),
        responses,
        tags: [from.tag],
        description: from.description,
        operation_id: from.id,
        consumes: from.consumes,
        produces: match from.content {
            Content::Text => &["*/*"],
            Content::Of(_) => from.produces,
        },
        schemes: ["https"],
        action: from.action,
        kind: from.kind,
    }
}

/// The document of these paths and definitions, and all that they refer to.
pub(super) fn document(paths: Vec<operations::Path>, mut definitions: Definitions) -> Document {
    for name in super::mentioned(&paths) {
        if let Some(schema) = definitions::definition(Edition::V2, &name) {
            definitions.entry(name).or_insert(schema);
        }
    }
    definitions::complete(Edition::V2, &mut definitions);
    Document {
        swagger: "2.0",
        info: super::INFO,
        paths: paths
            .into_iter()
            .map(|path| {
                let item = PathItem {
                    parameters: path.parameters.iter().map(parameter).collect(),
                    operations: path
                        .operations
                        .into_iter()
                        .map(|from| (word(from.method), operation(from)))
                        .collect(),
                };
                (path.path, item)
            })
            .collect(),
        definitions,
        security_definitions: security(),
        security: [[("BearerToken", [])].into()],
    }
}
