//! The JSON text of a top-level field.

use std::borrow::Cow;
use std::sync::Arc;

use crate::kube::intern::Interner;

/// Stands in a pattern for what was taken out of it. JSON text holds no bare control character.
const HOLE: char = '\u{1}';
/// Shorter texts stay whole: to take them apart costs more than it saves.
const SHORTEST: usize = 256;
/// Longer words are keys and certificates: texts that hold one stay whole.
const LONGEST_WORD: usize = 96;

/// Sections that are alike in many clusters and the same in none. Others stay whole: what reads them may know them by their place.
const DIFFERENT: [&str; 4] = ["endpoints", "spec", "status", "subsets"];

/// Ahead of a time: 14 digits, two in a byte.
const TIME: u8 = 0xff;
/// Ahead of a uid: 16 bytes.
const UID: u8 = 0xfe;
/// Set in the length of a word of hexadecimal digits, two in a byte; unset in that of another word.
const HEX: u8 = 0x80;

/// Form of a time up to its seconds; `0` stands for any digit.
const TIME_FORM: &[u8; 19] = b"0000-00-00T00:00:00";
/// Places of the hyphens in a uid.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const UID_LENGTH: usize = 36;

/// JSON text, compact as `serde_json` writes it.
///
/// Specs and statuses of the same kind differ between clusters in times, uids, addresses, numbers and names that hold a number. Of longer
/// texts those stand apart, tightly packed, and the pattern around them is shared by all clusters.
///
/// How a text is taken apart follows from the text alone, so equal texts have equal parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text(Kept);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kept {
    Whole(Arc<str>),
    Apart(Arc<Apart>),
}

#[derive(PartialEq, Eq, Debug)]
struct Apart {
    /// The text with a [`HOLE`] for each word that was taken out.
    pattern: Arc<str>,
    /// The words, one after the other.
    words: Box<[u8]>,
    /// Length of the text in bytes.
    length: usize,
}

impl Text {
    /// JSON text of the section `name`. `previous` is there if the object was, with its text of the section. What did not change is
    /// shared with that; what clusters have in common, by way of `interner`.
    pub(super) fn of_section(
        name: &str,
        text: &str,
        previous: Option<Option<&Self>>,
        interner: &Interner,
    ) -> Self {
        let before = previous.flatten();
        let parts = DIFFERENT.contains(&name).then(|| take_apart(text)).flatten();
        let Some((pattern, words)) = parts else {
            return match (before, previous) {
                (Some(before @ Self(Kept::Whole(old))), _) if **old == *text => before.clone(),
                // What is written to an object that is there is rarely the same elsewhere.
                (_, Some(_)) => Self(Kept::Whole(text.into())),
                (_, None) => Self(Kept::Whole(interner.text(text))),
            };
        };
        let pattern = match before {
            Some(before @ Self(Kept::Apart(old))) if *old.pattern == *pattern => {
                if *old.words == *words {
                    return before.clone();
                }
                Arc::clone(&old.pattern)
            }
            _ => interner.text(&pattern),
        };
        Self(Kept::Apart(Arc::new(Apart {
            pattern,
            words: words.into(),
            length: text.len(),
        })))
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> Cow<'_, str> {
        match &self.0 {
            Kept::Whole(text) => Cow::Borrowed(text),
            Kept::Apart(_) => {
                let mut out = Vec::with_capacity(self.len());
                self.write(&mut out);
                Cow::Owned(String::from_utf8(out).unwrap_or_default())
            }
        }
    }

    /// Appends the text.
    pub fn write(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Kept::Whole(text) => out.extend_from_slice(text.as_bytes()),
            Kept::Apart(apart) => {
                let mut words = &*apart.words;
                let mut rest = &*apart.pattern;
                while let Some((before, after)) = rest.split_once(HOLE) {
                    out.extend_from_slice(before.as_bytes());
                    words = put_back(words, out);
                    rest = after;
                }
                out.extend_from_slice(rest.as_bytes());
            }
        }
    }

    /// Length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "JSON text is never empty")]
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::Whole(text) => text.len(),
            Kept::Apart(apart) => apart.length,
        }
    }

    /// Whether `part` stands in the text.
    #[must_use]
    pub fn contains(&self, part: &str) -> bool {
        match &self.0 {
            Kept::Whole(text) => text.contains(part),
            // No word begins before such a part and reaches into it, or begins in it and reaches beyond it; and none is a piece of it.
            Kept::Apart(apart)
                if part.starts_with('"')
                    && (part.ends_with('"') || part.ends_with("\":"))
                    && !part.bytes().any(|byte| byte.is_ascii_digit()) =>
            {
                apart.pattern.contains(part)
            }
            Kept::Apart(_) => self.get().contains(part),
        }
    }

    /// The text by itself: always the same copy if it was not taken apart.
    pub(in crate::kube) fn shared(&self) -> Arc<str> {
        match &self.0 {
            Kept::Whole(text) => Arc::clone(text),
            Kept::Apart(_) => self.get().into(),
        }
    }
}

