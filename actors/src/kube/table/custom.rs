//! Columns of custom resources: `additionalPrinterColumns` of their definitions
//! (apiextensions-apiserver: `pkg/registry/customresource/tableconvertor`).

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::age;
use super::built_in::Row;
use super::cell::{list, number, text};
use super::column::{AGE_TEXT, ColumnDefinition, NAME};
use super::json_path::Path;

/// Columns of a version; more are left out.
const MOST: usize = 256;

/// The columns of one version of a custom resource.
#[derive(Debug)]
pub struct CustomColumns {
    columns: Vec<CustomColumn>,
    /// The top-level fields that the paths begin with; `None` if one of them begins otherwise.
    roots: Option<Vec<String>>,
}

#[derive(Debug)]
struct CustomColumn {
    name: String,
    kind: Type,
    format: String,
    description: String,
    priority: i32,
    path: Path,
    /// Whether the path is `.metadata.creationTimestamp`, which nearly all have.
    is_age: bool,
}

/// `type` of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    String,
    Integer,
    Number,
    Boolean,
    Date,
    /// Nothing that a definition may say; its cells are empty.
    Other,
}

impl Type {
    fn of(word: &str) -> Self {
        match word {
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            _ => Self::Other,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Other => "",
        }
    }
}

impl CustomColumns {
    /// Reads an entry of `spec.versions` of a definition. Without columns there is the age of the objects. From a column with a
    /// malformed path on there are none, as on a real server.
    #[must_use]
    pub fn of(version: &Value) -> Self {
        let declared = list(version, "/additionalPrinterColumns");
        let mut columns = Vec::new();
        for declared in declared.iter().take(MOST) {
            let given = text(declared, "/jsonPath");
            let Some(path) = Path::parse(given) else { break };
            let description = match text(declared, "/description") {
                "" => format!("Custom resource definition column (in JSONPath format): {given}"),
                description => description.to_owned(),
            };
            columns.push(CustomColumn {
                name: text(declared, "/name").to_owned(),
                kind: Type::of(text(declared, "/type")),
                format: text(declared, "/format").to_owned(),
                description,
                priority: i32::try_from(number(declared, "/priority")).unwrap_or_default(),
                is_age: path.is(&["metadata", "creationTimestamp"]),
                path,
            });
        }
        if declared.is_empty()
            && let Some(path) = Path::parse(".metadata.creationTimestamp")
        {
            columns.push(CustomColumn {
                name: "Age".to_owned(),
                kind: Type::Date,
                format: String::new(),
                description: AGE_TEXT.to_owned(),
                priority: 0,
                path,
                is_age: true,
            });
        }
        let mut roots: Option<Vec<String>> = columns
            .iter()
            .filter(|column| !column.is_age)
            .map(|column| column.path.first_field().map(str::to_owned))
            .collect();
        if let Some(roots) = &mut roots {
            roots.sort_unstable();
            roots.dedup();
        }
        Self { columns, roots }
    }

    /// The columns; the name comes first.
    pub(super) fn columns(&self) -> Vec<ColumnDefinition<'_>> {
        let own = self.columns.iter().map(|column| ColumnDefinition {
            name: &column.name,
            kind: column.kind.word(),
            format: &column.format,
            description: &column.description,
            priority: column.priority,
        });
        std::iter::once(NAME).chain(own).collect()
    }

    /// The cells of an object, shown in the API version of the request.
    pub(super) fn cells(&self, row: &Row<'_>, api_version: &str, kind: &str) -> Vec<Value> {
        let mut cells = vec![row.name()];
        if row.empty {
            cells.resize(self.columns.len() + 1, Value::Null);
            return cells;
        }
        let tree = self.tree(row, api_version, kind);
        cells.extend(self.columns.iter().map(|column| match column.kind {
            Type::Date if column.is_age => row.age(),
            kind => {
                let created;
                let found = if column.is_age {
                    created = Value::from(row.object.created.text());
                    Some(&created)
                } else {
                    column.path.first(&tree).ok().flatten()
                };
                found.map_or(Value::Null, |found| cell(kind, found, row))
            }
        }));
        cells
    }

    /// That part of the object which the paths look at.
    fn tree(&self, row: &Row<'_>, api_version: &str, kind: &str) -> Value {
        let Some(roots) = &self.roots else {
            return row.object.to_value(api_version, kind);
        };
        let part = |root: &String| {
            let value = match root.as_str() {
                "apiVersion" => Some(api_version.into()),
                "kind" => Some(kind.into()),
                "metadata" => Some(Value::Object(row.object.metadata())),
                other => row.object.section(other),
            };
            Some((root.clone(), value?))
        };
        Value::Object(roots.iter().filter_map(part).collect::<Map<_, _>>())
    }
}

/// A value that a path found, as a cell.
fn cell(kind: Type, value: &Value, row: &Row<'_>) -> Value {
    match (kind, value) {
        (Type::String, value) => printed(value).into(),
        // Fractions are cut off.
        #[expect(clippy::cast_possible_truncation, reason = "as Go's conversion does")]
        (Type::Integer, Value::Number(number)) => match number.as_f64() {
            Some(fraction) if !number.is_i64() => (fraction as i64).into(),
            _ => value.clone(),
        },
        // Go writes a fraction that is whole without a point.
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        (Type::Number, Value::Number(number)) => match number.as_f64() {
            Some(fraction) if fraction.fract() == 0.0 && fraction.abs() < 1e15 => (fraction as i64).into(),
            _ => value.clone(),
        },
        (Type::Boolean, Value::Bool(_)) => value.clone(),
        (Type::Date, Value::String(text)) if matches!(text.as_str(), "" | "null") => age::UNKNOWN.into(),
        (Type::Date, Value::String(text)) => match age::parse(text) {
            None => "<invalid>".into(),
            time => age::since(time, row.now).into(),
        },
        _ => Value::Null,
    }
}

/// A value in a column of texts: maps and lists as JSON, as Go writes it.
fn printed(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "<no value>".into(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::Number(number) => go_number(number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(_) | Value::Object(_) => value
            .to_string()
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
            .into(),
    }
}

/// A number as Go prints it: an exponent from 21 digits on, of two digits at least.
fn go_number(number: &Number) -> String {
    let Some(fraction) = number.as_f64().filter(|_| !number.is_i64() && !number.is_u64()) else {
        return number.to_string();
    };
    if fraction == 0.0 || (1e-4..1e21).contains(&fraction.abs()) {
        return fraction.to_string();
    }
    let text = format!("{fraction:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests;
