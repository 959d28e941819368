//! Quantities as the server writes them (kubernetes: apimachinery `pkg/api/resource/{quantity,suffix,math}.go`).
//!
//! Text that is canonical or nearly so is kept; the rest is written with the greatest suffix that leaves no fraction.

use thiserror::Error;

/// Longest text: longer numbers do not fit.
const LONGEST: usize = 64;

/// Digits that fit a 64-bit number for sure; such quantities keep their text if it is canonical.
const SURE_DIGITS: i64 = 18;

/// A text that is no quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub(super) enum QuantityError {
    /// Not a number and a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// A number that is none, or is too great.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// A suffix that does not exist.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// `k`, `M`, `m`.
    Decimal,
    /// `Ki`, `Mi`.
    Binary,
    /// `e3`.
    Exponent,
}

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

const BINARY: [(&str, i32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];

/// Sign, digits before and after the point, suffix.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let unsigned = unsigned.trim_start_matches('0');
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at(digits(unsigned));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let letters = suffix.trim_start_matches(|letter| "eEinumkKMGTP".contains(letter));
    let exponent = letters.strip_prefix(['-', '+']).unwrap_or(letters);
    if exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(Parts {
            negative,
            whole,
            fraction,
            suffix,
        })
    } else {
        Err(QuantityError::Format)
    }
}

/// Base 2 or 10, exponent, format.
fn suffix(text: &str) -> Result<(bool, i32, Format), QuantityError> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(suffix, _)| *suffix == text) {
        return Ok((false, *exponent, Format::Decimal));
    }
    if let Some((_, exponent)) = BINARY.iter().find(|(suffix, _)| *suffix == text) {
        return Ok((true, *exponent, Format::Binary));
    }
    let exponent = text
        .strip_prefix(['e', 'E'])
        .and_then(|digits| digits.parse().ok())
        .ok_or(QuantityError::Suffix)?;
    Ok((false, exponent, Format::Exponent))
}

/// The text that the server gives back for `text`.
///
/// # Errors
/// Text that is no quantity, in the server's words.
pub(super) fn canonical(text: &str) -> Result<String, QuantityError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    if text.len() > LONGEST {
        return Err(QuantityError::Number);
    }
    let parts = split(text)?;
    let (binary, exponent, format) = suffix(parts.suffix)?;
    if keeps_text(&parts, exponent, format) {
        return Ok(text.to_owned());
    }
    let nano = in_nano(&parts, binary, exponent).ok_or(QuantityError::Number)?;
    if nano == 0 {
        return Ok("0".to_owned());
    }
    let sign = if parts.negative { "-" } else { "" };
    const ONE: u128 = 1_000_000_000;
    if format == Format::Binary && nano >= 1024 * ONE && nano.is_multiple_of(ONE) {
        let (mut number, mut place) = (nano / ONE, 0_usize);
        while number.is_multiple_of(1024) && place < BINARY.len() {
            number /= 1024;
            place += 1;
        }
        let suffix = place
            .checked_sub(1)
            .and_then(|place| BINARY.get(place))
            .map_or("", |(suffix, _)| suffix);
        return Ok(format!("{sign}{number}{suffix}"));
    }
    let (mut number, mut exponent) = (nano, -9_i32);
    while number.is_multiple_of(1000) && (exponent < 18 || format == Format::Exponent) {
        number /= 1000;
        exponent += 3;
    }
    if format == Format::Exponent {
        return Ok(match exponent {
            0 => format!("{sign}{number}"),
            _ => format!("{sign}{number}e{exponent}"),
        });
    }
    let suffix = DECIMAL
        .iter()
        .find(|(_, of)| *of == exponent)
        .map_or("", |(suffix, _)| suffix);
    Ok(format!("{sign}{number}{suffix}"))
}

/// Whether the server keeps the text as it is.
fn keeps_text(parts: &Parts<'_>, exponent: i32, format: Format) -> bool {
    let count = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    // Nothing left of the zeros in front counts as one digit.
    let whole = if parts.whole.is_empty() { "0" } else { parts.whole };
    let digits = count(whole).saturating_add(count(parts.fraction));
    if format == Format::Binary {
        let room = 15 - count(whole) - i64::from(exponent) * 3 / 10 - 1;
        let odd = whole.parse::<u64>().is_ok_and(|number| number & 7 != 0);
        return parts.fraction.is_empty() && room >= 0 && exponent % 10 == 0 && odd;
    }
    let scale = i64::from(exponent) - count(parts.fraction);
    let zeros = parts.fraction.ends_with("000") || (format!("{whole}{}", parts.fraction).ends_with("000"));
    digits <= SURE_DIGITS && scale >= -9 && scale % 3 == 0 && !zeros && !whole.starts_with('0')
}

/// The amount without its sign, in billionths, rounded up; `None` when it does not fit.
fn in_nano(parts: &Parts<'_>, binary: bool, exponent: i32) -> Option<u128> {
    let mut number: u128 = format!("0{}{}", parts.whole, parts.fraction).parse().ok()?;
    if number == 0 {
        return Some(0);
    }
    let mut places = 9_i64 - i64::try_from(parts.fraction.len()).ok()?;
    if binary {
        number = number.checked_mul(1_u128.checked_shl(exponent.try_into().ok()?)?)?;
    } else {
        places = places.checked_add(i64::from(exponent))?;
    }
    if places >= 0 {
        number = number.checked_mul(10_u128.checked_pow(places.try_into().ok()?)?)?;
    } else {
        let divisor = u32::try_from(places.checked_neg()?)
            .ok()
            .and_then(|places| 10_u128.checked_pow(places));
        // A divisor that does not fit leaves less than one billionth, which counts as one.
        number = divisor.map_or(1, |divisor| number.div_ceil(divisor));
    }
    // The greatest binary amount is that of a 64-bit number.
    let most = i64::MAX.unsigned_abs() as u128 * 1_000_000_000;
    Some(if binary { number.min(most) } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text_is_kept_and_other_text_is_rewritten() {
        for (text, canonical_text) in [
            ("0", "0"),
            ("0m", "0"),
            ("-0", "0"),
            ("1", "1"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.5", "1500m"),
            ("+5", "+5"),
            ("-1500m", "-1500m"),
            ("2000", "2k"),
            ("1024", "1024"),
            ("1024Mi", "1Gi"),
            ("1025Mi", "1025Mi"),
            ("16Gi", "16Gi"),
            ("8192Mi", "8Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("0.1Gi", "107374182400m"),
            ("1e3", "1e3"),
            ("1000e3", "1e6"),
            ("1E", "1E"),
            ("10E", "10E"),
            ("1E3", "1E3"),
            ("16384000Ki", "16000Mi"),
            ("263174212Ki", "263174212Ki"),
            ("0.0000000001", "1n"),
            (" 7 ", "7"),
            ("16Ei", "9223372036854775807"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(canonical_text), "{text}");
        }
    }

    #[test]
    fn refusals_are_in_the_words_of_the_server() {
        assert_eq!(canonical("a lot"), Err(QuantityError::Format));
        assert_eq!(canonical(""), Err(QuantityError::Format));
        assert_eq!(canonical("1ki"), Err(QuantityError::Suffix));
        assert_eq!(canonical("1KiB"), Err(QuantityError::Format));
        assert_eq!(canonical("5e"), Err(QuantityError::Suffix));
        assert_eq!(canonical("1e99999999999"), Err(QuantityError::Suffix));
        assert_eq!(canonical("9e40"), Err(QuantityError::Number));
        assert_eq!(canonical("é"), Err(QuantityError::Format));
    }
}
