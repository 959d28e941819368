use serde_json::{Value, json};

use crate::kube::table::kit::{cells, object};

const ADMISSION: &str = "admissionregistration.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";

fn row(group: &str, plural: &str, mut body: Value) -> Value {
    body["metadata"] = json!({"name": "x"});
    cells(group, plural, &object(body))
}

#[test]
fn bindings() {
    let body = json!({"roleRef": {"kind": "ClusterRole", "name": "admin"}, "subjects": [
        {"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"}, {"kind": "Group", "name": "h"},
        {"kind": "ServiceAccount", "namespace": "n", "name": "s"}, {"kind": "Other", "name": "o"},
    ]});
    for plural in ["rolebindings", "clusterrolebindings"] {
        assert_eq!(
            row("rbac.authorization.k8s.io", plural, body.clone()),
            json!(["x", "ClusterRole/admin", "5m", "u", "g, h", "n/s"])
        );
    }
    assert_eq!(
        row(
            "rbac.authorization.k8s.io",
            "rolebindings",
            json!({"roleRef": {"kind": "Role", "name": "r"}})
        ),
        json!(["x", "Role/r", "5m", "", "", ""])
    );
}

#[test]
fn signing_requests() {
    let request = |spec: Value, status: Value| {
        row(
            "certificates.k8s.io",
            "certificatesigningrequests",
            json!({"spec": spec, "status": status}),
        )
    };
    assert_eq!(
        request(
            json!({"signerName": "example.com/s", "username": "me", "expirationSeconds": 7200}),
            json!({"conditions": [{"type": "Approved"}], "certificate": "LS0t"})
        ),
        json!(["x", "5m", "example.com/s", "me", "120m", "Approved,Issued"])
    );
    assert_eq!(
        request(json!({}), json!({})),
        json!(["x", "5m", "<none>", "", "<none>", "Pending"])
    );
    assert_eq!(
        request(
            json!({}),
            json!({"conditions": [{"type": "Approved"}, {"type": "Denied"}, {"type": "Failed"}]})
        )[5],
        "Denied,Failed"
    );
}

#[test]
fn admission() {
    for plural in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        assert_eq!(
            row(
                ADMISSION,
                plural,
                json!({"webhooks": [{"name": "a"}, {"name": "b"}]})
            ),
            json!(["x", 2, "5m"])
        );
    }
    assert_eq!(
        row(
            ADMISSION,
            "validatingadmissionpolicies",
            json!({"spec": {"validations": [{}], "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}})
        ),
        json!(["x", 1, "v1/ConfigMap", "5m"])
    );
    let binding = |reference: Value| {
        let spec = json!({"policyName": "p", "paramRef": reference});
        row(
            ADMISSION,
            "validatingadmissionpolicybindings",
            json!({"spec": spec}),
        )
    };
    assert_eq!(binding(Value::Null), json!(["x", "p", "<unset>", "5m"]));
    assert_eq!(binding(json!({"name": "n"}))[2], "*/n");
    assert_eq!(binding(json!({"name": "n", "namespace": "d"}))[2], "d/n");
    assert_eq!(
        binding(
            json!({"selector": {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [
                {"key": "k", "operator": "In", "values": ["v", "w"]}
            ]}})
        )[2],
        "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[v w],},},}"
    );
}

#[test]
fn flow_control() {
    assert_eq!(
        row(
            FLOW,
            "flowschemas",
            json!({"spec": {"priorityLevelConfiguration": {"name": "catch-all"}, "matchingPrecedence": 10000,
                "distinguisherMethod": {"type": "ByUser"}},
                "status": {"conditions": [{"type": "Dangling", "status": "False"}]}})
        ),
        json!(["x", "catch-all", 10000, "ByUser", "5m", "False"])
    );
    assert_eq!(
        row(FLOW, "flowschemas", json!({"spec": {}})),
        json!(["x", "", 0, "<none>", "5m", "?"])
    );
    let level = |spec: Value| row(FLOW, "prioritylevelconfigurations", json!({"spec": spec}));
    assert_eq!(
        level(json!({"type": "Exempt"})),
        json!(["x", "Exempt", "<none>", "<none>", "<none>", "<none>", "5m"])
    );
    assert_eq!(
        level(
            json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 30, "limitResponse": {"type": "Queue",
            "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}}}})
        ),
        json!(["x", "Limited", 30, 64, 6, 50, "5m"])
    );
}

#[test]
fn aggregated_apis() {
    let service = |spec: Value, conditions: Value| {
        row(
            "apiregistration.k8s.io",
            "apiservices",
            json!({"spec": spec, "status": {"conditions": conditions}}),
        )
    };
    assert_eq!(
        service(
            json!({}),
            json!([{"type": "Available", "status": "True", "reason": "Local"}])
        ),
        json!(["x", "Local", "True", "5m"])
    );
    assert_eq!(
        service(
            json!({"service": {"namespace": "n", "name": "s"}}),
            json!([{"type": "Available", "status": "False", "reason": "MissingEndpoints"}])
        ),
        json!(["x", "n/s", "False (MissingEndpoints)", "5m"])
    );
    assert_eq!(service(json!({}), Value::Null)[2], "Unknown");
}
