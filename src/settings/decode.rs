//! Turns a tree of values into a type and collects every error on the way, not only the first.
//!
//! Serde stops at the first error. So the value it stumbled over is noted and replaced by its default, and the
//! tree is decoded again, until nothing is left to complain about.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment as Step;

use super::layers::{KeyPath, Origin, Segment, Tree, as_yaml};
use super::problem::Problem;

/// More problems than this are not looked for.
const MOST_PROBLEMS: usize = 200;

/// Keys whose values never appear in a message.
const SECRETS: [&str; 2] = ["password", "token"];

/// A tree being decoded.
pub(crate) struct Decoder {
    tree: Tree,
    defaults: Value,
    /// Path of the tree's root in the settings.
    prefix: KeyPath,
    problems: Vec<Problem>,
    /// Paths already complained about, so that what follows from an error is no second error.
    blamed: BTreeSet<KeyPath>,
    /// Elements taken out of lists, by the list's path, so that later indices still mean what the user wrote.
    removed: BTreeMap<KeyPath, BTreeSet<usize>>,
    /// Forms still to be tried of values that came as text, and the first complaint about each.
    texts: BTreeMap<KeyPath, Attempts>,
}

struct Attempts {
    complaint: String,
    forms: Vec<Value>,
}

impl Decoder {
    /// A decoder of `tree`, which replaces values that are wrong by those in `defaults`.
    pub(crate) fn new(tree: Tree, defaults: Value, prefix: KeyPath) -> Self {
        Self {
            tree,
            defaults,
            prefix,
            problems: Vec::new(),
            blamed: BTreeSet::new(),
            removed: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    /// The decoded value, with what was wrong replaced by defaults; none if nothing can stand in for it.
    pub(crate) fn decode<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.check_tables(&KeyPath::default());
        while self.problems.len() < MOST_PROBLEMS {
            let error = match serde_path_to_error::deserialize::<_, T>(&self.tree.root) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            let mut path = key_path(error.path(), &self.tree.root);
            let message = error.into_inner().to_string();
            if let Some(field) = quoted_after(&message, "missing field ") {
                self.blame(&path.key(field), "is required");
                if !self.repair(&path) {
                    return None;
                }
                continue;
            }
            if let Some(field) = quoted_after(&message, "unknown field ") {
                if path.last_key() != Some(field) {
                    path = path.key(field);
                }
                self.blame(&path, &unknown("key", field, &message));
                self.remove(&path);
                continue;
            }
            if self.try_next_form(&path, &message) {
                self.check_tables(&path);
                continue;
            }
            let original = self.original(&path);
            let message = self
                .texts
                .remove(&original)
                .map_or(message, |attempts| attempts.complaint);
            let reason = match quoted_after(&message, "unknown variant ") {
                Some(word) => unknown("word", word, &message),
                None => readable(&path, &message),
            };
            self.blame(&path, &reason);
            if !self.repair(&path) {
                return None;
            }
        }
        None
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems found so far.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Notes that the value at `path` (in the tree as it is now) is wrong, unless that is known already.
    pub(crate) fn blame(&mut self, path: &KeyPath, reason: &str) {
        if self.blamed.insert(self.original(path)) {
            self.complain(path, reason);
        }
    }

    /// Notes one of possibly many things that are wrong with the value at `path`.
    pub(crate) fn complain(&mut self, path: &KeyPath, reason: &str) {
        let path = self.original(path);
        self.blamed.insert(path.clone());
        self.problems.push(Problem {
            key: self.prefix.join(&path).to_string(),
            reason: reason.to_owned(),
            origin: self
                .tree
                .origin(&path)
                .or_else(|| self.tree.origin_within(&path))
                .map(Origin::to_string),
        });
    }

    /// Takes over problems found elsewhere.
    pub(crate) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
    }

    /// Where the value at `path` came from.
    fn origin(&self, path: &KeyPath) -> Option<&Origin> {
        self.tree.origin(&self.original(path))
    }

    /// The tree at `path` with the values that came from there, laid over `defaults`.
    pub(super) fn part(&self, path: &KeyPath, value: Value, defaults: Value) -> Tree {
        self.tree.part(path, value, defaults)
    }

    /// The file that `text`, the value at `path`, names: relative to the file that names it, otherwise to the
    /// working directory.
    pub(super) fn file(&self, path: &KeyPath, text: &str) -> PathBuf {
        match self.origin(path).and_then(Origin::folder) {
            Some(folder) => folder.join(text),
            None => PathBuf::from(text),
        }
    }

    /// Sections and the elements of lists of tables must be tables: serde would take a list for one, its elements
    /// as the fields in their order.
    fn check_tables(&mut self, path: &KeyPath) {
        match default_at(&self.defaults, path) {
            Some(Value::Object(defaults)) => {
                let keys: Vec<String> = defaults.keys().cloned().collect();
                if self.check_table(path) {
                    keys.iter().for_each(|key| self.check_tables(&path.key(key)));
                } else {
                    self.blame(path, "expected a table");
                    self.repair(path);
                }
            }
            Some(Value::Array(defaults)) if defaults.first().is_some_and(Value::is_object) => {
                let elements = self
                    .tree
                    .get_mut(path)
                    .and_then(|list| list.as_array())
                    .map_or(0, Vec::len);
                // From the end, so that taking one out moves none that is still to come.
                for index in (0..elements).rev() {
                    let element = path.index(index);
                    if !self.check_table(&element) {
                        self.blame(&element, "expected a table");
                        self.remove(&element);
                    }
                }
            }
            Some(_) | None => {}
        }
    }

    /// Whether the value at `path` is a table, or a text that is one in YAML and now becomes it.
    fn check_table(&mut self, path: &KeyPath) -> bool {
        let text = self.tree.is_text(path);
        let Some(value) = self.tree.get_mut(path) else {
            return true;
        };
        if let (true, Value::String(found)) = (text, &value)
            && let Some(table @ Value::Object(_)) = as_yaml(found)
        {
            *value = table;
        }
        value.is_object()
    }

    /// A text given by environment or flag may stand for another type: tries what it would be in YAML, then a
    /// list separated by commas. Whether there was one more form to try.
    fn try_next_form(&mut self, path: &KeyPath, message: &str) -> bool {
        let original = self.original(path);
        if !self.tree.is_text(&original) {
            return false;
        }
        let Some(value) = self.tree.get_mut(path) else {
            return false;
        };
        if let Some(attempts) = self.texts.get_mut(&original) {
            return attempts.forms.pop().map(|form| *value = form).is_some();
        }
        let Value::String(text) = value else { return false };
        let list = text
            .split(',')
            .map(|item| Value::String(item.trim().to_owned()))
            .collect();
        let mut forms = vec![Value::Array(list)];
        forms.extend(as_yaml(text).filter(|yaml| !yaml.is_string()));
        let first = forms.pop();
        let attempts = Attempts {
            complaint: message.to_owned(),
            forms,
        };
        if let Some(form) = first {
            *value = form;
        }
        self.texts.insert(original, attempts);
        true
    }

    /// Makes the value at `path` decodable: its default, or nothing. False if that is the whole tree.
    fn repair(&mut self, path: &KeyPath) -> bool {
        if path.0.is_empty() {
            return false;
        }
        match (default_at(&self.defaults, path).cloned(), self.tree.get_mut(path)) {
            (Some(default), Some(value)) if *value != default => *value = default,
            _ => self.remove(path),
        }
        true
    }

    fn remove(&mut self, path: &KeyPath) {
        let original = self.original(path);
        let mut parent = path.clone();
        let Some(last) = parent.0.pop() else { return };
        // If the container complains about the gap, that is no second error.
        let container = self.original(&parent);
        self.blamed.insert(container);
        let removed = match (self.tree.get_mut(&parent), &last) {
            (Some(Value::Object(table)), Segment::Key(key)) => table.remove(key).is_some(),
            (Some(Value::Array(list)), Segment::Index(index)) if *index < list.len() => {
                list.remove(*index);
                let mut list = original;
                if let Some(Segment::Index(index)) = list.0.pop() {
                    self.removed.entry(list).or_default().insert(index);
                }
                true
            }
            _ => false,
        };
        // Whatever the complaint was, decoding must get on: without the value itself, its container goes.
        if !removed && !self.repair(&parent) {
            self.tree.root = self.defaults.clone();
        }
    }

    /// The path as the user wrote it: elements taken out of lists count again.
    fn original(&self, path: &KeyPath) -> KeyPath {
        let mut original = KeyPath::default();
        for segment in &path.0 {
            let segment = match segment {
                Segment::Key(_) => segment.clone(),
                Segment::Index(index) => {
                    let removed = self.removed.get(&original);
                    let index = removed
                        .into_iter()
                        .flatten()
                        .fold(*index, |index, gone| index + usize::from(*gone <= index));
                    Segment::Index(index)
                }
            };
            original.0.push(segment);
        }
        original
    }
}

fn default_at<'a>(defaults: &'a Value, path: &KeyPath) -> Option<&'a Value> {
    path.0.iter().try_fold(defaults, |value, segment| match segment {
        Segment::Key(key) => value.get(key),
        Segment::Index(_) => None,
    })
}

