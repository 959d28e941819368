//! Documents that were built, by what they were built from. Clusters with the same definitions share them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use serde_json::Value;
use sha2::{Digest as _, Sha512};

use super::Document;
use crate::kube::resource::{Resource, Version};

/// Bytes of all kept documents with custom resources; when they are more, all go.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// A table of hashes this small is never swept.
const SMALLEST_SWEEP: usize = 64;

/// A hash, as it is told to clients.
pub(super) fn hash(parts: &[&[u8]]) -> Arc<str> {
    use std::fmt::Write as _;
    let mut digest = Sha512::new();
    for part in parts {
        // The length keeps neighbours apart.
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let mut text = String::with_capacity(128);
    for byte in digest.finalize() {
        // Writing to a text cannot fail.
        let _written = write!(text, "{byte:02X}");
    }
    text.into()
}

#[derive(Default)]
struct Hashes {
    /// By address. The address is taken as long as the weak pointer is there.
    of_schemas: HashMap<usize, (Weak<Value>, Arc<str>)>,
    sweep_at: usize,
}

/// The hash of a schema, which many clusters share.
fn of_schema(schema: &Arc<Value>) -> Arc<str> {
    static HASHES: LazyLock<Mutex<Hashes>> = LazyLock::new(Mutex::default);
    let address = Arc::as_ptr(schema).addr();
    // A panic elsewhere cannot leave the table half changed, so a poisoned lock is as good as a sound one.
    let known = HASHES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .of_schemas
        .get(&address)
        .filter(|(of, _)| of.strong_count() > 0)
        .map(|(_, hash)| Arc::clone(hash));
    if let Some(hash) = known {
        return hash;
    }
    let hash = hash(&[schema.to_string().as_bytes()]);
    let mut hashes = HASHES.lock().unwrap_or_else(PoisonError::into_inner);
    if hashes.of_schemas.len() >= hashes.sweep_at {
        hashes.of_schemas.retain(|_, (of, _)| of.strong_count() > 0);
        hashes.of_schemas.shrink_to_fit();
        hashes.sweep_at = hashes.of_schemas.len().saturating_mul(2).max(SMALLEST_SWEEP);
    }
    let entry = (Arc::downgrade(schema), Arc::clone(&hash));
    hashes.of_schemas.insert(address, entry);
    hash
}

/// The hash of all that documents tell of a custom resource in one version.
pub(super) fn of_custom(resource: &Resource, version: &Version) -> Arc<str> {
    let schema = version.schema.as_ref().map(of_schema);
    let flags = [
        u8::from(resource.namespaced),
        u8::from(version.status),
        u8::from(resource.scale.is_some()),
    ];
    hash(&[
        resource.group.as_bytes(),
        version.name.as_bytes(),
        resource.kind.as_bytes(),
        resource.list_kind.as_bytes(),
        resource.plural.as_bytes(),
        &flags,
        schema.as_deref().unwrap_or("").as_bytes(),
    ])
}

#[derive(Default)]
struct Kept {
    documents: HashMap<Arc<str>, Arc<[u8]>>,
    bytes: usize,
}

/// The document with that hash; made if it is not kept.
pub(super) fn document(hash: Arc<str>, make: impl FnOnce() -> Vec<u8>) -> Document {
    static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);
    let known = KEPT
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .documents
        .get(&hash)
        .cloned();
    let body = known.unwrap_or_else(|| {
        let body: Arc<[u8]> = make().into();
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes.saturating_add(body.len()) > MOST_BYTES {
            *kept = Kept::default();
        }
        if body.len() <= MOST_BYTES
            && kept
                .documents
                .insert(Arc::clone(&hash), Arc::clone(&body))
                .is_none()
        {
            kept.bytes = kept.bytes.saturating_add(body.len());
        }
        body
    });
    Document { body, hash }
}
