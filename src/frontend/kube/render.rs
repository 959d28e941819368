//! Objects and lists in the form that the client asked for.

use std::sync::Arc;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use metalsim_actors::kube::accept::{Form, MetaVersion};
use metalsim_actors::kube::convert;
use metalsim_actors::kube::object::Object;
use metalsim_actors::kube::status::Status;
use metalsim_actors::kube::store::{ListPage, WatchEvent};
use metalsim_actors::kube::table::{Include, Table, partial, scale};
use serde_json::{Value, json};

use super::answer::{self, JSON};
use super::call::Place;
use super::query::Query;

const YAML: &str = "application/yaml";

/// How a client wants to see objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct View {
    form: Form,
    include: Include,
}

impl View {
    /// The form from the head of the request, what a table carries from its parameters.
    ///
    /// # Errors
    /// 400 for an unknown `includeObject`.
    pub(super) fn new(form: Form, query: &Query<'_>) -> Result<Self, Status> {
        let include = match form {
            Form::Table(_) => Include::parse(query.text("includeObject"))?,
            _ => Include::default(),
        };
        Ok(Self { form, include })
    }

    fn table<'a>(self, place: &'a Place, meta: MetaVersion, now: DateTime<Utc>) -> Table<'a> {
        Table::new(&place.resource, &place.version, meta, self.include, now)
    }
}

/// One object.
pub(super) fn object(
    view: View,
    place: &Place,
    object: &Arc<Object>,
    code: u16,
    now: DateTime<Utc>,
) -> HttpResponse {
    let mut text = Vec::with_capacity(2048);
    match view.form {
        Form::Json | Form::Yaml => {
            convert::write_json(&place.resource, &place.version, object, true, &mut text);
        }
        Form::Table(meta) => view.table(place, meta, now).write_one(object, &mut text),
        Form::Metadata(meta) => partial::write(object, meta, &mut text),
    }
    finish(view.form, code, text)
}

/// The scale of an object.
pub(super) fn scale(view: View, scale: &Value, now: DateTime<Utc>) -> HttpResponse {
    let shown = match view.form {
        Form::Json | Form::Yaml => return finish(view.form, 200, scale.to_string().into_bytes()),
        Form::Table(meta) => scale::table(scale, meta, view.include, now),
        Form::Metadata(meta) => json!({
            "kind": partial::KIND,
            "apiVersion": partial::api_version(meta),
            "metadata": scale.get("metadata"),
        }),
    };
    answer::json(200, &shown)
}

/// A list.
pub(super) fn page(view: View, place: &Place, page: &ListPage, now: DateTime<Utc>) -> HttpResponse {
    let mut text = Vec::with_capacity(page.items.len().saturating_mul(1024).saturating_add(256));
    match view.form {
        Form::Json | Form::Yaml => write_page(place, page, &mut text),
        Form::Table(meta) => view.table(place, meta, now).write_list(page, &mut text),
        Form::Metadata(meta) => partial::write_list(page, meta, &mut text),
    }
    finish(view.form, 200, text)
}

fn write_page(place: &Place, page: &ListPage, text: &mut Vec<u8>) {
    let resource = &place.resource;
    let head = json!({
        "kind": resource.list_kind,
        "apiVersion": resource.api_version(&place.version),
        "metadata": partial::list_metadata(page),
    });
    text.extend_from_slice(head.to_string().as_bytes());
    text.pop();
    text.extend_from_slice(b",\"items\":[");
    for (index, object) in page.items.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        // Unstructured clients need the kind of custom objects; typed ones know it.
        convert::write_json(resource, &place.version, object, resource.custom, text);
    }
    text.extend_from_slice(b"]}");
}

fn finish(form: Form, code: u16, text: Vec<u8>) -> HttpResponse {
    if form != Form::Yaml {
        return answer::body(code, JSON, text);
    }
    let yaml = serde_json::from_slice::<Value>(&text)
        .ok()
        .and_then(|value| serde_saphyr::to_string(&value).ok());
    match yaml {
        Some(yaml) => answer::body(code, YAML, yaml.into_bytes()),
        None => answer::status(&Status::internal("the object has no YAML form")),
    }
}

/// Appends an event of a watch: one JSON document and a new line.
pub(super) fn event(
    view: View,
    place: &Place,
    event: &WatchEvent,
    now: DateTime<Utc>,
    first: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(event.kind.word().as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    match (view.form, &event.object) {
        (Form::Table(meta), _) => view.table(place, meta, now).write_event(event, first, out),
        (Form::Metadata(meta), _) => partial::write_event(event, meta, out),
        (Form::Json | Form::Yaml, Some(object)) => {
            convert::write_json(&place.resource, &place.version, object, true, out);
        }
        (Form::Json | Form::Yaml, None) => bookmark(place, event, out),
    }
    out.extend_from_slice(b"}\n");
}

/// An empty object of the watched kind that only carries a version.
fn bookmark(place: &Place, event: &WatchEvent, out: &mut Vec<u8>) {
    let mut metadata = json!({"resourceVersion": event.resource_version.to_string()});
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
