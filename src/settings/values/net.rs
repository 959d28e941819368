//! Addresses and URLs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Where a frontend listens: an address with one port or a range of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::settings) struct Listen {
    pub(in crate::settings) ip: IpAddr,
    pub(in crate::settings) first: u16,
    pub(in crate::settings) last: u16,
}

impl Listen {
    /// A single port on the IPv4 loopback address.
    pub(in crate::settings) fn loopback(port: u16) -> Self {
        Self {
            ip: IpAddr::from([127, 0, 0, 1]),
            first: port,
            last: port,
        }
    }

    /// Every address of the range.
    pub(in crate::settings) fn addresses(self) -> impl Iterator<Item = SocketAddr> {
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
pub(in crate::settings) struct ListenList(pub(in crate::settings) Vec<Listen>);

schema_of!(ListenList, "ListenList", {
    "description": "An address to listen on, such as 127.0.0.1:8000, or a list of them.",
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "null"},
    ],
});

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn urls_lose_their_last_slash() {
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
}
