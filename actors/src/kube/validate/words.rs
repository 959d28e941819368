//! Syntax that several kinds share: ports, addresses, keys, selectors, quantities
//! (kubernetes: `apimachinery/pkg/util/validation`, `apimachinery/pkg/apis/meta/v1/validation`).

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::node::{Faults, Node};
use crate::kube::names;
use crate::kube::quantity::Quantity;
use crate::kube::selector::LabelSelector;

const PORT_NAME_MAX: usize = 15;
const KEY_MAX: usize = 253;
pub(super) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

pub(super) fn port_number(faults: &mut Faults, field: String, number: i64) {
    if !(1..=65535).contains(&number) {
        faults.invalid(field, number, "must be between 1 and 65535, inclusive");
    }
}

fn port_name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > PORT_NAME_MAX {
        faults.push(format!("must be no more than {PORT_NAME_MAX} bytes"));
    }
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(fine) {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        faults.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        faults.push("must not begin or end with a hyphen".to_owned());
    }
    faults
}

/// Whether the name of a port is good; if not, says so.
pub(super) fn port_name(faults: &mut Faults, field: &str, name: &str) -> bool {
    let found = port_name_faults(name);
    let fine = found.is_empty();
    faults.each(field, name, found);
    fine
}

/// A number or the name of a port.
pub(super) fn port_or_name(faults: &mut Faults, field: String, value: &Value) {
    match value {
        Value::String(name) => {
            port_name(faults, &field, name);
        }
        other => port_number(faults, field, other.as_i64().unwrap_or(0)),
    }
}

pub(super) fn label(faults: &mut Faults, field: &str, text: &str) {
    faults.each(field, text, names::label(text));
}

pub(super) fn subdomain(faults: &mut Faults, field: &str, text: &str) {
    faults.each(field, text, names::subdomain(text));
}

pub(super) fn qualified(faults: &mut Faults, field: &str, text: &str) {
    faults.each(field, text, names::qualified(text));
}

/// The key of a ConfigMap or Secret.
pub(super) fn config_key(faults: &mut Faults, field: &str, key: &str) {
    if key.len() > KEY_MAX {
        faults.invalid(field, key, format!("must be no more than {KEY_MAX} bytes"));
    }
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if key.is_empty() || !key.bytes().all(fine) {
        faults.invalid(
            field,
            key,
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        );
    }
    match key {
        "." | ".." => faults.invalid(field, key, format!("must not be '{key}'")),
        _ if key.starts_with("..") => faults.invalid(field, key, "must not start with '..'"),
        _ => {}
    }
}

/// Name of a variable, or its prefix, by the relaxed rule.
pub(super) fn variable(faults: &mut Faults, field: &str, name: &str) {
    if !name
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
    {
        faults.invalid(
            field,
            name,
            "a valid environment variable name must consist only of printable ASCII characters other than '='",
        );
    }
}

pub(super) fn ip(faults: &mut Faults, field: &str, text: &str) -> Option<IpAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        faults.invalid(
            field,
            text,
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
    }
    parsed
}

/// Reads `10.9.8.0/24`: address and length of the prefix.
pub(super) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

pub(super) fn cidr(faults: &mut Faults, field: &str, text: &str) -> Option<(IpAddr, u8)> {
    let parsed = parse_cidr(text);
    if parsed.is_none() {
        faults.invalid(
            field,
            text,
            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        );
    }
    parsed
}

