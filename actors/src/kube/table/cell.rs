//! Texts in cells, and reading of the fields they come from. Fields are named by JSON pointers (RFC 6901).

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::kube::object::Text;

/// What stands for a missing value in most cells.
pub(super) const NONE: &str = "<none>";
/// What stands for an unset option.
pub(super) const UNSET: &str = "<unset>";

/// A text; empty when it is missing.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    maybe_text(value, pointer).unwrap_or_default()
}

/// A text, if there is one.
pub(super) fn maybe_text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// A number; 0 when it is missing.
pub(super) fn number(value: &Value, pointer: &str) -> i64 {
    maybe_number(value, pointer).unwrap_or_default()
}

/// A number, if there is one.
pub(super) fn maybe_number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// A flag; `false` when it is missing.
pub(super) fn flag(value: &Value, pointer: &str) -> bool {
    value
        .pointer(pointer)
        .and_then(Value::as_bool)
        .unwrap_or_default()
}

/// A list; empty when it is missing.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// `null` and what is missing are the same.
pub(super) fn set<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    value.pointer(pointer).filter(|found| !found.is_null())
}

/// The condition of that type.
pub(super) fn condition<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions
        .iter()
        .find(|condition| text(condition, "/type") == kind)
}

/// `word`, or `other` when it is empty.
pub(super) fn or<'a>(word: &'a str, other: &'a str) -> &'a str {
    if word.is_empty() { other } else { word }
}

/// Words with a separator between them.
pub(super) fn join<'a>(words: impl IntoIterator<Item = &'a str>, separator: &str) -> String {
    words.into_iter().collect::<Vec<_>>().join(separator)
}

/// A number or a text, as they stand: `IntOrString`.
pub(super) fn int_or_string(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// How many entries a map has, given as JSON text. Only the keys are looked at.
pub(super) fn entries(json: Option<&Text>) -> usize {
    json.and_then(|json| serde_json::from_str::<Option<BTreeMap<String, IgnoredAny>>>(&json.get()).ok()?)
        .map_or(0, |map| map.len())
}

/// How many elements a list has, given as JSON text.
pub(super) fn elements(json: Option<&Text>) -> usize {
    json.and_then(|json| serde_json::from_str::<Option<Vec<IgnoredAny>>>(&json.get()).ok()?)
        .map_or(0, |list| list.len())
}

/// A size as a number.
pub(super) fn count(size: usize) -> Value {
    Value::from(size)
}

/// `a=b,c=d`, sorted, or `<none>` (apimachinery: `pkg/labels/labels.go`, `FormatLabels`).
pub(super) fn labels(map: Option<&Value>) -> String {
    let mut pairs: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort_unstable();
    or(&pairs.join(","), NONE).to_owned()
}

/// A label selector of a spec, or `<none>` when it is missing or empty (apimachinery: `pkg/apis/meta/v1/helpers.go`, `FormatLabelSelector`).
pub(super) fn selector_or_none(selector: Option<&Value>) -> String {
    or(&selector_text(selector), NONE).to_owned()
}

/// A label selector of a spec: `a=b,c in (d,e),!f`, by key. `<error>` for an unknown operator.
pub(super) fn selector_text(selector: Option<&Value>) -> String {
    let Some(selector) = selector else {
        return String::new();
    };
    let mut terms: Vec<(&str, String)> = selector
        .get("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            let term = format!("{key}={}", value.as_str().unwrap_or_default());
            (key.as_str(), term)
        })
        .collect();
    for expression in list(selector, "/matchExpressions") {
        let key = text(expression, "/key");
        let values = || {
            let mut values: Vec<&str> = list(expression, "/values")
                .iter()
                .filter_map(Value::as_str)
                .collect();
            values.sort_unstable();
            values.join(",")
        };
        let term = match text(expression, "/operator") {
            "In" => format!("{key} in ({})", values()),
            "NotIn" => format!("{key} notin ({})", values()),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        terms.push((key, term));
    }
    terms.sort_by_key(|(key, _)| *key);
    join(terms.iter().map(|(_, term)| term.as_str()), ",")
}

/// Names and images of containers, two cells.
pub(super) fn containers(containers: &[Value]) -> [Value; 2] {
    let all = |field: &str| join(containers.iter().map(|container| text(container, field)), ",").into();
    [all("/name"), all("/image")]
}

/// At most `most` of the words, and how many more there are; `<unset>` for none.
pub(super) fn some(words: &[String], most: usize) -> String {
    match words.get(..most) {
        Some(shown) if words.len() > most => {
            format!("{} + {} more...", shown.join(","), words.len() - most)
        }
        _ => or(&words.join(","), UNSET).to_owned(),
    }
}

/// Reads `null` as the default, as Go does.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors() {
        let selector = json!({
            "matchLabels": {"z": "1", "b": "2"},
            "matchExpressions": [
                {"key": "m", "operator": "In", "values": ["y", "x"]},
                {"key": "a", "operator": "NotIn", "values": ["q"]},
                {"key": "e", "operator": "Exists"},
                {"key": "n", "operator": "DoesNotExist"},
            ],
        });
        assert_eq!(
            selector_text(Some(&selector)),
            "a notin (q),b=2,e,m in (x,y),!n,z=1"
        );
        assert_eq!(selector_or_none(Some(&json!({}))), "<none>");
        assert_eq!(selector_or_none(None), "<none>");
        assert_eq!(labels(Some(&json!({"b": "2", "a": "1"}))), "a=1,b=2");
        assert_eq!(labels(Some(&Value::Null)), "<none>");
    }

    #[test]
    fn counts_and_lists() {
        assert_eq!(
            entries(Some(&Text::from(r#"{"a": "x", "b": {"c": 1}}"#.to_owned()))),
            2
        );
        assert_eq!(entries(Some(&Text::from("null".to_owned()))), 0);
        assert_eq!(elements(Some(&Text::from("[1, {}, 3]".to_owned()))), 3);
        assert_eq!(elements(None), 0);
        let words: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(some(&words, 3), "a,b,c + 2 more...");
        assert_eq!(some(&words, 5), "a,b,c,d,e");
        assert_eq!(some(&[], 3), "<unset>");
        assert_eq!(int_or_string(&json!("25%")), "25%");
        assert_eq!(int_or_string(&json!(3)), "3");
    }
}
