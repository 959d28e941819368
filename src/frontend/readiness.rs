//! Whether the process serves: set by the composition root, read by the control API.

use std::sync::atomic::{AtomicBool, Ordering};

/// Not ready until every listener is open, and again while draining.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    /// Says whether every listener is open.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether every listener is open.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
