//! Scenarios: a fleet, a timeline of faults, what must hold, and where the report goes. `docs/scenarios.md` describes
//! the language.
//!
//! A file is read into a tree with places, decoded into the raw form in which unknown keys are refused, and validated
//! into [`Scenario`]. Every problem found on the way is reported with its place, not only the first.

mod expect;
mod explain;
mod judge;
mod metric_names;
mod raw;
mod samples;
mod schema;
mod text;
mod validate;
mod verdict;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use metalsim_actors::fault::{Fault, FaultName, FaultSet};
use metalsim_actors::time::SimInstant;

use crate::settings::{Invalid, Settings, Sources};

pub use self::expect::{Amount, Expectation, MetricName, MetricRef, Protocol};
pub use self::explain::explain;
pub use self::judge::Requests;
pub use self::schema::schema;
pub use self::verdict::Verdict;
pub use self::watch::Watch;

/// A validated scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file that it comes from.
    pub file: PathBuf,
    /// Name in reports.
    pub name: Box<str>,
    /// What it is for.
    pub description: Option<Box<str>>,
    /// Length of the run, in simulated time; above zero.
    pub duration: Duration,
    /// Settings with the scenario's laid over them: seed, speed and fleet among them.
    pub settings: Settings,
    /// Named stretches of the timeline, in the file's order.
    pub phases: Vec<TimelinePhase>,
    /// What goes wrong; names are unique.
    pub faults: Vec<Fault>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
    /// Where results go.
    pub report: Report,
}

/// A named stretch of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelinePhase {
    /// Its name.
    pub name: FaultName,
    /// Its beginning.
    pub from: SimInstant,
    /// Its end; after the beginning, and not after the run's.
    pub until: SimInstant,
}

/// Files for results; none: not written. Relative paths are relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// JSON.
    pub json: Option<PathBuf>,
    /// JUnit XML.
    pub junit: Option<PathBuf>,
    /// One HTML page.
    pub html: Option<PathBuf>,
}

impl Scenario {
    /// Reads and validates a scenario. Its settings are laid over the files of `base`, and the environment and the flags of
    /// `base` over them.
    ///
    /// # Errors
    /// All problems at once, each with its place in the file.
    pub fn load(file: &Path, base: &Sources) -> Result<Self, Invalid> {
        validate::load(file, base)
    }

    /// The end of the run.
    #[must_use]
    pub fn end(&self) -> SimInstant {
        SimInstant::START + self.duration
    }

    /// The first snapshot of the faults. Its seed is the settings'.
    #[must_use]
    pub fn fault_set(&self) -> FaultSet {
        self.settings.fault_set(&self.faults)
    }
}
