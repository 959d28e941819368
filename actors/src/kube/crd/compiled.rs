//! Schemas made ready to use, once per process for each distinct text.
//!
//! Many clusters install the same definitions. A schema is read, laid out and compiled by the `jsonschema` crate once, and
//! lives as long as a resource of some cluster holds it.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value, json};

use super::schema::Schema;
use crate::kube::names;
use crate::kube::structure::{self, Type};

/// Bytes that all patterns of one schema may take when compiled, and what one may take at most.
const PATTERNS_BYTES: usize = 64 * 1024 * 1024;
const PATTERN_BYTES: usize = 1024 * 1024;
/// Longest text of a pattern.
const PATTERN_TEXT_MAX: usize = 16 * 1024;
/// A cache this small is never swept.
const SMALLEST_SWEEP: usize = 64;
/// Keywords that are handed on as they are.
const PLAIN: [&str; 14] = [
    "required",
    "enum",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
];

/// A schema of a custom resource, ready to prune, default and check objects. Shared by all clusters that have the same one.
pub struct Compiled {
    pub(super) schema: Schema,
    pub(super) validator: Validator,
    /// Layout for server-side apply.
    pub(super) layout: Arc<Type>,
    /// `openAPIV3Schema` as it was written.
    pub(super) source: Arc<Value>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Cache {
    entries: HashMap<Box<str>, Weak<Compiled>>,
    sweep_at: usize,
}

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

impl Compiled {
    /// The shared form of a schema, if some cluster has it.
    pub(super) fn known(text: &str) -> Option<Arc<Self>> {
        let cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        cache.entries.get(text)?.upgrade()
    }

    /// The shared form of a schema that was checked to be structural.
    ///
    /// # Errors
    /// In words, for a schema that is too large or has patterns that are none.
    pub(super) fn of(source: &Value) -> Result<Arc<Self>, String> {
        let text = source.to_string();
        if let Some(known) = Self::known(&text) {
            return Ok(known);
        }
        let made = Arc::new(Self::build(source)?);
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.entries.len() >= cache.sweep_at {
            cache.entries.retain(|_, entry| entry.strong_count() > 0);
            cache.entries.shrink_to_fit();
            cache.sweep_at = cache.entries.len().saturating_mul(2).max(SMALLEST_SWEEP);
        }
        cache.entries.insert(text.into_boxed_str(), Arc::downgrade(&made));
        Ok(made)
    }

    fn build(source: &Value) -> Result<Self, String> {
        // Reading bounds depth and size for all that follows.
        let schema = Schema::read(source)?;
        let mut patterns = 0;
        let translated = translate(source, 0, &mut patterns)?;
        let each = (PATTERNS_BYTES / patterns.max(1)).min(PATTERN_BYTES);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft4)
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(each).dfa_size_limit(each))
            .should_validate_formats(true)
            .should_ignore_unknown_formats(true)
            .with_format("ipv4", |text: &str| text.parse::<Ipv4Addr>().is_ok())
            .with_format("ipv6", |text: &str| text.parse::<Ipv6Addr>().is_ok())
            .with_format("cidr", is_cidr)
            .with_format("mac", is_mac)
            .with_format("uuid", |text: &str| uuid::Uuid::parse_str(text).is_ok())
            .with_format("byte", |text: &str| BASE64_STANDARD.decode(text).is_ok())
            .with_format("date", |text: &str| {
                chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
            })
            .with_format("date-time", is_time)
            .with_format("datetime", is_time)
            .with_format("duration", is_duration)
            .with_format("k8s-short-name", |text: &str| names::label(text).is_empty())
            .with_format("k8s-long-name", |text: &str| names::subdomain(text).is_empty())
            .build(&translated)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            layout: structure::from_schema(source),
            schema,
            validator,
            source: Arc::new(source.clone()),
        })
    }
}

