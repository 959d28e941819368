//! The definition object: its defaults, and what a server refuses about it
//! (kubernetes: `apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`, `.../v1/defaults.go`).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::VERSIONS_MAX;
use super::compiled::Compiled;
use super::structural;
use crate::kube::names::{self, NameRule};
use crate::kube::object::Draft;
use crate::kube::status::{FieldError, FieldFault, quote};

/// Selectable fields of one version.
const SELECTABLE_MAX: usize = 8;
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
/// Faults of one definition that are told.
const FAULTS_MAX: usize = 64;

type Fields = Map<String, Value>;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn not_supported(field: String, value: &str, values: &[&str]) -> FieldError {
    let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
    FieldError {
        fault: FieldFault::NotSupported,
        field,
        value: Some(value.into()),
        detail: format!("supported values: {}", values.join(", ")),
    }
}

/// Fills in what the server fills in: names that follow from the kind, the conversion, the stored version in the status.
pub fn defaults(body: &mut Fields) {
    let spec = body.entry("spec").or_insert_with(|| json!({}));
    let stored = list(spec, "versions")
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))
        .map(|version| text(version, "name").to_owned());
    if let Some(spec) = spec.as_object_mut() {
        if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
            let kind = names.get("kind").and_then(Value::as_str).unwrap_or("").to_owned();
            if !kind.is_empty() {
                fill(names, "singular", &kind.to_lowercase());
                fill(names, "listKind", &format!("{kind}List"));
            }
        }
        let conversion = spec.entry("conversion").or_insert_with(|| json!({}));
        if let Some(conversion) = conversion.as_object_mut() {
            fill(conversion, "strategy", "None");
            let service = conversion.get_mut("webhook").and_then(|webhook| {
                webhook
                    .get_mut("clientConfig")?
                    .get_mut("service")?
                    .as_object_mut()
            });
            if let Some(service) = service {
                service.entry("port").or_insert_with(|| 443.into());
            }
        }
    }
    let status = body.entry("status").or_insert_with(|| json!({}));
    if let Some(status) = status.as_object_mut() {
        status
            .entry("acceptedNames")
            .or_insert_with(|| json!({"kind": "", "plural": ""}));
        status.entry("conditions").or_insert_with(|| json!([]));
        let versions = status.entry("storedVersions").or_insert_with(|| json!([]));
        if let (Some(versions), Some(stored)) = (versions.as_array_mut(), stored) {
            let stored = Value::from(stored);
            if !versions.contains(&stored) {
                versions.push(stored);
            }
        }
    }
}

fn fill(map: &mut Fields, key: &str, value: &str) {
    if map.get(key).is_none_or(|old| old.is_null() || old == "") {
        map.insert(key.to_owned(), value.into());
    }
}

