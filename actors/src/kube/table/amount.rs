//! Quantities in the form that the server prints (apimachinery: `pkg/api/resource/quantity.go`, `CanonicalizeBytes`).

use serde_json::Value;

use crate::kube::quantity::Quantity;

/// Suffixes of powers of 1000, from thousandths on.
const DECIMAL: [&str; 8] = ["m", "", "k", "M", "G", "T", "P", "E"];
/// Suffixes of powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The form in which a quantity was written, which it keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

/// A quantity of a field; `0` when it is missing.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => canonical(text),
        Some(Value::Number(number)) => canonical(&number.to_string()),
        _ => "0".to_owned(),
    }
}

/// The shortest whole number with a suffix: `1024Mi` is `1Gi`, `0.5` is `500m`. What is no quantity stays as it is.
pub(super) fn canonical(text: &str) -> String {
    let Some(quantity) = Quantity::parse(text) else {
        return text.to_owned();
    };
    let milli = quantity.as_milli();
    let mut form = form(text);
    if form == Form::Binary && (milli.unsigned_abs() < 1_024_000 || milli % 1000 != 0) {
        form = Form::Decimal;
    }
    match form {
        Form::Binary => with_suffix(milli / 1000, 1024, &BINARY),
        Form::Decimal => with_suffix(milli, 1000, &DECIMAL),
        Form::Exponent => {
            let (mut number, mut power) = (milli, -3);
            while number != 0 && number % 1000 == 0 {
                number /= 1000;
                power += 3;
            }
            match (number, power) {
                (0, _) => "0".to_owned(),
                (number, 0) => number.to_string(),
                (number, power) => format!("{number}e{power}"),
            }
        }
    }
}

fn form(text: &str) -> Form {
    match text.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic()) {
        suffix if suffix.ends_with('i') => Form::Binary,
        // "E" alone is a suffix, with digits it is an exponent.
        suffix if suffix.starts_with(['e', 'E']) && suffix.len() > 1 => Form::Exponent,
        _ => Form::Decimal,
    }
}

/// Takes factors of `base` out as long as there is a suffix for them.
fn with_suffix(mut number: i128, base: i128, suffixes: &[&str]) -> String {
    let mut rest = suffixes;
    while let [_, larger @ ..] = rest
        && !larger.is_empty()
        && number != 0
        && number % base == 0
    {
        number /= base;
        rest = larger;
    }
    match (number, rest.first()) {
        (0, _) | (_, None) => number.to_string(),
        (number, Some(suffix)) => format!("{number}{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_canonical() {
        for (given, shown) in [
            ("0", "0"),
            ("0Gi", "0"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("512Ki", "512Ki"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("100m", "100m"),
            ("1500M", "1500M"),
            ("5000M", "5G"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("12E", "12E"),
            ("20e5", "2e6"),
            ("-1000m", "-1"),
            ("lots", "lots"),
        ] {
            assert_eq!(canonical(given), shown, "{given}");
        }
        assert_eq!(text(Some(&serde_json::json!(4))), "4");
        assert_eq!(text(None), "0");
    }
}
