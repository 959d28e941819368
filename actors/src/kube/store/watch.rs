//! Watches: who asked for what, and what they are told.
//!
//! A watch is *pulled*: a [`Watcher`] is a place in the history and a filter, and [`Store::poll`] tells what happened since.
//! So a reader that is slow holds nothing but its place, and one that falls out of the window is told 410.

use std::collections::VecDeque;
use std::sync::Arc;

use super::list::{invalid_options, parse_version};
use super::{Changed, Store, Target, VersionMatch};
use crate::kube::object::Object;
use crate::kube::resource::Resource;
use crate::kube::selector::{FieldSelector, LabelSelector};
use crate::kube::status::{FieldError, Status};

/// JSON bytes after which [`Store::poll`] stops, roughly: a reader that stops holds no more than these and one object.
const POLL_BYTES: usize = 64 * 1024;

/// What a watch asks for.
#[derive(Clone, Debug, Default)]
pub struct WatchQuery<'a> {
    /// Label selector.
    pub labels: LabelSelector,
    /// Field selector.
    pub fields: FieldSelector,
    /// `resourceVersion` as the client sent it.
    pub resource_version: &'a str,
    /// `resourceVersionMatch`.
    pub version_match: Option<VersionMatch>,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
    /// `allowWatchBookmarks`.
    pub allow_bookmarks: bool,
    /// `continue`, which a watch must not have.
    pub continue_token: &'a str,
}

/// Type of a [`WatchEvent`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchType {
    /// The object came to be, or into the selection.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or left the selection.
    Deleted,
    /// Nothing happened up to this version.
    Bookmark,
}

impl WatchType {
    /// `ADDED`, ...
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
        }
    }
}

/// One event of a watch. An `ERROR` event is the `Err` of [`Store::poll`].
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened.
    pub kind: WatchType,
    /// The object; `None` in bookmarks, which carry an empty object of the watched kind with the version below.
    pub object: Option<Arc<Object>>,
    /// The version up to which the watcher knows everything after this event.
    pub resource_version: u64,
    /// Whether the bookmark closes the initial events: it then carries the annotation `k8s.io/initial-events-end: "true"`.
    pub initial_events_end: bool,
}

/// A watch: a place in the history and a filter.
#[derive(Clone, Debug)]
pub struct Watcher {
    resource: Arc<Resource>,
    namespace: Option<Box<str>>,
    labels: LabelSelector,
    fields: FieldSelector,
    bookmarks: bool,
    /// Objects of the first batch, still to be told.
    initial: VecDeque<Arc<Object>>,
    /// Whether a bookmark is owed at the end of the first batch.
    closing: bool,
    position: u64,
    /// The version in the last event told.
    told: u64,
}

impl Watcher {
    /// The resource that is watched.
    #[must_use]
    pub const fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The version up to which everything was told.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// A bookmark, if the client takes them, all is told, and something happened since the last event. Due about every
    /// minute, and at the end of the watch.
    pub fn bookmark(&mut self) -> Option<WatchEvent> {
        if !self.bookmarks || !self.initial.is_empty() || self.closing || self.told >= self.position {
            return None;
        }
        self.told = self.position;
        Some(WatchEvent {
            kind: WatchType::Bookmark,
            object: None,
            resource_version: self.position,
            initial_events_end: false,
        })
    }

    fn takes(&self, object: &Object) -> bool {
        self.namespace
            .as_deref()
            .is_none_or(|namespace| &*object.head.namespace == namespace)
            && self.labels.matches_object(object)
            && self.fields.matches(&self.resource, object)
    }
}

