//! One copy of what is the same in many clusters.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use super::object::{Head, ManagedEntry, SectionName};

/// Texts above this size are not looked up: large ones are rarely equal, and hashing them costs.
const LARGEST_TEXT: usize = 64 * 1024;
/// A pool this small is never swept.
const SMALLEST_SWEEP: usize = 1024;

/// A pool of shared texts, heads, accounts of fields and lists of names. One serves all clusters of a process; each [`super::store::Store`] holds an `Arc` of it.
///
/// Entries that nobody else holds are dropped when the pool has doubled since the last sweep, so it stays within
/// twice of what is in use.
#[derive(Debug, Default)]
pub struct Interner {
    texts: Mutex<Pool<str>>,
    heads: Mutex<Pool<Head>>,
    managed: Mutex<Pool<[ManagedEntry]>>,
    names: Mutex<Pool<[SectionName]>>,
}

#[derive(Debug)]
struct Pool<T: ?Sized> {
    entries: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self {
            entries: HashSet::new(),
            sweep_at: SMALLEST_SWEEP,
        }
    }
}

impl<T: ?Sized + Hash + Eq> Pool<T> {
    fn insert(&mut self, value: Arc<T>) -> Arc<T> {
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|entry| Arc::strong_count(entry) > 1);
            self.entries.shrink_to(self.entries.len().saturating_mul(2));
            self.sweep_at = self.entries.len().saturating_mul(2).max(SMALLEST_SWEEP);
        }
        self.entries.insert(Arc::clone(&value));
        value
    }
}

impl Interner {
    /// The shared copy of `text`.
    #[must_use]
    pub fn text(&self, text: &str) -> Arc<str> {
        if text.len() > LARGEST_TEXT {
            return Arc::from(text);
        }
        // A panic elsewhere cannot leave the set half changed, so a poisoned lock is as good as a sound one.
        let mut pool = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        match pool.entries.get(text) {
            Some(shared) => Arc::clone(shared),
            None => pool.insert(Arc::from(text)),
        }
    }

    /// The shared copy of `entries`, made of shared texts. What a component writes within one second is mostly the same.
    #[must_use]
    pub fn managed(&self, entries: &[ManagedEntry]) -> Arc<[ManagedEntry]> {
        let known = {
            let pool = self.managed.lock().unwrap_or_else(PoisonError::into_inner);
            pool.entries.get(entries).map(Arc::clone)
        };
        if let Some(shared) = known {
            return shared;
        }
        let made: Arc<[ManagedEntry]> = entries
            .iter()
            .map(|entry| ManagedEntry {
                manager: self.text(&entry.manager),
                operation: entry.operation,
                api_version: self.text(&entry.api_version),
                time: entry.time,
                subresource: self.text(&entry.subresource),
                fields: entry.fields.shared(self),
            })
            .collect();
        let mut pool = self.managed.lock().unwrap_or_else(PoisonError::into_inner);
        pool.insert(made)
    }

    /// The shared copy of `names`.
    #[must_use]
    pub fn names(&self, names: Arc<[SectionName]>) -> Arc<[SectionName]> {
        let mut pool = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        match pool.entries.get(&names) {
            Some(shared) => Arc::clone(shared),
            None => pool.insert(names),
        }
    }

    /// The shared copy of `head`.
    #[must_use]
    pub fn head(&self, mut head: Head) -> Arc<Head> {
        let mut pool = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = pool.entries.get(&head) {
            return Arc::clone(shared);
        }
        // Objects have names of their own, and live in few namespaces.
        head.namespace = self.text(&head.namespace);
        pool.insert(Arc::new(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_entries_go() {
        let interner = Interner::default();
        let kept = interner.text("kept");
        for index in 0..10 * SMALLEST_SWEEP {
            let _ = interner.text(&index.to_string());
        }
        assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
        let pool = interner.texts.lock().unwrap();
        assert!(pool.entries.len() <= SMALLEST_SWEEP, "{}", pool.entries.len());
    }
}
