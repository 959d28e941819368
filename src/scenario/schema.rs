//! The schema of scenario files, from the types that read them.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::raw::RawScenario;

/// The schema of scenario files, for editors (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<RawScenario>().to_value();
    let bare = schema.pointer("/$defs/What/oneOf").map(words_alone);
    if let (Some(words), Some(forms)) = (bare, schema.pointer_mut("/$defs/What")) {
        // A fault whose parameters may all be left out may be written as its word alone.
        let tables = forms.get_mut("oneOf").map(Value::take).unwrap_or_default();
        let description = forms.get_mut("description").map(Value::take);
        *forms = json!({
            "description": description,
            "anyOf": [{"enum": words}, {"oneOf": tables}],
        });
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
