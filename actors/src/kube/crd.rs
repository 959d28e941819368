//! Custom resource definitions: from the object to a served [`Resource`].
//!
//! [`check_definition`] is what a write of a definition is refused for; [`reconcile`] brings what is served in line after each
//! change of one. [`prepare`] and [`check`] are for the objects of the kinds: pruning, defaults, validation by the schema.
//!
//! Conversion between versions changes the `apiVersion` only. The strategy `Webhook` is accepted and treated the same. CEL rules
//! are accepted and not run. Defaults are filled in when an object is written, not when it is read.

mod check;
mod compiled;
mod definition;
mod reconcile;
mod schema;
mod structural;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::names::NameRule;
use super::object::Object;
use super::resource::{
    Resource, ResourceId, ScalePaths, Selectable, Subresource, Traits, Verb, Verbs, Version,
};
use super::status::{Reason, Status};
use super::table::CustomColumns;

pub use check::{check, prepare, unknown_fields};
pub use compiled::Compiled;
pub use definition::{check_definition, defaults};
pub use reconcile::{Outcome, reconcile, terminating};

/// Versions of one definition.
const VERSIONS_MAX: usize = 64;
const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";
/// The finalizer that holds a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The finalizer that a deletion of such an object adds, so that the objects of its kind go first.
#[must_use]
pub fn finalizer_on_delete(resource: &Resource) -> Option<&'static str> {
    resource.is(GROUP, PLURAL).then_some(FINALIZER)
}

/// The resource that a definition describes, under these names (`spec.names` as a rule).
///
/// # Errors
/// 422 in plain words when it lacks what a checked definition has.
pub fn resource(definition: &Object, names: &Value) -> Result<Resource, Status> {
    let refuse = |what: &str| {
        Status::failure(
            Reason::Invalid,
            format!(
                "CustomResourceDefinition.apiextensions.k8s.io \"{}\" is invalid: {what}",
                definition.name()
            ),
        )
    };
    let spec = definition
        .section("spec")
        .ok_or_else(|| refuse("spec: Required value"))?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let group = text(&spec, "group");
    let (kind, plural) = (text(names, "kind"), text(names, "plural"));
    for (field, value) in [
        ("spec.group", &group),
        ("spec.names.kind", &kind),
        ("spec.names.plural", &plural),
    ] {
        if value.is_empty() {
            return Err(refuse(&format!("{field}: Required value")));
        }
    }
    if definition.name() != format!("{plural}.{group}") {
        return Err(refuse(&format!(
            "metadata.name: Invalid value: must be spec.names.plural+\".\"+spec.group: {plural}.{group}"
        )));
    }
    let mut declared: Vec<Value> = spec
        .get("versions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    declared.truncate(VERSIONS_MAX);
    declared.sort_by_key(|version| std::cmp::Reverse(priority(&text(version, "name"))));
    let storage = declared
        .iter()
        .position(|version| version.get("storage") == Some(&Value::Bool(true)))
        .ok_or_else(|| {
            refuse("spec.versions: Invalid value: must have exactly one version marked as storage version")
        })?;
    let mut versions: Vec<Version> = Vec::with_capacity(declared.len());
    for declared in &declared {
        versions.push(version(declared).map_err(|why| refuse(&why))?);
    }
    let stored = declared.get(storage).cloned().unwrap_or_default();
    let list = |key: &str| -> Vec<Cow<'static, str>> {
        let words = names.get(key).and_then(Value::as_array);
        words
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|word| Cow::Owned(word.to_owned()))
            .collect()
    };
    let non_empty = |value: String, other: String| if value.is_empty() { other } else { value };
    let scale = stored
        .pointer("/subresources/scale")
        .filter(|scale| scale.is_object());
    let scale = scale.map(|scale| ScalePaths {
        spec: path(&text(scale, "specReplicasPath")),
        status: path(&text(scale, "statusReplicasPath")),
        selector: Some(path(&text(scale, "labelSelectorPath"))).filter(|path| !path.is_empty()),
    });
    let rw = Verbs::of(&[Verb::Get, Verb::Patch, Verb::Update]);
    let mut subresources = Vec::new();
    if scale.is_some() {
        subresources.push(Subresource {
            name: "scale".into(),
            kind: Some(("autoscaling".into(), "v1".into(), "Scale".into())),
            verbs: rw,
        });
    }
    if versions.get(storage).is_some_and(|version| version.status) {
        subresources.push(Subresource {
            name: "status".into(),
            kind: None,
            verbs: rw,
        });
    }
    let selectable = stored.get("selectableFields").and_then(Value::as_array);
    let selectable = selectable
        .into_iter()
        .flatten()
        .map(|field| {
            let path: Vec<String> = path(&text(field, "jsonPath"));
            Selectable {
                label: path.join(".").into(),
                paths: vec![path.into_iter().map(Cow::Owned).collect()],
                default: "",
            }
        })
        .collect();
    Ok(Resource {
        id: ResourceId(0),
        home: ResourceId(0),
        list_kind: non_empty(text(names, "listKind"), format!("{kind}List")).into(),
        singular: non_empty(text(names, "singular"), kind.to_lowercase()).into(),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: text(&spec, "scope") == "Namespaced",
        group: group.into(),
        kind: kind.into(),
        plural: plural.into(),
        versions,
        storage,
        verbs: Verbs::ALL,
        subresources,
        scale,
        selectable,
        names: NameRule::Subdomain,
        traits: Traits {
            unconditional_update: false,
            create_on_update: false,
            generation: true,
            stored: true,
            graceful: false,
            status_on_create: false,
        },
        custom: true,
    })
}

fn version(declared: &Value) -> Result<Version, String> {
    let schema = declared.pointer("/schema/openAPIV3Schema");
    let compiled = schema.map(Compiled::of).transpose()?;
    Ok(Version {
        name: declared
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
            .into(),
        served: declared.get("served") == Some(&Value::Bool(true)),
        status: declared
            .pointer("/subresources/status")
            .is_some_and(Value::is_object),
        layout: compiled
            .as_ref()
            .map(|compiled| Arc::clone(&compiled.layout))
            .unwrap_or_default(),
        schema: compiled.as_ref().map(|compiled| Arc::clone(&compiled.source)),
        compiled,
        columns: Some(Arc::new(CustomColumns::of(declared))),
    })
}

/// `.spec.replicas` as steps.
fn path(text: &str) -> Vec<String> {
    text.split('.')
        .filter(|step| !step.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Order of versions: stable before beta before alpha, then by number; other words last, by the alphabet
/// (kubernetes: `apimachinery/pkg/version/helpers.go`).
pub(super) fn priority(name: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(name.to_owned()));
    let Some(rest) = name.strip_prefix('v') else {
        return other;
    };
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    let (major, rest) = rest.split_at(end);
    let Ok(major) = major.parse() else { return other };
    let (level, minor) = if rest.is_empty() {
        (3, "0")
    } else if let Some(minor) = rest.strip_prefix("beta") {
        (2, minor)
    } else if let Some(minor) = rest.strip_prefix("alpha") {
        (1, minor)
    } else {
        return other;
    };
    let minor = if minor.is_empty() { Ok(0) } else { minor.parse() };
    minor.map_or(other, |minor| {
        (level, major, minor, std::cmp::Reverse(String::new()))
    })
}
