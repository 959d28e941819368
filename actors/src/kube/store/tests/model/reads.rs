//! Lists and watches, and what they must tell.

use super::*;

type Matches = fn(&Value) -> bool;

fn label<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.pointer("/metadata/labels")?.get(key)?.as_str()
}

/// Label selectors and what they mean.
const LABELS: [(&str, Matches); 7] = [
    ("", |_| true),
    ("a=1", |value| label(value, "a") == Some("1")),
    ("a!=1", |value| label(value, "a") != Some("1")),
    ("a in (1,3)", |value| matches!(label(value, "a"), Some("1" | "3"))),
    ("a notin (2),b", |value| {
        label(value, "a") != Some("2") && label(value, "b").is_some()
    }),
    ("!b", |value| label(value, "b").is_none()),
    ("b==1,a>1", |value| {
        label(value, "b") == Some("1") && matches!(label(value, "a"), Some("2" | "3"))
    }),
];

/// Field selectors and what they mean; the last for the kinds that have one of their own.
const FIELDS: [(&str, Matches); 5] = [
    ("", |_| true),
    ("metadata.name=a", |value| text(value, "/metadata/name") == "a"),
    ("metadata.name!=a", |value| text(value, "/metadata/name") != "a"),
    ("metadata.namespace=n1", |value| {
        text(value, "/metadata/namespace") == "n1"
    }),
    ("metadata.name=b,metadata.name!=c", |value| {
        text(value, "/metadata/name") == "b"
    }),
];

fn own_fields(kind: usize) -> (&'static str, Matches) {
    match kind {
        1 => ("type=Opaque", |value| text(value, "/type") == "Opaque"),
        PODS => ("spec.nodeName=a,status.phase!=Running", |value| {
            text(value, "/spec/nodeName") == "a" && text(value, "/status/phase") != "Running"
        }),
        5 => ("spec.unschedulable=false", |value| {
            value.pointer("/spec/unschedulable") != Some(&json!(true))
        }),
        6 => ("reason=R1", |value| text(value, "/reason") == "R1"),
        8 => ("regarding.name=a,reason!=R1", |value| {
            text(value, "/involvedObject/name") == "a" && text(value, "/reason") != "R1"
        }),
        9 => ("status.phase=Terminating", |value| {
            text(value, "/status/phase") == "Terminating"
        }),
        _ => FIELDS[1],
    }
}

/// What a list or a watch is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection {
    pub(super) kind: usize,
    namespace: Option<usize>,
    labels: usize,
    fields: usize,
}

/// Which version is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Latest,
    Any,
    /// So many versions back, for the later ones.
    Back(u64),
    ExactlyBack(u64),
    NotOlderThanBack(u64),
    Bare(u64),
    Exact(u64),
    Future,
}

pub(super) fn selection(kinds: std::ops::Range<usize>) -> impl Strategy<Value = Selection> {
    let kind = prop_oneof![2 => Just(CONFIG_MAPS), 3 => kinds];
    let namespace = prop_oneof![2 => Just(None), 2 => Just(Some(0)), 1 => Just(Some(1))];
    let labels = prop_oneof![1 => Just(0), 1 => 0..LABELS.len()];
    let fields = prop_oneof![2 => Just(0), 1 => 0..=FIELDS.len()];
    (kind, namespace, labels, fields).prop_map(|(kind, namespace, labels, fields)| Selection {
        kind,
        namespace,
        labels,
        fields,
    })
}

pub(super) fn at_version() -> impl Strategy<Value = At> {
    prop_oneof![
        3 => Just(At::Latest),
        1 => Just(At::Any),
        3 => (0..60_u64).prop_map(At::Back),
        3 => (0..60_u64).prop_map(At::ExactlyBack),
        1 => (0..60_u64).prop_map(At::NotOlderThanBack),
        1 => Just(At::Future),
    ]
}

impl At {
    /// The parameters, and the number asked for.
    fn parameters(self, world: &World) -> (String, Option<VersionMatch>, u64) {
        let version = world.store.version();
        let first = *world.states.first_key_value().unwrap().0;
        let back = |steps: u64| version.saturating_sub(steps).max(first);
        let (number, wanted) = match self {
            Self::Latest => return (String::new(), None, 0),
            Self::Any => return ("0".to_owned(), None, 0),
            Self::Back(steps) => (back(steps), None),
            Self::ExactlyBack(steps) => (back(steps), Some(VersionMatch::Exact)),
            Self::NotOlderThanBack(steps) => (back(steps), Some(VersionMatch::NotOlderThan)),
            Self::Bare(version) => (version, None),
            Self::Exact(version) => (version, Some(VersionMatch::Exact)),
            Self::Future => (version + 7, None),
        };
        (number.to_string(), wanted, number)
    }
}

