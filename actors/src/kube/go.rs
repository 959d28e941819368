//! Go's own words and forms, where a real server's answers have them: what is wrong with JSON, and how values are printed.

use std::fmt::Write as _;

use serde_json::Value;

/// Deepest nesting that Go's reader takes (go: `encoding/json/scanner.go`, `maxNestingDepth`).
const DEEPEST: usize = 10_000;

/// What is wrong with text that is to be one JSON value (go: `encoding/json/scanner.go`); `None` if nothing is.
#[must_use]
pub fn json_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner {
        rest: text,
        inside: Vec::new(),
    };
    match scanner.document() {
        Ok(()) => None,
        Err(Fault::End) => Some("unexpected end of JSON input".to_owned()),
        Err(Fault::Deep) => Some("exceeded max depth".to_owned()),
        Err(Fault::Byte(byte, context)) => Some(format!("invalid character {} {context}", quoted(byte))),
    }
}

enum Fault {
    End,
    Deep,
    Byte(u8, &'static str),
}

/// What a value stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Object,
    Array,
}

struct Scanner<'a> {
    rest: &'a [u8],
    inside: Vec<Inside>,
}

impl Scanner<'_> {
    fn next(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or(Fault::End)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next byte that is no space; it stays.
    fn peek(&mut self) -> Option<u8> {
        let end = self.rest.iter().position(|byte| !is_space(*byte));
        self.rest = self
            .rest
            .get(end.unwrap_or(self.rest.len())..)
            .unwrap_or_default();
        self.rest.first().copied()
    }

    fn document(&mut self) -> Result<(), Fault> {
        loop {
            // One value, or the start of one: what is in it comes in the next rounds.
            let opened = self.value()?;
            if opened {
                continue;
            }
            // After a value: on to the next one, out of as many lists and objects as end here.
            loop {
                let Some(inside) = self.inside.last().copied() else {
                    return match self.peek() {
                        None => Ok(()),
                        Some(byte) => Err(Fault::Byte(byte, "after top-level value")),
                    };
                };
                match (self.peek().ok_or(Fault::End)?, inside) {
                    (b',', Inside::Array) => {
                        self.next()?;
                        break;
                    }
                    (b',', Inside::Object) => {
                        self.next()?;
                        self.key()?;
                        break;
                    }
                    (b']', Inside::Array) | (b'}', Inside::Object) => {
                        self.next()?;
                        self.inside.pop();
                    }
                    (byte, Inside::Array) => return Err(Fault::Byte(byte, "after array element")),
                    (byte, Inside::Object) => return Err(Fault::Byte(byte, "after object key:value pair")),
                }
            }
        }
    }

    /// A value. `true`: a list or an object was opened, and a value follows.
    fn value(&mut self) -> Result<bool, Fault> {
        let byte = self.peek().ok_or(Fault::End)?;
        let inside = match byte {
            b'{' => Inside::Object,
            b'[' => Inside::Array,
            _ => return self.scalar().map(|()| false),
        };
        self.next()?;
        let end = match inside {
            Inside::Object => b'}',
            Inside::Array => b']',
        };
        if self.inside.len() >= DEEPEST {
            return Err(Fault::Deep);
        }
        if self.peek().ok_or(Fault::End)? == end {
            self.next()?;
            return Ok(false);
        }
        self.inside.push(inside);
        if inside == Inside::Object {
            self.key()?;
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Fault> {
        match self.peek().ok_or(Fault::End)? {
            b'"' => self.string()?,
            byte => return Err(Fault::Byte(byte, "looking for beginning of object key string")),
        }
        match self.peek().ok_or(Fault::End)? {
            b':' => self.next().map(|_| ()),
            byte => Err(Fault::Byte(byte, "after object key")),
        }
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek().ok_or(Fault::End)? {
            b'"' => self.string(),
            b't' => self.word(
                b"true",
                [
                    "in literal true (expecting 'r')",
                    "in literal true (expecting 'u')",
                    "in literal true (expecting 'e')",
                ],
            ),
            b'n' => self.word(
                b"null",
                [
                    "in literal null (expecting 'u')",
                    "in literal null (expecting 'l')",
                    "in literal null (expecting 'l')",
                ],
            ),
            b'f' => {
                self.word(
                    b"fals",
                    [
                        "in literal false (expecting 'a')",
                        "in literal false (expecting 'l')",
                        "in literal false (expecting 's')",
                    ],
                )?;
                match self.next()? {
                    b'e' => Ok(()),
                    byte => Err(Fault::Byte(byte, "in literal false (expecting 'e')")),
                }
            }
            b'-' | b'0'..=b'9' => self.number(),
            byte => Err(Fault::Byte(byte, "looking for beginning of value")),
        }
    }

    fn word(&mut self, word: &[u8; 4], contexts: [&'static str; 3]) -> Result<(), Fault> {
        self.next()?;
        for (wanted, context) in word.iter().skip(1).zip(contexts) {
            let byte = self.next()?;
            if byte != *wanted {
                return Err(Fault::Byte(byte, context));
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.next()?;
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let byte = self.next()?;
                            if !byte.is_ascii_hexdigit() {
                                return Err(Fault::Byte(byte, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    byte => return Err(Fault::Byte(byte, "in string escape code")),
                },
                byte @ 0..0x20 => return Err(Fault::Byte(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        let mut first = self.next()?;
        if first == b'-' {
            first = self.next()?;
            if !first.is_ascii_digit() {
                return Err(Fault::Byte(first, "in numeric literal"));
            }
        }
        if first != b'0' {
            self.digits();
        }
        if self.rest.first() == Some(&b'.') {
            self.next()?;
            match self.next()? {
                b'0'..=b'9' => self.digits(),
                byte => return Err(Fault::Byte(byte, "after decimal point in numeric literal")),
            }
        }
        if matches!(self.rest.first(), Some(b'e' | b'E')) {
            self.next()?;
            if matches!(self.rest.first(), Some(b'+' | b'-')) {
                self.next()?;
            }
            match self.next()? {
                b'0'..=b'9' => self.digits(),
                byte => return Err(Fault::Byte(byte, "in exponent of numeric literal")),
            }
        }
        Ok(())
    }

    fn digits(&mut self) {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit());
        self.rest = self
            .rest
            .get(end.unwrap_or(self.rest.len())..)
            .unwrap_or_default();
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A byte as errors quote it (go: `encoding/json/scanner.go`, `quoteChar`).
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        7 => r"'\a'".to_owned(),
        8 => r"'\b'".to_owned(),
        11 => r"'\v'".to_owned(),
        12 => r"'\f'".to_owned(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        // Controls, the space that does not break and the soft hyphen are not printed.
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// A body as errors quote its start (apiserver: `pkg/endpoints/handlers/rest.go`, `summarizeData`).
#[must_use]
pub fn summary(body: &[u8]) -> String {
    /// Bytes that are quoted.
    const MOST: usize = 30;
    let start = body.get(..MOST).unwrap_or(body);
    let mut text = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(start).into_owned(),
        Some(_) => start.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    };
    if body.len() > MOST {
        text.push_str(" ...");
    }
    text
}

/// The word for a value in errors of Go's reader (go: `encoding/json/decode.go`).
#[must_use]
pub const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value as `%v` prints what it is read into.
#[must_use]
pub fn value(value: &Value) -> String {
    let mut text = String::new();
    print(value, &mut text);
    text
}

fn print(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::String(string) => text.push_str(string),
        Value::Bool(_) | Value::Number(_) => {
            let _ = write!(text, "{value}");
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                print(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            text.push_str("map[");
            for (index, (key, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                text.push_str(key);
                text.push(':');
                print(member, text);
            }
            text.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_with_json() {
        for (text, error) in [
            ("", "unexpected end of JSON input"),
            ("  {\"a\":", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("\"a", "unexpected end of JSON input"),
            (
                "kind: Pod",
                "invalid character 'k' looking for beginning of value",
            ),
            ("<html>", "invalid character '<' looking for beginning of value"),
            (
                "{a}",
                "invalid character 'a' looking for beginning of object key string",
            ),
            (
                "{\"a\":1,}",
                "invalid character '}' looking for beginning of object key string",
            ),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{} {}", "invalid character '{' after top-level value"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            (
                "\"\\u00g0\"",
                "invalid character 'g' in \\u hexadecimal character escape",
            ),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("trie", "invalid character 'i' in literal true (expecting 'u')"),
            ("falsy", "invalid character 'y' in literal false (expecting 'e')"),
            ("nul!", "invalid character '!' in literal null (expecting 'l')"),
            ("-a", "invalid character 'a' in numeric literal"),
            (
                "1.a",
                "invalid character 'a' after decimal point in numeric literal",
            ),
            ("1e+", "unexpected end of JSON input"),
            ("1ea", "invalid character 'a' in exponent of numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            ("'a'", "invalid character '\\'' looking for beginning of value"),
            ("é", "invalid character 'Ã' looking for beginning of value"),
            ("\0", "invalid character '\\x00' looking for beginning of value"),
        ] {
            assert_eq!(json_error(text.as_bytes()).as_deref(), Some(error), "{text:?}");
        }
        for text in [
            "null",
            " [ ] ",
            "{\"a\":{\"b\":[1,-0.5e-7,\"\\u00e9\",true,false,{}]}}\n",
        ] {
            assert_eq!(json_error(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(
            json_error("[".repeat(DEEPEST + 1).as_bytes()).as_deref(),
            Some("exceeded max depth")
        );
    }

    #[test]
    fn values_and_summaries() {
        assert_eq!(
            value(&json!({"b": [1, "x", null], "a": {"c": true}})),
            "map[a:map[c:true] b:[1 x <nil>]]"
        );
        assert_eq!(summary(b""), "<empty>");
        assert_eq!(summary(b"{\"a\""), "{\"a\"");
        assert_eq!(
            summary(b"{\"a\":\"01234567890123456789012345\"}"),
            "{\"a\":\"012345678901234567890123 ..."
        );
        assert_eq!(summary(b"ab"), "6162");
    }

    proptest! {
        #[test]
        fn it_refuses_what_another_reader_refuses(text in "[\\[\\]{}\",:0-9.eE+\\-truefalsnu \\\\]{0,24}") {
            let read = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            // The other one looks at pairs of surrogates, too.
            prop_assume!(!text.contains("\\u"));
            prop_assert_eq!(json_error(text.as_bytes()).is_none(), read, "{}", text);
        }
    }
}
