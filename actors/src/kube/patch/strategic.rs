//! Strategic merge patch (kubernetes: `apimachinery/pkg/util/strategicpatch/patch.go`).
//!
//! A merge patch that knows lists: items are matched by a key that the kind's type names. Directives: `$patch` (`merge`, `replace`,
//! `delete`) in objects and items, `$retainKeys`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::kube::status::Status;
use crate::kube::structure::{Merge, Type};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// Applies a strategic merge patch to an object of the given layout.
///
/// # Errors
/// 400 for a malformed patch, in the server's words.
pub fn strategic(document: Value, patch: &Value, layout: &Arc<Type>) -> Result<Value, Status> {
    let (Value::Object(document), Value::Object(patch)) = (document, patch) else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    merge_map(document, patch, Some(layout)).map(Value::Object)
}

enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(map: &Map<String, Value>) -> Result<Directive, Status> {
    match map.get(PATCH).map(Value::as_str) {
        None | Some(Some("merge")) => Ok(Directive::Merge),
        Some(Some("replace")) => Ok(Directive::Replace),
        Some(Some("delete")) => Ok(Directive::Delete),
        Some(other) => Err(Status::bad_request(format!(
            "Unknown patch type [{}] in map: {}",
            other.unwrap_or(""),
            Value::Object(map.clone())
        ))),
    }
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>, Status> {
    value
        .as_array()
        .ok_or_else(|| Status::bad_request(format!("invalid patch format of {what}: not a list")))
}

fn merge_map(
    mut original: Map<String, Value>,
    patch: &Map<String, Value>,
    of: Option<&Arc<Type>>,
) -> Result<Map<String, Value>, Status> {
    match directive(patch)? {
        Directive::Merge => {}
        Directive::Replace => {
            let mut replaced = patch.clone();
            replaced.remove(PATCH);
            return Ok(replaced);
        }
        Directive::Delete => return Ok(Map::new()),
    }
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        retain_keys(&mut original, patch, list(keys, "retainKeys")?)?;
    }
    for (key, value) in patch {
        if key == PATCH || key == RETAIN_KEYS {
            continue;
        }
        if let Some(field) = key.strip_prefix(DELETE_FROM) {
            let gone = list(value, "primitive list")?;
            if let Some(items) = original.get_mut(field).and_then(Value::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        if let Some(field) = key.strip_prefix(SET_ORDER) {
            // With a patch of the list itself, the order is dealt with there.
            if !patch.contains_key(field)
                && let Some(items) = original.get_mut(field).and_then(Value::as_array_mut)
            {
                let order = list(value, "setElementOrder list")?;
                let merge = of
                    .and_then(|of| of.slot(field))
                    .and_then(|slot| slot.merge.as_ref());
                let server = items.clone();
                *items = ordered(std::mem::take(items), order, &server, merge);
            }
            continue;
        }
        if value.is_null() {
            original.remove(key);
            continue;
        }
        let slot = of.and_then(|of| of.slot(key));
        let inner = slot.and_then(|slot| slot.shape.inner());
        let merged = match (original.remove(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => Value::Object(merge_map(old, new, inner)?),
            (_, Value::Object(new)) => Value::Object(merge_map(Map::new(), new, inner)?),
            (old, Value::Array(new)) => {
                let old = match old {
                    Some(Value::Array(old)) => old,
                    _ => Vec::new(),
                };
                let order = patch.get(&format!("{SET_ORDER}{key}"));
                match slot.and_then(|slot| slot.merge.as_ref()) {
                    Some(merge) => Value::Array(merge_list(key, old, new, merge, inner, order)?),
                    None => Value::Array(plain_list(new)?),
                }
            }
            (_, scalar) => scalar.clone(),
        };
        original.insert(key.clone(), merged);
    }
    Ok(original)
}

/// Keeps only the named keys.
fn retain_keys(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    keys: &[Value],
) -> Result<(), Status> {
    let named = |key: &str| keys.iter().any(|name| name.as_str() == Some(key));
    let stray = patch
        .iter()
        .any(|(key, value)| !key.starts_with('$') && !value.is_null() && !named(key));
    if stray {
        return Err(Status::bad_request(
            "invalid patch format of retainKeys: patch contains fields that are not in the retainKeys list",
        ));
    }
    original.retain(|key, _| named(key));
    Ok(())
}

/// A list that replaces the old one. Lists of lists are fine here, directives are not.
fn plain_list(items: &[Value]) -> Result<Vec<Value>, Status> {
    items
        .iter()
        .filter(|item| {
            item.get(PATCH).is_none_or(|word| word != "replace")
                || item.as_object().is_none_or(|map| map.len() > 1)
        })
        .map(|item| match item {
            Value::Object(map) if map.contains_key(PATCH) => {
                let mut map = map.clone();
                map.remove(PATCH);
                Ok(Value::Object(map))
            }
            other => Ok(other.clone()),
        })
        .collect()
}

fn merge_list(
    field: &str,
    mut original: Vec<Value>,
    patch: &[Value],
    merge: &Merge,
    item: Option<&Arc<Type>>,
    order: Option<&Value>,
) -> Result<Vec<Value>, Status> {
    let server = original.clone();
    let mut plain: Vec<Value> = Vec::new();
    match merge {
        Merge::Scalars => {
            for value in patch {
                if value.is_object() || value.is_array() {
                    return Err(Status::bad_request(format!(
                        "invalid patch format of primitive list: {field} holds scalars only"
                    )));
                }
                if !original.contains(value) {
                    original.push(value.clone());
                }
                plain.push(value.clone());
            }
        }
        Merge::ByKey(key) => {
            let mut replace = false;
            for entry in patch {
                let Value::Object(entry) = entry else {
                    return Err(Status::bad_request(format!(
                        "expected an object in list {field}, found: {entry}"
                    )));
                };
                let value = entry.get(&**key);
                let missing = || {
                    Status::bad_request(format!(
                        "map: {} does not contain declared merge key: {key}",
                        Value::Object(entry.clone())
                    ))
                };
                match directive(entry)? {
                    Directive::Replace => replace = true,
                    Directive::Delete => {
                        let value = value.ok_or_else(missing)?;
                        original.retain(|old| old.get(&**key) != Some(value));
                    }
                    Directive::Merge => {
                        let mut entry = entry.clone();
                        entry.remove(PATCH);
                        if !entry.contains_key(&**key) {
                            return Err(missing());
                        }
                        plain.push(Value::Object(entry));
                    }
                }
            }
            if replace {
                return Ok(plain);
            }
            for entry in &plain {
                let (Value::Object(entry), value) = (entry, entry.get(&**key)) else {
                    continue;
                };
                let place = original.iter().position(|old| old.get(&**key) == value);
                match place.and_then(|place| original.get_mut(place)) {
                    Some(old) => {
                        let map = old.as_object().cloned().unwrap_or_default();
                        *old = Value::Object(merge_map(map, entry, item)?);
                    }
                    None => original.push(Value::Object(merge_map(Map::new(), entry, item)?)),
                }
            }
        }
    }
    let order = match order {
        Some(order) => {
            let order = list(order, "setElementOrder list")?;
            let stray = plain
                .iter()
                .any(|entry| position(order, entry, Some(merge)).is_none());
            if stray {
                return Err(Status::bad_request(format!(
                    "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                    Value::Array(plain),
                    Value::Array(order.clone())
                )));
            }
            order.clone()
        }
        None => plain,
    };
    Ok(ordered(original, &order, &server, Some(merge)))
}

/// The place in `list` of the item that is the same as `item` under the list's key.
fn position(list: &[Value], item: &Value, merge: Option<&Merge>) -> Option<usize> {
    list.iter().position(|other| match merge {
        Some(Merge::ByKey(key)) => other.get(&**key).is_some() && other.get(&**key) == item.get(&**key),
        _ => other == item,
    })
}

/// Items that `order` names come in that order; the others keep the server's, and stand between the first where both orders allow it.
fn ordered(items: Vec<Value>, order: &[Value], server: &[Value], merge: Option<&Merge>) -> Vec<Value> {
    let mut named: Vec<(Option<usize>, Value)> = Vec::new();
    let mut rest: Vec<(Option<usize>, Value)> = Vec::new();
    for item in items {
        match position(order, &item, merge) {
            Some(place) => named.push((Some(place), item)),
            None => rest.push((position(server, &item, merge), item)),
        }
    }
    named.sort_by_key(|(place, _)| *place);
    rest.sort_by_key(|(place, _)| place.unwrap_or(usize::MAX));
    let mut named = named
        .into_iter()
        .map(|(_, item)| (position(server, &item, merge), item))
        .peekable();
    let mut all = Vec::new();
    for (place, item) in rest {
        while let Some((other, _)) = named.peek() {
            let before = matches!((place, *other), (Some(place), Some(other)) if place < other);
            if before {
                break;
            }
            all.extend(named.next().map(|(_, item)| item));
        }
        all.push(item);
    }
    all.extend(named.map(|(_, item)| item));
    all
}