/// The address of an endpoint must be one that another host can reach.
pub(super) fn endpoint_ip(faults: &mut Faults, field: &str, text: &str) {
    let Ok(address) = text.parse::<IpAddr>() else {
        faults.invalid(field, text, "must be a valid IP address");
        return;
    };
    if address.is_unspecified() {
        faults.invalid(field, text, format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        faults.invalid(
            field,
            text,
            "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        );
    }
    let (link, multicast) = match address {
        IpAddr::V4(address) => (
            address.is_link_local(),
            matches!(address.octets(), [224, 0, 0, _]),
        ),
        IpAddr::V6(address) => (
            address.is_unicast_link_local(),
            matches!(address.segments(), [first, ..] if first & 0xff0f == 0xff02),
        ),
    };
    if link {
        faults.invalid(
            field,
            text,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        );
    }
    if multicast {
        faults.invalid(
            field,
            text,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        );
    }
}

/// A map of labels.
pub(super) fn labels(faults: &mut Faults, field: &str, map: &Map<String, Value>) {
    for (key, value) in map {
        qualified(faults, field, key);
        let value = value.as_str().unwrap_or("");
        faults.each(field, value, names::label_value(value));
    }
}

/// A label selector as it stands in specs.
pub(super) fn label_selector(faults: &mut Faults, selector: &Node<'_>) {
    labels(faults, &selector.at("matchLabels"), selector.map("matchLabels"));
    for expression in selector.items("matchExpressions") {
        let values = expression.len("values");
        match expression.text("operator") {
            "In" | "NotIn" if values == 0 => faults.required(
                expression.at("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            ),
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if values > 0 => faults.forbidden(
                expression.at("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "Exists" | "DoesNotExist" => {}
            other => faults.invalid(expression.at("operator"), other, "not a valid selector operator"),
        }
        qualified(faults, &expression.at("key"), expression.text("key"));
        for (index, value) in expression.texts("values").enumerate() {
            faults.each(
                &format!("{}[{index}]", expression.at("values")),
                value,
                names::label_value(value),
            );
        }
    }
}

/// Whether a selector of a spec selects nothing in particular.
pub(super) fn is_empty_selector(selector: &Node<'_>) -> bool {
    selector.len("matchLabels") + selector.len("matchExpressions") == 0
}

/// Whether the labels that stand in `labels` match; `None` when the selector cannot be read.
pub(super) fn selects(selector: &Value, labels: &Map<String, Value>) -> Option<bool> {
    let selector = LabelSelector::from_spec(selector)?;
    Some(selector.matches(|key| labels.get(key).and_then(Value::as_str)))
}

/// A number or a percentage, not negative.
pub(super) fn int_or_percent(faults: &mut Faults, node: &Node<'_>) {
    match node.value {
        Value::String(text) if percent(text).is_none() => faults.invalid(
            &*node.path,
            text.as_str(),
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ),
        Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
            faults.invalid(
                &*node.path,
                node.value.clone(),
                "must be greater than or equal to 0",
            );
        }
        _ => {}
    }
}

pub(super) fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(i64::MAX))
}

/// The number, or the number of percent.
pub(super) fn amount(value: &Value) -> i64 {
    match value {
        Value::String(text) => percent(text).unwrap_or(0),
        other => other.as_i64().unwrap_or(0),
    }
}

pub(super) fn at_most_all(faults: &mut Faults, node: &Node<'_>) {
    if node
        .value
        .as_str()
        .and_then(percent)
        .is_some_and(|percent| percent > 100)
    {
        faults.invalid(&*node.path, node.value.clone(), "must not be greater than 100%");
    }
}

/// Reads a quantity and says if it is none. A real server refuses it while decoding, with 400; clients see the same words.
pub(super) fn quantity(faults: &mut Faults, field: &str, value: &Value) -> Option<Quantity> {
    let parsed = Quantity::from_value(value);
    if parsed.is_none() {
        faults.invalid(
            field,
            value.clone(),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
    }
    parsed
}

/// A quantity that is not negative.
pub(super) fn amount_of(faults: &mut Faults, field: &str, value: &Value) -> Option<Quantity> {
    let parsed = quantity(faults, field, value)?;
    if parsed.as_milli() < 0 {
        faults.invalid(field, value.clone(), "must be greater than or equal to 0");
    }
    Some(parsed)
}

/// A quantity above zero.
pub(super) fn positive(faults: &mut Faults, field: &str, value: &Value) {
    if quantity(faults, field, value).is_some_and(|parsed| parsed.as_milli() <= 0) {
        faults.invalid(field, value.clone(), "must be greater than zero");
    }
}
