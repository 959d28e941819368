//! Layers of settings: defaults, files, environment and flags, merged into one tree that remembers where each
//! value came from.
//!
//! The `config` crate reads the file formats. Merging is done here, because a value's origin, the order of flags
//! and the case of keys (labels, agent commands) must survive it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{FileFormat, Format as _, ValueKind};
use serde_json::{Map, Value};

use super::problem::Problem;

/// Environment variables that begin with this are settings.
pub const ENVIRONMENT_PREFIX: &str = "METALSIM_";

/// Variables with the prefix that are not settings: the list of files, and the test suites' path of the binary.
const NOT_SETTINGS: [&str; 2] = ["METALSIM_CONFIG", "METALSIM_BIN"];

/// Where settings come from, besides the built-in defaults. Later ones win.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Files in YAML, TOML or JSON, told apart by their ending.
    pub files: Vec<PathBuf>,
    /// What a scenario changes: laid over the files, below the environment.
    pub scenario: Option<Overlay>,
    /// Environment variables with their full names; those without the prefix are ignored.
    pub environment: Vec<(String, String)>,
    /// Keys with dots and their values, as `--set` takes them.
    pub flags: Vec<(String, String)>,
}

/// Settings that another document holds, such as a scenario.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// The document.
    pub file: PathBuf,
    /// The settings in it.
    pub values: Value,
}

/// One step of a path through the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    /// Member of a table.
    Key(String),
    /// Element of a list.
    Index(usize),
}

/// Path of a value in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyPath(pub(crate) Vec<Segment>);

impl KeyPath {
    /// The path made of these keys.
    pub(crate) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Segment::Key((*key).to_owned())).collect())
    }

    /// The path of member `key` of this table.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The path of element `index` of this list.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// This path and one more step.
    pub(super) fn with(&self, segment: Segment) -> Self {
        let mut path = self.clone();
        path.0.push(segment);
        path
    }

    /// This path and the steps of `rest`.
    pub(super) fn join(&self, rest: &Self) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// The last key, for a path that ends in one.
    pub(super) fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Segment::Key(key)) => Some(key),
            Some(Segment::Index(_)) | None => None,
        }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file.
    File(Arc<Path>),
    /// The environment variable of this name.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl Origin {
    /// What relative paths in the value are relative to: the file's folder, or the working directory.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(file) => file.parent(),
            Self::Environment(_) | Self::Flag(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(key) => write!(f, "--set {key}"),
        }
    }
}

/// Values, and where they came from. What no layer named is a default.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// The merged values.
    pub(crate) root: Value,
    origins: BTreeMap<KeyPath, Origin>,
}

impl Tree {
    /// The lowest layer.
    pub(crate) fn new(defaults: Value) -> Self {
        Self {
            root: defaults,
            origins: BTreeMap::new(),
        }
    }

    /// Lays all of `sources` over the tree, in order.
    pub(super) fn lay(&mut self, sources: &Sources, problems: &mut Vec<Problem>) {
        for file in &sources.files {
            match read_file(file) {
                Ok(value) => self.merge(value, &Origin::File(Arc::from(file.as_path()))),
                Err(problem) => problems.push(problem),
            }
        }
        if let Some(Overlay { file, values }) = &sources.scenario {
            self.merge(values.clone(), &Origin::File(Arc::from(file.as_path())));
        }
        // Sorted, so that a table and a member of it apply in the same order whatever the process was given.
        let mut environment: Vec<_> = sources.environment.iter().collect();
        environment.sort();
        for (name, text) in environment {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            if NOT_SETTINGS.contains(&name.as_str()) {
                continue;
            }
            let keys: Vec<String> = rest.split("__").map(environment_key).collect();
            self.set(&keys, text, &Origin::Environment(name.clone()), problems);
        }
        for (key, text) in &sources.flags {
            let keys: Vec<String> = key
                .replace('[', ".")
                .replace(']', "")
                .split('.')
                .map(str::to_owned)
                .collect();
            self.set(&keys, text, &Origin::Flag(key.clone()), problems);
        }
    }

    /// Lays one layer over the tree: tables are merged, everything else is replaced.
    pub(crate) fn merge(&mut self, layer: Value, origin: &Origin) {
        let mut path = KeyPath::default();
        merge_value(&mut self.root, layer, &mut path, origin, &mut self.origins);
    }

