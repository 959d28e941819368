//! Durations and distributions of durations.

use metalsim_actors::timing::Latency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(in crate::settings) use metalsim_actors::timing::Span;

/// A latency: a duration, or a distribution of durations.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(in crate::settings) struct LatencyValue(pub(in crate::settings) Latency);
