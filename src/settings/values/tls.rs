//! Certificates.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::{Serialize, Serializer};

/// A certificate and its key, in PEM files.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::settings) struct TlsValue {
    /// Certificate chain, the server's own first.
    pub(in crate::settings) cert: Box<str>,
    /// Private key.
    pub(in crate::settings) key: Box<str>,
}

/// How the agents' API serves TLS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::settings) enum AgentTlsValue {
    #[default]
    Off,
    SelfSigned,
    Files(TlsValue),
}

schema_of!(AgentTlsValue, "AgentTls", {
    "anyOf": [
        {"enum": ["off", "self_signed", false]},
        {
            "type": "object",
            "properties": {"cert": {"type": "string"}, "key": {"type": "string"}},
            "required": ["cert", "key"],
            "additionalProperties": false,
        },
    ],
});

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
