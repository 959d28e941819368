//! A scenario as a file holds it. Every key is a field here; others are refused.

use metalsim_actors::fault::{FaultForm, FaultName};
use metalsim_actors::timing::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::expect::Expectation;
use crate::settings::{Raw, RawFleet};

/// A scenario: a fleet, a timeline of faults, expectations and a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Scenario of metalsim")]
pub(super) struct RawScenario {
    /// Where editors find the schema; of no meaning otherwise.
    #[serde(rename = "$schema")]
    pub(super) schema: Option<Box<str>>,
    /// Name in reports; left out: the file's name without its ending.
    pub(super) name: Option<Box<str>>,
    /// What it is for.
    pub(super) description: Option<Box<str>>,
    /// Root of all chance.
    #[schemars(with = "Option<u64>")]
    pub(super) seed: Option<Value>,
    /// Simulated seconds in a real one.
    #[schemars(with = "Option<f64>")]
    pub(super) speed: Option<Value>,
    /// Length of the run, in simulated time.
    #[schemars(required)]
    pub(super) duration: Option<Span>,
    /// The nodes, as in the settings.
    #[schemars(with = "Option<Vec<RawFleet>>")]
    pub(super) fleet: Option<Value>,
    /// Other settings, as in a settings file.
    #[schemars(with = "Option<Raw>")]
    pub(super) settings: Option<Value>,
    /// Named stretches of the timeline.
    pub(super) phases: Vec<RawPhase>,
    /// What goes wrong. Of two faults that strike at the same time and place, the first one wins.
    pub(super) faults: Vec<FaultForm>,
    /// What must hold.
    pub(super) expect: Vec<Expectation>,
    /// Where results go.
    pub(super) report: RawReport,
}

/// A named stretch of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPhase {
    /// Name, unique among the phases.
    pub(super) name: FaultName,
    /// Beginning, from the start; left out: the end of the phase before.
    #[serde(default)]
    pub(super) from: Option<Span>,
    /// Length; left out: up to the end of the run.
    #[serde(default)]
    pub(super) length: Option<Span>,
}

/// Files for results, relative to the working directory. What is left out is not written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawReport {
    /// For machines.
    pub(super) json: Option<Box<str>>,
    /// JUnit XML, for continuous integration.
    pub(super) junit: Option<Box<str>>,
    /// One page with plots, for people.
    pub(super) html: Option<Box<str>>,
}
