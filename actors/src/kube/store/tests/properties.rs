//! Random histories against what must always hold.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A random write.
#[derive(Clone, Debug)]
enum Op {
    Create(u8, u8),
    Update(u8, u8),
    Label(u8, bool),
    Delete(u8),
    Hold(u8, bool),
    Compact(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let name = 0..6_u8;
    prop_oneof![
        4 => (name.clone(), any::<u8>()).prop_map(|(name, value)| Op::Create(name, value)),
        3 => (name.clone(), 0..3_u8).prop_map(|(name, value)| Op::Update(name, value)),
        2 => (name.clone(), any::<bool>()).prop_map(|(name, on)| Op::Label(name, on)),
        3 => name.clone().prop_map(Op::Delete),
        1 => (name, any::<bool>()).prop_map(|(name, on)| Op::Hold(name, on)),
        1 => (0..10_u8).prop_map(Op::Compact),
    ]
}

fn run(store: &mut Store, op: &Op) {
    let target = target("", "configmaps");
    let name = |index: u8| format!("m{index}");
    // Refusals are part of the game.
    let _ = match op {
        Op::Create(index, value) => store
            .create(target, config_map(&name(*index), &value.to_string()), options())
            .map(drop),
        Op::Update(index, value) => {
            let patch = json!({"data": {"k": value.to_string()}});
            store
                .patch(
                    target,
                    &name(*index),
                    Part::Main,
                    PatchKind::Merge,
                    &patch,
                    options(),
                )
                .map(drop)
        }
        Op::Label(index, on) => {
            let patch = json!({"metadata": {"labels": {"on": if *on { json!("yes") } else { Value::Null }}}});
            store
                .patch(
                    target,
                    &name(*index),
                    Part::Main,
                    PatchKind::Merge,
                    &patch,
                    options(),
                )
                .map(drop)
        }
        Op::Delete(index) => store
            .delete(target, &name(*index), &DeleteOptions::default(), at(0))
            .map(drop),
        Op::Hold(index, on) => {
            let finalizers = if *on {
                json!(["example.com/hold"])
            } else {
                json!([])
            };
            let patch = json!({"metadata": {"finalizers": finalizers}});
            store
                .patch(
                    target,
                    &name(*index),
                    Part::Main,
                    PatchKind::Merge,
                    &patch,
                    options(),
                )
                .map(drop)
        }
        Op::Compact(back) => {
            store.compact(store.version().saturating_sub((*back).into()));
            Ok(())
        }
    };
}

type State = BTreeMap<String, Arc<Object>>;

fn state(store: &Store, labels: &str) -> State {
    let query = ListQuery {
        labels: LabelSelector::parse(labels).unwrap(),
        ..ListQuery::default()
    };
    let page = store.list(target("", "configmaps"), &query).unwrap();
    page.items
        .into_iter()
        .map(|object| (object.name().to_owned(), object))
        .collect()
}

proptest! {
    /// A list at any version plus the watch from there is the present list, with and without a selector; versions strictly rise; no
    /// event comes twice.
    #[test]
    fn watching_from_anywhere_gives_the_present(ops in prop::collection::vec(op(), 1..60), selector in prop_oneof![Just(""), Just("on=yes")]) {
        let mut store = store_with(Limits { window_events: 24, ..Limits::default() });
        let mut past: Vec<(u64, State)> = Vec::new();
        for op in &ops {
            let before = store.version();
            run(&mut store, op);
            prop_assert!(store.version() >= before && store.version() <= before + 1);
            past.push((store.version(), state(&store, selector)));
        }
        let present = state(&store, selector);
        for (version, mut told) in past {
            let text = version.to_string();
            let exact = ListQuery { resource_version: &text, version_match: Some(VersionMatch::Exact),
                labels: LabelSelector::parse(selector).unwrap(), ..ListQuery::default() };
            let query = WatchQuery { resource_version: &text, labels: LabelSelector::parse(selector).unwrap(), ..WatchQuery::default() };
            if version < store.oldest_version() {
                prop_assert!(store.watch(target("", "configmaps"), query).unwrap_err().is(Reason::Expired));
                prop_assert!(store.list(target("", "configmaps"), &exact).unwrap_err().is(Reason::Expired));
                continue;
            }
            let listed: State = store.list(target("", "configmaps"), &exact).unwrap().items
                .into_iter().map(|object| (object.name().to_owned(), object)).collect();
            prop_assert_eq!(&listed, &told);
            let mut watcher = store.watch(target("", "configmaps"), query).unwrap();
            let mut last = version;
            loop {
                let events = store.poll(&mut watcher, 3).unwrap();
                if events.is_empty() {
                    break;
                }
                for event in events {
                    prop_assert!(event.resource_version > last);
                    last = event.resource_version;
                    let object = event.object.unwrap();
                    prop_assert_eq!(object.resource_version, last);
                    let name = object.name().to_owned();
                    let known = match event.kind {
                        WatchType::Deleted => told.remove(&name),
                        _ => told.insert(name, object),
                    };
                    prop_assert_eq!(known.is_some(), event.kind != WatchType::Added);
                }
            }
            prop_assert_eq!(&told, &present);
        }
    }

    /// What is written out and read back is the same store, and goes on from the same version.
    #[test]
    fn a_store_survives_its_storage(ops in prop::collection::vec(op(), 1..40)) {
        let mut store = store();
        for op in &ops {
            run(&mut store, op);
        }
        let mut copy = bare(Limits::default());
        for (id, object) in store.everything() {
            let resource = BUILT_IN.iter().find(|resource| resource.id == id).unwrap();
            let value = object.to_value("v1", &resource.kind);
            copy.restore(resource, Object::from_stored(value, &resource.kind, &copy.interner).unwrap());
        }
        copy.resume_at(store.version());
        prop_assert_eq!(state(&store, ""), state(&copy, ""));
        prop_assert_eq!((store.version(), store.len()), (copy.version(), copy.len()));
        prop_assert_eq!(copy.oldest_version(), copy.version());
    }

    /// Pages put together are the list at the first page's version, whatever happens in between.
    #[test]
    fn pages_together_are_one_list(ops in prop::collection::vec(op(), 1..40), later in prop::collection::vec(op(), 0..6), limit in 1..4_usize) {
        let mut store = store();
        for op in &ops {
            run(&mut store, op);
        }
        let whole = store.list(target("", "configmaps"), &ListQuery::default()).unwrap();
        let mut page = store.list(target("", "configmaps"), &ListQuery { limit, ..ListQuery::default() }).unwrap();
        let mut items = page.items.clone();
        let mut writes = later.iter();
        while let Some(token) = page.continue_token {
            if let Some(op) = writes.next().filter(|op| !matches!(op, Op::Compact(_))) {
                run(&mut store, op);
            }
            page = store.list(target("", "configmaps"), &ListQuery { limit, continue_token: &token, ..ListQuery::default() }).unwrap();
            prop_assert_eq!(page.resource_version, whole.resource_version);
            items.extend(page.items.iter().cloned());
        }
        prop_assert_eq!(items, whole.items);
    }
}
