//! The controllers of a cluster, one file (or folder) each, and what they share.

pub mod events;

use super::controller::Controller;

/// All controllers, in the order in which they are shown a change.
pub static ALL: &[&dyn Controller] = &[&events::Expiry];
