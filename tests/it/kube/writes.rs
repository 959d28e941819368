//! Writes: who may create, what becomes of unknown fields, and the words for bodies that cannot be read.

use serde_json::{Value, json};

use super::harness::{Plan, Running};
use super::raw::{Http, Reply};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

fn start() -> (Running, Http) {
    let running = Running::start(&Plan::default());
    let http = Http::new(&running);
    (running, http)
}

/// A client of a service account that may do `verbs` with leases, maps, pods and bindings in `default`.
async fn limited(running: &Running, admin: &Http, verbs: &[&str]) -> Http {
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    admin
        .post(accounts, &json!({"metadata": {"name": "some"}}))
        .await
        .must(201);
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rules = json!([{"apiGroups": ["", "coordination.k8s.io"], "resources": ["leases", "configmaps", "pods", "bindings"], "verbs": verbs}]);
    admin
        .post(
            &format!("{rbac}/roles"),
            &json!({"metadata": {"name": "some"}, "rules": rules}),
        )
        .await
        .must(201);
    let binding = json!({"metadata": {"name": "some"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"},
        "subjects": [{"kind": "ServiceAccount", "name": "some", "namespace": "default"}]});
    admin
        .post(&format!("{rbac}/rolebindings"), &binding)
        .await
        .must(201);
    let asked = admin
        .post(&format!("{accounts}/some/token"), &json!({}))
        .await
        .must(201);
    let mut user = Http::new(running);
    user.set_token(asked["status"]["token"].as_str().unwrap());
    user
}

async fn apply(http: &Http, path: &str, body: &Value) -> Reply {
    let path = format!("{path}?fieldManager=me");
    let body = body.to_string().into_bytes();
    http.send("PATCH", &path, Some(("application/apply-patch+yaml", body)))
        .await
}

#[actix_web::test]
async fn what_creates_by_another_verb_needs_the_verb_create() {
    let (running, admin) = start();
    let user = limited(&running, &admin, &["update", "patch"]).await;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}});
    let one = format!("{LEASES}/l");
    let refused = user.put(&one, &lease).await.must(403);
    assert_eq!(
        refused["message"],
        "leases.coordination.k8s.io \"l\" is forbidden: User \"system:serviceaccount:default:some\" cannot create resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"default\""
    );
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let applied = format!("{MAPS}/m");
    assert_eq!(
        apply(&user, &applied, &map).await.must(403)["reason"],
        "Forbidden"
    );
    admin.get(&applied).await.must(404);
    // What is invalid is told before.
    let invalid =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"!": "1"}});
    apply(&user, &applied, &invalid).await.must(422);
    // What is there needs no more than before.
    let made = admin.post(LEASES, &lease).await.must(201);
    admin.post(MAPS, &map).await.must(201);
    user.put(&one, &made).await.must(200);
    apply(&user, &applied, &map).await.must(200);
    // Where an update creates nothing, nothing is there.
    user.put(&format!("{MAPS}/other"), &json!({"metadata": {"name": "other"}}))
        .await
        .must(404);
}

#[actix_web::test]
async fn those_who_may_create_do_so_by_put_and_by_apply() {
    let (running, admin) = start();
    let user = limited(&running, &admin, &["create", "update", "patch"]).await;
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}});
    user.put(&format!("{LEASES}/l"), &lease).await.must(201);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    apply(&user, &format!("{MAPS}/m"), &map).await.must(201);
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"schedulerName": "none",
        "containers": [{"name": "c", "image": "i"}]}})
}

