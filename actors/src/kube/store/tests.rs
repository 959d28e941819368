//! Tests of the store: tables of single rules.

mod applies;
mod lists;
mod model;
mod patches;
mod properties;

use chrono::TimeZone as _;
use serde_json::{Value, json};

use super::*;
use crate::kube::resource::BUILT_IN;
use crate::kube::selector::{FieldSelector, LabelSelector};
use crate::kube::status::Reason;

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000 + seconds, 0).unwrap()
}

fn options() -> WriteOptions<'static> {
    WriteOptions::by("test", at(0))
}

fn resource(group: &str, plural: &str) -> &'static Arc<Resource> {
    BUILT_IN
        .iter()
        .find(|resource| resource.is(group, plural))
        .unwrap()
}

fn target(group: &str, plural: &str) -> Target<'static> {
    let resource = resource(group, plural);
    Target::stored(resource, resource.namespaced.then_some("default"))
}

fn bare(limits: Limits) -> Store {
    let settings = Settings {
        seed: Seed::root(7),
        limits,
        service_network: Some((Ipv4Addr::new(10, 96, 0, 0), 12)),
    };
    Store::new(settings, Arc::default())
}

fn store_with(limits: Limits) -> Store {
    let mut store = bare(limits);
    store
        .create(
            target("", "namespaces"),
            json!({"metadata": {"name": "default"}}),
            options(),
        )
        .unwrap();
    store
}

fn store() -> Store {
    store_with(Limits::default())
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

fn deployment_spec(replicas: i64) -> Value {
    json!({"replicas": replicas, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}})
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}})
}

#[test]
fn create_fills_in_what_the_server_decides() {
    let mut store = store();
    let before = store.version();
    let deployment = json!({"metadata": {"name": "d", "uid": "mine", "generation": 9, "creationTimestamp": "2001-01-01T00:00:00Z",
        "deletionTimestamp": "2001-01-01T00:00:00Z"}, "spec": deployment_spec(1), "status": {"replicas": 3}});
    let object = store
        .create(target("apps", "deployments"), deployment, options())
        .unwrap();
    assert_eq!(object.resource_version, before + 1);
    assert_eq!(object.uid.get_version_num(), 4);
    assert_eq!(
        (object.generation, object.created, object.deletion),
        (1, crate::kube::object::Second::of(at(0)), None)
    );
    assert_eq!(
        object.at(&["status", "replicas"]),
        None,
        "status is not for the main resource"
    );
    let other = store
        .create(target("", "configmaps"), config_map("c", "1"), options())
        .unwrap();
    assert_ne!(other.uid, object.uid);
    assert_eq!(other.generation, 0);
}

#[test]
fn creations_that_are_refused() {
    let mut store = store();
    store
        .create(target("", "configmaps"), config_map("taken", "1"), options())
        .unwrap();
    let cases = [
        (
            json!({"metadata": {"name": "taken"}}),
            409,
            "configmaps \"taken\" already exists",
        ),
        (
            json!({"metadata": {}}),
            422,
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
        ),
        (
            json!({"metadata": {"name": "x", "resourceVersion": "5"}}),
            500,
            "resourceVersion should not be set on objects to be created",
        ),
        (
            json!({"metadata": {"name": "x", "namespace": "other"}}),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            json!({"metadata": {"name": "X"}}),
            422,
            "ConfigMap \"X\" is invalid: metadata.name: Invalid value: \"X\": a lowercase RFC 1123 subdomain must",
        ),
        (
            json!({"metadata": {"name": "x", "labels": {"a": "-"}}}),
            422,
            "metadata.labels: Invalid value: \"-\": a valid label must be",
        ),
        (
            json!({"metadata": {"name": "x", "labels": []}}),
            400,
            "cannot unmarshal array into Go struct field ObjectMeta.metadata.labels",
        ),
        (
            json!({"kind": "Secret", "metadata": {"name": "x"}}),
            400,
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (
            json!({"apiVersion": "v2", "metadata": {"name": "x"}}),
            400,
            "ConfigMap in version \"v2\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is registered for version \"v2\" in scheme",
        ),
        (
            json!({"metadata": {"name": "x", "ownerReferences": [{"name": "o", "kind": "K", "apiVersion": "v1"}]}}),
            422,
            "metadata.ownerReferences[0].uid: Required value: must not be empty",
        ),
        (
            json!({"metadata": {"name": "x", "finalizers": ["orphan", "foregroundDeletion"]}}),
            422,
            "cannot be both set",
        ),
        (
            json!([]),
            400,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" } (5b5d)",
        ),
    ];
    let version = store.version();
    for (body, code, words) in cases {
        let status = store
            .create(target("", "configmaps"), body.clone(), options())
            .unwrap_err();
        assert_eq!(status.code, code, "{body}: {status}");
        assert!(status.message.contains(words), "{body}: {status}");
    }
    let elsewhere = Target::stored(resource("", "configmaps"), Some("nowhere"));
    let status = store
        .create(elsewhere, config_map("x", "1"), options())
        .unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (404, "namespaces \"nowhere\" not found")
    );
    assert_eq!(store.version(), version, "a refusal leaves no trace");
}

