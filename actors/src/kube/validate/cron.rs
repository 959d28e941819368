//! The syntax of schedules, checked only (robfig/cron: `parser.go`, `ParseStandard`).

/// The five fields: name, least and greatest number, names of values.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    ),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];
const WORDS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

/// What is wrong with a schedule, in the words of the parser that the real server uses.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    if schedule.starts_with('@') {
        let fine = WORDS.contains(&schedule) || schedule.strip_prefix("@every ").is_some_and(is_duration);
        return if fine {
            Ok(())
        } else {
            Err(format!("unrecognized descriptor: {schedule}"))
        };
    }
    let fields: Vec<&str> = schedule.split_whitespace().take(FIELDS.len() + 1).collect();
    if fields.len() != FIELDS.len() {
        let count = schedule.split_whitespace().count();
        let list: Vec<&str> = schedule.split_whitespace().collect();
        return Err(format!(
            "expected exactly 5 fields, found {count}: [{}]",
            list.join(" ")
        ));
    }
    for (field, (least, greatest, names)) in fields.into_iter().zip(FIELDS) {
        for part in field.split(',') {
            range(part, least, greatest, names)?;
        }
    }
    Ok(())
}

fn range(text: &str, least: u32, greatest: u32, names: &[&str]) -> Result<(), String> {
    let (span, step) = match text.split_once('/') {
        Some((_, step)) if step.contains('/') => return Err(format!("too many slashes: {text}")),
        Some((span, step)) => (span, Some(step)),
        None => (text, None),
    };
    let (start, end) = if matches!(span, "*" | "?") {
        (least, greatest)
    } else {
        let mut parts = span.split('-');
        let (first, last, rest) = (parts.next().unwrap_or(""), parts.next(), parts.next());
        if rest.is_some() {
            return Err(format!("too many hyphens: {text}"));
        }
        let start = number(first, names, least)?;
        let end = match last {
            Some(last) => number(last, names, least)?,
            None if step.is_some() => greatest,
            None => start,
        };
        (start, end)
    };
    if let Some(step) = step
        && number(step, &[], 0)? == 0
    {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    if start < least {
        return Err(format!(
            "beginning of range ({start}) below minimum ({least}): {text}"
        ));
    }
    if end > greatest {
        return Err(format!("end of range ({end}) above maximum ({greatest}): {text}"));
    }
    if start > end {
        return Err(format!(
            "beginning of range ({start}) beyond end of range ({end}): {text}"
        ));
    }
    Ok(())
}

/// A number, or the name of one; names count from `first`.
fn number(text: &str, names: &[&str], first: u32) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    if let Some(place) = names.iter().position(|name| *name == lower) {
        return Ok(first.saturating_add(u32::try_from(place).unwrap_or(u32::MAX)));
    }
    if text.starts_with('-') {
        return Err(format!("negative number ({text}) not allowed: {text}"));
    }
    text.parse().map_err(|_| {
        format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax",
            crate::kube::status::quote(text)
        )
    })
}

/// `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(rest.len());
        if digits == 0 {
            return false;
        }
        let (_, unit) = rest.split_at(digits);
        let Some(after) = ["ms", "us", "ns", "h", "m", "s"]
            .iter()
            .find_map(|name| unit.strip_prefix(name))
        else {
            return false;
        };
        rest = after;
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn schedules() {
        for fine in [
            "* * * * *",
            "*/5 0-12/2 1,15 jan-MAR sun",
            "@hourly",
            "@every 1h30m",
            "? 0 ? * ?",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for (bad, why) in [
            ("error", "expected exactly 5 fields, found 1: [error]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            (
                "5-1 * * * *",
                "beginning of range (5) beyond end of range (1): 5-1",
            ),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("@never", "unrecognized descriptor: @never"),
            (
                "a * * * *",
                "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax",
            ),
        ] {
            assert_eq!(check(bad), Err(why.to_owned()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-@*/,0-9a-z? ]{0,40}") {
            let _ = check(&text);
        }
    }
}
