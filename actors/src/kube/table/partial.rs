//! Objects without anything but their metadata: `PartialObjectMetadata` and its list (apimachinery: `pkg/apis/meta/v1/types.go`).

use serde_json::{Map, Value};

use crate::kube::accept::MetaVersion;
use crate::kube::object::Object;
use crate::kube::store::{ListPage, WatchEvent};

/// The kind.
pub const KIND: &str = "PartialObjectMetadata";

/// Group and version.
#[must_use]
pub const fn api_version(meta: MetaVersion) -> &'static str {
    match meta {
        MetaVersion::V1 => "meta.k8s.io/v1",
        MetaVersion::V1beta1 => "meta.k8s.io/v1beta1",
    }
}

fn write_type(kind: &str, meta: MetaVersion, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"kind\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"apiVersion\":\"");
    out.extend_from_slice(api_version(meta).as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
}

/// Appends the metadata of an object as an object of their own.
pub fn write(object: &Object, meta: MetaVersion, out: &mut Vec<u8>) {
    write_type(KIND, meta, out);
    object.write_metadata(out);
    out.push(b'}');
}

/// Appends a list of such objects.
pub fn write_list(page: &ListPage, meta: MetaVersion, out: &mut Vec<u8>) {
    write_type("PartialObjectMetadataList", meta, out);
    out.extend_from_slice(list_metadata(page).to_string().as_bytes());
    if page.items.is_empty() {
        // As the server has it: the list is made by appending.
        out.extend_from_slice(b",\"items\":null}");
        return;
    }
    out.extend_from_slice(b",\"items\":[");
    for (index, object) in page.items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(object, meta, out);
    }
    out.extend_from_slice(b"]}");
}

/// Appends what takes the place of the object of a watch event.
pub fn write_event(event: &WatchEvent, meta: MetaVersion, out: &mut Vec<u8>) {
    if let Some(object) = &event.object {
        write(object, meta, out);
        return;
    }
    write_type(KIND, meta, out);
    out.extend_from_slice(bookmark_metadata(event).to_string().as_bytes());
    out.push(b'}');
}

/// `metadata` of a bookmark.
pub(super) fn bookmark_metadata(event: &WatchEvent) -> Value {
    let mut metadata = Map::new();
    let version = event.resource_version.to_string();
    metadata.insert("resourceVersion".to_owned(), version.into());
    if event.initial_events_end {
        let annotations = serde_json::json!({"k8s.io/initial-events-end": "true"});
        metadata.insert("annotations".to_owned(), annotations);
    }
    Value::Object(metadata)
}

/// `metadata` of a list.
#[must_use]
pub fn list_metadata(page: &ListPage) -> Value {
    let mut metadata = Map::new();
    let version = page.resource_version.to_string();
    metadata.insert("resourceVersion".to_owned(), version.into());
    if let Some(token) = &page.continue_token {
        metadata.insert("continue".to_owned(), token.as_str().into());
    }
    if let Some(remaining) = page.remaining {
        metadata.insert("remainingItemCount".to_owned(), remaining.into());
    }
    Value::Object(metadata)
}