    /// Whether the value at `path` is, as a whole, a text that still has to find its type.
    pub(super) fn is_text(&self, path: &KeyPath) -> bool {
        matches!(
            self.origins.get(path),
            Some(Origin::Environment(_) | Origin::Flag(_))
        )
    }

    /// Where the value at `path` came from.
    pub(super) fn origin(&self, path: &KeyPath) -> Option<&Origin> {
        let mut path = path.clone();
        loop {
            if let Some(origin) = self.origins.get(&path) {
                return Some(origin);
            }
            path.0.pop()?;
        }
    }

    /// Where anything under `path` came from: tables that were merged have no origin of their own.
    pub(super) fn origin_within(&self, path: &KeyPath) -> Option<&Origin> {
        let (within, origin) = self.origins.range(path.clone()..).next()?;
        within.0.starts_with(&path.0).then_some(origin)
    }

    /// The part of the tree at `path`, laid over `defaults`.
    pub(super) fn part(&self, path: &KeyPath, value: Value, defaults: Value) -> Self {
        let mut part = Self::new(defaults);
        let own = self.origin(path).or_else(|| self.origin_within(path)).cloned();
        if let Some(origin) = own {
            part.merge(value, &origin);
        }
        let within = self
            .origins
            .range(path.clone()..)
            .take_while(|(known, _)| known.0.starts_with(&path.0));
        for (known, origin) in within {
            part.origins
                .insert(KeyPath(known.0[path.0.len()..].to_vec()), origin.clone());
        }
        part
    }

    /// The value at `path`.
    pub(super) fn get_mut(&mut self, path: &KeyPath) -> Option<&mut Value> {
        path.0
            .iter()
            .try_fold(&mut self.root, |value, segment| match segment {
                Segment::Key(key) => value.as_object_mut()?.get_mut(key),
                Segment::Index(index) => value.as_array_mut()?.get_mut(*index),
            })
    }

    fn set(&mut self, keys: &[String], text: &str, origin: &Origin, problems: &mut Vec<Problem>) {
        let mut path = KeyPath::default();
        let mut value = &mut self.root;
        for key in keys {
            if key.is_empty() {
                problems.push(Problem {
                    key: String::new(),
                    reason: "an empty name in the key".into(),
                    origin: Some(origin.to_string()),
                });
                return;
            }
            if let Value::Array(list) = value {
                let index = key.parse::<usize>().ok().filter(|index| *index < list.len());
                let Some(index) = index else {
                    problems.push(Problem {
                        key: path.key(key).to_string(),
                        reason: format!("the list has no element {key}; it has {} elements", list.len()),
                        origin: Some(origin.to_string()),
                    });
                    return;
                };
                path.0.push(Segment::Index(index));
                value = &mut list[index];
            } else {
                if !value.is_object() {
                    *value = Value::Object(Map::new());
                }
                path.0.push(Segment::Key(key.clone()));
                let Value::Object(table) = value else { return };
                value = table.entry(key.as_str()).or_insert(Value::Null);
            }
        }
        *value = Value::String(text.to_owned());
        record(&mut self.origins, &path, origin);
    }
}

/// The key that a part of a variable's name stands for. Keys of settings are lower case; a part with lower case
/// letters in it is taken as it is, which is how a label's case is kept.
fn environment_key(part: &str) -> String {
    if part.chars().any(char::is_lowercase) {
        part.to_owned()
    } else {
        part.to_lowercase()
    }
}

fn merge_value(
    old: &mut Value,
    new: Value,
    path: &mut KeyPath,
    origin: &Origin,
    origins: &mut BTreeMap<KeyPath, Origin>,
) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if !is_choice(&new) => {
            for (key, value) in new {
                path.0.push(Segment::Key(key.clone()));
                merge_value(
                    old.entry(key).or_insert(Value::Null),
                    value,
                    path,
                    origin,
                    origins,
                );
                path.0.pop();
            }
        }
        (old, new) => {
            *old = new;
            record(origins, path, origin);
        }
    }
}

/// A table that names one of several forms replaces the other form instead of adding to it.
fn is_choice(table: &Map<String, Value>) -> bool {
    const FORMS: [&str; 4] = ["constant", "uniform", "normal", "log_normal"];
    table.len() == 1 && table.keys().all(|key| FORMS.contains(&key.as_str()))
}

