//! A stored object: immutable, small, and shared wherever it can be.
//!
//! Ten thousand clusters hold the same bootstrap objects, and each write makes a new version of an object that
//! differs from the last in one place. So an object is kept in parts, each behind its own `Arc`:
//!
//! - [`Head`]: what a writer chose in `metadata` (name, labels, annotations, finalizers, owners);
//! - one of the [`Sections`] for each other top-level field (`spec`, `status`, `data`, ...), as compact JSON text;
//! - what the server alone decides (uid, versions, times), in plain fields;
//! - `managedFields`.
//!
//! A status update shares head and spec with the version before it, and an object that is made in every cluster shares
//! head and sections with its twins by way of the [`Interner`]. Text is a third of the size of a tree of
//! `serde_json::Value`s, and what nearly every reader wants is text: reading concatenates.
//! Longer texts share what they have in common with those of other clusters ([`Text`]).
//! `apiVersion` and `kind` are not stored, they follow from the resource and the version asked for.

mod draft;
mod fields;
mod section;
mod sections;
mod text;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeZone as _, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::apply;
use super::intern::Interner;
use super::status::Status;

pub use draft::{Draft, Metadata, WireManagedEntry};
pub use fields::Fields;
pub use section::SectionName;
pub use sections::Sections;
pub use text::Text;

use draft::or_default;

/// Labels or annotations.
pub type StringMap = BTreeMap<String, String>;

/// Seconds since 1970: the resolution of every time in `metadata`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Second(pub i64);

impl Second {
    /// Stands for the time at which a store took over the objects of an image: those are the same in all stores, which date them for
    /// readers ([`super::store::Store::dated`]).
    pub const FOUNDING: Self = Self(i64::MIN);

    /// The second that `time` lies in.
    #[must_use]
    pub fn of(time: DateTime<Utc>) -> Self {
        Self(time.timestamp())
    }

    /// Reads RFC 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| Self(time.timestamp()))
    }

    /// `2026-01-31T12:00:00Z`.
    #[must_use]
    pub fn text(self) -> String {
        Utc.timestamp_opt(self.0, 0)
            .single()
            .unwrap_or_default()
            .to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

/// An entry of `metadata.ownerReferences`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version of the owner.
    #[serde(deserialize_with = "or_default")]
    pub api_version: String,
    /// Kind of the owner.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// Name of the owner, in the namespace of the object or of the cluster.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// UID of the owner: what counts.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
    /// Whether the owner is the managing controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether foreground deletion of the owner waits for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

/// What wrote the fields of a [`ManagedEntry`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Everything else.
    Update,
}

/// An entry of `metadata.managedFields`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ManagedEntry {
    /// Who.
    pub manager: Arc<str>,
    /// How.
    pub operation: Operation,
    /// In which version of the API.
    pub api_version: Arc<str>,
    /// When; absent in entries that a client wrote without.
    pub time: Option<Second>,
    /// Through which subresource; empty for the main resource.
    pub subresource: Arc<str>,
    /// The field set.
    pub fields: Fields,
}

