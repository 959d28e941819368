//! Objects and lists in the form that the client asked for.

use std::sync::Arc;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use metalsim_actors::kube::accept::Form;
use metalsim_actors::kube::convert;
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::store::{ListPage, WatchEvent};
use serde_json::json;

use super::answer::{self, JSON};
use super::call::Place;

/// One object.
pub(super) fn object(
    _form: Form,
    place: &Place,
    object: &Arc<Object>,
    code: u16,
    _now: DateTime<Utc>,
) -> HttpResponse {
    answer::body(
        code,
        JSON,
        answer::object_text(&place.resource, &place.version, object),
    )
}

/// A list.
pub(super) fn page(_form: Form, place: &Place, page: &ListPage, _now: DateTime<Utc>) -> HttpResponse {
    let resource = &place.resource;
    let mut metadata = json!({"resourceVersion": page.resource_version.to_string()});
    if let Some(token) = &page.continue_token {
        metadata["continue"] = token.as_str().into();
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let head = json!({
        "kind": resource.list_kind,
        "apiVersion": resource.api_version(&place.version),
        "metadata": metadata,
    });
    let mut text = head.to_string().into_bytes();
    text.pop();
    text.extend_from_slice(b",\"items\":[");
    for (index, object) in page.items.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        // Unstructured clients need the kind of custom objects; typed ones know it.
        convert::write_json(resource, &place.version, object, resource.custom, &mut text);
    }
    text.extend_from_slice(b"]}");
    answer::body(200, JSON, text)
}

/// Appends an event of a watch: one JSON document and a new line.
pub(super) fn event(
    _form: Form,
    place: &Place,
    event: &WatchEvent,
    _now: DateTime<Utc>,
    _first: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(event.kind.word().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    match &event.object {
        Some(object) => convert::write_json(&place.resource, &place.version, object, true, out),
        None => bookmark(place, event, out),
    }
    out.extend_from_slice(b"}\n");
}

/// An empty object of the watched kind that only carries a version.
fn bookmark(place: &Place, event: &WatchEvent, out: &mut Vec<u8>) {
    let mut metadata =
        json!({"resourceVersion": event.resource_version.to_string(), "creationTimestamp": null});
    if event.initial_events_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = json!({
        "kind": place.resource.kind,
        "apiVersion": place.resource.api_version(&place.version),
        "metadata": metadata,
    });
    out.extend_from_slice(object.to_string().as_bytes());
}