/// The path in the tree. A choice between several forms is a step of its own if it is a table with the form's name.
fn key_path(path: &serde_path_to_error::Path, root: &Value) -> KeyPath {
    let mut value = Some(root);
    let mut segments = Vec::new();
    for step in path.iter() {
        let segment = match step {
            Step::Seq { index } => Segment::Index(*index),
            Step::Map { key } => Segment::Key(key.clone()),
            Step::Enum { variant } => match value.and_then(|value| value.get(variant)) {
                Some(_) => Segment::Key(variant.clone()),
                None => continue,
            },
            Step::Unknown => break,
        };
        value = value.and_then(|value| match &segment {
            Segment::Key(key) => value.get(key),
            Segment::Index(index) => value.get(index),
        });
        segments.push(segment);
    }
    KeyPath(segments)
}

/// What to say of a word that is none of those that serde's message lists.
fn unknown(what: &str, found: &str, message: &str) -> String {
    /// More words than this are no help.
    const MOST_LISTED: usize = 20;
    let expected = message.split_once(", ").map_or("", |(_, expected)| expected);
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let found = if what == "key" {
        String::new()
    } else {
        format!(" {found}")
    };
    let near = nearest(
        message.split('`').nth(1).unwrap_or_default(),
        known.iter().copied(),
    );
    let list = if known.len() > MOST_LISTED && near.is_some() {
        String::new()
    } else {
        format!(", {}", expected.replace('`', ""))
    };
    match near {
        Some(near) => format!("unknown {what}{found}{list}; did you mean {near}?"),
        None => format!("unknown {what}{found}{list}"),
    }
}

