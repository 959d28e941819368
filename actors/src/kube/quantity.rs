//! Amounts of resources: `500m`, `1.5Gi`, `1e3` (kubernetes: `apimachinery/pkg/api/resource/quantity.go`).

use std::fmt;

/// Longest text that is read: longer numbers cannot fit.
const LONGEST: usize = 64;

/// An amount, in thousandths; finer parts are rounded up, as the server does beyond its precision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Quantity {
    milli: i128,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { milli: 0 };

    /// A whole amount.
    #[must_use]
    pub const fn whole(value: i64) -> Self {
        Self {
            milli: value as i128 * 1000,
        }
    }

    /// Reads a quantity: sign, decimal number, suffix (`n u m k M G T P E`, `Ki Mi Gi Ti Pi Ei`, or an exponent).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = unsigned
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        // value = digits * multiplier / 10^fraction digits, in thousandths.
        let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
        let (multiplier, divisor) = scale(suffix)?;
        let scaled = digits.checked_mul(multiplier)?.checked_mul(1000)?;
        let divisor = 10_i128
            .checked_pow(u32::try_from(fraction.len()).ok()?)?
            .checked_mul(divisor)?;
        let milli = scaled.checked_div(divisor)?;
        let milli = if scaled.checked_rem(divisor)? != 0 {
            milli.checked_add(1)?
        } else {
            milli
        };
        Some(Self {
            milli: if negative { milli.checked_neg()? } else { milli },
        })
    }

    /// Reads a JSON value: text, or a number as YAML gives it.
    #[must_use]
    pub fn from_value(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::String(text) => Self::parse(text),
            serde_json::Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// Thousandths.
    #[must_use]
    pub const fn as_milli(self) -> i128 {
        self.milli
    }

    /// The sum; stays at the bound instead of overflowing.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            milli: self.milli.saturating_add(other.milli),
        }
    }

    /// The difference; stays at the bound instead of overflowing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            milli: self.milli.saturating_sub(other.milli),
        }
    }
}

/// Multiplier and divisor of a suffix.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| Some((1024_i128.checked_pow(power)?, 1));
    let decimal = |power: u32| Some((10_i128.checked_pow(power)?, 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        other => {
            let exponent: i32 = other.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs().min(40))?;
            Some(if exponent < 0 { (1, power) } else { (power, 1) })
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli % 1000 == 0 {
            write!(f, "{}", self.milli / 1000)
        } else {
            write!(f, "{}m", self.milli)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms() {
        for (text, milli) in [
            ("0", Some(0)),
            ("500m", Some(500)),
            ("1.5", Some(1500)),
            (".5", Some(500)),
            ("5.", Some(5000)),
            ("1Ki", Some(1_024_000)),
            ("1.5Gi", Some(1_610_612_736_000)),
            ("1e3", Some(1_000_000)),
            ("1E", Some(1_000_000_000_000_000_000_000)),
            ("1E2", Some(100_000)),
            ("1n", Some(1)),
            ("-2", Some(-2000)),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("1ki", None),
            ("1e", None),
            ("abc", None),
            ("99999999999999999999999999999999999999999E", None),
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::as_milli), milli, "{text}");
        }
        assert_eq!(Quantity::parse("1500m").unwrap().to_string(), "1500m");
        assert_eq!(Quantity::whole(3).to_string(), "3");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_the_same(milli in any::<i64>()) {
            let quantity = Quantity { milli: milli.into() };
            prop_assert_eq!(Quantity::parse(&quantity.to_string()), Some(quantity));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eEKMGikmunx]{0,20}") {
            let _ = Quantity::parse(&text);
        }
    }
}
