//! Label and field selectors, as the server reads them (kubernetes: `apimachinery/pkg/labels/selector.go`,
//! `apimachinery/pkg/fields/selector.go`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::names;
use super::object::Object;
use super::resource::Resource;
use super::status::{FieldError, Status};

/// Longest selector that is read.
const LONGEST: usize = 64 * 1024;

/// A condition on one label.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

/// A label selector: all conditions must hold; the empty one matches everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LabelSelector {
    terms: Vec<(String, Test)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    Word(&'a str),
    Comma,
    Open,
    Close,
    Not,
    NotEqual,
    Equal,
    Above,
    Below,
    End,
}

impl Token<'_> {
    const fn text(&self) -> &str {
        match self {
            Self::Word(text) => text,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::NotEqual => "!=",
            Self::Equal => "=",
            Self::Above => ">",
            Self::Below => "<",
            Self::End => "",
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Token<'a> {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        // "!=" and "==" before their first characters.
        const SIGNS: [(&str, Token<'static>); 9] = [
            ("!=", Token::NotEqual),
            ("==", Token::Equal),
            ("=", Token::Equal),
            ("!", Token::Not),
            (",", Token::Comma),
            ("(", Token::Open),
            (")", Token::Close),
            (">", Token::Above),
            ("<", Token::Below),
        ];
        for (sign, token) in SIGNS {
            if let Some(after) = rest.strip_prefix(sign) {
                self.rest = after;
                return token;
            }
        }
        let end = rest
            .find([' ', '\t', '\r', '\n', '!', '=', ',', '(', ')', '>', '<'])
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.rest = after;
        if word.is_empty() {
            Token::End
        } else {
            Token::Word(word)
        }
    }

    fn peek(&self) -> Token<'a> {
        Lexer { rest: self.rest }.next()
    }
}

fn parse_error(text: impl std::fmt::Display) -> Status {
    Status::bad_request(format!("unable to parse requirement: {text}"))
}

impl LabelSelector {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
    ///
    /// # Errors
    /// 400 with the server's words.
    pub fn parse(text: &str) -> Result<Self, Status> {
        if text.len() > LONGEST {
            return Err(Status::bad_request(format!(
                "selector longer than {LONGEST} bytes"
            )));
        }
        let mut lexer = Lexer { rest: text };
        let mut terms = Vec::new();
        loop {
            match lexer.peek() {
                Token::Word(_) | Token::Not => terms.push(term(&mut lexer)?),
                Token::End => break,
                other => {
                    return Err(Status::bad_request(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        other.text()
                    )));
                }
            }
            match lexer.next() {
                Token::End => break,
                Token::Comma => {
                    let next = lexer.peek();
                    if !matches!(next, Token::Word(_) | Token::Not) {
                        return Err(Status::bad_request(format!(
                            "found '{}', expected: identifier after ','",
                            next.text()
                        )));
                    }
                }
                other => {
                    return Err(Status::bad_request(format!(
                        "found '{}', expected: ',' or 'end of string'",
                        other.text()
                    )));
                }
            }
        }
        Ok(Self { terms })
    }

    /// Reads the form that stands in specs: `{"matchLabels": {..}, "matchExpressions": [{"key", "operator", "values"}]}`. An absent
    /// selector (`null`) matches nothing, an empty one everything. Unknown operators match nothing.
    #[must_use]
    pub fn from_spec(spec: &Value) -> Option<Self> {
        let spec = spec.as_object()?;
        let mut terms = Vec::new();
        for (key, value) in spec
            .get("matchLabels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let value = value.as_str().unwrap_or("").to_owned();
            terms.push((key.clone(), Test::In(BTreeSet::from([value]))));
        }
        for expression in spec
            .get("matchExpressions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let values = || {
                let values = expression.get("values").and_then(Value::as_array);
                values
                    .into_iter()
                    .flatten()
                    .filter_map(|value| value.as_str().map(str::to_owned))
                    .collect()
            };
            let test = match expression.get("operator").and_then(Value::as_str)? {
                "In" => Test::In(values()),
                "NotIn" => Test::NotIn(values()),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Missing,
                _ => return None,
            };
            terms.push((expression.get("key").and_then(Value::as_str)?.to_owned(), test));
        }
        Some(Self { terms })
    }

    /// Reads a plain map of labels, the form of Services and ReplicationControllers.
    #[must_use]
    pub fn from_map(map: &Value) -> Option<Self> {
        let terms = map
            .as_object()?
            .iter()
            .map(|(key, value)| {
                let value = value.as_str().unwrap_or("").to_owned();
                (key.clone(), Test::In(BTreeSet::from([value])))
            })
            .collect();
        Some(Self { terms })
    }

    /// Whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether the labels that `look_up` tells match.
    pub fn matches<'a>(&self, look_up: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|(key, test)| {
            let value = look_up(key);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match test {
                Test::In(values) => value.is_some_and(|value| values.contains(value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Test::Exists => value.is_some(),
                Test::Missing => value.is_none(),
                Test::Above(limit) => number().is_some_and(|number| number > *limit),
                Test::Below(limit) => number().is_some_and(|number| number < *limit),
            }
        })
    }

    /// Whether the object's labels match.
    #[must_use]
    pub fn matches_object(&self, object: &Object) -> bool {
        self.matches(|key| object.label(key))
    }
}

