//! The leaves of the settings: types that parse their own text and print it again.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use metalsim_actors::timing::Latency;
use serde::de::{
    Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer,
};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// Implements serde through `FromStr` and `Display`; what is expected is named when the type is wrong.
macro_rules! text_value {
    ($type:ty, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself. Not for logs or messages.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<str>::deserialize(deserializer).map(Self)
    }
}

/// A duration written with its unit: `250ms`, `5s`, `1m30s`, `2h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span(pub(super) Duration);

/// Units of durations, with what one is in milliseconds. `ms` comes first, because `m` is its beginning.
const UNITS: [(&str, f64); 5] = [
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 60e3),
    ("h", 3600e3),
    ("d", 86_400e3),
];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no duration: write a number and its unit, such as 250ms, 5s, 2m, 1h30m or 0s"
            )
        };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut millis = 0.0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(wrong)?;
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            let (unit, scale) = UNITS
                .iter()
                .find(|(unit, _)| rest[digits..].starts_with(unit))
                .ok_or_else(wrong)?;
            millis += number * scale;
            rest = &rest[digits + unit.len()..];
        }
        // Simulated time counts whole milliseconds, so nothing finer is kept.
        Duration::try_from_secs_f64(millis.round() / 1e3)
            .map(Self)
            .map_err(|_| format!("{text:?} is too long"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if !millis.is_multiple_of(1000) => write!(f, "{millis}ms"),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ => write!(f, "{}s", millis / 1000),
        }
    }
}

text_value!(Span, "a duration such as 250ms, 5s or 2m");

/// A latency: a duration, or a distribution of durations.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct LatencyValue(pub(super) Latency);

const LATENCY: &str = "a duration such as 5s, {uniform: [1s, 11s]}, {normal: {mean: 5s, sd: 1s}} or {log_normal: {median: 5s, sigma: 0.5}}";

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct NormalValue {
    mean: Span,
    sd: Span,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct LogNormalValue {
    median: Span,
    sigma: f64,
}

impl<'de> Deserialize<'de> for LatencyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LatencyVisitor;
        impl<'de> Visitor<'de> for LatencyVisitor {
            type Value = Latency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(LATENCY)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Latency, E> {
                text.parse()
                    .map(|Span(duration)| Latency::Constant(duration))
                    .map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Latency, A::Error> {
                let Some(form) = map.next_key::<String>()? else {
                    return Err(A::Error::custom(format!("expected {LATENCY}")));
                };
                let latency = match form.as_str() {
                    "constant" => Latency::Constant(map.next_value::<Span>()?.0),
                    "uniform" => {
                        let [min, max] = map.next_value::<[Span; 2]>()?;
                        if min.0 > max.0 {
                            return Err(A::Error::custom(format!("uniform: {min} is longer than {max}")));
                        }
                        Latency::Uniform {
                            min: min.0,
                            max: max.0,
                        }
                    }
                    "normal" => {
                        let NormalValue { mean, sd } = map.next_value()?;
                        Latency::Normal {
                            mean: mean.0,
                            sd: sd.0,
                        }
                    }
                    "log_normal" => {
                        let LogNormalValue { median, sigma } = map.next_value()?;
                        if !(sigma.is_finite() && sigma >= 0.0) {
                            return Err(A::Error::custom("log_normal: sigma must not be negative"));
                        }
                        Latency::LogNormal {
                            median: median.0,
                            sigma,
                        }
                    }
                    other => {
                        return Err(A::Error::custom(format!(
                            "{other:?} is no distribution: use constant, uniform, normal or log_normal"
                        )));
                    }
                };
                match map.next_key::<String>()? {
                    Some(second) => Err(A::Error::custom(format!("both {form} and {second} are given"))),
                    None => Ok(latency),
                }
            }
        }
        deserializer.deserialize_any(LatencyVisitor).map(Self)
    }
}

impl Serialize for LatencyValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = match self.0 {
            Latency::Constant(duration) => return serializer.collect_str(&Span(duration)),
            Latency::Uniform { .. } | Latency::Normal { .. } | Latency::LogNormal { .. } => {
                serializer.serialize_map(Some(1))?
            }
        };
        match self.0 {
            Latency::Constant(duration) => map.serialize_entry("constant", &Span(duration))?,
            Latency::Uniform { min, max } => map.serialize_entry("uniform", &[Span(min), Span(max)])?,
            Latency::Normal { mean, sd } => {
                map.serialize_entry(
                    "normal",
                    &NormalValue {
                        mean: Span(mean),
                        sd: Span(sd),
                    },
                )?;
            }
            Latency::LogNormal { median, sigma } => {
                map.serialize_entry(
                    "log_normal",
                    &LogNormalValue {
                        median: Span(median),
                        sigma,
                    },
                )?;
            }
        }
        map.end()
    }
}

