use std::sync::Arc;

use serde_json::{Value, json};

use super::kit::{now, object};
use super::*;
use crate::kube::resource::Registry;
use crate::kube::store::WatchType;

fn resource(group: &str, plural: &str) -> Arc<Resource> {
    Arc::clone(Registry::default().find(group, plural).unwrap())
}

fn page(items: Vec<Object>) -> ListPage {
    ListPage {
        items: items.into_iter().map(Arc::new).collect(),
        resource_version: 40,
        continue_token: None,
        remaining: None,
    }
}

fn pod() -> Object {
    object(json!({
        "metadata": {"name": "p", "namespace": "d", "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Succeeded"},
    }))
}

/// Writes with this table and reads the result.
fn written(
    resource: &Resource,
    include: Include,
    meta: MetaVersion,
    write: impl FnOnce(&Table<'_>, &mut Vec<u8>),
) -> Value {
    let mut out = Vec::new();
    write(&Table::new(resource, "v1", meta, include, now()), &mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_list() {
    let mut page = page(vec![pod(), pod()]);
    page.continue_token = Some("abc".to_owned());
    page.remaining = Some(5);
    let pods = resource("", "pods");
    let table = written(&pods, Include::Metadata, MetaVersion::V1, |table, out| {
        table.write_list(&page, out);
    });
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["apiVersion"], "meta.k8s.io/v1");
    assert_eq!(
        table["metadata"],
        json!({"resourceVersion": "40", "continue": "abc", "remainingItemCount": 5})
    );
    assert_eq!(table["columnDefinitions"].as_array().unwrap().len(), 9);
    let column = &table["columnDefinitions"][0];
    assert_eq!(
        [
            &column["name"],
            &column["type"],
            &column["format"],
            &column["priority"]
        ],
        [&json!("Name"), &json!("string"), &json!("name"), &json!(0)]
    );
    assert_eq!(table["columnDefinitions"][5]["priority"], 1);
    let row = &table["rows"][1];
    assert_eq!(
        row["cells"],
        json!([
            "p",
            "0/1",
            "Succeeded",
            "0",
            "5m",
            "<none>",
            "<none>",
            "<none>",
            "<none>"
        ])
    );
    assert_eq!(
        row["conditions"],
        json!([{"type": "Completed", "status": "True", "reason": "Succeeded",
            "message": "The pod has completed successfully."}])
    );
    assert_eq!(
        row["object"],
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": pod().metadata()})
    );
}

#[test]
fn what_rows_carry() {
    let pods = resource("", "pods");
    let one = |include, meta| written(&pods, include, meta, |table, out| table.write_one(&pod(), out));
    let table = one(Include::None, MetaVersion::V1);
    assert_eq!(table["metadata"], json!({"resourceVersion": "7"}));
    assert_eq!(table["rows"][0].get("object"), Some(&Value::Null));
    let table = one(Include::Object, MetaVersion::V1);
    assert_eq!(table["rows"][0]["object"], pod().to_value("v1", "Pod"));
    let table = one(Include::Metadata, MetaVersion::V1beta1);
    assert_eq!(table["apiVersion"], "meta.k8s.io/v1beta1");
    assert_eq!(table["rows"][0]["object"]["apiVersion"], "meta.k8s.io/v1beta1");

    assert_eq!(Include::parse(""), Ok(Include::Metadata));
    assert_eq!(Include::parse("Object"), Ok(Include::Object));
    let refused = Include::parse("All").unwrap_err();
    assert_eq!(refused.code, 400);
    assert_eq!(
        refused.message,
        "Unable to convert to Table as requested: includeObject: Invalid value: \"All\": must be 'Metadata', 'Object', 'None', or empty"
    );
}

#[test]
fn events_have_columns_once() {
    let pods = resource("", "pods");
    let event = |object: Option<Object>, end: bool| WatchEvent {
        kind: if object.is_some() {
            WatchType::Added
        } else {
            WatchType::Bookmark
        },
        object: object.map(Arc::new),
        resource_version: 41,
        initial_events_end: end,
    };
    let write = |event: &WatchEvent, include, first| {
        written(&pods, include, MetaVersion::V1, |table, out| {
            table.write_event(event, first, out);
        })
    };
    let added = event(Some(pod()), false);
    assert!(write(&added, Include::Metadata, true)["columnDefinitions"].is_array());
    let later = write(&added, Include::Metadata, false);
    assert_eq!(later.get("columnDefinitions"), Some(&Value::Null));
    assert_eq!(later["metadata"]["resourceVersion"], "7");

    let bookmark = write(&event(None, false), Include::None, false);
    assert_eq!(bookmark["metadata"]["resourceVersion"], "41");
    assert_eq!(
        bookmark["rows"],
        json!([{"cells": ["", "0/0", "", "0", "<unknown>", "<none>", "<none>", "<none>", "<none>"], "object": null}])
    );
    let end = write(&event(None, true), Include::None, false);
    assert_eq!(
        end["rows"][0]["object"]["metadata"],
        json!({"resourceVersion": "41", "annotations": {"k8s.io/initial-events-end": "true"}})
    );
}

#[test]
fn kinds_without_a_printer() {
    let roles = resource("rbac.authorization.k8s.io", "clusterroles");
    let role = object(json!({"metadata": {"name": "admin"}, "rules": []}));
    let list = |page: &ListPage| {
        written(&roles, Include::None, MetaVersion::V1, |table, out| {
            table.write_list(page, out);
        })
    };
    let table = list(&page(vec![role]));
    assert_eq!(table["columnDefinitions"][1]["name"], "Created At");
    assert_eq!(table["columnDefinitions"][1]["type"], "date");
    assert_eq!(
        table["rows"][0]["cells"],
        json!(["admin", "2026-01-01T00:00:00Z"])
    );
    assert_eq!(list(&page(vec![])).get("rows"), Some(&Value::Null));
}

#[test]
fn metadata_alone() {
    let mut out = Vec::new();
    partial::write_list(&page(vec![pod()]), MetaVersion::V1, &mut out);
    let list: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["metadata"], json!({"resourceVersion": "40"}));
    assert_eq!(
        list["items"],
        json!([{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": pod().metadata()}])
    );
}

#[test]
fn every_built_in_kind_has_columns_for_its_cells() {
    let empty = empty();
    for resource in crate::kube::resource::BUILT_IN.iter() {
        let printer = Printer::of(resource, "v1");
        let cells = printer.cells(&empty, now()).len();
        // The server's row of an IPAddress has an age without a column.
        let extra = usize::from(resource.plural == "ipaddresses");
        assert_eq!(cells, printer.columns().len() + extra, "{resource}");
    }
}

#[test]
fn custom_resources_have_the_columns_of_their_version() {
    let definition = object(json!({
        "metadata": {"name": "hosts.example.com"},
        "spec": {
            "group": "example.com", "scope": "Cluster", "names": {"plural": "hosts", "kind": "Host"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "additionalPrinterColumns": [
                    {"name": "Version", "type": "string", "jsonPath": ".apiVersion"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ]},
                {"name": "v1alpha1", "served": true, "storage": false},
            ],
        },
    }));
    let names = json!({"plural": "hosts", "kind": "Host"});
    let hosts = crate::kube::crd::resource(&definition, &names).unwrap();
    let host = object(json!({"metadata": {"name": "h"}}));
    let columns = |version: &str| -> Vec<String> {
        let printer = Printer::of(&hosts, version);
        printer
            .columns()
            .iter()
            .map(|column| column.name.to_owned())
            .collect()
    };
    assert_eq!(columns("v1"), ["Name", "Version", "Age"]);
    assert_eq!(columns("v1alpha1"), ["Name", "Age"]);
    let printer = Printer::of(&hosts, "v1");
    assert_eq!(
        json!(printer.cells(&host, now())),
        json!(["h", "example.com/v1", "5m"])
    );
    assert_eq!(printer.conditions(&host), None);
    let table = written(&hosts, Include::None, MetaVersion::V1, |table, out| {
        table.write_list(&page(vec![]), out);
    });
    assert_eq!(table["rows"], json!([]));
    let bookmark = WatchEvent {
        kind: WatchType::Bookmark,
        object: None,
        resource_version: 9,
        initial_events_end: false,
    };
    let table = written(&hosts, Include::Metadata, MetaVersion::V1, |table, out| {
        table.write_event(&bookmark, false, out);
    });
    assert_eq!(table["rows"][0]["cells"], json!(["", null, null]));
}
