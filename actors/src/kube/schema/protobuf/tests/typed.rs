//! The kinds that clients send most, as `k8s-pb` writes them.

use k8s_pb::api::{apps, coordination, core, policy, rbac};
use k8s_pb::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_pb::apimachinery::pkg::api::resource::Quantity;
use k8s_pb::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_pb::apimachinery::pkg::runtime;
use k8s_pb::apimachinery::pkg::util::intstr::IntOrString;
use prost::Message;
use serde_json::{Value, json};

use super::super::{MAGIC, decode, encode};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn named(name: &str) -> Option<meta::ObjectMeta> {
    Some(meta::ObjectMeta {
        name: some(name),
        ..Default::default()
    })
}

fn time(seconds: i64) -> Option<meta::Time> {
    Some(meta::Time {
        seconds: Some(seconds),
        nanos: Some(0),
    })
}

fn body(api_version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let unknown = runtime::Unknown {
        type_meta: Some(runtime::TypeMeta {
            api_version: some(api_version),
            kind: some(kind),
        }),
        raw: Some(raw),
        content_encoding: some(""),
        content_type: some(""),
    };
    [MAGIC.to_vec(), unknown.encode_to_vec()].concat()
}

/// The message reads as `wanted`; and what is written for `wanted` is, to the other implementation, the same object.
#[track_caller]
fn check<M: Message + Default>(api_version: &str, kind: &str, message: &M, mut wanted: Value) {
    wanted["apiVersion"] = json!(api_version);
    wanted["kind"] = json!(kind);
    let read = decode(&body(api_version, kind, message.encode_to_vec())).unwrap();
    assert_eq!(Value::Object(read.object.clone()), wanted);

    let written = encode(api_version, kind, &read.object).unwrap();
    let envelope = runtime::Unknown::decode(&written[MAGIC.len()..]).unwrap();
    let type_meta = envelope.type_meta.unwrap();
    assert_eq!(
        (type_meta.api_version, type_meta.kind),
        (some(api_version), some(kind))
    );
    let other = M::decode(envelope.raw.unwrap().as_slice()).unwrap();
    let again = decode(&body(api_version, kind, other.encode_to_vec())).unwrap();
    assert_eq!(Value::Object(again.object), wanted);
}