impl Selection {
    fn field(self) -> (&'static str, Matches) {
        let (text, matches) = FIELDS
            .get(self.fields)
            .copied()
            .unwrap_or_else(|| own_fields(self.kind));
        if text.starts_with("metadata.namespace") && matches!(self.kind, 5 | 9) {
            // Cluster-scoped kinds do not know the field.
            return FIELDS[0];
        }
        (text, matches)
    }

    pub(super) fn namespace(self, resource: &Resource) -> Option<&'static str> {
        self.namespace
            .filter(|_| resource.namespaced)
            .map(|index| NAMESPACES[index])
    }

    pub(super) fn query(self, resource: &Resource) -> ListQuery<'static> {
        ListQuery {
            labels: LabelSelector::parse(LABELS[self.labels].0).unwrap(),
            fields: FieldSelector::parse(self.field().0, resource).unwrap(),
            ..ListQuery::default()
        }
    }

    fn selective(self) -> bool {
        !LABELS[self.labels].0.is_empty() || !self.field().0.is_empty()
    }

    fn takes(self, resource: &Resource, key: &Key, value: &Value) -> bool {
        key.0 == resource.home
            && self
                .namespace(resource)
                .is_none_or(|namespace| text(value, "/metadata/namespace") == namespace)
            && (LABELS[self.labels].1)(value)
            && (self.field().1)(value)
    }
}

/// What a reader knows: objects by key.
type Known = BTreeMap<Arc<str>, Arc<Value>>;

/// A list that was not read to its end.
#[derive(Debug)]
pub(super) struct OpenList {
    of: Selection,
    version: u64,
    token: String,
    limit: usize,
    /// What is still to come.
    rest: Vec<(Key, Arc<Value>)>,
}

/// A watch that is open.
#[derive(Debug)]
pub(super) struct OpenWatch {
    of: Selection,
    watcher: Watcher,
    /// Objects of the first batch, still to come.
    initial: Vec<(Key, Arc<Value>)>,
    closing: bool,
    /// All up to this version was told.
    cursor: u64,
    /// The version of the last event.
    told: u64,
    bookmarks: bool,
    known: Known,
}

impl World {
    /// The objects of a selection at a version, in order.
    pub(super) fn expected(&self, of: Selection, version: u64) -> Vec<(Key, Arc<Value>)> {
        let resource = &self.kinds[of.kind];
        self.states[&version]
            .iter()
            .filter(|(key, value)| of.takes(resource, key, value))
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect()
    }

    fn known(&self, of: Selection, version: u64) -> Known {
        self.expected(of, version)
            .into_iter()
            .map(|((_, key), value)| (key, value))
            .collect()
    }

    pub(super) fn list(&mut self, of: Selection, limit: usize, at: At) {
        let resource = Arc::clone(&self.kinds[of.kind]);
        let (asked, version_match, number) = at.parameters(self);
        let query = ListQuery {
            limit,
            resource_version: &asked,
            version_match,
            ..of.query(&resource)
        };
        let answer = self
            .store
            .list(Target::stored(&resource, of.namespace(&resource)), &query);
        let exact = number != 0
            && match version_match {
                Some(VersionMatch::Exact) => true,
                Some(VersionMatch::NotOlderThan) => false,
                // As it was before there was a match (kubernetes docs: "Semantics for list").
                None => limit > 0,
            };
        if number > self.store.version() {
            assert_eq!(answer.unwrap_err().code, 504, "the future is not known");
            return;
        }
        if exact && number < self.floor {
            assert_eq!(answer.unwrap_err().code, 410, "compacted versions are gone");
            return;
        }
        let version = if exact { number } else { self.store.version() };
        let limit = if asked == "0" { 0 } else { limit };
        let list = OpenList {
            of,
            version,
            token: String::new(),
            limit,
            rest: self.expected(of, version),
        };
        self.page(answer.expect("versions in the window are told"), list);
    }

