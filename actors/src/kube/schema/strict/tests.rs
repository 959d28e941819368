use serde_json::json;

use super::*;

fn kind(api_version: &str, kind: &str) -> MessageId {
    Schema::built_in().kind(api_version, kind).unwrap()
}

fn deployment() -> MessageId {
    kind("apps/v1", "Deployment")
}

fn of_text(kind: MessageId, text: &str) -> Findings {
    inspect(kind, text).unwrap()
}

#[test]
fn unknown_fields_are_named_with_their_path_and_case_counts() {
    let value = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "Metadata": {},
        "metadata": {"name": "a", "labels": {"any": "key"}},
        "spec": {
            "foo": {"bar": 1}, "Replicas": 3,
            "template": {"spec": {
                "containers": [{"name": "c"}, {"Name": "d", "env": [{"nam": "x"}]}],
                "volumes": [{"name": "v", "configMap": {"name": "c", "itmes": []}}],
            }},
        },
    });
    assert_eq!(
        unknown_fields(deployment(), &value),
        [
            r#"unknown field "Metadata""#,
            r#"unknown field "spec.Replicas""#,
            r#"unknown field "spec.foo""#,
            r#"unknown field "spec.template.spec.containers[1].Name""#,
            r#"unknown field "spec.template.spec.containers[1].env[0].nam""#,
            r#"unknown field "spec.template.spec.volumes[0].configMap.itmes""#,
        ]
    );
    let findings = inspect_value(deployment(), &json!({"a": 1, "b": 2}));
    assert_eq!(
        findings.strict_error().as_deref(),
        Some(r#"strict decoding error: unknown field "a", unknown field "b""#)
    );
    assert_eq!(Findings::default().strict_error(), None);
}

