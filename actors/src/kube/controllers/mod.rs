//! The controllers of a cluster, one file (or folder) each, and what they share.

pub mod events;
pub mod kinds;
pub mod pods;
pub mod replica_set;
pub mod workload;

use super::controller::Controller;

/// All controllers, in the order in which they are shown a change, and in which they take looks that are due at the same time.
pub static ALL: &[&dyn Controller] = &[
    &events::Expiry,
    &replica_set::ReplicaSets,
    &replica_set::ReplicationControllers,
];
