//! Patches, and what they must not change.

use super::*;

#[test]
fn patches_and_what_they_must_not_change() {
    let mut store = store();
    let target = target("", "configmaps");
    let status = store
        .patch(target, "a", Part::Main, PatchKind::Merge, &json!({}), options())
        .unwrap_err();
    assert_eq!(status.code, 404);
    store.create(target, config_map("a", "1"), options()).unwrap();
    for (kind, patch, code) in [
        (PatchKind::Merge, json!({"metadata": {"name": "b"}}), 400),
        (PatchKind::Strategic, json!({"metadata": {"name": null}}), 400),
        (PatchKind::Merge, json!({"metadata": {"namespace": "b"}}), 400),
        (
            PatchKind::Merge,
            json!({"metadata": {"resourceVersion": "1"}}),
            409,
        ),
        (PatchKind::Merge, json!({"kind": "Secret"}), 422),
        (PatchKind::Merge, json!([]), 400),
        (
            PatchKind::Json,
            json!([{"op": "test", "path": "/data/k", "value": "2"}]),
            422,
        ),
        (PatchKind::Json, json!([{"op": "remove", "path": "/nope"}]), 422),
        (PatchKind::Json, json!([{"op": "bad", "path": "/nope"}]), 422),
        (PatchKind::Strategic, json!({"metadata": {"$patch": "what"}}), 400),
    ] {
        let status = store
            .patch(target, "a", Part::Main, kind, &patch, options())
            .unwrap_err();
        assert_eq!(status.code, code, "{patch}: {status}");
    }
    let patch = json!([{"op": "add", "path": "/data/new", "value": "x"}]);
    let object = store
        .patch(target, "a", Part::Main, PatchKind::Json, &patch, options())
        .unwrap()
        .object;
    assert_eq!(object.at(&["data", "new"]), Some(json!("x")));
}
