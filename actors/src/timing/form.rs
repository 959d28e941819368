//! A distribution of durations as files hold it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{Latency, Span};

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

impl<'de> Deserialize<'de> for Latency {
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
        deserializer.deserialize_any(LatencyVisitor)
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = match *self {
            Self::Constant(duration) => return serializer.collect_str(&Span(duration)),
            Self::Uniform { .. } | Self::Normal { .. } | Self::LogNormal { .. } => {
                serializer.serialize_map(Some(1))?
            }
        };
        match *self {
            Self::Constant(duration) => map.serialize_entry("constant", &Span(duration))?,
            Self::Uniform { min, max } => map.serialize_entry("uniform", &[Span(min), Span(max)])?,
            Self::Normal { mean, sd } => {
                map.serialize_entry(
                    "normal",
                    &NormalValue {
                        mean: Span(mean),
                        sd: Span(sd),
                    },
                )?;
            }
            Self::LogNormal { median, sigma } => {
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

impl JsonSchema for Latency {
    fn schema_name() -> Cow<'static, str> {
        "Latency".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let span = generator.subschema_for::<Span>();
        let form = |name: &str, value: Schema| {
            json_schema!({
                "type": "object",
                "properties": {name: value},
                "required": [name],
                "additionalProperties": false,
            })
        };
        let members = |names: [&str; 2], values: [Schema; 2]| {
            let [first, second] = names;
            let [one, other] = values;
            json_schema!({
                "type": "object",
                "properties": {first: one, second: other},
                "required": names,
                "additionalProperties": false,
            })
        };
        let sigma = json_schema!({"type": "number", "minimum": 0});
        json_schema!({
            "description": "A duration, or a distribution of durations.",
            "anyOf": [
                span,
                form("constant", span.clone()),
                form("uniform", json_schema!({"type": "array", "items": span, "minItems": 2, "maxItems": 2})),
                form("normal", members(["mean", "sd"], [span.clone(), span.clone()])),
                form("log_normal", members(["median", "sigma"], [span, sigma])),
            ],
        })
    }
}