fn record(origins: &mut BTreeMap<KeyPath, Origin>, path: &KeyPath, origin: &Origin) {
    let stale: Vec<KeyPath> = origins
        .range(path.clone()..)
        .map(|(known, _)| known)
        .take_while(|known| known.0.starts_with(&path.0))
        .cloned()
        .collect();
    for known in stale {
        origins.remove(&known);
    }
    origins.insert(path.clone(), origin.clone());
}

/// Reads a file into a tree of values; the format follows from its ending.
pub(super) fn read_file(path: &Path) -> Result<Value, Problem> {
    let problem = |reason: String| Problem {
        key: String::new(),
        reason,
        origin: Some(path.display().to_string()),
    };
    let format = match path.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => FileFormat::Yaml,
        Some("toml") => FileFormat::Toml,
        Some("json") => FileFormat::Json,
        Some(_) | None => {
            return Err(problem(
                "the file's ending must be .yaml, .yml, .toml or .json".into(),
            ));
        }
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| problem(format!("cannot read the file: {error}")))?;
    parse(&text, format).map_err(|error| problem(format!("cannot parse the file: {error}")))
}

fn parse(text: &str, format: FileFormat) -> Result<Value, String> {
    // An empty YAML file, or one with only comments, is an empty layer and not a null.
    let bare = text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if bare {
        return Ok(Value::Object(Map::new()));
    }
    let table = format.parse(None, text).map_err(|error| error.to_string())?;
    Ok(Value::Object(
        table.into_iter().map(|(key, value)| (key, json(value))).collect(),
    ))
}

/// What a text would be as a YAML value; none if it is no YAML.
pub(super) fn as_yaml(text: &str) -> Option<Value> {
    let Value::Object(mut table) = parse(&format!("value: {text}"), FileFormat::Yaml).ok()? else {
        return None;
    };
    table.remove("value")
}

fn json(value: config::Value) -> Value {
    match value.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(value) => Value::Bool(value),
        ValueKind::I64(value) => Value::from(value),
        ValueKind::U64(value) => Value::from(value),
        ValueKind::I128(value) => {
            i64::try_from(value).map_or_else(|_| Value::String(value.to_string()), Value::from)
        }
        ValueKind::U128(value) => {
            u64::try_from(value).map_or_else(|_| Value::String(value.to_string()), Value::from)
        }
        ValueKind::Float(value) => Value::from(value),
        ValueKind::String(value) => Value::String(value),
        ValueKind::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect())
        }
        ValueKind::Array(list) => Value::Array(list.into_iter().map(json).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_distribution_replaces_another_one() {
        let mut tree = Tree::new(json!({"timing": {"post": {"uniform": ["1s", "2s"]}, "os_boot": "1s"}}));
        let file = Origin::File(Path::new("a.yaml").into());
        tree.merge(
            json!({"timing": {"post": {"normal": {"mean": "1s", "sd": "0s"}}}}),
            &file,
        );
        assert_eq!(
            tree.root["timing"]["post"],
            json!({"normal": {"mean": "1s", "sd": "0s"}})
        );
        assert_eq!(tree.root["timing"]["os_boot"], json!("1s"));
        assert_eq!(
            tree.origin(&KeyPath::of(&["timing", "post", "normal"])),
            Some(&file)
        );
        assert_eq!(tree.origin(&KeyPath::of(&["timing", "os_boot"])), None);
    }

    #[test]
    fn variables_reach_nested_keys_and_keep_mixed_case() {
        let mut tree = Tree::new(json!({"a": {"b": 1}, "list": [{"n": 1}]}));
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let sources = Sources {
            environment: vec![
                variable("METALSIM_A__B", "2"),
                variable("METALSIM_A__Rack", "x"),
                variable("METALSIM_LIST__0__N", "3"),
                variable("METALSIM_BIN", "/bin/metalsim"),
                variable("HOME", "/"),
            ],
            ..Sources::default()
        };
        let mut problems = Vec::new();
        tree.lay(&sources, &mut problems);
        assert_eq!(problems, []);
        assert_eq!(
            tree.root,
            json!({"a": {"b": "2", "Rack": "x"}, "list": [{"n": "3"}]})
        );
    }
}