#[test]
fn config_map_and_secret() {
    let config_map = core::v1::ConfigMap {
        metadata: Some(meta::ObjectMeta {
            labels: [("a".to_owned(), "b".to_owned())].into(),
            finalizers: vec!["f".to_owned()],
            creation_timestamp: Some(meta::Time::default()),
            owner_references: vec![meta::OwnerReference {
                name: some("o"),
                controller: Some(false),
                ..Default::default()
            }],
            managed_fields: vec![meta::ManagedFieldsEntry {
                manager: some("m"),
                fields_v1: Some(meta::FieldsV1 {
                    raw: Some(br#"{"f:data":{}}"#.to_vec()),
                }),
                time: time(0),
                ..Default::default()
            }],
            ..named("c").unwrap()
        }),
        data: [("k".to_owned(), "v".to_owned())].into(),
        binary_data: [("b".to_owned(), vec![1, 2, 3])].into(),
        immutable: Some(false),
    };
    check(
        "v1",
        "ConfigMap",
        &config_map,
        json!({
            "metadata": {
                "name": "c", "labels": {"a": "b"}, "finalizers": ["f"],
                "ownerReferences": [{"apiVersion": "", "kind": "", "name": "o", "uid": "", "controller": false}],
                "managedFields": [{"manager": "m", "fieldsV1": {"f:data": {}}, "time": "1970-01-01T00:00:00Z"}],
            },
            "data": {"k": "v"}, "binaryData": {"b": "AQID"}, "immutable": false,
        }),
    );
    let secret = core::v1::Secret {
        metadata: named("s"),
        data: [
            ("token".to_owned(), b"abc".to_vec()),
            ("empty".to_owned(), Vec::new()),
        ]
        .into(),
        r#type: some("Opaque"),
        ..Default::default()
    };
    check(
        "v1",
        "Secret",
        &secret,
        json!({
            "metadata": {"name": "s"}, "type": "Opaque", "data": {"token": "YWJj", "empty": ""},
        }),
    );
}

#[test]
fn node() {
    let quantity = |text: &str| Quantity { string: some(text) };
    let node = core::v1::Node {
        metadata: named("n"),
        spec: Some(core::v1::NodeSpec {
            provider_id: some("metal3://a/b/c"),
            unschedulable: Some(false),
            taints: vec![core::v1::Taint {
                key: some("k"),
                effect: some("NoSchedule"),
                ..Default::default()
            }],
            ..Default::default()
        }),
        status: Some(core::v1::NodeStatus {
            capacity: [
                ("cpu".to_owned(), quantity("4")),
                ("memory".to_owned(), quantity("1024Mi")),
            ]
            .into(),
            conditions: vec![core::v1::NodeCondition {
                r#type: some("Ready"),
                status: some("True"),
                last_transition_time: time(1_770_000_000),
                ..Default::default()
            }],
            ..Default::default()
        }),
    };
    check(
        "v1",
        "Node",
        &node,
        json!({
            "metadata": {"name": "n"},
            "spec": {"providerID": "metal3://a/b/c", "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {
                "capacity": {"cpu": "4", "memory": "1Gi"},
                "conditions": [{
                    "type": "Ready", "status": "True",
                    "lastHeartbeatTime": null, "lastTransitionTime": "2026-02-02T02:40:00Z",
                }],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
                "nodeInfo": {
                    "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "",
                    "containerRuntimeVersion": "", "kubeletVersion": "", "kubeProxyVersion": "",
                    "operatingSystem": "", "architecture": "",
                },
            },
        }),
    );
}

#[test]
fn pod_and_deployment() {
    let spec = core::v1::PodSpec {
        containers: vec![core::v1::Container {
            name: some("c"),
            liveness_probe: Some(core::v1::Probe {
                handler: Some(core::v1::ProbeHandler {
                    http_get: Some(core::v1::HttpGetAction {
                        path: some("/healthz"),
                        port: Some(IntOrString {
                            r#type: Some(1),
                            int_val: Some(0),
                            str_val: some("https"),
                        }),
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                period_seconds: Some(5),
                ..Default::default()
            }),
            ..Default::default()
        }],
        volumes: vec![core::v1::Volume {
            name: some("v"),
            volume_source: Some(core::v1::VolumeSource {
                config_map: Some(core::v1::ConfigMapVolumeSource {
                    local_object_reference: Some(core::v1::LocalObjectReference { name: some("cm") }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
        }],
        automount_service_account_token: Some(false),
        ..Default::default()
    };
    let wanted_spec = json!({
        "containers": [{
            "name": "c", "resources": {},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "https"}, "periodSeconds": 5},
        }],
        "volumes": [{"name": "v", "configMap": {"name": "cm"}}],
        "automountServiceAccountToken": false,
    });
    let pod = core::v1::Pod {
        metadata: named("p"),
        spec: Some(spec.clone()),
        ..Default::default()
    };
    let wanted = json!({"metadata": {"name": "p"}, "spec": wanted_spec, "status": {}});
    check("v1", "Pod", &pod, wanted);

    let deployment = apps::v1::Deployment {
        metadata: named("d"),
        spec: Some(apps::v1::DeploymentSpec {
            replicas: Some(0),
            selector: Some(meta::LabelSelector::default()),
            strategy: Some(apps::v1::DeploymentStrategy {
                rolling_update: Some(apps::v1::RollingUpdateDeployment {
                    max_surge: Some(IntOrString {
                        r#type: Some(0),
                        int_val: Some(1),
                        str_val: some(""),
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            template: Some(core::v1::PodTemplateSpec {
                spec: Some(spec),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    check(
        "apps/v1",
        "Deployment",
        &deployment,
        json!({
            "metadata": {"name": "d"},
            "spec": {
                "replicas": 0, "selector": {}, "strategy": {"rollingUpdate": {"maxSurge": 1}},
                "template": {"metadata": {}, "spec": wanted_spec},
            },
            "status": {},
        }),
    );
}

#[test]
fn service_lease_and_event() {
    let service = core::v1::Service {
        metadata: named("s"),
        spec: Some(core::v1::ServiceSpec {
            ports: vec![core::v1::ServicePort {
                port: Some(443),
                target_port: Some(IntOrString::default()),
                ..Default::default()
            }],
            selector: [("a".to_owned(), String::new())].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    check(
        "v1",
        "Service",
        &service,
        json!({
            "metadata": {"name": "s"},
            "spec": {"ports": [{"port": 443, "targetPort": 0}], "selector": {"a": ""}},
            "status": {"loadBalancer": {}},
        }),
    );
    let lease = coordination::v1::Lease {
        metadata: named("l"),
        spec: Some(coordination::v1::LeaseSpec {
            holder_identity: some("me"),
            lease_duration_seconds: Some(15),
            renew_time: Some(meta::MicroTime {
                seconds: Some(1_770_000_000),
                nanos: Some(123_456_789),
            }),
            ..Default::default()
        }),
    };
    check(
        "coordination.k8s.io/v1",
        "Lease",
        &lease,
        json!({
            "metadata": {"name": "l"},
            "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2026-02-02T02:40:00.123456Z"},
        }),
    );
    let event = core::v1::Event {
        metadata: named("e"),
        involved_object: Some(core::v1::ObjectReference {
            kind: some("Node"),
            ..Default::default()
        }),
        count: Some(1),
        first_timestamp: time(1_770_000_000),
        ..Default::default()
    };
    check(
        "v1",
        "Event",
        &event,
        json!({
            "metadata": {"name": "e"}, "involvedObject": {"kind": "Node"}, "source": {}, "count": 1,
            "firstTimestamp": "2026-02-02T02:40:00Z", "lastTimestamp": null, "eventTime": null,
            "reportingComponent": "", "reportingInstance": "",
        }),
    );
}

#[test]
fn roles_and_bindings() {
    let role = rbac::v1::ClusterRole {
        metadata: named("r"),
        rules: vec![rbac::v1::PolicyRule {
            verbs: vec!["get".to_owned()],
            api_groups: vec![String::new()],
            resources: vec!["nodes".to_owned()],
            ..Default::default()
        }],
        ..Default::default()
    };
    check(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        &role,
        json!({
            "metadata": {"name": "r"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes"]}],
        }),
    );
    let binding = rbac::v1::RoleBinding {
        metadata: named("b"),
        role_ref: Some(rbac::v1::RoleRef {
            name: some("r"),
            ..Default::default()
        }),
        ..Default::default()
    };
    check(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        &binding,
        json!({
            "metadata": {"name": "b"}, "roleRef": {"apiGroup": "", "kind": "", "name": "r"},
        }),
    );
}

#[test]
fn bodies_of_subresources_and_options() {
    let options = meta::DeleteOptions {
        grace_period_seconds: Some(0),
        preconditions: Some(meta::Preconditions {
            uid: some("u"),
            ..Default::default()
        }),
        propagation_policy: some("Foreground"),
        ..Default::default()
    };
    let wanted = json!({
        "gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "propagationPolicy": "Foreground",
    });
    for api_version in ["v1", "meta.k8s.io/v1", "policy/v1"] {
        check(api_version, "DeleteOptions", &options, wanted.clone());
    }
    let eviction = policy::v1::Eviction {
        metadata: named("p"),
        delete_options: Some(options),
    };
    let wanted = json!({"metadata": {"name": "p"}, "deleteOptions": wanted});
    check("policy/v1", "Eviction", &eviction, wanted);
    let token = k8s_pb::api::authentication::v1::TokenRequest {
        spec: Some(k8s_pb::api::authentication::v1::TokenRequestSpec {
            audiences: vec!["a".to_owned()],
            expiration_seconds: Some(600),
            ..Default::default()
        }),
        ..Default::default()
    };
    check(
        "authentication.k8s.io/v1",
        "TokenRequest",
        &token,
        json!({
            "metadata": {},
            "spec": {"audiences": ["a"], "expirationSeconds": 600, "boundObjectRef": null},
            "status": {"token": "", "expirationTimestamp": null},
        }),
    );
    let extra = k8s_pb::api::authorization::v1::ExtraValue {
        items: vec!["x".to_owned(), "y".to_owned()],
    };
    let review = k8s_pb::api::authorization::v1::SubjectAccessReview {
        spec: Some(k8s_pb::api::authorization::v1::SubjectAccessReviewSpec {
            user: some("u"),
            groups: vec!["g".to_owned()],
            extra: [("k".to_owned(), extra)].into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    check(
        "authorization.k8s.io/v1",
        "SubjectAccessReview",
        &review,
        json!({
            "metadata": {}, "spec": {"user": "u", "groups": ["g"], "extra": {"k": ["x", "y"]}},
            "status": {"allowed": false},
        }),
    );
}

#[test]
fn custom_resource_definition() {
    let any = |raw: &[u8]| apiextensions::Json {
        raw: Some(raw.to_vec()),
    };
    let text = apiextensions::JsonSchemaProps {
        r#type: some("string"),
        ..Default::default()
    };
    let schema = apiextensions::JsonSchemaProps {
        r#type: some("object"),
        default: Some(any(br#"{"a":null}"#)),
        r#enum: vec![any(b"1"), any(b"\"x\"")],
        minimum: Some(0.5),
        maximum: Some(2.0),
        max_length: Some(0),
        items: Some(Box::new(apiextensions::JsonSchemaPropsOrArray {
            schema: Some(Box::new(text.clone())),
            ..Default::default()
        })),
        additional_properties: Some(Box::new(apiextensions::JsonSchemaPropsOrBool {
            allows: Some(true),
            schema: None,
        })),
        properties: [("p".to_owned(), text)].into(),
        ..Default::default()
    };
    let crd = apiextensions::CustomResourceDefinition {
        metadata: named("foos.example.com"),
        spec: Some(apiextensions::CustomResourceDefinitionSpec {
            group: some("example.com"),
            scope: some("Namespaced"),
            versions: vec![apiextensions::CustomResourceDefinitionVersion {
                name: some("v1"),
                served: Some(true),
                storage: Some(true),
                schema: Some(apiextensions::CustomResourceValidation {
                    open_apiv3_schema: Some(schema),
                }),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    };
    check(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &crd,
        json!({
            "metadata": {"name": "foos.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"plural": "", "kind": ""},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "default": {"a": null}, "enum": [1, "x"], "minimum": 0.5, "maximum": 2,
                    "maxLength": 0, "items": {"type": "string"}, "additionalProperties": true,
                    "properties": {"p": {"type": "string"}},
                }}}],
            },
            "status": {"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": null},
        }),
    );
}
