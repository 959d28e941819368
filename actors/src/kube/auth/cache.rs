//! Parsed forms of the texts in roles and bindings, kept between requests.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use serde::de::DeserializeOwned;

/// A cache this small is never swept.
const SMALLEST_SWEEP: usize = 1024;

/// What texts say, by the place of the text in memory: a look-up costs no reading of it. One serves all clusters.
///
/// An entry holds its text weakly: that keeps the place, so that no other text can take it, but not the text alive.
/// Entries of texts that are gone go when the cache has doubled since the last sweep.
#[derive(Debug)]
pub(super) struct Cache<T> {
    entries: RwLock<Entries<T>>,
}

#[derive(Debug)]
struct Entries<T> {
    by_place: HashMap<usize, (Weak<str>, Arc<T>)>,
    sweep_at: usize,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            entries: RwLock::new(Entries {
                by_place: HashMap::new(),
                sweep_at: SMALLEST_SWEEP,
            }),
        }
    }
}

impl<T: DeserializeOwned + Default> Cache<T> {
    /// What the text says; the default if it says something else.
    pub(super) fn get(&self, text: &Arc<str>) -> Arc<T> {
        let place = text.as_ptr().addr();
        // A panic elsewhere cannot leave the map half changed, so a poisoned lock is as good as a sound one.
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, parsed)) = entries.by_place.get(&place) {
            return Arc::clone(parsed);
        }
        drop(entries);
        let parsed: Arc<T> = Arc::new(serde_json::from_str(text).unwrap_or_default());
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.by_place.len() >= entries.sweep_at {
            entries.by_place.retain(|_, (text, _)| text.strong_count() > 0);
            entries.sweep_at = entries.by_place.len().saturating_mul(2).max(SMALLEST_SWEEP);
        }
        entries
            .by_place
            .insert(place, (Arc::downgrade(text), Arc::clone(&parsed)));
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_parsed_once_and_forgotten_when_unused() {
        let cache = Cache::<Vec<u32>>::default();
        let kept: Arc<str> = Arc::from("[1,2]");
        let first = cache.get(&kept);
        assert_eq!(*first, [1, 2]);
        for index in 0..10 * SMALLEST_SWEEP {
            assert_eq!(
                *cache.get(&Arc::from(format!("[{index}]"))),
                [u32::try_from(index).unwrap()]
            );
        }
        assert!(Arc::ptr_eq(&first, &cache.get(&kept)));
        assert!(cache.entries.read().unwrap().by_place.len() <= SMALLEST_SWEEP);
        assert!(cache.get(&Arc::from("{}")).is_empty());
    }
}
