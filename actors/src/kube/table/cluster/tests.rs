use serde_json::{Value, json};

use crate::kube::table::kit::{cells, object};

#[test]
fn configuration() {
    let namespace = object(json!({"metadata": {"name": "default"}, "status": {"phase": "Active"}}));
    assert_eq!(
        cells("", "namespaces", &namespace),
        json!(["default", "Active", "5m"])
    );
    let secret = object(json!({"metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "YQ==", "b": ""}}));
    assert_eq!(cells("", "secrets", &secret), json!(["s", "Opaque", 2, "5m"]));
    let map =
        object(json!({"metadata": {"name": "m"}, "data": {"a": "{\"x\": 1}"}, "binaryData": {"b": "YQ=="}}));
    assert_eq!(cells("", "configmaps", &map), json!(["m", 2, "5m"]));
    let empty = object(json!({"metadata": {"name": "m"}}));
    assert_eq!(cells("", "configmaps", &empty), json!(["m", 0, "5m"]));
    let account = object(json!({"metadata": {"name": "a"}, "secrets": [{"name": "t"}]}));
    assert_eq!(cells("", "serviceaccounts", &account), json!(["a", 1, "5m"]));
}

#[test]
fn quotas_and_components() {
    let quota = object(json!({"metadata": {"name": "q"}, "status": {
        "hard": {"requests.memory": "4096Mi", "limits.cpu": "2000m", "pods": "10", "cpu": "1"},
        "used": {"requests.memory": "1Gi", "limits.cpu": "500m", "pods": "3"},
    }}));
    assert_eq!(
        cells("", "resourcequotas", &quota),
        json!([
            "q",
            "cpu: 0/1, pods: 3/10, requests.memory: 1Gi/4Gi",
            "limits.cpu: 500m/2",
            "5m"
        ])
    );
    let component = |conditions: Value| {
        let component = object(json!({"metadata": {"name": "etcd-0"}, "conditions": conditions}));
        cells("", "componentstatuses", &component)
    };
    assert_eq!(
        component(json!([{"type": "Healthy", "status": "True", "message": "ok"}])),
        json!(["etcd-0", "Healthy", "ok", ""])
    );
    assert_eq!(
        component(json!([{"type": "Healthy", "status": "False", "error": "gone"}])),
        json!(["etcd-0", "Unhealthy", "", "gone"])
    );
    assert_eq!(component(Value::Null), json!(["etcd-0", "Unknown", "", ""]));
}

#[test]
fn events() {
    let both = |fields: Value| {
        let mut event = json!({
            "metadata": {"name": "e"}, "type": "Warning", "reason": "Failed", "message": " no luck\n",
            "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
        });
        event
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let event = object(event);
        let row = cells("", "events", &event);
        assert_eq!(cells("events.k8s.io", "events", &event), row);
        row
    };
    assert_eq!(
        both(
            json!({"firstTimestamp": "2026-01-01T00:01:00Z", "lastTimestamp": "2026-01-01T00:04:57Z", "count": 6,
            "source": {"component": "kubelet", "host": "n1"}})
        ),
        json!([
            "3s",
            "Warning",
            "Failed",
            "pod/p",
            "spec.containers{a}",
            "kubelet, n1",
            "no luck",
            "4m",
            6,
            "e"
        ])
    );
    assert_eq!(
        both(
            json!({"eventTime": "2026-01-01T00:04:00.000000Z", "firstTimestamp": null, "lastTimestamp": null,
            "reportingComponent": "example.com/c", "involvedObject": {"kind": "Node"}})
        ),
        json!([
            "60s",
            "Warning",
            "Failed",
            "node",
            "",
            "example.com/c",
            "no luck",
            "60s",
            1,
            "e"
        ])
    );
    let series = both(
        json!({"eventTime": "2026-01-01T00:01:00.000000Z", "reportingComponent": "c", "reportingInstance": "i",
        "series": {"count": 9, "lastObservedTime": "2026-01-01T00:04:50.000000Z"}}),
    );
    assert_eq!(
        [&series[0], &series[5], &series[7], &series[8]],
        [&json!("10s"), &json!("c, i"), &json!("4m"), &json!(9)]
    );
    assert_eq!(both(json!({}))[0], "<unknown>");
}

#[test]
fn leases_and_classes() {
    let lease = object(json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}));
    assert_eq!(
        cells("coordination.k8s.io", "leases", &lease),
        json!(["l", "me", "5m"])
    );
    let class = object(
        json!({"metadata": {"name": "c"}, "value": 1000, "globalDefault": true, "preemptionPolicy": "Never"}),
    );
    assert_eq!(
        cells("scheduling.k8s.io", "priorityclasses", &class),
        json!(["c", 1000, true, "5m", "Never"])
    );
    let class = object(json!({"metadata": {"name": "c"}, "handler": "runc"}));
    assert_eq!(
        cells("node.k8s.io", "runtimeclasses", &class),
        json!(["c", "runc", "5m"])
    );
}