/// Where a frontend listens: an address with one port or a range of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Listen {
    pub(super) ip: IpAddr,
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Listen {
    /// A single port on the IPv4 loopback address.
    pub(super) fn loopback(port: u16) -> Self {
        Self {
            ip: IpAddr::from([127, 0, 0, 1]),
            first: port,
            last: port,
        }
    }

    /// Every address of the range.
    pub(super) fn addresses(self) -> impl Iterator<Item = SocketAddr> {
        (self.first..=self.last).map(move |port| SocketAddr::new(self.ip, port))
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is no address to listen on: {why}, as in 127.0.0.1:8000, 0.0.0.0:8000-8015 or [::1]:8000"
            )
        };
        let (host, ports) = text
            .trim()
            .rsplit_once(':')
            .ok_or_else(|| wrong("write address:port"))?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let ip = host
            .parse()
            .map_err(|_| wrong("an IP address is needed before the port"))?;
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| {
            text.trim()
                .parse::<u16>()
                .map_err(|_| wrong("a port is a number from 0 to 65535"))
        };
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(wrong("the first port of a range must not be above the last"));
        }
        if first == 0 && last != 0 {
            return Err(wrong("a range cannot start at port 0"));
        }
        Ok(Self { ip, first, last })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", SocketAddr::new(self.ip, self.first))?;
        if self.first == self.last {
            Ok(())
        } else {
            write!(f, "-{}", self.last)
        }
    }
}

text_value!(Listen, "an address to listen on, such as 127.0.0.1:8000");

/// One or many addresses; a text may hold several, separated by commas.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ListenList(pub(super) Vec<Listen>);

impl<'de> Deserialize<'de> for ListenList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = Vec<Listen>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address to listen on, such as 127.0.0.1:8000, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(|part| part.parse().map_err(E::custom)).collect()
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut addresses = Vec::new();
                while let Some(address) = list.next_element()? {
                    addresses.push(address);
                }
                Ok(addresses)
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
        }
        deserializer.deserialize_any(ListVisitor).map(Self)
    }
}

impl Serialize for ListenList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

/// An `http://` or `https://` URL without credentials; a slash at its end is dropped, so that paths can be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpUrl(Box<str>);

impl HttpUrl {
    /// The URL's text; no slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it begins with `https:`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write http://host:port or https://host:port";
        // The text is not repeated: it may hold a password.
        let url = reqwest::Url::parse(text).map_err(|error| format!("no valid URL ({error}): {FORM}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "the URL must begin with http:// or https://, not {}:",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user name or password in the URL is not supported".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a query or a fragment in the URL is not supported".into());
        }
        Ok(Self(url.as_str().trim_end_matches('/').into()))
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value!(HttpUrl, "a URL such as http://127.0.0.1:6385");

/// A number of bytes: `4096`, `64KiB`, `1MiB`, `1GiB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Size(pub(super) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let units = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("B", 1),
            ("", 1),
        ];
        units
            .iter()
            .find_map(|(unit, scale)| {
                text.strip_suffix(unit)?
                    .trim()
                    .parse::<u64>()
                    .ok()?
                    .checked_mul(*scale)
            })
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no size: write a number of bytes, or 64KiB, 1MiB, 1GiB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes.is_multiple_of(1 << 30) => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes > 0 && bytes.is_multiple_of(1 << 20) => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes > 0 && bytes.is_multiple_of(1 << 10) => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size in bytes, or such as 1MiB")
            }

            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Names of nodes: a text in which `{}` stands for the node's number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NamePattern {
    pub(super) before: Box<str>,
    /// Missing if the pattern names a single node.
    pub(super) after: Option<Box<str>>,
}

impl NamePattern {
    /// The name of node number `number`.
    pub(super) fn name(&self, number: u64) -> Box<str> {
        match &self.after {
            Some(after) => format!("{}{number}{after}", self.before).into(),
            None => self.before.clone(),
        }
    }
}

/// Why `name` cannot be a node's name. It stands in URLs, logs and file names, so separators and blanks are out.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 255;
    if name.is_empty() {
        return Err("a name must not be empty".into());
    }
    if name.len() > LONGEST {
        return Err(format!("a name must not be longer than {LONGEST} bytes"));
    }
    match name
        .chars()
        .find(|c| c.is_control() || c.is_whitespace() || "/?#%{}".contains(*c))
    {
        Some(c) => Err(format!("a name must not contain {c:?}")),
        None => Ok(()),
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = match text.split_once("{}") {
            Some((before, after)) => Self {
                before: before.into(),
                after: Some(after.into()),
            },
            None => Self {
                before: text.into(),
                after: None,
            },
        };
        if pattern.after.as_deref().is_some_and(|after| after.contains("{}")) {
            return Err(format!("{text:?} has more than one {{}}"));
        }
        check_name(&pattern.name(0)).map_err(|reason| format!("{text:?}: {reason}"))?;
        Ok(pattern)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.before)?;
        self.after
            .as_ref()
            .map_or(Ok(()), |after| write!(f, "{{}}{after}"))
    }
}

