//! Custom resource definitions: from the object to a served [`Resource`], and the conditions that say so.
//!
//! The caller watches definitions and calls [`serve`] after each change of one: the kind is served from then on.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::names::NameRule;
use super::object::{Object, Second};
use super::resource::{
    Resource, ResourceId, ScalePaths, Selectable, Subresource, Traits, Verb, Verbs, Version,
};
use super::status::Status;
use super::store::{Part, Store, WriteOptions};
use super::structure;

/// Versions of one definition that are read.
const VERSIONS_MAX: usize = 64;

/// The resource that a definition describes.
///
/// # Errors
/// 422 in plain words when it lacks a group, names or a stored version.
pub fn resource(definition: &Object) -> Result<Resource, Status> {
    let refuse = |what: &str| {
        Status::failure(
            super::status::Reason::Invalid,
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
    let names = spec.get("names").cloned().unwrap_or_default();
    let (kind, plural) = (text(&names, "kind"), text(&names, "plural"));
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
    let versions: Vec<Version> = declared.iter().map(version).collect();
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
        list_kind: non_empty(text(&names, "listKind"), format!("{kind}List")).into(),
        singular: non_empty(text(&names, "singular"), kind.to_lowercase()).into(),
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

fn version(declared: &Value) -> Version {
    let schema = declared.pointer("/schema/openAPIV3Schema");
    Version {
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
        layout: structure::from_schema(schema.unwrap_or(&Value::Null)),
        schema: schema.cloned().map(Arc::new),
    }
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
fn priority(name: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
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

/// Serves the kind of a definition and says so in its status: `NamesAccepted`, `Established`, accepted names, stored versions.
///
/// # Errors
/// As [`resource`], and what the store refuses.
pub fn serve(store: &mut Store, definition: &Object, now: DateTime<Utc>) -> Result<(), Status> {
    let made = resource(definition)?;
    let stored = made.storage_version().to_owned();
    store.registry_mut().register(made);
    let mut names = definition.at(&["spec", "names"]).unwrap_or_default();
    if let Some(map) = names.as_object_mut() {
        for (field, value) in [("singular", "kind"), ("listKind", "kind")] {
            let kind = map.get(value).and_then(Value::as_str).unwrap_or("").to_owned();
            let made = if field == "singular" {
                kind.to_lowercase()
            } else {
                format!("{kind}List")
            };
            map.entry(field.to_owned()).or_insert_with(|| made.into());
        }
    }
    let old = definition.section("status").unwrap_or_default();
    let condition = |kind: &str, reason: &str, message: &str| {
        let conditions = old.get("conditions").and_then(Value::as_array);
        let before = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == kind && condition["status"] == "True");
        let since = before.and_then(|condition| condition.get("lastTransitionTime").cloned());
        json!({"type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": since.unwrap_or_else(|| Second::of(now).text().into())})
    };
    let mut versions: Vec<Value> = old
        .get("storedVersions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if !versions.iter().any(|version| *version == json!(stored)) {
        versions.push(stored.into());
    }
    let mut draft = definition.draft();
    draft.body.insert(
        "status".to_owned(),
        json!({
            "acceptedNames": names,
            "conditions": [
                condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            ],
            "storedVersions": versions,
        }),
    );
    let definitions = store
        .registry()
        .find("apiextensions.k8s.io", "customresourcedefinitions")
        .cloned();
    match definitions {
        Some(definitions) => store
            .replace(
                &definitions,
                Part::Status,
                draft,
                WriteOptions::by("kube-apiserver", now),
            )
            .map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;
    use crate::kube::resource::BUILT_IN;
    use crate::kube::store::{Limits, PatchKind, Settings, Target};
    use crate::seed::Seed;

    #[test]
    fn versions_are_ordered_as_a_server_orders_them() {
        let mut names = ["v1alpha1", "foo", "v2", "v1beta2", "v10", "v1", "v1beta10", "bar"];
        names.sort_by_key(|name| std::cmp::Reverse(priority(name)));
        assert_eq!(
            names,
            ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "bar", "foo"]
        );
    }

    #[test]
    fn a_definition_serves_its_kind() {
        let now = Utc.timestamp_opt(1_700_000_000, 0).unwrap();
        let options = WriteOptions::by("t", now);
        let settings = Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        };
        let mut store = Store::new(settings, Arc::default());
        let definitions = BUILT_IN
            .iter()
            .find(|resource| resource.is("apiextensions.k8s.io", "customresourcedefinitions"))
            .unwrap();
        let body = json!({"metadata": {"name": "things.example.com"}, "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"kind": "Thing", "plural": "things", "shortNames": ["th"]},
            "versions": [{"name": "v1beta1", "served": true, "storage": false},
                {"name": "v1", "served": true, "storage": true, "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}},
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}}]}});
        let definition = store
            .create(Target::stored(definitions, None), body, options)
            .unwrap();
        serve(&mut store, &definition, now).unwrap();
        let definition = store
            .look_up(
                "apiextensions.k8s.io",
                "customresourcedefinitions",
                None,
                "things.example.com",
            )
            .unwrap();
        assert_eq!(
            definition.at(&["status", "acceptedNames", "listKind"]),
            Some(json!("ThingList"))
        );
        assert_eq!(definition.at(&["status", "storedVersions"]), Some(json!(["v1"])));
        let version = store.version();
        let definition = Arc::clone(definition);
        serve(&mut store, &definition, now).unwrap();
        assert_eq!(store.version(), version, "once is enough");
        let things = Arc::clone(store.registry().find("example.com", "things").unwrap());
        assert_eq!((things.storage_version(), things.versions.len()), ("v1", 2));
        let target = Target::stored(&things, None);
        let body = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"n": 2, "color": "red"}, "status": {"n": 1}});
        let thing = store.create(target, body, options).unwrap();
        assert_eq!((thing.generation, thing.section("status")), (1, None));
        assert_eq!(things.field(&thing, "spec.color").as_deref(), Some("red"));
        assert_eq!(
            super::super::scale::of(&things, &thing).unwrap()["spec"]["replicas"],
            json!(2)
        );
        let status = store
            .patch(target, "a", Part::Main, PatchKind::Strategic, &json!({}), options)
            .unwrap_err();
        assert_eq!(status.code, 415);
        let both = json!({"metadata": {"labels": {"x": "y"}}, "status": {"n": 9}});
        let thing = store
            .patch(target, "a", Part::Status, PatchKind::Merge, &both, options)
            .unwrap()
            .object;
        assert_eq!(
            (thing.label("x"), thing.at(&["status", "n"])),
            (None, Some(json!(9)))
        );
        let beta = Target {
            version: "v1beta1",
            ..target
        };
        let body = json!({"apiVersion": "example.com/v1beta1", "metadata": {"name": "b"}, "spec": {}});
        store.create(beta, body, options).unwrap();
    }

    #[test]
    fn definitions_that_say_too_little() {
        let interner = crate::kube::intern::Interner::default();
        for spec in [
            json!({}),
            json!({"group": "g.io", "names": {"kind": "K", "plural": "ks"}}),
            json!({"group": "h.io", "names": {"kind": "K", "plural": "ks"}, "versions": [{"storage": true}]}),
        ] {
            let draft = super::super::object::Draft::from_value(
                json!({"metadata": {"name": "ks.g.io"}, "spec": spec}),
                "K",
            )
            .unwrap();
            let object = Object {
                head: Arc::new(super::super::object::Head::of(&draft.meta)),
                sections: Object::seal(&draft.body, None, &interner),
                managed: Arc::new([]),
                uid: uuid::Uuid::nil(),
                resource_version: 1,
                generation: 1,
                created: Second(0),
                deletion: None,
            };
            assert_eq!(resource(&object).unwrap_err().code, 422);
        }
    }
}
