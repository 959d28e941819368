//! The schema of scenario files, from the types that read them.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::raw::RawScenario;

/// Where the list of faults is.
const WHAT: &str = "/$defs/FaultForm/properties/what";

/// The schema of scenario files, for editors (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<RawScenario>().to_value();
    // The types take what lacks these, so that everything that is missing is found at once.
    for (pointer, required) in [
        ("", json!(["duration"])),
        ("/$defs/FaultForm", json!(["name", "what"])),
    ] {
        if let Some(table) = schema.pointer_mut(pointer).and_then(Value::as_object_mut) {
            table.insert("required".to_owned(), required);
        }
    }
    // A fault whose parameters may all be left out may be written as its word alone.
    if let Some(what) = schema.pointer_mut(WHAT)
        && let Some(tables) = what.as_object_mut().and_then(|what| what.remove("oneOf"))
        && let Some(what) = what.as_object_mut()
    {
        let words = words_alone(&tables);
        what.insert("anyOf".to_owned(), json!([{"enum": words}, {"oneOf": tables}]));
    }
    schema
}

/// The words of those forms that require no parameter.
fn words_alone(forms: &Value) -> Vec<Value> {
    let forms = forms.as_array().into_iter().flatten();
    forms
        .filter_map(|form| {
            let word = form.pointer("/required/0")?;
            let parameters = form.get("properties")?.get(word.as_str()?)?;
            let required = parameters.get("required").and_then(Value::as_array);
            required.is_none_or(Vec::is_empty).then(|| word.clone())
        })
        .collect()
}
