//! Lists of conditions in a status, as trees: those that others wrote stay as they are.

use serde_json::{Map, Value, json};

/// What one condition is to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Condition<'a> {
    /// `type`.
    pub(crate) kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: &'a str,
    /// A word in CamelCase; empty = none.
    pub(crate) reason: &'a str,
    /// For people; empty = none.
    pub(crate) message: &'a str,
}

/// The condition of that type.
pub(crate) fn get<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions.iter().find(|condition| condition["type"] == kind)
}

/// A text of a condition, empty if it has none.
pub(crate) fn text<'a>(condition: &'a Value, field: &str) -> &'a str {
    condition.get(field).and_then(Value::as_str).unwrap_or("")
}

/// Whether the condition of that type is `True`.
pub(crate) fn is_true(conditions: &[Value], kind: &str) -> bool {
    get(conditions, kind).is_some_and(|condition| condition["status"] == "True")
}

/// Writes a condition, in its place or at the end. `lastTransitionTime` moves to `now` with the status only.
pub(crate) fn set(conditions: &mut Vec<Value>, wanted: Condition<'_>, now: &str) {
    let place = conditions
        .iter()
        .position(|condition| condition["type"] == wanted.kind);
    let mut condition = match place.and_then(|place| conditions.get_mut(place)) {
        Some(Value::Object(map)) => std::mem::take(map),
        _ => Map::new(),
    };
    if condition
        .get("status")
        .is_none_or(|status| status != wanted.status)
        || !condition.contains_key("lastTransitionTime")
    {
        condition.insert("lastTransitionTime".to_owned(), now.into());
    }
    condition.insert("type".to_owned(), wanted.kind.into());
    condition.insert("status".to_owned(), wanted.status.into());
    for (field, text) in [("reason", wanted.reason), ("message", wanted.message)] {
        if text.is_empty() {
            condition.remove(field);
        } else {
            condition.insert(field.to_owned(), text.into());
        }
    }
    match place.and_then(|place| conditions.get_mut(place)) {
        Some(old) => *old = Value::Object(condition),
        None => conditions.push(Value::Object(condition)),
    }
}

/// The list of conditions in a status, as the caller may change it.
pub(crate) fn of(status: &mut Map<String, Value>) -> &mut Vec<Value> {
    let list = status.entry("conditions").or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    match list {
        Value::Array(list) => list,
        _ => unreachable!("it was just made a list"),
    }
}

/// The object under `key`, made if there is none.
pub(crate) fn object<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = map.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_moves_with_the_status_only() {
        let mut list = vec![json!({"type": "Other", "status": "True"})];
        let ready = Condition {
            kind: "Ready",
            status: "False",
            reason: "Starting",
            message: "",
        };
        set(&mut list, ready, "1");
        set(
            &mut list,
            Condition {
                message: "still",
                ..ready
            },
            "2",
        );
        assert_eq!(get(&list, "Ready").unwrap()["lastTransitionTime"], "1");
        assert_eq!(text(&list[1], "message"), "still");
        let done = Condition {
            status: "True",
            reason: "",
            ..ready
        };
        set(&mut list, done, "3");
        assert_eq!(
            list[1],
            json!({"type": "Ready", "status": "True", "lastTransitionTime": "3"})
        );
        assert!(is_true(&list, "Ready") && is_true(&list, "Other") && list.len() == 2);
    }
}
