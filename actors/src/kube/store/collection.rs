//! The objects of one resource.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use crate::kube::object::Object;

/// The objects of a resource by their keys, `namespace/name` or `name`: the order of lists. What a key is made of stands in the
/// object, so none is stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Collection(BTreeSet<ByKey>);

impl Collection {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Arc<Object>> {
        self.0.get(&Key(key) as &dyn Keyed).map(|found| &found.0)
    }

    /// The object that stands where this one would.
    pub(super) fn twin(&self, object: &Object) -> Option<&Arc<Object>> {
        self.0.get(object as &dyn Keyed).map(|found| &found.0)
    }

    /// Puts an object in; that which stood in its place.
    pub(super) fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        self.0.replace(ByKey(object)).map(|before| before.0)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<Object>> {
        self.0.take(&Key(key) as &dyn Keyed).map(|before| before.0)
    }

    /// All objects in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.0.iter().map(|object| &object.0)
    }

    /// The objects in order whose keys are `start` or behind it.
    pub(super) fn from<'a>(&'a self, start: &str) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let start = Key(start);
        self.0
            .range::<dyn Keyed, _>((Bound::Included(&start as &dyn Keyed), Bound::Unbounded))
            .map(|object| &object.0)
    }
}

impl FromIterator<Arc<Object>> for Collection {
    fn from_iter<I: IntoIterator<Item = Arc<Object>>>(objects: I) -> Self {
        Self(objects.into_iter().map(ByKey).collect())
    }
}

/// What has a place in a collection.
trait Keyed {
    /// Namespace and name, which a slash joins to the key; without a namespace the name is the key.
    fn parts(&self) -> (&[u8], &[u8]);
}

/// A whole key, or the beginning of one.
struct Key<'a>(&'a str);

impl Keyed for Key<'_> {
    fn parts(&self) -> (&[u8], &[u8]) {
        (&[], self.0.as_bytes())
    }
}

impl Keyed for Object {
    fn parts(&self) -> (&[u8], &[u8]) {
        (self.head.namespace.as_bytes(), self.head.name.as_bytes())
    }
}

#[derive(Clone, Debug)]
struct ByKey(Arc<Object>);

impl<'a> Borrow<dyn Keyed + 'a> for ByKey {
    fn borrow(&self) -> &(dyn Keyed + 'a) {
        &*self.0
    }
}

impl PartialEq for dyn Keyed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Keyed + '_ {}

impl PartialOrd for dyn Keyed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Keyed + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.parts(), other.parts())
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByKey {}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.0.parts(), other.0.parts())
    }
}

/// Compares keys byte by byte, as etcd does, without joining their parts.
fn compare(one: (&[u8], &[u8]), other: (&[u8], &[u8])) -> Ordering {
    if one.0 == other.0 {
        return one.1.cmp(other.1);
    }
    match (one.0.is_empty(), other.0.is_empty()) {
        (false, true) => compare_whole(one, other.1),
        (true, false) => compare_whole(other, one.1).reverse(),
        _ => {
            let shared = one.0.len().min(other.0.len());
            let ((start, rest), (other_start, other_rest)) =
                (one.0.split_at(shared), other.0.split_at(shared));
            let next = |rest: &[u8]| rest.first().copied().unwrap_or(b'/');
            // A namespace holds no slash, so where the shorter one ends, they differ.
            start
                .cmp(other_start)
                .then_with(|| next(rest).cmp(&next(other_rest)))
        }
    }
}

fn compare_whole((namespace, name): (&[u8], &[u8]), key: &[u8]) -> Ordering {
    match key.split_at_checked(namespace.len()) {
        Some((start, rest)) => namespace.cmp(start).then_with(|| match rest.split_first() {
            Some((next, rest)) => b'/'.cmp(next).then_with(|| name.cmp(rest)),
            None => Ordering::Greater,
        }),
        // A namespace that begins with all of the key stands behind it, as any longer text does.
        None => namespace.cmp(key),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(namespace: &str, name: &str) -> String {
        if namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        }
    }

    proptest! {
        /// The order is that of the joined keys.
        #[test]
        fn parts_compare_as_the_whole_does(
            one in ("[a.-]{0,3}", "[a.-]{1,3}"),
            other in ("[a.-]{0,3}", "[a.-]{1,3}"),
            key in "[a./-]{0,5}",
        ) {
            let (first, second) = (joined(&one.0, &one.1), joined(&other.0, &other.1));
            let (a, b) = ((one.0.as_bytes(), one.1.as_bytes()), (other.0.as_bytes(), other.1.as_bytes()));
            prop_assert_eq!(compare(a, b), first.cmp(&second));
            prop_assert_eq!(compare(a, (&[], key.as_bytes())), first.cmp(&key));
            prop_assert_eq!(compare((&[], key.as_bytes()), a), key.cmp(&first));
        }
    }
}
