//! Lines of requests to an API server: path, parameters, selectors, tokens of pages, and the `Accept` header.
//! The input is `path?query`, and after a new line the header.
#![no_main]

use std::sync::Arc;

use actix_web::http::Method;
use libfuzzer_sys::fuzz_target;
use metalsim::frontend::kube::query::Query;
use metalsim::frontend::kube::request::Route;
use metalsim_actors::kube::accept;
use metalsim_actors::kube::resource::BUILT_IN;
use metalsim_actors::kube::selector::{FieldSelector, LabelSelector};
use metalsim_actors::kube::store::{
    DeleteOptions, Limits, ListQuery, Settings, Store, Target, VersionMatch, WatchQuery, WriteOptions,
};
use metalsim_actors::seed::Seed;

fn store() -> Store {
    let mut store = Store::new(
        Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        },
        Arc::default(),
    );
    let namespaces = BUILT_IN
        .iter()
        .find(|resource| resource.is("", "namespaces"))
        .expect("namespaces are built in");
    for name in ["a", "b", "c"] {
        let body = serde_json::json!({"metadata": {"name": name, "labels": {"x": name, "n": "5"}}});
        store
            .create(
                Target::stored(namespaces, None),
                body,
                WriteOptions::by("f", chrono::DateTime::UNIX_EPOCH),
            )
            .expect("a namespace");
    }
    store
}

thread_local! {
    static STORE: Store = store();
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (line, header) = text.split_once('\n').unwrap_or((&text, ""));
    let (path, query) = line.split_once('?').unwrap_or((line, ""));
    let _ = (
        accept::objects(header),
        accept::discovery(header),
        accept::schemas(header, true),
    );
    if let Route::Resource(resource) = Route::of(path) {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ] {
            let _ = resource.action(&method, true);
        }
        assert!(path.ends_with(resource.rest) || resource.rest.is_empty());
    }
    let query = Query::parse(query);
    drop((
        query.dry_run("CreateOptions"),
        query.field_validation("CreateOptions"),
    ));
    drop((
        query.manager("CreateOptions", header),
        DeleteOptions::from_value(&query.delete_options()),
    ));
    let version_match = VersionMatch::parse(query.text("resourceVersionMatch")).unwrap_or_default();
    STORE.with(|store| {
        for (group, plural) in [
            ("", "namespaces"),
            ("", "pods"),
            ("", "events"),
            ("apps", "replicasets"),
        ] {
            let resource = BUILT_IN
                .iter()
                .find(|resource| resource.is(group, plural))
                .expect("it is built in");
            let (Ok(labels), Ok(fields)) = (
                LabelSelector::parse(query.text("labelSelector")),
                FieldSelector::parse(query.text("fieldSelector"), resource),
            ) else {
                continue;
            };
            let again = LabelSelector::parse(&labels.to_string()).expect("a selector as text is one");
            assert_eq!(again, labels);
            let list = ListQuery {
                labels: labels.clone(),
                fields: fields.clone(),
                limit: usize::try_from(query.number("limit").ok().flatten().unwrap_or(0)).unwrap_or(0),
                continue_token: query.text("continue"),
                resource_version: query.text("resourceVersion"),
                version_match,
                send_initial_events: query.maybe_flag("sendInitialEvents"),
            };
            let target = Target::stored(resource, None);
            if let Ok(page) = store.list(target, &list) {
                assert!(page.items.len() <= 3);
            }
            let watch = WatchQuery {
                labels,
                fields,
                resource_version: query.text("resourceVersion"),
                version_match,
                send_initial_events: query.maybe_flag("sendInitialEvents"),
                allow_bookmarks: query.flag("allowWatchBookmarks"),
                continue_token: query.text("continue"),
            };
            if let Ok(mut watcher) = store.watch(target, watch) {
                drop(store.poll(&mut watcher, 10));
            }
        }
    });
});
