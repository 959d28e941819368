//! Lists and watches.

use super::*;

fn names(page: &ListPage) -> Vec<String> {
    page.items.iter().map(|object| object.name().to_owned()).collect()
}

#[test]
fn lists_and_their_versions() {
    let mut store = store_with(Limits {
        window_events: 8,
        ..Limits::default()
    });
    let target = target("", "configmaps");
    for name in ["a", "b", "c"] {
        store.create(target, config_map(name, name), options()).unwrap();
    }
    let then = store.version();
    store.delete(target, "b", &DeleteOptions::now(), at(1)).unwrap();
    store
        .update(target, "c", Part::Main, config_map("c", "new"), options())
        .unwrap();
    store.create(target, config_map("aa", "1"), options()).unwrap();
    let now = store.list(target, &ListQuery::default()).unwrap();
    assert_eq!(
        (names(&now), now.resource_version),
        (vec!["a".into(), "aa".into(), "c".into()], store.version())
    );
    let text = then.to_string();
    let exact = ListQuery {
        resource_version: &text,
        version_match: Some(VersionMatch::Exact),
        ..ListQuery::default()
    };
    let past = store.list(target, &exact).unwrap();
    assert_eq!(
        (names(&past), past.resource_version),
        (vec!["a".into(), "b".into(), "c".into()], then)
    );
    assert_eq!(past.items[2].at(&["data", "k"]), Some(json!("c")));
    for (query, code) in [
        (
            ListQuery {
                resource_version: "999",
                ..ListQuery::default()
            },
            504,
        ),
        (
            ListQuery {
                resource_version: "x",
                ..ListQuery::default()
            },
            400,
        ),
        (
            ListQuery {
                version_match: Some(VersionMatch::Exact),
                ..ListQuery::default()
            },
            422,
        ),
        (
            ListQuery {
                version_match: Some(VersionMatch::Exact),
                resource_version: "0",
                ..ListQuery::default()
            },
            422,
        ),
        (
            ListQuery {
                continue_token: "???",
                ..ListQuery::default()
            },
            400,
        ),
    ] {
        assert_eq!(store.list(target, &query).unwrap_err().code, code, "{query:?}");
    }
    store.compact(then + 1);
    assert_eq!(store.list(target, &exact).unwrap_err().code, 410);
}

#[test]
fn pages_show_one_state() {
    let mut store = store();
    let target = target("", "configmaps");
    for index in 0..7 {
        store
            .create(target, config_map(&format!("m{index}"), "1"), options())
            .unwrap();
    }
    let first = store
        .list(
            target,
            &ListQuery {
                limit: 3,
                ..ListQuery::default()
            },
        )
        .unwrap();
    assert_eq!((first.items.len(), first.remaining), (3, Some(4)));
    store.delete(target, "m5", &DeleteOptions::now(), at(0)).unwrap();
    store.create(target, config_map("m9", "1"), options()).unwrap();
    let token = first.continue_token.unwrap();
    let second = store
        .list(
            target,
            &ListQuery {
                limit: 10,
                continue_token: &token,
                ..ListQuery::default()
            },
        )
        .unwrap();
    assert_eq!(names(&second), ["m3", "m4", "m5", "m6"]);
    assert_eq!(
        (second.resource_version, second.continue_token),
        (first.resource_version, None)
    );
    store.compact(store.version());
    let expired = store
        .list(
            target,
            &ListQuery {
                continue_token: &token,
                ..ListQuery::default()
            },
        )
        .unwrap_err();
    assert!(expired.is(Reason::Expired));
    let resume = expired.resume.unwrap();
    let rest = store
        .list(
            target,
            &ListQuery {
                continue_token: &resume,
                ..ListQuery::default()
            },
        )
        .unwrap();
    assert_eq!(
        names(&rest),
        ["m3", "m4", "m6", "m9"],
        "from the same place, in the present state"
    );
}

#[test]
fn a_watch_tells_who_enters_and_leaves_the_selection() {
    let mut store = store();
    let target = target("", "configmaps");
    let mut labelled = config_map("a", "1");
    labelled["metadata"]["labels"] = json!({"on": "yes"});
    store.create(target, labelled.clone(), options()).unwrap();
    let query = || WatchQuery {
        labels: LabelSelector::parse("on=yes").unwrap(),
        ..WatchQuery::default()
    };
    let mut watcher = store.watch(target, query()).unwrap();
    store.create(target, config_map("b", "1"), options()).unwrap();
    store
        .update(target, "a", Part::Main, config_map("a", "1"), options())
        .unwrap();
    let left = store.version();
    store
        .update(target, "a", Part::Main, labelled, options())
        .unwrap();
    store.delete(target, "a", &DeleteOptions::now(), at(0)).unwrap();
    let events = store.poll(&mut watcher, 100).unwrap();
    let told: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        told,
        [
            WatchType::Added,
            WatchType::Deleted,
            WatchType::Added,
            WatchType::Deleted
        ]
    );
    let gone = events[1].object.as_ref().unwrap();
    assert_eq!((gone.label("on"), gone.resource_version), (Some("yes"), left));
    assert!(store.poll(&mut watcher, 100).unwrap().is_empty());
    assert!(watcher.bookmark().is_none(), "it did not ask for bookmarks");
}

