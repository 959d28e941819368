//! Apply and the account of fields, through the store.

use super::*;

fn manager(name: &'static str, second: i64) -> WriteOptions<'static> {
    WriteOptions::by(name, at(second))
}

const APPLY: PatchKind = PatchKind::Apply { force: false };

fn config(replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "1"}}, "spec": deployment_spec(replicas)})
}

/// The fields of [`config`] but the replicas.
fn fields_of_config() -> Value {
    let container = json!({".": {}, "f:name": {}, "f:image": {}});
    json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:selector": {}, "f:template": {
        "f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": container}}}}})
}

fn entry(object: &Object, manager: &str) -> Value {
    let metadata = object.metadata();
    let entries = metadata
        .get("managedFields")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    entries
        .into_iter()
        .find(|entry| entry["manager"] == manager)
        .unwrap_or_default()
}

#[test]
fn an_apply_creates_and_keeps_account() {
    let mut store = store();
    let target = target("apps", "deployments");
    let written = store
        .patch(target, "d", Part::Main, APPLY, &config(2), manager("me", 1))
        .unwrap();
    assert!(written.created);
    let mut fields = fields_of_config();
    fields["f:spec"]["f:replicas"] = json!({});
    assert_eq!(
        entry(&written.object, "me"),
        json!({"manager": "me", "operation": "Apply", "apiVersion": "apps/v1", "time": at(1).to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    );
    assert_eq!(
        written.object.at(&["spec", "progressDeadlineSeconds"]),
        Some(json!(600)),
        "defaults belong to nobody"
    );
    let again = store
        .patch(target, "d", Part::Main, APPLY, &config(2), manager("me", 50))
        .unwrap();
    assert!(
        !again.created && Arc::ptr_eq(&again.object, &written.object),
        "the same again is no change"
    );
    let status = store
        .patch(target, "d", Part::Main, APPLY, &config(3), manager("other", 60))
        .unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (
            409,
            "Apply failed with 1 conflict: conflict with \"me\": .spec.replicas"
        )
    );
    let forced = store
        .patch(
            target,
            "d",
            Part::Main,
            PatchKind::Apply { force: true },
            &config(3),
            manager("other", 70),
        )
        .unwrap()
        .object;
    assert_eq!(
        (forced.generation, forced.at(&["spec", "replicas"])),
        (2, Some(json!(3)))
    );
    assert_eq!(entry(&forced, "me")["fieldsV1"], fields_of_config());
}

#[test]
fn writers_and_subresources_stand_in_the_account() {
    let mut store = store();
    let target = target("apps", "deployments");
    store.create(target, config(1), manager("creator", 1)).unwrap();
    let scaled = json!({"spec": {"replicas": 4}});
    store
        .patch(
            target,
            "d",
            Part::Main,
            PatchKind::Merge,
            &scaled,
            manager("scaler", 2),
        )
        .unwrap();
    let status = json!({"status": {"replicas": 4}});
    let object = store
        .patch(
            target,
            "d",
            Part::Status,
            PatchKind::Merge,
            &status,
            manager("controller", 3),
        )
        .unwrap()
        .object;
    assert_eq!(
        entry(&object, "scaler")["fieldsV1"],
        json!({"f:spec": {"f:replicas": {}}})
    );
    assert_eq!(entry(&object, "controller")["subresource"], json!("status"));
    assert_eq!(
        entry(&object, "controller")["fieldsV1"],
        json!({"f:status": {"f:replicas": {}}})
    );
    let created = entry(&object, "creator");
    assert_eq!(created["fieldsV1"]["f:spec"]["f:replicas"], Value::Null);
    assert_eq!(
        created["fieldsV1"]["f:spec"]["f:progressDeadlineSeconds"],
        json!({})
    );
    assert_eq!(created["fieldsV1"]["f:metadata"].get("f:name"), None);
    let conflict = store
        .patch(target, "d", Part::Main, APPLY, &config(1), manager("me", 4))
        .unwrap_err();
    assert!(
        conflict
            .message
            .contains("\"scaler\" using apps/v1: .spec.replicas"),
        "{conflict}"
    );
    // What is not in the account was never asked for: a client may drop it.
    let none = json!({"metadata": {"managedFields": [{}]}});
    let object = store
        .patch(target, "d", Part::Main, PatchKind::Merge, &none, manager("x", 5))
        .unwrap()
        .object;
    assert!(object.managed.is_empty());
}

#[test]
fn applies_that_are_refused() {
    let mut store = store();
    let target = target("apps", "deployments");
    let nameless = WriteOptions {
        manager: None,
        ..manager("", 0)
    };
    for (body, options, code) in [
        (config(1), nameless, 422),
        (json!({"metadata": {"name": "e"}}), manager("me", 0), 400),
        (
            json!({"metadata": {"name": "d", "uid": "u"}}),
            manager("me", 0),
            409,
        ),
        (
            json!({"metadata": {"name": "d", "managedFields": [{"manager": "x"}]}}),
            manager("me", 0),
            400,
        ),
        (
            json!({"apiVersion": "v1", "metadata": {"name": "d"}}),
            manager("me", 0),
            400,
        ),
        (
            json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}}),
            manager("me", 0),
            500,
        ),
        (json!([]), manager("me", 0), 400),
    ] {
        let status = store
            .patch(target, "d", Part::Main, APPLY, &body, options)
            .unwrap_err();
        assert_eq!(status.code, code, "{body}: {status}");
    }
    let status = store
        .patch(target, "d", Part::Status, APPLY, &config(1), manager("me", 0))
        .unwrap_err();
    assert_eq!(status.code, 404, "a subresource creates nothing");
    assert_eq!(store.len(), 1);
    store.create(target, config(1), manager("me", 0)).unwrap();
    let stale = json!({"metadata": {"name": "d", "resourceVersion": "1"}, "spec": {"replicas": 1}});
    assert_eq!(
        store
            .patch(target, "d", Part::Main, APPLY, &stale, manager("me", 0))
            .unwrap_err()
            .code,
        409
    );
}

#[test]
fn statuses_are_applied_apart() {
    let mut store = store();
    let target = target("apps", "deployments");
    let mut both = config(1);
    both["status"] = json!({"replicas": 5});
    let main = store
        .patch(target, "d", Part::Main, APPLY, &both, manager("me", 1))
        .unwrap()
        .object;
    assert_eq!(main.at(&["status", "replicas"]), None);
    assert_eq!(
        entry(&main, "me")["fieldsV1"].get("f:status"),
        None,
        "nobody owns what was not taken"
    );
    let status = store
        .patch(
            target,
            "d",
            Part::Status,
            APPLY,
            &json!({"metadata": {"name": "d"}, "status": {"replicas": 5}}),
            manager("me", 2),
        )
        .unwrap()
        .object;
    assert_eq!(status.at(&["status", "replicas"]), Some(json!(5)));
    assert_eq!(
        status.managed.len(),
        2,
        "main resource and status are two entries"
    );
}
