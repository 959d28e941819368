//! The machines under the clusters' nodes: where faults of machines strike on occasions that only their clusters meet.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metalsim_actors::fault::{Site, SiteKind, What};
use metalsim_actors::ids::NodeId;

use crate::directory::Directory;

/// The machines of the process. Clusters are there before them.
#[derive(Default)]
pub struct Machines(OnceLock<Arc<Directory>>);

impl Machines {
    /// Says which machines there are; once.
    pub fn know(&self, directory: Arc<Directory>) {
        if self.0.set(directory).is_err() {
            tracing::warn!("the machines of the clusters are known already");
        }
    }

    /// A request reaches the etcd member on a machine: the real time by which faults delay its answer. They are recorded.
    #[must_use]
    pub fn etcd_delay(&self, machine: NodeId) -> Duration {
        let Some(node) = self.0.get().and_then(|directory| directory.get(&machine)) else {
            return Duration::ZERO;
        };
        let mut delay = Duration::ZERO;
        for struck in node.strike_all(Site::Plain(SiteKind::EtcdRequest)) {
            if let What::EtcdSlow { delay: late } = &struck.what {
                delay += node.real_time(late.draw(struck.seed.child("delay")));
            }
        }
        delay
    }
}
