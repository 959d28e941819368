//! Objects as rows of a table: what `kubectl get` shows (`Table` of `meta.k8s.io`; apimachinery: `pkg/apis/meta/v1/types.go`).
//!
//! [`Printer`] knows the columns and cells of a kind, [`Table`] writes answers and events of watches. [`partial`] writes objects
//! without anything but their metadata.

mod access;
pub mod age;
mod amount;
mod autoscaling;
mod built_in;
mod cell;
mod cluster;
mod column;
mod custom;
mod json_path;
#[cfg(test)]
mod kit;
mod nodes;
pub mod partial;
mod pods;
pub mod scale;
mod services;
mod storage;
#[cfg(test)]
mod tests;
mod workloads;

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::accept::MetaVersion;
use super::convert;
use super::object::{Object, Second, Sections};
use super::resource::Resource;
use super::status::{Status, quote};
use super::store::{ListPage, WatchEvent};
use built_in::{Kind, Quirk, Row};

pub use column::ColumnDefinition;
pub use custom::CustomColumns;

/// How much of the objects the rows of a table carry: `includeObject`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Include {
    /// Nothing.
    None,
    /// Their metadata.
    #[default]
    Metadata,
    /// All.
    Object,
}

impl Include {
    /// Reads the parameter; empty = the default.
    ///
    /// # Errors
    /// 400 for another word (apimachinery: `pkg/apis/meta/v1/validation/validation.go`, `ValidateTableOptions`).
    pub fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "None" => Ok(Self::None),
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            other => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {}: must be 'Metadata', 'Object', 'None', or empty",
                quote(other)
            ))),
        }
    }
}

/// What makes rows of the objects of one resource, shown in one version.
#[derive(Clone)]
pub struct Printer<'a> {
    resource: &'a Resource,
    version: &'a str,
    cells: Cells<'a>,
}

#[derive(Clone, Copy)]
enum Cells<'a> {
    BuiltIn(&'static Kind),
    Custom(&'a CustomColumns),
}

impl<'a> Printer<'a> {
    /// The printer of a resource in a version.
    #[must_use]
    pub fn of(resource: &'a Resource, version: &'a str) -> Self {
        let custom = resource
            .version(version)
            .and_then(|version| version.columns.as_deref());
        let cells = match custom {
            Some(columns) => Cells::Custom(columns),
            None => Cells::BuiltIn(built_in::find(&resource.group, &resource.plural)),
        };
        Self {
            resource,
            version,
            cells,
        }
    }

    /// The columns. Those of priority 0 are always shown, others in wide output only.
    #[must_use]
    pub fn columns(&self) -> Cow<'a, [ColumnDefinition<'a>]> {
        match self.cells {
            Cells::BuiltIn(kind) => Cow::Borrowed(kind.columns),
            Cells::Custom(columns) => Cow::Owned(columns.columns()),
        }
    }

    /// The cells of the object's row, one for each column.
    #[must_use]
    pub fn cells(&self, object: &Object, now: DateTime<Utc>) -> Vec<Value> {
        self.row(&Row {
            object,
            now,
            empty: false,
        })
    }

    /// `conditions` of the object's row, if there are any: pods that are over.
    #[must_use]
    pub fn conditions(&self, object: &Object) -> Option<Value> {
        (self.quirk() == Quirk::Completed)
            .then(|| pods::conditions(object))
            .flatten()
    }

    fn row(&self, row: &Row<'_>) -> Vec<Value> {
        match self.cells {
            Cells::BuiltIn(kind) => (kind.cells)(row),
            Cells::Custom(columns) => {
                let api_version = self.resource.api_version(self.version);
                columns.cells(row, &api_version, &self.resource.kind)
            }
        }
    }

    const fn quirk(&self) -> Quirk {
        match self.cells {
            Cells::BuiltIn(kind) => kind.quirk,
            Cells::Custom(_) => Quirk::None,
        }
    }
}

/// A table that a client asked for.
#[derive(Clone)]
pub struct Table<'a> {
    resource: &'a Resource,
    version: &'a str,
    meta: MetaVersion,
    include: Include,
    now: DateTime<Utc>,
    printer: Printer<'a>,
}

