//! What all requests to one cluster's API server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use metalsim_actors::shell::ClusterRef;

/// Watches and followed logs of one cluster at once.
const MOST_STREAMS: u32 = 20_000;

/// One cluster's API server.
pub struct ApiServer {
    /// The cluster.
    pub cluster: Arc<ClusterRef>,
    streams: AtomicU32,
}

impl ApiServer {
    /// An API server for a cluster.
    #[must_use]
    pub const fn new(cluster: Arc<ClusterRef>) -> Self {
        Self {
            cluster,
            streams: AtomicU32::new(0),
        }
    }

    /// Room for one more stream; `None` when there are too many.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> Option<StreamPermit> {
        self.streams
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < MOST_STREAMS).then_some(open + 1)
            })
            .ok()?;
        Some(StreamPermit(Arc::clone(self)))
    }
}

/// A stream that is open; it counts until it is dropped.
pub struct StreamPermit(Arc<ApiServer>);

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}
