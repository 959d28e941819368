//! Objects and field sets: which fields an object has, how two differ, how they merge (structured-merge-diff: `typed`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::set::{FieldSet, Step};
use crate::kube::structure::Shape;

/// The step to an item of a list. A keyed item that lacks a key counts as having `null` there.
pub(super) fn step_of(item: &Value, shape: &Shape) -> Step {
    match shape {
        Shape::Keyed { keys, .. } => {
            let fields: BTreeMap<&str, Value> = keys
                .iter()
                .map(|key| {
                    let value = item.get(&*key.name).filter(|value| !value.is_null());
                    let value = value.cloned().or_else(|| key.default.clone());
                    (&*key.name, value.unwrap_or_default())
                })
                .collect();
            Step::key(&fields)
        }
        _ => Step::Value(item.to_string().into()),
    }
}

/// Keys that an item of a keyed list lacks, at any depth: path and key.
pub(super) fn missing_keys(value: &Value, shape: &Shape, path: &mut Vec<Step>, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                path.push(Step::Field(name.as_str().into()));
                missing_keys(value, &shape.field(name), path, found);
                path.pop();
            }
        }
        Value::Array(items) if !shape.is_atomic(true) => {
            let mut seen = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                if let Shape::Keyed { keys, .. } = shape {
                    let absent = keys
                        .iter()
                        .find(|key| key.default.is_none() && item.get(&*key.name).is_none_or(Value::is_null));
                    if let Some(key) = absent {
                        let at: String = path.iter().map(ToString::to_string).collect();
                        found.push(format!(
                            "{at}: element {index}: associative list with keys has an element that omits key field {:?} (and doesn't have default value)",
                            key.name
                        ));
                        continue;
                    }
                }
                let step = step_of(item, shape);
                if !seen.insert(step.clone()) {
                    let at: String = path.iter().map(ToString::to_string).collect();
                    found.push(format!("{at}: duplicate entries for key {step}"));
                }
                path.push(step);
                missing_keys(item, &shape.item(), path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

/// The fields that an object has.
pub(super) fn field_set(value: &Value, shape: &Shape) -> FieldSet {
    let mut set = FieldSet::default();
    add_fields(value, shape, &mut Vec::new(), &mut set);
    set
}

fn add_fields(value: &Value, shape: &Shape, path: &mut Vec<Step>, set: &mut FieldSet) {
    match value {
        Value::Object(map) if !shape.is_atomic(false) => {
            for (name, value) in map {
                path.push(Step::Field(name.as_str().into()));
                add_fields(value, &shape.field(name), path, set);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if empty || !shape.has_named_fields() {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Value::Array(items) if !shape.is_atomic(true) => {
            for item in items {
                path.push(step_of(item, shape));
                add_fields(item, &shape.item(), path, set);
                set.insert(path);
                path.pop();
            }
        }
        _ => set.insert(path),
    }
}

/// How two objects differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
}

/// What differs between `old` and `new`.
pub(super) fn compare(old: &Value, new: &Value, shape: &Shape) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(Some(old), Some(new), shape, &mut Vec::new(), &mut comparison);
    comparison
}

fn compare_at(
    old: Option<&Value>,
    new: Option<&Value>,
    shape: &Shape,
    path: &mut Vec<Step>,
    found: &mut Comparison,
) {
    let absent = |value: Option<&Value>| value.is_none_or(Value::is_null);
    let maps = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    let lists = (old.and_then(Value::as_array), new.and_then(Value::as_array));
    let is_map = (maps.0.is_some() || absent(old)) && (maps.1.is_some() || absent(new));
    let is_list = (lists.0.is_some() || absent(old)) && (lists.1.is_some() || absent(new));
    let (old_map, new_map) = (
        maps.0.filter(|map| !map.is_empty()),
        maps.1.filter(|map| !map.is_empty()),
    );
    let (old_list, new_list) = (
        lists.0.filter(|list| !list.is_empty()),
        lists.1.filter(|list| !list.is_empty()),
    );
    if is_map && (old_map.is_some() || new_map.is_some()) && !shape.is_atomic(false) {
        let names: BTreeSet<&String> = [old_map, new_map]
            .into_iter()
            .flatten()
            .flat_map(Map::keys)
            .collect();
        for name in names {
            path.push(Step::Field(name.as_str().into()));
            let sides = (
                old_map.and_then(|map| map.get(name)),
                new_map.and_then(|map| map.get(name)),
            );
            compare_at(sides.0, sides.1, &shape.field(name), path, found);
            path.pop();
        }
    } else if is_list && (old_list.is_some() || new_list.is_some()) && !shape.is_atomic(true) {
        let index = |list: Option<&Vec<Value>>| -> BTreeMap<Step, Value> {
            let mut items = BTreeMap::new();
            for item in list.into_iter().flatten() {
                items.entry(step_of(item, shape)).or_insert_with(|| item.clone());
            }
            items
        };
        let (old_items, new_items) = (index(old_list), index(new_list));
        let steps: BTreeSet<&Step> = old_items.keys().chain(new_items.keys()).collect();
        for step in steps {
            path.push(step.clone());
            compare_at(
                old_items.get(step),
                new_items.get(step),
                &shape.item(),
                path,
                found,
            );
            path.pop();
        }
    } else {
        match (old, new) {
            (None, _) => found.added.insert(path),
            (_, None) => found.removed.insert(path),
            (Some(old), Some(new)) if old != new => found.modified.insert(path),
            _ => {}
        }
        return;
    }
    if old.is_none() {
        found.added.insert(path);
    } else if new.is_none() {
        found.removed.insert(path);
    }
}

/// `live` with the fields of `config` laid over it.
pub(super) fn merge(live: &Value, config: &Value, shape: &Shape) -> Value {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if !shape.is_atomic(false) => {
            let mut merged = live.clone();
            for (name, value) in config {
                let value = match live.get(name) {
                    Some(old) => merge(old, value, &shape.field(name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(config)) if !shape.is_atomic(true) => {
            Value::Array(merge_lists(live, config, shape))
        }
        // A null leaves granular maps and lists as they are.
        (Value::Object(_), Value::Null) if !shape.is_atomic(false) => live.clone(),
        (Value::Array(_), Value::Null) if !shape.is_atomic(true) => live.clone(),
        _ => config.clone(),
    }
}

/// Merges keyed lists and sets. Items of both sides come in the configuration's order, items of the live side alone stay where
/// they stand between them.
fn merge_lists(live: &[Value], config: &[Value], shape: &Shape) -> Vec<Value> {
    let steps = |items: &[Value]| -> Vec<Step> { items.iter().map(|item| step_of(item, shape)).collect() };
    let (live_steps, config_steps) = (steps(live), steps(config));
    let in_config: BTreeSet<&Step> = config_steps.iter().collect();
    let place: BTreeMap<&Step, usize> = live_steps
        .iter()
        .enumerate()
        .map(|(index, step)| (step, index))
        .collect();
    let mut shared = config_steps.iter().filter(|step| place.contains_key(step));
    let mut next_shared = shared.next();
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    let mut done: BTreeSet<&Step> = BTreeSet::new();
    let (mut left, mut right) = (0, 0);
    while left < live.len() || right < config.len() {
        let (live_step, config_step) = (live_steps.get(left), config_steps.get(right));
        if let Some(step) = live_step {
            if !in_config.contains(step) {
                merged.extend(live.get(left).cloned());
                left += 1;
                continue;
            }
            let waiting = config_step != Some(step) && next_shared.is_some_and(|next| next != step);
            if done.contains(step) || (config_step.is_some() && waiting) {
                left += 1;
                continue;
            }
        }
        let (Some(step), Some(item)) = (config_step, config.get(right)) else {
            left += 1;
            continue;
        };
        if done.insert(step) {
            let old = place.get(step).and_then(|index| live.get(*index));
            merged.push(old.map_or_else(|| item.clone(), |old| merge(old, item, &shape.item())));
            if next_shared == Some(step) {
                next_shared = shared.next();
            }
        }
        if live_step == Some(step) {
            left += 1;
        }
        right += 1;
    }
    merged
}

/// The value without the fields in `set`; `None` when nothing is left.
pub(super) fn remove(value: &Value, shape: &Shape, set: &FieldSet) -> Option<Value> {
    match value {
        Value::Object(map) => {
            if map.is_empty() || shape.is_atomic(false) {
                return None;
            }
            let mut kept = Map::new();
            for (name, value) in map {
                let step = Step::Field(name.as_str().into());
                if set.has(&step) {
                    continue;
                }
                let value = match set.below(&step) {
                    Some(below) => remove(value, &shape.field(name), below),
                    None => Some(value.clone()),
                };
                if let Some(value) = value {
                    kept.insert(name.clone(), value);
                }
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            if items.is_empty() || shape.is_atomic(true) {
                return None;
            }
            let mut kept = Vec::new();
            for item in items {
                let step = step_of(item, shape);
                if set.has(&step) {
                    continue;
                }
                let item = match set.below(&step) {
                    Some(below) => remove(item, &shape.item(), below),
                    None => Some(item.clone()),
                };
                kept.extend(item);
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        scalar => Some(scalar.clone()),
    }
}
