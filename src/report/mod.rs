//! What is left of a run: counts and durations for machines, verdicts for continuous integration, a page with plots for
//! people. `docs/report.md` describes the form.
//!
//! A [`Collector`] is told what happens, one thing at a time, and keeps aggregates whose size depends on neither the
//! length of the run nor the number of events; a node costs it 32 bytes. It makes a [`Report`] at any time. Everything that is
//! written comes from that alone, so that a report in JSON can be rendered again.
//!
//! | part | file |
//! | --- | --- |
//! | the report's form, and what is refused of a foreign one | [`model`], `check` |
//! | from events to a report | `collect`; `buckets`, `spread`, `windows` |
//! | JUnit XML | `junit` |
//! | the page | `html` |

mod buckets;
mod check;
mod collect;
mod html;
mod junit;
pub mod model;
mod spread;
#[cfg(test)]
mod tests;
mod windows;

use std::io;
use std::path::Path;

use schemars::generate::SchemaSettings;
use serde_json::Value;

pub use self::check::Unusable;
pub use self::collect::{Collector, FaultPlan, ProcessSample};
pub use self::model::{Header, Report, Stage, Stretch, Traffic, Verdict};
pub use self::windows::windows;

/// The schema of reports in JSON (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<Report>().to_value()
}

impl Report {
    /// Reads a report from JSON.
    ///
    /// # Errors
    /// It is no JSON, not of this form or version, longer than a collector makes it, or at odds with itself.
    pub fn from_json(text: &[u8]) -> Result<Self, Unusable> {
        check::read(text)
    }

    /// For machines.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Text, numbers and lists always have a form in JSON.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// For continuous integration: JUnit XML, one test case for each expectation.
    #[must_use]
    pub fn to_junit(&self) -> String {
        junit::render(self)
    }

    /// For people: one HTML page that needs nothing else.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::render(self)
    }

    /// For the terminal: some lines that say how it went.
    #[must_use]
    pub fn summary(&self) -> String {
        html::summary(self)
    }

    /// Whether everything held that was expected.
    #[must_use]
    pub fn held(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.held)
    }
}

/// Writes a file of a report; its folder is made if it is missing.
///
/// # Errors
/// Those of the file system.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text)
}
