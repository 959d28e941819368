//! The scale subresource: `autoscaling/v1 Scale` over whatever has replicas.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::object::Object;
use super::resource::{Resource, ScalePaths};
use super::selector::LabelSelector;
use super::status::{FieldError, Named, Status};
use super::store::{Part, Store, Target, WriteOptions, Written};

/// The scale of an object.
///
/// # Errors
/// 404 when the resource has no scale subresource.
pub fn of(resource: &Resource, object: &Object) -> Result<Value, Status> {
    let paths = resource.scale.as_ref().ok_or_else(Status::unknown_resource)?;
    let mut metadata = object.metadata();
    metadata.retain(|key, _| {
        matches!(
            key.as_str(),
            "name" | "namespace" | "uid" | "resourceVersion" | "creationTimestamp"
        )
    });
    let number = |path: &[String]| at(object, path).and_then(|value| value.as_i64());
    let mut spec = Map::new();
    if let Some(replicas) = number(&paths.spec).filter(|replicas| *replicas != 0) {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    let mut status = json!({"replicas": number(&paths.status).unwrap_or(0)});
    if let Some(selector) = selector(paths, object) {
        status["selector"] = selector.into();
    }
    Ok(json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status,
    }))
}

fn at(object: &Object, path: &[String]) -> Option<Value> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    object.at(&path)
}

/// The selector as text: custom resources store it so, the others as an object.
fn selector(paths: &ScalePaths, object: &Object) -> Option<String> {
    match at(object, paths.selector.as_ref()?)? {
        Value::String(text) => Some(text),
        // A replication controller has a plain map, the others a label selector.
        map if map.get("matchLabels").is_some() || map.get("matchExpressions").is_some() => {
            LabelSelector::from_spec(&map).map(|selector| selector.to_string())
        }
        map => LabelSelector::from_map(&map).map(|selector| selector.to_string()),
    }
}

/// Writes a scale: sets the number of replicas, and keeps the rest. `scale` is the whole `Scale`, as a PUT sends it or as a patch of
/// [`of`] gives it.
///
/// # Errors
/// 400 for a body that is no scale, 409 when its `resourceVersion` or `uid` is not the present one, 422 for a negative number.
pub fn set(
    store: &mut Store,
    target: Target<'_>,
    name: &str,
    scale: &Value,
    options: WriteOptions<'_>,
) -> Result<Written, Status> {
    let resource: &Arc<Resource> = target.resource;
    let paths = resource.scale.as_ref().ok_or_else(Status::unknown_resource)?;
    let object = store.get(target, name)?;
    let named = Named {
        group: "autoscaling",
        resource: "Scale",
    };
    let replicas = match scale.pointer("/spec/replicas") {
        None | Some(Value::Null) => 0,
        Some(number) => number
            .as_i64()
            .filter(|number| i32::try_from(*number).is_ok())
            .ok_or_else(|| Status::bad_request("Scale: spec.replicas: not a 32-bit number"))?,
    };
    if replicas < 0 {
        let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        return Err(Status::invalid(named, name, &[error]));
    }
    let text = |field: &str| {
        let value = scale
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_str);
        value.unwrap_or("").to_owned()
    };
    let mut draft = object.draft();
    draft.meta.resource_version = text("resourceVersion");
    draft.meta.uid = text("uid");
    if draft.meta.resource_version.is_empty() {
        draft.meta.resource_version = object.resource_version.to_string();
    }
    let mut place = &mut draft.body;
    let Some((last, init)) = paths.spec.split_last() else {
        return Err(Status::internal("scale: the path of the replicas is empty"));
    };
    for step in init {
        let value = place.entry(step.clone()).or_insert_with(|| json!({}));
        if !value.is_object() {
            *value = json!({});
        }
        place = value
            .as_object_mut()
            .ok_or_else(|| Status::internal("scale: the replicas stand in no object"))?;
    }
    place.insert(last.clone(), replicas.into());
    store.replace(resource, Part::Scale, draft, options)
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone as _, Utc};

    use super::*;
    use crate::kube::resource::BUILT_IN;
    use crate::kube::store::{Limits, Settings};
    use crate::seed::Seed;

    #[test]
    fn reading_and_writing_a_scale() {
        let settings = Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        };
        let mut store = Store::new(settings, Arc::default());
        let options = WriteOptions::by("t", Utc.timestamp_opt(1_700_000_000, 0).unwrap());
        let find = |group, plural| {
            BUILT_IN
                .iter()
                .find(|resource| resource.is(group, plural))
                .unwrap()
        };
        store
            .create(
                Target::stored(find("", "namespaces"), None),
                json!({"metadata": {"name": "n"}}),
                options,
            )
            .unwrap();
        let target = Target::stored(find("apps", "deployments"), Some("n"));
        let body = json!({"metadata": {"name": "d"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
        let object = store.create(target, body, options).unwrap();
        let mut scale = of(target.resource, &object).unwrap();
        assert_eq!(
            (&scale["spec"]["replicas"], &scale["status"]),
            (&json!(2), &json!({"replicas": 0, "selector": "a=b"}))
        );
        scale["spec"]["replicas"] = 5.into();
        let written = set(&mut store, target, "d", &scale, options).unwrap().object;
        assert_eq!(
            (written.at(&["spec", "replicas"]), written.generation),
            (Some(json!(5)), 2)
        );
        assert_eq!(
            set(&mut store, target, "d", &scale, options).unwrap_err().code,
            409,
            "the version is old by now"
        );
        for (replicas, code) in [
            (json!(-1), 422),
            (json!("x"), 400),
            (json!(5_000_000_000_i64), 400),
        ] {
            let status = set(
                &mut store,
                target,
                "d",
                &json!({"spec": {"replicas": replicas}}),
                options,
            )
            .unwrap_err();
            assert_eq!(status.code, code);
        }
        let pods = Target::stored(find("", "pods"), Some("n"));
        assert_eq!(of(pods.resource, &written).unwrap_err().code, 404);
    }
}
