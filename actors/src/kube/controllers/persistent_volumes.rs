//! Claims are bound to the volumes that are there (kubernetes: `pkg/controller/volume/persistentvolume/pv_controller.go`).
//!
//! Nothing provisions: a claim whose class names a provisioner gets the annotations and the event with which it waits for one, and stays
//! pending until somebody makes a volume for it. The choice of a node for `WaitForFirstConsumer` is the scheduler's: a claim with such a
//! class waits for `volume.kubernetes.io/selected-node`, or for a volume that names it.

mod matching;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::conditions::object;
use super::events::EventType;
use super::kinds::{KINDS, about};
use super::workload::{Reporter, now_text, options};
use crate::kube::controller::{Context, Controller, Key};
use crate::kube::object::Object;
use crate::kube::resource::Resource;
use crate::kube::status::{Status, quote};
use crate::kube::store::{Change, Changed, Part, Store};

use matching::Wanted;

/// On claims that were bound once.
const BOUND: &str = "pv.kubernetes.io/bind-completed";
/// On claims and volumes that the controller brought together, not their makers.
const BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// On volumes that a provisioner made.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Who is to provision, on claims; the second is the older name.
const PROVISIONER: [&str; 2] = [
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
];
/// The node that the scheduler chose.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On the class for claims that name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The provisioner of classes that have none.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
const COMPONENT: &str = "persistentvolume-controller";

/// Binds claims. Its keys are claims.
#[derive(Debug)]
pub struct VolumeClaims;

/// Tells the phase of volumes. Its keys are volumes.
#[derive(Debug)]
pub struct Volumes;

/// `PersistentVolume.spec.claimRef`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ClaimReference {
    namespace: String,
    name: String,
    uid: String,
}

impl ClaimReference {
    fn of(volume: &Object) -> Option<Self> {
        serde_json::from_value(volume.at(&["spec", "claimRef"])?).ok()
    }

    /// Whether it means the claim, or one of its name before it had a uid.
    fn is(&self, claim: &Object) -> bool {
        Some(&*self.namespace) == claim.namespace()
            && self.name == claim.name()
            && (self.uid.is_empty() || self.uid == claim.uid_text())
    }
}

fn text(object: &Object, path: &[&str]) -> String {
    let value = object.at(path).unwrap_or_default();
    value.as_str().unwrap_or("").to_owned()
}

fn volume_name(claim: &Object) -> String {
    text(claim, &["spec", "volumeName"])
}

impl Controller for VolumeClaims {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.volume_claims) {
            let same = match &change.changed {
                Changed::Modified(before) => {
                    before.section_text("spec") == object.section_text("spec")
                        && before.head == object.head
                        && text(before, &["status", "phase"]) == text(object, &["status", "phase"])
                }
                Changed::Added => false,
                Changed::Deleted(_) => true,
            };
            if !same {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.volumes) {
            if let Some(reference) = ClaimReference::of(object) {
                look_at(Key::new(Some(&reference.namespace), &reference.name));
            }
            let free = text(object, &["status", "phase"]) == "Available";
            for claim in store.all(&KINDS.volume_claims, None) {
                let name = volume_name(claim);
                if name == object.name() || (free && name.is_empty()) {
                    look_at(Key::of(claim));
                }
            }
        } else if about(change, &KINDS.storage_classes) && !matches!(change.changed, Changed::Deleted(_)) {
            let claims = store.all(&KINDS.volume_claims, None);
            claims
                .filter(|claim| volume_name(claim).is_empty())
                .for_each(|claim| look_at(Key::of(claim)));
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(claim) = store
            .find(&KINDS.volume_claims, key.namespace(), &key.name)
            .cloned()
        else {
            return Ok(None);
        };
        if claim.annotation(BOUND).is_some() {
            bound(store, context, &claim)?;
        } else {
            unbound(store, context, &claim)?;
        }
        Ok(None)
    }
}

fn tell(
    store: &mut Store,
    context: &Context<'_>,
    claim: &Arc<Object>,
    kind: EventType,
    reason: &str,
    message: &str,
) {
    let reporter = Reporter {
        component: COMPONENT,
        resource: &KINDS.volume_claims,
        object: claim,
    };
    reporter.event(store, context, kind, reason, message);
}

