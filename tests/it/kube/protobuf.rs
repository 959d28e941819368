//! Bodies in protobuf, as typed Go clients send them for every built-in kind: the server keeps the same object as from JSON.
//!
//! The encoder is checked against another implementation's in the unit tests of `actors/src/kube/schema/protobuf`.

use metalsim_actors::kube::schema::protobuf::{MEDIA_TYPE, encode};
use serde_json::{Value, json};

use super::harness::{Plan, Running};
use super::raw::{Http, Reply};

fn bytes(body: &Value) -> Vec<u8> {
    let text = |key: &str| body[key].as_str().unwrap();
    encode(text("apiVersion"), text("kind"), body.as_object().unwrap()).unwrap()
}

async fn send(http: &Http, method: &str, path: &str, body: &Value) -> Reply {
    http.send(method, path, Some((MEDIA_TYPE, bytes(body)))).await
}

/// Where a kind lives, and an object of it that uses what differs between protobuf and JSON.
fn kinds() -> Vec<(&'static str, Value)> {
    let container = json!({"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}], "resources": {"requests": {"cpu": "250m"}},
        "livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 7}});
    let pod = json!({"containers": [container], "volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "e", "emptyDir": {}}]});
    let role = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]);
    let subjects = json!([{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}]);
    let refers = |kind: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "view"});
    let kind = |api_version: &str, kind: &str, rest: Value| {
        let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"labels": {"a": "b"}}});
        for (key, value) in rest.as_object().unwrap() {
            object[key] = value.clone();
        }
        object
    };
    let rbac = "rbac.authorization.k8s.io/v1";
    vec![
        (
            "/api/v1/namespaces/default/configmaps",
            kind(
                "v1",
                "ConfigMap",
                json!({"data": {"k": "v"}, "binaryData": {"b": "AAEC"}}),
            ),
        ),
        (
            "/api/v1/namespaces/default/secrets",
            kind("v1", "Secret", json!({"type": "Opaque", "data": {"k": "/w=="}})),
        ),
        ("/api/v1/namespaces", kind("v1", "Namespace", json!({}))),
        (
            "/api/v1/nodes",
            kind(
                "v1",
                "Node",
                json!({"spec": {"providerID": "p", "taints": [{"key": "t", "effect": "NoSchedule", "timeAdded": "2024-01-02T03:04:05Z"}]}}),
            ),
        ),
        (
            "/api/v1/namespaces/default/pods",
            kind("v1", "Pod", json!({"spec": pod})),
        ),
        (
            "/api/v1/namespaces/default/services",
            kind(
                "v1",
                "Service",
                json!({"spec": {"selector": {"a": "b"}, "clusterIP": "None",
                "ports": [{"name": "p", "port": 80, "targetPort": "web"}, {"name": "q", "port": 81, "targetPort": 8081}]}}),
            ),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
            kind(rbac, "Role", json!({"rules": role})),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
            kind(
                rbac,
                "RoleBinding",
                json!({"roleRef": refers("Role"), "subjects": subjects}),
            ),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            kind(rbac, "ClusterRole", json!({"rules": role})),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            kind(
                rbac,
                "ClusterRoleBinding",
                json!({"roleRef": refers("ClusterRole"), "subjects": subjects}),
            ),
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            kind(
                "apps/v1",
                "Deployment",
                json!({"spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}},
                "strategy": {"rollingUpdate": {"maxSurge": "30%", "maxUnavailable": 1}, "type": "RollingUpdate"},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}}}),
            ),
        ),
        (
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            kind(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                json!({"spec": {"maxReplicas": 3,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}}),
            ),
        ),
        (
            "/apis/coordination.k8s.io/v1/namespaces/default/leases",
            kind(
                "coordination.k8s.io/v1",
                "Lease",
                json!({"spec": {"holderIdentity": "h", "leaseDurationSeconds": 15,
                "renewTime": "2024-01-02T03:04:05.678901Z"}}),
            ),
        ),
        (
            "/api/v1/namespaces/default/events",
            kind(
                "v1",
                "Event",
                json!({"involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "R", "message": "m",
                "type": "Normal", "count": 2, "firstTimestamp": "2024-01-02T03:04:05Z", "lastTimestamp": "2024-01-02T03:04:06Z",
                "reportingComponent": "", "reportingInstance": "", "source": {"component": "c"}}),
            ),
        ),
    ]
}