#[test]
fn generated_names() {
    let mut store = store();
    let body = json!({"metadata": {"generateName": format!("{}-", "a".repeat(70))}});
    let one = store
        .create(target("", "configmaps"), body.clone(), options())
        .unwrap();
    let two = store.create(target("", "configmaps"), body, options()).unwrap();
    assert_eq!((one.name().len(), two.name().len()), (63, 63));
    assert_ne!(one.name(), two.name());
    assert!(
        one.name()
            .chars()
            .rev()
            .take(5)
            .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
    );
}

#[test]
fn a_dry_run_tells_all_and_does_nothing() {
    let mut store = store();
    let dry = WriteOptions {
        dry_run: true,
        ..options()
    };
    let version = store.version();
    let planned = store
        .create(target("", "configmaps"), config_map("a", "1"), dry)
        .unwrap();
    assert_eq!((store.version(), store.len()), (version, 1));
    let real = store
        .create(target("", "configmaps"), config_map("a", "1"), options())
        .unwrap();
    assert_eq!(planned.uid, real.uid);
    let deleted = store
        .delete(
            target("", "configmaps"),
            "a",
            &DeleteOptions {
                dry_run: true,
                ..DeleteOptions::now()
            },
            at(1),
        )
        .unwrap();
    assert!(
        deleted.gone
            && store
                .find(resource("", "configmaps"), Some("default"), "a")
                .is_some()
    );
}

#[test]
fn optimistic_concurrency() {
    let mut store = store();
    let target = target("", "configmaps");
    let first = store.create(target, config_map("a", "1"), options()).unwrap();
    let with_version = |value: &str, version: String| {
        let mut body = config_map("a", value);
        body["metadata"]["resourceVersion"] = version.into();
        body
    };
    let second = store
        .update(
            target,
            "a",
            Part::Main,
            with_version("2", first.resource_version.to_string()),
            options(),
        )
        .unwrap();
    assert!(second.object.resource_version > first.resource_version && !second.created);
    let stale = with_version("3", first.resource_version.to_string());
    let status = store
        .update(target, "a", Part::Main, stale, options())
        .unwrap_err();
    assert_eq!(status.code, 409);
    assert!(
        status
            .message
            .ends_with("please apply your changes to the latest version and try again")
    );
    let unconditional = store.update(target, "a", Part::Main, config_map("3", "x"), options());
    assert_eq!(unconditional.unwrap_err().code, 400, "another name");
    let unconditional = store
        .update(target, "a", Part::Main, config_map("a", "4"), options())
        .unwrap();
    assert_eq!(unconditional.object.at(&["data", "k"]), Some(json!("4")));
    let same = store
        .update(target, "a", Part::Main, config_map("a", "4"), options())
        .unwrap();
    assert!(
        Arc::ptr_eq(&same.object, &unconditional.object),
        "an update that changes nothing is none"
    );
    let mut wrong_uid = config_map("a", "5");
    wrong_uid["metadata"]["uid"] = "0".into();
    assert_eq!(
        store
            .update(target, "a", Part::Main, wrong_uid, options())
            .unwrap_err()
            .code,
        409
    );
    assert_eq!(
        store
            .update(target, "zz", Part::Main, config_map("zz", "5"), options())
            .unwrap_err()
            .code,
        404
    );
    // Leases: created by PUT, but then only with a version.
    let lease = self::target("coordination.k8s.io", "leases");
    let body = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}});
    assert!(
        store
            .update(lease, "l", Part::Main, body.clone(), options())
            .unwrap()
            .created
    );
    let status = store.update(lease, "l", Part::Main, body, options()).unwrap_err();
    assert!(
        status
            .message
            .ends_with("metadata.resourceVersion: Invalid value: 0: must be specified for an update"),
        "{status}"
    );
}

