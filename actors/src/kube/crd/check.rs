//! Custom resources against their schema: what a write prunes, fills in and refuses.
//!
//! CEL rules (`x-kubernetes-validations`) are accepted and not run.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, ValidationError};
use serde_json::{Map, Value};

use super::schema::{self, Unknown};
use crate::kube::object::Draft;
use crate::kube::resource::Resource;
use crate::kube::status::{FieldError, FieldFault, quote};
use crate::kube::store::Part;

/// Faults of one object that are told.
const FAULTS_MAX: usize = 64;
/// The largest number of replicas.
const REPLICAS_MAX: i64 = 2_147_483_647;

type Fields = Map<String, Value>;

/// Prunes what the schema of `version` does not know and fills in its defaults. Metadata is not touched.
pub fn prepare(resource: &Resource, version: &str, draft: &mut Draft) {
    if let Some(compiled) = resource
        .version(version)
        .and_then(|version| version.compiled.as_ref())
    {
        schema::prune_root(&mut draft.body, &compiled.schema, &mut Unknown::default());
        schema::default_root(&mut draft.body, &compiled.schema);
    }
}

/// The fields of a body that the schema of `version` does not know, as strict decoding words them: `unknown field "spec.foo"`.
/// `metadata` is not looked at.
#[must_use]
pub fn unknown_fields(resource: &Resource, version: &str, body: &Value) -> Vec<String> {
    let compiled = resource
        .version(version)
        .and_then(|version| version.compiled.as_ref());
    let (Some(compiled), Some(body)) = (compiled, body.as_object()) else {
        return Vec::new();
    };
    let mut unknown = Unknown::default();
    schema::prune_root(&mut body.clone(), &compiled.schema, &mut unknown);
    unknown
        .found
        .into_iter()
        .map(|path| format!("unknown field {}", quote(&path)))
        .collect()
}

/// The faults of a custom resource. On updates, faults in parts that did not change are let through
/// (kubernetes: KEP-4008, ratcheting).
#[must_use]
pub fn check(
    resource: &Resource,
    version: &str,
    part: Part,
    draft: &Draft,
    old: Option<&Fields>,
) -> Vec<FieldError> {
    let Some(compiled) = resource
        .version(version)
        .and_then(|version| version.compiled.as_ref())
    else {
        return Vec::new();
    };
    let mut whole = draft.body.clone();
    whole.insert("apiVersion".to_owned(), resource.api_version(version).into());
    whole.insert("kind".to_owned(), (*resource.kind).into());
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), draft.meta.name.as_str().into());
    if !draft.meta.generate_name.is_empty() {
        metadata.insert(
            "generateName".to_owned(),
            draft.meta.generate_name.as_str().into(),
        );
    }
    whole.insert("metadata".to_owned(), Value::Object(metadata));
    let whole = Value::Object(whole);
    let mut errors = Vec::new();
    for error in compiled.validator.iter_errors(&whole).take(FAULTS_MAX) {
        let pointer = error.instance_path().as_str();
        let kept = old.is_some_and(|old| whole.pointer(pointer) == at(old, pointer) && !pointer.is_empty());
        let elsewhere = part == Part::Status && !(pointer == "/status" || pointer.starts_with("/status/"));
        if !kept && !elsewhere {
            push(&error, &mut errors);
        }
    }
    replicas(resource, &whole, part, &mut errors);
    if part != Part::Status {
        let mut found = Vec::new();
        schema::check_root(&draft.body, &compiled.schema, &mut found);
        let mut before = Vec::new();
        if let Some(old) = old.filter(|_| !found.is_empty()) {
            schema::check_root(old, &compiled.schema, &mut before);
        }
        if before.is_empty() {
            errors.extend(found);
        }
    }
    errors.truncate(FAULTS_MAX);
    errors
}

fn at<'a>(body: &'a Fields, pointer: &str) -> Option<&'a Value> {
    let mut steps = pointer.strip_prefix('/')?.splitn(2, '/');
    let first = steps.next()?.replace("~1", "/").replace("~0", "~");
    let value = body.get(&first)?;
    match steps.next() {
        Some(rest) => value.pointer(&format!("/{rest}")),
        None => Some(value),
    }
}

/// The numbers that the scale subresource shows.
fn replicas(resource: &Resource, whole: &Value, part: Part, errors: &mut Vec<FieldError>) {
    let Some(scale) = &resource.scale else { return };
    let spec = Some(&scale.spec).filter(|_| part != Part::Status);
    for path in spec.into_iter().chain([&scale.status]) {
        let found = path.iter().try_fold(whole, |value, step| value.get(step));
        let Some(number) = found.and_then(Value::as_i64) else {
            continue;
        };
        let field = format!(".{}", path.join("."));
        if number < 0 {
            errors.push(FieldError::invalid(
                field,
                number,
                "should be a non-negative integer",
            ));
        } else if number > REPLICAS_MAX {
            errors.push(FieldError::invalid(
                field,
                number,
                format!("should be less than or equal to {REPLICAS_MAX}"),
            ));
        }
    }
}