impl From<String> for Text {
    /// The text as it is, shared with nothing.
    fn from(text: String) -> Self {
        Self(Kept::Whole(text.into()))
    }
}

/// Pattern and words of a text; `None` if it is to stay whole.
fn take_apart(text: &str) -> Option<(String, Vec<u8>)> {
    if text.len() < SHORTEST || text.contains(HOLE) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut pattern = String::with_capacity(text.len());
    let mut words = Vec::new();
    // Bytes before this are in the pattern or in words.
    let mut done = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if !byte.is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let rest = bytes.get(at..)?;
        let length = match word(rest, &mut words) {
            Word::Taken(length) => {
                pattern.push_str(text.get(done..at)?);
                pattern.push(HOLE);
                done = at + length;
                length
            }
            Word::Left(length) => length,
        };
        if length > LONGEST_WORD {
            return None;
        }
        at += length;
    }
    pattern.push_str(text.get(done..)?);
    // Worth it if most of the text is pattern.
    (!words.is_empty() && words.len() < text.len() / 2).then_some((pattern, words))
}

/// What stands at the beginning of some bytes, and how many of them it is.
enum Word {
    Taken(usize),
    Left(usize),
}

fn word(rest: &[u8], words: &mut Vec<u8>) -> Word {
    if let Some(time) = rest.get(..TIME_FORM.len()).filter(|time| is_time(time)) {
        words.push(TIME);
        pack(time.iter().filter(|byte| byte.is_ascii_digit()), words);
        return Word::Taken(TIME_FORM.len());
    }
    let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric());
    let run = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    if run.len() == HYPHENS[0]
        && let Some(uid) = rest.get(..UID_LENGTH).filter(|uid| is_uid(uid))
    {
        words.push(UID);
        pack(uid.iter().filter(|byte| **byte != b'-'), words);
        return Word::Taken(UID_LENGTH);
    }
    if run.len() > LONGEST_WORD || !run.iter().any(u8::is_ascii_digit) {
        return Word::Left(run.len());
    }
    let length = u8::try_from(run.len()).unwrap_or_default();
    if run.len().is_multiple_of(2) && run.iter().all(|byte| nibble(*byte).is_some()) {
        words.push(HEX | (length / 2));
        pack(run.iter(), words);
    } else {
        words.push(length);
        words.extend_from_slice(run);
    }
    Word::Taken(run.len())
}

fn is_time(bytes: &[u8]) -> bool {
    bytes.iter().zip(TIME_FORM).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == form,
    })
}

fn is_uid(bytes: &[u8]) -> bool {
    let fits = |(place, byte): (usize, &u8)| {
        if HYPHENS.contains(&place) {
            *byte == b'-'
        } else {
            nibble(*byte).is_some()
        }
    };
    bytes.iter().enumerate().all(fits)
}

/// The value of a lower-case hexadecimal digit.
const fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Appends an even number of digits, two in a byte.
fn pack<'a>(mut digits: impl Iterator<Item = &'a u8>, words: &mut Vec<u8>) {
    let value = |digit: &u8| nibble(*digit).unwrap_or_default();
    while let (Some(high), Some(low)) = (digits.next(), digits.next()) {
        words.push(value(high) << 4 | value(low));
    }
}

/// Appends the first of `words` as it was, and returns the others.
fn put_back<'a>(words: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some((kind, rest)) = words.split_first() else {
        return words;
    };
    let length = match *kind {
        TIME => 7,
        UID => 16,
        kind => usize::from(kind & !HEX),
    };
    let Some((word, others)) = rest.split_at_checked(length) else {
        return &[];
    };
    let mut digits = word.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).map(digit);
    match *kind {
        TIME => out.extend(TIME_FORM.iter().map(|form| match form {
            b'0' => digits.next().unwrap_or_default(),
            form => *form,
        })),
        UID => {
            for (place, digit) in digits.enumerate() {
                if matches!(place, 8 | 12 | 16 | 20) {
                    out.push(b'-');
                }
                out.push(digit);
            }
        }
        kind if kind & HEX != 0 => out.extend(digits),
        _ => out.extend_from_slice(word),
    }
    others
}

