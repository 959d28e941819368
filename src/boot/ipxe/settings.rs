//! iPXE's settings, `${name:type}` (`ipxe: src/core/settings.c`, `src/usr/` and <https://ipxe.org/cfg>).

use std::collections::HashMap;

use metalsim_actors::ids::MacAddress;
use metalsim_actors::node::bmc::BootMode;
use uuid::Uuid;

/// Most settings that scripts may make.
const MOST_SETTINGS: usize = 256;

/// Longest value, and longest word after expansion.
const MOST_BYTES: usize = 8 << 10;

/// Most replacements in one word.
const MOST_REPLACEMENTS: usize = 64;

/// What a script can learn about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// MAC addresses of the network interfaces, in order: `net0/mac` and so on.
    pub macs: Vec<MacAddress>,
    /// The one that it boots from: `mac`.
    pub boot_mac: MacAddress,
    /// `platform`: `efi` or `pcbios`.
    pub mode: BootMode,
    /// `buildarch`, as iPXE calls architectures: `x86_64`, `arm64`.
    pub architecture: Box<str>,
    /// `uuid`.
    pub uuid: Uuid,
    /// Others, by name: `serial`, `next-server` …
    pub other: Vec<(Box<str>, Box<str>)>,
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(Box<str>),
    /// With its width in bytes.
    Number(i64, usize),
    Mac(MacAddress),
    Uuid(Uuid),
}

/// All settings.
pub(super) struct Settings {
    values: HashMap<Box<str>, Value>,
    /// How many are there from the start.
    given: usize,
}

impl Settings {
    pub(super) fn new(machine: &Machine) -> Self {
        let mut values = HashMap::new();
        for (name, value) in &machine.other {
            values.insert(name.clone(), Value::Text(value.clone()));
        }
        let platform = match machine.mode {
            BootMode::Uefi => "efi",
            BootMode::Legacy => "pcbios",
        };
        for (index, mac) in machine.macs.iter().enumerate() {
            values.insert(format!("net{index}/mac").into(), Value::Mac(*mac));
        }
        for name in ["mac", "netX/mac"] {
            values.insert(name.into(), Value::Mac(machine.boot_mac));
        }
        values.insert("platform".into(), Value::Text(platform.into()));
        values.insert("buildarch".into(), Value::Text(machine.architecture.clone()));
        values.insert("uuid".into(), Value::Uuid(machine.uuid));
        let given = values.len();
        Self { values, given }
    }

    /// Replaces every `${…}` in a word, innermost first. `None` if there are too many, or if it gets too long.
    pub(super) fn expand(&self, word: &str) -> Option<String> {
        let mut word = word.to_owned();
        let mut from = 0;
        for _ in 0..MOST_REPLACEMENTS {
            // The first that closes, and the last that opened before it.
            let Some(close) = word
                .get(from..)
                .and_then(|rest| rest.find('}'))
                .map(|at| from + at)
            else {
                return Some(word);
            };
            let Some(open) = word.get(..close).and_then(|start| start.rfind("${")) else {
                // A brace that closes nothing stays.
                from = close + 1;
                continue;
            };
            let value = word
                .get(open + 2..close)
                .map(|name| self.show(name))
                .unwrap_or_default();
            word.replace_range(open..=close, &value);
            from = 0;
            if word.len() > MOST_BYTES {
                return None;
            }
        }
        None
    }

    /// Sets `name`, which may have a type. Returns whether that was possible; `None`: too many or too long.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Option<bool> {
        let (name, kind) = split(name);
        let value = match width(kind) {
            Some(width) => match value.parse() {
                Ok(number) => Value::Number(number, width),
                Err(_) => return Some(false),
            },
            None => Value::Text(value.into()),
        };
        self.store(name, value).then_some(true)
    }

    /// Adds to a number; what is none counts as zero. `None`: too many settings.
    pub(super) fn increase(&mut self, name: &str, by: i64) -> Option<()> {
        let (name, kind) = split(name);
        let (number, own_width) = match self.values.get(name) {
            Some(Value::Number(number, width)) => (*number, *width),
            Some(Value::Text(text)) => (text.parse().unwrap_or_default(), 4),
            _ => (0, 4),
        };
        let value = Value::Number(number.wrapping_add(by), width(kind).unwrap_or(own_width));
        self.store(name, value).then_some(())
    }

    pub(super) fn clear(&mut self, name: &str) {
        self.values.remove(split(name).0);
    }

    fn store(&mut self, name: &str, value: Value) -> bool {
        let long = matches!(&value, Value::Text(text) if text.len() > MOST_BYTES) || name.len() > MOST_BYTES;
        let many = self.values.len() >= self.given + MOST_SETTINGS && !self.values.contains_key(name);
        if !long && !many {
            self.values.insert(name.into(), value);
        }
        !long && !many
    }

    /// The value of `name` or `name:type` as text.
    fn show(&self, name: &str) -> String {
        let (name, kind) = split(name);
        let Some(value) = self.values.get(name) else {
            return String::new();
        };
        match kind {
            "hex" => value.hex(":"),
            "hexhyp" => value.hex("-"),
            "hexraw" => value.hex(""),
            "uristring" => percent_encoded(&value.text()),
            _ => value.text(),
        }
    }
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Number(number, _) => number.to_string(),
            Self::Mac(mac) => mac.to_string(),
            Self::Uuid(uuid) => uuid.hyphenated().to_string(),
        }
    }

    fn hex(&self, between: &str) -> String {
        let number;
        let mac;
        let bytes = match self {
            Self::Text(text) => text.as_bytes(),
            Self::Number(value, width) => {
                number = value.to_be_bytes();
                number.get(8_usize.saturating_sub(*width)..).unwrap_or_default()
            }
            Self::Mac(address) => {
                mac = address.octets();
                &mac
            }
            Self::Uuid(uuid) => uuid.as_bytes(),
        };
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.join(between)
    }
}

/// `name:type`. Without a type it is empty.
fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or((name, ""))
}

/// Width in bytes of a number's type.
fn width(kind: &str) -> Option<usize> {
    match kind {
        "int8" | "uint8" => Some(1),
        "int16" | "uint16" => Some(2),
        "int32" | "uint32" => Some(4),
        _ => None,
    }
}

/// As in the query of a URL: only unreserved characters stay.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') {
            encoded.push(c);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