/// `spec.ports[0].name`.
fn path_of(error: &ValidationError<'_>) -> String {
    let mut text = String::new();
    for step in error.instance_path() {
        match step {
            LocationSegment::Property(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&name);
            }
            LocationSegment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn name_of(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "array",
        JsonType::Boolean => "boolean",
        JsonType::Integer => "integer",
        JsonType::Null => "null",
        JsonType::Number => "number",
        JsonType::Object => "object",
        JsonType::String => "string",
    }
}

/// The types that are wanted, without `null`, which stands for `nullable`.
fn wanted(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => name_of(*one).to_owned(),
        TypeKind::Multiple(set) => {
            let names: Vec<&str> = set
                .iter()
                .filter(|kind| *kind != JsonType::Null)
                .map(name_of)
                .collect();
            names.join(",")
        }
    }
}

/// One fault in the words of kube-openapi, and as a cause (kube-openapi: `pkg/validation/errors/schema.go`; kubernetes:
/// `apiextensions-apiserver/pkg/apiserver/validation/validation.go`).
fn push(error: &ValidationError<'_>, errors: &mut Vec<FieldError>) {
    if errors.len() >= FAULTS_MAX {
        return;
    }
    let path = path_of(error);
    let instance = error.instance().as_ref();
    let shown = || match instance {
        Value::Object(_) | Value::Array(_) if instance.to_string().len() > 4096 => Value::from(""),
        other => other.clone(),
    };
    let says = |words: String| format!("{path} in body {words}");
    let invalid = |words: String| FieldError::invalid(path.clone(), shown(), says(words));
    let too_many = |count: usize, limit: u64| FieldError {
        fault: FieldFault::TooMany,
        field: path.clone(),
        value: Some(count.into()),
        detail: format!(
            "must have at most {limit} {}",
            if limit == 1 { "item" } else { "items" }
        ),
    };
    let count = match instance {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    let wrong_type = |want: &str, value: Value| FieldError {
        fault: FieldFault::TypeInvalid,
        field: path.clone(),
        detail: says(format!(
            "must be of type {want}: {}",
            value.as_str().map_or_else(|| value.to_string(), quote)
        )),
        value: Some(value),
    };
    // Errors of alternatives have no path of their own in a real server.
    let whole = |words: String| FieldError::invalid("<nil>", "", format!("{} {words}", quote(&path)));
    errors.push(match error.kind() {
        ValidationErrorKind::Type { kind } => wrong_type(&wanted(kind), type_of(instance).into()),
        ValidationErrorKind::Format { format } => wrong_type(format, shown()),
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or("");
            let field = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            FieldError::required(field, "")
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options
                .as_array()
                .into_iter()
                .flatten()
                .map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned))
                .map(|option| quote(&option))
                .collect();
            FieldError {
                fault: FieldFault::NotSupported,
                field: path.clone(),
                value: Some(shown()),
                detail: format!("supported values: {}", options.join(", ")),
            }
        }
        ValidationErrorKind::MaxLength { limit } => {
            FieldError::too_long(path.clone(), usize::try_from(*limit).unwrap_or(usize::MAX))
        }
        ValidationErrorKind::MaxItems { limit } | ValidationErrorKind::MaxProperties { limit } => {
            too_many(count, *limit)
        }
        ValidationErrorKind::MinLength { limit } => invalid(format!("should be at least {limit} chars long")),
        ValidationErrorKind::MinItems { limit } => FieldError::invalid(
            path.clone(),
            count,
            says(format!("should have at least {limit} items")),
        ),
        ValidationErrorKind::MinProperties { limit } => FieldError::invalid(
            path.clone(),
            count,
            says(format!("should have at least {limit} properties")),
        ),
        ValidationErrorKind::Minimum { limit } => {
            invalid(format!("should be greater than or equal to {limit}"))
        }
        ValidationErrorKind::Maximum { limit } => invalid(format!("should be less than or equal to {limit}")),
        ValidationErrorKind::ExclusiveMinimum { limit } => invalid(format!("should be greater than {limit}")),
        ValidationErrorKind::ExclusiveMaximum { limit } => invalid(format!("should be less than {limit}")),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            invalid(format!("should be a multiple of {multiple_of}"))
        }
        ValidationErrorKind::Pattern { pattern } => invalid(format!("should match '{pattern}'")),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let name = unexpected.first().map_or("", String::as_str);
            let field = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            FieldError::invalid(
                path.clone(),
                "",
                format!("{field} in body is a forbidden property"),
            )
        }
        ValidationErrorKind::AnyOf { context } => {
            errors.push(whole("must validate at least one schema (anyOf)".to_owned()));
            // The faults of the alternative that is nearest are told too.
            if let Some(nearest) = context.iter().min_by_key(|faults| faults.len()) {
                for fault in nearest {
                    push(fault, errors);
                }
            }
            return;
        }
        ValidationErrorKind::OneOfNotValid { .. } => {
            whole("must validate one and only one schema (oneOf). Found none valid".to_owned())
        }
        ValidationErrorKind::OneOfMultipleValid { context } => {
            let valid = context.iter().filter(|faults| faults.is_empty()).count();
            whole(format!(
                "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            ))
        }
        ValidationErrorKind::Not { .. } => whole("must not validate the schema (not)".to_owned()),
        _ => FieldError::invalid(path.clone(), shown(), error.to_string()),
    });
}