/// That part of `metadata` which writers choose.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Head {
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.namespace`; empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// `metadata.generateName`.
    pub generate_name: Box<str>,
    /// `metadata.labels`, sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// `metadata.annotations`, sorted by key.
    pub annotations: Box<[(Box<str>, Box<str>)]>,
    /// `metadata.finalizers`.
    pub finalizers: Box<[Box<str>]>,
    /// `metadata.ownerReferences`.
    pub owners: Box<[OwnerReference]>,
}

/// A mark that the object is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deletion {
    /// `metadata.deletionTimestamp`: when the object is to be gone at the latest.
    pub at: Second,
    /// `metadata.deletionGracePeriodSeconds`.
    pub grace: Option<i64>,
}

/// A stored object, one version of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// The chosen part of the metadata.
    pub head: Arc<Head>,
    /// The top-level fields but `apiVersion`, `kind` and `metadata`.
    pub sections: Sections,
    /// `metadata.managedFields`.
    pub managed: Arc<[ManagedEntry]>,
    /// `metadata.uid`.
    pub uid: Uuid,
    /// `metadata.resourceVersion`.
    pub resource_version: u64,
    /// `metadata.generation`; 0 where the kind has none.
    pub generation: i64,
    /// `metadata.creationTimestamp`.
    pub created: Second,
    /// Set while the object is being deleted.
    pub deletion: Option<Deletion>,
}

impl Object {
    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// `metadata.namespace`, if it has one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        Some(&*self.head.namespace).filter(|namespace| !namespace.is_empty())
    }

    /// Its place among the objects of its resource: `namespace/name`, or `name` if it has no namespace.
    #[must_use]
    pub fn key(&self) -> String {
        match self.namespace() {
            Some(namespace) => format!("{namespace}/{}", self.name()),
            None => self.name().to_owned(),
        }
    }

    /// `metadata.uid` as text.
    #[must_use]
    pub fn uid_text(&self) -> String {
        self.uid.hyphenated().to_string()
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        look_up(&self.head.labels, key)
    }

    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        look_up(&self.head.annotations, key)
    }

    /// Whether it carries the finalizer.
    #[must_use]
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.head.finalizers.iter().any(|finalizer| &**finalizer == name)
    }

    /// The owner that manages it.
    #[must_use]
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.head
            .owners
            .iter()
            .find(|owner| owner.controller == Some(true))
    }

    /// Whether it is being deleted.
    #[must_use]
    pub const fn is_terminating(&self) -> bool {
        self.deletion.is_some()
    }

    /// JSON text of a top-level field.
    #[must_use]
    pub fn section_text(&self, name: &str) -> Option<&Text> {
        self.sections.get(name)
    }

    /// A top-level field as a tree.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Value> {
        self.section_text(name)
            .and_then(|text| serde_json::from_str(&text.get()).ok())
    }

    /// The top-level field `name` as a type of the caller's; `None` when it is missing or of another shape.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.section_text(name)
            .and_then(|text| serde_json::from_str(&text.get()).ok())
    }

    /// A field of the body by its path.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        let section = self.section(first)?;
        rest.iter()
            .try_fold(&section, |value, key| value.get(key))
            .cloned()
    }

    /// The object as a draft, to change and write back. `resourceVersion` and `uid` are set, so writing it back is an optimistic update.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let head = &self.head;
        let meta = Metadata {
            name: head.name.to_string(),
            generate_name: head.generate_name.to_string(),
            namespace: head.namespace.to_string(),
            uid: self.uid_text(),
            resource_version: self.resource_version.to_string(),
            generation: self.generation,
            creation_timestamp: Some(self.created.text()),
            deletion_timestamp: self.deletion.map(|deletion| deletion.at.text()),
            deletion_grace_period_seconds: self.deletion.and_then(|deletion| deletion.grace),
            labels: strings_of(&head.labels),
            annotations: strings_of(&head.annotations),
            finalizers: head.finalizers.iter().map(ToString::to_string).collect(),
            owner_references: head.owners.to_vec(),
            managed_fields: Some(self.managed.iter().map(ManagedEntry::to_wire).collect()),
        };
        Draft {
            meta,
            body: self.body(),
        }
    }

    /// All top-level fields but `apiVersion`, `kind` and `metadata`, as trees.
    #[must_use]
    pub fn body(&self) -> Map<String, Value> {
        self.sections
            .iter()
            .filter_map(|(key, text)| Some((key.to_string(), serde_json::from_str(&text.get()).ok()?)))
            .collect()
    }

    /// `metadata` as a tree, with `managedFields`.
    #[must_use]
    pub fn metadata(&self) -> Map<String, Value> {
        let mut text = Vec::new();
        self.write_metadata(&mut text);
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The whole object as a tree.
    #[must_use]
    pub fn to_value(&self, api_version: &str, kind: &str) -> Value {
        let mut map = self.body();
        map.insert("apiVersion".to_owned(), api_version.into());
        map.insert("kind".to_owned(), kind.into());
        map.insert("metadata".to_owned(), Value::Object(self.metadata()));
        Value::Object(map)
    }

    /// Appends the whole object as JSON; without `kind` and `apiVersion` when `of` is `None`, as items of typed lists stand.
    pub fn write_json(&self, of: Option<(&str, &str)>, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some((api_version, kind)) = of {
            out.extend_from_slice(b"\"kind\":");
            write_string(kind, out);
            out.extend_from_slice(b",\"apiVersion\":");
            write_string(api_version, out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"metadata\":");
        self.write_metadata(out);
        for (key, text) in self.sections.iter() {
            out.push(b',');
            write_string(key, out);
            out.push(b':');
            text.write(out);
        }
        out.push(b'}');
    }

    /// Appends `metadata` as JSON.
    pub fn write_metadata(&self, out: &mut Vec<u8>) {
        let head = &self.head;
        out.extend_from_slice(b"{\"name\":");
        write_string(&head.name, out);
        for (key, text) in [
            ("generateName", &*head.generate_name),
            ("namespace", &*head.namespace),
        ] {
            if !text.is_empty() {
                write_key(key, out);
                write_string(text, out);
            }
        }
        let _ = write!(
            out,
            ",\"uid\":\"{}\",\"resourceVersion\":\"{}\"",
            self.uid.hyphenated(),
            self.resource_version
        );
        if self.generation != 0 {
            let _ = write!(out, ",\"generation\":{}", self.generation);
        }
        let _ = write!(out, ",\"creationTimestamp\":\"{}\"", self.created.text());
        if let Some(deletion) = self.deletion {
            let _ = write!(out, ",\"deletionTimestamp\":\"{}\"", deletion.at.text());
            if let Some(grace) = deletion.grace {
                let _ = write!(out, ",\"deletionGracePeriodSeconds\":{grace}");
            }
        }
        for (key, map) in [("labels", &head.labels), ("annotations", &head.annotations)] {
            if !map.is_empty() {
                write_key(key, out);
                out.push(b'{');
                for (index, (name, value)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_string(name, out);
                    out.push(b':');
                    write_string(value, out);
                }
                out.push(b'}');
            }
        }
        if !head.owners.is_empty() {
            write_key("ownerReferences", out);
            write_serialized(&head.owners, out);
        }
        if !head.finalizers.is_empty() {
            write_key("finalizers", out);
            write_serialized(&head.finalizers, out);
        }
        if !self.managed.is_empty() {
            write_key("managedFields", out);
            out.push(b'[');
            for (index, entry) in self.managed.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                entry.write_json(out);
            }
            out.push(b']');
        }
        out.push(b'}');
    }

    /// Bytes of JSON, roughly, without looking at sharing: what limits count.
    #[must_use]
    pub fn weight(&self) -> usize {
        let sections: usize = self
            .sections
            .iter()
            .map(|(key, text)| key.len() + text.len() + 4)
            .sum();
        let managed: usize = self.managed.iter().map(|entry| entry.fields.len() + 128).sum();
        let pairs = |map: &[(Box<str>, Box<str>)]| {
            map.iter()
                .map(|(key, value)| key.len() + value.len() + 6)
                .sum::<usize>()
        };
        256 + sections
            + managed
            + pairs(&self.head.labels)
            + pairs(&self.head.annotations)
            + self.head.owners.len() * 160
    }

    /// Reads an object as [`Self::to_value`] gave it: for durable state. The account of fields must be well-formed.
    ///
    /// # Errors
    /// 400 for a value of the wrong shape, or without what the server decides.
    pub fn from_stored(value: Value, kind: &str, interner: &Interner) -> Result<Self, Status> {
        let draft = Draft::from_value(value, kind)?;
        let meta = &draft.meta;
        let lacks =
            |field: &str| Status::bad_request(format!("stored {kind} {:?}: bad metadata.{field}", meta.name));
        let time = |text: &Option<String>| text.as_deref().and_then(Second::parse);
        let managed = apply::from_wire(meta.managed_fields.as_deref().unwrap_or_default());
        let deletion = match &meta.deletion_timestamp {
            None => None,
            stamp => Some(Deletion {
                at: time(stamp).ok_or_else(|| lacks("deletionTimestamp"))?,
                grace: meta.deletion_grace_period_seconds,
            }),
        };
        Ok(Self {
            head: interner.head(Head::of(meta)),
            sections: Sections::seal(&draft.body, None, interner),
            managed: interner.managed(&managed.ok_or_else(|| lacks("managedFields"))?),
            uid: Uuid::parse_str(&meta.uid).map_err(|_| lacks("uid"))?,
            resource_version: meta
                .resource_version
                .parse()
                .map_err(|_| lacks("resourceVersion"))?,
            generation: meta.generation,
            created: time(&meta.creation_timestamp).ok_or_else(|| lacks("creationTimestamp"))?,
            deletion,
        })
    }
}

fn look_up<'a>(map: &'a [(Box<str>, Box<str>)], key: &str) -> Option<&'a str> {
    let index = map.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
    map.get(index).map(|(_, value)| &**value)
}

/// A sorted list of pairs as a map.
#[must_use]
pub fn strings_of(pairs: &[(Box<str>, Box<str>)]) -> StringMap {
    pairs
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

impl Head {
    /// The chosen part of `meta`.
    #[must_use]
    pub fn of(meta: &Metadata) -> Self {
        let pairs = |map: &StringMap| {
            map.iter()
                .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
                .collect()
        };
        Self {
            name: meta.name.as_str().into(),
            namespace: meta.namespace.as_str().into(),
            generate_name: meta.generate_name.as_str().into(),
            labels: pairs(&meta.labels),
            annotations: pairs(&meta.annotations),
            finalizers: meta.finalizers.iter().map(|text| text.as_str().into()).collect(),
            owners: meta.owner_references.iter().cloned().collect(),
        }
    }
}

impl ManagedEntry {
    /// The wire's form.
    #[must_use]
    pub fn to_wire(&self) -> WireManagedEntry {
        WireManagedEntry {
            manager: self.manager.to_string(),
            operation: match self.operation {
                Operation::Apply => "Apply".to_owned(),
                Operation::Update => "Update".to_owned(),
            },
            api_version: self.api_version.to_string(),
            time: self.time.map(Second::text),
            fields_type: "FieldsV1".to_owned(),
            fields_v1: serde_json::from_str(&self.fields.text()).ok(),
            subresource: self.subresource.to_string(),
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"manager\":");
        write_string(&self.manager, out);
        let _ = write!(out, ",\"operation\":\"{:?}\"", self.operation);
        write_key("apiVersion", out);
        write_string(&self.api_version, out);
        if let Some(time) = self.time {
            let _ = write!(out, ",\"time\":\"{}\"", time.text());
        }
        out.extend_from_slice(b",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
        out.extend_from_slice(self.fields.text().as_bytes());
        if !self.subresource.is_empty() {
            write_key("subresource", out);
            write_string(&self.subresource, out);
        }
        out.push(b'}');
    }
}

fn write_key(key: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_string(key, out);
    out.push(b':');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    write_serialized(text, out);
}

fn write_serialized<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing strings, lists and plain structs to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests;
