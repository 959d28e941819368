//! Swagger 2.0 in protobuf, as old clients ask for it: message `openapi.v2.Document` (gnostic: `openapiv2/OpenAPIv2.proto`).
//!
//! Only the fields that are filled are declared. Values without a type are YAML texts there; JSON is YAML too.

use prost::{Message, Oneof};
use serde_json::Value;

use super::model::{Additional, Schema as Source};
use super::operations::GroupVersionKind;
use super::v2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Document {
    #[prost(string, tag = "1")]
    pub(super) swagger: String,
    #[prost(message, optional, tag = "2")]
    pub(super) info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    pub(super) paths: Option<Paths>,
    #[prost(message, optional, tag = "9")]
    pub(super) definitions: Option<NamedSchemas>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Paths {
    #[prost(message, repeated, tag = "2")]
    pub(super) path: Vec<NamedPathItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedPathItem {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<PathItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PathItem {
    #[prost(message, optional, tag = "2")]
    get: Option<Operation>,
    #[prost(message, optional, tag = "3")]
    put: Option<Operation>,
    #[prost(message, optional, tag = "4")]
    post: Option<Operation>,
    #[prost(message, optional, tag = "5")]
    delete: Option<Operation>,
    #[prost(message, optional, tag = "6")]
    options: Option<Operation>,
    #[prost(message, optional, tag = "7")]
    head: Option<Operation>,
    #[prost(message, optional, tag = "8")]
    pub(super) patch: Option<Operation>,
    #[prost(message, repeated, tag = "9")]
    parameters: Vec<ParametersItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Operation {
    #[prost(string, repeated, tag = "1")]
    tags: Vec<String>,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "5")]
    operation_id: String,
    #[prost(string, repeated, tag = "6")]
    produces: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    consumes: Vec<String>,
    #[prost(message, repeated, tag = "8")]
    pub(super) parameters: Vec<ParametersItem>,
    #[prost(message, optional, tag = "9")]
    responses: Option<Responses>,
    #[prost(string, repeated, tag = "10")]
    schemes: Vec<String>,
    #[prost(message, repeated, tag = "13")]
    pub(super) vendor_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    pub(super) parameter: Option<Parameter>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Parameter {
    #[prost(oneof = "Place", tags = "1, 2")]
    pub(super) place: Option<Place>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Place {
    #[prost(message, tag = "1")]
    Body(Box<BodyParameter>),
    #[prost(message, tag = "2")]
    Other(NonBodyParameter),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BodyParameter {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    place: String,
    #[prost(bool, tag = "4")]
    required: bool,
    #[prost(message, optional, tag = "5")]
    schema: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NonBodyParameter {
    #[prost(oneof = "NonBody", tags = "3, 4")]
    pub(super) of: Option<NonBody>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum NonBody {
    #[prost(message, tag = "3")]
    Query(QueryParameter),
    #[prost(message, tag = "4")]
    Path(PathParameter),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct QueryParameter {
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "4")]
    pub(super) name: String,
    #[prost(string, tag = "6")]
    kind: String,
    #[prost(bool, tag = "20")]
    unique_items: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PathParameter {
    #[prost(bool, tag = "1")]
    required: bool,
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "3")]
    description: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    kind: String,
    #[prost(bool, tag = "19")]
    unique_items: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Responses {
    #[prost(message, repeated, tag = "1")]
    response_code: Vec<NamedResponseValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedResponseValue {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<ResponseValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResponseValue {
    #[prost(message, optional, tag = "1")]
    response: Option<Response>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(string, tag = "1")]
    description: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<SchemaItem>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SchemaItem {
    #[prost(message, optional, tag = "1")]
    schema: Option<Schema>,
}

/// `Definitions` and `Properties`, which look the same.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedSchemas {
    #[prost(message, repeated, tag = "1")]
    pub(super) additional_properties: Vec<NamedSchema>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedSchema {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Schema {
    #[prost(string, tag = "1")]
    pub(super) reference: String,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(string, tag = "3")]
    title: String,
    #[prost(string, tag = "4")]
    pub(super) description: String,
    #[prost(message, optional, tag = "5")]
    default: Option<Any>,
    #[prost(double, tag = "6")]
    multiple_of: f64,
    #[prost(double, tag = "7")]
    maximum: f64,
    #[prost(bool, tag = "8")]
    exclusive_maximum: bool,
    #[prost(double, tag = "9")]
    minimum: f64,
    #[prost(bool, tag = "10")]
    exclusive_minimum: bool,
    #[prost(int64, tag = "11")]
    max_length: i64,
    #[prost(int64, tag = "12")]
    min_length: i64,
    #[prost(string, tag = "13")]
    pattern: String,
    #[prost(int64, tag = "14")]
    max_items: i64,
    #[prost(int64, tag = "15")]
    min_items: i64,
    #[prost(bool, tag = "16")]
    unique_items: bool,
    #[prost(int64, tag = "17")]
    max_properties: i64,
    #[prost(int64, tag = "18")]
    min_properties: i64,
    #[prost(string, repeated, tag = "19")]
    pub(super) required: Vec<String>,
    #[prost(message, repeated, tag = "20")]
    enumeration: Vec<Any>,
    #[prost(message, optional, boxed, tag = "21")]
    additional_properties: Option<Box<AdditionalProperties>>,
    #[prost(message, optional, tag = "22")]
    pub(super) kind: Option<TypeItem>,
    #[prost(message, optional, tag = "23")]
    items: Option<ItemsItem>,
    #[prost(message, optional, tag = "25")]
    pub(super) properties: Option<NamedSchemas>,
    #[prost(message, repeated, tag = "31")]
    pub(super) vendor_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AdditionalProperties {
    #[prost(oneof = "AdditionalOf", tags = "1, 2")]
    of: Option<AdditionalOf>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AdditionalOf {
    #[prost(message, tag = "1")]
    Schema(Box<Schema>),
    #[prost(bool, tag = "2")]
    Any(bool),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TypeItem {
    #[prost(string, repeated, tag = "1")]
    pub(super) value: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ItemsItem {
    #[prost(message, repeated, tag = "1")]
    schema: Vec<Schema>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NamedAny {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "2")]
    pub(super) yaml: String,
}

fn any(value: &Value) -> Any {
    Any {
        yaml: value.to_string(),
    }
}

fn named(name: &str, value: &Value) -> NamedAny {
    NamedAny {
        name: name.to_owned(),
        value: Some(any(value)),
    }
}

fn schema(from: Source) -> Schema {
    let number = |name: &str| from.rest.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    let count = |name: &str| from.rest.get(name).and_then(Value::as_i64).unwrap_or(0);
    let text = |name: &str| {
        from.rest
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    Schema {
        title: text("title"),
        multiple_of: number("multipleOf"),
        maximum: number("maximum"),
        exclusive_maximum: from.flag("exclusiveMaximum"),
        minimum: number("minimum"),
        exclusive_minimum: from.flag("exclusiveMinimum"),
        max_length: count("maxLength"),
        min_length: count("minLength"),
        pattern: text("pattern"),
        max_items: count("maxItems"),
        min_items: count("minItems"),
        unique_items: from.flag("uniqueItems"),
        max_properties: count("maxProperties"),
        min_properties: count("minProperties"),
        enumeration: from
            .rest
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(any)
            .collect(),
        vendor_extension: from
            .rest
            .iter()
            .filter(|(name, _)| name.starts_with("x-"))
            .map(|(name, value)| named(name, value))
            .collect(),
        reference: from.reference.unwrap_or_default(),
        format: from.format.unwrap_or_default(),
        description: from.description.unwrap_or_default(),
        default: from.default.as_ref().map(any),
        required: from.required,
        additional_properties: from.additional_properties.map(|additional| {
            let of = match additional {
                Additional::Any(any) => AdditionalOf::Any(any),
                Additional::Of(of) => AdditionalOf::Schema(Box::new(schema(*of))),
            };
            Box::new(AdditionalProperties { of: Some(of) })
        }),
        kind: from.kind.map(|kind| TypeItem { value: vec![kind] }),
        items: from.items.map(|items| ItemsItem {
            schema: vec![schema(*items)],
        }),
        properties: (!from.properties.is_empty()).then(|| schemas(from.properties)),
    }
}

fn schemas(from: impl IntoIterator<Item = (String, Source)>) -> NamedSchemas {
    NamedSchemas {
        additional_properties: from
            .into_iter()
            .map(|(name, value)| NamedSchema {
                name,
                value: Some(schema(value)),
            })
            .collect(),
    }
}

fn input(from: v2::Input) -> ParametersItem {
    let place = match from {
        v2::Input::Body(body) => Place::Body(Box::new(BodyParameter {
            name: body.name.to_owned(),
            place: body.place.to_owned(),
            required: body.required,
            schema: Some(schema(body.schema)),
        })),
        v2::Input::Plain(plain) => {
            let place = plain.place.to_owned();
            let description = plain.description.to_owned();
            let kind = plain.kind.to_owned();
            let (name, unique_items) = (plain.name, plain.unique_items);
            let of = if plain.place == "path" {
                NonBody::Path(PathParameter {
                    required: plain.required,
                    place,
                    description,
                    name,
                    kind,
                    unique_items,
                })
            } else {
                NonBody::Query(QueryParameter {
                    place,
                    description,
                    name,
                    kind,
                    unique_items,
                })
            };
            Place::Other(NonBodyParameter { of: Some(of) })
        }
    };
    ParametersItem {
        parameter: Some(Parameter { place: Some(place) }),
    }
}

fn texts(from: &[&str]) -> Vec<String> {
    from.iter().map(|text| (*text).to_owned()).collect()
}

fn operation(from: v2::Operation) -> Operation {
    let kind = |kind: GroupVersionKind| serde_json::to_value(kind).unwrap_or_default();
    let action = from
        .action
        .map(|action| named("x-kubernetes-action", &action.into()));
    let kind = from
        .kind
        .map(|of| named("x-kubernetes-group-version-kind", &kind(of)));
    let responses = from
        .responses
        .into_iter()
        .map(|(code, response)| {
            let response = Response {
                description: response.description.to_owned(),
                schema: response.schema.map(|of| SchemaItem {
                    schema: Some(schema(of)),
                }),
            };
            NamedResponseValue {
                name: code,
                value: Some(ResponseValue {
                    response: Some(response),
                }),
            }
        })
        .collect();
    Operation {
        tags: from.tags.into(),
        description: from.description,
        operation_id: from.operation_id,
        produces: texts(from.produces),
        consumes: texts(&from.consumes),
        parameters: from.parameters.into_iter().map(input).collect(),
        responses: Some(Responses {
            response_code: responses,
        }),
        schemes: texts(&from.schemes),
        vendor_extension: action.into_iter().chain(kind).collect(),
    }
}

fn path_item(from: v2::PathItem) -> PathItem {
    let mut item = PathItem {
        parameters: from.parameters.into_iter().map(input).collect(),
        ..PathItem::default()
    };
    for (method, of) in from.operations {
        let place = match method {
            "get" => &mut item.get,
            "put" => &mut item.put,
            "post" => &mut item.post,
            "delete" => &mut item.delete,
            "options" => &mut item.options,
            "head" => &mut item.head,
            _ => &mut item.patch,
        };
        *place = Some(operation(of));
    }
    item
}

/// The document in protobuf.
pub(super) fn write(document: v2::Document) -> Vec<u8> {
    let message = Document {
        swagger: document.swagger.to_owned(),
        info: Some(Info {
            title: document.info.title.to_owned(),
            version: document.info.version.to_owned(),
        }),
        paths: Some(Paths {
            path: document
                .paths
                .into_iter()
                .map(|(name, item)| NamedPathItem {
                    name,
                    value: Some(path_item(item)),
                })
                .collect(),
        }),
        definitions: Some(schemas(document.definitions)),
    };
    message.encode_to_vec()
}
