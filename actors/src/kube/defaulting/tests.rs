//! Tests of the defaults.

use std::net::Ipv4Addr;
use std::sync::Arc;

use chrono::{TimeZone as _, Utc};
use serde_json::json;

use super::*;
use crate::kube::object::Object;
use crate::kube::resource::BUILT_IN;
use crate::kube::store::{Limits, Settings, Target, WriteOptions};
use crate::seed::Seed;

fn options() -> WriteOptions<'static> {
    WriteOptions::by("t", Utc.timestamp_opt(1_700_000_000, 0).unwrap())
}

fn make(store: &mut Store, group: &str, plural: &str, body: Value) -> Result<Arc<Object>, Status> {
    let resource = BUILT_IN
        .iter()
        .find(|resource| resource.is(group, plural))
        .unwrap();
    store.create(
        Target::stored(resource, resource.namespaced.then_some("n")),
        body,
        options(),
    )
}

fn store() -> Store {
    let settings = Settings {
        seed: Seed::root(1),
        limits: Limits::default(),
        service_network: Some((Ipv4Addr::new(10, 0, 0, 0), 28)),
    };
    let mut store = Store::new(settings, Arc::default());
    make(&mut store, "", "namespaces", json!({"metadata": {"name": "n"}})).unwrap();
    store
}

/// The spec of a set of pods, with these fields.
fn set(mut spec: Value) -> Value {
    spec["selector"] = json!({"matchLabels": {"a": "b"}});
    spec["template"] =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    spec
}

fn job() -> Value {
    json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}})
}

#[test]
fn what_clients_see_filled_in() {
    let cases = [
        (
            "",
            "secrets",
            json!({"stringData": {"a": "hi"}, "data": {"b": "eA=="}}),
            vec![
                ("/data/a", json!("aGk=")),
                ("/data/b", json!("eA==")),
                ("/type", json!("Opaque")),
                ("/stringData", Value::Null),
            ],
        ),
        (
            "",
            "pods",
            json!({"spec": {"containers": [{"name": "c", "image": "r:5000/i", "ports": [{"containerPort": 1}], "resources": {"limits": {"cpu": "1"}}}]}}),
            vec![
                ("/spec/restartPolicy", json!("Always")),
                ("/spec/dnsPolicy", json!("ClusterFirst")),
                ("/spec/serviceAccountName", json!("default")),
                ("/spec/containers/0/imagePullPolicy", json!("Always")),
                ("/spec/containers/0/ports/0/protocol", json!("TCP")),
                ("/spec/containers/0/resources/requests/cpu", json!("1")),
                ("/status/phase", json!("Pending")),
                ("/status/qosClass", json!("Burstable")),
                ("/spec/tolerations/1/tolerationSeconds", json!(300)),
            ],
        ),
        (
            "apps",
            "deployments",
            json!({"spec": set(json!({}))}),
            vec![
                ("/spec/replicas", json!(1)),
                ("/spec/strategy/rollingUpdate/maxSurge", json!("25%")),
                ("/spec/progressDeadlineSeconds", json!(600)),
                ("/spec/revisionHistoryLimit", json!(10)),
                (
                    "/spec/template/spec/containers/0/imagePullPolicy",
                    json!("IfNotPresent"),
                ),
                ("/spec/template/spec/terminationGracePeriodSeconds", json!(30)),
                ("/spec/template/spec/serviceAccountName", Value::Null),
            ],
        ),
        (
            "apps",
            "deployments",
            json!({"spec": set(json!({"strategy": {"type": "Recreate"}}))}),
            vec![("/spec/strategy/rollingUpdate", Value::Null)],
        ),
        (
            "apps",
            "daemonsets",
            json!({"spec": set(json!({}))}),
            vec![
                ("/spec/updateStrategy/rollingUpdate/maxUnavailable", json!(1)),
                ("/status/numberReady", json!(0)),
            ],
        ),
        (
            "batch",
            "jobs",
            json!({"spec": job()}),
            vec![("/spec/completions", json!(1)), ("/spec/backoffLimit", json!(6))],
        ),
        (
            "rbac.authorization.k8s.io",
            "rolebindings",
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]}),
            vec![
                ("/roleRef/apiGroup", json!("rbac.authorization.k8s.io")),
                ("/subjects/0/apiGroup", json!("rbac.authorization.k8s.io")),
                ("/subjects/1/apiGroup", Value::Null),
            ],
        ),
    ];
    for (group, plural, mut body, expected) in cases {
        body["metadata"] = json!({"name": "x"});
        let mut store = store();
        let object = make(&mut store, group, plural, body).unwrap();
        let value = object.to_value("", "");
        for (pointer, wanted) in expected {
            assert_eq!(
                value.pointer(pointer).cloned().unwrap_or_default(),
                wanted,
                "{plural} {pointer}"
            );
        }
    }
}

#[test]
fn a_namespace_gets_its_label_and_finalizer() {
    let store = store();
    let namespace = store.look_up("", "namespaces", None, "n").unwrap();
    assert_eq!(namespace.label("kubernetes.io/metadata.name"), Some("n"));
    assert_eq!(namespace.at(&["spec", "finalizers"]), Some(json!(["kubernetes"])));
    assert_eq!(namespace.at(&["status", "phase"]), Some(json!("Active")));
}

#[test]
fn a_job_selects_its_own_pods() {
    let mut store = store();
    let job = make(
        &mut store,
        "batch",
        "jobs",
        json!({"metadata": {"name": "j"}, "spec": job()}),
    )
    .unwrap();
    assert_eq!(
        job.at(&[
            "spec",
            "selector",
            "matchLabels",
            "batch.kubernetes.io/controller-uid"
        ]),
        Some(job.uid_text().into())
    );
}

#[test]
fn addresses_and_ports_of_services() {
    let mut store = store();
    let service = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
    let one = make(
        &mut store,
        "",
        "services",
        service("a", json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80}]})),
    )
    .unwrap();
    assert_eq!(one.at(&["spec", "clusterIPs"]), Some(json!(["10.0.0.1"])));
    let taken = make(
        &mut store,
        "",
        "services",
        service("b", json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80}]})),
    )
    .unwrap_err();
    assert_eq!(taken.code, 422);
    assert!(
        taken.message.contains("provided IP is already allocated"),
        "{taken}"
    );
    let node = make(
        &mut store,
        "",
        "services",
        service("b", json!({"type": "NodePort", "ports": [{"port": 80}]})),
    )
    .unwrap();
    let spec = node.section("spec").unwrap();
    assert_eq!(
        (&spec["ports"][0]["nodePort"], &spec["ports"][0]["targetPort"]),
        (&json!(30_000), &json!(80))
    );
    let headless = make(
        &mut store,
        "",
        "services",
        service("c", json!({"clusterIP": "None"})),
    )
    .unwrap();
    assert_eq!(headless.at(&["spec", "clusterIP"]), Some(json!("None")));
    let external = make(
        &mut store,
        "",
        "services",
        service("d", json!({"type": "ExternalName", "externalName": "x.y"})),
    )
    .unwrap();
    assert_eq!(external.at(&["spec", "clusterIP"]), None);
    // A /28 has 14 addresses but the network's and the last one; two are in use.
    let mut made = 0;
    while made < 20
        && make(
            &mut store,
            "",
            "services",
            service(&format!("f{made}"), json!({"ports": [{"port": 80}]})),
        )
        .is_ok()
    {
        made += 1;
    }
    assert_eq!(made, 12);
}
