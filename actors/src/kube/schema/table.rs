//! Reads `schema.txt`.

use std::collections::HashMap;

use super::{Field, FieldType, Kind, Message, MessageId, Scalar, Schema, Special};

/// The structs with a JSON form of their own.
const SPECIAL: [(&str, Special); 10] = [
    ("meta.v1.Time", Special::Time),
    ("meta.v1.MicroTime", Special::MicroTime),
    ("resource.Quantity", Special::Quantity),
    ("intstr.IntOrString", Special::IntOrString),
    ("runtime.RawExtension", Special::RawExtension),
    ("meta.v1.FieldsV1", Special::FieldsV1),
    ("apiextensions.v1.JSON", Special::Json),
    ("apiextensions.v1.JSONSchemaPropsOrBool", Special::SchemaOrBool),
    ("apiextensions.v1.JSONSchemaPropsOrArray", Special::SchemaOrArray),
    (
        "apiextensions.v1.JSONSchemaPropsOrStringArray",
        Special::SchemaOrStrings,
    ),
];

/// A line of the table: the package, the struct's name with its mark, its fields.
struct Line<'a> {
    package: &'a str,
    api_version: &'a str,
    name: &'a str,
    typed: bool,
    fields: &'a str,
}

/// Reads the whole table.
///
/// # Errors
/// What is wrong, and on which line; the table is part of the program, so this is for its tests.
pub(super) fn read(text: &str) -> Result<Schema, String> {
    let lines = lines(text)?;
    let mut ids = HashMap::new();
    for (line, number) in lines.iter().zip(0..) {
        ids.insert(format!("{}.{}", line.package, line.name), MessageId(number));
    }
    let mut schema = Schema {
        json_schema: ids.get("apiextensions.v1.JSONSchemaProps").copied(),
        ..Schema::default()
    };
    for (line, number) in lines.iter().zip(0..) {
        let fields = line
            .fields
            .split_whitespace()
            .map(|text| {
                field(&ids, line.package, text)
                    .ok_or_else(|| format!("{}.{}: {text}", line.package, line.name))
            })
            .collect::<Result<_, _>>()?;
        schema.messages.push(Message {
            package: line.package.into(),
            name: line.name.into(),
            go: go_name(&format!("{}.{}", line.package, line.name)).into(),
            typed: line.typed,
            fields,
        });
        if line.typed {
            schema
                .kinds
                .entry(line.api_version.into())
                .or_default()
                .insert(line.name.into(), MessageId(number));
        }
    }
    Ok(schema)
}

fn lines(text: &str) -> Result<Vec<Line<'_>>, String> {
    let mut lines = Vec::new();
    let (mut package, mut api_version) = ("", "");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('@') {
            let (name, version) = header.split_once(' ').ok_or_else(|| header.to_owned())?;
            package = name;
            api_version = version.strip_prefix('/').unwrap_or(version);
            continue;
        }
        let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
        lines.push(Line {
            package,
            api_version,
            name: name.trim_end_matches('+'),
            typed: name.ends_with('+'),
            fields,
        });
    }
    Ok(lines)
}

/// `name#number:TYPE` with its marks.
fn field(ids: &HashMap<String, MessageId>, package: &str, text: &str) -> Option<Field> {
    let (head, of) = text.split_once(':')?;
    let (name, number) = head.split_once('#')?;
    let (of, omit_zero) = match of.strip_suffix("?0") {
        Some(of) => (of, true),
        None => (of.strip_suffix('?').unwrap_or(of), false),
    };
    Some(Field {
        name: if name == "~" { "" } else { name }.into(),
        number: number.parse().ok()?,
        of: field_type(ids, package, of)?,
        omit_empty: text.ends_with('?') || omit_zero,
        omit_zero,
    })
}

fn field_type(ids: &HashMap<String, MessageId>, package: &str, text: &str) -> Option<FieldType> {
    let (text, pointer) = match text.strip_prefix('*') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (kind, go) = if let Some((name, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']'))
    {
        let wrapped = rest.ends_with('!');
        let item = Box::new(field_type(ids, package, rest.trim_end_matches('!'))?);
        let go = if name.is_empty() {
            format!("[]{}", item.go)
        } else {
            name.to_owned()
        };
        (Kind::List { item, wrapped }, go)
    } else if let Some((names, rest)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        let (key, name) = names.split_once(',').unwrap_or((names, ""));
        let value = Box::new(field_type(ids, package, rest)?);
        let key = if key.is_empty() { "string" } else { key };
        let go = if name.is_empty() {
            format!("map[{key}]{}", value.go)
        } else {
            name.to_owned()
        };
        (Kind::Map(value), go)
    } else if let Some((scalar, go)) = scalar(text) {
        (Kind::Scalar(scalar), go.to_owned())
    } else {
        let full = if text.contains('.') {
            text.to_owned()
        } else {
            format!("{package}.{text}")
        };
        let kind = match SPECIAL.iter().find(|(name, _)| *name == full) {
            Some((_, special)) => Kind::Special(*special),
            None => Kind::Message(*ids.get(&full)?),
        };
        (kind, go_name(&full))
    };
    Some(FieldType {
        kind,
        pointer,
        go: go.into(),
    })
}

/// A scalar and Go's name of it.
fn scalar(text: &str) -> Option<(Scalar, &str)> {
    let (text, named) = match text.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        Some((text, name)) => (text, Some(name)),
        None => (text, None),
    };
    let (scalar, plain) = match text {
        "string" => (Scalar::String, "string"),
        "bool" => (Scalar::Bool, "bool"),
        "int32" => (Scalar::Int32, "int32"),
        "int64" => (Scalar::Int64, "int64"),
        "float64" => (Scalar::Float64, "float64"),
        "bytes" => (Scalar::Bytes, "[]uint8"),
        _ => return None,
    };
    Some((scalar, named.unwrap_or(plain)))
}

/// `core.v1.PodSpec` is `v1.PodSpec` in Go: the last part of the package's path.
fn go_name(full: &str) -> String {
    let mut parts = full.rsplit('.');
    let name = parts.next().unwrap_or_default();
    match parts.next() {
        Some(package) => format!("{package}.{name}"),
        None => name.to_owned(),
    }
}