#[test]
fn watch_lists_end_with_the_closing_bookmark() {
    let mut store = store();
    let target = target("", "configmaps");
    store.create(target, config_map("a", "1"), options()).unwrap();
    let query = WatchQuery {
        send_initial_events: Some(true),
        allow_bookmarks: true,
        version_match: Some(VersionMatch::NotOlderThan),
        ..WatchQuery::default()
    };
    let mut watcher = store.watch(target, query.clone()).unwrap();
    let events = store.poll(&mut watcher, 1).unwrap();
    assert_eq!(events.len(), 1);
    let events = store.poll(&mut watcher, 10).unwrap();
    assert!(events.len() == 1 && events[0].initial_events_end && events[0].kind == WatchType::Bookmark);
    assert_eq!(events[0].resource_version, store.version());
    assert!(watcher.bookmark().is_none(), "nothing new");
    store
        .create(
            Target::stored(resource("", "namespaces"), None),
            json!({"metadata": {"name": "z"}}),
            options(),
        )
        .unwrap();
    assert!(store.poll(&mut watcher, 10).unwrap().is_empty());
    assert_eq!(watcher.bookmark().unwrap().resource_version, store.version());
    let mut bad = query;
    bad.version_match = None;
    assert_eq!(store.watch(target, bad).unwrap_err().code, 422);
    let future = WatchQuery {
        resource_version: "9999",
        ..WatchQuery::default()
    };
    assert_eq!(store.watch(target, future).unwrap_err().code, 504);
}

#[test]
fn who_lags_behind_the_window_is_told_so() {
    let mut store = store_with(Limits {
        window_events: 4,
        ..Limits::default()
    });
    let target = target("", "configmaps");
    let text = store.version().to_string();
    let mut watcher = store
        .watch(
            target,
            WatchQuery {
                resource_version: &text,
                ..WatchQuery::default()
            },
        )
        .unwrap();
    for index in 0..6 {
        store
            .create(target, config_map(&format!("m{index}"), "1"), options())
            .unwrap();
    }
    let status = store.poll(&mut watcher, 10).unwrap_err();
    assert_eq!(
        (status.code, status.message),
        (
            410,
            format!("too old resource version: {text} ({})", store.oldest_version())
        )
    );
    let query = WatchQuery {
        resource_version: &text,
        ..WatchQuery::default()
    };
    assert!(store.watch(target, query).unwrap_err().is(Reason::Expired));
}

#[test]
fn limits_hold() {
    let mut store = store_with(Limits {
        objects: 2,
        object_bytes: 4096,
        ..Limits::default()
    });
    let target = target("", "configmaps");
    assert_eq!(
        store
            .create(target, config_map("a", &"x".repeat(5000)), options())
            .unwrap_err()
            .code,
        413
    );
    store.create(target, config_map("a", "1"), options()).unwrap();
    assert_eq!(
        store
            .create(target, config_map("b", "1"), options())
            .unwrap_err()
            .code,
        429
    );
    store.delete(target, "a", &DeleteOptions::now(), at(0)).unwrap();
    store.create(target, config_map("b", "1"), options()).unwrap();
}

#[test]
fn events_have_two_faces() {
    let mut store = store();
    let new = target("events.k8s.io", "events");
    let body = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p"}, "note": "hello",
        "eventTime": "2026-01-31T12:00:00.000000Z", "type": "Normal", "reason": "r", "action": "a", "reportingController": "c", "reportingInstance": "i"});
    let object = store.create(new, body, options()).unwrap();
    let old = store.get(target("", "events"), "e").unwrap();
    assert!(Arc::ptr_eq(old, &object));
    assert_eq!(old.at(&["involvedObject", "name"]), Some(json!("p")));
    let shown = crate::kube::convert::to_version(resource("events.k8s.io", "events"), "v1", &object);
    assert_eq!(
        (&shown["note"], &shown["apiVersion"]),
        (&json!("hello"), &json!("events.k8s.io/v1"))
    );
    let fields = FieldSelector::parse("regarding.name=p", resource("events.k8s.io", "events")).unwrap();
    assert_eq!(
        store
            .list(
                new,
                &ListQuery {
                    fields,
                    ..ListQuery::default()
                }
            )
            .unwrap()
            .items
            .len(),
        1
    );
}
