//! The actors: thin shells around the pure machines, and their supervisors. The only place that uses actix.

mod board;
mod cluster;
mod cluster_faults;
mod faults;
mod handle;
mod lost;
mod messages;
mod node;
mod supervisor;
mod tally;
#[cfg(test)]
mod tests;

pub use self::board::FaultBoard;
pub use self::cluster::{ClusterError, ClusterRef, ClusterServices};
pub use self::handle::{AskError, NodeRef, Permits};
pub use self::node::Services;
pub use self::supervisor::{Fleet, Installed, NodeStart, ShardPlan, Shards};
pub use self::tally::{NodeCounts, Tally};
