//! What came of an expectation.

use metalsim_actors::time::SimInstant;
use serde::{Deserialize, Serialize};

/// What came of an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was expected, in words.
    pub expectation: Box<str>,
    /// Whether it held.
    pub held: bool,
    /// What was seen.
    pub details: Box<str>,
    /// When it was decided; none: at the end.
    pub at: Option<SimInstant>,
}
