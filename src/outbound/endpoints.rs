//! Turns at an endpoint: how many calls may be on their way to one host and port at once.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::Semaphore;

/// Endpoints that are remembered. A fleet talks to a few; a boot medium may name any.
const MOST_ENDPOINTS: usize = 256;

/// Semaphores by endpoint. tokio's are fair: first come, first served. Every call looks one up, from any thread.
pub(super) struct Endpoints {
    limit: usize,
    known: DashMap<Box<str>, Arc<Semaphore>>,
}

impl Endpoints {
    /// `limit` calls may be on their way to each endpoint.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, Semaphore::MAX_PERMITS),
            known: DashMap::default(),
        }
    }

    /// The turns at `endpoint`, which is host and port.
    pub(super) fn turns(&self, endpoint: &str) -> Arc<Semaphore> {
        if let Some(turns) = self.known.get(endpoint) {
            return Arc::clone(&turns);
        }
        if self.known.len() >= MOST_ENDPOINTS {
            self.known.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let new = || Arc::new(Semaphore::new(self.limit));
        // With that many endpoints in use at once the new one's calls are bounded one by one only.
        if self.known.len() >= MOST_ENDPOINTS {
            return new();
        }
        Arc::clone(&self.known.entry(endpoint.into()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_told_apart_and_idle_ones_forgotten() {
        let endpoints = Endpoints::new(2);
        let busy = endpoints.turns("busy:1");
        assert!(Arc::ptr_eq(&busy, &endpoints.turns("busy:1")));
        assert!(!Arc::ptr_eq(&busy, &endpoints.turns("other:1")));
        for port in 0..MOST_ENDPOINTS * 2 {
            drop(endpoints.turns(&format!("host:{port}")));
        }
        assert!(Arc::ptr_eq(&busy, &endpoints.turns("busy:1")));
        assert!(endpoints.known.len() <= MOST_ENDPOINTS);
    }
}