text_value!(NamePattern, "a name pattern such as node-{}");

/// Power of a node at the start: `on` or `off`; the words that are booleans in some formats count too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct PowerValue(pub(super) bool);

impl<'de> Deserialize<'de> for PowerValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PowerVisitor;
        impl Visitor<'_> for PowerVisitor {
            type Value = bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("on or off")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<bool, E> {
                Ok(on)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
                match text {
                    "on" | "On" => Ok(true),
                    "off" | "Off" => Ok(false),
                    other => Err(E::custom(format!("expected on or off, found {other:?}"))),
                }
            }
        }
        deserializer.deserialize_any(PowerVisitor).map(Self)
    }
}

impl Serialize for PowerValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0 { "on" } else { "off" })
    }
}

/// Value of a label. A number or a boolean is taken as its text, because YAML makes one of `rack: 12`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LabelValue(pub(super) Box<str>);

impl<'de> Deserialize<'de> for LabelValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelVisitor;
        impl Visitor<'_> for LabelVisitor {
            type Value = Box<str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Box<str>, E> {
                Ok(text.into())
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Box<str>, E> {
                Ok(value.to_string().into())
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Box<str>, E> {
                Ok(value.to_string().into())
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Box<str>, E> {
                Ok(value.to_string().into())
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Box<str>, E> {
                Ok(value.to_string().into())
            }
        }
        deserializer.deserialize_any(LabelVisitor).map(Self)
    }
}

impl Serialize for LabelValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A certificate and its key, in PEM files.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsValue {
    /// Certificate chain, the server's own first.
    pub(super) cert: Box<str>,
    /// Private key.
    pub(super) key: Box<str>,
}

/// How the agents' API serves TLS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum AgentTlsValue {
    #[default]
    Off,
    SelfSigned,
    Files(TlsValue),
}

impl<'de> Deserialize<'de> for AgentTlsValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TlsVisitor;
        impl<'de> Visitor<'de> for TlsVisitor {
            type Value = AgentTlsValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("off, self_signed or {cert: FILE, key: FILE}")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<AgentTlsValue, E> {
                // `off` in formats where that word is a boolean.
                if on {
                    Err(E::custom("expected off, self_signed or {cert: FILE, key: FILE}"))
                } else {
                    Ok(AgentTlsValue::Off)
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AgentTlsValue, E> {
                match text {
                    "off" => Ok(AgentTlsValue::Off),
                    "self_signed" => Ok(AgentTlsValue::SelfSigned),
                    other => Err(E::custom(format!(
                        "expected off, self_signed or {{cert: FILE, key: FILE}}, found {other:?}"
                    ))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AgentTlsValue, A::Error> {
                TlsValue::deserialize(MapAccessDeserializer::new(map)).map(AgentTlsValue::Files)
            }
        }
        deserializer.deserialize_any(TlsVisitor)
    }
}

impl Serialize for AgentTlsValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::SelfSigned => serializer.serialize_str("self_signed"),
            Self::Files(files) => files.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_print_as_they_parse() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("5s", 5000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(millis));
            assert_eq!(span.to_string(), text);
        }
        assert_eq!("1m30s".parse::<Span>().unwrap().to_string(), "90s");
        assert_eq!("1.5s".parse::<Span>().unwrap().to_string(), "1500ms");
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            "-1s",
            "5x",
            "1..5s",
            "99999999999999999999999d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_may_be_ranges() {
        let range: Listen = "127.0.0.1:8000-8003".parse().unwrap();
        assert_eq!(range.addresses().count(), 4);
        assert_eq!(range.to_string(), "127.0.0.1:8000-8003");
        assert_eq!("[::1]:80".parse::<Listen>().unwrap().to_string(), "[::1]:80");
        for bad in [
            "8000",
            "localhost:8000",
            "127.0.0.1:",
            "127.0.0.1:9-8",
            "127.0.0.1:70000",
            "127.0.0.1:0-9",
        ] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_and_urls_parse() {
        assert_eq!("64KiB".parse::<Size>().unwrap().0, 65_536);
        assert_eq!("1048576".parse::<Size>().unwrap().to_string(), "1MiB");
        assert!("1MB".parse::<Size>().is_err());
        assert_eq!(
            "http://[::1]:6385/".parse::<HttpUrl>().unwrap().as_str(),
            "http://[::1]:6385"
        );
        for bad in [
            "ftp://host",
            "host:80",
            "http://user:pw@host",
            "http://host/?a",
            "",
        ] {
            assert!(bad.parse::<HttpUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_name_nodes() {
        let pattern: NamePattern = "rack1-{}-blade".parse().unwrap();
        assert_eq!(&*pattern.name(7), "rack1-7-blade");
        assert_eq!(pattern.to_string(), "rack1-{}-blade");
        for bad in ["", "{}{}", "a b", "a/{}", "node-{:03}"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }
}
