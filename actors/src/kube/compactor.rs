//! When a cluster forgets its history: every five minutes what was history five minutes before, as kube-apiserver has etcd do
//! (kubernetes: `apiserver/pkg/storage/etcd3/compact.go`, `--etcd-compaction-interval`). So a cluster in which nothing happens
//! holds nothing but its objects.

use chrono::{DateTime, Duration, Utc};

use super::store::Store;

/// Time between two compactions. What happened is told for as long at least, and for twice as long at most.
const INTERVAL: Duration = Duration::minutes(5);

/// Up to which version the history is forgotten next, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compactor {
    mark: Option<(DateTime<Utc>, u64)>,
}

/// What a look of the compactor gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compaction {
    /// When to look again; `None` = not before the next write.
    pub next: Option<DateTime<Utc>>,
    /// The present version was marked. Watchers that missed nothing but have not been told of it need to move on until the next look,
    /// or they fall out of the history.
    pub marked: bool,
}

impl Compactor {
    /// Forgets what is due.
    pub fn look(&mut self, store: &mut Store, now: DateTime<Utc>) -> Compaction {
        let due = |at: DateTime<Utc>| at.checked_add_signed(INTERVAL).unwrap_or(at);
        if let Some((at, version)) = self.mark {
            if now < due(at) {
                return Compaction {
                    next: Some(due(at)),
                    marked: false,
                };
            }
            store.compact(version);
        }
        let marked = store.oldest_version() < store.version();
        self.mark = marked.then(|| (now, store.version()));
        Compaction {
            next: marked.then(|| due(now)),
            marked,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::kube::store::{Limits, Settings, Target, WriteOptions};
    use crate::seed::Seed;

    fn write(store: &mut Store, name: &str, now: DateTime<Utc>) -> u64 {
        let namespaces = store.registry().find("", "namespaces").cloned().unwrap();
        let by = WriteOptions::by("test", now);
        store
            .create(
                Target::stored(&namespaces, None),
                json!({"metadata": {"name": name}}),
                by,
            )
            .unwrap();
        store.version()
    }

    #[test]
    fn history_is_told_for_five_to_ten_minutes() {
        let settings = Settings {
            seed: Seed::root(1),
            limits: Limits::default(),
            service_network: None,
        };
        let mut store = Store::new(settings, Arc::default());
        let mut compactor = Compactor::default();
        let start = DateTime::UNIX_EPOCH;
        let at = |minutes| start + Duration::minutes(minutes);
        let nothing = Compaction {
            next: None,
            marked: false,
        };
        assert_eq!(compactor.look(&mut store, start), nothing);
        let first = write(&mut store, "a", start);
        let look = compactor.look(&mut store, start);
        assert_eq!((look.next, look.marked), (Some(at(5)), true));
        let second = write(&mut store, "b", at(1));
        let look = compactor.look(&mut store, at(1));
        assert_eq!((look.next, look.marked), (Some(at(5)), false));
        assert!(store.oldest_version() < first);
        let look = compactor.look(&mut store, at(5));
        assert_eq!((look.next, look.marked), (Some(at(10)), true));
        assert_eq!(store.oldest_version(), first);
        // Nothing else happens: nothing is left, and nothing is due.
        assert_eq!(compactor.look(&mut store, at(10)), nothing);
        assert_eq!(store.oldest_version(), second);
        assert_eq!(compactor.look(&mut store, at(60)), nothing);
        // Later it begins anew.
        write(&mut store, "c", at(61));
        assert_eq!(compactor.look(&mut store, at(61)).next, Some(at(66)));
    }
}