    /// Checks a page, and keeps the list if there is more.
    fn page(&mut self, page: ListPage, mut list: OpenList) {
        assert_eq!(page.resource_version, list.version, "all pages have one version");
        let count = if list.limit == 0 {
            list.rest.len()
        } else {
            list.limit.min(list.rest.len())
        };
        let home = self.kinds[list.of.kind].home;
        let rest = list.rest.split_off(count);
        let found: Vec<Value> = page
            .items
            .iter()
            .map(|object| self.render(home, object))
            .collect();
        let expected: Vec<Value> = list.rest.iter().map(|(_, value)| (**value).clone()).collect();
        assert_eq!(found, expected, "lists are snapshots");
        assert_eq!(
            page.remaining,
            Some(rest.len() as u64).filter(|left| *left > 0 && !list.of.selective()),
            "the rest is counted where no selector hides it"
        );
        assert_eq!(
            page.continue_token.is_some(),
            !rest.is_empty(),
            "there is a token as long as there is more"
        );
        if let Some(token) = page.continue_token {
            list.token = token;
            list.rest = rest;
            self.lists.push(list);
        }
    }

    /// Reads the next page of an open list.
    pub(super) fn go_on(&mut self, which: usize) {
        if self.lists.is_empty() {
            return;
        }
        let mut list = self.lists.swap_remove(which % self.lists.len());
        let resource = Arc::clone(&self.kinds[list.of.kind]);
        let target = Target::stored(&resource, list.of.namespace(&resource));
        let ask = |store: &Store, token: &str| {
            let query = ListQuery {
                limit: list.limit,
                continue_token: token,
                ..list.of.query(&resource)
            };
            store.list(target, &query)
        };
        let answer = ask(&self.store, &list.token);
        if list.version >= self.floor {
            return self.page(answer.expect("versions in the window are told"), list);
        }
        let status = answer.unwrap_err();
        assert_eq!(status.code, 410, "compacted versions are gone");
        let token = status.resume.expect("who may not go on can go on otherwise");
        let page = ask(&self.store, &token).unwrap();
        // What comes after the last object that was read, as it is by now.
        let first = list.rest.first().unwrap().0.clone();
        let past: BTreeSet<Key> = self.states[&list.version]
            .range(..first)
            .filter(|(key, value)| list.of.takes(&resource, key, value))
            .map(|(key, _)| key.clone())
            .collect();
        let last = past.last().unwrap().clone();
        list.version = self.store.version();
        list.rest = self.expected(list.of, list.version);
        list.rest.retain(|(key, _)| *key > last);
        self.page(page, list);
    }

    pub(super) fn watch(&mut self, of: Selection, at: At, initial: Option<bool>, bookmarks: bool) {
        let resource = Arc::clone(&self.kinds[of.kind]);
        let (asked, _, number) = at.parameters(self);
        let ListQuery { labels, fields, .. } = of.query(&resource);
        let query = WatchQuery {
            labels,
            fields,
            resource_version: &asked,
            version_match: initial.map(|_| VersionMatch::NotOlderThan),
            send_initial_events: initial,
            allow_bookmarks: bookmarks,
            continue_token: "",
        };
        let answer = self
            .store
            .watch(Target::stored(&resource, of.namespace(&resource)), query);
        if number > self.store.version() {
            assert_eq!(answer.unwrap_err().code, 504, "the future is not known");
            return;
        }
        let all = initial.unwrap_or(number == 0);
        let cursor = if all || number == 0 {
            self.store.version()
        } else {
            number
        };
        if cursor < self.floor {
            assert_eq!(answer.unwrap_err().code, 410, "compacted versions are gone");
            return;
        }
        let present = self.expected(of, cursor);
        let (initial, known, closing) = if all {
            (present, Known::new(), initial == Some(true) && bookmarks)
        } else {
            (Vec::new(), self.known(of, cursor), false)
        };
        self.watches.push(OpenWatch {
            of,
            watcher: answer.expect("versions in the window are told"),
            initial,
            closing,
            cursor,
            told: cursor,
            bookmarks,
            known,
        });
    }

