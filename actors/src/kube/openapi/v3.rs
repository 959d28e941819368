//! `OpenAPI` 3.0: the index of the documents, and the document of one group and version.

use std::collections::BTreeMap;

use serde::Serialize;

use super::definitions::{self, Definitions};
use super::model::{Edition, Schema};
use super::operations::{self, Content, GroupVersionKind, Method};
use super::parameters::Parameter;

/// The index: where each document is.
#[derive(Serialize, Debug, Default)]
pub(super) struct Index {
    pub(super) paths: BTreeMap<String, Place>,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    #[serde(rename = "serverRelativeURL")]
    pub(super) server_relative_url: String,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Document {
    openapi: &'static str,
    info: Info,
    paths: BTreeMap<String, PathItem>,
    components: Components,
}

/// `info`, the same in both editions.
#[derive(Serialize, Debug)]
pub(super) struct Info {
    pub(super) title: &'static str,
    pub(super) version: &'static str,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Components {
    schemas: Definitions,
    security_schemes: BTreeMap<&'static str, SecurityScheme>,
}

/// How clients authenticate, the same in both editions.
#[derive(Serialize, Debug)]
pub(super) struct SecurityScheme {
    description: &'static str,
    #[serde(rename = "in")]
    place: &'static str,
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The name of the only way to authenticate that is told, and what it is.
pub(super) fn security() -> BTreeMap<&'static str, SecurityScheme> {
    let scheme = SecurityScheme {
        description: "A token in the Authorization header.",
        place: "header",
        name: "authorization",
        kind: "apiKey",
    };
    [("BearerToken", scheme)].into()
}

#[derive(Serialize, Debug, Default)]
struct PathItem {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<QueryOrPath>,
    #[serde(flatten)]
    operations: BTreeMap<&'static str, Operation>,
}

#[derive(Serialize, Debug)]
struct QueryOrPath {
    name: String,
    #[serde(rename = "in")]
    place: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    schema: ParameterSchema,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct ParameterSchema {
    #[serde(rename = "type")]
    kind: &'static str,
    unique_items: bool,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Operation {
    tags: [String; 1],
    description: String,
    operation_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<QueryOrPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<RequestBody>,
    responses: BTreeMap<String, Response>,
    #[serde(rename = "x-kubernetes-action", skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(
        rename = "x-kubernetes-group-version-kind",
        skip_serializing_if = "Option::is_none"
    )]
    kind: Option<GroupVersionKind>,
}

#[derive(Serialize, Debug)]
struct RequestBody {
    content: BTreeMap<&'static str, MediaType>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
}

#[derive(Serialize, Debug)]
struct MediaType {
    schema: Schema,
}

#[derive(Serialize, Debug)]
struct Response {
    description: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    content: BTreeMap<&'static str, MediaType>,
}

/// The word of a method in a path item, the same in both editions.
pub(super) const fn word(method: Method) -> &'static str {
    match method {
        Method::Delete => "delete",
        Method::Get => "get",
        Method::Head => "head",
        Method::Options => "options",
        Method::Patch => "patch",
        Method::Post => "post",
        Method::Put => "put",
    }
}

fn parameter(parameter: &Parameter) -> QueryOrPath {
    QueryOrPath {
        name: parameter.name.to_string(),
        place: if parameter.in_path { "path" } else { "query" },
        description: parameter.description,
        required: parameter.in_path,
        schema: ParameterSchema {
            kind: parameter.kind,
            unique_items: true,
        },
    }
}

fn operation(from: operations::Operation) -> Operation {
    let answer = || {
        let schema = match &from.content {
            Content::Text => Schema::of("string"),
            Content::Of(name) => Edition::V3.reference(name),
        };
        match from.content {
            Content::Text => BTreeMap::from([("*/*", MediaType { schema })]),
            Content::Of(_) => from
                .produces
                .iter()
                .map(|kind| {
                    let schema = schema.clone();
                    (*kind, MediaType { schema })
                })
                .collect(),
        }
    };
    let mut responses: BTreeMap<String, Response> = from
        .codes
        .iter()
        .map(|code| {
            let response = Response {
                description: operations::meaning(*code),
                content: answer(),
            };
            (code.to_string(), response)
        })
        .collect();
    responses.insert(
        "401".to_owned(),
        Response {
            description: operations::meaning(401),
            content: BTreeMap::new(),
        },
    );
    let request_body = from.body.as_ref().map(|body| RequestBody {
        content: from
            .consumes
            .iter()
            .map(|kind| {
                let schema = Edition::V3.reference(&body.definition);
                (*kind, MediaType { schema })
            })
            .collect(),
        required: body.required,
    });
    Operation {
        parameters: from.parameters.iter().map(parameter).collect(),
        request_body,
        responses,
        tags: [from.tag],
        description: from.description,
        operation_id: from.id,
        action: from.action,
        kind: from.kind,
    }
}

/// The text of a document of these groups and versions with these paths and definitions, and all that they refer to.
pub(super) fn write(
    api_versions: &[(&str, &str)],
    paths: Vec<operations::Path>,
    mut schemas: Definitions,
) -> Vec<u8> {
    for name in super::mentioned(&paths) {
        if let Some(schema) = definitions::definition(Edition::V3, &name) {
            schemas.entry(name).or_insert(schema);
        }
    }
    definitions::complete(Edition::V3, &mut schemas);
    definitions::keep_kinds(&mut schemas, api_versions);
    let document = Document {
        openapi: "3.0.0",
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
        components: Components {
            schemas,
            security_schemes: security(),
        },
    };
    super::json(&document)
}
