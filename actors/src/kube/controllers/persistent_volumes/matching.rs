//! Which volume fits a claim (kubernetes: `staging/src/k8s.io/component-helpers/storage/volume/pv_helpers.go`, `FindMatchingVolume`).

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{ClaimReference, text};
use crate::kube::controllers::kinds::KINDS;
use crate::kube::object::Object;
use crate::kube::quantity::Quantity;
use crate::kube::selector::LabelSelector;
use crate::kube::store::Store;

/// The class in the form that it had before it was a field.
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// What a claim asks for.
pub(super) struct Wanted {
    /// `None` = not said, which is not the same as empty: it is for the default class.
    pub(super) class: Option<String>,
    modes: Vec<String>,
    volume_mode: String,
    size: Quantity,
    selector: Option<LabelSelector>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    storage_class_name: Option<String>,
    access_modes: Vec<String>,
    volume_mode: String,
    resources: Resources,
    selector: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Amount,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Amount {
    storage: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec {
    storage_class_name: String,
    access_modes: Vec<String>,
    volume_mode: String,
    capacity: Amount,
}

fn mode(mode: &str) -> &str {
    if mode.is_empty() { "Filesystem" } else { mode }
}

impl Wanted {
    pub(super) fn of(claim: &Object) -> Option<Self> {
        let spec: ClaimSpec = claim.read("spec")?;
        let old = claim.annotation(OLD_CLASS).map(str::to_owned);
        let selector = if spec.selector.is_null() {
            None
        } else {
            Some(LabelSelector::from_spec(&spec.selector)?)
        };
        Some(Self {
            class: old.or(spec.storage_class_name),
            modes: spec.access_modes,
            volume_mode: spec.volume_mode,
            size: Quantity::from_value(&spec.resources.requests.storage).unwrap_or_default(),
            selector,
        })
    }

    fn class(&self) -> &str {
        self.class.as_deref().unwrap_or("")
    }

    /// Whether the volume that the claim names will do, and if not, why.
    pub(super) fn is_met_by(&self, volume: &Object) -> Result<(), &'static str> {
        let spec: VolumeSpec = volume.read("spec").unwrap_or_default();
        if Quantity::from_value(&spec.capacity.storage).unwrap_or_default() < self.size {
            return Err("requested PV is too small");
        }
        if class_of(volume, &spec) != self.class() {
            return Err("storageClassName does not match");
        }
        if mode(&spec.volume_mode) != mode(&self.volume_mode) {
            return Err("incompatible volumeMode");
        }
        if !self.modes.iter().all(|mode| spec.access_modes.contains(mode)) {
            return Err("incompatible accessMode");
        }
        Ok(())
    }
}

fn class_of(volume: &Object, spec: &VolumeSpec) -> String {
    let old = volume.annotation(OLD_CLASS).map(str::to_owned);
    old.unwrap_or_else(|| spec.storage_class_name.clone())
}

/// The volume that names the claim, or the smallest free one that fits; `only_named` = only the first.
pub(super) fn find(store: &Store, claim: &Object, wanted: &Wanted, only_named: bool) -> Option<Arc<Object>> {
    let mut best: Option<(Quantity, &Arc<Object>)> = None;
    for volume in store
        .all(&KINDS.volumes, None)
        .filter(|volume| !volume.is_terminating())
    {
        let spec: VolumeSpec = volume.read("spec").unwrap_or_default();
        let size = Quantity::from_value(&spec.capacity.storage).unwrap_or_default();
        let fits = size >= wanted.size
            && mode(&spec.volume_mode) == mode(&wanted.volume_mode)
            && wanted.modes.iter().all(|mode| spec.access_modes.contains(mode));
        if !fits {
            continue;
        }
        if let Some(reference) = ClaimReference::of(volume) {
            if reference.is(claim) {
                return Some(Arc::clone(volume));
            }
            continue;
        }
        let selected = wanted
            .selector
            .as_ref()
            .is_none_or(|selector| selector.matches_object(volume));
        let free = text(volume, &["status", "phase"]) == "Available";
        if only_named || !selected || !free || class_of(volume, &spec) != wanted.class() {
            continue;
        }
        if best.is_none_or(|(smallest, _)| size < smallest) {
            best = Some((size, volume));
        }
    }
    best.map(|(_, volume)| Arc::clone(volume))
}
