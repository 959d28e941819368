//! Writes to a store: objects of several kinds, then changes of them in all four kinds of patch, whole, and deleted.
//! The parts of the input are separated by NUL; the first byte of each says what it is.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use metalsim_actors::kube::accept::MetaVersion;
use metalsim_actors::kube::resource::BUILT_IN;
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{
    DeleteOptions, Limits, Part, PatchKind, Settings, Store, Target, WriteOptions, Written,
};
use metalsim_actors::kube::table::{Include, Table};
use metalsim_actors::seed::Seed;
use serde_json::{Value, json};

/// Kinds with lists of every sort, and one that is open to any field.
const KINDS: [(&str, &str); 6] = [
    ("", "pods"),
    ("", "services"),
    ("", "configmaps"),
    ("apps", "deployments"),
    ("rbac.authorization.k8s.io", "roles"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
];
const LARGEST: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut store = Store::new(
        Settings {
            seed: Seed::root(1),
            limits: Limits {
                object_bytes: LARGEST,
                ..Limits::default()
            },
            service_network: Some((std::net::Ipv4Addr::new(10, 96, 0, 0), 24)),
        },
        Arc::default(),
    );
    let find = |group: &str, plural: &str| {
        BUILT_IN
            .iter()
            .find(|resource| resource.is(group, plural))
            .expect("it is built in")
    };
    let options = WriteOptions::by("one", chrono::DateTime::UNIX_EPOCH);
    let namespace = json!({"metadata": {"name": "n"}});
    store
        .create(Target::stored(find("", "namespaces"), None), namespace, options)
        .expect("a namespace");
    for part in data.split(|byte| *byte == 0) {
        let Some((order, text)) = part.split_first() else {
            continue;
        };
        let (kind, order) = (
            usize::from(*order) % KINDS.len(),
            usize::from(*order) / KINDS.len(),
        );
        let (group, plural) = KINDS[kind];
        let resource = find(group, plural);
        let target = Target::stored(resource, resource.namespaced.then_some("n"));
        let Ok(body) = serde_json::from_slice::<Value>(text) else {
            continue;
        };
        let patched = |store: &mut Store, kind: PatchKind, manager: &str| {
            let options = WriteOptions {
                manager: Some(manager),
                ..options
            };
            store.patch(target, "x", Part::Main, kind, &body, options)
        };
        let before = store.version();
        let written: Result<Option<Written>, Status> = match order {
            0..=5 => store.create(target, body.clone(), options).map(|_| None),
            6..=10 => store
                .update(target, "x", Part::Main, body.clone(), options)
                .map(Some),
            11..=15 => patched(&mut store, PatchKind::Json, "json").map(Some),
            16..=20 => patched(&mut store, PatchKind::Merge, "merge").map(Some),
            21..=25 => patched(&mut store, PatchKind::Strategic, "strategic").map(Some),
            26..=30 => patched(&mut store, PatchKind::Apply { force: true }, "forced").map(Some),
            31..=35 => patched(&mut store, PatchKind::Apply { force: false }, "applied").map(Some),
            36..=38 => store
                .patch(target, "x", Part::Status, PatchKind::Merge, &body, options)
                .map(Some),
            _ => DeleteOptions::from_value(&body)
                .and_then(|options| store.delete(target, "x", &options, chrono::DateTime::UNIX_EPOCH))
                .map(|_| None),
        };
        assert!(store.version() >= before);
        match written {
            Ok(Some(written)) => assert_eq!(written.object.name(), "x"),
            Ok(None) => {}
            Err(status) => {
                assert!(status.code >= 400, "{status:?}");
                assert_eq!(store.version(), before, "a refused write leaves no trace");
            }
        }
        let now = chrono::DateTime::UNIX_EPOCH;
        let table = Table::new(resource, target.version, MetaVersion::V1, Include::default(), now);
        for object in store.all(resource, None) {
            let mut row = Vec::new();
            table.write_one(object, &mut row);
            drop(serde_json::from_slice::<Value>(&row).expect("a table is JSON"));
        }
    }
});