fn is_time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        let most = match address.parse() {
            Ok(std::net::IpAddr::V4(_)) => 32,
            Ok(std::net::IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| length <= most)
    })
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    matches!(parts.len(), 6 | 8 | 20)
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Go's form, `1h30m`, `-1.5s`; also with blanks and longer words, `3 days` (kube-openapi: `pkg/validation/strfmt/duration.go`).
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 38] = [
        "nanoseconds",
        "nanosecond",
        "nanos",
        "nano",
        "ns",
        "microseconds",
        "microsecond",
        "micros",
        "micro",
        "us",
        "µs",
        "milliseconds",
        "millisecond",
        "millis",
        "milli",
        "ms",
        "seconds",
        "second",
        "secs",
        "sec",
        "s",
        "minutes",
        "minute",
        "mins",
        "min",
        "m",
        "hours",
        "hour",
        "hrs",
        "hr",
        "h",
        "days",
        "day",
        "d",
        "weeks",
        "week",
        "wk",
        "w",
    ];
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let end = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        if number.parse::<f64>().is_err() {
            return false;
        }
        let unit = unit.trim_start();
        let Some(after) = UNITS.iter().find_map(|name| unit.strip_prefix(name)) else {
            return false;
        };
        rest = after.trim_start();
    }
    true
}

/// The schema in the words of JSON Schema draft 4: types with `null` where it is allowed, nothing that only describes.
fn translate(schema: &Value, depth: usize, patterns: &mut usize) -> Result<Value, String> {
    if depth > super::schema::DEPTH_MAX {
        return Err(format!(
            "must not be nested more than {} levels deep",
            super::schema::DEPTH_MAX
        ));
    }
    let Some(source) = schema.as_object() else {
        return Ok(json!({}));
    };
    let flag = |key: &str| source.get(key) == Some(&Value::Bool(true));
    let mut made = Map::new();
    for key in PLAIN {
        if let Some(value) = source.get(key).filter(|value| !value.is_null()) {
            made.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(pattern) = source.get("pattern").and_then(Value::as_str) {
        *patterns += 1;
        if pattern.len() > PATTERN_TEXT_MAX {
            return Err(format!("pattern longer than {PATTERN_TEXT_MAX} bytes"));
        }
    }
    // An empty list of required fields is fine here, draft 4 does not know it.
    if made.get("required") == Some(&json!([])) {
        made.remove("required");
    }
    if let Some(format) = source.get("format").and_then(Value::as_str) {
        made.insert("format".to_owned(), format.into());
    }
    let kind = source.get("type").and_then(Value::as_str).unwrap_or("");
    let mut kinds = if flag("x-kubernetes-int-or-string") {
        vec!["integer", "string"]
    } else if kind.is_empty() {
        Vec::new()
    } else {
        vec![kind]
    };
    if !kinds.is_empty() && flag("nullable") {
        kinds.push("null");
    }
    match kinds.as_slice() {
        [] => {}
        [one] => {
            made.insert("type".to_owned(), json!(one));
        }
        many => {
            made.insert("type".to_owned(), json!(many));
        }
    }
    for list in ["allOf", "anyOf", "oneOf"] {
        let Some(parts) = source.get(list).and_then(Value::as_array) else {
            continue;
        };
        let parts: Result<Vec<Value>, String> = parts
            .iter()
            .map(|part| translate(part, depth + 1, patterns))
            .collect();
        let parts = parts?;
        if !parts.is_empty() {
            made.insert(list.to_owned(), parts.into());
        }
    }
    for one in ["not", "items"] {
        if let Some(part) = source.get(one).filter(|part| part.is_object()) {
            made.insert(one.to_owned(), translate(part, depth + 1, patterns)?);
        }
    }
    match source.get("additionalProperties") {
        Some(open @ Value::Bool(_)) => {
            made.insert("additionalProperties".to_owned(), open.clone());
        }
        Some(part @ Value::Object(_)) => {
            let part = translate(part, depth + 1, patterns)?;
            made.insert("additionalProperties".to_owned(), part);
        }
        _ => {}
    }
    if let Some(properties) = source.get("properties").and_then(Value::as_object) {
        let mut fields = Map::new();
        for (name, property) in properties {
            fields.insert(name.clone(), translate(property, depth + 1, patterns)?);
        }
        made.insert("properties".to_owned(), Value::Object(fields));
    }
    Ok(Value::Object(made))
}