impl std::fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (key, test)) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let list = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(",");
            match test {
                Test::In(values) if values.len() == 1 => write!(f, "{key}={}", list(values))?,
                Test::In(values) => write!(f, "{key} in ({})", list(values))?,
                Test::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", list(values))?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", list(values))?,
                Test::Exists => f.write_str(key)?,
                Test::Missing => write!(f, "!{key}")?,
                Test::Above(limit) => write!(f, "{key}>{limit}")?,
                Test::Below(limit) => write!(f, "{key}<{limit}")?,
            }
        }
        Ok(())
    }
}

/// One requirement.
fn term(lexer: &mut Lexer<'_>) -> Result<(String, Test), Status> {
    let mut token = lexer.next();
    let negated = token == Token::Not;
    if negated {
        token = lexer.next();
    }
    let Token::Word(key) = token else {
        return Err(parse_error(format!(
            "found '{}', expected: identifier",
            token.text()
        )));
    };
    let faults = names::qualified(key);
    if !faults.is_empty() {
        return Err(parse_error(FieldError::invalid("<nil>", key, faults.join("; "))));
    }
    let key = key.to_owned();
    if negated {
        return Ok((key, Test::Missing));
    }
    let checked = |value: &str| {
        let faults = names::label_value(value);
        if faults.is_empty() {
            Ok(value.to_owned())
        } else {
            let at = format!("values[0][{key}]");
            Err(parse_error(FieldError::invalid(at, value, faults.join("; "))))
        }
    };
    if matches!(lexer.peek(), Token::End | Token::Comma) {
        return Ok((key, Test::Exists));
    }
    let operator = lexer.next();
    let test = match operator {
        Token::Equal => Test::In(BTreeSet::from([checked(value(lexer)?)?])),
        Token::NotEqual => Test::NotIn(BTreeSet::from([checked(value(lexer)?)?])),
        Token::Above | Token::Below => {
            let text = value(lexer)?;
            let number = text.parse().map_err(|_| {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                parse_error(FieldError::invalid("values[0]", text, detail))
            })?;
            if operator == Token::Above {
                Test::Above(number)
            } else {
                Test::Below(number)
            }
        }
        Token::Word("in") => Test::In(
            values(lexer)?
                .into_iter()
                .map(checked)
                .collect::<Result<_, _>>()?,
        ),
        Token::Word("notin") => Test::NotIn(
            values(lexer)?
                .into_iter()
                .map(checked)
                .collect::<Result<_, _>>()?,
        ),
        other => {
            return Err(parse_error(format!(
                "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                other.text()
            )));
        }
    };
    Ok((key, test))
}