/// The one of `known` that is most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LEAST_LIKENESS: f64 = 0.7;
    known
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(word, known), known))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}

/// The name in backquotes after `start`.
fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.strip_prefix('`')?.split('`').next()
}

/// Serde's words for a wrong type, turned round and without Rust's names of types.
fn readable(path: &KeyPath, message: &str) -> String {
    let parts = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    let secret = path.last_key().is_some_and(|key| SECRETS.contains(&key));
    match parts {
        Some(_) if secret => "expected a text".into(),
        Some((found, expected)) => {
            let expected = match expected {
                "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
                "i8" | "i16" | "i32" | "i64" => "a whole number",
                "f64" | "f32" => "a number",
                "a nonzero usize" | "a nonzero u32" | "a nonzero u64" => "a whole number above zero",
                "a string" | "str" => "a text",
                "a boolean" => "true or false",
                "a sequence" => "a list",
                "a map" => "a table",
                other if other.starts_with("struct ") => "a table",
                other => other,
            };
            let found = match found.split_once(' ') {
                Some(("string", text)) => format!("the text {text}"),
                Some((_, value)) => value.replace('`', ""),
                None => found.replace("map", "a table").replace("sequence", "a list"),
            };
            format!("expected {expected}, found {found}")
        }
        None => message.replace('`', ""),
    }
}
