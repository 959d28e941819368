//! What the controllers of workloads share: owners, conditions, status writes, claims on objects, hashes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::events::{self, EventType, Happening, ObjectReference};
use crate::kube::controller::{Context, Key};
use crate::kube::object::{Object, OwnerReference, Second};
use crate::kube::resource::Resource;
use crate::kube::selector::LabelSelector;
use crate::kube::status::{Reason, Status};
use crate::kube::store::{Change, Changed, DeleteOptions, Part, Propagation, Store, Target, WriteOptions};

/// The field manager under which every controller of the kube-controller-manager writes.
pub const MANAGER: &str = "kube-controller-manager";

/// Characters of generated names and hashes (kubernetes: `apimachinery/pkg/util/rand/rand.go`).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Stands before the name in the key of a look that also searches for objects without an owner. It sorts before all names, so that
/// such a look comes before one that would create objects.
const ADOPT: char = '!';

/// Options of a write by a controller.
#[must_use]
pub const fn options<'a>(context: &Context<'a>) -> WriteOptions<'a> {
    context.by(MANAGER)
}

/// An entry of `status.conditions`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<String>,
    /// When it last changed in any way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<String>,
    /// When its status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
    /// A word in CamelCase.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Condition {
    /// A condition that holds or not since `now`.
    #[must_use]
    pub fn new(kind: &str, status: &str, reason: &str, message: impl Into<String>, now: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            status: status.to_owned(),
            last_transition_time: Some(now.to_owned()),
            reason: reason.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }
}

/// The condition of that type.
#[must_use]
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Whether the condition of that type is there and `True`.
#[must_use]
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    condition(conditions, kind).is_some_and(|condition| condition.status == "True")
}

/// The present time as conditions carry it.
#[must_use]
pub fn now_text(context: &Context<'_>) -> String {
    Second::of(context.now).text()
}

/// Whether a number is left out of a status.
#[must_use]
pub const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A number of the spec as controllers use it: 32 bits, not negative.
#[must_use]
pub fn bounded(number: i64) -> i64 {
    number.clamp(0, i64::from(i32::MAX))
}

/// A count as a status carries it.
#[must_use]
pub fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `IntOrString` of a total (kubernetes: `apimachinery/pkg/util/intstr/intstr.go`); `None` for what is neither a number nor a percentage.
#[must_use]
pub fn scaled(value: &Value, total: i64, round_up: bool) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(bounded(number));
    }
    let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    let product = bounded(percent).checked_mul(bounded(total))?;
    let number = if round_up {
        product.checked_add(99)? / 100
    } else {
        product / 100
    };
    Some(bounded(number))
}

/// The reference of an object to the one that manages it.
#[must_use]
pub fn owner_reference(resource: &Resource, owner: &Object) -> OwnerReference {
    OwnerReference {
        api_version: resource.api_version(resource.storage_version()),
        kind: resource.kind.to_string(),
        name: owner.name().to_owned(),
        uid: owner.uid_text(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether `owner` manages `object`.
#[must_use]
pub fn controls(owner: &Object, object: &Object) -> bool {
    object
        .controller()
        .is_some_and(|reference| reference.uid == owner.uid_text())
}

/// Objects of `kind` that `owner` manages.
#[must_use]
pub fn managed(store: &Store, owner: &Object, kind: &Resource) -> Vec<Arc<Object>> {
    let uid = owner.uid_text();
    store
        .dependents_of(owner.uid)
        .filter(|(id, object)| {
            *id == kind.home && object.controller().is_some_and(|reference| reference.uid == uid)
        })
        .map(|(_, object)| Arc::clone(object))
        .collect()
}

/// Who says what about an object.
#[derive(Clone, Copy, Debug)]
pub struct Reporter<'a> {
    /// `source.component`.
    pub component: &'a str,
    /// Resource of the object.
    pub resource: &'a Arc<Resource>,
    /// The object.
    pub object: &'a Arc<Object>,
}

impl Reporter<'_> {
    /// Records an event.
    pub fn event(
        &self,
        store: &mut Store,
        context: &Context<'_>,
        kind: EventType,
        reason: &str,
        message: &str,
    ) {
        let what = Happening {
            kind,
            reason,
            message,
            component: self.component,
            host: "",
        };
        events::record(
            store,
            context,
            &ObjectReference::of(self.resource, self.object),
            &what,
        );
    }

    /// Creates an object in the owner's namespace.
    ///
    /// # Errors
    /// What the store refuses; there is a `FailedCreate` event, unless the namespace goes away.
    pub fn create(
        &self,
        store: &mut Store,
        context: &Context<'_>,
        kind: &Arc<Resource>,
        body: Value,
    ) -> Result<Arc<Object>, Status> {
        let target = Target::stored(kind, self.object.namespace());
        store.create(target, body, options(context))
    }

    /// Creates a pod, with an event about how it went.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn create_pod(
        &self,
        store: &mut Store,
        context: &Context<'_>,
        body: Value,
    ) -> Result<Arc<Object>, Status> {
        match self.create(store, context, &super::kinds::KINDS.pods, body) {
            Ok(pod) => {
                let message = format!("Created pod: {}", pod.name());
                self.event(store, context, EventType::Normal, "SuccessfulCreate", &message);
                Ok(pod)
            }
            Err(status) => {
                if !namespace_ends(&status) {
                    let message = format!("Error creating: {}", status.message);
                    self.event(store, context, EventType::Warning, "FailedCreate", &message);
                }
                Err(status)
            }
        }
    }

    /// Deletes a pod, with an event about how it went. A pod that is gone is fine.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn delete_pod(&self, store: &mut Store, context: &Context<'_>, pod: &Object) -> Result<(), Status> {
        if delete(store, context, &super::kinds::KINDS.pods, pod)? {
            let message = format!("Deleted pod: {}", pod.name());
            self.event(store, context, EventType::Normal, "SuccessfulDelete", &message);
        }
        Ok(())
    }
}