/// The value after `=`: a word or nothing.
fn value<'a>(lexer: &mut Lexer<'a>) -> Result<&'a str, Status> {
    match lexer.peek() {
        Token::End | Token::Comma => Ok(""),
        Token::Word(word) => {
            lexer.next();
            Ok(word)
        }
        other => Err(parse_error(format!(
            "found '{}', expected: identifier",
            other.text()
        ))),
    }
}

/// The values in parentheses. Empty places count as the empty string.
fn values<'a>(lexer: &mut Lexer<'a>) -> Result<Vec<&'a str>, Status> {
    let open = lexer.next();
    if open != Token::Open {
        return Err(parse_error(format!("found '{}' expected: '('", open.text())));
    }
    let mut found = Vec::new();
    let mut pending = true;
    loop {
        match lexer.next() {
            Token::Word(word) if pending => {
                found.push(word);
                pending = false;
            }
            Token::Comma => {
                if pending {
                    found.push("");
                }
                pending = true;
            }
            Token::Close => {
                if pending {
                    found.push("");
                }
                return Ok(found);
            }
            other => {
                return Err(parse_error(format!(
                    "found '{}', expected: ',' or ')'",
                    other.text()
                )));
            }
        }
    }
}

/// A field selector: all terms must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FieldSelector {
    terms: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// Reads `a=b,c!=d` and checks that the resource knows the fields. A backslash escapes `,`, `=` and itself.
    ///
    /// # Errors
    /// 400 with the server's words.
    pub fn parse(text: &str, resource: &Resource) -> Result<Self, Status> {
        if text.len() > LONGEST {
            return Err(Status::bad_request(format!(
                "selector longer than {LONGEST} bytes"
            )));
        }
        let mut terms = Vec::new();
        for part in split_terms(text).into_iter().filter(|part| !part.is_empty()) {
            let refuse =
                || Status::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'"));
            let place = part.find(['=', '!']).ok_or_else(refuse)?;
            let (label, rest) = part.split_at(place);
            let (equal, value) = if let Some(value) = rest.strip_prefix("!=") {
                (false, value)
            } else if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
                (true, value)
            } else {
                return Err(refuse());
            };
            if !resource.selects(label) {
                return Err(Status::bad_request(
                    if resource.selectable.is_empty() && !resource.custom {
                        format!(
                            "\"{label}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                        )
                    } else {
                        format!("field label not supported: {label}")
                    },
                ));
            }
            terms.push((label.to_owned(), equal, unescape(value)?));
        }
        Ok(Self { terms })
    }

    /// The name that the selector pins, if it does: such a list needs one look-up only.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.terms
            .iter()
            .find(|(label, equal, _)| *equal && label == "metadata.name")
            .map(|(_, _, value)| value.as_str())
    }

    /// Whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether the object matches.
    #[must_use]
    pub fn matches(&self, resource: &Resource, object: &Object) -> bool {
        self.terms.iter().all(|(label, equal, value)| {
            // Most objects of a large list do not even hold the text: that is seen without reading the JSON.
            if *equal && !resource.may_hold(object, label, value) {
                return false;
            }
            resource
                .field(object, label)
                .is_some_and(|found| (found == *value) == *equal)
        })
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(text.get(start..index).unwrap_or(""));
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(text.get(start..).unwrap_or(""));
    terms
}

fn unescape(text: &str) -> Result<String, Status> {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let sequence: String = other.into_iter().collect();
                    return Err(Status::bad_request(format!(
                        "invalid field selector: invalid escape sequence: \\{sequence}"
                    )));
                }
            },
            ',' | '=' => {
                return Err(Status::bad_request(format!(
                    "invalid field selector: unescaped character in value: {character}"
                )));
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests;