impl<'a> Table<'a> {
    /// A table of objects of `resource` in its `version`, itself in the version `meta` of `meta.k8s.io`. Ages are told by `now`.
    #[must_use]
    pub fn new(
        resource: &'a Resource,
        version: &'a str,
        meta: MetaVersion,
        include: Include,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            resource,
            version,
            meta,
            include,
            now,
            printer: Printer::of(resource, version),
        }
    }

    /// Appends the table of a list.
    pub fn write_list(&self, page: &ListPage, out: &mut Vec<u8>) {
        self.write_head(&partial::list_metadata(page), true, out);
        if page.items.is_empty() && self.printer.quirk() == Quirk::NullRows {
            out.extend_from_slice(b"null}");
            return;
        }
        out.push(b'[');
        for (index, object) in page.items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write_row(object, out);
        }
        out.extend_from_slice(b"]}");
    }

    /// Appends the table of one object.
    pub fn write_one(&self, object: &Object, out: &mut Vec<u8>) {
        self.write_object(object, true, out);
    }

    /// Appends the table of an event of a watch; it takes the place of the event's object. Columns stand in the `first` event only.
    pub fn write_event(&self, event: &WatchEvent, first: bool, out: &mut Vec<u8>) {
        match &event.object {
            Some(object) => self.write_object(object, first, out),
            None => self.write_bookmark(event, first, out),
        }
    }

    fn write_object(&self, object: &Object, columns: bool, out: &mut Vec<u8>) {
        let metadata = json!({"resourceVersion": object.resource_version.to_string()});
        self.write_head(&metadata, columns, out);
        out.push(b'[');
        self.write_row(object, out);
        out.extend_from_slice(b"]}");
    }

    /// Everything up to the rows.
    fn write_head(&self, metadata: &Value, columns: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/");
        out.extend_from_slice(self.meta.word().as_bytes());
        out.extend_from_slice(b"\",\"metadata\":");
        write(metadata, out);
        out.extend_from_slice(b",\"columnDefinitions\":");
        if columns || self.printer.quirk() == Quirk::Headings {
            write(&self.printer.columns(), out);
        } else {
            out.extend_from_slice(b"null");
        }
        out.extend_from_slice(b",\"rows\":");
    }

    fn write_row(&self, object: &Object, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"cells\":");
        write(&self.printer.cells(object, self.now), out);
        if let Some(conditions) = self.printer.conditions(object) {
            out.extend_from_slice(b",\"conditions\":");
            write(&conditions, out);
        }
        out.extend_from_slice(b",\"object\":");
        match self.include {
            Include::None => out.extend_from_slice(b"null"),
            Include::Metadata => partial::write(object, self.meta, out),
            Include::Object => convert::write_json(self.resource, self.version, object, true, out),
        }
        out.push(b'}');
    }

    /// The row of an empty object. The end of the initial events is marked by its metadata, which are there even if none were asked for.
    fn write_bookmark(&self, event: &WatchEvent, columns: bool, out: &mut Vec<u8>) {
        let version = json!({"resourceVersion": event.resource_version.to_string()});
        self.write_head(&version, columns, out);
        let row = Row {
            object: &empty(),
            now: self.now,
            empty: true,
        };
        let metadata = partial::bookmark_metadata(event);
        let (kind, api_version) = match self.include {
            Include::Object => (
                &*self.resource.kind,
                Cow::Owned(self.resource.api_version(self.version)),
            ),
            _ => (partial::KIND, Cow::Borrowed(partial::api_version(self.meta))),
        };
        let object = match self.include {
            Include::None if !event.initial_events_end => Value::Null,
            _ => json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}),
        };
        write(&json!([{"cells": self.printer.row(&row), "object": object}]), out);
        out.push(b'}');
    }
}

/// The object of a bookmark, as printers see it.
fn empty() -> Object {
    Object {
        head: Arc::default(),
        sections: Sections::default(),
        managed: Arc::from([]),
        uid: Uuid::nil(),
        resource_version: 0,
        generation: 0,
        created: Second(0),
        deletion: None,
    }
}

fn write<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing trees and plain structs to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}