/// Whether a creation was refused because the namespace is going away: nothing to report.
#[must_use]
pub fn namespace_ends(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| {
        details
            .causes
            .iter()
            .any(|cause| cause.kind == "NamespaceTerminating")
    })
}

/// Deletes exactly this object, its dependents in the background. Says whether there was anything to delete.
///
/// # Errors
/// What the store refuses.
pub fn delete(
    store: &mut Store,
    context: &Context<'_>,
    resource: &Arc<Resource>,
    object: &Object,
) -> Result<bool, Status> {
    let options = DeleteOptions {
        propagation: Some(Propagation::Background),
        uid: Some(object.uid_text()),
        ..DeleteOptions::default()
    };
    let target = Target::stored(resource, object.namespace());
    match store.delete(target, object.name(), &options, context.now) {
        Ok(_) => Ok(true),
        Err(status) if status.is(Reason::NotFound) || status.is(Reason::Conflict) => Ok(false),
        Err(status) => Err(status),
    }
}

/// Writes a status if it differs from the present one. The object may have changed meanwhile in other parts.
///
/// # Errors
/// What the store refuses.
pub fn write_status(
    store: &mut Store,
    context: &Context<'_>,
    resource: &Arc<Resource>,
    object: &Object,
    status: Value,
) -> Result<(), Status> {
    let Some(present) = store
        .find(resource, object.namespace(), object.name())
        .filter(|present| present.uid == object.uid)
    else {
        return Ok(());
    };
    if present.section("status").as_ref() == Some(&status) {
        return Ok(());
    }
    let mut draft = present.draft();
    draft.body.insert("status".to_owned(), status);
    store
        .replace(resource, Part::Status, draft, options(context))
        .map(drop)
}

/// A tree as JSON; statuses are plain structs, so this cannot fail.
#[must_use]
pub fn tree(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The claim of an owner on objects that match its selector (kubernetes: `pkg/controller/controller_ref_manager.go`).
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Resource of the owner.
    pub owner_kind: &'a Arc<Resource>,
    /// The owner.
    pub owner: &'a Arc<Object>,
    /// Resource of the objects.
    pub kind: &'a Arc<Resource>,
    /// What they must match.
    pub selector: &'a LabelSelector,
    /// Whether to search for objects that nobody manages: looks at all objects of the namespace.
    pub adopt: bool,
}

impl Claim<'_> {
    /// The objects that the owner manages, after those that do not match any more were let go, and orphans taken in.
    ///
    /// # Errors
    /// What the store refuses.
    pub fn settle(
        &self,
        store: &mut Store,
        context: &Context<'_>,
        fits: impl Fn(&Object) -> bool,
    ) -> Result<Vec<Arc<Object>>, Status> {
        let going = self.owner.is_terminating();
        let mut claimed = Vec::new();
        let uid = self.owner.uid_text();
        for object in managed(store, self.owner, self.kind) {
            if self.selector.matches_object(&object) && fits(&object) {
                claimed.push(object);
            } else if !going {
                let mut draft = object.draft();
                draft.meta.owner_references.retain(|owner| owner.uid != uid);
                store.replace(self.kind, Part::Main, draft, options(context))?;
            }
        }
        if !self.adopt || going || self.selector.is_empty() {
            return Ok(claimed);
        }
        let orphans: Vec<Arc<Object>> = store
            .all(self.kind, self.owner.namespace())
            .filter(|object| {
                object.controller().is_none()
                    && !object.is_terminating()
                    && self.selector.matches_object(object)
                    && fits(object)
            })
            .cloned()
            .collect();
        for orphan in orphans {
            let mut draft = orphan.draft();
            draft.meta.owner_references.retain(|owner| owner.uid != uid);
            draft
                .meta
                .owner_references
                .push(owner_reference(self.owner_kind, self.owner));
            claimed.push(
                store
                    .replace(self.kind, Part::Main, draft, options(context))?
                    .object,
            );
        }
        Ok(claimed)
    }
}