/// A claim that was bound before.
fn bound(store: &mut Store, context: &Context<'_>, claim: &Arc<Object>) -> Result<(), Status> {
    let name = volume_name(claim);
    let volume = store.find(&KINDS.volumes, None, &name).cloned();
    let (reason, message) = match volume {
        _ if name.is_empty() => (
            "ClaimLost",
            "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
        ),
        None => (
            "ClaimLost",
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        ),
        Some(volume) => {
            let reference = ClaimReference::of(&volume);
            if reference.is_none_or(|reference| reference.uid == claim.uid_text()) {
                return bind(store, context, &volume, claim);
            }
            (
                "ClaimMisbound",
                "Two claims are bound to the same volume, this one is bound incorrectly",
            )
        }
    };
    if claim_status(store, context, claim, "Lost", None)? {
        tell(store, context, claim, EventType::Warning, reason, message);
    }
    Ok(())
}

/// A claim that has no volume yet.
fn unbound(store: &mut Store, context: &Context<'_>, claim: &Arc<Object>) -> Result<(), Status> {
    let Some(wanted) = Wanted::of(claim) else {
        return Ok(());
    };
    let name = volume_name(claim);
    if !name.is_empty() {
        return requested(store, context, claim, &wanted, &name);
    }
    let class = wanted.class.as_deref().filter(|class| !class.is_empty());
    let class_object = class.and_then(|class| store.find(&KINDS.storage_classes, None, class).cloned());
    let waits = class_object.as_deref().is_some_and(|class| {
        let mode: String = class.read("volumeBindingMode").unwrap_or_default();
        mode == "WaitForFirstConsumer"
    }) && claim.annotation(SELECTED_NODE).is_none();
    if let Some(volume) = matching::find(store, claim, &wanted, waits) {
        return bind(store, context, &volume, claim);
    }
    if wanted.class.is_none()
        && let Some(default) = default_class(store)
    {
        let mut draft = claim.draft();
        object(&mut draft.body, "spec").insert("storageClassName".to_owned(), default.into());
        return store
            .replace(&KINDS.volume_claims, Part::Main, draft, options(context))
            .map(drop);
    }
    match (class, class_object) {
        _ if waits => {
            let message = "waiting for first consumer to be created before binding";
            tell(
                store,
                context,
                claim,
                EventType::Normal,
                "WaitForFirstConsumer",
                message,
            );
        }
        (Some(_), Some(class)) => wait_for_provisioner(store, context, claim, &class)?,
        (Some(class), None) => {
            let message = format!("storageclass.storage.k8s.io {} not found", quote(class));
            tell(
                store,
                context,
                claim,
                EventType::Warning,
                "ProvisioningFailed",
                &message,
            );
        }
        (None, _) => {
            let message = "no persistent volumes available for this claim and no storage class is set";
            tell(store, context, claim, EventType::Normal, "FailedBinding", message);
        }
    }
    claim_status(store, context, claim, "Pending", None).map(drop)
}

/// The name of the default class, the newest if there are several.
fn default_class(store: &Store) -> Option<String> {
    store
        .all(&KINDS.storage_classes, None)
        .filter(|class| class.annotation(DEFAULT_CLASS) == Some("true") && !class.is_terminating())
        .max_by(|one, two| {
            one.created
                .cmp(&two.created)
                .then_with(|| two.name().cmp(one.name()))
        })
        .map(|class| class.name().to_owned())
}

/// Says in the claim who is to make a volume.
fn wait_for_provisioner(
    store: &mut Store,
    context: &Context<'_>,
    claim: &Arc<Object>,
    class: &Object,
) -> Result<(), Status> {
    let provisioner: String = class.read("provisioner").unwrap_or_default();
    if provisioner == NO_PROVISIONER {
        return Ok(());
    }
    let mut claim = Arc::clone(claim);
    if PROVISIONER
        .iter()
        .any(|key| claim.annotation(key) != Some(&provisioner))
    {
        let mut draft = claim.draft();
        for key in PROVISIONER {
            draft.meta.annotations.insert(key.to_owned(), provisioner.clone());
        }
        claim = store
            .replace(&KINDS.volume_claims, Part::Main, draft, options(context))?
            .object;
    }
    let message = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. \
         If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    tell(
        store,
        context,
        &claim,
        EventType::Normal,
        "ExternalProvisioning",
        &message,
    );
    Ok(())
}

