//! The events described: the schema of the types, and the tables of `docs/events.md` made from it.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::event::Event;

/// The schema of an event (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Event>().to_value()
}

/// Two tables: members by kind of event, and the words that members of closed sets may hold.
#[must_use]
pub fn tables() -> String {
    let schema = schema();
    let mut text = String::from("| kind | member | value | meaning |\n| --- | --- | --- | --- |\n");
    row(&mut text, ["every event", "", "", ""]);
    members(&mut text, &schema);
    for form in list(&schema, "oneOf") {
        let kind = form.pointer("/properties/kind/const").and_then(Value::as_str);
        let kind = format!("`{}`", kind.unwrap_or_default());
        row(&mut text, [&kind, "", "", meaning(form)]);
        members(&mut text, form);
    }
    text.push_str("\n| value | word | meaning |\n| --- | --- | --- |\n");
    for (name, definition) in table(&schema, "$defs") {
        for (at, (word, meaning)) in words(definition).into_iter().enumerate() {
            let name = if at == 0 { name.as_str() } else { "" };
            // Writing to a text cannot fail.
            let _ = writeln!(text, "| {name} | `{word}` | {meaning} |");
        }
    }
    text
}

fn row(text: &mut String, [kind, member, value, meaning]: [&str; 4]) {
    let _ = writeln!(
        text,
        "| {kind} | {member} | {value} | {} |",
        meaning.replace('\n', " ")
    );
}

/// The members of a table, but for `kind`.
fn members(text: &mut String, schema: &Value) {
    let required = list(schema, "required");
    for (name, member) in table(schema, "properties") {
        if name != "kind" {
            let always = required.iter().any(|required| required == name.as_str());
            let value = value(member) + if always { "" } else { ", optional" };
            row(text, ["", &format!("`{name}`"), &value, meaning(member)]);
        }
    }
}

fn value(schema: &Value) -> String {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        // An instant is a number like others.
        return if name == "SimInstant" {
            "integer".to_owned()
        } else {
            name.to_owned()
        };
    }
    if let Some(inner) = list(schema, "anyOf").first() {
        return value(inner);
    }
    let kinds = &schema["type"];
    let kind = kinds.as_str().or_else(|| kinds.get(0)?.as_str());
    match kind {
        Some("string") => "text",
        Some("boolean") => "true or false",
        Some("object") => "table of texts",
        Some(other) => other,
        None => "any",
    }
    .to_owned()
}

/// The words of a closed set, with their meanings.
fn words(schema: &Value) -> Vec<(&str, &str)> {
    let plain = list(schema, "enum")
        .iter()
        .filter_map(|word| Some((word.as_str()?, "")));
    let described = list(schema, "oneOf").iter().flat_map(|form| {
        let own = form.get("const").and_then(Value::as_str);
        let more = list(form, "enum").iter().filter_map(Value::as_str);
        own.into_iter().chain(more).map(|word| (word, meaning(form)))
    });
    plain.chain(described).collect()
}

fn meaning(schema: &Value) -> &str {
    schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn table<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    schema
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use super::super::event::Happening;
    use super::*;

    #[test]
    fn every_kind_is_described() {
        let schema = schema();
        let kinds: Vec<&str> = list(&schema, "oneOf")
            .iter()
            .map(|form| form.pointer("/properties/kind/const").unwrap().as_str().unwrap())
            .collect();
        assert_eq!(kinds, Happening::KINDS);
        let text = tables();
        assert!(!text.contains("| any |"), "{text}");
        for kind in Happening::KINDS {
            assert!(text.contains(&format!("| `{kind}` |")), "{kind}");
        }
    }
}
