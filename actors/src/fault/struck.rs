//! A fault that struck.

use super::FaultName;
use super::set::Hit;
use super::what::What;
use super::when::Window;
use crate::seed::Seed;

/// A fault that struck, to be kept: what a [`Hit`] tells, without its snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Struck {
    /// Its name, for the record.
    pub fault: FaultName,
    /// What goes wrong.
    pub what: What,
    /// Number of the occasion, or of the window for states and events, from 1.
    pub number: u64,
    /// The window.
    pub window: Window,
    /// Seed for the draws that `what` leaves to the caller, such as a delay: of its own for each hit.
    pub seed: Seed,
    /// Seed for the draws that must come out the same for all whom the fault befalls.
    pub common_seed: Seed,
}

impl From<Hit<'_>> for Struck {
    fn from(hit: Hit<'_>) -> Self {
        Self {
            fault: hit.fault.clone(),
            what: hit.what.clone(),
            number: hit.number,
            window: hit.window,
            seed: hit.seed,
            common_seed: hit.common_seed,
        }
    }
}
