//! Events about objects, with aggregation, and their end.
//!
//! What happens again to the same object is counted in the event that is there, as client-go's recorder does (client-go:
//! `tools/record/events_cache.go`): same source, object, type, reason and message. Its name is made from just these, so finding it
//! takes one look-up.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kinds::{KINDS, about};
use crate::kube::controller::{Context, Controller, Key, later, until};
use crate::kube::object::{Object, Second};
use crate::kube::resource::Resource;
use crate::kube::status::Status;
use crate::kube::store::{Change, Changed, DeleteOptions, Part, Store, Target, WriteOptions};
use crate::seed::Seed;

/// `Event.type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EventType {
    /// Information.
    Normal,
    /// Something is not as it should be.
    Warning,
}

/// The object that an event is about: `Event.involvedObject`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID. A kubelet gives the node's name for its Node.
    pub uid: String,
    /// Group and version.
    pub api_version: String,
    /// Version of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Path to a part of the object (`spec.containers{app}`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

impl ObjectReference {
    /// A reference to an object of the store.
    #[must_use]
    pub fn of(resource: &Resource, object: &Object) -> Self {
        Self {
            kind: resource.kind.to_string(),
            namespace: object.namespace().unwrap_or_default().to_owned(),
            name: object.name().to_owned(),
            uid: object.uid_text(),
            api_version: resource.api_version(resource.storage_version()),
            resource_version: object.resource_version.to_string(),
            field_path: String::new(),
        }
    }

    /// The same, about a part of the object.
    #[must_use]
    pub fn part(mut self, field_path: impl Into<String>) -> Self {
        self.field_path = field_path.into();
        self
    }
}

/// What happened, and who says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Happening<'a> {
    /// Type.
    pub kind: EventType,
    /// A word in CamelCase (`Scheduled`).
    pub reason: &'a str,
    /// For people.
    pub message: &'a str,
    /// `source.component` (`kubelet`).
    pub component: &'a str,
    /// `source.host`: the node; empty for controllers.
    pub host: &'a str,
}

/// Records an event. A refusal (the namespace is going away, the cluster is full) loses the event, as in life.
pub fn record(store: &mut Store, context: &Context<'_>, about: &ObjectReference, what: &Happening<'_>) {
    record_at(store, context.now, about, what);
}

/// Records an event, unless the same was recorded at `since` or later: for what lasts, so that it is told once each time.
pub fn record_once(
    store: &mut Store,
    context: &Context<'_>,
    about: &ObjectReference,
    what: &Happening<'_>,
    since: Second,
) {
    let known = store
        .look_up("", "events", Some(namespace_of(about)), &name_of(about, what))
        .and_then(|event| event.at(&["lastTimestamp"]))
        .and_then(|time| Second::parse(time.as_str()?));
    if known.is_none_or(|known| known < since) {
        record_at(store, context.now, about, what);
    }
}

/// When this event was recorded first, if it is there.
#[must_use]
pub fn first_told(store: &Store, about: &ObjectReference, what: &Happening<'_>) -> Option<Second> {
    let name = name_of(about, what);
    let event = store.look_up("", "events", Some(namespace_of(about)), &name)?;
    Second::parse(event.at(&["firstTimestamp"])?.as_str()?)
}

/// Events about cluster-scoped objects lie in `default`.
fn namespace_of(about: &ObjectReference) -> &str {
    if about.namespace.is_empty() {
        "default"
    } else {
        &about.namespace
    }
}

/// The name of an event: the same for all that are counted as one.
fn name_of(about: &ObjectReference, what: &Happening<'_>) -> String {
    let identity = Seed::root(0)
        .child(&about.uid)
        .child(&about.field_path)
        .child(what.reason)
        .child(what.message)
        .child(what.component)
        .child(what.host);
    format!("{}.{:016x}", about.name, identity.value())
}

/// [`record`], for those that have no [`Context`].
pub fn record_at(store: &mut Store, now: DateTime<Utc>, about: &ObjectReference, what: &Happening<'_>) {
    let Some(resource) = store.registry().find("", "events").cloned() else {
        return;
    };
    let namespace = namespace_of(about);
    let name = name_of(about, what);
    let target = Target::stored(&resource, Some(namespace));
    let options = WriteOptions::by(what.component, now);
    let now = Second::of(now).text();
    let existing = store
        .find(&resource, Some(namespace), &name)
        .map(|event| event.draft());
    if let Some(mut draft) = existing {
        let count = draft.body.get("count").and_then(Value::as_i64).unwrap_or(1);
        draft
            .body
            .insert("count".to_owned(), count.saturating_add(1).into());
        draft.body.insert("lastTimestamp".to_owned(), now.into());
        draft.meta.resource_version.clear();
        let _lost = store.replace(&resource, Part::Main, draft, options);
        return;
    }
    let mut source = json!({ "component": what.component });
    if !what.host.is_empty() {
        source["host"] = what.host.into();
    }
    let event = json!({
        "metadata": { "name": name, "namespace": namespace },
        "involvedObject": about,
        "reason": what.reason,
        "message": what.message,
        "source": source,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": what.kind,
        "eventTime": null,
        "reportingComponent": what.component,
        "reportingInstance": what.host,
    });
    let _lost = store.create(target, event, options);
}

/// Events that were written within this many seconds end together, as those do that share a lease in etcd (kubernetes:
/// `apiserver/pkg/storage/etcd3/lease_manager.go`, a minute).
const TOGETHER: i64 = 60;

/// Deletes events whose time is over (kube-apiserver: `--event-ttl`). A key stands for all events of a minute, by its number: a cluster
/// waits for a few minutes, not for each event.
#[derive(Debug)]
pub struct Expiry;

/// When an event was written last: each write of it renews its lease.
fn written(event: &Object) -> Second {
    let times = event.managed.iter().filter_map(|entry| entry.time);
    times.max().unwrap_or(event.created)
}

impl Controller for Expiry {
    fn name(&self) -> &'static str {
        "event-expiry"
    }

    fn observe(&self, _: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        if !matches!(change.changed, Changed::Deleted(_)) && about(change, &KINDS.events) {
            let minute = written(&change.object).0.div_euclid(TOGETHER);
            look_at(Key::new(None, &minute.to_string()));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(resource) = store.registry().find("", "events").cloned() else {
            return Ok(None);
        };
        let Ok(minute) = key.name.parse::<i64>() else {
            return Ok(None);
        };
        let ended = |last: i64| {
            let last = DateTime::from_timestamp(last, 0).unwrap_or(context.now);
            later(last, context.behaviour.event_ttl)
        };
        let end = ended(minute.saturating_add(1).saturating_mul(TOGETHER));
        if end > context.now {
            return Ok(Some(until(context.now, end)));
        }
        let over: Vec<Key> = store
            .all(&resource, None)
            .filter(|event| ended(written(event).0) <= context.now)
            .map(|event| Key::of(event))
            .collect();
        for event in over {
            let target = Target::stored(&resource, event.namespace());
            store.delete(target, &event.name, &DeleteOptions::now(), context.now)?;
        }
        Ok(None)
    }
}

/// The time as `MicroTime` fields want it.
#[must_use]
pub fn micro_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests;
