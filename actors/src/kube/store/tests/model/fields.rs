//! Who owns which field, for objects that are flat: labels, annotations and `data` of config maps.

use super::*;

/// Fields and their values.
pub(super) type Flat = BTreeMap<String, String>;
/// What tells the entries of the account apart: manager and operation.
pub(super) type Owner = (String, String);

const MAPS: [(&str, &str, &str); 3] = [
    ("labels", "/metadata/labels", "/f:metadata/f:labels"),
    (
        "annotations",
        "/metadata/annotations",
        "/f:metadata/f:annotations",
    ),
    ("data", "/data", "/f:data"),
];

/// The flat fields of an object or a configuration.
pub(super) fn flat(value: &Value) -> Flat {
    let mut found = Flat::new();
    for (map, pointer, _) in MAPS {
        let entries = value.pointer(pointer).and_then(Value::as_object);
        for (key, value) in entries.into_iter().flatten() {
            found.insert(format!("{map}.{key}"), value.as_str().unwrap_or("").to_owned());
        }
    }
    found
}

/// The flat fields that each entry of `managedFields` names.
pub(super) fn owners(value: &Value) -> BTreeMap<Owner, BTreeSet<String>> {
    let mut owners = BTreeMap::new();
    let entries = value.pointer("/metadata/managedFields").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let mut owned = BTreeSet::new();
        for (map, _, pointer) in MAPS {
            let fields = entry["fieldsV1"].pointer(pointer).and_then(Value::as_object);
            for key in fields.into_iter().flat_map(|map| map.keys()) {
                if let Some(name) = key.strip_prefix("f:") {
                    owned.insert(format!("{map}.{name}"));
                }
            }
        }
        let owner = (
            text(entry, "/manager").to_owned(),
            text(entry, "/operation").to_owned(),
        );
        let twin = owners.insert(owner, owned);
        assert_eq!(twin, None, "one entry for each manager");
    }
    owners
}

/// What an apply makes of the fields and of their owners, or the number of conflicts.
pub(super) fn applied(
    live: Option<&Value>,
    config: &Value,
    manager: &str,
    force: bool,
) -> Result<(Flat, BTreeMap<Owner, BTreeSet<String>>), usize> {
    let (config, mut fields) = (flat(config), live.map(flat).unwrap_or_default());
    let mut owners = live.map(owners).unwrap_or_default();
    let accounted = live.is_none_or(|live| live.pointer("/metadata/managedFields").is_some());
    if !accounted {
        let before = ("before-first-apply".to_owned(), "Update".to_owned());
        owners.insert(before, fields.keys().cloned().collect());
    }
    let own = (manager.to_owned(), "Apply".to_owned());
    let changed: BTreeSet<String> = config
        .iter()
        .filter(|(field, value)| fields.get(*field) != Some(value))
        .map(|(field, _)| field.clone())
        .collect();
    let others = owners.iter().filter(|(owner, _)| **owner != own);
    let conflicts: usize = others
        .map(|(_, owned)| owned.intersection(&changed).count())
        .sum();
    if conflicts > 0 && !force {
        return Err(conflicts);
    }
    let last = owners.remove(&own).unwrap_or_default();
    for owned in owners.values_mut() {
        owned.retain(|field| !changed.contains(field));
    }
    let shared: BTreeSet<String> = owners.values().flatten().cloned().collect();
    fields.retain(|field, _| !last.contains(field) || config.contains_key(field) || shared.contains(field));
    owners.insert(own, config.keys().cloned().collect());
    owners.retain(|_, owned| !owned.is_empty());
    fields.extend(config);
    Ok((fields, owners))
}