/// What two objects that were made from the same body have in common.
fn common(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    for own in [
        "name",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
    ] {
        metadata.remove(own);
    }
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.remove("kubernetes.io/metadata.name");
    }
    object
}

#[actix_web::test]
async fn every_kind_that_typed_clients_send_is_read_as_its_json() {
    let running = Running::start(&Plan::default());
    let http = Http::new(&running);
    for (path, mut body) in kinds() {
        body["metadata"]["name"] = "from-json".into();
        let from_json = http.post(path, &body).await.must(201);
        body["metadata"]["name"] = "from-protobuf".into();
        let from_protobuf = send(&http, "POST", path, &body).await.must(201);
        assert_eq!(common(from_protobuf.clone()), common(from_json), "{path}");

        // A PUT of what was read, as typed clients update; a controller may have been faster.
        let one = format!("{path}/from-protobuf");
        let put = loop {
            let mut changed = http.get(&one).await.must(200);
            changed["metadata"]["annotations"] = json!({"changed": "yes"});
            let put = send(&http, "PUT", &one, &changed).await;
            if put.code != 409 {
                break put.must(200);
            }
        };
        assert_eq!(put["metadata"]["annotations"]["changed"], "yes", "{path}");

        let options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "another"}});
        send(&http, "DELETE", &format!("{path}/from-protobuf"), &options)
            .await
            .must(409);
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "gracePeriodSeconds": 0});
        let gone = send(&http, "DELETE", &format!("{path}/from-protobuf"), &options).await;
        assert_eq!(gone.code, 200, "{path}");
    }
}

#[actix_web::test]
async fn requests_that_are_no_objects_come_in_protobuf_too() {
    let running = Running::start(&Plan::default());
    let http = Http::new(&running);
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "default"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = send(&http, "POST", path, &review).await.must(201);
    assert_eq!(answer["status"]["allowed"], true);

    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": ["a"], "expirationSeconds": 3600}});
    let path = "/api/v1/namespaces/kube-system/serviceaccounts/administrator/token";
    let answer = send(&http, "POST", path, &request).await.must(201);
    assert!(
        answer["status"]["token"]
            .as_str()
            .is_some_and(|token| token.matches('.').count() == 2)
    );

    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}],
        "schedulerName": "nobody"}});
    send(&http, "POST", pods, &pod).await.must(201);
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    send(&http, "POST", &format!("{pods}/p/binding"), &binding)
        .await
        .must(201);
    assert_eq!(
        http.get(&format!("{pods}/p")).await.must(200)["spec"]["nodeName"],
        "n"
    );
    send(&http, "POST", &format!("{pods}/p/binding"), &binding)
        .await
        .must(409);

    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"},
        "deleteOptions": {"gracePeriodSeconds": 0}});
    let evicted = send(&http, "POST", &format!("{pods}/p/eviction"), &eviction).await;
    assert_eq!(evicted.code, 201);
    http.get(&format!("{pods}/p")).await.must(404);
}

#[actix_web::test]
async fn bodies_that_are_no_protobuf_are_refused() {
    let running = Running::start(&Plan::default());
    let http = Http::new(&running);
    let path = "/api/v1/namespaces/default/configmaps";
    let whole = bytes(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}),
    );
    for body in [
        Vec::new(),
        b"{}".to_vec(),
        b"k8s\0".to_vec(),
        whole[..whole.len() - 3].to_vec(),
        bytes(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})),
    ] {
        let refused = http.send("POST", path, Some((MEDIA_TYPE, body))).await.must(400);
        assert_eq!(refused["reason"], "BadRequest");
    }
    http.get(&format!("{path}/a")).await.must(404);
}