#[test]
fn duplicates_come_in_the_order_of_the_document() {
    let text = r#"{"spec": {"replicas": 1, "foo": 1, "replicas": 2, "foo": 2},
        "metadata": {"labels": {"a": "1", "a": "2"}, "name": "x", "name": "y"}}"#;
    assert_eq!(
        of_text(deployment(), text).strict,
        [
            r#"unknown field "spec.foo""#,
            r#"duplicate field "spec.replicas""#,
            r#"duplicate field "metadata.labels.a""#,
            r#"duplicate field "metadata.name""#,
        ]
    );
    assert_eq!(
        duplicate_fields(r#"{"a": {"b": [{"c": 1, "c": 2}], "d": 1}, "a": 1}"#).unwrap(),
        [r#"duplicate field "a.b[0].c""#, r#"duplicate field "a""#]
    );
    assert!(duplicate_fields("{").is_err());
    assert!(inspect(deployment(), "{} {}").is_err());
}

#[test]
fn only_a_hundred_fields_are_told() {
    let many: serde_json::Map<_, _> = (0..300).map(|number| (format!("f{number}"), json!(1))).collect();
    assert_eq!(unknown_fields(deployment(), &Value::Object(many)).len(), 100);
}

#[track_caller]
fn type_error_is(kind: MessageId, value: Value, wanted: &str) {
    assert_eq!(type_error(kind, &value).as_deref(), Some(wanted));
    assert_eq!(
        of_text(kind, &value.to_string()).type_error.as_deref(),
        Some(wanted)
    );
}

#[test]
fn values_of_the_wrong_type() {
    type_error_is(
        deployment(),
        json!({"spec": {"replicas": "3"}}),
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    type_error_is(
        deployment(),
        json!({"spec": {"replicas": 1.5}}),
        "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    type_error_is(
        deployment(),
        json!({"spec": {"replicas": 3_000_000_000_u64}}),
        "json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    type_error_is(
        deployment(),
        json!({"metadata": {"labels": {"a": 1}}}),
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
    );
    type_error_is(
        deployment(),
        json!({"spec": {"template": {"spec": {"containers": {"name": "c"}}}}}),
        "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
    );
    type_error_is(
        kind("v1", "Pod"),
        json!({"spec": {"containers": [{"ports": [{"protocol": true}]}]}}),
        "json: cannot unmarshal bool into Go struct field ContainerPort.spec.containers.ports.protocol of type v1.Protocol",
    );
    type_error_is(
        kind("v1", "Pod"),
        json!({"spec": {"volumes": [{"configMap": "x"}]}}),
        "json: cannot unmarshal string into Go struct field Volume.spec.volumes.configMap of type v1.ConfigMapVolumeSource",
    );
    type_error_is(
        kind("v1", "Pod"),
        json!({"spec": []}),
        "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec",
    );
    type_error_is(
        kind("v1", "Pod"),
        json!([]),
        "json: cannot unmarshal array into Go value of type v1.Pod",
    );
    type_error_is(
        kind("v1", "ConfigMap"),
        json!({"kind": 5}),
        "json: cannot unmarshal number into Go struct field ConfigMap.kind of type string",
    );
}

#[test]
fn values_with_a_form_of_their_own() {
    type_error_is(
        kind("v1", "Service"),
        json!({"spec": {"ports": [{"targetPort": true}]}}),
        "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
    );
    type_error_is(
        kind("v1", "Node"),
        json!({"status": {"capacity": {"cpu": "lots"}}}),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
    type_error_is(
        kind("v1", "Node"),
        json!({"metadata": {"creationTimestamp": 5}}),
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
    );
    type_error_is(
        kind("v1", "Node"),
        json!({"metadata": {"creationTimestamp": "today"}}),
        r#"parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006""#,
    );
    type_error_is(
        kind("v1", "Secret"),
        json!({"data": {"a": "not base64"}}),
        "illegal base64 data at input byte 3",
    );
    type_error_is(
        kind("v1", "Secret"),
        json!({"data": {"a": "YWJjZA"}}),
        "illegal base64 data at input byte 4",
    );
}

#[test]
fn what_go_takes_is_taken() {
    let fine = json!({
        "metadata": null,
        "spec": {
            "replicas": null, "template": {"spec": {"containers": [null], "nodeSelector": null}},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
        },
        "status": {"conditions": []},
    });
    assert_eq!(inspect_value(deployment(), &fine), Findings::default());
    let node = json!({"status": {"capacity": {"cpu": 4, "memory": 1.5}}});
    assert_eq!(inspect_value(kind("v1", "Node"), &node), Findings::default());
    let revision = json!({"data": {"anything": [1, {"a": null}]}, "revision": 1});
    assert_eq!(
        inspect_value(kind("apps/v1", "ControllerRevision"), &revision),
        Findings::default()
    );
}

#[test]
fn the_first_error_counts_but_one_that_ends_decoding_counts_more() {
    let text = r#"{"spec": {"replicas": "a", "minReadySeconds": "b"}}"#;
    let error = of_text(deployment(), text).type_error.unwrap();
    assert!(error.contains("spec.replicas"), "{error}");
    let text = r#"{"spec": {"replicas": "a"}, "metadata": {"creationTimestamp": "x"}}"#;
    let error = of_text(deployment(), text).type_error.unwrap();
    assert!(error.starts_with("parsing time"), "{error}");
}

#[test]
fn schemas_within_schemas_have_a_decoder_of_their_own() {
    let crd = kind("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    let with = |schema: Value| json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": schema}}]}});
    let fine = with(json!({
        "properties": {"a": {"unknown": 1}},
        "items": {"unknown": 1},
        "additionalProperties": {"unknown": 1},
        "dependencies": {"a": ["b"], "c": {}},
        "default": [], "enum": [null, 1],
    }));
    assert_eq!(
        unknown_fields(crd, &fine),
        [r#"unknown field "spec.versions[0].schema.openAPIV3Schema.properties.a.unknown""#]
    );
    assert_eq!(type_error(crd, &fine), None);
    type_error_is(
        crd,
        with(json!({"items": {"properties": {"a": {"type": 5}}}})),
        "json: cannot unmarshal number into Go struct field JSONSchemaProps.spec.versions.schema.openAPIV3Schema.items of type string",
    );
    type_error_is(
        crd,
        with(json!({"additionalProperties": "yes"})),
        "boolean or JSON schema expected",
    );
    type_error_is(
        crd,
        with(json!({"dependencies": {"a": [1]}})),
        "json: cannot unmarshal number into Go struct field JSONSchemaProps.spec.versions.schema.openAPIV3Schema.dependencies of type string",
    );
}
