use serde_json::json;

use super::*;

fn normal(api_version: &str, kind: &str, value: Value) -> Value {
    let schema = Schema::built_in();
    let Value::Object(mut object) = value else {
        panic!("not an object");
    };
    let kind = schema.kind(api_version, kind).unwrap();
    schema.normalise(kind, &mut object).unwrap();
    let once = Value::Object(object.clone());
    schema.normalise(kind, &mut object).unwrap();
    assert_eq!(Value::Object(object), once, "a second time changes nothing");
    once
}

#[test]
fn a_deployment_gets_what_go_always_writes() {
    let given = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "labels": {}, "creationTimestamp": null, "colour": "red"},
        "spec": {
            "replicas": 0,
            "paused": false,
            "template": {"spec": {"containers": [{"name": "web", "image": "web:1", "Image": "x", "stdin": false}]}},
        },
    });
    let wanted = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": null,
            "strategy": {},
            "template": {
                "metadata": {},
                "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {}}]},
            },
        },
        "status": {},
    });
    assert_eq!(normal("apps/v1", "Deployment", given), wanted);
}

#[test]
fn values_get_their_one_form() {
    let given = json!({
        "metadata": {"name": "n"},
        "status": {
            "capacity": {"cpu": "2000m", "memory": "1048576Ki", "pods": 110},
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T01:00:00.5+01:00"}],
        },
    });
    let wanted = normal("v1", "Node", given);
    assert_eq!(
        wanted["status"]["capacity"],
        json!({"cpu": "2", "memory": "1Gi", "pods": "110"})
    );
    assert_eq!(
        wanted["status"]["conditions"],
        json!([{
            "type": "Ready", "status": "True",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": null,
        }])
    );
    let secret = json!({"data": {"a": "YWJj\n", "b": null}, "type": "", "immutable": false});
    assert_eq!(
        normal("v1", "Secret", secret),
        json!({"metadata": {}, "data": {"a": "YWJj", "b": null}, "immutable": false})
    );
}

#[test]
fn lists_that_go_always_writes_are_null_when_they_are_missing() {
    let role = normal(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        json!({"metadata": {"name": "r"}}),
    );
    assert_eq!(role, json!({"metadata": {"name": "r"}, "rules": null}));
    let role = normal(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        json!({"rules": [null]}),
    );
    assert_eq!(role, json!({"metadata": {}, "rules": [{"verbs": null}]}));
}

#[test]
fn inlined_structs_are_completed_where_they_stand() {
    let pod = normal(
        "v1",
        "Pod",
        json!({"spec": {"containers": null, "volumes": [
            {"name": "a", "configMap": {"name": "x", "items": []}, "volumeSource": {}},
        ], "ephemeralContainers": [{}]}}),
    );
    assert_eq!(
        pod["spec"],
        json!({
            "containers": null,
            "volumes": [{"name": "a", "configMap": {"name": "x"}}],
            "ephemeralContainers": [{"name": "", "resources": {}}],
        })
    );
}

#[test]
fn schemas_of_definitions() {
    let schema = json!({
        "type": "object", "unknown": 1, "items": [], "additionalProperties": {"type": "string", "odd": 1},
        "default": {"any": null}, "minimum": 1.0, "maximum": 1.5,
        "dependencies": {"a": ["b"], "c": 5},
    });
    let crd = normal(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}}),
    );
    assert_eq!(
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        json!({
            "type": "object", "additionalProperties": {"type": "string"},
            "default": {"any": null}, "minimum": 1, "maximum": 1.5,
            "dependencies": {"a": ["b"], "c": null},
        })
    );
    assert_eq!(
        crd["status"],
        json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": null})
    );
}

#[test]
fn objects_out_of_proportion_are_refused() {
    let schema = Schema::built_in();
    let list = schema.kind("v1", "PodList").unwrap();
    let mut object = Map::new();
    object.insert("items".into(), Value::Array(vec![json!({}); 100_000]));
    assert_eq!(schema.normalise(list, &mut object), Err(SizeError::TooLarge));
    let mut deep = json!({});
    for _ in 0..200 {
        deep = json!({"not": deep});
    }
    let crd = schema
        .kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        .unwrap();
    let mut object = Map::new();
    object.insert(
        "spec".into(),
        json!({"versions": [{"schema": {"openAPIV3Schema": deep}}]}),
    );
    assert_eq!(schema.normalise(crd, &mut object), Err(SizeError::TooDeep));
}