/// A claim that names its volume.
fn requested(
    store: &mut Store,
    context: &Context<'_>,
    claim: &Arc<Object>,
    wanted: &Wanted,
    name: &str,
) -> Result<(), Status> {
    if let Some(volume) = store.find(&KINDS.volumes, None, name).cloned() {
        match ClaimReference::of(&volume) {
            Some(reference) if reference.is(claim) => return bind(store, context, &volume, claim),
            None => {
                let Err(why) = wanted.is_met_by(&volume) else {
                    return bind(store, context, &volume, claim);
                };
                let message = format!("Cannot bind to requested volume {}: {why}", quote(name));
                tell(
                    store,
                    context,
                    claim,
                    EventType::Warning,
                    "VolumeMismatch",
                    &message,
                );
            }
            Some(_) => {
                let message = format!("volume {} already bound to a different claim.", quote(name));
                tell(
                    store,
                    context,
                    claim,
                    EventType::Warning,
                    "FailedBinding",
                    &message,
                );
            }
        }
    }
    claim_status(store, context, claim, "Pending", None).map(drop)
}

/// Brings both together: volume, its phase, claim, its phase. What is done already is left out.
fn bind(
    store: &mut Store,
    context: &Context<'_>,
    volume: &Arc<Object>,
    claim: &Arc<Object>,
) -> Result<(), Status> {
    let mut volume = Arc::clone(volume);
    let reference = ClaimReference::of(&volume);
    let uid = claim.uid_text();
    if reference
        .as_ref()
        .is_none_or(|reference| !reference.is(claim) || reference.uid != uid)
    {
        let mut draft = volume.draft();
        if reference.is_none_or(|reference| !reference.is(claim)) {
            draft
                .meta
                .annotations
                .insert(BY_CONTROLLER.to_owned(), "yes".to_owned());
        }
        let reference = json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": claim.namespace(),
            "name": claim.name(), "uid": uid, "resourceVersion": claim.resource_version.to_string()});
        object(&mut draft.body, "spec").insert("claimRef".to_owned(), reference);
        volume = store
            .replace(&KINDS.volumes, Part::Main, draft, options(context))?
            .object;
    }
    volume_phase(store, context, &volume, "Bound", "")?;
    let mut claim = Arc::clone(claim);
    let named = volume_name(&claim) == volume.name();
    if !named || claim.annotation(BOUND).is_none() {
        let mut draft = claim.draft();
        let annotations = &mut draft.meta.annotations;
        annotations.insert(BOUND.to_owned(), "yes".to_owned());
        if !named {
            annotations.insert(BY_CONTROLLER.to_owned(), "yes".to_owned());
            object(&mut draft.body, "spec").insert("volumeName".to_owned(), volume.name().into());
        }
        claim = store
            .replace(&KINDS.volume_claims, Part::Main, draft, options(context))?
            .object;
    }
    claim_status(store, context, &claim, "Bound", Some(&volume)).map(drop)
}

/// Writes the phase of a claim and what it got. Says whether the phase is another one.
fn claim_status(
    store: &mut Store,
    context: &Context<'_>,
    claim: &Object,
    phase: &str,
    volume: Option<&Object>,
) -> Result<bool, Status> {
    let given = |field: &str| volume.and_then(|volume| volume.at(&["spec", field]));
    let before = text(claim, &["status", "phase"]);
    update(store, context, &KINDS.volume_claims, claim, |status| {
        status.insert("phase".to_owned(), phase.into());
        for field in ["accessModes", "capacity"] {
            match given(field) {
                Some(value) => status.insert(field.to_owned(), value),
                None => status.remove(field),
            };
        }
    })?;
    Ok(before != phase)
}

/// Writes the phase of a volume.
fn volume_phase(
    store: &mut Store,
    context: &Context<'_>,
    volume: &Object,
    phase: &str,
    message: &str,
) -> Result<(), Status> {
    if text(volume, &["status", "phase"]) == phase {
        return Ok(());
    }
    update(store, context, &KINDS.volumes, volume, |status| {
        status.insert("phase".to_owned(), phase.into());
        status.insert("lastPhaseTransitionTime".to_owned(), now_text(context).into());
        if message.is_empty() {
            status.remove("message");
        } else {
            status.insert("message".to_owned(), message.into());
        }
    })
}