/// The name in a key, and whether the look is to search for orphans.
#[must_use]
pub fn read_key(key: &Key) -> (&str, bool) {
    match key.name.strip_prefix(ADOPT) {
        Some(name) => (name, true),
        None => (&key.name, false),
    }
}

/// The key of a look that also searches for orphans.
#[must_use]
pub fn adopt_key(owner: &Object) -> Key {
    Key::new(owner.namespace(), &format!("{ADOPT}{}", owner.name()))
}

/// The selector in `spec.selector`; `None` when there is none, or one that nothing understands.
#[must_use]
pub fn selector_of(owner_kind: &Resource, owner: &Object) -> Option<LabelSelector> {
    #[derive(Deserialize)]
    struct Spec {
        selector: Option<Value>,
    }
    let selector = owner.read::<Spec>("spec")?.selector?;
    if owner_kind.is("", "replicationcontrollers") {
        LabelSelector::from_map(&selector)
    } else {
        LabelSelector::from_spec(&selector)
    }
}

/// Names the owners to look at because of a change of themselves or of an object that they manage or could manage.
pub fn observe(
    store: &Store,
    change: &Change,
    owner_kind: &Resource,
    kinds: &[&Resource],
    look_at: &mut dyn FnMut(Key),
) {
    if change.resource == owner_kind.home {
        match change.changed {
            Changed::Added => look_at(adopt_key(&change.object)),
            Changed::Modified(_) => look_at(Key::of(&change.object)),
            Changed::Deleted(_) => {}
        }
        return;
    }
    if !kinds.iter().any(|kind| kind.home == change.resource) {
        return;
    }
    let mut manager = |object: &Object| {
        if let Some(owner) = object.controller()
            && owner.kind == owner_kind.kind
            && group_of(&owner.api_version) == owner_kind.group
        {
            look_at(Key::new(object.namespace(), &owner.name));
        }
    };
    manager(&change.object);
    match &change.changed {
        Changed::Modified(before) if Arc::ptr_eq(&before.head, &change.object.head) => return,
        Changed::Modified(before) => manager(before),
        Changed::Added => {}
        Changed::Deleted(_) => return,
    }
    let object = &change.object;
    if object.controller().is_none() && !object.is_terminating() && !object.head.labels.is_empty() {
        for owner in store.all(owner_kind, object.namespace()) {
            let wants = selector_of(owner_kind, owner)
                .is_some_and(|selector| !selector.is_empty() && selector.matches_object(object));
            if wants {
                look_at(adopt_key(owner));
            }
        }
    }
}

/// Group of an `apiVersion`.
fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// A hash of a tree that depends neither on the order of keys nor on the release of this program.
#[must_use]
pub fn hash(value: &Value, collisions: i64) -> String {
    // FNV-1a, 64 bits, folded.
    fn add(hash: u64, bytes: &[u8]) -> u64 {
        bytes.iter().fold(hash, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
    // Trees come from JSON text, whose reader bounds their depth.
    fn walk(value: &Value, mut state: u64) -> u64 {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort_unstable();
                state = add(state, b"{");
                for key in keys {
                    state = add(state, key.as_bytes());
                    state = add(state, b":");
                    state = map.get(key).map_or(state, |value| walk(value, state));
                }
                add(state, b"}")
            }
            Value::Array(items) => {
                let state = items
                    .iter()
                    .fold(add(state, b"["), |state, item| add(walk(item, state), b","));
                add(state, b"]")
            }
            plain => add(state, plain.to_string().as_bytes()),
        }
    }
    let mut state = walk(value, 0xcbf2_9ce4_8422_2325);
    if collisions > 0 {
        state = add(state, &collisions.to_le_bytes());
    }
    let folded = (state >> 32) ^ (state & 0xffff_ffff);
    folded
        .to_string()
        .bytes()
        .map(|digit| {
            let place = usize::from(digit) % ALPHABET.len();
            char::from(ALPHABET.get(place).copied().unwrap_or(b'b'))
        })
        .collect()
}

/// `metadata.labels` or `metadata.annotations` of a template, as a tree that can be added to.
pub fn template_map<'a>(template: &'a mut Value, field: &str) -> &'a mut serde_json::Map<String, Value> {
    for step in ["metadata", field] {
        // Reached below through the same path.
        let place = if step == "metadata" {
            &mut *template
        } else {
            &mut template["metadata"]
        };
        if !place.is_object() {
            *place = json!({});
        }
        if !place[step].is_object() {
            place[step] = json!({});
        }
    }
    match &mut template["metadata"][field] {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}