impl Store {
    /// Starts a watch. Without a version, or with 0, all present objects come first.
    ///
    /// # Errors
    /// 400 for a bad version, 410 when it has left the history, 422 for parameters that do not go together, 504 for a version in the
    /// future.
    pub fn watch(&self, target: Target<'_>, query: WatchQuery<'_>) -> Result<Watcher, Status> {
        check(&query)?;
        let wanted = parse_version(query.resource_version)?;
        if let Some(version) = wanted.filter(|version| *version > self.version) {
            return Err(Status::too_large(version, self.version));
        }
        let initial = match (query.send_initial_events, wanted) {
            (Some(asked), _) => asked,
            (None, None | Some(0)) => true,
            (None, Some(_)) => false,
        };
        let closing = query.send_initial_events == Some(true) && query.allow_bookmarks;
        let position = match wanted {
            Some(version) if version != 0 && !initial => version,
            _ => self.version,
        };
        if position < self.floor {
            return Err(Status::too_old(position, self.floor));
        }
        let mut watcher = Watcher {
            resource: Arc::clone(target.resource),
            namespace: target
                .namespace
                .filter(|_| target.resource.namespaced)
                .map(Box::from),
            labels: query.labels,
            fields: query.fields,
            bookmarks: query.allow_bookmarks,
            initial: VecDeque::new(),
            closing,
            position,
            told: position,
        };
        if initial {
            let present = self.all(target.resource, target.namespace);
            watcher.initial = present.filter(|object| watcher.takes(object)).cloned().collect();
        }
        Ok(watcher)
    }

    /// The next events of a watch, `most` at most, fewer if they are large. An empty list: nothing new, ask again after the next write.
    ///
    /// # Errors
    /// 410 when the watcher has fallen out of the history: to be sent as an `ERROR` event, the watch is over.
    pub fn poll(&self, watcher: &mut Watcher, most: usize) -> Result<Vec<WatchEvent>, Status> {
        let mut events = Vec::new();
        let mut bytes = 0_usize;
        while events.len() < most && bytes < POLL_BYTES {
            let Some(object) = watcher.initial.pop_front() else {
                break;
            };
            bytes = bytes.saturating_add(object.weight());
            events.push(WatchEvent {
                kind: WatchType::Added,
                resource_version: watcher.position,
                object: Some(object),
                initial_events_end: false,
            });
        }
        if !watcher.initial.is_empty() {
            return Ok(events);
        }
        if events.len() < most && watcher.closing {
            watcher.closing = false;
            watcher.told = watcher.position;
            events.push(WatchEvent {
                kind: WatchType::Bookmark,
                object: None,
                resource_version: watcher.position,
                initial_events_end: true,
            });
        }
        if events.len() >= most || bytes >= POLL_BYTES {
            return Ok(events);
        }
        if watcher.position < self.floor {
            return Err(Status::too_old(watcher.position, self.floor));
        }
        for change in self.changes_after(watcher.position) {
            if events.len() >= most || bytes >= POLL_BYTES {
                return Ok(events);
            }
            watcher.position = change.version;
            if change.resource != watcher.resource.home {
                continue;
            }
            let after = !matches!(change.changed, Changed::Deleted(_)) && watcher.takes(&change.object);
            let before = match &change.changed {
                Changed::Added => None,
                Changed::Modified(before) | Changed::Deleted(before) => {
                    Some(before).filter(|before| watcher.takes(before))
                }
            };
            let (kind, object) = match (before, after) {
                (None, false) => continue,
                (None, true) => (WatchType::Added, Arc::clone(&change.object)),
                (Some(_), true) => (WatchType::Modified, Arc::clone(&change.object)),
                (Some(_), false) if matches!(change.changed, Changed::Deleted(_)) => {
                    (WatchType::Deleted, Arc::clone(&change.object))
                }
                // It left the selection: its state before, at the version of the change.
                (Some(before), false) => {
                    let mut last = (**before).clone();
                    last.resource_version = change.version;
                    (WatchType::Deleted, Arc::new(last))
                }
            };
            watcher.told = change.version;
            bytes = bytes.saturating_add(object.weight());
            events.push(WatchEvent {
                kind,
                object: Some(object),
                resource_version: change.version,
                initial_events_end: false,
            });
        }
        watcher.position = watcher.position.max(self.version);
        Ok(events)
    }
}

/// Parameters that do not go together (kubernetes: `apimachinery/pkg/apis/meta/internalversion/validation`).
fn check(query: &WatchQuery<'_>) -> Result<(), Status> {
    let field = "resourceVersionMatch";
    let mut errors = Vec::new();
    if query.send_initial_events.is_some() && query.version_match != Some(VersionMatch::NotOlderThan) {
        errors.push(FieldError::forbidden(
            field,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if query.version_match.is_some() {
        if query.send_initial_events.is_none() {
            errors.push(FieldError::forbidden(
                field,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if !query.continue_token.is_empty() {
            errors.push(FieldError::forbidden(
                field,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(invalid_options(&errors))
    }
}