fn update(
    store: &mut Store,
    context: &Context<'_>,
    resource: &Arc<Resource>,
    of: &Object,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<(), Status> {
    let Some(present) = store
        .find(resource, of.namespace(), of.name())
        .filter(|present| present.uid == of.uid)
    else {
        return Ok(());
    };
    let mut draft = present.draft();
    let status = object(&mut draft.body, "status");
    let before = status.clone();
    change(status);
    if *status == before {
        return Ok(());
    }
    store
        .replace(resource, Part::Status, draft, options(context))
        .map(drop)
}

impl Controller for Volumes {
    fn name(&self) -> &'static str {
        COMPONENT
    }

    fn observe(&self, store: &Store, change: &Change, look_at: &mut dyn FnMut(Key)) {
        let object = &change.object;
        if about(change, &KINDS.volumes) {
            if !matches!(change.changed, Changed::Deleted(_)) {
                look_at(Key::of(object));
            }
        } else if about(change, &KINDS.volume_claims) {
            let name = volume_name(object);
            if !name.is_empty() {
                look_at(Key::new(None, &name));
            }
            if matches!(change.changed, Changed::Deleted(_)) {
                for volume in store.all(&KINDS.volumes, None) {
                    if ClaimReference::of(volume).is_some_and(|reference| reference.is(object)) {
                        look_at(Key::of(volume));
                    }
                }
            }
        }
    }

    fn reconcile(
        &self,
        store: &mut Store,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Duration>, Status> {
        let Some(volume) = store.find(&KINDS.volumes, None, &key.name).cloned() else {
            return Ok(None);
        };
        let Some(reference) = ClaimReference::of(&volume).filter(|reference| !reference.uid.is_empty())
        else {
            volume_phase(store, context, &volume, "Available", "")?;
            return Ok(None);
        };
        let claim = store
            .find(&KINDS.volume_claims, Some(&reference.namespace), &reference.name)
            .filter(|claim| claim.uid_text() == reference.uid);
        match claim.map(|claim| volume_name(claim)) {
            None => release(store, context, &volume)?,
            // The look at the claim finishes it.
            Some(name) if name.is_empty() => {}
            Some(name) if name == volume.name() => volume_phase(store, context, &volume, "Bound", "")?,
            Some(_) => unbind(store, context, &volume)?,
        }
        Ok(None)
    }
}

/// The claim is gone.
fn release(store: &mut Store, context: &Context<'_>, volume: &Arc<Object>) -> Result<(), Status> {
    let phase = text(volume, &["status", "phase"]);
    if phase == "Failed" {
        return Ok(());
    }
    let deletes = text(volume, &["spec", "persistentVolumeReclaimPolicy"]) == "Delete";
    // Whoever made the volume deletes it.
    if !deletes || volume.annotation(PROVISIONED_BY).is_some() {
        return volume_phase(store, context, volume, "Released", "");
    }
    let message = format!(
        "error getting deleter volume plugin for volume {}: no deletable volume plugin matched",
        quote(volume.name())
    );
    volume_phase(store, context, volume, "Failed", &message)?;
    let reporter = Reporter {
        component: COMPONENT,
        resource: &KINDS.volumes,
        object: volume,
    };
    reporter.event(store, context, EventType::Warning, "VolumeFailedDelete", &message);
    Ok(())
}

/// The claim has another volume.
fn unbind(store: &mut Store, context: &Context<'_>, volume: &Object) -> Result<(), Status> {
    let mut draft = volume.draft();
    let by_controller = draft.meta.annotations.remove(BY_CONTROLLER).is_some();
    let spec = object(&mut draft.body, "spec");
    if by_controller {
        spec.remove("claimRef");
    } else if let Some(reference) = spec.get_mut("claimRef").and_then(Value::as_object_mut) {
        reference.remove("uid");
    }
    let written = store.replace(&KINDS.volumes, Part::Main, draft, options(context))?;
    volume_phase(store, context, &written.object, "Available", "")
}