#[actix_web::test]
async fn pods_are_bound_by_the_old_resource_too() {
    let (running, http) = start();
    let user = limited(&running, &http, &["create"]).await;
    http.post(PODS, &pod()).await.must(201);
    let bindings = "/api/v1/namespaces/default/bindings";
    let binding = |pod: &str| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": {"kind": "Node", "name": "n"}});
    let made = user.post(bindings, &binding("p")).await.must(201);
    assert_eq!(
        (&made["kind"], &made["status"]),
        (&json!("Status"), &json!("Success"))
    );
    let bound = http.get(&format!("{PODS}/p")).await.must(200);
    assert_eq!(bound["spec"]["nodeName"], "n");
    let again = user.post(bindings, &binding("p")).await.must(409);
    assert_eq!(
        again["message"],
        "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n\""
    );
    user.post(bindings, &binding("missing")).await.must(404);
    let mut elsewhere = binding("p");
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    user.post(bindings, &elsewhere).await.must(400);
    user.post("/api/v1/namespaces/kube-system/bindings", &binding("p"))
        .await
        .must(403);
    http.get(bindings).await.must(405);
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 0,
        "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

#[actix_web::test]
async fn unknown_fields_of_patches_are_told() {
    let (_running, http) = start();
    http.post(DEPLOYMENTS, &deployment()).await.must(201);
    let one = format!("{DEPLOYMENTS}/d");
    let json_patch = json!([
        {"op": "add", "path": "/spec/foo", "value": 1},
        {"op": "add", "path": "/spec/template/spec/containers/0/bar", "value": 1, "extra": true},
    ]);
    let merge = json!({"spec": {"foo": 1}});
    for (kind, patch, warnings) in [
        (
            "json",
            &json_patch,
            "299 - \"json patch unknown field \\\"[1].extra\\\"\"",
        ),
        ("merge", &merge, "299 - \"unknown field \\\"spec.foo\\\"\""),
        (
            "strategic-merge",
            &merge,
            "299 - \"unknown field \\\"spec.foo\\\"\"",
        ),
    ] {
        let warned = http.patch(kind, &one, patch).await;
        let object = warned.must(200);
        assert!(object["spec"]["foo"].is_null(), "{object}");
        let told = http
            .request("PATCH", &one)
            .header("content-type", format!("application/{kind}-patch+json"))
            .body(patch.to_string())
            .send()
            .await
            .unwrap();
        let told: Vec<&str> = told
            .headers()
            .get_all("warning")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(told[0], warnings);
        assert_eq!(told.len(), if kind == "json" { 3 } else { 1 }, "{told:?}");
        let quiet = http
            .patch(kind, &format!("{one}?fieldValidation=Ignore"), patch)
            .await;
        quiet.must(200);
        assert_eq!(quiet.headers.get("warning"), None);
        let strict = http
            .patch(kind, &format!("{one}?fieldValidation=Strict"), patch)
            .await
            .must(422);
        let message = strict["message"].as_str().unwrap();
        assert!(
            message.starts_with(" \"\" is invalid: patch: Invalid value: "),
            "{message}"
        );
        assert!(message.contains("strict decoding error: "), "{message}");
        assert!(message.contains("unknown field \"spec.foo\""), "{message}");
    }
    // A strategic merge is quoted as Go prints it.
    let strict = http
        .patch(
            "strategic-merge",
            &format!("{one}?fieldValidation=Strict"),
            &merge,
        )
        .await
        .must(422);
    assert_eq!(
        strict["message"],
        " \"\" is invalid: patch: Invalid value: \"map[spec:map[foo:1]]\": strict decoding error: unknown field \"spec.foo\""
    );
    // Fields that are there twice.
    let twice = br#"{"spec": {"replicas": 1, "replicas": 0}}"#.to_vec();
    let told = http
        .send("PATCH", &one, Some(("application/merge-patch+json", twice)))
        .await;
    told.must(200);
    assert_eq!(
        told.headers["warning"],
        "299 - \"duplicate field \\\"spec.replicas\\\"\""
    );
    // Of the scale, too.
    let scale = http
        .patch(
            "merge",
            &format!("{one}/scale"),
            &json!({"spec": {"replicaz": 3}}),
        )
        .await;
    scale.must(200);
    assert_eq!(
        scale.headers["warning"],
        "299 - \"unknown field \\\"spec.replicaz\\\"\""
    );
    http.patch(
        "merge",
        &format!("{one}/scale?fieldValidation=Strict"),
        &json!({"spec": {"replicaz": 3}}),
    )
    .await
    .must(422);
}

#[actix_web::test]
async fn an_apply_has_to_fit_the_schema() {
    let (_running, http) = start();
    let one = format!("{DEPLOYMENTS}/d");
    let mut config = deployment();
    config["metadata"]["namespace"] = "default".into();
    let head = "failed to create typed patch object (default/d; apps/v1, Kind=Deployment): ";
    config["spec"]["template"]["spec"]["containers"][0]["foo"] = 1.into();
    let refused = apply(&http, &one, &config).await.must(500);
    assert_eq!(
        refused["message"],
        format!("{head}.spec.template.spec.containers[name=\"c\"].foo: field not declared in schema")
    );
    config["spec"]["replicas"] = "two".into();
    let refused = apply(&http, &one, &config).await.must(500);
    assert_eq!(
        refused["message"],
        format!(
            "{head}errors:\n  .spec.replicas: expected numeric (int or float), got string\n  .spec.template.spec.containers[name=\"c\"].foo: field not declared in schema"
        )
    );
    http.get(&one).await.must(404);
}

#[actix_web::test]
async fn bodies_that_cannot_be_read_are_told_in_the_servers_words() {
    let (_running, http) = start();
    let unrecognised = "the object provided is unrecognized (must be of type ConfigMap): ";
    let json_error = "couldn't get version/kind; json parse error: ";
    let cases: [(&str, &[u8], String); 9] = [
        (
            "application/json",
            b"",
            format!("{unrecognised}{json_error}unexpected end of JSON input (<empty>)"),
        ),
        (
            "application/json",
            b"{\"kind\": ConfigMap, \"metadata\": {}}",
            format!("{unrecognised}{json_error}invalid character 'C' looking for beginning of value ({{\"kind\": ConfigMap, \"metadata\" ...)"),
        ),
        (
            "application/json",
            b"kind: ConfigMap",
            format!("{unrecognised}{json_error}invalid character 'k' looking for beginning of value (6b696e643a20436f6e6669674d6170)"),
        ),
        (
            "application/json",
            b"{\"kind\": 1}",
            format!("{unrecognised}{json_error}json: cannot unmarshal number into Go struct field .kind of type string ({{\"kind\": 1}})"),
        ),
        (
            "application/json",
            b"{\"kind\": \"Secret\", \"apiVersion\": \"v1\"}",
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion".to_owned(),
        ),
        (
            "application/json",
            b"{\"kind\": \"Zap\", \"apiVersion\": \"a/v2\"}",
            "Zap in version \"v2\" cannot be handled as a ConfigMap: no kind \"Zap\" is registered for version \"a/v2\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"".to_owned(),
        ),
        (
            "application/json",
            b"{\"data\": 1}",
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string".to_owned(),
        ),
        (
            "application/vnd.kubernetes.protobuf",
            b"{}",
            format!("{unrecognised}provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({{}})"),
        ),
        (
            "application/vnd.kubernetes.protobuf",
            b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret",
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion".to_owned(),
        ),
    ];
    for (content_type, body, message) in cases {
        let status = http
            .send("POST", MAPS, Some((content_type, body.to_vec())))
            .await
            .must(400);
        assert_eq!(
            (&status["reason"], &status["message"]),
            (&json!("BadRequest"), &json!(message))
        );
    }
    let status = http
        .send("POST", MAPS, Some(("application/yaml", b"a: [".to_vec())))
        .await
        .must(400);
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("{unrecognised}error converting YAML to JSON: yaml: ")),
        "{message}"
    );
    assert!(message.ends_with(" (613a205b)"), "{message}");
    // Patches.
    http.post(MAPS, &json!({"metadata": {"name": "m"}}))
        .await
        .must(201);
    let one = format!("{MAPS}/m");
    for (kind, body, message) in [
        ("merge", "{", "error decoding patch: unexpected end of JSON input"),
        ("json", "[1", "error decoding patch: unexpected end of JSON input"),
        (
            "json",
            "{}",
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            "json",
            "[{\"op\": 1}]",
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
        ),
    ] {
        let content_type = format!("application/{kind}-patch+json");
        let status = http
            .send("PATCH", &one, Some((&content_type, body.as_bytes().to_vec())))
            .await
            .must(400);
        assert_eq!(status["message"], message);
    }
}

#[actix_web::test]
async fn a_scale_has_a_table() {
    let (_running, http) = start();
    http.post(DEPLOYMENTS, &deployment()).await.must(201);
    let answer = http
        .request("GET", &format!("{DEPLOYMENTS}/d/scale"))
        .header(
            "accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        )
        .send()
        .await
        .unwrap();
    let table: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(table["kind"], "Table", "{table}");
    let names: Vec<&str> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Name", "Desired", "Available", "Age"]);
    assert_eq!(table["rows"][0]["cells"][0], "d");
}

#[actix_web::test]
async fn a_quota_holds() {
    let (_running, http) = start();
    let namespace = "/api/v1/namespaces/default";
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}});
    http.post(&format!("{namespace}/resourcequotas"), &quota)
        .await
        .must(201);
    http.post(PODS, &pod()).await.must(201);
    let mut other = pod();
    other["metadata"]["name"] = "other".into();
    let refused = http.post(PODS, &other).await.must(403);
    assert_eq!(
        refused["message"],
        "pods \"other\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
    );
}
