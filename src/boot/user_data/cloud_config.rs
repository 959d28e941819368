//! `#cloud-config` (cloud-init: `cloudinit/config/cc_*.py`): what matters to a cluster node, the rest is accepted.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use metalsim_actors::node::os::description::CommandStage;
use serde_json::{Map, Value};

use super::super::config_drive::{decode_base64, gunzip};
use super::{File, LARGEST, Wanted, octal, yaml};

/// Permissions of a file without any (cloud-init: `cc_write_files.py`).
const USUAL_MODE: u32 = 0o644;

/// All cloud-configs of the user data, merged as each says. Without a word on it a key of a later one takes the place
/// of an earlier one's (cloud-init: `doc/rtd/reference/merging.rst`). Only top-level keys are merged; that is
/// where lists of files and commands are.
#[derive(Default)]
pub(super) struct Merged(Map<String, Value>);

/// How a document joins those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Merge {
    /// Lists are added behind, or in front of, those that are there.
    lists: Option<Place>,
    /// Other values that are there stay.
    keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Behind,
    InFront,
}

impl Merge {
    /// Reads `list(append)+dict(no_replace,recurse_list)+str()`.
    fn parse(text: &str) -> Self {
        let mut merge = Self::default();
        for part in text.split('+') {
            let (name, settings) = part.trim().split_once('(').unwrap_or((part.trim(), ""));
            let has = |wanted: &str| {
                settings
                    .trim_end_matches(')')
                    .split(',')
                    .any(|setting| setting.trim() == wanted)
            };
            match name {
                "list" if has("append") => merge.lists = Some(Place::Behind),
                "list" if has("prepend") => merge.lists = Some(Place::InFront),
                "list" => merge.keep |= has("no_replace"),
                "dict" => merge.keep |= has("no_replace"),
                _ => {}
            }
        }
        merge
    }

    /// What a document says itself, as text or as a list of `{name, settings}`.
    fn of(document: &Map<String, Value>) -> Option<Self> {
        match document.get("merge_how").or_else(|| document.get("merge_type"))? {
            Value::String(text) => Some(Self::parse(text)),
            Value::Array(parts) => {
                let parts: Vec<String> = parts
                    .iter()
                    .filter_map(|part| {
                        let settings = part.get("settings").and_then(Value::as_array);
                        let settings: Vec<&str> =
                            settings.into_iter().flatten().filter_map(Value::as_str).collect();
                        Some(format!("{}({})", part.get("name")?.as_str()?, settings.join(",")))
                    })
                    .collect();
                Some(Self::parse(&parts.join("+")))
            }
            _ => None,
        }
    }
}

impl Merged {
    /// Adds a document. `merge`: how, if the part that holds it says so.
    pub(super) fn add(&mut self, text: &str, merge: Option<&str>, wanted: &mut Wanted) {
        match yaml::parse(text, LARGEST) {
            Ok(Value::Object(document)) => {
                let how = Merge::of(&document)
                    .or_else(|| merge.map(Merge::parse))
                    .unwrap_or_default();
                for (key, value) in document {
                    self.put(key, value, how);
                }
            }
            Ok(Value::Null) => {}
            Ok(_) => wanted.warn("cloud-config: no mapping"),
            Err(error) => wanted.warn(format!("cloud-config: {error}")),
        }
    }

    fn put(&mut self, key: String, value: Value, how: Merge) {
        match (self.0.get_mut(&key), value, how.lists) {
            (Some(Value::Array(there)), Value::Array(more), Some(Place::Behind)) => there.extend(more),
            (Some(Value::Array(there)), Value::Array(mut more), Some(Place::InFront)) => {
                more.append(there);
                *there = more;
            }
            (Some(_), _, _) if how.keep => {}
            (_, value, _) => drop(self.0.insert(key, value)),
        }
    }

