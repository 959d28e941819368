//! Reading of paths (client-go: `util/jsonpath/parser.go`).

use serde_json::Value;

use super::{Filter, Operator, Path, Slice, Step};

/// Longest path.
const LONGEST: usize = 4096;
/// Paths within paths: a filter in a path has paths, but no filters.
const DEEPEST: usize = 8;

/// Reads a path.
pub(super) fn path(text: &str) -> Option<Path> {
    if text.len() > LONGEST {
        return None;
    }
    inside(text, 0)
}

fn inside(mut rest: &str, depth: usize) -> Option<Path> {
    if depth > DEEPEST {
        return None;
    }
    let mut steps = Vec::new();
    while let Some(first) = rest.chars().next() {
        rest = if let Some(after) = rest.strip_prefix("[?(") {
            filter(after, depth, &mut steps)?
        } else if let Some(after) = rest.strip_prefix("..") {
            descent(after, &mut steps)?
        } else if let Some(after) = rest.strip_prefix([' ', '@', '$']) {
            after
        } else if let Some(after) = rest.strip_prefix('[') {
            array(after, depth, &mut steps)?
        } else if let Some(after) = rest.strip_prefix('.') {
            field(after, &mut steps)
        } else if let Some(after) = rest.strip_prefix(['"', '\'']) {
            let (words, after) = quoted(after, first)?;
            steps.push(Step::Literal(words.into()));
            after
        } else if first == '+' || first == '-' || first.is_ascii_digit() {
            let (value, after) = number(rest)?;
            steps.push(Step::Literal(value));
            after
        } else if first == '_' || first.is_alphanumeric() {
            let (word, after) = split(rest, terminator(rest));
            steps.push(match word {
                "true" => Step::Literal(Value::Bool(true)),
                "false" => Step::Literal(Value::Bool(false)),
                _ => Step::Unknown,
            });
            after
        } else {
            return None;
        };
    }
    Some(Path { steps })
}

/// `text` in two, `at` being between characters.
fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// Where a word ends.
fn terminator(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}' => return at,
            _ => {}
        }
    }
    text.len()
}

fn field<'a>(text: &'a str, steps: &mut Vec<Step>) -> &'a str {
    let (word, rest) = split(text, terminator(text));
    steps.push(match word {
        "*" => Step::Wildcard,
        word => Step::Field(word.replace('\\', "")),
    });
    rest
}

fn descent<'a>(text: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    if steps.last() == Some(&Step::Descent) {
        return None;
    }
    steps.push(Step::Descent);
    let names = text.starts_with(|letter: char| letter == '_' || letter.is_alphanumeric());
    Some(if names { field(text, steps) } else { text })
}

/// The text up to the quote, with its escapes resolved, and what follows.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut words = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\n' => return None,
            '\\' => words.push(match letters.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                sign @ ('\\' | '\'' | '"') => sign,
                _ => return None,
            }),
            letter if letter == quote => return Some((words, text.get(at + letter.len_utf8()..)?)),
            letter => words.push(letter),
        }
    }
    None
}

fn number(text: &str) -> Option<(Value, &str)> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = digits
        .find(|letter: char| letter != '.' && !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    let (word, rest) = split(text, text.len() - digits.len() + end);
    let word = word.strip_prefix('+').unwrap_or(word);
    let whole = word.parse::<i64>().map(Value::from);
    let value = whole.or_else(|_| word.parse::<f64>().map(Value::from)).ok()?;
    Some((value, rest))
}

/// What stands in brackets.
fn array<'a>(text: &'a str, depth: usize, steps: &mut Vec<Step>) -> Option<&'a str> {
    let (inner, rest) = text.split_once(']')?;
    if inner.contains('\n') {
        return None;
    }
    if inner.contains(',') {
        let paths = inner
            .split(',')
            .map(|part| inside(&format!("[{}]", part.trim_matches(' ')), depth + 1));
        steps.push(Step::Union(paths.collect::<Option<_>>()?));
    } else if let Some(key) = key(inner) {
        steps.extend(inside(&format!(".{key}"), depth + 1)?.steps);
    } else {
        steps.push(Step::Slice(slice(inner)?));
    }
    Some(rest)
}

/// `'key'`.
fn key(text: &str) -> Option<&str> {
    let key = text.strip_prefix('\'')?.strip_suffix('\'')?;
    (!key.contains('\'')).then_some(key)
}

/// `*`, `1`, `-1`, `1:3`, `:`, `::2`.
fn slice(text: &str) -> Option<Slice> {
    if text == "*" {
        return Some(Slice::default());
    }
    let place = |word: &str| match word {
        "" => Some(None),
        word if word.starts_with('+') => None,
        word => word.parse::<i64>().ok().map(Some),
    };
    let mut words = text.split(':');
    let start = place(words.next()?)?;
    let end = words.next();
    let step = words.next().map_or(Some(None), place)?;
    if words.next().is_some() {
        return None;
    }
    Some(match end {
        Some(end) => Slice {
            start,
            end: place(end)?,
            step,
            single: false,
        },
        None => Slice {
            start,
            end: Some(start.unwrap_or(0).checked_add(1)?),
            step,
            single: true,
        },
    })
}

/// What stands between `[?(` and `)]`.
fn filter<'a>(text: &'a str, depth: usize, steps: &mut Vec<Step>) -> Option<&'a str> {
    let (mut pair, mut closed, mut before) = (None, false, '\0');
    let mut end = None;
    for (at, letter) in text.char_indices() {
        match letter {
            '\n' => return None,
            '"' | '\'' if pair.is_none() => pair = Some(letter),
            '"' | '\'' if pair == Some(letter) && before != '\\' => closed = true,
            ')' if pair.is_some() == closed => {
                end = Some(at);
                break;
            }
            _ => {}
        }
        before = letter;
    }
    let (inner, rest) = split(text, end?);
    let rest = rest.strip_prefix(")]")?;
    let is_sign = |letter: char| matches!(letter, '!' | '<' | '>' | '=');
    let (left, signs) = split(inner, inner.find(is_sign).unwrap_or(inner.len()));
    // At least one character is left for the right side.
    let last = signs.char_indices().next_back().map_or(0, |(at, _)| at);
    let end = signs.find(|letter| !is_sign(letter)).unwrap_or(last);
    let (sign, right) = split(signs, end);
    let test = if left.is_empty() || sign.is_empty() || right.is_empty() {
        Filter {
            left: inside(inner, depth + 1)?,
            compare: None,
        }
    } else {
        Filter {
            left: inside(left, depth + 1)?,
            compare: Some((operator(sign), inside(right, depth + 1)?)),
        }
    };
    steps.push(Step::Filter(Box::new(test)));
    Some(rest)
}

fn operator(sign: &str) -> Operator {
    match sign {
        "<" => Operator::Less,
        ">" => Operator::Greater,
        "==" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<=" => Operator::LessEqual,
        ">=" => Operator::GreaterEqual,
        _ => Operator::Unknown,
    }
}