/// The faults of a definition, with its defaults filled in. Metadata is not looked at but for the name.
#[must_use]
pub fn check_definition(draft: &Draft, old: Option<&Fields>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let null = Value::Null;
    let spec = draft.body.get("spec").unwrap_or(&null);
    let names = spec.get("names").unwrap_or(&null);
    let required = format!("{}.{}", text(names, "plural"), text(spec, "group"));
    if old.is_none() && draft.meta.name != required {
        errors.push(FieldError::invalid(
            "metadata.name",
            draft.meta.name.as_str(),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let group = text(spec, "group");
    let faults = names::subdomain(group);
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if !faults.is_empty() {
        errors.push(FieldError::invalid("spec.group", group, faults.join(",")));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(
            "spec.group",
            group,
            "should be a domain with at least one dot",
        ));
    }
    match text(spec, "scope") {
        "" => errors.push(FieldError::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(not_supported(
            "spec.scope".to_owned(),
            other,
            &["Cluster", "Namespaced"],
        )),
    }
    versions(spec, &mut errors);
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(names, field).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    check_names(names, &mut errors);
    conversion(spec, &mut errors);
    if spec.get("preserveUnknownFields") == Some(&Value::Bool(true)) {
        errors.push(FieldError::invalid(
            "spec.preserveUnknownFields",
            true,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    stored_versions(&draft.body, &mut errors);
    if let Some(old) = old {
        unchanged(spec, old, &mut errors);
    }
    errors.truncate(FAULTS_MAX);
    errors
}

fn versions(spec: &Value, errors: &mut Vec<FieldError>) {
    let versions = list(spec, "versions");
    if versions.len() > VERSIONS_MAX {
        errors.push(FieldError {
            fault: FieldFault::TooMany,
            field: "spec.versions".to_owned(),
            value: Some(versions.len().into()),
            detail: format!("must have at most {VERSIONS_MAX} items"),
        });
        return;
    }
    let at = |index: usize| format!("spec.versions[{index}]");
    for (index, version) in versions.iter().enumerate() {
        let schema = version.pointer("/schema/openAPIV3Schema");
        if !schema.is_some_and(Value::is_object) {
            errors.push(FieldError::required(
                format!("{}.schema.openAPIV3Schema", at(index)),
                "schemas are required",
            ));
        }
    }
    let mut seen = BTreeSet::new();
    let mut unique = true;
    let mut storage = 0;
    for (index, version) in versions.iter().enumerate() {
        let name = text(version, "name");
        storage += usize::from(version.get("storage") == Some(&Value::Bool(true)));
        unique &= seen.insert(name);
        let faults = NameRule::Label1035.check(name, false);
        if !faults.is_empty() {
            errors.push(FieldError::invalid(
                format!("{}.name", at(index)),
                name,
                faults.join(","),
            ));
        }
        if let Some(schema) = version
            .pointer("/schema/openAPIV3Schema")
            .filter(|schema| schema.is_object())
        {
            check_schema(schema, &format!("{}.schema.openAPIV3Schema", at(index)), errors);
        }
        subresources(version, &format!("{}.subresources", at(index)), errors);
        columns(
            version,
            &format!("{}.additionalPrinterColumns", at(index)),
            errors,
        );
        selectable(version, &format!("{}.selectableFields", at(index)), errors);
    }
    // The whole list would be shown; its names say enough.
    let shown = || {
        let names: Vec<&str> = versions.iter().map(|version| text(version, "name")).collect();
        json!(names)
    };
    if !unique {
        errors.push(FieldError::invalid(
            "spec.versions",
            shown(),
            "must contain unique version names",
        ));
    }
    if storage != 1 {
        errors.push(FieldError::invalid(
            "spec.versions",
            shown(),
            "must have exactly one version marked as storage version",
        ));
    }
}

/// A schema that some cluster has need not be looked at again.
fn check_schema(schema: &Value, field: &str, errors: &mut Vec<FieldError>) {
    if Compiled::known(&schema.to_string()).is_some() {
        return;
    }
    let before = errors.len();
    structural::check(schema, field, errors);
    if errors.len() == before
        && let Err(why) = Compiled::of(schema)
    {
        errors.push(FieldError::invalid(
            field,
            "",
            format!("error building validator: {why}"),
        ));
    }
}

fn subresources(version: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let Some(scale) = version
        .pointer("/subresources/scale")
        .filter(|scale| scale.is_object())
    else {
        return;
    };
    for (name, start) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let path = text(scale, name);
        let field = format!("{field}.scale.{name}");
        if path.is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if path.contains('[') {
            errors.push(FieldError::invalid(
                field,
                path,
                "is an invalid simple JSON path: array notation is not allowed",
            ));
        } else if !path.starts_with(start) {
            let words = format!("should be a json path under {}", start.trim_end_matches('.'));
            errors.push(FieldError::invalid(field, path, words));
        }
    }
    let selector = text(scale, "labelSelectorPath");
    if !selector.is_empty() && !selector.starts_with(".spec.") && !selector.starts_with(".status.") {
        errors.push(FieldError::invalid(
            format!("{field}.scale.labelSelectorPath"),
            selector,
            "should be a json path under either .spec or .status",
        ));
    }
}

fn columns(version: &Value, field: &str, errors: &mut Vec<FieldError>) {
    for (index, column) in list(version, "additionalPrinterColumns").iter().enumerate() {
        let at = |name: &str| format!("{field}[{index}].{name}");
        if text(column, "name").is_empty() {
            errors.push(FieldError::required(at("name"), ""));
        }
        let words = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text(column, "type") {
            "" => errors.push(FieldError::required(at("type"), words)),
            kind if COLUMN_TYPES.contains(&kind) => {}
            kind => errors.push(FieldError::invalid(at("type"), kind, words)),
        }
        match text(column, "jsonPath") {
            "" => errors.push(FieldError::required(at("JSONPath"), "")),
            path if path.starts_with('.') => {}
            path => errors.push(FieldError::invalid(
                at("JSONPath"),
                path,
                "is an invalid json path: must start with a dot",
            )),
        }
    }
}

fn selectable(version: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let fields = list(version, "selectableFields");
    let mut seen = BTreeSet::new();
    for (index, selectable) in fields.iter().enumerate() {
        let at = format!("{field}[{index}].jsonPath");
        let path = text(selectable, "jsonPath");
        if path.is_empty() {
            errors.push(FieldError::required(at, ""));
            continue;
        }
        let mut of = version.pointer("/schema/openAPIV3Schema");
        for step in path.split('.').filter(|step| !step.is_empty()) {
            of = of.and_then(|of| of.get("properties")?.get(step));
        }
        let Some(of) = of else {
            errors.push(FieldError::invalid(
                at,
                path,
                "is an invalid path: does not refer to a valid field",
            ));
            continue;
        };
        if path.starts_with(".metadata") {
            errors.push(FieldError::invalid(
                &*at,
                path,
                "must not point to fields in metadata",
            ));
        }
        if !matches!(text(of, "type"), "string" | "boolean" | "integer") {
            errors.push(FieldError::invalid(
                &*at,
                path,
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
            ));
        }
        if !seen.insert(path) {
            errors.push(FieldError {
                fault: FieldFault::Duplicate,
                field: at,
                value: Some(path.into()),
                detail: String::new(),
            });
        }
    }
    if seen.len() > SELECTABLE_MAX {
        errors.push(FieldError {
            fault: FieldFault::TooMany,
            field: field.to_owned(),
            value: Some(seen.len().into()),
            detail: format!("must have at most {SELECTABLE_MAX} items"),
        });
    }
}

fn check_names(names: &Value, errors: &mut Vec<FieldError>) {
    let mut label = |field: &str, value: &str, mixed: bool| {
        let lower = value.to_lowercase();
        let faults = NameRule::Label1035.check(if mixed { &lower } else { value }, false);
        if faults.is_empty() {
            return;
        }
        let prefix = if mixed {
            "may have mixed case, but should otherwise match: "
        } else {
            ""
        };
        errors.push(FieldError::invalid(
            format!("spec.names.{field}"),
            value,
            format!("{prefix}{}", faults.join(",")),
        ));
    };
    for (field, mixed) in [
        ("plural", false),
        ("singular", false),
        ("kind", true),
        ("listKind", true),
    ] {
        let value = text(names, field);
        if !value.is_empty() {
            label(field, value, mixed);
        }
    }
    for (index, name) in list(names, "shortNames").iter().enumerate() {
        label(
            &format!("shortNames[{index}]"),
            name.as_str().unwrap_or(""),
            false,
        );
    }
    for (index, name) in list(names, "categories").iter().enumerate() {
        label(
            &format!("categories[{index}]"),
            name.as_str().unwrap_or(""),
            false,
        );
    }
    let kind = text(names, "kind");
    if !kind.is_empty() && kind == text(names, "listKind") {
        errors.push(FieldError::invalid(
            "spec.names.listKind",
            kind,
            "kind and listKind may not be the same",
        ));
    }
}

fn conversion(spec: &Value, errors: &mut Vec<FieldError>) {
    let Some(conversion) = spec.get("conversion").filter(|value| value.is_object()) else {
        return;
    };
    let webhook = conversion.get("webhook").filter(|value| value.is_object());
    match text(conversion, "strategy") {
        "" => errors.push(FieldError::required("spec.conversion.strategy", "")),
        "None" if webhook.is_some() => errors.push(FieldError::forbidden(
            "spec.conversion.webhookClientConfig",
            "should not be set when strategy is not set to Webhook",
        )),
        "None" => {}
        "Webhook" => {
            let config = webhook.and_then(|webhook| webhook.get("clientConfig"));
            match config {
                None => errors.push(FieldError::required(
                    "spec.conversion.webhookClientConfig",
                    "required when strategy is set to Webhook",
                )),
                Some(config) if config.get("url").is_some() == config.get("service").is_some() => {
                    errors.push(FieldError::required(
                        "spec.conversion.webhookClientConfig",
                        "exactly one of url or service is required",
                    ));
                }
                Some(_) => {}
            }
            let versions = webhook.map_or(&[][..], |webhook| list(webhook, "conversionReviewVersions"));
            if versions.is_empty() {
                errors.push(FieldError::required(
                    "spec.conversion.conversionReviewVersions",
                    "",
                ));
            } else if !versions
                .iter()
                .any(|version| matches!(version.as_str(), Some("v1" | "v1beta1")))
            {
                errors.push(FieldError::invalid(
                    "spec.conversion.conversionReviewVersions",
                    versions.to_vec(),
                    "must include at least one of v1, v1beta1",
                ));
            }
        }
        other => errors.push(not_supported(
            "spec.conversion.strategy".to_owned(),
            other,
            &["None", "Webhook"],
        )),
    }
}

/// Versions in which objects may be stored stay in the definition.
fn stored_versions(body: &Fields, errors: &mut Vec<FieldError>) {
    let null = Value::Null;
    let stored = list(body.get("status").unwrap_or(&null), "storedVersions");
    let declared = list(body.get("spec").unwrap_or(&null), "versions");
    for (index, version) in stored.iter().enumerate() {
        let name = version.as_str().unwrap_or("");
        if !declared.iter().any(|version| text(version, "name") == name) {
            errors.push(FieldError::invalid(
                format!("status.storedVersions[{index}]"),
                name,
                format!(
                    "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
                ),
            ));
        }
    }
}

fn unchanged(spec: &Value, old: &Fields, errors: &mut Vec<FieldError>) {
    let null = Value::Null;
    let before = old.get("spec").unwrap_or(&null);
    let established = list(old.get("status").unwrap_or(&null), "conditions")
        .iter()
        .any(|condition| text(condition, "type") == "Established" && text(condition, "status") == "True");
    let mut keep = |field: &str, pointer: &str| {
        let new = spec.pointer(pointer).unwrap_or(&null);
        if Some(new) != before.pointer(pointer).or(Some(&null)) {
            errors.push(FieldError::invalid(field, new.clone(), "field is immutable"));
        }
    };
    if established {
        keep("spec.scope", "/scope");
        keep("spec.names.kind", "/names/kind");
    }
    keep("spec.group", "/group");
    keep("spec.names.plural", "/names/plural");
}