    /// What they ask for together.
    pub(super) fn apply(&self, wanted: &mut Wanted) {
        let text = |key: &str| self.0.get(key).and_then(scalar).filter(|text| !text.is_empty());
        let hostname = text("hostname").or_else(|| text("fqdn"));
        if let Some(hostname) = hostname {
            wanted.hostname = hostname.split('.').next().map(Into::into);
        }
        wanted.preserve_hostname |= self.0.get("preserve_hostname").is_some_and(is_true);
        self.commands("bootcmd", CommandStage::Bootcmd, wanted);
        self.files(wanted);
        self.commands("runcmd", CommandStage::Runcmd, wanted);
        if let Some(users) = self.0.get("users") {
            for user in list(users) {
                let name = scalar(user).or_else(|| user.get("name").and_then(scalar));
                wanted.users.extend(name.map(Box::from));
            }
        }
    }

    fn commands(&self, key: &str, stage: CommandStage, wanted: &mut Wanted) {
        let Some(given) = self.0.get(key) else { return };
        let Value::Array(commands) = given else {
            return wanted.warn(format!("cloud-config: {key} is no list"));
        };
        for command in commands {
            match command {
                Value::String(line) => wanted.run(stage, line.clone()),
                Value::Array(words) => {
                    let words: Vec<String> = words
                        .iter()
                        .filter_map(scalar)
                        .map(|word| quoted(&word))
                        .collect();
                    wanted.run(stage, words.join(" "));
                }
                Value::Null => {}
                Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                    wanted.warn(format!("cloud-config: {key} holds something that is no command"));
                }
            }
        }
    }

    fn files(&self, wanted: &mut Wanted) {
        let Some(given) = self.0.get("write_files") else {
            return;
        };
        let (later, first): (Vec<&Value>, Vec<&Value>) =
            list(given).partition(|file| file.get("defer").is_some_and(is_true));
        for given in first.into_iter().chain(later) {
            match file(given) {
                Ok(file) => wanted.write(file),
                Err(error) => wanted.warn(format!("cloud-config: write_files: {error}")),
            }
        }
    }
}

fn file(given: &Value) -> Result<File, String> {
    let text = |key: &str| given.get(key).and_then(scalar);
    let path = text("path")
        .filter(|path| path.starts_with('/'))
        .ok_or("a file without an absolute path")?;
    let content = text("content").unwrap_or_default();
    let encoding = text("encoding").unwrap_or_default().to_ascii_lowercase();
    let content = decode(&content, &encoding).map_err(|error| format!("{path}: {error}"))?;
    let mode = match given.get("permissions") {
        None | Some(Value::Null) => USUAL_MODE,
        // A number was octal in the text if it began with 0o, and was meant so anyhow.
        Some(Value::Number(number)) => number
            .as_u64()
            .and_then(|mode| u32::try_from(mode).ok())
            .filter(|mode| *mode <= 0o7777)
            .unwrap_or(USUAL_MODE),
        Some(other) => scalar(other)
            .and_then(|text| octal(&text))
            .ok_or_else(|| format!("{path}: permissions are no octal number"))?,
    };
    Ok(File {
        path: path.into(),
        mode,
        owner: text("owner").map(Into::into),
        content,
        append: given.get("append").is_some_and(is_true),
    })
}

/// Encodings of `write_files` (cloud-init: `cc_write_files.py`, `canonicalize_extraction`).
fn decode(content: &str, encoding: &str) -> Result<Vec<u8>, String> {
    let broken = |what: &str| format!("its content is not {what}");
    let unpack = |bytes| gunzip(bytes, LARGEST as u64).map_err(|error| error.to_string());
    match encoding {
        "" | "text/plain" => Ok(content.as_bytes().to_vec()),
        "b64" | "base64" => decode_base64(content).ok_or_else(|| broken("base64")),
        "gz+b64" | "gzip+b64" | "gz+base64" | "gzip+base64" => {
            unpack(decode_base64(content).ok_or_else(|| broken("base64"))?)
        }
        // Bytes in a YAML text can only be its `!!binary`, which is base64.
        "gz" | "gzip" => unpack(
            BASE64_STANDARD
                .decode(content.trim())
                .unwrap_or_else(|_| content.as_bytes().to_vec()),
        ),
        other => Err(format!("its encoding {other:?} is unknown")),
    }
}

/// The members of a list; something else counts as none.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A scalar as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => ["true", "1", "on", "yes"].contains(&text.to_ascii_lowercase().as_str()),
        _ => false,
    }
}

/// A word as a shell wants it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