/// The lower-case hexadecimal digit of that value, below 16.
const fn digit(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'a' + value - 10
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID_TEXT: &str = "b2e23e26-8fa4-4e02-ad9f-14fa6b83e7e5";

    fn status(time: &str, uid: &str, address: &str, digest: &str) -> String {
        format!(
            r#"{{"conditions":[{{"lastTransitionTime":"{time}","status":"True","type":"Ready"}}],"containerStatuses":[{{"containerID":"containerd://{digest}","name":"kube-proxy","ready":true,"restartCount":0,"state":{{"running":{{"startedAt":"{time}"}}}}}}],"hostIP":"{address}","phase":"Running","qosClass":"BestEffort","uid":"{uid}"}}"#
        )
    }

    fn made(text: &str) -> Text {
        Text::of_section("status", text, None, &Interner::default())
    }

    fn apart(text: &Text) -> &Apart {
        match &text.0 {
            Kept::Apart(apart) => apart,
            Kept::Whole(text) => panic!("{text} is whole"),
        }
    }

    #[test]
    fn texts_that_differ_in_numbers_share_a_pattern() {
        let interner = Interner::default();
        let digest = "0123456789abcdef".repeat(4);
        let one = status("2026-01-31T12:00:00Z", UID_TEXT, "192.0.2.1", &digest);
        let other = status(
            "2031-12-01T00:30:59Z",
            "0cc5e3c2-0a2c-4f2e-8f0e-3c1d7a1a9f10",
            "192.0.2.254",
            &digest.replace('0', "f"),
        );
        let first = Text::of_section("status", &one, None, &interner);
        let second = Text::of_section("status", &other, None, &interner);
        assert!(Arc::ptr_eq(&apart(&first).pattern, &apart(&second).pattern));
        assert_ne!(first, second);
        assert_eq!((&*first.get(), &*second.get()), (&*one, &*other));
        assert_eq!(first.len(), one.len());
        assert!(apart(&first).words.len() < 100, "{}", apart(&first).words.len());
        // The next version of it takes the pattern along, from wherever it came.
        let next = Text::of_section("status", &other, Some(Some(&first)), &Interner::default());
        assert!(Arc::ptr_eq(&apart(&first).pattern, &apart(&next).pattern));
        assert_eq!(next, second);
    }

    #[test]
    fn short_texts_and_keys_stay_whole() {
        let whole = |text: &str| matches!(made(text).0, Kept::Whole(_));
        assert!(whole(r#"{"renewTime":"2026-01-31T12:00:00.000000Z"}"#));
        assert!(whole(&format!("\"{}\"", "MIIB9z3".repeat(80))));
        assert!(whole(&format!("\"{}\"", "no digit ".repeat(80))));
        assert!(whole(&format!("\"{}\"", "1 2 ".repeat(80))), "all words");
        assert_eq!(size_of::<Text>(), 16);
    }

    #[test]
    fn parts_are_found_across_words() {
        let text = made(&status("2026-01-31T12:00:00Z", UID_TEXT, "192.0.2.1", "f00d"));
        for part in [
            "\"phase\":\"Running\"",
            "\"phase\":",
            "192.0.2.1",
            "\"hostIP\":\"192",
            "T12:00",
            "8fa4-4e02",
            "-",
            "f0",
        ] {
            assert!(text.contains(part), "{part}");
        }
        for part in ["\"phase\":\"Failed\"", "192.0.2.2", "\"f\"", "\u{1}", "T13"] {
            assert!(!text.contains(part), "{part}");
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9a-f]{1,80}",
            "[0-9A-Za-z]{1,100}",
            "[ -~]{0,12}",
            Just("2026-01-31T12:00:00Z".to_owned()),
            Just("2026-01-31T12:00:00.123456Z".to_owned()),
            Just("2026-01-31t12:00:00".to_owned()),
            Just("12026-01-31T12:00:007".to_owned()),
            Just(UID_TEXT.to_owned()),
            Just(UID_TEXT.to_uppercase()),
            Just(format!("{UID_TEXT}0")),
            Just("\"phase\":".to_owned()),
            "\\PC{0,8}",
            Just("\u{1}".to_owned()),
        ]
    }

    proptest! {
        /// Whatever is put in comes out again, and is found where a plain search finds it.
        #[test]
        fn text_comes_out_as_it_went_in(
            pieces in prop::collection::vec(piece(), 0..60),
            filling in 0_usize..200,
            (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let text = format!("\"{}{}", "x ".repeat(filling), pieces.concat());
            let made = made(&text);
            prop_assert_eq!(&*made.get(), text.as_str());
            prop_assert_eq!(made.len(), text.len());
            let next = Text::of_section("status", &text, Some(Some(&made)), &Interner::default());
            prop_assert_eq!(&next, &made);
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            if let Some(part) = text.get(from.min(to)..from.max(to)) {
                prop_assert!(made.contains(part));
            }
            prop_assert_eq!(made.contains("\"phase\":"), text.contains("\"phase\":"));
        }
    }
}
