//! Named hardware profiles: inline or in files of their own, each laid over the built-in one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use metalsim_actors::node::profile::HardwareProfile;
use serde_json::Value;

use super::decode::Decoder;
use super::layers::{KeyPath, Origin, Tree, read_file};

/// The profile that is built in, and the one of nodes that name none.
pub const DEFAULT_PROFILE: &str = "generic-2u";

/// Decodes all profiles; wrong ones are noted in `settings` and left out.
pub(super) fn decode_all(
    raw: &BTreeMap<Box<str>, Value>,
    settings: &mut Decoder,
) -> BTreeMap<Box<str>, Arc<HardwareProfile>> {
    let mut profiles = BTreeMap::from([(DEFAULT_PROFILE.into(), Arc::new(HardwareProfile::default()))]);
    for (name, value) in raw {
        let path = KeyPath::of(&["profiles", name]);
        if let Some(profile) = decode(value, &path, settings) {
            profiles.insert(name.clone(), Arc::new(profile));
        }
    }
    profiles
}

fn decode(value: &Value, path: &KeyPath, settings: &mut Decoder) -> Option<HardwareProfile> {
    let defaults = match serde_json::to_value(HardwareProfile::default()) {
        Ok(defaults) => defaults,
        Err(error) => {
            settings.blame(path, &format!("the built-in profile cannot be printed: {error}"));
            return None;
        }
    };
    let (tree, prefix) = match value {
        Value::Object(_) => (settings.part(path, value.clone(), defaults.clone()), path.clone()),
        Value::String(text) => {
            let file = settings.file(path, text);
            match read_file(&file) {
                Ok(value) => {
                    let mut tree = Tree::new(defaults.clone());
                    tree.merge(value, &Origin::File(Arc::from(file.as_path())));
                    // Keys are the file's own.
                    (tree, KeyPath::default())
                }
                Err(problem) => {
                    settings.blame(path, &file_reason(&file, &problem.reason));
                    return None;
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            settings.blame(
                path,
                "expected a profile (a table) or the name of a file with one",
            );
            return None;
        }
    };
    let mut decoder = Decoder::new(tree, defaults, prefix);
    let profile = decoder.decode::<HardwareProfile>();
    if let Some(profile) = &profile {
        check(profile, &mut decoder);
    }
    let problems = decoder.into_problems();
    let usable = problems.is_empty();
    settings.extend(problems);
    profile.filter(|_| usable)
}

/// A message about another file than the one that names it.
pub(super) fn file_reason(file: &Path, reason: &str) -> String {
    format!("{}: {reason}", file.display())
}

/// What types cannot say about a profile.
fn check(profile: &HardwareProfile, decoder: &mut Decoder) {
    let root = KeyPath::default();
    let cpu = &profile.cpu;
    for (key, value) in [
        ("sockets", cpu.sockets),
        ("cores", cpu.cores),
        ("threads_per_core", cpu.threads_per_core),
    ] {
        if value == 0 || value > 4096 {
            decoder.blame(&root.key("cpu").key(key), "must be from 1 to 4096");
        }
    }
    if profile.memory_mib == 0 {
        decoder.blame(&root.key("memory_mib"), "must be above zero");
    }
    if profile.nics.is_empty() {
        decoder.blame(
            &root.key("nics"),
            "a node needs a network interface: Ironic finds it by its MAC address",
        );
    }
    let disks = root.key("disks");
    for (index, disk) in profile.disks.iter().enumerate() {
        if disk.size_bytes == 0 {
            decoder.blame(&disks.index(index).key("size_bytes"), "must be above zero");
        }
    }
    let boot_order = root.key("boot_order");
    for (index, target) in profile.boot_order.iter().enumerate() {
        if !HardwareProfile::BOOT_ORDER.contains(target) {
            let known = HardwareProfile::BOOT_ORDER
                .map(|target| format!("{target:?}"))
                .join(", ");
            decoder.blame(
                &boot_order.index(index),
                &format!("a boot order may name {known}"),
            );
        } else if profile
            .boot_order
            .iter()
            .take(index)
            .any(|earlier| earlier == target)
        {
            decoder.blame(&boot_order.index(index), &format!("{target:?} is there twice"));
        }
    }
    unique(
        decoder,
        &disks,
        "name",
        profile.disks.iter().map(|disk| &*disk.name),
    );
    unique(
        decoder,
        &root.key("nics"),
        "name",
        profile.nics.iter().map(|nic| &*nic.name),
    );
    unique(
        decoder,
        &root.key("virtual_media"),
        "id",
        profile.virtual_media.iter().map(|slot| &*slot.id),
    );
}

fn unique<'a>(decoder: &mut Decoder, list: &KeyPath, key: &str, names: impl Iterator<Item = &'a str>) {
    let mut known = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if name.is_empty() {
            decoder.blame(&list.index(index).key(key), "must not be empty");
        } else if !known.insert(name) {
            decoder.blame(&list.index(index).key(key), &format!("{name:?} is there twice"));
        }
    }
}
