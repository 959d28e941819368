//! Numbers, sizes and durations for people, and how wide a text will be.

/// A whole number with commas: 12,345.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of any size with three digits that count; large ones whole and with commas.
pub(super) fn value(number: f64) -> String {
    if !number.is_finite() {
        return "–".to_owned();
    }
    let size = number.abs();
    if size >= 1e15 {
        return format!("{number:.2e}");
    }
    let places = match size {
        _ if size == number.trunc().abs() || size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{size:.places$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| {
        (whole, rest.trim_end_matches('0'))
    });
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let sign = if number < 0.0 { "-" } else { "" };
    if rest.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest}")
    }
}

/// A share: 12.3%. Only all is 100%, and only none is 0%.
pub(super) fn share(part: u64, all: u64) -> String {
    if all == 0 {
        return "–".to_owned();
    }
    let percent = part as f64 / all as f64 * 100.0;
    match percent {
        _ if part == 0 => "0%".to_owned(),
        _ if part == all => "100%".to_owned(),
        _ if percent < 0.1 => "<0.1%".to_owned(),
        _ if percent > 99.9 => ">99.9%".to_owned(),
        _ => format!("{}%", value((percent * 10.0).round() / 10.0)),
    }
}

/// A duration in its two largest units: 1 h 5 min. A number does not leave its unit at the end of a line.
pub(super) fn duration(millis: f64) -> String {
    if !millis.is_finite() {
        return "–".to_owned();
    }
    let millis = millis.max(0.0);
    if millis < 1000.0 {
        return format!("{}\u{a0}ms", value(millis.round()));
    }
    if millis < 60_000.0 {
        let seconds = millis / 1000.0;
        let seconds = if seconds < 10.0 {
            (seconds * 10.0).round() / 10.0
        } else {
            seconds.round()
        };
        // 59.7 seconds are rounded to what has another unit.
        if seconds < 60.0 {
            return format!("{}\u{a0}s", value(seconds));
        }
    }
    let seconds = (millis / 1000.0).round() as u64;
    let minutes = (seconds + 30) / 60;
    let hours = (minutes + 30) / 60;
    let (large, large_unit, small, small_unit) = match seconds {
        0..3600 => (seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => (minutes / 60, "h", minutes % 60, "min"),
        _ => (hours / 24, "d", hours % 24, "h"),
    };
    if small == 0 {
        format!("{}\u{a0}{large_unit}", count(large))
    } else {
        format!("{}\u{a0}{large_unit} {small}\u{a0}{small_unit}", count(large))
    }
}

/// A size in memory: 12.3 MiB.
pub(super) fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes;
    let mut unit = 0;
    while size.abs() >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{}\u{a0}{}", value((size * 100.0).round() / 100.0), units[unit])
}

/// A word of the report for people: `agent_ready` is "agent ready".
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// At most so wide a text, in pixels: fonts differ, and too much is better than a text over another.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let letters: f64 = text
        .chars()
        .map(|character| match character {
            'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' => 0.34,
            ' ' | '\u{a0}' | 'f' | 'r' | 't' | '-' | '(' | ')' => 0.42,
            'm' | 'w' | 'M' | 'W' | '%' | '@' => 1.0,
            'A'..='Z' | '_' | '#' | '&' => 0.76,
            '\0'..='\u{2ff}' => 0.64,
            _ => 1.05,
        })
        .sum();
    letters * size
}

/// As much of a text as fits.
pub(super) fn fitting(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        short.push(character);
        if width(&short, size) + width("…", size) > room {
            short.pop();
            break;
        }
    }
    if short.is_empty() {
        return short;
    }
    short.truncate(short.trim_end().len());
    short + "…"
}

/// The beginning of a foreign text, which may be very long. A control character is a space.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    let mut characters = text.chars().map(plain);
    let mut short: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(value(0.0), "0");
        assert_eq!(value(12_345.6), "12,346");
        assert_eq!(value(1.5), "1.5");
        assert_eq!(value(-0.125), "-0.125");
        assert_eq!(value(f64::NAN), "–");
        assert_eq!(share(0, 10), "0%");
        assert_eq!(share(1, 3), "33.3%");
        assert_eq!(share(999_999, 1_000_000), ">99.9%");
        assert_eq!(share(1, 0), "–");
        assert_eq!(bytes(1536.0), "1.5\u{a0}KiB");
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        for (millis, expected) in [
            (0.0, "0 ms"),
            (1.4, "1 ms"),
            (999.0, "999 ms"),
            (1500.0, "1.5 s"),
            (12_345.0, "12 s"),
            (59_900.0, "1 min"),
            (90_000.0, "1 min 30 s"),
            (3_600_000.0, "1 h"),
            (7_290_000.0, "2 h 2 min"),
            (90_000_000.0, "1 d 1 h"),
            (f64::INFINITY, "–"),
        ] {
            assert_eq!(duration(millis).replace('\u{a0}', " "), expected);
        }
    }

    #[test]
    fn texts_are_cut_to_their_room() {
        assert_eq!(fitting("short", 12.0, 100.0), "short");
        let cut = fitting("a name that is far too long for this", 12.0, 100.0);
        assert!(cut.ends_with('…') && width(&cut, 12.0) <= 100.0, "{cut}");
        assert_eq!(fitting("name", 12.0, 3.0), "");
        assert_eq!(shortened("a\u{1b}bc", 3), "a b…");
    }
}