#[test]
fn spec_and_status_have_their_own_doors() {
    let mut store = store();
    let target = target("apps", "deployments");
    store
        .create(
            target,
            json!({"metadata": {"name": "d"}, "spec": deployment_spec(1)}),
            options(),
        )
        .unwrap();
    let body = json!({"metadata": {"name": "d", "labels": {"a": "b"}}, "spec": deployment_spec(2), "status": {"replicas": 7}});
    let main = store
        .update(target, "d", Part::Main, body.clone(), options())
        .unwrap()
        .object;
    assert_eq!(
        (main.at(&["spec", "replicas"]), main.at(&["status", "replicas"])),
        (Some(json!(2)), None)
    );
    assert_eq!(main.generation, 2);
    let mut body = body;
    body["spec"]["replicas"] = 9.into();
    let status = store
        .update(target, "d", Part::Status, body, options())
        .unwrap()
        .object;
    assert_eq!(
        (
            status.at(&["spec", "replicas"]),
            status.at(&["status", "replicas"])
        ),
        (Some(json!(2)), Some(json!(7)))
    );
    assert_eq!(status.generation, 2, "a status is no new generation");
    let labelled = json!({"metadata": {"labels": {"a": "c"}}});
    let labelled = store
        .patch(target, "d", Part::Main, PatchKind::Merge, &labelled, options())
        .unwrap()
        .object;
    assert_eq!((labelled.generation, labelled.label("a")), (2, Some("c")));
}

#[test]
fn nulls_of_a_merge_patch_are_filled_in_again() {
    let mut store = store();
    let target = target("", "services");
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let before = store.create(target, service, options()).unwrap();
    let patch = json!({"metadata": {"uid": null, "creationTimestamp": null, "managedFields": null},
        "spec": {"clusterIP": null, "clusterIPs": null, "type": null, "sessionAffinity": null, "ipFamilies": null}, "status": null});
    let after = store
        .patch(target, "s", Part::Main, PatchKind::Merge, &patch, options())
        .unwrap()
        .object;
    assert_eq!(after.sections, before.sections);
    assert_eq!(
        after.resource_version, before.resource_version,
        "so nothing changed"
    );
    assert_eq!(before.at(&["spec", "clusterIP"]), Some(json!("10.96.1.0")));
}

#[test]
fn finalizers_hold_an_object() {
    let mut store = store();
    let target = target("", "configmaps");
    let mut body = config_map("a", "1");
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    store.create(target, body, options()).unwrap();
    let deleted = store
        .delete(target, "a", &DeleteOptions::default(), at(5))
        .unwrap();
    assert!(!deleted.gone && deleted.object.is_terminating());
    let again = store
        .delete(target, "a", &DeleteOptions::default(), at(9))
        .unwrap();
    assert_eq!(again.object, deleted.object, "a second deletion changes nothing");
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}});
    let status = store
        .patch(target, "a", Part::Main, PatchKind::Merge, &more, options())
        .unwrap_err();
    assert!(
        status
            .message
            .contains("no new finalizers can be added if the object is being deleted"),
        "{status}"
    );
    let none = json!({"metadata": {"finalizers": null}});
    let written = store
        .patch(target, "a", Part::Main, PatchKind::Merge, &none, options())
        .unwrap();
    assert!(written.gone);
    assert_eq!(store.get(target, "a").unwrap_err().code, 404);
}

#[test]
fn preconditions_of_a_deletion() {
    let mut store = store();
    let target = target("", "configmaps");
    let object = store.create(target, config_map("a", "1"), options()).unwrap();
    for options in [
        DeleteOptions {
            uid: Some("other".to_owned()),
            ..DeleteOptions::default()
        },
        DeleteOptions {
            resource_version: Some("1".to_owned()),
            ..DeleteOptions::default()
        },
    ] {
        assert_eq!(store.delete(target, "a", &options, at(0)).unwrap_err().code, 409);
    }
    let right = DeleteOptions {
        uid: Some(object.uid_text()),
        ..DeleteOptions::default()
    };
    let deleted = store.delete(target, "a", &right, at(0)).unwrap();
    assert!(deleted.gone && deleted.object.resource_version > object.resource_version);
    let status = DeleteOptions::from_value(&json!({"propagationPolicy": "Sideways"})).unwrap_err();
    assert_eq!(status.code, 422);
    let both = json!({"propagationPolicy": "Orphan", "orphanDependents": true});
    assert_eq!(DeleteOptions::from_value(&both).unwrap_err().code, 422);
}