    /// The events of a selection after a version: what differs between neighbouring snapshots.
    fn events(&self, of: Selection, after: u64) -> Vec<(WatchType, u64, Arc<str>, Option<Value>)> {
        let resource = &self.kinds[of.kind];
        let mut found = Vec::new();
        for (version, state) in self.states.range(after + 1..) {
            let before = &self.states[&(version - 1)];
            let keys: BTreeSet<&Key> = before
                .keys()
                .chain(state.keys())
                .filter(|key| key.0 == resource.home)
                .collect();
            for key in keys {
                let (old, new) = (before.get(key), state.get(key));
                if old == new {
                    continue;
                }
                let seen = |value: Option<&Arc<Value>>| {
                    value.filter(|value| of.takes(resource, key, value)).cloned()
                };
                let (kind, value) = match (seen(old), seen(new)) {
                    (None, None) => continue,
                    (None, Some(new)) => (WatchType::Added, Some((*new).clone())),
                    (Some(_), Some(new)) => (WatchType::Modified, Some((*new).clone())),
                    // It left the selection: its last state in it, with the version of the change.
                    (Some(old), None) if new.is_some() => {
                        let mut last = (*old).clone();
                        last["metadata"]["resourceVersion"] = version.to_string().into();
                        (WatchType::Deleted, Some(last))
                    }
                    (Some(_), None) => (WatchType::Deleted, None),
                };
                found.push((kind, *version, Arc::clone(&key.1), value));
            }
        }
        found
    }

    pub(super) fn poll(&mut self, which: usize, most: usize) {
        if self.watches.is_empty() {
            return;
        }
        let index = which % self.watches.len();
        let mut watch = self.watches.swap_remove(index);
        let home = self.kinds[watch.of.kind].home;
        let answer = self.store.poll(&mut watch.watcher, most);
        let owed = watch.initial.len() + usize::from(watch.closing);
        if watch.cursor < self.floor && owed < most {
            assert_eq!(answer.unwrap_err().code, 410, "who lags behind is told");
            return;
        }
        let events = answer.expect("versions in the window are told");
        assert!(events.len() <= most);
        let full = events.len() == most;
        let mut events = events.into_iter();
        let first = watch.initial.len().min(most);
        for (key, value) in watch.initial.drain(..first) {
            let event = events.next().expect("no object is lost");
            let object = self.render(home, &event.object.unwrap());
            assert_eq!(
                (event.kind, &object),
                (WatchType::Added, &*value),
                "first comes what there is"
            );
            watch.known.insert(key.1, value);
        }
        if watch.closing && watch.initial.is_empty() && first < most {
            let event = events.next().expect("the first batch is closed");
            assert!(event.initial_events_end && event.kind == WatchType::Bookmark);
            assert_eq!(event.resource_version, watch.cursor);
            assert_eq!(
                watch.known,
                self.known(watch.of, watch.cursor),
                "a reflector equals the list"
            );
            watch.closing = false;
        }
        let mut expected = self.events(watch.of, watch.cursor).into_iter();
        for event in events {
            let (kind, version, key, value) = expected.next().expect("no event that did not happen");
            assert!(
                event.resource_version > watch.told,
                "events come in order, and once"
            );
            assert_eq!(
                (event.kind, event.resource_version),
                (kind, version),
                "no event is lost"
            );
            let object = event.object.unwrap();
            assert_eq!(object.resource_version, version);
            let found = self.render(home, &object);
            assert!(
                value.is_none_or(|value| value == found),
                "events show the state of their version"
            );
            let before = match kind {
                WatchType::Deleted => watch.known.remove(&key),
                _ => watch.known.insert(Arc::clone(&key), Arc::new(found)),
            };
            assert_eq!(
                before.is_some(),
                kind != WatchType::Added,
                "events fit what the watcher knew"
            );
            (watch.cursor, watch.told) = (version, version);
        }
        if !full {
            assert_eq!(expected.next(), None, "no event is lost");
            watch.cursor = self.store.version();
        }
        if watch.initial.is_empty() {
            assert_eq!(
                watch.known,
                self.known(watch.of, watch.cursor),
                "a reflector equals the list"
            );
        }
        if !full {
            let due = watch.bookmarks && watch.told < watch.cursor;
            let bookmark = watch.watcher.bookmark();
            assert_eq!(
                bookmark.map(|event| event.resource_version),
                due.then_some(watch.cursor)
            );
            watch.told = watch.cursor;
        }
        self.watches.push(watch);
    }
}