#[test]
fn pods_go_gracefully() {
    let mut store = store();
    let target = target("", "pods");
    let delete = |store: &mut Store, name: &str, grace: Option<i64>, time: i64| {
        let options = DeleteOptions {
            grace_period_seconds: grace,
            ..DeleteOptions::default()
        };
        store.delete(target, name, &options, at(time)).unwrap()
    };
    store.create(target, pod("a"), options()).unwrap();
    let marked = delete(&mut store, "a", None, 10);
    assert!(!marked.gone);
    let deletion = marked.object.deletion.unwrap();
    assert_eq!((deletion.at.0, deletion.grace), (at(40).timestamp(), Some(30)));
    assert_eq!(marked.object.generation, 2);
    let longer = delete(&mut store, "a", Some(60), 11);
    assert_eq!(
        longer.object.resource_version, marked.object.resource_version,
        "grace only shrinks"
    );
    let shorter = delete(&mut store, "a", Some(5), 12).object.deletion.unwrap();
    assert_eq!((shorter.at.0, shorter.grace), (at(15).timestamp(), Some(5)));
    assert!(
        delete(&mut store, "a", Some(0), 13).gone,
        "the kubelet's last word"
    );
    let mut unbound = pod("b");
    unbound["spec"]["nodeName"] = "".into();
    store.create(target, unbound, options()).unwrap();
    assert!(
        delete(&mut store, "b", None, 20).gone,
        "a pod without a node goes at once"
    );
}

#[test]
fn propagation_leaves_a_finalizer() {
    let mut store = store();
    let target = target("apps", "deployments");
    for (policy, finalizer) in [
        (Propagation::Foreground, "foregroundDeletion"),
        (Propagation::Orphan, "orphan"),
    ] {
        store
            .create(
                target,
                json!({"metadata": {"name": "d"}, "spec": deployment_spec(1)}),
                options(),
            )
            .unwrap();
        let options = DeleteOptions {
            propagation: Some(policy),
            ..DeleteOptions::default()
        };
        let held = store.delete(target, "d", &options, at(0)).unwrap();
        assert!(!held.gone && held.object.has_finalizer(finalizer));
        assert_eq!(held.object.deletion.unwrap().grace, Some(0));
        assert!(
            store
                .delete(
                    target,
                    "d",
                    &DeleteOptions {
                        propagation: Some(Propagation::Background),
                        ..options
                    },
                    at(1)
                )
                .unwrap()
                .gone
        );
    }
}

#[test]
fn namespaces_wait_for_their_content() {
    let mut store = store();
    let target = target("", "namespaces");
    store
        .create(target, json!({"metadata": {"name": "a"}}), options())
        .unwrap();
    let status = store
        .delete(target, "default", &DeleteOptions::default(), at(0))
        .unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (
            403,
            "namespaces \"default\" is forbidden: this namespace may not be deleted"
        )
    );
    let held = store
        .delete(target, "a", &DeleteOptions::default(), at(0))
        .unwrap();
    assert!(!held.gone);
    assert_eq!(held.object.at(&["status", "phase"]), Some(json!("Terminating")));
    let inside = Target::stored(resource("", "configmaps"), Some("a"));
    let status = store.create(inside, config_map("x", "1"), options()).unwrap_err();
    assert!(status.is(Reason::Forbidden));
    assert_eq!(status.details.unwrap().causes[0].kind, "NamespaceTerminating");
    let mut draft = held.object.draft();
    draft.body["spec"]["finalizers"] = json!([]);
    assert!(
        !store
            .replace(resource("", "namespaces"), Part::Main, draft.clone(), options())
            .unwrap()
            .gone,
        "only /finalize counts"
    );
    draft.meta.resource_version.clear();
    assert!(
        store
            .replace(resource("", "namespaces"), Part::Finalize, draft, options())
            .unwrap()
            .gone
    );
}
